-- Who is closed to make room for newcomers: connections that wait for nothing. A client whose next request has come, and
-- was not read yet because the worker was busy, is not idle.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local function exists(name)
    local file = io.open(name)
    if file then file:close() end
    return file ~= nil
  end
  app:get("/", function() return "hello" end)
  app:get("/busy", function()
    io.open("busy", "w"):close()
    while not exists "go" do end
    return "done"
  end)
  return app]]

local ROOM, NEWCOMERS = 10, 3
local NEWCOMER_SECONDS = 0.15 -- idle for less is not evicted in any case

local function get(path)
  return ("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path)
end

describe("a connection between two requests", function()
  local s, conns

  -- Room for one is left, and the worker is busy with that one.
  before_each(function()
    s = server.start {app = APP, workers = 1, env = {NEAP_LIMITS_CONNECTIONS = tostring(ROOM), NEAP_WATCHDOG_RAISE = "1m"}}
    conns = {}
    for i = 1, ROOM - 1 do
      conns[i] = http.open(s):send(get "/")
      assert.equal("hello", conns[i]:answer().body)
    end
    task.sleep(NEWCOMER_SECONDS)
    conns[ROOM] = http.open(s):send(get "/busy")
    assert.truthy(server.poll(20, function()
      local file = io.open(s.dir .. "/busy")
      return file and file:close()
    end))
  end)
  after_each(function()
    for _, conn in ipairs(conns) do conn:close() end
    server.stop_all()
  end)

  it("is not evicted when its request has come", function()
    for _ = 1, NEWCOMERS do conns[#conns + 1] = http.open(s):send(get "/") end
    for i = 1, ROOM - 1 do conns[i]:send(get "/") end
    s:write("go", "")
    for i, conn in ipairs(conns) do
      local answer = conn:answer()
      assert.equal(i == ROOM and "done" or "hello", answer and answer.body)
    end
  end)

  it("is evicted when nothing has come, the oldest first", function()
    for _ = 1, NEWCOMERS do conns[#conns + 1] = http.open(s):send(get "/") end
    conns[1]:send(get "/")
    s:write("go", "")
    for i = ROOM + 1, ROOM + NEWCOMERS do assert.equal("hello", conns[i]:answer().body) end
    assert.equal("hello", conns[1]:answer().body)
    for i = 2, NEWCOMERS + 1 do assert.equal("", conns[i]:rest()) end
  end)
end)
