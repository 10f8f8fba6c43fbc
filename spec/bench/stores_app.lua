-- The application that stores.lua drives: one route, whose handler makes one call to the store that STORE names.
local neap = require "neap"
local stall = require "spec.bench.stall"

local CONNECTIONS = 10
local ITEMS = 1000
local PG_ITEMS = "CREATE TABLE item (id int PRIMARY KEY, name text);"
  .. "INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 1000) AS n"

local function open_redis()
  local r = require("neap.redis").connect(os.getenv "STORE_URL", {max = CONNECTIONS})
  for i = 1, ITEMS do assert(r:set("item:" .. i, ("x"):rep(100))) end
  return r
end

local function open_pg()
  local db = require("neap.pg").connect(os.getenv "STORE_URL", {max = CONNECTIONS})
  assert(db:exec(PG_ITEMS))
  return db
end

local function open_sqlite()
  local db = assert(require("neap.sqlite").open(os.getenv "STORE_URL", {readers = CONNECTIONS}))
  assert(db:exec("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)"))
  assert(db:transaction(function(tx)
    for i = 1, ITEMS do assert(tx:exec("INSERT INTO item VALUES (?, ?)", i, "name " .. i)) end
  end))
  return db
end

-- By the name of the row: what opens its store, and what a handler does with it for one of the items.
local STORES = {
  ["redis"] = {open_redis, function(r, i) return assert(r:get("item:" .. i)) end},
  ["redis-write"] = {open_redis, function(r, i) return assert(r:set("item:" .. i, ("y"):rep(100))) end},
  ["pg"] = {open_pg, function(db, i) return assert(db:query("SELECT * FROM item WHERE id = $1", i)) end},
  ["pg-write"] = {open_pg, function(db, i)
    return tostring(assert(db:exec("UPDATE item SET name = $1 WHERE id = $2", "other " .. i, i)))
  end},
  ["pg-rows"] = {open_pg, function(db) return tostring(#assert(db:query("SELECT * FROM item"))) end},
  ["sqlite"] = {open_sqlite, function(db, i) return assert(db:query("SELECT * FROM item WHERE id = ?", i)) end},
  ["sqlite-write"] = {open_sqlite, function(db, i)
    return tostring(assert(db:exec("UPDATE item SET name = ? WHERE id = ?", "other " .. i, i)))
  end},
  ["sqlite-rows"] = {open_sqlite, function(db) return tostring(#assert(db:query("SELECT * FROM item"))) end},
}

local app = neap.app()
local open, call = table.unpack(STORES[os.getenv "STORE"])
local store
local worst = {longest = 0, own = 0}

app:on_startup(function() store = open() end)
app:on_cleanup(function() store:close() end)
app:service("watch", function() stall.watch(worst, function() return false end) end)
app:get("/call/:item", function(req) return call(store, math.tointeger(tonumber(req.params.item))) end)

-- The longest stalls since the last time that somebody asked.
app:get("/stalls", function()
  local seen = {longest = worst.longest, own = worst.own}
  worst.longest, worst.own = 0, 0
  return seen
end)

return app
