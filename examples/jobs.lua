-- Background jobs: a loop all the time, every so often, by the clock, and once after a while. Each runs in one worker,
-- however many there are; `neap jobs` shows them.
--
--   neap run examples/jobs.lua --workers 1
--   curl -s localhost:8080/jobs                       # -> "name":"ticks" ... "name":"report" ... "name":"queue"
--   curl -s -X POST localhost:8080/letters -d 'hello' # -> queued
--   curl -s localhost:8080/                           # -> hello
--   curl -s -X POST localhost:8080/jobs/report        # -> true
--   curl -s localhost:8080/report                     # -> letters sent
local neap = require "neap"
local task = neap.task

local app = neap.app()
local sent = neap.store("sent")
local letters = {} -- the queue of this worker

-- Starts again by itself after an error, and rests longer each time it fails.
app:service("queue", function()
  while true do
    local letter = table.remove(letters, 1)
    if letter then sent:set("last", letter) end
    task.sleep("20ms")
  end
end, {workers = "each", backoff = {min = 1, max = "5m"}})

-- A run that takes longer than the period: the next is left out.
app:every("1s", function() sent:incr("ticks") end, {name = "ticks", overlap = "skip", timeout = "10s"})

-- At half past two, where it is half past two in Berlin: once, also on the days when clocks change.
app:cron("30 2 * * mon-fri", function()
  sent:set("report", ("letters sent, the last: %s"):format(sent:get("last")))
end, {name = "report", tz = "Europe/Berlin"})

app:after("5s", function() neap.log.info("up for five seconds") end, {name = "greeting"})

app:get("/", function() return sent:get("last") or "nothing yet" end)
app:get("/report", function() return sent:get("report") or "nothing yet" end)
app:get("/jobs", function() return neap.jobs.list() end)

app:post("/letters", function(req)
  letters[#letters + 1] = req:body("4KB")
  return "queued"
end)

app:post("/jobs/:name", function(req)
  local ok, err = neap.jobs.run_now(req.params.name)
  return {ok = ok or false, err = err}
end)

return app
