-- What parks in SQLite.
local parking = require "spec.support.parking"
local sqlite = require "neap.sqlite"

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

-- A transaction that is open, for the row to use, and what ends it.
local function inside(case, db)
  return parking.held(case, function(hold) db:transaction(hold) end)
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

return {
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
    return parking.behind(case, function(hold) db:transaction(hold) end, function() return db:exec(INSERT) end)
  end},
  {"neap.Database:query", function(case)
    local db = database(case)
    return {park = function() return db:query("SELECT 7 AS n")[1].n == 7 end}
  end},
  {"neap.Database:query, while another has the connection", function(case)
    local db = database(case)
    return parking.behind(case, function(hold)
      for row in db:rows(MANY) do
        if row.n == 1 then hold(row) end
      end
    end, function() return db:query("SELECT 7 AS n")[1].n == 7 end)
  end},
  {"neap.Database:rows", function(case)
    local db = database(case)
    return {park = function() return parking.sum(db:rows(MANY)) end}
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
    return {park = function() return parking.sum(tx:rows(MANY)) end}
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
