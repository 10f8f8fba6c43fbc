-- Several functions at once: task.all, race, any, settle and map. What nobody needs any more has ended on return.
local task = require "neap.task"

local HOUR = 3600

-- A function that would take for ever; `trace` tells when it was stopped.
local function endless(trace)
  return function()
    local _ <close> = setmetatable({}, {__close = function()
      task.sleep(0) -- closing may take its time
      trace[#trace + 1] = "stopped"
    end})
    task.sleep(HOUR)
  end
end

local function value(...)
  local results = table.pack(...)
  return function()
    task.yield()
    return table.unpack(results, 1, results.n)
  end
end

local function raising(err)
  return function()
    task.yield()
    error(err, 0)
  end
end

describe("task.all", function()
  it("gives the first results in the order of the list, nil and false too", function()
    local slow = function() task.sleep("2ms") return "slow" end
    assert.same({n = 4, "slow", nil, false, 4}, table.pack(task.all {slow, value(nil), value(false), value(4, 5)}))
    assert.same({n = 0}, table.pack(task.all {}))
  end)

  it("gives nil and the first error, and stops the others", function()
    for _, failing in ipairs {raising("broken"), value(nil, "broken")} do
      local trace = {}
      assert.same({n = 2, nil, "broken"}, table.pack(task.all {endless(trace), failing, endless(trace)}))
      assert.same({"stopped", "stopped"}, trace)
    end
  end)

  it("says so when one was cancelled from elsewhere", function()
    local me
    local result, err = task.all {function() me = task.self() task.sleep(HOUR) end, function()
      task.yield()
      me:cancel()
    end}
    assert.is_nil(result)
    assert.equal("cancelled", err)
  end)
end)

describe("task.race", function()
  it("gives what comes first, and stops the others", function()
    local trace = {}
    assert.same({2, "a", "b"}, {task.race {endless(trace), value("a", "b"), endless(trace)}})
    assert.same({"stopped", "stopped"}, trace)
  end)

  it("raises the error of the first, with its traceback", function()
    local trace = {}
    local ok, err = pcall(task.race, {endless(trace), raising("broken")})
    assert.is_false(ok)
    assert.equal("broken", err)
    assert.same({"stopped"}, trace)
  end)

  it("of nothing is nobody's", function()
    assert.is_nil((task.race {}))
  end)
end)

describe("task.any", function()
  it("gives the first that succeeds, and stops the others", function()
    local trace = {}
    assert.same({4, "fine"}, {task.any {raising("x"), value(nil, "y"), endless(trace), value("fine")}})
    assert.same({"stopped"}, trace)
  end)

  it("gives nil and all errors when none succeeds", function()
    local index, errors = task.any {raising("x"), value(nil, "y")}
    assert.is_nil(index)
    assert.same({"x", "y"}, errors)
  end)
end)

describe("task.settle", function()
  it("tells what became of each", function()
    assert.same({{ok = true, value = 1}, {ok = false, err = "x"}, {ok = false, err = "y"}, {ok = true}},
      task.settle {value(1, 2), raising("x"), value(nil, "y"), value()})
  end)
end)

describe("task.map", function()
  it("gives the results in order, a few items at a time", function()
    local now, most = 0, 0
    local results = task.map({3, 1, 2}, function(n, i)
      now = now + 1
      most = math.max(most, now)
      task.sleep(n / 1000)
      now = now - 1
      return n * 10 + i
    end, {limit = 2})
    assert.same({31, 12, 23}, results)
    assert.equal(2, most)
  end)
end)

describe("several at once", function()
  it("are stopped when the one who waits for them is", function()
    for _, name in ipairs {"all", "race", "any", "settle"} do
      local trace = {}
      local g <close> = task.group()
      local t = g:spawn(task[name], {endless(trace), endless(trace)})
      while t.status ~= "waiting" do task.yield() end
      task.yield()
      t:cancel()
      t:join()
      assert.equal("cancelled", t.status)
      assert.same({"stopped", "stopped"}, trace, name)
    end
  end)

  it("have to be functions: else the caller's line raises", function()
    for _, name in ipairs {"all", "race", "any", "settle"} do
      for _, wrong in ipairs {{1}, "text"} do
        local ok, err = pcall(function() local v = task[name](wrong) return v end)
        assert.is_false(ok)
        assert.matches("batch_spec.lua:%d+: task." .. name, err)
      end
    end
  end)
end)
