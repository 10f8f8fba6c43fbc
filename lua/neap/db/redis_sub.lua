-- Subscriptions to a Redis server. Used by redis.lua; what goes on when a connection is lost is in subscription.lua.
local core = require "neap.core"
local subscription = require "neap.db.subscription"

local redis_sub = {}

local now = core.task.now
local TIMEOUT = 5 -- for the confirmations
local QUIET = 15 -- seconds without a message, then the server is asked whether it is still there
local PING = "*1\r\n$4\r\nPING\r\n"

-- Refusals that pass by themselves; all others are mistakes that nobody but the user can correct.
local PASSING = {LOADING = true, MASTERDOWN = true, BUSY = true, TRYAGAIN = true}

-- Closed unless it is kept.
local Starting = {}

function Starting:__close()
  if not self.is_kept then self.conn:close() end
end

local function confirm(conn, command, count)
  local deadline = now() + TIMEOUT
  local ok, err = conn:send(command, count, deadline)
  for _ = 1, ok and count or 0 do
    ok, err = conn:reply(deadline)
    if not ok then return nil, err end
  end
  return ok, err
end

-- A connection that has subscribed.
local function start(connect, command, count)
  local conn, err = connect()
  if not conn then return nil, err end
  local starting <close> = setmetatable({conn = conn, is_kept = false}, Starting)
  local ok, why = confirm(conn, command, count)
  if not ok then return nil, why end
  starting.is_kept = true
  return conn
end

local function hear(conn)
  local is_whole, said = conn:next(now() + QUIET)
  if is_whole then
    conn.has_asked = false
    if type(said) ~= "table" then return false end
    if said[1] == "message" then return true, said[2], said[3] end
    if said[1] == "pmessage" then return true, said[3], said[4], said[2] end
    return false -- the answer to PING
  end
  if said == "timeout" and not conn.has_asked then
    conn.has_asked = true
    return conn.socket:send(PING, TIMEOUT) and false or nil
  end
  return nil
end

---@async
---@param connect async fun(): table?, any makes a connection
---@param command string as it is sent
---@param names string[]
---@param is_pattern boolean
---@param where string made where
---@return function? next
---@return any err why the server refuses, or nil
function redis_sub.open(connect, command, names, is_pattern, where)
  return subscription.open({
    kind = "redis", names = names, hear = hear, close = function(conn) conn:close() end,
    start = function() return start(connect, command, #names) end,
    gap = function(name) return name, nil, is_pattern and name or nil end,
    is_refusal = function(err) return type(err) == "table" and not PASSING[err.code] end,
  }, where)
end

return redis_sub
