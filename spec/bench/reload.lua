-- Reloads under load: spec/bench/reload [CLIENTS] [RELOADS] [MEMORY-RELOADS]
--
-- Of each kind CLIENTS clients (default 1,000): WebSockets with callbacks, WebSockets with a coroutine and ws:on_handoff, event
-- streams, parked polls; one publisher at 50 messages a second; wrk on a handler. Measured: a while without and a while with
-- RELOADS reloads (default 100). Then the memory of a server that is reloaded MEMORY-RELOADS times (default 1,000).
local json = require "neap.json"
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"
local command = require "spec.support.command"

local CLIENTS, RELOADS, MEMORY = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 100, tonumber(arg[3]) or 1000
local PERIOD = 1 / 50

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
  app:get("/poll", function(req) return neap.res.poll("bench", {after = req.query.after, timeout = 20}) end)
  app:get("/stats", function() return topic:stats() end)
  app:every("50ms", function() end)
  app:service("idle", function() neap.task.sleep(3600) end)
  return app]]

local FILES = {["app.lua"] = APP, ["part_a.lua"] = "return {}", ["part_b.lua"] = "return {}", ["part_c.lua"] = "return {}"}

local wrong, dropped, last = 0, 0, 0 -- messages out of order, connections that ended, the number of the newest message
local is_over = false

-- Whether the next message is the one behind what a client has seen.
local function check(client, number)
  number = tonumber(number)
  if client.seen and number ~= client.seen + 1 then wrong = wrong + 1 end
  client.seen = number
end

local clients = {}

local function each_kind(s)
  local kinds = {}
  local function socket(path)
    return function(client)
      local conn = ws.open(s, path)
      client.is_there = true
      while true do
        local message = conn:message()
        if not message then return end
        check(client, message)
      end
    end
  end
  kinds["WebSocket with callbacks"] = socket "/callbacks"
  kinds["WebSocket with a coroutine"] = socket "/coroutine"
  kinds["event stream"] = function(client)
    local conn = http.open(s)
    conn:send("GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
    conn:upto("\n\n")
    client.is_there = true
    while true do
      local event = conn:upto("\n\n")
      if not event then return end
      local number = event:match("data: (%d+)")
      if number then check(client, number) end
    end
  end
  kinds["long-poll"] = function(client)
    local conn, after = http.open(s), ""
    client.is_there = true
    while true do
      conn:send(("GET /poll?after=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(after))
      local answer = conn:answer("GET")
      if not answer then return end
      after = answer.headers["topic-cursor"] or after
      if answer.status == 200 then
        for _, number in ipairs(json.decode(answer.body).items) do check(client, number) end
      elseif answer.status ~= 204 then
        wrong = wrong + 1
      end
    end
  end
  return kinds
end

local function connect(s, group)
  for kind, run in pairs(each_kind(s)) do
    for _ = 1, CLIENTS do
      local client = {kind = kind}
      clients[#clients + 1] = client
      group:spawn(function()
        local ok, err = pcall(run, client)
        if is_over then return end
        dropped = dropped + 1
        print("dropped:", kind, ok and "the server closed" or err)
      end)
    end
  end
  assert(server.poll(120, function()
    for _, client in ipairs(clients) do
      if not client.is_there then return false end
    end
    return true
  end), "not all clients could connect")
end

local function publish(s, group)
  local conn = http.open(s)
  group:spawn(function()
    while not is_over do
      last = last + 1
      local body = tostring(last)
      conn:send(("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
      assert(conn:answer("POST").status == 200)
      task.sleep(PERIOD)
    end
  end)
end

-- {p99 in ms, failed requests} of wrk, at work for `seconds`.
local function load(s, seconds)
  local result = command.run(("wrk -t1 -c16 -d%d --latency http://127.0.0.1:%d/hello"):format(seconds, s.port), seconds + 30)
  local number, unit = result.out:match("99%%%s+([%d.]+)(%l+)")
  local scale = {us = 0.001, ms = 1, s = 1000}
  local failed = 0
  for count in (result.out:match("Socket errors:([^\n]*)") or ""):gmatch("%d+") do failed = failed + tonumber(count) end
  failed = failed + tonumber(result.out:match("Non%-2xx or 3xx responses: (%d+)") or 0)
  return tonumber(number) * scale[unit], failed, tonumber(result.out:match("Requests/sec:%s*([%d.]+)"))
end

local function under_load()
  local s = server.start {files = FILES, workers = 2, args = {"--set", "limits.connections=20000"}}
  local group <close> = task.group()
  connect(s, group)
  publish(s, group)
  task.sleep(1)
  local seconds = math.max(5, math.ceil(RELOADS / 4))
  local steady, failed, rate = load(s, seconds)
  print(("steady: p99 %.2f ms, %d failed requests, %.0f requests/s"):format(steady, failed, rate))
  local took = 0
  local reloading = group:spawn(function()
    for i = 1, RELOADS do
      local from = task.now()
      local ok, line = s:reload {["part_a.lua"] = ("return {%d}"):format(i)}
      assert(ok, line)
      took = took + task.now() - from
      task.sleep(math.max(0, seconds / RELOADS - (task.now() - from)))
    end
  end)
  local p99, failed_too, rate_too = load(s, seconds)
  reloading:join()
  print(("during %d reloads: p99 %.2f ms (%.2f times), %d failed requests, %.0f requests/s, %.0f ms a reload")
    :format(RELOADS, p99, p99 / steady, failed_too, rate_too, took / RELOADS * 1000))
  local final = last
  server.poll(10, function()
    for _, client in ipairs(clients) do
      if client.seen and client.seen < final then return false end
    end
    return true
  end)
  local behind = 0
  for _, client in ipairs(clients) do
    if not client.seen or client.seen < final then behind = behind + 1 end
  end
  print(("%d clients: %d dropped, %d messages missing or out of order, %d clients without the newest message")
    :format(#clients, dropped, wrong, behind))
  is_over = true
  group:cancel()
  s:stop()
  return dropped + wrong + behind + failed_too == 0
end

local function memory()
  local s = server.start {files = FILES, workers = 2}
  local at_ten
  for i = 1, MEMORY do
    assert(s:reload {["part_a.lua"] = ("return {%d}"):format(i)})
    if i == 10 then at_ten = s:rss() end
  end
  task.sleep(1)
  local at_end = s:rss()
  print(("memory: %.1f MB after 10 reloads, %.1f MB after %d: %+.1f%%"):format(at_ten / 1e6, at_end / 1e6, MEMORY,
    (at_end / at_ten - 1) * 100))
  s:stop()
end

local ok = true
if CLIENTS > 0 and RELOADS > 0 then ok = under_load() end
if MEMORY > 10 then memory() end
server.stop_all()
return ok
