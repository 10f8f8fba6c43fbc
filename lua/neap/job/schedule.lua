-- Background jobs of an application: services that run all the time, and what is done every so often, by the clock, or
-- later. An app remembers them among its hooks; they start when the app is ready, so they never hold up its start.
local clock = require "neap.job.clock"
local cron = require "neap.job.cron"
local job = require "neap.job.job"
local options = require "neap.base.options"
local route = require "neap.app.route"
local text = require "neap.text"
local units = require "neap.base.units"
local zone = require "neap.job.zone"

---@class neap.App
local App = {}

---What services may say.
---@class neap.ServiceOptions
---@field restart ("on_error"|"always"|"never")? default "on_error": returning ends it
---@field backoff {min: number|string|nil, max: number|string|nil}? how long it rests after a failure: from 1 to 60 s, twice
--- as long each time; jitter takes up to half of it
---@field retries integer? how many failures in a row it may have before it gives up; default: no limit, 5 if `critical`
---@field critical boolean? when it gives up the server stops, with exit code 2
---@field workers ("one"|"each")? default "one": it runs in one worker only, which its name decides

---What `app:every` and `app:cron` may say.
---@class neap.JobOptions
---@field name string? for `neap jobs`; default: its place
---@field overlap ("skip"|"queue"|"allow")? what happens to a time that comes while it runs; default "skip"
---@field jitter (number|string)? each time is put off by up to so much
---@field timeout (number|string)? then a run is cancelled; default: none
---@field workers ("one"|"each")? default "one": it runs in one worker only, which its name decides
---@field immediate boolean? `every`: also at once
---@field tz string? `cron`: "Europe/Berlin"; default: the time zone of the machine

local COMMON = {name = "string", overlap = "string", jitter = "duration", timeout = "duration", workers = "string"}
local EVERY = {immediate = "boolean"}
local CRON = {tz = "string"}
local SERVICE = {restart = "string", backoff = "table", retries = "number", critical = "boolean", workers = "string"}
local BACKOFF = {min = "duration", max = "duration"}
local AFTER = {name = "string", timeout = "duration"}
for key, kind in pairs(COMMON) do EVERY[key], CRON[key] = kind, kind end

local WORDS = {
  overlap = {skip = true, queue = true, allow = true},
  restart = {on_error = true, always = true, never = true},
  workers = {one = true, each = true},
}

local function check_options(given, known, what, level)
  local checked = options.check(given, known, what, level + 1)
  for key, words in pairs(WORDS) do
    if checked[key] ~= nil and not words[checked[key]] then
      local names = {}
      for word in pairs(words) do names[#names + 1] = ('"%s"'):format(word) end
      table.sort(names)
      error(("%s: %s is one of %s, not %s"):format(what, key, table.concat(names, ", "), text.quote(checked[key])),
        level + 1)
    end
  end
  return checked
end

-- A job of the app, from its definition. Callers write `return (add(...))`, which is no tail call: the level counts.
local function add(app, what, definition)
  if type(definition.fn) ~= "function" then
    error(("%s takes a function, not %s"):format(what, text.quote(definition.fn)), 3)
  end
  definition.app, definition.where = app, route.place(3)
  definition.has_name = definition.name ~= nil
  definition.name = definition.name or ("%s %s"):format(definition.kind, definition.where)
  local new = job.new(definition)
  if app._life then
    new.is_local = app._life.has_started
    local ok, err = app._life:take_job(new)
    if not ok then error(("%s: %s"):format(what, err), 3) end
  else
    app._hooks[#app._hooks + 1] = {kind = "job", job = new, app = app, where = definition.where}
  end
  return new
end

local function check_duration(value, what)
  local seconds, err = units.duration(value)
  if not seconds then error(("%s: %s"):format(what, err), 3) end
  return seconds
end

---Runs a function beside the server for as long as that runs: a loop that watches, polls or listens. It starts when the
---app is ready and is cancelled when it stops. When it fails, that is logged, and it starts again after a rest.
---```lua
---app:service("prices", function(ctx)
---  log.debug("watching", {run = ctx.run})
---  while true do
---    neap.topic("prices"):publish({bread = math.random(100)})
---    task.sleep("10s")
---  end
---end, {backoff = {min = 1, max = "5m"}})
---```
---@param name string
---@param fn async fun(ctx: neap.JobContext)
---@param opts neap.ServiceOptions?
---@return neap.Job
function App:service(name, fn, opts)
  if type(name) ~= "string" or name == "" then
    error(("app:service takes a name and a function, not %s"):format(text.quote(name)), 2)
  end
  local checked = check_options(opts, SERVICE, "app:service", 2)
  local backoff = options.check(checked.backoff, BACKOFF, "app:service: backoff", 2)
  checked.backoff = {min = backoff.min or 1, max = backoff.max or 60}
  checked.restart = checked.restart or "on_error"
  if checked.critical and not checked.retries then checked.retries = 5 end
  return (add(self, "app:service", {
    kind = "service", name = name, fn = fn, opts = checked, schedule = "restart " .. checked.restart,
  }))
end

---Runs a function every so often, by a clock that nobody sets. Times that pass while the process stands still are left out.
---```lua
---app:every("1h", function() neap.store("visits"):clear() end, {name = "clear visits", jitter = "1m"})
---```
---@param period number|string
---@param fn async fun(ctx: neap.JobContext)
---@param opts neap.JobOptions?
---@return neap.Job
function App:every(period, fn, opts)
  local seconds = check_duration(period, "app:every")
  if seconds < 0.001 then error("app:every: the period is at least 1 ms", 2) end
  local checked = check_options(opts, EVERY, "app:every", 2)
  return (add(self, "app:every", {
    kind = "every", name = checked.name, fn = fn, opts = checked, schedule = ("every %.6g s"):format(seconds),
    due = function() return clock.every(seconds, checked.jitter or 0, checked.immediate or false) end,
  }))
end

---Runs a function by the clock on the wall, as crontab(5) says it: minute, hour, day of the month, month, day of the week;
---or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. When clocks change: if minutes or hours begin with `*`, it
---follows real time; else it runs once a day, at the end of the gap if its time does not exist, and the first time if it
---exists twice. However far the clock is set forward, it runs once for all that was missed.
---```lua
---app:cron("30 2 * * mon-fri", function() log.info("closing the books") end, {tz = "Europe/Berlin"})
---```
---@param schedule string
---@param fn async fun(ctx: neap.JobContext)
---@param opts neap.JobOptions?
---@return neap.Job
function App:cron(schedule, fn, opts)
  local parsed, err = cron.parse(tostring(schedule))
  if not parsed then error("app:cron: " .. err, 2) end
  local checked = check_options(opts, CRON, "app:cron", 2)
  local place = zone.here()
  if checked.tz then
    place, err = zone.open(checked.tz)
    if not place then error("app:cron: " .. err, 2) end
  end
  if not cron.next(parsed, place, os.time()) then
    error(("app:cron: %s never comes"):format(text.quote(schedule)), 2)
  end
  return (add(self, "app:cron", {
    kind = "cron", name = checked.name, fn = fn, opts = checked, schedule = ("%s %s"):format(schedule, place.name),
    due = function() return clock.cron(parsed, place, checked.jitter or 0) end,
  }))
end

---Runs a function once, after a while. Called while the app runs (in a handler, say), it runs in this worker; else in one of
---them. It belongs to the app: what is still to come when the app stops does not happen.
---```lua
---app:after("10s", function() log.info("still here") end)
---```
---@param delay number|string
---@param fn async fun(ctx: neap.JobContext)
---@param opts {name: string?, timeout: number|string|nil}?
---@return neap.Job
function App:after(delay, fn, opts)
  local seconds = check_duration(delay, "app:after")
  local checked = check_options(opts, AFTER, "app:after", 2)
  return (add(self, "app:after", {
    kind = "after", name = checked.name, fn = fn, opts = checked, schedule = ("once, after %.6g s"):format(seconds),
    delay = seconds,
  }))
end

return App
