-- Coroutines of scripts, in which a task may wait without whoever resumed them noticing.
local core = require "neap.core"
local task = require "neap.task"

local spawn = core.task.spawn

local function settled(t)
  repeat task.yield() until t.status ~= "ready" and t.status ~= "running"
  return t
end

local function collect(iterator, ...)
  local all = {}
  for value in iterator, ... do all[#all + 1] = value end
  return all
end

-- 1..n, waiting before each.
local function counter(n)
  return coroutine.wrap(function()
    for i = 1, n do
      task.sleep(0)
      coroutine.yield(i)
    end
  end)
end

describe("a wait inside a coroutine", function()
  it("is not seen by who resumes it", function()
    local co = coroutine.create(function(a)
      task.sleep(0.001)
      local b = coroutine.yield(a + 1)
      task.sleep(0.001)
      return b + 1
    end)
    assert.same({true, 2}, {coroutine.resume(co, 1)})
    assert.same({true, 6}, {coroutine.resume(co, 5)})
    assert.equal("dead", coroutine.status(co))
  end)

  it("works in an iterator", function()
    assert.same({1, 2, 3}, collect(counter(3)))
  end)

  it("works in nested generators", function()
    local function double(values)
      return coroutine.wrap(function()
        for value in values do
          task.yield()
          coroutine.yield(2 * value)
        end
      end)
    end
    assert.same({8, 16, 24}, collect(double(double(double(counter(3))))))
  end)

  it("works in a recursive generator", function()
    local function walk(tree)
      return coroutine.wrap(function()
        if tree.left then for v in walk(tree.left) do coroutine.yield(v) end end
        task.sleep(0)
        coroutine.yield(tree.value)
        if tree.right then for v in walk(tree.right) do coroutine.yield(v) end end
      end)
    end
    local function grow(from, to)
      if from > to then return nil end
      local middle = (from + to) // 2
      return {value = middle, left = grow(from, middle - 1), right = grow(middle + 1, to)}
    end
    local expected = {}
    for i = 1, 63 do expected[i] = i end
    assert.same(expected, collect(walk(grow(1, 63))))
  end)

  it("works thousands of times in one coroutine", function()
    local next_value = coroutine.wrap(function()
      for i = 1, 3000 do
        task.yield()
        if i % 1000 == 0 then coroutine.yield(i) end
      end
    end)
    assert.same({1000, 2000, 3000}, collect(next_value))
  end)

  it("nests sixty deep", function()
    local function nest(depth)
      if depth == 0 then
        task.sleep(0.001)
        return "bottom"
      end
      return coroutine.wrap(nest)(depth - 1)
    end
    assert.equal("bottom", nest(60))
  end)

  it("works with pcall on both sides", function()
    local f = coroutine.wrap(function()
      local ok, value = pcall(function()
        task.sleep(0)
        coroutine.yield("first")
        task.sleep(0)
        error("second", 0)
      end)
      task.sleep(0)
      return ok, value
    end)
    assert.same({true, "first"}, {pcall(f)})
    assert.same({true, false, "second"}, {pcall(f)})
  end)

  it("works in many tasks at the same time", function()
    local g <close> = task.group()
    local lists = g:map({1, 2, 3, 4, 5}, function(n) return collect(counter(n)) end)
    for n = 1, 5 do assert.equal(n, #lists[n]) end
  end)

  it("may be in another task than the one before", function()
    local f = counter(4)
    local seen = {f()}
    local g <close> = task.group()
    for _ = 1, 3 do
      g:spawn(function() seen[#seen + 1] = f() end):join()
    end
    assert.same({1, 2, 3, 4}, seen)
  end)
end)

describe("a coroutine that waits", function()
  local co, owner
  before_each(function()
    co = coroutine.create(function()
      task.sleep(0.02)
      coroutine.yield("value")
    end)
    owner = settled(spawn(function() return coroutine.resume(co) end))
  end)
  after_each(function() owner:join() end)

  it("cannot be resumed by somebody else", function()
    assert.same({false, "cannot resume: the coroutine is waiting"}, {coroutine.resume(co)})
    assert.same({true, true, "value"}, {owner:join()})
    assert.is_true((coroutine.resume(co)))
  end)

  it("has the status of one that is active elsewhere", function()
    assert.equal("normal", coroutine.status(co))
    owner:join()
    assert.equal("suspended", coroutine.status(co))
  end)

  it("cannot be closed", function()
    assert.has_error(function() coroutine.close(co) end, "cannot close: the coroutine is waiting")
  end)

  it("has a traceback", function()
    assert.matches("coroutine_spec.lua", debug.traceback(co), 1, true)
  end)

  it("cannot be resumed through wrap, either", function()
    local f = coroutine.wrap(function() task.sleep(0.01) return "done" end)
    local first = settled(spawn(f))
    local ok, err = pcall(f)
    assert.is_false(ok)
    assert.matches("cannot resume: the coroutine is waiting", err, 1, true)
    assert.same({true, "done"}, {first:join()})
  end)
end)

describe("coroutine.running", function()
  it("is the task's own coroutine, which is not the main one", function()
    local co, is_main = coroutine.running()
    assert.equal("thread", type(co))
    assert.is_false(is_main)
    assert.is_false(coroutine.isyieldable())
    assert.equal("running", coroutine.status(co))
  end)

  it("is another one inside", function()
    local outside = coroutine.running()
    coroutine.wrap(function()
      assert.not_equal(outside, coroutine.running())
      assert.equal("normal", coroutine.status(outside))
      assert.is_true(coroutine.isyieldable())
    end)()
  end)
end)

describe("the coroutine of a task", function()
  it("cannot yield: there is nobody to take the values", function()
    local ok, err = pcall(coroutine.yield, 1)
    assert.is_false(ok)
    assert.matches("outside a coroutine", err)
  end)

  it("cannot be resumed or closed by others, whatever it does", function()
    local co
    local t = settled(spawn(function()
      co = coroutine.running()
      task.sleep(0.01)
      return "undisturbed"
    end))
    assert.is_false((coroutine.resume(co)))
    assert.has_error(function() coroutine.close(co) end)
    assert.same({true, "undisturbed"}, {t:join()})
  end)

  it("cannot be disturbed by a reference from its last use", function()
    local stale = {}
    for _ = 1, 20 do spawn(function() stale[#stale + 1] = coroutine.running() end) end
    task.yield()
    local tasks = {}
    for i = 1, 20 do tasks[i] = spawn(function() return i end) end
    for _, co in ipairs(stale) do
      assert.is_false((coroutine.resume(co)))
      pcall(coroutine.close, co)
    end
    for i, t in ipairs(tasks) do assert.same({true, i}, {t:join()}) end
  end)
end)

describe("an error in a coroutine", function()
  it("is given by resume, and raised by wrap with the place of the call", function()
    local object = {}
    assert.same({false, object}, {coroutine.resume(coroutine.create(error), object)})
    local ok, err = pcall(coroutine.wrap(function() error(object) end))
    assert.is_false(ok)
    assert.equal(object, err)
    ok, err = pcall(coroutine.wrap(function() error("text", 0) end))
    assert.is_false(ok)
    assert.matches("text$", err)
  end)

  it("runs its <close> handlers at once, which may wait", function()
    local trace = {}
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, {__close = function(_, err)
        task.sleep(0.001)
        trace[#trace + 1] = err
      end})
      task.sleep(0)
      error("broken", 0)
    end)
    assert.same({false, "broken"}, {coroutine.resume(co)})
    assert.same({"broken"}, trace)
    assert.equal("dead", coroutine.status(co))
    assert.same({false, "cannot resume dead coroutine"}, {coroutine.resume(co)})
    assert.same({false, "broken"}, {coroutine.close(co)})
  end)

  it("leaves a traceback with the dead coroutine", function()
    local function culprit() local none = nil; return none.field end
    local co = coroutine.create(function() culprit() end)
    local _, err = coroutine.resume(co)
    local text = debug.traceback(co, err)
    assert.matches("attempt to index a nil value", text, 1, true)
    assert.matches("in upvalue 'culprit'", text, 1, true)
  end)

  it("that nobody catches is logged with both tracebacks", function()
    local t = core.task.spawn_owned(function()
      local function culprit() error("inside") end
      coroutine.wrap(function() culprit() end)()
    end)
    t:join()
    local text = t:traceback()
    assert.matches("'culprit'.*raised again, stack traceback", text)
  end)
end)

describe("coroutine.close", function()
  it("runs the <close> handlers of a suspended coroutine", function()
    local closed
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, {__close = function() closed = true end})
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.is_true((coroutine.close(co)))
    assert.is_true(closed)
    assert.equal("dead", coroutine.status(co))
  end)

  it("gives the error of such a handler; waiting there is one", function()
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, {__close = function() task.sleep(0) end})
      coroutine.yield()
    end)
    coroutine.resume(co)
    local ok, err = coroutine.close(co)
    assert.is_false(ok)
    assert.matches("cannot wait", err)
  end)

  it("refuses what runs", function()
    assert.has_error(function() coroutine.close(coroutine.running()) end, "cannot close a running coroutine")
    local outside = coroutine.running()
    coroutine.wrap(function()
      assert.has_error(function() coroutine.close(outside) end, "cannot close a normal coroutine")
    end)()
  end)
end)

describe("the rest of the library is Lua's own:", function()
  it("values go in and out", function()
    local co = coroutine.wrap(function(...)
      local n = select("#", ...)
      while true do n = select("#", coroutine.yield(n)) end
    end)
    assert.equal(0, co())
    assert.equal(3, co(nil, nil, nil))
    assert.equal(100, co(table.unpack({}, 1, 100)))
  end)

  it("arguments are checked", function()
    assert.has_error(function() coroutine.create(1) end)
    assert.has_error(function() coroutine.resume(print) end)
    assert.has_error(function() coroutine.status() end)
    assert.has_error(function() coroutine.wrap() end)
  end)

  it("a coroutine cannot resume itself or the one that resumed it", function()
    local outside = coroutine.running()
    local co
    co = coroutine.create(function()
      assert.same({false, "cannot resume non-suspended coroutine"}, {coroutine.resume(co)})
      assert.same({false, "cannot resume non-suspended coroutine"}, {coroutine.resume(outside)})
    end)
    assert.same({true}, {coroutine.resume(co)})
  end)

  it("a status is suspended before the start and dead after the end", function()
    local co = coroutine.create(function() end)
    assert.equal("suspended", coroutine.status(co))
    coroutine.resume(co)
    assert.equal("dead", coroutine.status(co))
  end)

  it("collected coroutines leave nothing behind", function()
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 2000 do
      local f = coroutine.wrap(function() while true do coroutine.yield() end end)
      f()
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") < before + 200)
  end)
end)
