-- Pools of connections, with a driver that does what each test wants.
local core = require "neap.core"
local pool = require "neap.db.pool"
local server = require "spec.support.server"
local task = require "neap.task"

local spawn = core.task.spawn

-- A server of connections that are tables: `away` is why none can be opened, `delay` how long that takes.
local function fake()
  local driver = {name = "fake", made = 0, closed = 0, most = 0, away = nil, delay = nil, tries = 0}
  function driver.open()
    driver.tries = driver.tries + 1
    if driver.delay then task.sleep(driver.delay) end
    if driver.away then return nil, driver.away end
    driver.made = driver.made + 1
    driver.most = math.max(driver.most, driver.made - driver.closed)
    return {number = driver.made, is_usable = true}
  end
  function driver.close(conn)
    assert(not conn.is_closed, "closed twice")
    conn.is_closed = true
    driver.closed = driver.closed + 1
  end
  function driver.is_usable(conn) return conn.is_usable and not conn.is_closed end
  return driver
end

local function make(driver, opts)
  return pool.new(driver, opts or {max = 2}, "spec")
end

local function use(p, seconds)
  local lease <close> = assert(p:acquire(5))
  if seconds then task.sleep(seconds) end
  return lease.conn.number
end

local function settled(condition)
  assert(server.poll(10, condition), "this does not happen")
end

describe("a pool", function()
  it("uses a connection again", function()
    local driver = fake()
    local p <close> = make(driver)
    for _ = 1, 5 do assert.equal(1, use(p)) end
    assert.same({open = 1, free = 1, waiting = 0, max = 2}, p:stats())
  end)

  it("never has more than max, and serves who waits in order", function()
    local driver = fake()
    local p <close> = make(driver, {max = 3})
    local order, tasks = {}, {}
    for i = 1, 30 do
      tasks[i] = spawn(function()
        use(p, 0.001)
        order[#order + 1] = i
      end)
    end
    for i = 1, 30 do tasks[i]:join() end
    assert.equal(3, driver.most)
    for i = 1, 30 do assert.is_true(math.abs(order[i] - i) < 3, "out of order: " .. table.concat(order, " ")) end
  end)

  it("says busy when none becomes free in time", function()
    local p <close> = make(fake(), {max = 1})
    local lease <close> = assert(p:acquire(1))
    local none, why = p:acquire(0.01)
    assert.is_nil(none)
    assert.equal("busy", why)
    assert.equal(0, p:stats().waiting)
  end)

  it("loses nothing when those who wait are cancelled at any moment", function()
    local driver = fake()
    local p <close> = make(driver, {max = 2})
    local random = math.random
    for _ = 1, 40 do
      local tasks = {}
      for i = 1, 8 do tasks[i] = spawn(use, p, random(0, 2) / 1000) end
      for _ = 1, random(0, 4) do task.yield() end
      for i = 1, 8 do
        if random(2) == 1 then tasks[i]:cancel() end
        if random(3) == 1 then task.yield() end
      end
      for i = 1, 8 do tasks[i]:join() end
    end
    local stats = p:stats()
    assert.equal(stats.open, stats.free)
    assert.equal(0, stats.waiting)
    use(p)
  end)

  it("loses nothing when an attempt to connect is cancelled", function()
    local driver = fake()
    driver.delay = 0.01
    local p <close> = make(driver, {max = 1})
    local first, second = spawn(use, p), spawn(use, p)
    task.yield()
    first:cancel()
    assert.is_true((second:join()))
    assert.same({open = 1, free = 1, waiting = 0, max = 1}, p:stats())
  end)

  it("closes a connection that came back unusable, and opens another for who waits", function()
    local driver = fake()
    local p <close> = make(driver, {max = 1})
    local lease = assert(p:acquire(1))
    local waiting = core.task.spawn_owned(use, p)
    task.yield()
    lease.conn.is_usable = false
    lease:close()
    lease:close()
    local ok, number = waiting:join()
    assert.is_true(ok)
    assert.equal(2, number)
    assert.equal(1, driver.closed)
  end)

  it("opens another when an unused one has broken", function()
    local driver = fake()
    local p <close> = make(driver)
    local lease = assert(p:acquire(1))
    local conn = lease.conn
    lease:close()
    conn.is_usable = false
    assert.equal(2, use(p))
  end)

  it("brings a connection back to order beside its user, when the driver can", function()
    local driver = fake()
    function driver.recover(conn)
      task.sleep(0.01)
      conn.is_usable = true
      return true
    end
    local p <close> = make(driver, {max = 1})
    local lease = assert(p:acquire(1))
    lease.conn.is_usable = false
    lease:close()
    assert.equal(1, use(p))
    assert.equal(0, driver.closed)
  end)

  it("tells everybody at once while the server is away, and tries again by itself", function()
    local driver = fake()
    driver.away = "connection refused"
    local p <close> = make(driver, {max = 2})
    local tasks = {}
    for i = 1, 10 do tasks[i] = core.task.spawn_owned(p.acquire, p, 60) end
    for i = 1, 10 do
      local ok, lease, why = tasks[i]:join(5)
      assert.is_true(ok)
      assert.is_nil(lease)
      assert.equal("connection refused", why)
    end
    assert.is_true(driver.tries <= 2, driver.tries .. " attempts")
    for _ = 1, 100 do p:acquire(60) end
    assert.is_true(driver.tries <= 3, driver.tries .. " attempts")
    driver.away = nil
    settled(function()
      local lease <close> = p:acquire(1)
      return lease
    end)
    for _ = 1, 5 do use(p) end
  end)

  it("lets one look whether the server is there again, the others hear that it is away", function()
    local driver = fake()
    driver.away = "gone"
    local p <close> = make(driver, {max = 5})
    assert.is_nil((p:acquire(1)))
    driver.away, driver.delay = nil, 0.05
    settled(function() return core.task.now() >= p.retry_at end)
    local tries = driver.tries
    local probe = spawn(use, p)
    task.yield()
    for _ = 1, 10 do assert.is_nil((p:acquire(1))) end
    assert.is_true((probe:join()))
    assert.equal(tries + 1, driver.tries)
    use(p)
  end)

  it("lets those wait for a living connection who cannot open another", function()
    local driver = fake()
    local p <close> = make(driver, {max = 2})
    local lease = assert(p:acquire(1))
    driver.away = "too many clients"
    assert.is_nil((p:acquire(1)))
    local waiting = core.task.spawn_owned(use, p)
    task.yield()
    lease:close()
    local ok, number = waiting:join(5)
    assert.is_true(ok)
    assert.equal(1, number)
  end)

  it("closes what nobody has used for a while", function()
    local driver = fake()
    local p <close> = make(driver, {max = 2, idle = 0.02})
    local a, b = assert(p:acquire(1)), assert(p:acquire(1))
    a:close()
    b:close()
    settled(function() return driver.closed == 2 end)
    assert.same({open = 0, free = 0, waiting = 0, max = 2}, p:stats())
    assert.equal(3, use(p))
  end)

  it("closes all: the unused at once, the used when they come back; who waits is told", function()
    local driver = fake()
    local p = make(driver, {max = 2})
    local lease = assert(p:acquire(1))
    use(p)
    local other = assert(p:acquire(1))
    local waiting = core.task.spawn_owned(p.acquire, p, 60)
    task.yield()
    other:close()
    p:close()
    p:close()
    local _, got, why = waiting:join(5)
    if got then got:close() else assert.equal("closed", why) end
    lease:close()
    settled(function() return driver.closed == driver.made end)
    assert.same({nil, "closed"}, {p:acquire(1)})
    assert.equal(0, p:stats().open)
  end)
end)
