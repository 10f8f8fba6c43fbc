-- What 50 concurrent handlers get out of a pool of 10 connections: spec/bench/stores [ROW...]
--
-- A server with one worker runs stores_app.lua. 50 clients send it one request after the other, each on a connection of its
-- own. Printed are requests per second, the least and the most that one client got, and the longest that the server's loop
-- was kept from anything else. A new row is one more entry of ROWS and of STORES in stores_app.lua.
package.path = "./?.lua;" .. package.path
local json = require "neap.json"
local net = require "neap.net"
local server = require "spec.support.server"
local task = require "neap.task"

local CLIENTS, SECONDS, WARM_SECONDS = 50, 3, 0.5
local MOST_STALL = 0.005

-- What a row needs beside neap: a URL and what ends it; nil when something is missing.
local function peer_of(name, url)
  return function()
    local peer = require("spec.support." .. name)
    if peer.is_missing() then return nil end
    peer = peer.start()
    return peer[url], function() getmetatable(peer).__close(peer) end
  end
end

local function file()
  if not pcall(require, "neap.sqlite") then return nil end
  local path = os.tmpname()
  return path, function()
    for _, suffix in ipairs {"", "-wal", "-shm"} do os.remove(path .. suffix) end
  end
end

local redis, postgres = peer_of("redis", "url"), peer_of("postgres", "dsn")
local ROWS = {
  {"redis", "redis: GET of 100 bytes", redis},
  {"redis-write", "redis: SET of 100 bytes", redis},
  {"pg", "pg: SELECT of one row by its key", postgres},
  {"pg-write", "pg: UPDATE of one row by its key", postgres},
  {"pg-rows", "pg: SELECT of 1,000 rows", postgres},
  {"sqlite", "sqlite: SELECT of one row by its key", file},
  {"sqlite-write", "sqlite: UPDATE of one row by its key", file},
  {"sqlite-rows", "sqlite: SELECT of 1,000 rows", file},
}

-- The body of the answer.
local function ask(socket, path)
  assert(socket:send(("GET %s HTTP/1.1\r\nHost: bench\r\n\r\n"):format(path)))
  local head = assert(socket:read_until("\r\n\r\n"))
  local body = assert(socket:read_exact(tonumber(head:lower():match("\ncontent%-length: (%d+)"))))
  assert(head:find("^HTTP/1.1 200 "), body)
  return body
end

-- How often each client was served, fewest first; and what the server's loop was late at most.
local function drive(port, seconds)
  local served, stop = {}, task.now() + seconds
  local control <close> = assert(net.connect("127.0.0.1", port))
  ask(control, "/stalls")
  local g <close> = task.group()
  for i = 1, CLIENTS do
    served[i] = 0
    g:spawn(function()
      local socket <close> = assert(net.connect("127.0.0.1", port))
      while task.now() < stop do
        ask(socket, "/call/" .. i)
        served[i] = served[i] + 1
      end
    end)
  end
  g:join()
  table.sort(served)
  return served, json.decode(ask(control, "/stalls"))
end

local function measure(key, title, open)
  local url, close = open()
  if not url then
    print(("%-38s is missing something"):format(title))
    return true
  end
  local running = server.start {app = 'return require "spec.bench.stores_app"', workers = 1,
    env = {STORE = key, STORE_URL = url, LUA_PATH = os.getenv "PWD" .. "/?.lua;;"}}
  drive(running.port, WARM_SECONDS)
  local served, stalls = drive(running.port, SECONDS)
  assert(running:stop() == 0, running:log())
  running:remove()
  close()
  local sum = 0
  for _, count in ipairs(served) do sum = sum + count end
  print(("%-38s %6.0f requests/s   per client %d to %d (%.2f)   longest stall %.1f ms (with waiting for a core: %.1f)"):format(
    title, sum / SECONDS, served[1], served[CLIENTS], served[1] / served[CLIENTS], stalls.own * 1000, stalls.longest * 1000))
  return stalls.own < MOST_STALL
end

local wanted = {}
for _, key in ipairs(arg or {}) do wanted[key] = true end
local is_good = true
for _, row in ipairs(ROWS) do
  if not next(wanted) or wanted[row[1]] then is_good = measure(table.unpack(row)) and is_good end
end
return is_good
