-- An endless fetch_data beside the server, as in aiohttp's manual, without its holes: it never holds up the start, an
-- error is logged and it starts again, and it ends before what it uses is closed.
--
--   neap run examples/background.lua
--   curl -s localhost:8080/            # -> "celsius"
--   curl -s localhost:8080/jobs        # -> "name":"fetch_data" ... "status":"running"
local neap = require "neap"
local task = neap.task

local app = neap.app()
local weather = neap.store("weather") -- all workers see it

-- Stands for a slow request to somebody else's server.
local function fetch()
  task.sleep("20ms")
  if math.random() < 0.05 then error("the weather service is down") end
  return {celsius = math.random(-10, 35), at = os.time()}
end

local function fetch_data()
  while true do
    weather:set("now", fetch())
    task.sleep("60s")
  end
end

app:service("fetch_data", fetch_data, {backoff = {min = 0.5, max = "1m"}})

app:get("/", function()
  return weather:get("now") or neap.abort(503, "nothing was fetched so far")
end)

app:get("/jobs", function() return neap.jobs.list() end)

return app
