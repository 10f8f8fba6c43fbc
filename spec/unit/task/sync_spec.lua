-- Events, semaphores, mutexes and shared calls.
local core = require "neap.core"
local server = require "spec.support.server"
local task = require "neap.task"

local HOUR = 3600

local function settled(t)
  repeat task.yield() until t.status ~= "ready" and t.status ~= "running"
  return t
end

describe("an event", function()
  it("wakes everybody, and those who come later do not wait", function()
    local event, count = task.event(), 0
    local g <close> = task.group()
    for _ = 1, 3 do
      g:spawn(function()
        assert(event:wait())
        count = count + 1
      end)
    end
    task.yield()
    assert.equal(0, count)
    event:set()
    g:join()
    assert.equal(3, count)
    assert.is_true(event:wait(0))
  end)

  it("can be cleared, and waiting for it ends with a timeout", function()
    local event = task.event()
    event:set()
    event:clear()
    assert.is_false(event:is_set())
    assert.same({n = 2, nil, "timeout"}, table.pack(event:wait("1ms")))
  end)
end)

describe("a semaphore", function()
  it("lets so many go on at a time, in the order of their coming", function()
    local semaphore, now, most, order = task.semaphore(2), 0, 0, {}
    local g <close> = task.group()
    for i = 1, 6 do
      g:spawn(function()
        local permit <close> = semaphore:acquire()
        assert(permit)
        now = now + 1
        most = math.max(most, now)
        order[#order + 1] = i
        task.sleep("1ms")
        now = now - 1
      end)
    end
    g:join()
    assert.equal(2, most)
    assert.same({1, 2, 3, 4, 5, 6}, order)
  end)

  it("gives nil and timeout when none comes free in time, and stays whole", function()
    local semaphore = task.semaphore(1)
    local permit = assert(semaphore:acquire())
    assert.same({n = 2, nil, "timeout"}, table.pack(semaphore:acquire("1ms")))
    permit:release()
    permit:release() -- the second has no effect
    local first = assert(semaphore:acquire(0))
    assert.is_nil((semaphore:acquire(0)))
    first:release()
  end)

  it("passes a permit on when the task that would get it is cancelled first", function()
    local semaphore, got = task.semaphore(1), {}
    local permit = semaphore:acquire()
    local g <close> = task.group()
    local function want(name)
      return settled(g:spawn(function()
        local mine <close> = semaphore:acquire()
        got[#got + 1] = mine and name
      end))
    end
    local a = want "a"
    want "b"
    a:cancel()
    permit:release()
    g:join()
    assert.same({"b"}, got)
  end)

  it("gets the permit back from a task that is cancelled in the moment it was given", function()
    local semaphore = task.semaphore(1)
    local permit = semaphore:acquire()
    local g <close> = task.group()
    local t = settled(g:spawn(function()
      local mine <close> = semaphore:acquire()
      task.sleep(HOUR)
      return mine
    end))
    permit:release()
    t:cancel()
    g:join()
    assert.equal("cancelled", t.status)
    assert(semaphore:acquire(0)):release()
  end)

  it("gets a forgotten permit back, with a warning that tells where it was acquired", function()
    local s = server.run({"exec", "main.lua"}, {files = {["main.lua"] = [[
      local task = require "neap.task"
      local semaphore = task.semaphore(1)
      do semaphore:acquire() end
      collectgarbage()
      collectgarbage()
      assert(semaphore:acquire("5s")):release()
    ]]}})
    assert.equal(0, s.code, s.err)
    assert.matches("a permit was never released; it was acquired at main.lua:3", s.err, 1, true)
  end)

  it("refuses a count that is none, at the caller's line", function()
    for _, count in ipairs {0, 1.5, "2"} do
      local ok, err = pcall(function() task.semaphore(count) end)
      assert.is_false(ok)
      assert.matches("sync_spec.lua:%d+: task.semaphore", err)
    end
  end)
end)

describe("a mutex", function()
  it("keeps what takes several steps in one piece", function()
    local mutex, balance = task.mutex(), 0
    local g <close> = task.group()
    for _ = 1, 20 do
      g:spawn(function()
        local lock <close> = mutex:lock()
        assert(lock)
        local before = balance
        task.yield()
        balance = before + 1
      end)
    end
    g:join()
    assert.equal(20, balance)
  end)

  it("raises when its holder locks it again, and waits for others at most so long", function()
    local mutex = task.mutex()
    local lock <close> = mutex:lock()
    assert(lock)
    local ok, err = pcall(function() mutex:lock() end)
    assert.is_false(ok)
    assert.matches("sync_spec.lua:%d+: mutex:lock: this task holds it already", err)
    local g <close> = task.group()
    assert.same({true, nil, "timeout"}, {g:spawn(mutex.lock, mutex, "1ms"):join()})
  end)

  it("can be locked again once it was released", function()
    local mutex = task.mutex()
    mutex:lock():release()
    mutex:lock():release()
  end)
end)

describe("task.single", function()
  it("makes one call of many with the same key, and one for each key", function()
    local calls = {}
    local function load(key)
      return task.single(key, function()
        calls[key] = (calls[key] or 0) + 1
        task.sleep("2ms")
        return key, "extra"
      end)
    end
    local results = {}
    local g <close> = task.group()
    for i = 1, 6 do
      g:spawn(function() results[i] = {load(i % 2 == 0 and "even" or "odd")} end)
    end
    g:join()
    assert.same({even = 1, odd = 1}, calls)
    assert.same({"odd", "extra"}, results[1])
    assert.same({"even", "extra"}, results[6])
    load("odd")
    assert.equal(2, calls.odd)
  end)

  it("raises the error for every caller", function()
    local outcomes = task.settle {
      function() return task.single("k", function() task.yield() error("broken", 0) end) end,
      function() return task.single("k", function() return "another" end) end,
    }
    assert.same({{ok = false, err = "broken"}, {ok = false, err = "broken"}}, outcomes)
  end)

  it("goes on while one caller is left, and is cancelled with the last", function()
    local trace = {}
    local function work()
      local _ <close> = setmetatable({}, {__close = function() trace[#trace + 1] = "closed" end})
      task.sleep(HOUR)
    end
    local g <close> = task.group()
    local a = settled(g:spawn(task.single, "long", work))
    local b = settled(g:spawn(task.single, "long", work))
    a:cancel()
    a:join()
    assert.same({}, trace)
    b:cancel()
    b:join()
    assert.same({"closed"}, trace)
    assert.equal("fresh", task.single("long", function() return "fresh" end))
  end)

  it("wants a key and a function", function()
    for _, wrong in ipairs {{nil, print}, {"key"}} do
      local ok, err = pcall(function() task.single(wrong[1], wrong[2]) end)
      assert.is_false(ok)
      assert.matches("sync_spec.lua:%d+: task.single", err)
    end
  end)
end)

describe("core.task.list", function()
  after_each(server.stop_all)

  local function row_of(t)
    for _, row in ipairs(core.task.list()) do
      if row.name == t.name then return row end
    end
  end

  it("tells of each task what it is called, does, waits for and belongs to", function()
    local g <close> = task.group()
    local line = debug.getinfo(1, "l").currentline + 1
    local t = settled(g:spawn("the sleeper", function() task.sleep(HOUR) end))
    local row = row_of(t)
    assert.equal("the sleeper", t.name)
    assert.equal("waiting", row.status)
    assert.equal(("spec/unit/task/sync_spec.lua:%d"):format(line), row.where)
    assert.is_true(row.age >= 0)
    assert.equal("integer", math.type(row.id))
    assert.equal(core.task.id(), row.parent)
    assert.matches("%S", row.owner)
    g:cancel()
  end)

  it("shows the script's line for what waits inside the library", function()
    local g <close> = task.group()
    local q = task.queue()
    local line = debug.getinfo(1, "l").currentline + 1
    local t = settled(g:spawn("the reader", function() local v = q:get() return v end))
    assert.equal(("spec/unit/task/sync_spec.lua:%d"):format(line), row_of(t).where)
    g:cancel()
  end)

  it("names the request that a task works for", function()
    local s = server.start {workers = 1, app = [[
      local neap, core = require "neap", require "neap.core"
      local app = neap.app()
      app:get("/", function()
        local g <close> = neap.task.group()
        g:spawn("helper", neap.task.sleep, "1h")
        local rows = core.task.list()
        g:cancel()
        return rows
      end)
      return app
    ]]}
    local _, body = s:get("/")
    local rows = require("neap.json").decode(body)
    assert.matches("^request %d+$", rows[1].owner)
    assert.equal("running", rows[1].status)
    assert.equal("app.lua:6", rows[1].where:match("[^/]*$"))
    assert.equal("helper", rows[2].name)
    assert.equal(rows[1].name .. ", " .. rows[1].owner, rows[2].owner)
    assert.equal(rows[1].id, rows[2].parent)
  end)
end)
