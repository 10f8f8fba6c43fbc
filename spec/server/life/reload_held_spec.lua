-- New code that holds up its thread holds up one worker: the others take it only after that one has come through.
local http = require "spec.support.http"
local memory = require "spec.support.memory"
local server = require "spec.support.server"
local task = require "neap.task"
local together = require "spec.support.together"

local CROWD = 20 -- connections: that all of them come to one of two workers does not happen

-- What all the code below can use. `hold` lasts until the file "release" is there; "held" gets a line for each that began.
local TOOLS = [[
  local neap = require "neap"
  local app = neap.app()
  local function touch()
    local file = io.open("held", "a")
    file:write("held\n")
    file:close()
  end
  local function is_released()
    local file = io.open("release")
    return file and file:close()
  end
  local function hold() touch() while not is_released() do end end
]]

local function app(version, more)
  return ("%s app:get('/', function() return %q end) %s return app"):format(TOOLS, version, more or "")
end

-- Ways to hold up: what the old generation has, and the new one, and a module of that.
local HOLDS = {
  {"a loop", "", "hold()"},
  {"os.execute", "", [[os.execute("echo held >>held; until [ -e release ]; do sleep 0.02; done")]]},
  {"a fifo that nobody writes to", "",
    [[local pipe = os.tmpname():match("[^/]*$") -- each worker has its own
    touch() os.execute(("mkfifo %s; (until [ -e release ]; do sleep 0.02; done; echo >>%s) &"):format(pipe, pipe))
    io.open(pipe):read()]]},
  {"a module", "", "require 'slow'", TOOLS .. "hold()"},
  {"a start hook", "", "app:on_startup(hold)"},
  {"a clean-up in a __gc", "", "setmetatable({}, {__gc = hold}) collectgarbage()"},
  {"on_handoff", "app:on_handoff(function() hold() return {} end)", ""},
  {"on_adopt", "app:on_handoff(function() return {} end)", "app:on_adopt(hold)"},
}

local function config(startup)
  return ("return {default = {timeouts = {startup = %q}, watchdog = {raise = '100s'}}}"):format(startup or "100s")
end

local function start(old, workers, startup)
  return server.start {workers = workers or 2, args = {"--set", "watchdog.log=100ms"}, files = {
    ["app.lua"] = app("one", old), ["config.lua"] = config(startup)}}
end

local function held_count(s)
  local file = io.open(s.dir .. "/held")
  local count = 0
  for _ in file and file:lines() or function() end do count = count + 1 end
  if file then file:close() end
  return count
end

local function crowd(s)
  local conns = {}
  for i = 1, CROWD do
    conns[i] = http.open(s)
    conns[i]:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
  end
  return conns
end

local function assert_answered(conns, version, what)
  for _, conn in ipairs(conns) do
    assert.equal(version, conn:answer("GET").body, what)
    conn:close()
  end
end

-- Orders a reload of code that holds up its worker, and comes back when it does.
local function hold(s, new, module)
  s:write("app.lua", app("two", new))
  if module then s:write("slow.lua", module) end
  s:kill "HUP"
  s.generation = (s.generation or 1) + 1
  assert(server.poll(30, function() return held_count(s) > 0 end), "nobody is held up")
end

describe("new code that holds up its worker", function()
  teardown(server.stop_all)

  together(it, {
    {"holds up only one, whatever it does", function()
      task.map(HOLDS, function(row)
        local s = start(row[2])
        hold(s, row[3], row[4])
        assert_answered(crowd(s), "one", row[1])
        assert.equal(1, held_count(s), row[1])
        s:write("release", "")
        s:wait_log("generation 2 serves")
        assert_answered(crowd(s), "two", row[1])
      end)
    end},
    {"makes its reload fail in time, and who was held up is named, until it answers again", function()
      if memory.sanitizer() == "ThreadSanitizer" then return pending("it holds back the signal that asks who") end
      local s = start()
      s:write("config.lua", config "2s")
      hold(s, HOLDS[2][3])
      s:wait_log("generation 2 failed, generation 1 goes on serving: "
        .. "not ready after 2 s: worker 1 (held up in loading app.lua) is still loading")
      s:write("config.lua", config())
      s:write("app.lua", app "three")
      s:kill "HUP"
      s:wait_log "nothing new is loaded, as worker 1 (held up in loading app.lua) has not given up generation 2 yet"
      assert_answered(crowd(s), "one")
      s:write("release", "")
      assert(server.poll(30, function() return s:reload() end)) -- as soon as it answers again
      assert_answered(crowd(s), "three")
    end},
    {"is stopped by the watchdog, if it is a loop", function()
      local s = start(nil, 2)
      s:write("config.lua", "return {default = {watchdog = {raise = '1s'}}}")
      hold(s, HOLDS[1][3])
      assert_answered(crowd(s), "one")
      s:wait_log "generation 2 failed, generation 1 goes on serving: loading was stopped by the watchdog after"
      assert.matches("stopped by the watchdog after [%d.]+ s at app%.lua:%d+\"", s:log())
      assert.equal(1, held_count(s))
      assert.is_true((s:reload {["app.lua"] = app "three"}))
      assert_answered(crowd(s), "three")
    end},
    {"keeps everybody waiting when there is no other", function()
      local s = start(nil, 1)
      hold(s, HOLDS[1][3])
      local conns = crowd(s)
      s:write("release", "")
      s:wait_log "generation 2 serves"
      for _, conn in ipairs(conns) do
        assert.equal(200, conn:answer("GET").status)
        conn:close()
      end
    end},
  })

  it("does not matter to a worker that takes over later, because a request holds it up", function()
    local s = start("app:get('/hold', function() hold() return 'held' end)")
    local held = http.open(s)
    held:send "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert(server.poll(30, function() return held_count(s) > 0 end))
    s:write("config.lua", config "2s")
    s:kill "HUP"
    s:wait_log "generation 2 failed, generation 1 goes on serving: not ready after 2 s"
    s:write("config.lua", config())
    s:write("release", "")
    assert.equal("held", held:answer("GET").body)
    held:close()
    s.generation = 2
    assert(server.poll(30, function() return s:reload {["app.lua"] = app "three"} end))
    assert_answered(crowd(s), "three")
  end)
end)
