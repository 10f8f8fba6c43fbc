-- The watchdog: Lua that runs too long without waiting is logged, then stopped, whatever it does to escape.
local server = require "spec.support.server"

local FAST = {"--set", "watchdog.log=50ms", "--set", "watchdog.raise=150ms"}

local function run(script, ...)
  local words = {"exec", table.unpack(FAST)}
  for _, word in ipairs {...} do words[#words + 1] = word end
  words[#words + 1] = "script.lua"
  return server.run(words, {files = {["script.lua"] = script}})
end

describe("the watchdog", function()
  after_each(server.stop_all)

  it("logs what runs long, once, with the task's name and where it is", function()
    local result = run([[
      local task = require "neap.task"
      local t = require("neap.core").task.spawn(function()
        local enough = math.huge
        while os.clock() < enough do
          local is_logged = io.open("err"):read("a"):find "has been running"
          if is_logged and enough == math.huge then enough = os.clock() + 0.2 end
        end
      end)
      print(t:join())
    ]], "--set", "watchdog.raise=5m")
    assert.equal("true\n", result.out)
    local _, lines = result.err:gsub("has been running for %d+%.%d%d s without waiting", "")
    assert.equal(1, lines, result.err)
    assert.matches("task script.lua:2: has been running", result.err, 1, true)
    assert.matches("script.lua:[456]:", result.err)
  end)

  it("says nothing about tasks that wait now and then", function()
    local result = run([[
      local task = require "neap.task"
      local from = task.now()
      while task.now() - from < 2 do task.yield() end
    ]], "--set", "watchdog.log=1s", "--set", "watchdog.raise=10s")
    assert.equal(0, result.code)
    assert.equal("", result.err)
  end)

  -- Each would run for ever.
  local endless = {
    ["a plain loop"] = "while true do end",
    ["a loop that calls"] = "local function f() end while true do f() end",
    ["a loop with pcall around"] = "pcall(function() while true do end end)",
    ["a loop of pcalls"] = "while true do pcall(function() while true do end end) end",
    ["a loop of xpcalls"] = [[
      local function loop() while true do end end
      while true do xpcall(loop, loop) end]],
    ["a loop of short pcalls"] = "while true do pcall(error, 'x') end",
    ["a loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["a loop of coroutines"] = "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    ["a loop of short coroutines"] = "while true do coroutine.wrap(function() end)() end",
    ["a generator without end"] = [[
      for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end]],
    ["a loop in a closed coroutine"] = [[
      local co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function() while true do end end})
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
      while true do end]],
    ["a loop in a <close> handler, after another"] = [[
      local x <close> = setmetatable({}, {__close = function() while true do end end})
      local y <close> = setmetatable({}, {__close = function() pcall(function() while true do end end) end})
      while true do end]],
    ["a loop in a sort"] = "table.sort({3, 2, 1}, function() while true do end end)",
    ["a loop of gsubs"] = "while true do string.gsub(('x'):rep(1000), 'x', function() end) end",
    ["a loop in a metamethod"] = "local t = setmetatable({}, {__index = function() while true do end end}) t.x = t.y",
    ["endless recursion of tail calls"] = "local function f() return f() end f()",
    ["a loop in a message handler"] = "xpcall(error, function() while true do end end)",
    ["a loop in require"] = "package.preload.x = function() while true do end end require 'x'",
    ["a loop while a module is loaded"] = "load('while true do end')()",
  }
  for name, code in pairs(endless) do
    it("stops " .. name, function()
      local result = run(([[
        local task = require "neap.task"
        local t = require("neap.core").task.spawn(function()
          %s
        end)
        local g <close> = task.group()
        print(t:join())
        print(t.status)
        print(task.timeout(60, function() task.sleep(0.001) return "others go on" end))
      ]]):format(code))
      assert.equal(0, result.code, result.err)
      local err = result.out:match("^false\t([^\n]*)\nfailed\nothers go on\n$")
      assert.truthy(err, result.out)
      assert.matches("^stopped by the watchdog after %d+%.%d s at [^\n]+:%d+$", err)
    end)
  end

  it("gives the task's <close> handlers a chance to clean up, and to wait", function()
    local result = run [[
      local task = require "neap.task"
      local t = require("neap.core").task.spawn(function()
        local x <close> = setmetatable({}, {__close = function(_, err)
          task.sleep(0.01)
          print(err.code, err)
        end})
        while true do end
      end)
      t:join()
    ]]
    assert.matches("^watchdog\tstopped by the watchdog after %d+%.%d s at [^\n]+:%d+\n$", result.out)
  end)

  it("says so once when it is one C call that takes long, and shows where afterwards", function()
    local result = run([[
      local length, took = 50, 0
      while not io.open("err"):read("a"):find "still inside one C call" do
        if took < 0.3 then length = length * 5 // 4 end
        local text, from = ("a"):rep(length), os.clock()
        string.find(text, ".-.-.-b")
        took = os.clock() - from
        for _ = 1, 2000 do end -- with ThreadSanitizer the watchdog gets its turn every 1000 instructions
        require("neap.task").yield()
      end
      print("done")
    ]], "--set", "watchdog.raise=5m")
    assert.equal("done\n", result.out)
    assert.matches("still inside one C call after %d+%.%d+ s, which cannot be interrupted", result.err)
    assert.matches("script.lua:[678]:", result.err)
  end)

  it("leaves what comes after a long slice alone", function()
    local result = run [[
      local task = require "neap.task"
      local spawn = require("neap.core").task.spawn
      for _ = 1, 5 do
        local t = spawn(function() while true do end end)
        local ok = t:join()
        assert(ok == false)
        for _ = 1, 100 do assert(spawn(function() for _ = 1, 1e4 do end return 1 end):join()) end
      end
      print "fine"
    ]]
    assert.equal("fine\n", result.out, result.err)
  end)

  it("answers 5xx for a request that is stopped, and serves the next", function()
    local s = server.start {
      workers = 1,
      args = FAST,
      app = [[
        local app = require("neap").app()
        app:get("/loop", function() while true do pcall(function() while true do end end) end end)
        app:get("/", function() return "hello" end)
        return app]],
    }
    assert.is_true(s:get("/loop") >= 500)
    local status, body = s:get("/")
    assert.same({200, "hello"}, {status, body})
    s:stop()
  end)
end)
