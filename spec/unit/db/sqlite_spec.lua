local neap = require "neap"
local json, sqlite, task = neap.json, neap.sqlite, neap.task

local ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
local ENDLESS_INSERT = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) INSERT INTO t SELECT n FROM c"

local dir, db

local function path()
  return dir .. "/test.db"
end

local function count(of)
  return of:query("SELECT count(*) AS n FROM t")[1].n
end

local function numbers(n)
  assert(db:exec([[WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT :most)
    INSERT INTO t SELECT n FROM c]], {most = n}))
end

before_each(function()
  local pipe = assert(io.popen("mktemp -d"))
  dir = pipe:read("l")
  pipe:close()
  db = assert(sqlite.open(path(), {readers = 2}))
  assert(db:exec("CREATE TABLE t (v)"))
end)

after_each(function()
  db:close()
  os.execute("rm -r '" .. dir .. "'")
end)

describe("a value", function()
  local function back(value)
    assert(db:exec("DELETE FROM t"))
    assert(db:exec("INSERT INTO t VALUES (?)", value))
    local row = db:query("SELECT v, typeof(v) AS type FROM t")[1]
    return row.v, row.type
  end

  it("comes back as it was stored", function()
    for _, case in ipairs {{0, "integer"}, {math.maxinteger, "integer"}, {math.mininteger, "integer"}, {1.5, "real"},
        {-2.0, "real"}, {math.huge, "real"}, {"", "text"}, {"Käse\n'--", "text"}, {"a\0b", "text"}} do
      local value, type = back(case[1])
      assert.equal(case[1], value)
      assert.equal(math.type(case[1]), math.type(value))
      assert.equal(case[2], type)
    end
  end)

  it("is NULL for nil and json.null, which is absent in rows", function()
    assert.same({nil, "null"}, {back(nil)})
    assert.same({nil, "null"}, {back(json.null)})
  end)

  it("is 1 or 0 for booleans", function()
    assert.same({1, "integer"}, {back(true)})
    assert.same({0, "integer"}, {back(false)})
  end)

  it("is a BLOB when marked as such", function()
    local bytes = "\0\255" .. ("x"):rep(100000)
    local value, type = back(sqlite.blob(bytes))
    assert.is_true(value == bytes)
    assert.equal("blob", type)
    assert.same({"", "blob"}, {back(sqlite.blob(""))})
  end)

  it("may be in any place of many", function()
    local row = assert(db:query("SELECT ? AS a, ? AS b, ? AS c, ? AS d", nil, 1, nil, "x"))[1]
    assert.same({b = 1, d = "x"}, row)
  end)
end)

describe("parameters", function()
  -- The message that wrong use raises, which begins with our own line.
  local function raised(...)
    local args = table.pack(...)
    local ok, err = pcall(function() db:exec(table.unpack(args, 1, args.n)) end)
    assert.is_false(ok)
    assert.matches("^[^:]*sqlite_spec%.lua:%d+: ", err)
    return err
  end

  it("have names when they come in one table", function()
    assert(db:exec("INSERT INTO t VALUES (:a + :b)", {a = 1, b = 2}))
    assert.equal(3, db:query("SELECT v FROM t")[1].v)
    assert.is_nil(db:query("SELECT :a AS a", {})[1].a)
  end)

  it("must fit the statement", function()
    assert.matches("has 1 parameter, not 0", raised("INSERT INTO t VALUES (?)"))
    assert.matches("has 1 parameter, not 2", raised("INSERT INTO t VALUES (?)", 1, 2))
    assert.matches("no parameter :b", raised("INSERT INTO t VALUES (:a)", {a = 1, b = 2}))
    assert.matches("names its parameters", raised("INSERT INTO t VALUES (?)", {1}))
    assert.matches("parameter :a: a table cannot be stored; store json.encode", raised("INSERT INTO t VALUES (:a)", {a = {}}))
    assert.matches("parameter 2: a function", raised("INSERT INTO t VALUES (?, ?)", 1, print))
    assert.matches("the SQL is a string", raised(42))
    assert.matches("NUL", raised("SELECT 1\0"))
    assert.matches("several statements at once", raised("SELECT 1; SELECT ?", 1))
    assert.equal(0, count(db))
  end)
end)

describe("exec", function()
  it("tells how many rows it changed, and the last id", function()
    assert(db:exec("CREATE TABLE u (id INTEGER PRIMARY KEY, n)"))
    assert.same({2, 2}, {db:exec("INSERT INTO u (n) VALUES (1), (2)")})
    assert.equal(2, (db:exec("UPDATE u SET n = 3")))
    assert.equal(0, (db:exec("CREATE INDEX i ON u (n)")))
    assert.equal(0, (db:exec("DELETE FROM u WHERE n = 99")))
    assert.equal(0, (db:exec("")))
    assert.equal(0, (db:exec("-- nothing")))
  end)

  it("runs several statements, all or none", function()
    assert.equal(3, (db:exec("INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (';'); -- the end")))
    local ok, err = db:exec("INSERT INTO t VALUES (4); INSERT INTO nowhere VALUES (5)")
    assert.is_nil(ok)
    assert.equal("no such table: nowhere", err.message)
    assert.equal(3, count(db))
  end)

  it("says what went wrong, by code", function()
    local function code_of(sql)
      local ok, err = db:exec(sql)
      assert.is_nil(ok)
      assert.equal(err.code .. ": " .. err.message, tostring(err))
      return err.code, err.constraint
    end
    assert(db:exec([[CREATE TABLE u (id INTEGER PRIMARY KEY, a UNIQUE, b NOT NULL DEFAULT 1, c CHECK (c > 0),
      d REFERENCES u)]]))
    assert(db:exec("INSERT INTO u (a) VALUES (1)"))
    assert.equal("syntax", (code_of("SELEC 1")))
    assert.equal("syntax", (code_of("SELECT * FROM nowhere")))
    assert.same({"constraint", "unique"}, {code_of("INSERT INTO u (a) VALUES (1)")})
    assert.same({"constraint", "primary_key"}, {code_of("INSERT INTO u (id) VALUES (1)")})
    assert.same({"constraint", "not_null"}, {code_of("INSERT INTO u (b) VALUES (NULL)")})
    assert.same({"constraint", "check"}, {code_of("INSERT INTO u (c) VALUES (0)")})
    assert.same({"constraint", "foreign_key"}, {code_of("INSERT INTO u (d) VALUES (99)")})
    assert.equal("mismatch", (code_of("INSERT INTO u (id) VALUES ('x')")))
    assert.equal("error", (code_of("SELECT abs(-9223372036854775807 - 1)")))
  end)

  it("says when the file is full", function()
    assert(db:exec("PRAGMA max_page_count = 20"))
    local ok, err = db:exec("INSERT INTO t VALUES (zeroblob(1000000))")
    assert.is_nil(ok)
    assert.equal("full", err.code)
    assert.equal(1, (db:exec("INSERT INTO t VALUES (1)")))
  end)

  it("leaves transactions to db:transaction", function()
    for _, sql in ipairs {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "INSERT INTO t VALUES (1); BEGIN"} do
      local ok, err = pcall(db.exec, db, sql)
      assert.is_false(ok)
      assert.matches("db:transaction", err)
    end
    assert.equal(0, count(db))
  end)
end)

describe("query", function()
  it("gives an empty list that is one in JSON, too", function()
    assert.equal("[]", json.encode(db:query("SELECT * FROM t")))
  end)

  it("brings rows in their order, however many", function()
    numbers(20000)
    local rows = db:query("SELECT v, 'row ' || v AS name FROM t ORDER BY v")
    assert.equal(20000, #rows)
    for i, row in ipairs(rows) do assert(row.v == i and row.name == "row " .. i, i) end
  end)

  it("may write and return rows, also many", function()
    local rows = assert(db:query("INSERT INTO t VALUES (?), (?) RETURNING v * 2 AS twice", 1, 2))
    assert.same({{twice = 2}, {twice = 4}}, rows)
    numbers(9998)
    rows = assert(db:query("UPDATE t SET v = 0 RETURNING v"))
    assert.equal(10000, #rows)
    assert.same({v = 0}, rows[10000])
    rows = assert(db:query("WITH x AS (SELECT 1) DELETE FROM t RETURNING v"))
    assert.equal(10000, #rows)
  end)

  it("sees a column that was added meanwhile", function()
    numbers(1)
    assert.same({{v = 1}}, db:query("SELECT * FROM t"))
    assert(db:exec("ALTER TABLE t ADD COLUMN w DEFAULT 2"))
    assert.same({{v = 1, w = 2}}, db:query("SELECT * FROM t"))
  end)

  it("has a limit of memory", function()
    numbers(5000)
    local rows, err = db:with {limit = "100KB"}:query("SELECT v FROM t")
    assert.is_nil(rows)
    assert.equal("too_large", err.code)
    rows, err = db:with {limit = "100KB"}:query("SELECT zeroblob(10000000) AS b")
    assert.is_nil(rows)
    assert.equal("too_large", err.code)
    assert.equal(5000, #db:query("SELECT v FROM t"))
  end)

  it("has a limit of time", function()
    for _, sql in ipairs {ENDLESS, ENDLESS_INSERT} do
      local rows, err = db:with {timeout = "50ms"}:query(sql)
      assert.is_nil(rows)
      assert.equal("timeout", err.code)
    end
    assert.equal(0, count(db))
  end)

  it("keeps few statements prepared, and finds them again", function()
    local small <close> = assert(sqlite.open(":memory:", {statements = 2}))
    for _ = 1, 3 do
      for i = 1, 5 do assert.equal(i, small:query("SELECT " .. i .. " AS n")[1].n) end
    end
  end)
end)

describe("rows", function()
  it("come batch by batch, while others write", function()
    numbers(10000)
    local seen = 0
    for row in db:rows("SELECT v FROM t WHERE v > ?", 0) do
      seen = seen + 1
      assert.equal(seen, row.v)
      if seen == 1 then assert(db:exec("DELETE FROM t")) end
    end
    assert.equal(10000, seen)
    assert.equal(0, count(db))
  end)

  it("give their connection back when the loop is left", function()
    numbers(10000)
    for i = 1, 10 do
      for row in db:rows("SELECT v FROM t") do
        if row.v > 0 then break end
      end
      pcall(function()
        for row in db:rows("SELECT v FROM t") do error("out of " .. row.v) end
      end)
      assert.equal(i - 1, db:query("SELECT ? AS n", i - 1)[1].n)
    end
  end)

  it("raise what goes wrong", function()
    for _, sql in ipairs {"SELEC", "DELETE FROM t RETURNING v", ENDLESS} do
      local ok, err = pcall(function()
        for _ in db:with {timeout = "50ms"}:rows(sql) do assert(false) end
      end)
      assert.is_false(ok)
      assert.is_string(err.code)
    end
  end)

  it("refuse to wait for themselves", function()
    local ok, err = pcall(function()
      for _ in db:rows("SELECT 1") do
        for _ in db:rows("SELECT 2") do
          for _ in db:rows("SELECT 3") do assert(false) end
        end
      end
    end)
    assert.is_false(ok)
    assert.matches("would wait for itself", err)
  end)
end)

describe("a transaction", function()
  it("happens whole", function()
    assert.is_true(db:transaction(function(tx)
      tx:exec("INSERT INTO t VALUES (1)")
      assert.equal(1, count(tx))
      assert.equal(0, count(db))
      tx:exec("INSERT INTO t VALUES (2)")
    end))
    assert.equal(2, count(db))
    assert.same({7, nil, 8}, {db:transaction(function() return 7, nil, 8 end)})
  end)

  it("does not happen when its function fails or says so", function()
    local ok, err = pcall(db.transaction, db, function(tx)
      tx:exec("INSERT INTO t VALUES (1)")
      error("no!")
    end)
    assert.is_false(ok)
    assert.matches("no!$", err)
    local result, why = db:transaction(function(tx)
      tx:exec("INSERT INTO t VALUES (1)")
      return nil, "rather not"
    end)
    assert.same({nil, "rather not"}, {result, why})
    assert.equal(0, count(db))
  end)

  it("has others within it, which fail alone", function()
    db:transaction(function(tx)
      tx:exec("INSERT INTO t VALUES (1)")
      assert.is_true(tx:transaction(function(inner) inner:exec("INSERT INTO t VALUES (2)") end))
      pcall(tx.transaction, tx, function(inner)
        inner:exec("INSERT INTO t VALUES (3)")
        inner:transaction(function(third) third:exec("INSERT INTO t VALUES (4)") end)
        error("no!")
      end)
      assert.same({nil, "no"}, {tx:transaction(function(inner)
        inner:exec("INSERT INTO t VALUES (5)")
        return nil, "no"
      end)})
    end)
    assert.same({{v = 1}, {v = 2}}, db:query("SELECT v FROM t ORDER BY v"))
  end)

  it("is over when SQLite has rolled it back", function()
    local ok, err = db:transaction(function(tx)
      tx:exec("INSERT INTO t VALUES (1)")
      local done, why = tx:exec("INSERT OR ROLLBACK INTO t SELECT v FROM t UNION ALL SELECT raise FROM nowhere")
      assert(not done and why.code == "syntax")
      tx:exec("CREATE UNIQUE INDEX i ON t (v)")
      done, why = tx:exec("INSERT OR ROLLBACK INTO t VALUES (1)")
      assert(not done and why.code == "constraint")
      done, why = tx:exec("INSERT INTO t VALUES (2)")
      assert(not done and why.code == "aborted")
    end)
    assert.is_nil(ok)
    assert.equal("aborted", err.code)
    assert.equal(0, count(db))
  end)

  it("lets the loop over its rows change them", function()
    numbers(3000)
    db:transaction(function(tx)
      for row in tx:rows("SELECT v FROM t WHERE v % 100 = 0") do tx:exec("DELETE FROM t WHERE v = ?", row.v) end
    end)
    assert.equal(2970, count(db))
  end)

  it("cannot be used after its end, nor by two tasks at once", function()
    local kept
    db:transaction(function(tx)
      kept = tx
      local g <close> = task.group()
      local slow = g:spawn(tx.query, tx, ENDLESS)
      task.yield()
      local ok, err = pcall(tx.query, tx, "SELECT 1")
      assert.is_false(ok)
      assert.matches("another task is using this transaction", err)
      slow:cancel()
    end)
    local ok, err = kept:exec("INSERT INTO t VALUES (1)")
    assert.is_nil(ok)
    assert.equal("closed", err.code)
    assert.equal(0, count(db))
  end)

  it("says so when the database is used instead of it", function()
    local ok, err = pcall(db.transaction, db, function() db:exec("INSERT INTO t VALUES (1)") end)
    assert.is_false(ok)
    assert.matches("use tx", err)
    local memory <close> = assert(sqlite.open(":memory:"))
    ok, err = pcall(memory.transaction, memory, function() memory:query("SELECT 1") end)
    assert.is_false(ok)
    assert.matches("use tx", err)
  end)

  it("does not wait in a thread for the lock of another connection", function()
    local other <close> = assert(sqlite.open(path(), {busy_timeout = "20ms"}))
    local g <close> = task.group()
    local release = false
    g:spawn(db.transaction, db, function(tx)
      tx:exec("INSERT INTO t VALUES (1)")
      while not release do task.sleep("1ms") end
    end)
    local ok, err
    repeat ok, err = other:exec("INSERT INTO t VALUES (2)") until not ok
    assert.equal("busy", err.code)
    local waiting = g:spawn(function()
      return assert(other:with {busy_timeout = "10s"}:exec("INSERT INTO t VALUES (3)"))
    end)
    task.sleep("5ms")
    release = true
    assert.is_true((waiting:join()))
    assert.equal(1, #db:query("SELECT v FROM t WHERE v = 3"))
  end)
end)

describe("who waits for a connection", function()
  it("gets it in the order of asking", function()
    local order = {}
    do
      local g <close> = task.group()
      for i = 1, 50 do
        g:spawn(function()
          db:transaction(function(tx)
            tx:exec("INSERT INTO t VALUES (?)", i)
            order[#order + 1] = i
          end)
        end)
      end
    end
    for i = 1, 50 do assert.equal(i, order[i]) end
    assert.equal(50, count(db))
  end)

  it("waits no longer than the timeout", function()
    db:transaction(function()
      local err = select(2, task.timeout("10s", function()
        return db:with {timeout = "20ms"}:exec("INSERT INTO t VALUES (1)")
      end))
      assert.equal("timeout", err.code)
    end)
  end)

  it("is told when the database is closed", function()
    local g <close> = task.group()
    local results = {}
    g:spawn(db.transaction, db, function(tx)
      for i = 1, 3 do g:spawn(function() results[i] = select(2, db:exec("INSERT INTO t VALUES (0)")).code end) end
      task.yield()
      db:close()
      tx:exec("INSERT INTO t VALUES (1)") -- what is under way ends in its own time
    end)
    g:join()
    assert.same({"closed", "closed", "closed"}, results)
    local again <close> = assert(sqlite.open(path()))
    assert.equal(1, count(again))
  end)
end)

describe("a cancel", function()
  -- Cancels `fn` after `steps` looks at the loop; each is a little later in its life.
  local function cancel_after(steps, fn)
    local g <close> = task.group()
    local t = g:spawn(fn)
    for _ = 1, steps do task.yield() end
    t:cancel()
    t:join()
  end

  it("of a statement means that it did not happen, at any instant", function()
    local done = 0
    local function insert()
      assert(db:exec("INSERT INTO t VALUES (1)"))
      done = done + 1
    end
    for steps = 0, 60 do
      cancel_after(steps // 3, insert)
      assert.equal(done, count(db))
      assert.is_true(steps > 0 or done == 0)
    end
    local before = done
    insert()
    assert.equal(before + 1, count(db))
  end)

  it("of a transaction means that nothing of it happened, at any instant", function()
    local done = 0
    local function insert_two()
      assert(db:transaction(function(tx)
        assert(tx:exec("INSERT INTO t VALUES (1)"))
        assert(tx:transaction(function(inner) assert(inner:exec("INSERT INTO t VALUES (2)")) end))
      end))
      done = done + 2
    end
    for steps = 0, 90 do
      cancel_after(steps // 2, insert_two)
      assert.equal(done, count(db))
      assert.is_true(steps > 0 or done == 0)
    end
    local before = done
    insert_two()
    assert.equal(before + 2, count(db))
  end)

  it("of a query gives its connection back, at any instant", function()
    numbers(5000)
    for steps = 0, 60 do
      cancel_after(steps // 2, function() db:query("SELECT v FROM t") end)
      cancel_after(steps // 2, function() for _ in db:rows("SELECT v FROM t") do task.yield() end end)
    end
    local first, _, _, first_lease = db:rows("SELECT v FROM t") -- both are free
    local second, _, _, second_lease = db:rows("SELECT v FROM t")
    assert.same({{v = 1}, {v = 1}}, {first(), second()})
    first_lease:close()
    second_lease:close()
  end)

  it("of who waits takes nobody else's turn", function()
    local seen = 0
    for steps = 0, 20 do
      local g <close> = task.group()
      local tasks = {}
      for i = 1, 6 do
        tasks[i] = g:spawn(function()
          db:transaction(function() task.yield() end)
          seen = seen + 1
        end)
      end
      for _ = 1, steps do task.yield() end
      tasks[2]:cancel()
      tasks[3]:cancel()
      for i = 4, 6 do assert.is_true((tasks[i]:join("10s"))) end
    end
    assert.is_true(seen >= 21 * 4)
  end)

  it("stops what would never end", function()
    for _, sql in ipairs {ENDLESS, ENDLESS_INSERT} do
      for steps = 0, 20 do cancel_after(steps, function() db:exec(sql) end) end
    end
    assert.equal(0, count(db))
  end)
end)

describe("a database", function()
  it("that cannot be opened is an error", function()
    local missing, err = sqlite.open(dir .. "/no/such/folder.db")
    assert.is_nil(missing)
    assert.equal("cannot_open", err.code)
    missing, err = sqlite.open(dir .. "/none.db", {readonly = true})
    assert.is_nil(missing)
    assert.equal("cannot_open", err.code)
  end)

  it("that is none, or broken, is an error", function()
    local file = assert(io.open(dir .. "/text.db", "w"))
    file:write(("This is no database.\n"):rep(1000))
    file:close()
    local none, err = sqlite.open(dir .. "/text.db")
    assert.is_nil(none)
    assert.equal("corrupt", err.code)

    numbers(20000)
    db:close()
    local whole <close> = assert(sqlite.open(path()))
    assert(whole:exec("PRAGMA wal_checkpoint(TRUNCATE)"))
    whole:close()
    file = assert(io.open(path(), "r+"))
    file:seek("set", 4096 * 3)
    file:write(("\255"):rep(4096 * 10))
    file:close()
    local broken <close> = assert(sqlite.open(path()))
    local rows
    rows, err = broken:query("SELECT * FROM t")
    assert.is_nil(rows)
    assert.equal("corrupt", err.code)
  end)

  it("can be opened for reading only", function()
    numbers(3)
    local reading <close> = assert(sqlite.open(path(), {readonly = true}))
    assert.equal(3, count(reading))
    local ok, err = reading:exec("DELETE FROM t")
    assert.is_nil(ok)
    assert.equal("readonly", err.code)
  end)

  it("may be in memory, with one connection for all", function()
    local memory <close> = assert(sqlite.open(":memory:"))
    assert(memory:exec("CREATE TABLE t (v); INSERT INTO t VALUES (1), (2)"))
    local g <close> = task.group()
    for _ = 1, 10 do g:spawn(function() assert.equal(2, count(memory)) end) end
    g:join()
    for row in memory:rows("SELECT v FROM t") do memory:exec("DELETE FROM t WHERE v = ?", row.v) end
    assert.equal(0, count(memory))
  end)

  it("checks its options", function()
    for opts, message in pairs {[{reader = 1}] = 'did you mean "readers"', [{readers = 0}] = "from 1 to 1000",
        [{statements = 1.5}] = "from 1 to 1000", [{limit = "lots"}] = "option limit"} do
      local ok, err = pcall(sqlite.open, ":memory:", opts)
      assert.is_false(ok)
      assert.matches(message, err)
    end
    assert.is_false((pcall(sqlite.open)))
    assert.is_false((pcall(sqlite.blob, 42)))
    assert.is_false((pcall(db.transaction, db)))
  end)
end)

describe("migrate", function()
  it("runs each step once", function()
    local runs = 0
    local steps = {"CREATE TABLE a (n); CREATE TABLE b (n)", function(tx)
      runs = runs + 1
      assert(tx:exec("INSERT INTO a VALUES (1)"))
    end}
    assert.equal(2, db:migrate(steps))
    assert.equal(2, db:migrate(steps))
    steps[3] = "ALTER TABLE a ADD COLUMN m"
    assert.equal(3, db:migrate(steps))
    assert.equal(1, runs)
    assert.same({{n = 1}}, db:query("SELECT * FROM a"))
  end)

  it("undoes all steps when one fails, and refuses a database that is newer", function()
    local version, err = db:migrate {"CREATE TABLE a (n)", "CREATE TABEL b (n)"}
    assert.is_nil(version)
    assert.equal("syntax", err.code)
    assert.equal(1, db:migrate {"CREATE TABLE a (n)"})
    version, err = db:migrate {}
    assert.is_nil(version)
    assert.matches("has version 1, this program knows only 0", err)
  end)
end)
