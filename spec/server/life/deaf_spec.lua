-- A worker that is held up does not hold up the connections that wait at its door: another one takes them.
local command = require "spec.support.command"
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"
local together = require "spec.support.together"

local CROWD = 20 -- connections: that all of them come to one of two workers does not happen

-- Ways to hold up a worker until the file "release" is there; "held" says that it has begun.
local HOLDS = {
  {"os.execute", [[os.execute("touch held; until [ -e release ]; do sleep 0.02; done")]]},
  {"io.popen", [[io.popen("touch held; until [ -e release ]; do sleep 0.02; done"):read("a")]]},
  {"a loop in Lua", [[touch() while not is_released() do end]]},
  {"a loop in a __gc", [[
    setmetatable({}, {__gc = function() touch() while not is_released() do end end})
    collectgarbage()]]},
  {"a fifo that nobody writes to", [[os.execute("mkfifo pipe; (until [ -e release ]; do sleep 0.02; done; echo >pipe) &")
    touch() io.open("pipe"):read()]]},
}

local function start(workers, hold, opts)
  opts = opts or {}
  opts.app = ([[
    local neap = require "neap"
    local app = neap.app()
    local function touch() io.open("held", "w"):close() end
    local function is_released()
      local file = io.open("release")
      return file and file:close()
    end
    app:get("/", function() return tostring(require("neap.core").worker) end)
    app:get("/hold", function()
      %s
      return tostring(require("neap.core").worker)
    end)
    app:get("/read", function() return tostring(io.read()) end)
    return app]]):format(hold or HOLDS[1][2])
  opts.workers, opts.args = workers, {"--set", "watchdog.raise=100s", "--set", "timeouts.drain=100s",
    "--set", "timeouts.stop=200s"}
  return server.start(opts)
end

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

local function ask(s, path)
  local conn = http.open(s)
  conn:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path))
  return conn
end

-- Holds up one worker: the connection that waits for it.
local function hold(s)
  os.remove(s.dir .. "/held")
  local conn = ask(s, "/hold")
  assert(server.poll(20, function() return exists(s.dir .. "/held") end), "nobody is held")
  return conn
end

local function crowd(s)
  local conns = {}
  for i = 1, CROWD do conns[i] = ask(s, "/") end
  return conns
end

-- The number of the worker that answered is the body.
local function answer(conn)
  local found = conn:answer("GET")
  assert.equal(200, found.status)
  conn:close()
  return found.body
end

local function answered_by(conns)
  local workers = {}
  for _, conn in ipairs(conns) do workers[answer(conn)] = true end
  return workers
end

describe("a worker that is held up", function()
  teardown(server.stop_all)

  together(it, {
    {"loses nobody who comes to its door, whatever holds it up", function()
      task.map(HOLDS, function(row)
        local s = start(2, row[2])
        local held = hold(s)
        local workers = answered_by(crowd(s)) -- while it is held
        s:wait_log("takes its new connections")
        answered_by(crowd(s))
        s:write("release", "")
        local own = answer(held)
        assert(not workers[own], row[1])
        s:wait_log(("worker %s answers again"):format(own))
        answered_by(crowd(s))
      end)
    end},
    {"has another stand-in when that one is held up as well", function()
      local s = start(3)
      local first = hold(s)
      answered_by(crowd(s))
      local second = hold(s)
      local workers = answered_by(crowd(s))
      s:write("release", "")
      assert.is_nil(workers[answer(first)])
      assert.is_nil(workers[answer(second)])
      assert.truthy(next(workers))
    end},
    {"keeps everybody waiting when there is no other", function()
      local s = start(1)
      local held, conns = hold(s), crowd(s)
      s:wait_log("its new connections wait")
      s:write("release", "")
      answer(held)
      answered_by(conns)
    end},
    {"is named by neap ps", function()
      local s = start(2, nil, {env = {NEAP_STATE = "state"}})
      local held = hold(s)
      answered_by(crowd(s))
      s:wait_log("takes its new connections")
      local found = command.run(("cd %s && NEAP_STATE=state %s ps --pid %d"):format(s.dir, os.getenv "NEAP_BIN", s.pid))
      s:write("release", "")
      assert.matches("worker %d has not answered for [%d.]+ s[^\n]*: until it does, worker %d takes its new connections",
        found.out .. found.err)
      answer(held)
    end},
    {"lets a stop wait for it, and whoever is at its door is answered", function()
      local s = start(2)
      local held = hold(s)
      answered_by(crowd(s))
      local conns = crowd(s)
      answered_by(conns)
      s:kill "TERM"
      s:wait_log("stopping")
      s:write("release", "")
      assert.equal(200, held:answer("GET").status)
      assert.equal(0, s:wait())
    end},
    {"is not held up by its standard input", function()
      local s = start(1, nil, {prefix = "mkfifo fifo; exec 0<>fifo;"})
      assert.equal("nil", select(2, s:get("/read")))
    end},
  })
end)
