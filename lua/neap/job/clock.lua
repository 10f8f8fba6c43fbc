-- When a job is due: a period, or a cron schedule. Both have wait(note), which parks until the next time; note(seconds) is
-- told how far that is. It returns false when there is no next time.
local core = require "neap.core"
local cron = require "neap.job.cron"

local now, wall, sleep = core.task.now, core.task.time, core.task.sleep

local clock = {}

-- Parks until a moment of the monotonic clock.
local function sleep_until(at)
  local left = at - now()
  if left > 0 then sleep(left) end
end

-- ---- every so often ----

local Every = {}
Every.__index = Every

---@param period number seconds
---@param jitter number seconds, the most that each time is put off
---@param is_immediate boolean the first time is now
function clock.every(period, jitter, is_immediate)
  return setmetatable({period = period, jitter = jitter, is_immediate = is_immediate}, Every)
end

-- Times that have passed meanwhile are left out: the process was stopped, or the machine slept.
function Every:wait(note)
  local from = now()
  if not self.at then
    self.at = self.is_immediate and from or from + self.period
  else
    local missed = math.max(0, (from - self.at) // self.period)
    self.at = self.at + (missed + 1) * self.period
  end
  local at = self.at + math.random() * self.jitter
  note(math.max(0, at - from))
  sleep_until(at)
  return true
end

-- ---- by the clock on the wall ----

local LOOK_SECONDS = 30  -- how long a changed clock may go unnoticed
local SMALL_STEP = 10800 -- set back by less than three hours: no time comes again

local Cron = {}
Cron.__index = Cron

---@param schedule neap.CronSchedule
---@param zone neap.Zone
---@param jitter number seconds
function clock.cron(schedule, zone, jitter)
  return setmetatable({schedule = schedule, zone = zone, jitter = jitter}, Cron)
end

-- However far the clock was set forward, what was missed comes once. `seen`: up to where times have come.
function Cron:wait(note)
  self.seen = self.seen or wall()
  local at = cron.next(self.schedule, self.zone, self.seen)
  if not at then return false end
  note(at - wall())
  while true do
    local time = wall()
    if time >= at then break end
    if time < self.seen - SMALL_STEP then
      self.seen = time
      return self:wait(note)
    end
    sleep(math.min(at - time, LOOK_SECONDS))
  end
  self.seen = wall()
  if self.jitter > 0 then sleep(math.random() * self.jitter) end
  return true
end

return clock
