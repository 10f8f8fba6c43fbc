-- The server side of `instructions`: the routes of `run`, a topic in the ways of `live`, and a mark. Entering clock(3)
-- makes callgrind write down what the thread has executed since the last time.
local neap = require "neap"
local app = require "spec.bench.app"
local topic = neap.topic "bench"

app:get("/short", function() return {message = "Hello, World!"} end)

app:get("/mark", function()
  collectgarbage() -- so that each stretch begins at the same point of Lua's own work
  return tostring(os.clock())
end)

app:post("/refuse", function(req)
  local value, err = req:json()
  if not value then neap.abort(400, err) end
  return value
end)

app:get("/status", function() return 404 end)

app:ws("/frames", {message = function() end})

app:ws("/ws", {open = function(ws) ws:subscribe("bench") end})

app:get("/poll", function(req) return neap.res.poll("bench", {after = req.query.after}) end)

app:post("/publish", function(req) topic:publish(req:body()) end)

app:get("/stream", function()
  local piece = ("x"):rep(100)
  return neap.res.stream(function(out)
    for _ = 1, 16 do assert(out:write(piece)) end
  end)
end)

return app
