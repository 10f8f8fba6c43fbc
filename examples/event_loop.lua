-- What an event loop is for: while one task waits, others go on. Each URL shows one thing.
--
--   neap run examples/event_loop.lua
--   curl localhost:8080/dispatch   # -> hello ada ... 3 + 4 = 7 ... unknown message: fly
--   curl localhost:8080/fetch      # -> the slow server said: at last ... other work went on: true
--   curl localhost:8080/select     # -> the first of 3 sockets to answer: number 2
--   curl localhost:8080/value      # -> the inner one returned 42
--   curl localhost:8080/error      # -> no such thing ... stack traceback ... event_loop.lua
local neap = require "neap"
local net, task = neap.net, neap.task
local app = neap.app()

app:get("/slow/:ms{int}", function(req) -- a server that takes its time
  task.sleep(req.params.ms / 1000)
  return "at last"
end)

local function ask_slow_server(port, ms)
  local socket <close> = assert(net.connect("127.0.0.1", port))
  socket:send(("GET /slow/%d HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(ms))
  socket:read_until("\r\n\r\n")
  return (socket:read_exact(#"at last")) -- this task waits, the loop does not
end

local handlers = {hello = function(name) return "hello " .. name end}
function handlers.add(a, b) return ("%d + %d = %d"):format(a, b, a + b) end

app:get("/dispatch", function()
  local inbox, lines = task.queue(), {}
  for _, message in ipairs {{"hello", "ada"}, {"add", 3, 4}, {"fly"}} do inbox:put(message) end
  inbox:close() -- else the loop below would wait for more
  for message in inbox:iter() do
    local handler = handlers[message[1]]
    lines[#lines + 1] = handler and handler(table.unpack(message, 2)) or "unknown message: " .. message[1]
  end
  return table.concat(lines, "\n") .. "\n"
end)

app:get("/fetch", function(req)
  local ticks = 0
  local _, answer = task.race {
    function() while true do task.sleep("1ms") ticks = ticks + 1 end end,
    function() return ask_slow_server(req.port, 50) end,
  }
  return ("the slow server said: %s\nother work went on: %s\n"):format(answer, ticks > 5)
end)

app:get("/select", function(req)
  local asks = {}
  for i, ms in ipairs {3000, 20, 2000} do asks[i] = function() return ask_slow_server(req.port, ms) end end
  return ("the first of %d sockets to answer: number %d\n"):format(#asks, (task.race(asks))) -- the others are closed
end)

local function inner(fails)
  task.sleep("1ms")
  return fails and error("no such thing") or 42
end
app:get("/value", function() return ("the inner one returned %d\n"):format(inner(false)) end)
app:get("/error", function() return select(2, xpcall(inner, debug.traceback, true)) .. "\n" end)
return app
