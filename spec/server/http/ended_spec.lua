-- A loop over something that has ended, in a handler that does not look at the answer: others are served meanwhile, and
-- the loop ends by an error that says where it is and what to do.
local http = require "spec.support.http"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local APP = [[
  local neap = require "neap"
  local task = neap.task
  local app = neap.app()
  local others = 0 -- how often others ran while somebody looped

  -- Loops until that fails. Without a pause for others `ticker` cannot count.
  local function loop(call)
    local before = others
    local ok, err = pcall(function() while true do call() end end)
    app.state.found = {others = others > before, err = not ok and tostring(err) or nil}
    error(err, 0)
  end

  app:service("ticker", function() while true do others = others + 1 task.yield() end end)
  app:get("/found", function() local found = app.state.found return found or 404 end)
  app:post("/write", function() return neap.res.stream(function(out) loop(function() out:write("tick\n") end) end) end)
  app:post("/flush", function() return neap.res.stream(function(out) loop(function() out:flush() end) end) end)
  app:post("/chunk", function(req) loop(function() req:read_chunk() end) end)
  app:ws("/recv", function(ws) loop(function() ws:recv() end) end)
  app:ws("/send", function(ws) ws:recv() loop(function() ws:send("x") end) end)
  local near, far
  app:service("pair", function()
    local l <close> = assert(neap.net.listen("127.0.0.1", 0))
    near = assert(neap.net.connect("127.0.0.1", l.port))
    far = assert(l:accept())
    far:close()
    task.sleep(3600)
  end)
  local function pair() while not far do task.sleep("1ms") end end
  app:get("/net-recv", function() pair() loop(function() near:recv() end) end)
  app:get("/net-send", function() pair() loop(function() far:send("x") end) end)
  return app
]]

-- Asks, and leaves those whose handler loops over the connection.
local function leave(s, method, path)
  local conn = http.open(s)
  conn:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"):format(method, path))
  if path == "/write" or path == "/flush" then
    conn:upto("\r\n\r\n")
    conn:reset()
  end
  return conn
end

local ROWS = {
  {"out:write", "/write"}, {"out:flush", "/flush"}, {"req:read_chunk", "/chunk"}, {"ws:recv", "/recv", is_ws = true},
  {"ws:send", "/send", is_ws = true}, {"neap.net recv", "/net-recv", method = "GET"},
  {"neap.net send", "/net-send", method = "GET"},
}

describe("a loop over what has ended lets others run, and ends", function()
  after_each(server.stop_all)

  for _, row in ipairs(ROWS) do
    it(row[1], function()
      local s = server.start {app = APP, workers = 1, args = {"--set", "watchdog.raise=1m"}}
      if row.is_ws then
        ws.open(s, row[2]).conn:reset()
      else
        leave(s, row.method or "POST", row[2])
      end
      local found = server.poll(30, function()
        local status, body = s:get("/found")
        return status == 200 and body
      end)
      assert(found, s:log())
      assert.matches('"others":true', found)
      assert.matches("app.lua:%d+: called 100000 times after its end: leave the loop when the answer is nil", found)
    end)
  end
end)
