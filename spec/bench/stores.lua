-- What 50 handlers get out of a pool of 10 connections: calls per second, how evenly they are served, and the longest that
-- the loop was kept from anything else.
--
--   neap exec spec/bench/stores.lua [ROW...]
--
-- A new row is one more entry of ROWS: `open` gives a function that makes one call, and what closes everything.
local task = require "neap.task"

local TASKS, CONNECTIONS, SECONDS, WARM_SECONDS = 50, 10, 3, 0.5
local TICK = 0.001
local MOST_STALL = 0.005

-- Only if all is there that it needs.
local function peer_of(name)
  local peer = require("spec.support." .. name)
  if peer.is_missing() then return nil end
  return peer.start()
end

local ROWS = {
  {name = "redis: GET of 100 bytes", key = "redis", open = function()
    local peer = peer_of "redis"
    if not peer then return nil end
    local r = require("neap.redis").connect(peer.url, {max = CONNECTIONS})
    assert(r:set("key", ("x"):rep(100)))
    return function() assert(r:get("key")) end, function()
      r:close()
      peer:stop()
    end
  end},
  {name = "pg: SELECT of one row by its key", key = "pg", open = function()
    local peer = peer_of "postgres"
    if not peer then return nil end
    local db = require("neap.pg").connect(peer.dsn, {max = CONNECTIONS})
    assert(db:exec("CREATE TABLE item (id int PRIMARY KEY, name text);"
      .. "INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 1000) AS n"))
    return function(i) assert(db:query("SELECT * FROM item WHERE id = $1", i)[1].id == i) end, function()
      db:close()
      peer:__close()
    end
  end},
  {name = "pg: SELECT of 1,000 rows", key = "pg-rows", open = function()
    local peer = peer_of "postgres"
    if not peer then return nil end
    local db = require("neap.pg").connect(peer.dsn, {max = CONNECTIONS})
    return function() assert(#db:query("SELECT n, 'name ' || n AS name FROM generate_series(1, 1000) AS n") == 1000) end,
      function()
        db:close()
        peer:__close()
      end
  end},
  {name = "sqlite: SELECT of one row by its key", key = "sqlite", open = function()
    local ok, sqlite = pcall(require, "neap.sqlite")
    if not ok then return nil end
    local path = os.tmpname()
    local db = assert(sqlite.open(path, {readers = CONNECTIONS}))
    assert(db:exec("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)"))
    assert(db:transaction(function(tx)
      for i = 1, 1000 do assert(tx:exec("INSERT INTO item VALUES (?, ?)", i, "name " .. i)) end
    end))
    return function(i) assert(db:query("SELECT * FROM item WHERE id = ?", i)[1].id == i) end, function()
      db:close()
      for _, suffix in ipairs {"", "-wal", "-shm"} do os.remove(path .. suffix) end
    end
  end},
}

-- Seconds that this thread wanted to run while others had the core.
local function waited()
  local file <close> = assert(io.open("/proc/thread-self/schedstat"))
  local _, nanoseconds = file:read("n", "n")
  return nanoseconds / 1e9
end

-- How late the loop came back to a task that sleeps a millisecond, at most: in all, and by its own doing.
local function watch(until_when)
  local longest, own = 0, 0
  while task.now() < until_when do
    local from, waited_before = task.now(), waited()
    task.sleep(TICK)
    local late = task.now() - from - TICK
    longest, own = math.max(longest, late), math.max(own, late - (waited() - waited_before))
  end
  return longest, own
end

local function drive(call, seconds)
  local served, stop = {}, task.now() + seconds
  local g <close> = task.group()
  for i = 1, TASKS do
    served[i] = 0
    g:spawn(function()
      while task.now() < stop do
        call(i)
        served[i] = served[i] + 1
      end
    end)
  end
  local stall = g:spawn(watch, stop)
  g:join()
  table.sort(served)
  return served, select(2, stall:join()) -- true, longest, own
end

local function measure(row)
  local call, close = row.open()
  if not call then
    print(("%-40s is missing something"):format(row.name))
    return true
  end
  drive(call, WARM_SECONDS)
  local served, longest, own = drive(call, SECONDS)
  close()
  local sum = 0
  for _, count in ipairs(served) do sum = sum + count end
  print(("%-36s %7.0f calls/s   per handler %d to %d (%.2f)   longest stall %.1f ms (with waiting for a core: %.1f)")
    :format(row.name, sum / SECONDS, served[1], served[TASKS], served[1] / served[TASKS], own * 1000, longest * 1000))
  return own < MOST_STALL
end

local wanted = {}
for _, key in ipairs(arg or {}) do wanted[key] = true end
package.path = "./?.lua;" .. package.path
local is_good = true
for _, row in ipairs(ROWS) do
  if not next(wanted) or wanted[row.key] then is_good = measure(row) and is_good end
end
return is_good
