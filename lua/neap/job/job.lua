-- A background job while the app runs: its loop, its runs, and what is remembered of them. `service`, `every`, `cron` and
-- `after` (schedule.lua) make jobs; the lifecycle starts and stops them; jobs.lua lists them.
local core = require "neap.core"
local limit = require "neap.life.limit"
local log = require "neap.base.own_log"
local text = require "neap.text"

local now, wall = core.task.now, core.task.time

local MOST_RUNS = 100 -- at a time, and waiting for their turn

---A background job.
---@class neap.Job
---@field name string
---@field kind "service"|"every"|"cron"|"after"
---@field schedule string for people: "every 60 s", "*/5 * * * * Europe/Berlin"
---@field where string its definition, "app.lua:12"
---@field is_paused boolean
---@field runs integer
---@field failures integer
---@field skipped integer times that came while it was still running
---@field last_error string?
---@field last_duration number? seconds
---@field next_run number? seconds since 1970
local Job = {__name = "neap.Job"}
Job.__index = Job

local job = {}

---@class neap.JobDefinition
---@field kind "service"|"every"|"cron"|"after"
---@field name string
---@field has_name boolean? the application chose it, so it must be the only one
---@field app neap.App
---@field fn async fun(ctx: neap.JobContext): ...
---@field where string
---@field schedule string
---@field opts table checked
---@field due function? for every and cron: makes what says when it is due
---@field delay number? for after: seconds

---What the function of a job is given.
---@class neap.JobContext
---@field name string of the job
---@field app neap.App
---@field run integer counts its runs, from 1
---@field failures integer how many runs in a row have failed before this one

---@param definition neap.JobDefinition
---@return neap.Job
function job.new(definition)
  local self = {is_paused = false, runs = 0, failures = 0, in_a_row = 0, skipped = 0, active = 0, queued = 0,
    crew = core.task.crew()}
  for key, value in pairs(definition) do self[key] = value end
  return setmetatable(self, Job)
end

-- ---- one worker for all ----

-- FNV-1a: the same in every worker, and in every process.
local function hash(name)
  local sum = 2166136261
  for i = 1, #name do sum = (sum ~ name:byte(i)) * 16777619 & 0xFFFFFFFF end
  return sum
end

-- Whether it runs in this worker.
function Job:is_here()
  if self.opts.workers == "each" or self.is_local then return true end
  return hash(self.name) % core.workers + 1 == core.worker
end

-- ---- a run ----

local Active = {}

function Active:__close()
  self.job.active = self.job.active - 1
  self.job.last_duration = now() - self.from
end

-- Calls the function once: whether it went well, and what went wrong.
local function run(self)
  self.runs, self.active = self.runs + 1, self.active + 1
  self.last_run = wall()
  local _ <close> = setmetatable({job = self, from = now()}, Active)
  local context = {name = self.name, app = self.app, run = self.runs, failures = self.in_a_row}
  local ok, result, err = limit.call(self.opts.timeout, self.fn, context)
  if ok and (result ~= nil or err == nil) then
    self.in_a_row = 0
    return true
  end
  self.failures, self.in_a_row = self.failures + 1, self.in_a_row + 1
  local failure = ok and {err = err} or result
  self.last_error = failure.is_timeout and "it took longer than its timeout" or text.safe(failure.err)
  return false, failure
end

local function log_failure(self, failure, outlook)
  log.error(("%s %s failed after %.3f s: %s; %s"):format(self.kind, self.name, self.last_duration, self.last_error,
    outlook), {traceback = failure.traceback})
end

-- ---- at certain times ----

local function outlook_of(self)
  if self.is_paused then return "it is paused" end
  if not self.next_run then return "it does not run again" end
  return ("it runs again in %.1f s"):format(math.max(0, self.next_run - wall()))
end

local function run_and_log(self)
  local ok, failure = run(self)
  if not ok then log_failure(self, failure, outlook_of(self)) end
end

-- A run, and those that have queued up behind it.
local function run_queue(self)
  run_and_log(self)
  while self.queued > 0 do
    self.queued = self.queued - 1
    run_and_log(self)
  end
end

local function skip(self)
  self.skipped = self.skipped + 1
  log.warn(("%s %s is still running: skipped"):format(self.kind, self.name))
end

-- It is time for a run.
local function fire(self)
  local overlap = self.opts.overlap or "skip"
  if self.active == 0 or overlap == "allow" and self.active < MOST_RUNS then
    self.crew:spawn(self.fn, run_queue, self)
  elseif overlap == "queue" and self.queued < MOST_RUNS then
    self.queued = self.queued + 1
  else
    skip(self)
  end
end

local function timed_loop(self)
  local due = self.due()
  local function note(seconds) self.next_run = wall() + seconds end
  while due:wait(note) do
    if not self.is_paused then fire(self) end
  end
  self.next_run = nil
end

local function once(self)
  self.next_run = wall() + self.delay
  core.task.sleep(self.delay)
  self.next_run = nil
  if not self.is_paused then run_queue(self) end
  self.owner.forget(self)
end

-- ---- all the time ----

-- How long a service rests after so many failures in a row. The jitter keeps many that fail together from coming back
-- together.
local function rest_of(self)
  local backoff = self.opts.backoff
  local most = math.min(backoff.max, backoff.min * 2 ^ math.max(0, self.in_a_row - 1))
  return most * (0.5 + math.random() / 2)
end

local function give_up(self, failure)
  self.is_over = "failed"
  log_failure(self, failure, self.opts.critical and "it is critical: stopping the server" or "it is not started again")
  if self.opts.critical then self.owner.give_up(self) end
end

-- After a run: how long to rest before the next; nil when there is none.
local function rest_after(self, ok, failure)
  local opts = self.opts
  if ok and opts.restart ~= "always" then
    self.is_over = "done"
    log.info(("service %s has ended"):format(self.name))
    return nil
  end
  if ok then return opts.backoff.min end
  if self.last_duration > opts.backoff.max then self.in_a_row = 1 end -- it was well for some time
  if opts.restart == "never" or opts.retries and self.in_a_row > opts.retries then
    give_up(self, failure)
    return nil
  end
  local rest = rest_of(self)
  log_failure(self, failure, ("it starts again in %.1f s"):format(rest))
  return rest
end

local function service_loop(self, before)
  if before then before:join() end -- its clean-up is not over yet
  while true do
    self.next_run = nil
    local rest = rest_after(self, run(self))
    if not rest then return end
    self.next_run = wall() + rest
    core.task.sleep(rest)
  end
end

local function start_service(self)
  self.is_over = nil
  self.loop = self.crew:spawn(self.fn, service_loop, self, self.loop)
end

-- ---- its life ----

---Who starts jobs.
---@class neap.JobOwner
---@field give_up fun(job: neap.Job) a critical service has failed for good
---@field forget fun(job: neap.Job) it has run and will not run again

local LOOPS = {every = timed_loop, cron = timed_loop, after = once}

-- For lifecycle.lua, as are the next two.
function Job:start(owner)
  self.owner = owner
  if self.kind == "service" then
    start_service(self)
  else
    self.loop = self.crew:spawn(self.fn, LOOPS[self.kind], self)
  end
end

-- Cancels the loop and all runs.
function Job:cancel()
  self.queued = 0
  self.crew:cancel()
end

-- Waits until everything has ended.
function Job:join()
  while #self.crew > 0 do self.crew:wait(1) end
  self.owner = nil
end

-- Why nothing can be done with it here.
local function absence_of(self)
  if self.owner then return nil end
  return self:is_here() and "stopped" or "elsewhere"
end

---Runs it now, beside its schedule. A service that rests after a failure, or has ended, starts at once.
---```lua
---local sweep = app:every("1h", function() neap.log.info("sweeping") end)
---app:post("/sweep", function()
---  local ok, err = sweep:run_now()
---  return ok and 202 or 409, err
---end)
---```
---@return true? ok
---@return "elsewhere"|"stopped"|"running"|"paused"|nil err elsewhere: it belongs to another worker
function Job:run_now()
  local absence = absence_of(self)
  if absence then return nil, absence end
  if self.kind ~= "service" then
    if self.active > 0 and self.opts.overlap ~= "allow" and self.opts.overlap ~= "queue" then return nil, "running" end
    fire(self)
    return true
  end
  if self.is_paused then return nil, "paused" end
  if self.active > 0 then return nil, "running" end
  self.loop:cancel()
  start_service(self)
  return true
end

---Lets no more runs begin, until `resume`. A run that is under way ends as it likes; a service is cancelled.
---```lua
---local mail = app:service("mail", function() task.sleep("1h") end)
---mail:pause()
---mail:resume()
---```
---@return true? ok
---@return "elsewhere"|"stopped"|nil err elsewhere: it belongs to another worker
function Job:pause()
  local absence = absence_of(self)
  if absence then return nil, absence end
  self.is_paused = true
  if self.kind == "service" then self.crew:cancel() end
  return true
end

---Ends a pause. What was missed is not made up for.
---```lua
---local tick = app:every(60, function() end)
---tick:pause()
---tick:resume()
---```
---@return true? ok
---@return "elsewhere"|"stopped"|nil err elsewhere: it belongs to another worker
function Job:resume()
  local absence = absence_of(self)
  if absence then return nil, absence end
  if not self.is_paused then return true end
  self.is_paused = false
  if self.kind == "service" then start_service(self) end
  return true
end

local function status_of(self)
  if self.is_paused then return "paused" end
  if self.active > 0 then return "running" end
  return self.is_over or "waiting"
end

---What there is to say about it, as plain data.
---```lua
---local tick = app:every(60, function() end)
---assert(tick:describe().status == "waiting")
---```
---@return neap.JobState
function Job:describe()
  return {
    name = self.name, kind = self.kind, schedule = self.schedule, where = self.where, status = status_of(self),
    runs = self.runs, failures = self.failures, skipped = self.skipped, last_run = self.last_run,
    last_duration = self.last_duration, last_error = self.last_error,
    next_run = not self.is_paused and self.next_run or nil,
  }
end

return job
