-- A stream that is written as fast as its client reads: out:write parks while too much waits, so the producer
-- never runs away. (Tornado's streaming handler, without callbacks.)
--
--   neap run examples/stream.lua --workers 1
--   curl -N localhost:8080/lines                                     # -> line 1 ... line 10
--   curl -s --limit-rate 200k localhost:8080/numbers -o /dev/null &  # a client that reads slowly ...
--   curl localhost:8080/progress                                     # -> "is_done":false ... "written": ... "pending":
local neap = require "neap"

local app = neap.app()
local progress = {written = 0, pending = 0, is_done = true}

-- Any iterator will do as a producer; this one makes `count` pieces of 1,300 bytes and knows nothing of HTTP.
local function numbers(count)
  return coroutine.wrap(function()
    for i = 1, count do coroutine.yield(("%012d\n"):format(i):rep(100)) end
  end)
end

app:get("/lines", function()
  return neap.res.stream(function(out)
    for i = 1, 10 do
      if not out:write("line ", i, "\n") then return end -- the client has left
      neap.task.sleep(0.2)
    end
  end, {type = "text"})
end)

app:get("/numbers", function(req)
  local count = math.tointeger(tonumber(req.query.count)) or 100000
  return neap.res.stream(function(out)
    progress = {written = 0, pending = 0, is_done = false}
    for piece in numbers(count) do
      if not out:write(piece) then break end
      progress.written = progress.written + #piece
      progress.pending = out:pending()
    end
    progress.is_done = true
  end, {type = "text"})
end)

-- `pending` stays near 64 KiB however slow the client is: that is the back-pressure.
app:get("/progress", function() return progress end)

return app
