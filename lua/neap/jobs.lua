-- The background jobs of this worker: what `neap jobs` shows, and how to run, pause and resume one by its name. Jobs
-- are made by `app:service`, `app:every`, `app:cron` and `app:after`.
local options = require "neap.base.options"
local text = require "neap.text"

---The jobs that run in this worker. A job with `workers = "one"` is in one of them only.
---@class neap.jobs
local jobs = {}

---What is known of a job.
---@class neap.JobState
---@field name string
---@field kind "service"|"every"|"cron"|"after"
---@field schedule string for people: "every 60 s"
---@field where string its definition, "app.lua:12"
---@field status "waiting"|"running"|"paused"|"done"|"failed"
---@field runs integer
---@field failures integer
---@field skipped integer times that came while it was still running
---@field last_run number? seconds since 1970
---@field last_duration number? seconds
---@field last_error string?
---@field next_run number? seconds since 1970

local started = {} ---@type table<integer, neap.Job> by the number of their start
local last = 0

-- For lifecycle.lua, as is the next.
function jobs._add(job)
  last = last + 1
  job.number, started[last] = last, job
end

function jobs._remove(job)
  started[job.number] = nil
end

local function in_order()
  local list = {}
  for _, job in pairs(started) do list[#list + 1] = job end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

---All jobs, in the order of their start.
---```lua
---for _, job in ipairs(neap.jobs.list()) do
---  log.info(job.name, {status = job.status, runs = job.runs, error = job.last_error})
---end
---```
---@return neap.JobState[]
function jobs.list()
  local list = in_order()
  for i, job in ipairs(list) do list[i] = job:describe() end
  return list
end

-- Calls a method of every job of a name: the first refusal, else true.
local function each(name, method)
  local count, refusal, names = 0, nil, {}
  for _, job in ipairs(in_order()) do
    names[#names + 1] = job.name
    if job.name == name then
      count = count + 1
      local ok, err = job[method](job)
      refusal = refusal or not ok and err or nil
    end
  end
  if count > 0 then return not refusal or nil, refusal end
  local meant = options.suggest(tostring(name), names)
  return nil, ("no job of this worker is named %s%s"):format(text.quote(name),
    meant and ('; did you mean "%s"?'):format(meant) or "")
end

---Runs a job now: see `job:run_now`.
---```lua
---local ok, err = neap.jobs.run_now("mail")
---if not ok then log.warn(err) end
---```
---@param name string
---@return true? ok
---@return string? err
function jobs.run_now(name)
  return each(name, "run_now")
end

---Pauses a job: see `job:pause`.
---```lua
---neap.jobs.pause("mail")
---```
---@param name string
---@return true? ok
---@return string? err
function jobs.pause(name)
  return each(name, "pause")
end

---Ends the pause of a job.
---```lua
---neap.jobs.resume("mail")
---```
---@param name string
---@return true? ok
---@return string? err
function jobs.resume(name)
  return each(name, "resume")
end

return jobs
