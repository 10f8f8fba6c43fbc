-- More connections than there are descriptors (core/THREATS.md, S2): idle ones make room, others wait, and it passes.
local http = require "spec.support.http"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local app, task = neap.app(), neap.task -- loaded now: later there may be no descriptor to read it with
  local is_open = false
  app:get("/", function() return "hello" end)
  app:get("/open", function() is_open = true return "open" end)
  app:get("/park", function()
    while not is_open do task.sleep(0.005) end
    return "parked"
  end)
  return app]]

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

-- User and kernel time of the server, in clock ticks (a hundredth of a second).
local function ticks(s)
  local file = assert(io.open(("/proc/%d/stat"):format(s.pid)))
  local fields = file:read("a"):match("%) (.*)")
  file:close()
  local user, system = fields:match(("%S+ "):rep(11) .. "(%d+) (%d+)")
  return tonumber(user) + tonumber(system)
end

describe("a flood of connections", function()
  local s

  before_each(function()
    s = server.start {app = APP, workers = 1, prefix = "ulimit -n 64;", env = {NEAP_LIMITS_CONNECTIONS = "1000"}}
  end)
  after_each(server.stop_all)

  it("pushes idle connections out, the oldest first, and serves the new", function()
    local conns = {}
    for i = 1, 150 do
      conns[i] = http.open(s):send(GET)
      assert.equal("hello", conns[i]:answer().body)
    end
    assert.equal("", conns[1]:rest())
    conns[150]:send(GET)
    assert.equal("hello", conns[150]:answer().body)
    for _, conn in ipairs(conns) do conn:close() end
    assert.equal(200, (s:get("/")))
  end)

  it("of busy connections waits, without spinning, until some have ended", function()
    local conns = {}
    for i = 1, 100 do conns[i] = http.open(s):send("GET /park HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") end
    s:wait_log("cannot accept connections")
    local before = ticks(s)
    assert.same({nil, "timeout"}, {conns[1].socket:recv(1, 0.5)})
    assert.is_true(ticks(s) - before < 20, ("%d ticks in half a second"):format(ticks(s) - before))
    for i = 41, 100 do conns[i]:close() end
    for i = 1, 10 do conns[i]:close() end -- room for the one that opens the gate
    s:get("/open")
    for i = 11, 40 do assert.equal("parked", conns[i]:answer().body) end
    local _, lines = s:log():gsub("cannot accept connections", "")
    assert.is_true(lines <= 2, ("%d lines in the log"):format(lines))
    for i = 11, 40 do conns[i]:close() end
    assert.equal(200, (s:get("/")))
  end)

  it("leaves nothing behind", function()
    local fds = s:fds() -- libuv opens one more later
    for _ = 1, 5 do
      local conns = {}
      for i = 1, 100 do conns[i] = http.open(s):send(i % 2 == 0 and GET or "GET") end
      for _, conn in ipairs(conns) do conn:reset() end
    end
    assert.truthy(server.poll(10, function() return s:fds() <= fds + 1 end))
    assert.equal(200, (s:get("/")))
  end)
end)

describe("limits.connections", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1, env = {NEAP_LIMITS_CONNECTIONS = "10"}} end)
  after_each(server.stop_all)

  it("pushes idle connections out", function()
    local conns = {}
    for i = 1, 30 do
      conns[i] = http.open(s):send(GET)
      assert.equal("hello", conns[i]:answer().body)
    end
    assert.equal("", conns[1]:rest())
    conns[30]:send(GET)
    assert.equal("hello", conns[30]:answer().body)
    for _, conn in ipairs(conns) do conn:close() end
  end)

  it("makes newcomers wait while all are busy", function()
    local conns = {}
    local fds = s:fds()
    for i = 1, 10 do conns[i] = http.open(s):send("GET /park HTTP/1.1\r\nHost: a\r\n\r\n") end
    assert.truthy(server.poll(10, function() return s:fds() >= fds + 10 end))
    local opener = http.open(s):send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("limits.connections")
    assert.same({nil, "timeout"}, {opener.socket:recv(1, 0.5)})
    conns[1]:reset()
    assert.equal("open", opener:answer().body)
    for i = 2, 10 do assert.equal("parked", conns[i]:answer().body) end
    for _, conn in ipairs(conns) do conn:close() end
    opener:close()
  end)
end)
