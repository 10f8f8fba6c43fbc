-- The life of an application: start, ready, shutdown, clean-up. One stack holds what has to be undone, in the order of
-- registration; whatever ends the app takes it down from the top. boot.lua runs it in a server; a test can do the same
-- in its own state:
--
--   local life = lifecycle.new(app)
--   assert(life:start())        -- when this fails, cleanup undoes what was done
--   life:ready()
--   life:shutdown("shutdown")
--   life:cleanup("shutdown")
local bounded = require "neap.bounded"
local core = require "neap.core"
local log = require "neap.log"
local text = require "neap.text"
local trace = require "neap.trace"

local now = core.task.now

local TRACEBACK_LINES = 8

---A step of the start, and how it is undone.
---@class neap.LifeStep
---@field what string "on_startup (app.lua:12)"
---@field undo async fun(reason: string): ...

---@class neap.Lifecycle
---@field app neap.App
---@field stack neap.LifeStep[] what has to be undone, the last first
---@field on_ready neap.Hook[]
---@field on_shutdown neap.Hook[]
---@field has_started boolean?
---@field start_by number monotonic seconds
---@field stop_by number? set when the end begins

local Lifecycle = {} -- not in the reference: applications register hooks
Lifecycle.__index = Lifecycle

local lifecycle = {
  HINT = "A loop that runs beside the server belongs into app:service(name, fn).", -- when a start never ends
}

local LABELS = {
  startup = "on_startup", cleanup = "on_cleanup", shutdown = "on_shutdown", ready = "on_ready", lifespan = "lifespan",
}

local function name_of(hook)
  return ("%s (%s)"):format(LABELS[hook.kind], hook.where)
end

-- ---- failures ----

---What went wrong in a hook.
---@class neap.HookFailure: neap.CallFailure
---@field what string "on_startup (app.lua:12)"
---@field seconds number how long it ran
local Failure = {__name = "neap.HookFailure"}
Failure.__index = Failure

function Failure:__tostring()
  if not self.is_timeout then
    return ("%s failed after %.3f s: %s"):format(self.what, self.seconds, text.safe(self.err))
  end
  return ("%s has not returned after %.3g s (%s)%s"):format(self.what, self.seconds, self.setting,
    self.where and ": it was waiting at " .. self.where or "")
end

local function failed(what, seconds, failure)
  failure.what, failure.seconds = what, seconds
  return setmetatable(failure, Failure)
end

local function log_failure(failure)
  log.error(failure, {traceback = failure.traceback})
end

-- Says so when a call is interrupted, which nobody else could.
local Interrupted = {}

function Interrupted:__close()
  if self.what then log.error(("%s was cut short after %.3f s"):format(self.what, now() - self.from)) end
end

-- Calls fn(...) for `what`. true and its first result, or false and a neap.HookFailure. `nil, err` is a failure, too.
local function attempt(what, seconds, fn, ...)
  local interrupted <close> = setmetatable({what = what, from = now()}, Interrupted)
  local ok, result, err = bounded.call(seconds, fn, ...)
  interrupted.what = nil
  local took = now() - interrupted.from
  if ok and (result ~= nil or err == nil) then
    log.debug(("%s took %.3f s"):format(what, took))
    return true, result
  end
  return false, failed(what, took, ok and {err = err} or result)
end

-- ---- starting ----

local function push(self, what, undo)
  self.stack[#self.stack + 1] = {what = what, undo = undo}
end

-- The function that closes what on_startup returned; nil when that cannot be closed.
local function closer_of(value)
  if type(value) == "function" then return value end
  if type(value) ~= "table" and type(value) ~= "userdata" then return nil end
  local metatable = getmetatable(value)
  local close = type(metatable) == "table" and metatable.__close
  if close then return function() return close(value, nil) end end
  local ok, method = pcall(function() return value.close end)
  return ok and method and function() return value:close() end or nil
end

local function left_to_start(self)
  return math.max(0, self.start_by - now())
end

local starters = {}

function starters.startup(self, hook)
  local what = name_of(hook)
  local ok, result = attempt(what, left_to_start(self), hook.fn, hook.app)
  if not ok then return result end
  if result == nil then return nil end
  local close = closer_of(result)
  if not close then
    return failed(what, 0, {err = "it returned " .. text.quote(result)
      .. "; return nothing, a function, or something with :close()"})
  end
  push(self, "what " .. what .. " opened", close)
end

function starters.cleanup(self, hook)
  push(self, name_of(hook), function() return hook.fn(hook.app) end)
end

function starters.shutdown(self, hook)
  table.insert(self.on_shutdown, 1, hook)
end

function starters.ready(self, hook)
  table.insert(self.on_ready, hook)
end

-- A lifespan is a coroutine: what starts the app runs its first part, what ends the app the rest. In between it is no
-- task, so nothing cancels it.
local function span_new(hook)
  local span = {is_ready = false}
  local function ready()
    if coroutine.running() ~= span.co then
      error("ready() is for the lifespan function itself, not for a task or coroutine inside", 2)
    end
    if span.is_ready then error("ready() was called before", 2) end
    span.is_ready = true
    return coroutine.yield()
  end
  span.co = coroutine.create(function() -- an error that leaves a coroutine would close nothing
    return xpcall(hook.fn, function(err) return {err = err, traceback = debug.traceback(nil, 2)} end, hook.app, ready)
  end)
  return span
end

-- Goes on to its ready(), or to its end.
local function span_resume(span, ...)
  local _, ok, failure = coroutine.resume(span.co, ...)
  if coroutine.status(span.co) == "suspended" then return true end
  if not ok then core.task.raise(failure.err, failure.traceback) end
  if not span.is_ready then error("it ended without calling ready()", 0) end
  return true
end

function starters.lifespan(self, hook)
  local span = span_new(hook)
  local ok, failure = attempt(name_of(hook), left_to_start(self), span_resume, span)
  if not ok then return failure end
  if coroutine.status(span.co) ~= "suspended" then return nil end
  push(self, name_of(hook), function(reason) return span_resume(span, reason) end)
end

-- Runs the hooks of an app: nil, or the failure that ends the start. What registers hooks meanwhile adds to the list.
local function start_app(self, app)
  if self.seen[app] then return nil end -- mounted at a second place
  self.seen[app] = true
  for _, hook in ipairs(app._hooks) do
    local failure
    if hook.kind == "mount" then
      failure = start_app(self, hook.app)
    else
      failure = starters[hook.kind](self, hook)
    end
    if failure then return failure end
  end
  app._has_started = true
end

local function explain(failure)
  failure.setting = "timeouts.startup"
  local report = tostring(failure)
  if failure.is_timeout then report = report .. ". " .. lifecycle.HINT end
  return report .. "\n" .. trace.short(failure.traceback or "", TRACEBACK_LINES)
end

---Runs the hooks up to the point where requests can be answered. After a failure `cleanup` undoes what was done.
---@return boolean? ok
---@return string? err whole lines
---@async
function Lifecycle:start()
  local failure = start_app(self, self.app)
  if failure then return nil, explain(failure) end
  self.has_started = true
  return true
end

-- ---- afterwards ----

-- Runs hooks one after the other; whether none failed.
local function run_all(hooks, ...)
  local is_clean = true
  for _, hook in ipairs(hooks) do
    local ok, failure = attempt(name_of(hook), nil, hook.fn, hook.app, ...)
    if not ok then
      is_clean = false
      log_failure(failure)
    end
  end
  return is_clean
end

---The app answers requests.
---@return boolean is_clean whether no hook failed
---@async
function Lifecycle:ready()
  return run_all(self.on_ready)
end

local function begin_stop(self)
  self.stop_by = self.stop_by or now() + self.stop_seconds
end

---The app will end; connections are still alive. The caller cancels this when it takes too long.
---@param reason "shutdown"|"reload"
---@return boolean is_clean whether no hook failed
---@async
function Lifecycle:shutdown(reason)
  begin_stop(self)
  return run_all(self.on_shutdown, reason)
end

-- Every clean-up has the grace, and all together what is left for the stop.
local function left_to_clean(self)
  return math.max(0, math.min(self.grace_seconds, self.stop_by - now()))
end

---Undoes everything that was started, the last first, whatever fails. May be called again when it was cancelled.
---@param reason "shutdown"|"reload"
---@return boolean is_clean
---@return neap.HookFailure[] failures
---@async
function Lifecycle:cleanup(reason)
  begin_stop(self)
  local failures, count = {}, #self.stack
  while #self.stack > 0 do
    local step = table.remove(self.stack)
    local ok, failure = attempt(step.what, left_to_clean(self), step.undo, self.has_started and reason or "failed")
    if not ok then
      failure.setting = "timeouts.grace"
      failures[#failures + 1] = failure
      log_failure(failure)
    end
  end
  for app in pairs(self.seen) do app._has_started = nil end
  if #failures > 0 then log.error(("stopping: %d of %d clean-ups failed"):format(#failures, count)) end
  return #failures == 0, failures
end

---The life of an app and of all that is mounted on it, before its start.
---@param app neap.App
---@param start_by number? monotonic seconds; default: in `timeouts.startup`
---@return neap.Lifecycle
function lifecycle.new(app, start_by)
  local timeouts = core.config.timeouts
  return setmetatable({
    app = app, stack = {}, on_ready = {}, on_shutdown = {}, seen = {},
    start_by = start_by or now() + timeouts.startup, stop_seconds = timeouts.stop, grace_seconds = timeouts.grace,
  }, Lifecycle)
end

return lifecycle
