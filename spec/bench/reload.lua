-- Reloads under load: spec/bench/reload [CLIENTS] [RELOADS] [MEMORY-RELOADS]
--
-- Of each kind CLIENTS clients (default 1,000): WebSockets with callbacks, WebSockets with a coroutine and ws:on_handoff, event
-- streams, parked polls; one publisher at 50 messages a second; wrk on a handler. Measured: a while without and a while with
-- RELOADS reloads (default 100). Then the memory of a server that is reloaded MEMORY-RELOADS times (default 1,000).
-- live_client.c holds the clients, publishes and counts what each of them has seen.
local command = require "spec.support.command"
local server = require "spec.support.server"
local task = require "neap.task"

local CLIENTS, RELOADS, MEMORY = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 100, tonumber(arg[3]) or 1000
local PER_SECOND = 50
local SECONDS_A_RELOAD, SECONDS_MIN = 0.25, 5
local P99_MOST, RSS_MOST = 2, 1.05 -- times what it was before
local ON_SERVER_CORE = ("taskset -cp %s $$ >/dev/null;"):format(assert(os.getenv("SERVER_CORE"), "run spec/bench/reload"))

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  for _, name in ipairs {"a", "b", "c"} do require("part_" .. name) end
  local topic = neap.topic("bench", {keep = 4096, bytes = "4MB"})
  app:get("/hello", function() return "hello" end)
  app:post("/publish", function(req) return topic:publish(assert(req:body())) end)
  app:ws("/callbacks", {open = function(ws) ws.data.n = 1 ws:subscribe("bench") end, message = function() end})
  app:ws("/coroutine", function(ws)
    if not ws.handoff then ws:subscribe("bench") end
    ws:on_handoff(function() return {n = 1} end)
    for _ in ws:messages() do end
  end)
  app:get("/sse", function() return neap.res.events "bench" end)
  app:get("/poll", function(req) return neap.res.poll("bench", {after = req.query.after}) end)
  app:every("50ms", function() end)
  app:service("idle", function() neap.task.sleep(3600) end)
  return app]]

local FILES = {["app.lua"] = APP, ["part_a.lua"] = "return {}", ["part_b.lua"] = "return {}", ["part_c.lua"] = "return {}"}

local function start(args)
  return server.start {files = FILES, workers = 2, args = args, prefix = ON_SERVER_CORE}
end

-- The i-th reload; seconds that it took.
local function reload(s, i)
  local from = task.now()
  assert(s:reload {["part_a.lua"] = ("return {%d}"):format(i)})
  return task.now() - from
end

-- ---- under load ----

local function hold(s)
  return command.start(("exec '%s' -m hold -p %d -P %d -n %d -r %d"):format(os.getenv("LIVE_CLIENT"), s.port, s.pid, CLIENTS,
    PER_SECOND))
end

local function is_holding(client)
  return client:output():find("holding", 1, true) or client:code()
end

---@class bench.Load
---@field p99 number milliseconds
---@field rate number requests a second
---@field failed integer requests

-- What wrk finds in that time.
---@return bench.Load
local function load(s, seconds)
  local wrk = ("wrk -t1 -c16 -d%d --latency http://127.0.0.1:%d/hello"):format(seconds, s.port)
  local out = command.run(wrk, seconds + 30).out
  local number, unit = out:match("99%%%s+([%d.]+)(%l+)")
  local scale = {us = 0.001, ms = 1, s = 1000}
  local failed = tonumber(out:match("Non%-2xx or 3xx responses: (%d+)") or 0)
  for count in (out:match("Socket errors:([^\n]*)") or ""):gmatch("%d+") do failed = failed + tonumber(count) end
  return {p99 = tonumber(number) * scale[unit], rate = tonumber(out:match("Requests/sec:%s*([%d.]+)")), failed = failed}
end

-- All reloads, evenly within that time. The milliseconds that one took.
local function reloading(s, seconds)
  local took = 0
  for i = 1, RELOADS do
    local one = reload(s, i)
    took = took + one
    task.sleep(math.max(0, seconds / RELOADS - one))
  end
  return took / RELOADS * 1000
end

local function print_load(what, found, of)
  print(("%s: p99 %.2f ms%s, %d failed requests, %.0f requests/s"):format(what, found.p99,
    of and (" (%.2f times)"):format(found.p99 / of.p99) or "", found.failed, found.rate))
end

-- What the clients have seen, after the last of it has arrived.
local function print_held(client)
  client:signal("TERM")
  local result = client:wait()
  if result.code ~= 0 then error("the clients: " .. result.err, 0) end
  local made, closed, missing, again, behind, late_us = result.out:match("numbers (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)")
  print(("%d clients, %d messages: %d dropped, %d missing, %d twice or out of order, %d clients without the newest; "
    .. "delivered after %.1f ms (p99)"):format(CLIENTS * 4, made, closed, missing, again, behind, late_us / 1000))
  return closed + missing + again + behind == 0
end

local function under_load()
  local s = start {"--set", "limits.connections=20000"}
  local client <close> = hold(s)
  server.poll(60, function() return is_holding(client) end)
  assert(not client:code(), "the clients could not connect")
  task.sleep(1)
  local seconds = math.max(SECONDS_MIN, math.ceil(RELOADS * SECONDS_A_RELOAD))
  local steady = load(s, seconds)
  print_load("steady", steady)
  local reload_ms, busy = task.all {
    function() return reloading(s, seconds) end, function() return load(s, seconds) end,
  }
  print_load(("during %d reloads"):format(RELOADS), busy, steady)
  print(("a reload took %.0f ms"):format(reload_ms))
  local is_whole = print_held(client)
  return is_whole and steady.failed + busy.failed == 0 and busy.p99 <= steady.p99 * P99_MOST
end

-- ---- memory ----

local function memory()
  local s = start()
  local at_ten
  for i = 1, MEMORY do
    reload(s, i)
    if i == 10 then at_ten = s:rss() end
  end
  task.sleep(1)
  local at_end = s:rss()
  print(("memory: %.1f MB after 10 reloads, %.1f MB after %d: %+.1f%%"):format(at_ten / 1e6, at_end / 1e6, MEMORY,
    (at_end / at_ten - 1) * 100))
  return at_end <= at_ten * RSS_MOST
end

-- Whether all was as it must be.
local function run(measure)
  local ok, result = pcall(measure)
  server.stop_all()
  if not ok then error(result, 0) end
  return result
end

local is_good = true
if CLIENTS > 0 and RELOADS > 0 then is_good = run(under_load) end
if MEMORY > 10 then is_good = run(memory) and is_good end
return is_good
