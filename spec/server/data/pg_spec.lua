-- neap.pg against a real PostgreSQL, which is stopped and restarted under it.
local core = require "neap.core"
local pg = core.pg_open and require "neap.pg"
local postgres = require "spec.support.postgres"
local server = require "spec.support.server"
local task = require "neap.task"

local spawn = core.task.spawn_owned

local function until_true(condition)
  assert(server.poll(20, condition), "this does not happen")
end

describe("neap.pg", function()
  if postgres.is_missing() then return pending("PostgreSQL, libpq or a user to run it is missing") end

  local peer ---@type spec.Postgres

  setup(function()
    peer = postgres.shared()
    local db <close> = pg.connect(peer.dsn)
    assert(db:exec("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'one'), (2, NULL)"))
  end)
  teardown(function() peer:__close() end)

  it("gives rows by column name, with the types of Lua", function()
    local db <close> = pg.connect(peer.url)
    assert.same({{id = 1, name = "one"}, {id = 2}}, db:query("SELECT * FROM item ORDER BY id"))
    assert.same({{a = math.maxinteger, b = 1.5, c = true, d = {x = {1}}, e = "1.10", f = "\0\255"}}, db:query(
      [[SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, 1.10::numeric AS e, $5 AS f, $6::text AS g]],
      math.maxinteger, 1.5, true, {x = {1}}, pg.bytea("\0\255"), nil))
    assert.same({{id = 2}}, db:query("SELECT id FROM item WHERE id = ANY($1)", pg.array {2, 3}))
    assert.same({}, db:query("SELECT 1 WHERE false"))
  end)

  it("gives nil and an error with its SQLSTATE", function()
    local db <close> = pg.connect(peer.dsn)
    local none, err = db:exec("INSERT INTO item VALUES ($1)", 1)
    assert.is_nil(none)
    assert.equal("23505", err.code)
    assert.equal("item_pkey", err.constraint)
    assert.equal("42601", select(2, db:query("NONSENSE")).code)
    assert.equal(1, #db:query("SELECT 1"))
    assert.matches("zero byte", select(2, db:query("SELECT $1", "\0")))
    assert.matches("COPY", select(2, db:exec("COPY item TO STDOUT")))
    assert.matches("pg_spec.lua:%d+: ", select(2, pcall(function() db:query("SELECT $1", print) end)))
    assert.matches("does not exist", select(2, pg.connect(peer.dsn .. " dbname=none"):query("SELECT 1")))
  end)

  it("iterates over rows while they come, and stops when the loop is left", function()
    local db <close> = pg.connect(peer.dsn, {max = 1})
    local sum = 0
    for row in db:rows("SELECT n FROM generate_series(1, 20000) AS n") do sum = sum + row.n end
    assert.equal(200010000, sum)
    for row in db:rows("SELECT generate_series(1, 100000000) AS n") do
      if row.n == 10 then break end
    end
    assert.same({{one = 1}}, db:query("SELECT 1 AS one"))
  end)

  it("gives the connection of forgotten rows back", function()
    local db <close> = pg.connect(peer.dsn, {max = 1, timeout = 10})
    local function forget()
      local next_row = db:rows("SELECT n FROM generate_series(1, 100000) AS n")
      assert.equal(1, next_row().n)
    end
    forget()
    collectgarbage()
    collectgarbage()
    assert.same({{one = 1}}, db:query("SELECT 1 AS one"))
  end)

  it("keeps a result too large out", function()
    local db <close> = pg.connect(peer.dsn, {max = 1, max_result = "1MB"})
    assert.same({nil, "too_large"}, {db:query("SELECT n FROM generate_series(1, 1000000) AS n")})
    assert.same({nil, "too_large"}, {db:query("SELECT repeat('x', 5000000)")})
    assert.same({{one = 1}}, db:query("SELECT 1 AS one"))
  end)

  it("commits or rolls back a transaction", function()
    local db <close> = pg.connect(peer.dsn, {max = 1})
    local function insert(tx) assert(tx:exec("INSERT INTO item VALUES (7, 'seven')")) end
    local function count() return db:query("SELECT count(*) AS n FROM item WHERE id = 7")[1].n end
    assert.same({nil, "no"}, {db:transaction(function(tx) insert(tx) return nil, "no" end)})
    assert.is_false((pcall(db.transaction, db, function(tx) insert(tx) error("boom") end)))
    local none, err = db:transaction(function(tx) insert(tx) tx:exec("NONSENSE") end)
    assert.is_nil(none)
    assert.matches("rolled back", err)
    local t = spawn(db.transaction, db, function(tx) insert(tx) task.sleep(60) end)
    task.sleep("20ms")
    t:cancel()
    t:join()
    assert.equal(0, count())
    assert.equal("done", db:transaction(function(tx) insert(tx) return "done" end))
    assert.equal(1, count())
  end)

  it("stops on the server what timed out or was cancelled, and uses the connection again", function()
    local db <close> = pg.connect(peer.dsn, {max = 1, timeout = 10})
    local hasty <close> = pg.connect(peer.dsn, {max = 1, timeout = "100ms"})
    local watcher <close> = pg.connect(peer.dsn)
    local function sleepers()
      return watcher:query([[SELECT count(*) AS n FROM pg_stat_activity
        WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = current_database()]])[1].n
    end
    local pid = db:query("SELECT pg_backend_pid() AS pid")[1].pid
    assert.same({nil, "timeout"}, {hasty:query("SELECT pg_sleep(60)")})
    local t = spawn(db.query, db, "SELECT pg_sleep(60)")
    until_true(function() return sleepers() > 0 end)
    t:cancel()
    t:join()
    until_true(function() return sleepers() == 0 end)
    assert.equal(pid, db:query("SELECT pg_backend_pid() AS pid")[1].pid)
  end)

  it("stays in order when its users are cancelled at any moment", function()
    local db <close> = pg.connect(peer.dsn, {max = 3})
    for _ = 1, 20 do
      local tasks = {}
      for i = 1, 8 do
        tasks[i] = spawn(function()
          local n = math.random(1000)
          local rows = assert(db:query("SELECT $1 AS n FROM generate_series(1, $2)", n, 100))
          assert.equal(n, rows[100].n)
        end)
      end
      for _ = 1, math.random(0, 20) do task.yield() end
      for i = 1, 8, 2 do tasks[i]:cancel() end
      for i = 1, 8 do assert(tasks[i]:join() or tasks[i].status == "cancelled", "mixed up") end
    end
    until_true(function() return db:stats().open == db:stats().free end)
    assert.is_true(db:stats().open <= 3)
  end)

  it("serves 50 tasks over 10 connections fairly", function()
    local db <close> = pg.connect(peer.dsn, {max = 10})
    local served, tasks, stop = {}, {}, false
    for i = 1, 10 do tasks[i] = spawn(db.query, db, "SELECT pg_sleep(0.1)") end -- all connections are open then
    for i = 1, 10 do assert(select(2, tasks[i]:join())) end
    for i = 1, 50 do
      served[i] = 0
      tasks[i] = spawn(function()
        while not stop do
          assert.equal(i, assert(db:query("SELECT $1 AS i", i))[1].i)
          served[i] = served[i] + 1
        end
      end)
    end
    until_true(function() return served[1] >= 40 end)
    stop = true
    for i = 1, 50 do assert(tasks[i]:join()) end
    assert.is_true(db:stats().open <= 10)
    for i = 1, 50 do assert.is_true(served[i] >= 10 and served[i] <= 160, table.concat(served, " ")) end
  end)

  it("listens, feeds a topic, and tells that something may be missing", function()
    local db <close> = pg.connect(peer.dsn)
    local topic = require("neap.topic")("pg_spec")
    local start, got = topic:cursor(), {}
    local t = spawn(function()
      for channel, payload in db:listen("jobs", topic) do
        got[#got + 1] = channel .. "=" .. tostring(payload)
        if payload == "end" then break end
      end
    end)
    until_true(function()
      db:query("SELECT pg_notify('jobs', 'one')")
      return #got > 0
    end)
    db:query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN \"jobs\"'")
    until_true(function() return got[#got] == "jobs=nil" end)
    until_true(function()
      db:query("SELECT pg_notify('jobs', 'end')")
      return t.status == "done"
    end)
    assert.equal("one", topic:wait {after = start, timeout = 1}[1])
  end)

  it("keeps a password out of what it says of wrong options", function()
    local ok, err = pcall(pg.connect, peer.dsn, {password = "secret"})
    assert.is_false(ok)
    assert.matches("belong into the connection string", err)
    assert.is_nil(err:find("secret", 1, true))
  end)

  -- A database by what its connection string says beside the user and the database.
  local function at(words, ...)
    return pg.connect(("user=spec dbname=postgres " .. words):format(...))
  end

  it("goes from host to host until one answers", function()
    for _, words in ipairs {
      "host=127.0.0.1,127.0.0.1 port=1,%d", "host=nowhere.invalid,localhost port=1,%d", "host=localhost,nowhere.invalid port=%d",
      "host=/nowhere,localhost port=%d", "host=localhost,127.0.0.1 port=%d target_session_attrs=read-write",
    } do
      local db <close> = at(words, peer.port)
      assert.same({{one = 1}}, assert(db:query("SELECT 1 AS one")))
    end
    local nowhere <close> = at("host=nowhere.invalid,127.0.0.1 port=1")
    assert.matches("refused", select(2, nowhere:query("SELECT 1")))
    local nameless <close> = at("host=nowhere.invalid,elsewhere.invalid")
    assert.matches("not known", select(2, nameless:query("SELECT 1")))
    local writable <close> = at("host=localhost port=%d target_session_attrs=standby", peer.port)
    assert.matches("standby", select(2, writable:query("SELECT 1")))
  end)

  it("speaks TLS, and trusts only who is vouched for, under the right name", function()
    if not peer.ca then return pending("needs openssl") end
    local cipher = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    local plain <close> = pg.connect(peer.url)
    assert.same({{ssl = false}}, plain:query(cipher))
    for _, words in ipairs {"sslmode=require", "sslmode=verify-full sslrootcert=" .. peer.ca} do
      local db <close> = at("host=localhost port=%d %s", peer.port, words)
      assert.same({{ssl = true}}, assert(db:query(cipher)))
    end
    local stranger <close> = at("host=localhost port=%d sslmode=verify-full sslrootcert=/nowhere", peer.port)
    assert.matches("/nowhere", select(2, stranger:query(cipher)))
    local misnamed <close> = at("host=ip6-localhost hostaddr=127.0.0.1 port=%d sslmode=verify-full sslrootcert=%s", peer.port, peer.ca)
    assert.matches("does not match host name", select(2, misnamed:query(cipher)))
  end)

  it("streams, cancels and listens over TLS as it does without", function()
    if not peer.ca then return pending("needs openssl") end
    local db <close> = at("host=localhost port=%d sslmode=require", peer.port)
    local big = ("x"):rep(3000000)
    assert.is_true(db:query("SELECT $1 AS big", big)[1].big == big)
    local sum = 0
    for row in db:rows("SELECT n FROM generate_series(1, 50000) AS n") do sum = sum + row.n end
    assert.equal(1250025000, sum)
    local t = spawn(db.query, db, "SELECT pg_sleep(60)")
    until_true(function()
      return db:query("SELECT count(*) AS n FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'")[1].n > 0
    end)
    t:cancel()
    t:join()
    until_true(function() return db:stats().open == db:stats().free end)
    local heard = spawn(function()
      local next_payload, _, _, listening = db:listen("secret")
      local _ <close> = listening
      return select(2, next_payload())
    end)
    until_true(function()
      db:query("SELECT pg_notify('secret', 'hello')")
      return heard.status == "done"
    end)
    assert.same({true, "hello"}, {heard:join()})
  end)
end)
