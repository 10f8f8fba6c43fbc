-- What parks in a database, for the cancellation matrix (spec/support/matrix.lua). The servers are real; a spec puts them
-- into `servers` before the rows run.
local core = require "neap.core"
local sqlite = require "neap.sqlite"
local task = require "neap.task"

local pg = core.pg_open and require "neap.pg"
local redis = core.redis_reader and require "neap.redis"

local servers = {} ---@type {redis: spec.Redis, pg: spec.Postgres}

-- Runs fn(hold) in a task; returns what `hold` was given, which waits until `over`.
local function held(case, fn)
  local things, over, g = task.queue(), task.event(), case:group()
  g:spawn(fn, function(thing)
    things:put(thing)
    over:wait()
  end)
  return assert(things:get(10)), over
end

-- A row whose only connection is in use until it completes.
local function behind(case, hold, use)
  local _, over = held(case, hold)
  return {park = use, complete = function() over:set() end, keeps = true}
end

-- ---- SQLite ----

local function file(case)
  local path = os.tmpname()
  case:keep {close = function()
    for _, suffix in ipairs {"", "-wal", "-shm"} do os.remove(path .. suffix) end
  end}
  return path
end

local function database(case)
  local db = case:keep(assert(sqlite.open(file(case), {readers = 1})))
  assert(db:exec("CREATE TABLE t (n)"))
  return db
end

local function count(runner)
  return runner:query("SELECT count(*) AS n FROM t")[1].n
end

-- A row of something that inserts `most` rows at once: in the table is what its callers were told of, never a part.
local function inserting(runner, insert, most)
  local told = 0
  return {
    park = function()
      local result = assert(insert())
      told = told + most
      return result
    end,
    whole = function() return count(runner) == told end,
  }
end

local INSERT = "INSERT INTO t VALUES (1)"
local MANY = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2000) SELECT n FROM c"

local function sum(rows, ...)
  local total = 0
  for row in rows, ... do total = total + row.n end
  return total == 2001000
end

-- A transaction that is open, for the row to use, and what ends it.
local function inside(case, db)
  return held(case, function(hold) db:transaction(hold) end)
end

-- Takes long enough to be stopped in its middle.
local INSERT_MANY = "INSERT INTO t " .. MANY

-- A row of something that writes in a transaction, `most` rows at once. SQLite undoes the whole transaction when a write is
-- stopped in its middle; the next call says so, and goes on in a new one, in which nothing is left of it.
local function writing(case, write, most)
  local db, told = database(case), 0
  local tx, over = inside(case, db)
  return {
    park = function()
      local result, err = write(tx)
      if not result and err.code == "aborted" then
        over:set()
        tx, over = inside(case, db)
        told = 0
        result, err = write(tx)
      end
      assert(result, err)
      told = told + most
      return result
    end,
    whole = function() return count(tx) == told end,
  }
end

local sqlite_rows = {
  {"neap.sqlite.open", function(case)
    local path = file(case)
    return {park = function()
      local db <close> = sqlite.open(path)
      return db ~= nil
    end}
  end},
  {"neap.Database:exec", function(case)
    local db = database(case)
    return inserting(db, function() return db:exec(INSERT) end, 1)
  end},
  {"neap.Database:exec, of several statements", function(case)
    local db = database(case)
    return inserting(db, function() return db:exec(INSERT .. ";" .. INSERT .. ";" .. INSERT) end, 3)
  end},
  {"neap.Database:exec, while another has the connection", function(case)
    local db = database(case)
    return behind(case, function(hold) db:transaction(hold) end, function() return db:exec(INSERT) end)
  end},
  {"neap.Database:query", function(case)
    local db = database(case)
    return {park = function() return db:query("SELECT 7 AS n")[1].n == 7 end}
  end},
  {"neap.Database:query, while another has the connection", function(case)
    local db = database(case)
    return behind(case, function(hold)
      for row in db:rows(MANY) do
        if row.n == 1 then hold(row) end
      end
    end, function() return db:query("SELECT 7 AS n")[1].n == 7 end)
  end},
  {"neap.Database:rows", function(case)
    local db = database(case)
    return {park = function() return sum(db:rows(MANY)) end}
  end},
  {"neap.Database:transaction", function(case)
    local db = database(case)
    return inserting(db, function()
      return db:transaction(function(tx)
        assert(tx:exec(INSERT))
        assert(tx:exec(INSERT))
      end)
    end, 2)
  end},
  {"neap.Database:migrate", function(case)
    local db = database(case)
    return {
      park = function() return db:migrate {"CREATE TABLE a (n)", INSERT} == 2 end, whole = function() return count(db) == 1 end,
    }
  end},
  {"neap.Transaction:exec", function(case)
    return writing(case, function(tx) return tx:exec(INSERT) end, 1)
  end},
  {"neap.Transaction:exec, for long", function(case)
    return writing(case, function(tx) return tx:exec(INSERT_MANY) end, 2000)
  end},
  {"neap.Transaction:query", function(case)
    local tx = inside(case, database(case))
    return {park = function() return tx:query("SELECT 7 AS n")[1].n == 7 end}
  end},
  {"neap.Transaction:rows", function(case)
    local tx = inside(case, database(case))
    return {park = function() return sum(tx:rows(MANY)) end}
  end},
  {"neap.Transaction:transaction", function(case)
    return writing(case, function(tx)
      return tx:transaction(function(inner)
        assert(inner:exec(INSERT))
        assert(inner:exec(INSERT_MANY))
      end)
    end, 2001)
  end},
}

-- ---- Redis ----

-- One connection, which is open; `opts.cold`: not yet.
local function redis_client(case, is_cold)
  local r = case:keep(redis.connect(servers.redis.url, {max = 1}))
  if not is_cold then assert(r:set("k", "value")) end
  return r
end

local function in_order(r)
  return function() return r:stats().waiting == 0 and r:stats().open <= 1 end
end

-- A subscription by `method`, and what is published to it.
local function subscription(case, method, name, message_at)
  local r, other = redis_client(case), redis_client(case)
  local next_message, _, _, it = r[method](r, name)
  case:keep(it)
  local g = case:group()
  return {
    park = function() return select(message_at, next_message()) == "item" end,
    complete = function() g:spawn(function() other:publish("parking.a", "item") end) end,
    keeps = true,
  }
end

-- A row that subscribes, and leaves at once.
local function subscribing(case, method, name)
  local r = redis_client(case)
  return {park = function()
    local next_message, _, _, it = r[method](r, name)
    local _ <close> = it
    return next_message
  end, whole = in_order(r)}
end

local redis_rows = {
  {"neap.Redis:command", function(case)
    local r = redis_client(case)
    return {park = function() return r:command("GET", "k") == "value" end, whole = in_order(r)}
  end},
  {"neap.Redis:command, the first on its connection", function(case)
    local r = redis_client(case, true)
    return {park = function() return r:ping() == "PONG" end, whole = in_order(r)}
  end},
  {"neap.Redis:command, over TLS", function(case)
    local r = case:keep(redis.connect(servers.redis.tls_url, {max = 1, tls = {ca = servers.redis.ca}}))
    return {park = function() return r:ping() == "PONG" end, whole = in_order(r)}
  end},
  {"neap.Redis:command, while another has the connection", function(case)
    local r = redis_client(case)
    return behind(case, function(hold) r:pinned(hold) end, function() return r:get("k") == "value" end)
  end},
  {"neap.Redis:pipeline", function(case)
    local r = redis_client(case)
    return {park = function()
      return r:pipeline(function(p) p:set("n", 1) p:incr("n") p:get("k") end)[3] == "value"
    end, whole = in_order(r)}
  end},
  {"neap.Redis:pipeline, atomic", function(case)
    local r = redis_client(case)
    return {park = function()
      return r:pipeline(function(p) p:set("n", 1) p:incr("n") end, {atomic = true})[2] == 2
    end, whole = in_order(r)}
  end},
  {"neap.Redis:pinned", function(case)
    local r = redis_client(case)
    return {park = function()
      return r:pinned(function(c) return c:watch("k") and c:unwatch() and c:get("k") end) == "value"
    end, whole = in_order(r)}
  end},
  {"neap.Redis:subscribe", function(case) return subscribing(case, "subscribe", "parking.a") end},
  {"neap.Redis:psubscribe", function(case) return subscribing(case, "psubscribe", "parking.*") end},
  {"neap.Redis:subscribe, the next message", function(case)
    return subscription(case, "subscribe", "parking.a", 2)
  end},
  {"neap.Redis:psubscribe, the next message", function(case)
    return subscription(case, "psubscribe", "parking.*", 2)
  end},
}

-- ---- PostgreSQL ----

-- Likewise.
local function pg_client(case, is_cold)
  local db = case:keep(pg.connect(servers.pg.dsn, {max = 1}))
  if not is_cold then assert(db:exec("CREATE TEMPORARY TABLE IF NOT EXISTS parked (n int)")) end
  return db
end

local function one(runner)
  return runner:query("SELECT $1 AS n", 7)[1].n == 7
end

local pg_rows = {
  {"neap.PgRunner:query", function(case)
    local db = pg_client(case)
    return {park = function() return one(db) end, whole = in_order(db)}
  end},
  {"neap.PgRunner:query, the first on its connection", function(case)
    local db = pg_client(case, true)
    return {park = function() return one(db) end, whole = in_order(db)}
  end},
  {"neap.PgRunner:query, while another has the connection", function(case)
    local db = pg_client(case)
    return behind(case, function(hold) db:transaction(hold) end, function() return one(db) end)
  end},
  {"neap.PgRunner:exec", function(case)
    local db = pg_client(case)
    return {park = function() return db:exec("UPDATE parked SET n = $1", 1) end, whole = in_order(db)}
  end},
  {"neap.PgRunner:rows", function(case)
    local db = pg_client(case)
    return {
      park = function() return sum(db:rows("SELECT n FROM generate_series(1, 2000) AS n")) end, whole = in_order(db),
    }
  end},
  {"neap.PgDatabase:transaction", function(case)
    local db = pg_client(case)
    return {
      park = function()
        return db:transaction(function(tx)
          assert(tx:exec("INSERT INTO parked VALUES (1)"))
          assert(tx:exec("INSERT INTO parked VALUES (2)"))
          return one(tx)
        end)
      end,
      whole = function() -- nothing of one that was left in the middle
        return db:query("SELECT count(*) % 2 AS n FROM parked")[1].n == 0
      end,
    }
  end},
  {"neap.PgDatabase:listen", function(case)
    local db = pg_client(case)
    return {park = function()
      local next_payload, _, _, it = db:listen("parking")
      local _ <close> = it
      return next_payload
    end}
  end},
  {"neap.PgDatabase:listen, the next payload", function(case)
    local db = pg_client(case)
    local next_payload, _, _, it = db:listen("parking")
    case:keep(it)
    local g = case:group()
    return {
      park = function() return select(2, next_payload()) == "item" end,
      complete = function() g:spawn(function() db:exec("SELECT pg_notify('parking', 'item')") end) end,
      keeps = true,
    }
  end},
}

return {servers = servers, sqlite = sqlite_rows, redis = redis_rows, pg = pg_rows}
