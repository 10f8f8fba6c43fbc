-- The life of an application: start, ready, shutdown, clean-up. One stack holds what has to be undone, in the order of
-- registration; whatever ends the app takes it down from the top. boot.lua runs it in a server; a test can do the same
-- in its own state:
--
--   local life = lifecycle.new(app)
--   assert(life:start())        -- when this fails, cleanup undoes what was done
--   life:ready()
--   life:shutdown("shutdown")
--   life:cleanup("shutdown")
local core = require "neap.core"
local jobs = require "neap.jobs"
local limit = require "neap.life.limit"
local log = require "neap.base.own_log"
local text = require "neap.text"
local trace = require "neap.base.trace"

local now = core.task.now

local TRACEBACK_LINES = 8
local EXIT_UNCLEAN = 2

---A step of the start, and how it is undone.
---@class neap.LifeStep
---@field what string "on_startup (app.lua:12)"
---@field undo async fun(reason: string): ...

---@class neap.Lifecycle
---@field app neap.App
---@field stack neap.LifeStep[] what has to be undone, the last first
---@field on_ready neap.Hook[]
---@field on_shutdown neap.Hook[]
---@field waiting neap.Job[] until the app is ready
---@field running table<neap.Job, true>
---@field names table<string, neap.Job>
---@field seen table<neap.App, "running"|"over"> how far the hooks of each app are
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
  local ok, result, err = limit.call(seconds, fn, ...)
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

function starters.job(self, hook)
  local ok, err = self:take_job(hook.job)
  if not ok then return failed(("%s (%s)"):format(hook.job.kind, hook.where), 0, {err = err}) end
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
  self.seen[app], app._life = "running", self
  local failure
  for _, hook in ipairs(app._hooks) do
    if hook.kind == "mount" then
      failure = start_app(self, hook.app)
    else
      failure = starters[hook.kind](self, hook)
    end
    if failure then break end
  end
  self.seen[app] = "over"
  return failure
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

---Whether a hook that is registered now would never run.
---@param app neap.App
---@return boolean
function Lifecycle:is_past(app)
  return self.seen[app] == "over"
end

-- ---- jobs ----

local function start_job(self, job)
  if not job:is_here() then return end
  self.running[job] = true
  jobs._add(job)
  job:start(self.owner)
end

---Takes a job that starts when the app is ready, or at once.
---@param job neap.Job
---@return boolean? ok
---@return string? err
function Lifecycle:take_job(job)
  local taken = self.names[job.name]
  if taken and (job.has_name or taken.has_name) then
    return nil, ("the name %s is taken by the job at %s"):format(text.quote(job.name), taken.where)
  end
  if self.has_stopped_jobs then return nil, "the app is stopping" end
  self.names[job.name] = job
  if self.is_ready then start_job(self, job) else table.insert(self.waiting, job) end
  return true
end

-- Cancels them all and waits for their end. In a server that stops they have ended already.
local function stop_jobs(self)
  self.has_stopped_jobs = true
  local list = {}
  for job in pairs(self.running) do list[#list + 1] = job end
  for _, job in ipairs(list) do job:cancel() end
  for _, job in ipairs(list) do
    job:join()
    jobs._remove(job)
  end
  self.running = {}
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

---The app answers requests: jobs start, then the hooks run.
---@return boolean is_clean whether no hook failed
---@async
function Lifecycle:ready()
  self.is_ready = true
  for _, job in ipairs(self.waiting) do start_job(self, job) end
  self.waiting = {}
  return run_all(self.on_ready)
end

local function begin_stop(self)
  self.stop_by = self.stop_by or now() + self.stop_seconds
end

---The app will end; connections are still alive. The caller cancels this when it takes too long. At a reload the jobs
---end here, so that those of the next generation may begin; else they are there as long as requests are.
---@param reason "shutdown"|"reload"
---@return boolean is_clean whether no hook failed
---@async
function Lifecycle:shutdown(reason)
  begin_stop(self)
  local is_clean = run_all(self.on_shutdown, reason)
  if reason == "reload" then stop_jobs(self) end
  return is_clean
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
  stop_jobs(self)
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
  for app in pairs(self.seen) do app._life = nil end
  if #failures > 0 then log.error(("stopping: %d of %d clean-ups failed"):format(#failures, count)) end
  return #failures == 0, failures
end

---The life of an app and of all that is mounted on it, before its start.
---@param app neap.App
---@param opts {start_by: number?, give_up: (fun(job: neap.Job))?}? start_by: monotonic seconds, default: in
--- `timeouts.startup`; give_up: what a critical job does, default: it stops the server
---@return neap.Lifecycle
function lifecycle.new(app, opts)
  local timeouts = core.config.timeouts
  local self = setmetatable({
    app = app, stack = {}, on_ready = {}, on_shutdown = {}, seen = {}, waiting = {}, running = {}, names = {},
    start_by = opts and opts.start_by or now() + timeouts.startup,
    stop_seconds = timeouts.stop, grace_seconds = timeouts.grace,
  }, Lifecycle)
  self.owner = {
    give_up = opts and opts.give_up or function() core.stop(EXIT_UNCLEAN) end,
    forget = function(job)
      jobs._remove(job)
      self.running[job], self.names[job.name] = nil, nil
    end,
  }
  return self
end

return lifecycle
