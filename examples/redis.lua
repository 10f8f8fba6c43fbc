-- Redis: opened when the server starts, used by handlers, closed when it stops. The server may start before Redis does,
-- and goes on when that is restarted.
--
--   neap run examples/redis.lua
--   redis-server --port 0 --unixsocket /tmp/neap-example.sock --save "" >/dev/null &
--   curl localhost:8080/visits                       # -> "visits":
--   curl localhost:8080/notes/milk -X PUT -d "buy"   # -> "OK"
--   curl localhost:8080/notes/milk                   # -> buy
--   curl -i localhost:8080/notes/none                # -> 404 Not Found
--   curl -N -m 2 localhost:8080/changes >/tmp/neap-example.out || true &
--   curl localhost:8080/listeners                    # -> 1
--   curl localhost:8080/notes/milk -X PUT -d "sell"  # -> "OK"
--   cat /tmp/neap-example.out                        # -> data: milk
local neap = require "neap"
local redis = require "neap.redis"

local app = neap.app()
local r ---@type neap.Redis

app:lifespan(function(_, ready)
  r = redis.connect("unix:/tmp/neap-example.sock", {timeout = "2s"})
  local _ <close> = r
  ready() -- serves until the server stops
end)

-- What went wrong with Redis is a 503, not a 500.
local function answer(value, err)
  if err then return neap.abort(503, "no answer from Redis: " .. tostring(err)) end
  return value
end

app:get("/visits", function()
  return {visits = answer(r:incr("visits"))}
end)

app:get("/notes/:name", function(req)
  return answer(r:get("note:" .. req.params.name)) or neap.abort(404)
end)

app:put("/notes/:name", function(req)
  local results = answer(r:pipeline(function(p)
    p:set("note:" .. req.params.name, req:body(), "EX", 3600)
    p:publish("changes", req.params.name)
  end, {atomic = true}))
  return {results[1]}
end)

-- Every client has a subscription of its own here; topics would share one.
app:get("/changes", function()
  return neap.res.sse(function(ev)
    for _, name in r:subscribe("changes") do ev:send {data = name or "(some may be missing)"} end
  end)
end)

app:get("/listeners", function() return tostring(answer(r:pubsub("NUMSUB", "changes"))[2]) end)

return app
