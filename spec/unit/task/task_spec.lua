-- Tasks: waiting, joining, cancelling, groups. Every spec runs in a task itself.
-- builds: hooks
local core = require "neap.core"
local server = require "spec.support.server"
local task = require "neap.task"

local spawn = core.task.spawn
local HOUR = 3600

-- A value whose <close> handler appends to `trace`, and may wait.
local function closer(trace, name, wait)
  return setmetatable({}, {__close = function(_, err)
    trace[#trace + 1] = ("%s: %s"):format(name, err)
    if wait then
      task.sleep(wait)
      trace[#trace + 1] = name .. " closed"
    end
  end})
end

-- Until `t` waits.
local function settled(t)
  repeat task.yield() until t.status ~= "ready" and t.status ~= "running"
  return t
end

local function elapsed(fn, ...)
  local from = task.now()
  fn(...)
  return task.now() - from
end

describe("task.sleep", function()
  it("waits as long as it is told, in seconds or text", function()
    assert.is_true(elapsed(task.sleep, 0.02) >= 0.019)
    assert.is_true(elapsed(task.sleep, "20ms") >= 0.019)
  end)

  it("lets others run meanwhile", function()
    local trace = {}
    local t = spawn(function()
      trace[#trace + 1] = "child"
    end)
    task.sleep(0)
    t:join()
    assert.same({"child"}, trace)
  end)

  it("refuses what is not a duration, at the caller's line", function()
    for _, value in ipairs {-1, "soon", "1 fortnight", {}} do
      assert.has_error(function() task.sleep(value) end)
    end
    local _, err = pcall(function() task.sleep("soon") end)
    assert.matches("^[^:]*task_spec.lua:%d+: bad argument", err)
  end)

  it("wakes many sleepers in the order of their times", function()
    local order = {}
    local g <close> = task.group()
    for i = 10, 1, -1 do
      g:spawn(function()
        task.sleep(i * 0.004)
        order[#order + 1] = i
      end)
    end
    g:join()
    assert.same({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, order)
  end)
end)

describe("waiting where it is impossible", function()
  local function refusal(fn)
    local ok, err = pcall(fn)
    assert.is_false(ok)
    return err
  end

  it("in table.sort is an error that names the line", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local err = refusal(function() table.sort({2, 1}, function() task.sleep(0) return true end) end)
    assert.matches(("task_spec.lua:%d: cannot wait inside a C function's callback"):format(line), err, 1, true)
  end)

  it("in string.gsub, also through a coroutine inside", function()
    local err = refusal(function()
      string.gsub("a", "a", coroutine.wrap(function() task.sleep(0) end))
    end)
    assert.matches("cannot wait inside a C function's callback", err, 1, true)
  end)

  it("in a finalizer is a warning, and nothing hangs", function()
    setmetatable({}, {__gc = function() task.sleep(0) end})
    collectgarbage()
    collectgarbage()
  end)

  it("but metamethods, iterators and to-be-closed values may wait", function()
    local slow = setmetatable({}, {
      __index = function(_, key) task.sleep(0) return key end,
      __add = function() task.sleep(0) return "sum" end,
      __call = function() task.sleep(0) return "called" end,
      __lt = function() task.sleep(0) return true end,
      __concat = function() task.sleep(0) return "joined" end,
      __eq = function() task.sleep(0) return true end,
      __len = function() task.sleep(0) return 7 end,
    })
    assert.equal("key", slow.key)
    assert.equal("sum", slow + 1)
    assert.equal("called", slow())
    assert.is_true(slow < slow)
    assert.equal("joined", "a" .. slow)
    assert.equal(7, #slow)
    local seen = {}
    for i in function(_, n) task.sleep(0) return n < 3 and n + 1 or nil end, nil, 0 do seen[#seen + 1] = i end
    assert.same({1, 2, 3}, seen)
  end)
end)

describe("t:join", function()
  it("gives true and the results, as often as it is asked", function()
    local t = spawn(function(...) task.sleep(0) return ... end, 1, nil, "x")
    assert.same({n = 4, true, 1, nil, "x"}, table.pack(t:join()))
    assert.same({n = 4, true, 1, nil, "x"}, table.pack(t:join()))
    assert.equal("done", t.status)
  end)

  it("gives false and the error, whatever it is", function()
    for _, err in ipairs {"text", {code = 1}, 42, false} do
      local t = spawn(function() error(err, 0) end)
      local ok, got = t:join()
      assert.is_false(ok)
      assert.equal(err, got)
      assert.equal("failed", t.status)
    end
  end)

  it("gives nil and timeout when the time is over, and the task goes on", function()
    local t = spawn(function() task.sleep(0.03) return "late" end)
    assert.same({n = 2, nil, "timeout"}, table.pack(t:join(0.005)))
    assert.same({true, "late"}, {t:join()})
  end)

  it("serves several joiners", function()
    local t = spawn(function() task.sleep(0.01) return "result" end)
    local g <close> = task.group()
    for _ = 1, 5 do
      g:spawn(function() assert.same({true, "result"}, {t:join()}) end)
    end
    g:join()
  end)

  it("of oneself is an error", function()
    assert.has_error(function() task.self():join() end, "a task cannot join itself")
  end)

  it("passes a hundred results on", function()
    local values = {}
    for i = 1, 100 do values[i] = i end
    local t = spawn(function() return table.unpack(values) end)
    assert.equal(101, select("#", t:join()))
    assert.equal(100, select(101, t:join()))
  end)

  it("shows where a task waits and where it failed", function()
    local t = settled(spawn(function() task.sleep(HOUR) end))
    assert.equal("waiting", t.status)
    assert.matches("task_spec.lua", t:traceback(), 1, true)
    t:cancel()
    t:join()
    t = spawn(function() local none = nil; return none.field end)
    t:join()
    assert.matches("^stack traceback:\n.*task_spec.lua", t:traceback())
    assert.matches("^task .*task_spec.lua:%d+$", t.name)
  end)
end)

describe("task.self", function()
  it("is what spawn returned, and the same each time", function()
    local inside
    local t = spawn(function() inside = task.self() end)
    t:join()
    assert.equal(t, inside)
    assert.equal(task.self(), task.self())
  end)
end)

describe("a cancelled task", function()
  -- What it can wait for: how to begin, and how to see that nothing is left behind.
  local waits = {
    ["task.sleep"] = function() task.sleep(HOUR) end,
    ["park"] = function() core.task.park() end,
    ["waiters"] = function() core.task.waiters():wait() end,
    ["a join"] = function()
      local other <close> = setmetatable({t = spawn(task.sleep, HOUR)}, {__close = function(o) o.t:cancel() end})
      other.t:join()
    end,
    ["a group"] = function()
      local g <close> = task.group()
      g:spawn(task.sleep, HOUR)
    end,
    ["g:map"] = function()
      local g <close> = task.group()
      g:map({1, 2, 3}, function() task.sleep(HOUR) end, {limit = 2})
    end,
    ["a full group"] = function()
      local g <close> = task.group {limit = 1}
      g:spawn(task.sleep, HOUR)
      g:spawn(task.sleep, HOUR)
    end,
    ["task.timeout"] = function() task.timeout(HOUR, task.sleep, HOUR) end,
    ["a coroutine inside"] = function() coroutine.wrap(function() task.sleep(HOUR) end)() end,
    ["three coroutines inside"] = function()
      coroutine.wrap(function()
        coroutine.wrap(function() coroutine.wrap(function() task.sleep(HOUR) end)() end)()
      end)()
    end,
    ["a pcall"] = function() while true do pcall(task.sleep, HOUR) end end,
    ["an xpcall"] = function() while true do xpcall(task.sleep, debug.traceback, HOUR) end end,
    ["coroutine.resume"] = function()
      while true do coroutine.resume(coroutine.create(function() task.sleep(HOUR) end)) end
    end,
  }
  for name, wait in pairs(waits) do
    it("leaves " .. name .. ", closing what it opened", function()
      local trace = {}
      local t = settled(spawn(function()
        local _ <close> = closer(trace, "outer", 0.001)
        local _ <close> = closer(trace, "inner")
        wait()
        trace[#trace + 1] = "went on"
      end))
      local before = #core.task.list()
      t:cancel()
      assert.same({false, "cancelled"}, {t:join()})
      assert.same({"inner: cancelled", "outer: cancelled", "outer closed"}, trace)
      assert.equal("cancelled", t.status)
      task.yield()
      assert.is_true(#core.task.list() < before, "something is still waiting")
    end)
  end

  it("did not happen when it had not begun", function()
    local began = false
    local t = spawn(function() began = true end)
    t:cancel()
    assert.same({false, "cancelled"}, {t:join()})
    assert.is_false(began)
  end)

  it("can cancel itself: the next wait raises", function()
    local trace = {}
    local t = spawn(function()
      task.self():cancel()
      trace[#trace + 1] = "still here"
      task.sleep(0)
      trace[#trace + 1] = "never"
    end)
    t:join()
    assert.same({"still here"}, trace)
    assert.equal("cancelled", t.status)
  end)

  it("may be cancelled twice, and after its end", function()
    local t = settled(spawn(task.sleep, HOUR))
    t:cancel()
    t:cancel()
    t:join()
    t:cancel()
    local done = spawn(function() return 1 end)
    done:join()
    done:cancel()
    assert.equal("done", done.status)
  end)

  it("keeps what it was given when wake and cancel come together", function()
    local waiters = core.task.waiters()
    local got
    local t = settled(spawn(function()
      got = waiters:wait()
      task.sleep(0)
      got = "went on"
    end))
    waiters:wake("permit")
    t:cancel()
    t:join()
    assert.equal("permit", got)
    assert.equal("cancelled", t.status)
  end)

  it("leaves the queue it waited in", function()
    local waiters = core.task.waiters()
    local first = settled(spawn(function() return waiters:wait() end))
    local second = settled(spawn(function() return waiters:wait() end))
    first:cancel()
    first:join()
    assert.equal(1, #waiters)
    assert.is_true(waiters:wake("value"))
    assert.same({true, "value"}, {second:join()})
    assert.is_false(waiters:wake("nobody"))
  end)

  it("is cancelled even when a <close> handler fails on the way", function()
    local trace = {}
    local t = settled(spawn(function()
      pcall(function()
        local _ <close> = setmetatable({}, {__close = function() error("in the closer") end})
        task.sleep(HOUR)
      end)
      trace[#trace + 1] = "pcall kept it"
    end))
    t:cancel()
    t:join()
    assert.same({}, trace)
  end)

  it("may use pcall in its <close> handlers", function()
    local trace = {}
    local t = settled(spawn(function()
      local _ <close> = setmetatable({}, {__close = function()
        trace[#trace + 1] = select(2, pcall(error, "ordinary"))
        trace[#trace + 1] = select(2, pcall(function() task.sleep(0) return "waited" end))
      end})
      task.sleep(HOUR)
    end))
    t:cancel()
    t:join()
    assert.same({"ordinary"}, {trace[1]})
    assert.equal("waited", select(2, pcall(function() return "waited" end)))
    assert.equal(2, #trace)
  end)

  it("runs every <close> handler when several of them fail", function()
    local trace = {}
    local t = settled(spawn(function()
      local _ <close> = closer(trace, "a")
      local _ <close> = setmetatable({}, {__close = function() task.sleep(0) error("b fails", 0) end})
      local _ <close> = setmetatable({}, {__close = function() error("c fails", 0) end})
      task.sleep(HOUR)
    end))
    t:cancel()
    t:join()
    assert.same({"a: b fails"}, trace)
  end)

  it("tells its <close> handlers why, with a code", function()
    local code
    local t = settled(spawn(function()
      local _ <close> = setmetatable({}, {__close = function(_, err) code = err.code end})
      task.sleep(HOUR)
    end))
    t:cancel()
    t:join()
    assert.equal("cancelled", code)
  end)
end)

describe("a group", function()
  it("waits for its tasks at the end of the block", function()
    local done = 0
    do
      local g <close> = task.group()
      for i = 1, 5 do g:spawn(function() task.sleep(i * 0.002) done = done + 1 end) end
    end
    assert.equal(5, done)
  end)

  it("runs at most `limit` at a time", function()
    local running, most = 0, 0
    local g <close> = task.group {limit = 3}
    for _ = 1, 10 do
      g:spawn(function()
        running = running + 1
        most = math.max(most, running)
        task.sleep(0.002)
        running = running - 1
      end)
    end
    g:join()
    assert.equal(3, most)
  end)

  it("raises the error of a task at the end of the block and cancels the others", function()
    local trace = {}
    local ok, err = pcall(function()
      local g <close> = task.group()
      g:spawn(function() local _ <close> = closer(trace, "sibling", 0.001) task.sleep(HOUR) end)
      g:spawn(function() task.sleep(0.002) error("broken", 0) end)
    end)
    assert.same({false, "broken"}, {ok, err})
    assert.same({"sibling: cancelled", "sibling closed"}, trace)
  end)

  it("raises it from join, once", function()
    local g <close> = task.group()
    g:spawn(error, "broken", 0)
    assert.has_error(function() g:join() end, "broken")
    g:join()
    assert.equal("again", select(2, g:spawn(function() return "again" end):join()))
  end)

  it("raises it from spawn when the group has failed", function()
    local g <close> = task.group()
    local t = g:spawn(error, "broken", 0)
    t:join()
    assert.has_error(function() g:spawn(task.sleep, 0) end, "broken")
  end)

  it("keeps the error with which its block is left", function()
    local child
    local ok, err = pcall(function()
      local g <close> = task.group()
      child = settled(g:spawn(task.sleep, HOUR))
      error("of the block", 0)
    end)
    assert.same({false, "of the block"}, {ok, err})
    assert.equal("cancelled", child.status)
  end)

  it("survives the cancelling of one task, and g:cancel()", function()
    local g <close> = task.group()
    local one, two = g:spawn(task.sleep, HOUR), g:spawn(function() task.sleep(0.005) return 2 end)
    one:cancel()
    g:join()
    assert.equal("cancelled", one.status)
    assert.same({true, 2}, {two:join()})

    local three, four = g:spawn(task.sleep, HOUR), settled(g:spawn(task.sleep, HOUR))
    g:cancel()
    g:join()
    assert.same({"cancelled", "cancelled"}, {three.status, four.status})
  end)

  it("cancels and awaits its tasks when its owner is cancelled", function()
    local trace = {}
    local owner = settled(spawn(function()
      local g <close> = task.group()
      g:spawn(function() local _ <close> = closer(trace, "child", 0.01) task.sleep(HOUR) end)
      task.sleep(0.001)
      trace[#trace + 1] = "begun"
      g:join()
    end))
    task.sleep(0.01)
    owner:cancel()
    owner:join()
    assert.same({"begun", "child: cancelled", "child closed"}, trace)
  end)

  it("nests", function()
    local trace = {}
    local function branch(depth)
      local g <close> = task.group()
      for _ = 1, 2 do
        if depth > 0 then
          g:spawn(branch, depth - 1)
        else
          g:spawn(function() local _ <close> = closer(trace, "leaf", 0.001) task.sleep(HOUR) end)
        end
      end
    end
    local root = spawn(branch, 4)
    task.sleep(0.02)
    root:cancel()
    root:join()
    assert.equal(64, #trace)
  end)

  it("maps a list in order, a few items at a time", function()
    local running, most = 0, 0
    local g <close> = task.group()
    local squares = g:map({1, 2, 3, 4, 5, 6}, function(n, i)
      assert(n == i)
      running = running + 1
      most = math.max(most, running)
      task.sleep((7 - n) * 0.001)
      running = running - 1
      return n * n
    end, {limit = 2})
    assert.same({1, 4, 9, 16, 25, 36}, squares)
    assert.equal(2, most)
  end)

  it("maps an empty list, and raises the first error", function()
    local g <close> = task.group()
    assert.same({}, g:map({}, error))
    assert.has_error(function()
      g:map({1, 2, 3}, function(n) task.sleep(n * 0.001) error("item " .. n, 0) end)
    end, "item 1")
  end)

  it("ends a map whose tasks are cancelled before they begin", function()
    local g <close> = task.group()
    local mapper = spawn(function() return g:map({1, 2, 3}, function() task.sleep(HOUR) end) end)
    while #g.crew == 0 do task.yield() end
    g:cancel()
    assert.same({true, {}}, {mapper:join()})
  end)

  it("refuses a limit that is none", function()
    assert.has_error(function() task.group {limit = 0} end)
    assert.has_error(function() task.group {limit = "many"} end)
  end)
end)

describe("task.timeout", function()
  it("gives the results of a call that is in time", function()
    assert.same({n = 3, 1, nil, 3}, table.pack(task.timeout(1, function(...) task.sleep(0) return ... end, 1, nil, 3)))
  end)

  it("gives nil and timeout, after the call has been cancelled and cleaned up", function()
    local trace = {}
    assert.same({n = 2, nil, "timeout"}, table.pack(task.timeout("5ms", function()
      local _ <close> = closer(trace, "call", 0.005)
      task.sleep(HOUR)
    end)))
    assert.same({"call: cancelled", "call closed"}, trace)
  end)

  it("raises the error of the call", function()
    assert.has_error(function() task.timeout(1, error, "broken", 0) end, "broken")
  end)

  it("nests: the outer one ends the inner", function()
    assert.same({n = 2, nil, "timeout"}, table.pack(task.timeout(0.01, task.timeout, HOUR, task.sleep, HOUR)))
  end)
end)

describe("task.shield", function()
  it("holds a cancel back until the call is over", function()
    local trace = {}
    local t = settled(spawn(function()
      trace[1] = task.shield(function()
        task.sleep(0.005)
        task.sleep(0.005)
        return "whole"
      end)
      task.sleep(0)
      trace[2] = "never"
    end))
    t:cancel()
    t:join()
    assert.same({"whole"}, trace)
    assert.equal("cancelled", t.status)
  end)

  it("ends with an error of the call", function()
    local t = settled(spawn(function()
      pcall(task.shield, function() task.sleep(0.002) error("inside") end)
      task.sleep(HOUR)
    end))
    task.sleep(0.01)
    t:cancel()
    t:join()
    assert.equal("cancelled", t.status)
  end)
end)

describe("many tasks that are awake", function()
  after_each(server.stop_all)

  it("let requests begin between them", function()
    local s = server.start {workers = 1, app = [[
      local neap = require "neap"
      local net, task = require "neap.net", neap.task
      local app = neap.app()
      local ended, seen = 0, nil
      app:get("/count", function() seen = ended return "" end)
      app:get("/wake", function(req)
        local conn <close> = assert(net.connect("127.0.0.1", tonumber(req.query.port)))
        local function ask() conn:send("GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n") end
        ask()
        conn:recv()
        seen = nil
        local gate, group <close> = task.event(), task.group()
        for i = 1, 50 do
          group:spawn(function()
            gate:wait()
            if i == 1 then ask() end
            local enough = os.clock() + 0.001
            while os.clock() < enough do end
            ended = ended + 1
          end)
        end
        task.sleep(0)
        gate:set()
        group:join()
        return ("%d %s"):format(ended, seen and seen < 50)
      end)
      return app]]}
    assert.equal("50 true", select(2, s:get("/wake?port=" .. s.port)))
  end)
end)

describe("park and wake", function()
  it("hand a value over", function()
    local id
    local t = settled(spawn(function()
      id = core.task.id()
      return core.task.park()
    end))
    assert.is_true(core.task.wake(id, "hello"))
    assert.is_false(core.task.wake(id, "twice"))
    assert.same({true, "hello"}, {t:join()})
    assert.is_false(core.task.wake(id, "gone"))
  end)

  it("time out", function()
    assert.same({n = 2, nil, "timeout"}, table.pack(core.task.park(0.002)))
  end)

  it("do not wake what waits for something else", function()
    local id
    local t = settled(spawn(function() id = core.task.id() task.sleep(0.01) return "slept" end))
    assert.is_false(core.task.wake(id, "early"))
    assert.same({true, "slept"}, {t:join()})
  end)

  it("serve a queue first in, first out, all of it in one turn", function()
    local waiters, order = core.task.waiters(), {}
    local g <close> = task.group()
    for i = 1, 5 do
      settled(g:spawn(function()
        local value = waiters:wait()
        order[#order + 1] = i .. value
      end))
    end
    waiters:wake("a")
    assert.equal(4, waiters:wake_all("b"))
    g:join()
    assert.same({"1a", "2b", "3b", "4b", "5b"}, order)
  end)
end)

describe("errors in tasks", function()
  local function run(script, ...)
    local words = {"exec", ...}
    words[#words + 1] = "script.lua"
    return server.run(words, {files = {["script.lua"] = script}})
  end

  it("are logged with name and traceback when nobody asks for them", function()
    local result = run [[
      local task = require "neap.task"
      require("neap.core").task.spawn(function() local none = nil; return none.field end)
      task.sleep(0.01)
    ]]
    assert.equal(0, result.code)
    assert.matches("task script.lua:2: failed: script.lua:2: attempt to index a nil value", result.err, 1, true)
    assert.matches("stack traceback", result.err, 1, true)
  end)

  it("are logged as well when they are no text, even when their __tostring fails", function()
    local result = run [[
      local task = require "neap.task"
      local spawn = require("neap.core").task.spawn
      spawn(error, {code = 1})
      spawn(error, setmetatable({}, {__tostring = function() return "an object" end}))
      spawn(error, setmetatable({}, {__tostring = function() error("oops") end}))
      spawn(error, setmetatable({}, {__tostring = function() return 42 end}))
      spawn(error, nil)
      task.sleep(0.01)
    ]]
    assert.equal(0, result.code)
    assert.matches("failed: (error object is a table value)", result.err, 1, true)
    assert.matches("failed: an object", result.err, 1, true)
    assert.matches("failed: (error object is a table value whose __tostring fails)", result.err, 1, true)
    assert.matches("failed: nil", result.err, 1, true)
  end)

  it("are not logged when a group or a joiner takes them", function()
    local result = run [[
      local task = require "neap.task"
      local t = require("neap.core").task.spawn(function() task.sleep(0.001) error("taken") end)
      t:join()
      pcall(function() local g <close> = task.group() g:spawn(error, "taken") end)
    ]]
    assert.equal(0, result.code)
    assert.equal("", result.err)
  end)

  it("that deep recursion makes are ordinary errors", function()
    local function endless() return 1 + endless() end
    local t = spawn(endless)
    local ok, err = t:join()
    assert.is_false(ok)
    assert.matches("stack overflow", err)
    ok, err = spawn(function() return (string.gsub("x", "x", function() return endless() end)) end):join()
    assert.is_false(ok)
    assert.matches("stack overflow", err)
    local function pcalls() return pcall(pcalls) end
    spawn(pcalls):join()
    local function nest() return coroutine.wrap(nest)() end
    ok, err = spawn(nest):join()
    assert.is_false(ok)
    assert.matches("C stack overflow", err)
  end)

  it("of a closer that does not end in time are cut off, and logged with the place", function()
    local result = run([[
      local task = require "neap.task"
      local spawn = require("neap.core").task.spawn
      local t = spawn(function()
        local outer <close> = setmetatable({}, {__close = function() print("outer closed") end})
        coroutine.wrap(function()
          local stuck <close> = setmetatable({}, {__close = function() task.sleep(3600) end})
          task.sleep(3600)
        end)()
      end)
      task.sleep(0.01)
      t:cancel()
      print(t:join())
      print(t.status)
    ]], "--set", "timeouts.grace=0.05")
    assert.equal("outer closed\nfalse\tcancelled\ncancelled\n", result.out)
    assert.matches("task script.lua:3: cut off, still waiting after it was cancelled", result.err, 1, true)
    assert.matches("script.lua:6:", result.err, 1, true)
    assert.equal(0, result.code)
  end)

  it("of children that are cut off leave their parents time to end well", function()
    local result = run([[
      local task = require "neap.task"
      local spawn = require("neap.core").task.spawn
      local t = spawn(function()
        local g <close> = task.group()
        g:spawn(function()
          local stuck <close> = setmetatable({}, {__close = function() task.sleep(3600) end})
          task.sleep(3600)
        end)
        task.sleep(3600)
      end)
      task.sleep(0.01)
      t:cancel()
      t:join()
    ]], "--set", "timeouts.grace=2")
    assert.equal(0, result.code)
    local _, cuts = result.err:gsub("cut off", "")
    assert.equal(1, cuts, result.err)
  end)
end)

describe("the memory ceiling", function()
  it("is an ordinary error in the task that hits it, and the others go on", function()
    local result = server.run({"exec", "--set", "limits.memory=32MB", "script.lua"}, {files = {["script.lua"] = [[
      local task = require "neap.task"
      local spawn = require("neap.core").task.spawn
      local function hog()
        local all = {}
        for i = 1, 1e9 do all[i] = ("x"):rep(1000) .. i end
      end
      print(spawn(hog):join())
      print(pcall(hog))
      print(pcall(string.rep, "x", 40 * 1024 * 1024))
      for _ = 1, 5 do assert(not spawn(hog):join()) end
      print(coroutine.resume(coroutine.create(hog)))
      print(pcall(function()
        local g <close> = task.group()
        g:spawn(hog)
        g:spawn(task.sleep, 3600)
      end))
      collectgarbage()
      print(collectgarbage("count") < 4096)
      print(spawn(function() task.sleep(0.001) return "fine" end):join())
    ]]}})
    assert.equal(0, result.code, result.err)
    assert.equal(("false\tnot enough memory\n"):rep(5) .. "true\ntrue\tfine\n", result.out)
  end)
end)

describe("an allocation that fails", function()
  it("harms nothing but the task that asked for it", function()
    local file = assert(io.open "spec/support/failing_tasks.lua")
    local result = server.run({"exec", "failing_tasks.lua"}, {has_hooks = true, files = {["failing_tasks.lua"] = file:read("a")}})
    file:close()
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal("fine\n", result.out)
  end)
end)
