-- What parks in neap.pg, with a real server.
local core = require "neap.core"
local parking = require "spec.support.parking"
local postgres = require "spec.support.postgres"

local pg = core.pg_open and require "neap.pg"

local peer ---@type spec.Postgres

-- One connection, which is open; `is_cold`: not yet.
local function pg_client(case, is_cold)
  local db = case:keep(pg.connect(peer.dsn, {max = 1}))
  if not is_cold then assert(db:exec("CREATE TEMPORARY TABLE IF NOT EXISTS parked (n int)")) end
  return db
end

local function one(runner)
  return runner:query("SELECT $1 AS n", 7)[1].n == 7
end

return {
  missing = function() return postgres.is_missing() and "PostgreSQL, libpq or a user to run it is missing" end,
  start = function() peer = postgres.shared() end,
  stop = function() peer:__close() end,

  {"neap.PgRunner:query", function(case)
    local db = pg_client(case)
    return {park = function() return one(db) end, whole = parking.in_order(db)}
  end},
  {"neap.PgRunner:query, the first on its connection", function(case)
    local db = pg_client(case, true)
    return {park = function() return one(db) end, whole = parking.in_order(db)}
  end},
  {"neap.PgRunner:query, while another has the connection", function(case)
    local db = pg_client(case)
    return parking.behind(case, function(hold) db:transaction(hold) end, function() return one(db) end)
  end},
  {"neap.PgRunner:exec", function(case)
    local db = pg_client(case)
    return {park = function() return db:exec("UPDATE parked SET n = $1", 1) end, whole = parking.in_order(db)}
  end},
  {"neap.PgRunner:rows", function(case)
    local db = pg_client(case)
    return {
      park = function() return parking.sum(db:rows("SELECT n FROM generate_series(1, 2000) AS n")) end, whole = parking.in_order(db),
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
