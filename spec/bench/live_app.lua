-- The neap side of `live`: one topic, read in every way there is.
local neap = require "neap"
local app = neap.app()
local topic = neap.topic "bench"

app:get("/hello", function() return "hello" end)

app:ws("/ws", {open = function(ws, req) ws:subscribe("bench", {slow = req.query.slow}) end})

app:get("/sse", function() return neap.res.events "bench" end)

app:get("/poll", function(req) return neap.res.poll("bench", {after = req.query.after}) end)

-- The body is the message; it is published `count` times within one turn of the loop.
app:post("/publish", function(req)
  local message = req:body()
  for _ = 1, tonumber(req.query.count) do topic:publish(message) end
  return "hello"
end)

return app
