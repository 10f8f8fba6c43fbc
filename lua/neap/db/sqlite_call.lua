-- Calls to a connection of SQLite that somebody has leased: errors, patience while another has the file's lock,
-- and results that come in batches. For sqlite.lua and sqlite_transaction.lua.
local json = require "neap.json"
local task = require "neap.task"
local text = require "neap.text"

local call = {}

local FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05 -- between attempts to get the lock

---What went wrong. `tostring` gives code and message.
---@class neap.SqliteError
---@field code "busy"|"constraint"|"syntax"|"timeout"|"too_large"|"readonly"|"aborted"|"corrupt"|"full"|"io"|"cannot_open"|"closed"|"mismatch"|"memory"|"error"
---@field message string
---@field constraint ("unique"|"primary_key"|"not_null"|"foreign_key"|"check"|"trigger")? for "constraint": of which kind
local SqliteError = {__name = "neap.SqliteError"}
SqliteError.__index = SqliteError
function SqliteError:__tostring() return ("%s: %s"):format(self.code, self.message) end

local MESSAGES = {
  timeout = "no connection became free in time",
  closed = "it is closed",
  in_use = "another task is using this transaction at this moment",
  held = "this task has that connection already and would wait for itself: inside db:transaction(function(tx) ... end) "
    .. "use tx; inside db:rows open no more of them than there are readers",
}
local MISUSES = {misuse = true, in_use = true, held = true}

---An error object for what the core returned after nil. Wrong use is raised instead.
---@param level integer as in `error`, counted from the caller of this function
---@param code string
---@param message string?
---@param constraint string?
---@return neap.SqliteError
function call.failure(level, code, message, constraint)
  message = message or MESSAGES[code] or code
  if MISUSES[code] then error(message, level + 1) end
  return setmetatable({code = code, message = message, constraint = constraint}, SqliteError)
end

---@param level integer as in `error`, counted from the caller of this function
function call.check_sql(sql, level)
  if type(sql) ~= "string" then error(("the SQL is a string, not %s"):format(text.quote(sql)), level + 1) end
end

---Calls a method of a lease, again and again while somebody else has the lock of the file.
---@param settings neap.SqliteOptions
---@param lease userdata
---@param deadline number by task.now()
---@param level integer as in `error`, counted from the caller of this function
---@param method string
---@param ... any after timeout and limit
---@return any result nil when it failed
---@return any second result, or the error
---@async
function call.attempt(settings, lease, deadline, level, method, ...)
  local give_up, pause = math.min(deadline, task.now() + settings.busy_timeout), FIRST_PAUSE
  while true do
    local timeout = math.max(deadline - task.now(), 0)
    local result, second, message, constraint = lease[method](lease, timeout, settings.limit, ...)
    if result ~= nil then return result, second end
    if second ~= "busy" or task.now() >= give_up then
      return nil, call.failure(level + 1, second, message, constraint)
    end
    task.sleep(pause * (0.5 + math.random()))
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

---All rows of a statement.
---@param settings neap.SqliteOptions
---@param lease userdata
---@param deadline number
---@param level integer as in `error`, counted from the caller of this function
---@param sql string
---@param ... any parameters
---@return table[]?
---@return neap.SqliteError?
---@async
function call.collect(settings, lease, deadline, level, sql, ...)
  local rows = json.array()
  local has_more, err = call.attempt(settings, lease, deadline, level + 1, "query", rows, sql, ...)
  while has_more do
    has_more, err = call.attempt(settings, lease, deadline, level + 1, "more", rows)
  end
  if has_more == nil then return nil, err end
  return rows
end

---Iterates over a list; raises when there is none.
---@param rows table[]?
---@param err neap.SqliteError?
---@return fun(): table?
function call.each(rows, err)
  if not rows then error(err, 0) end
  local at = 0
  return function()
    at = at + 1
    return rows[at]
  end
end

return call
