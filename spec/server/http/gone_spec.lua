-- Who has a connection when its client is gone: whatever of it falls due in the very turn of the loop in which the
-- reset is seen finds nobody any more. `GONE_TRIES=1000` makes so many clients leave in each test, which is for builds
-- with sanitizers.
local http = require "spec.support.http"
local live = require "spec.support.live"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local TRIES = tonumber(os.getenv "GONE_TRIES") or 20
local SWITCHED = 20 -- that leave while a reload is under way
local CROWD = 50 -- clients that leave in the same turn
local JITTER = TRIES >= 1000 and 0.1 or 0.01 -- of a poll's timeout; the whole of it takes long

-- /hold moves the clock on and then stands still, in the last step of a turn, until the file `gate` is let go. What the
-- kernel reports meanwhile and what falls due meanwhile come together in the next turn.
local APP = live.app [[
  local core = require "neap.core"
  local sockets = 0

  app:get("/hold", function(req)
    local left = tonumber(req.query.before) -- other times may come first
    while left > 0 do
      left = left - core.task.skip(left)
      neap.task.yield()
    end
    neap.task.yield()
    core.task.skip(tonumber(req.query.skip))
    local gate = assert(io.open("gate", "r"))
    assert(io.open("held", "w")):close()
    gate:read("a")
    gate:close()
    if req.query.publish then neap.topic("t"):publish("news") end
    return "held"
  end)

  -- With files `before` and `switch` a reload stands still in on_handoff, and again in the same turn, as the main thread has
  -- heard of its end and answers: then the next generation takes over.
  local function stand_still(name)
    local gate = io.open(name, "r")
    if not gate then return end
    assert(io.open("held", "w")):close()
    gate:read("a")
    gate:close()
  end
  local switching = neap.task.event()
  app:service("switch", function()
    switching:wait()
    stand_still "switch"
  end)
  app:on_handoff(function()
    stand_still "before"
    switching:set()
  end)

  app:post("/fill", function()
    for _ = 1, 40 do neap.topic("t"):publish(("x"):rep(65536)) end
    return 204
  end)

  local function counted(run)
    return function(ws)
      local count <close> = setmetatable({}, {__close = function() sockets = sockets - 1 end})
      sockets = sockets + 1
      ws:subscribe("t")
      run(ws)
    end
  end
  local function read(ws) for _ in ws:messages() do end end
  app:ws("/ws/ping", counted(read), {ping = "5s"})
  app:ws("/ws/recv", counted(function(ws) ws:recv("5s") end), {ping = "1h"})
  app:ws("/ws/close", counted(function(ws) ws:close(1000) read(ws) end))
  app:ws("/ws/callbacks", {
    open = function(ws) sockets = sockets + 1 ws:subscribe("t") end,
    close = function() sockets = sockets - 1 end,
  }, {ping = "5s"})
  app:get("/sockets", function() return tostring(sockets) end)

  local requests = 0
  local function parked(wait)
    return function(req)
      local count <close> = setmetatable({}, {__close = function() requests = requests - 1 end})
      requests = requests + 1
      req:after(function() end)
      return wait(req)
    end
  end
  app:get("/slow", parked(function() neap.task.sleep("1h") end), {timeout = "5s"})
  app:get("/nap", parked(function() neap.task.sleep("5s") return "slept" end))
  app:post("/body", parked(function(req) return req:body() end))
  app:get("/stream", function(req)
    return neap.res.stream(function(out)
      parked(function() repeat until not out:write(("x"):rep(65536)) end)(req)
    end)
  end)
  app:get("/requests", function() return tostring(requests) end)]]

-- The default times, but for a write stall of 4 s that is looked at each second.
local ENV = {NEAP_TIMEOUTS_WRITE = "4s", NEAP_TIMEOUTS_HEADER = "5s", NEAP_TIMEOUTS_BODY_WINDOW = "5s"}

local function get(path, lines)
  return ("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(path, lines or "")
end

local EVENTS = "Accept: text/event-stream\r\n"

-- What a client sends; `kind`: what of the topic's statistics counts it, or the path that does; `skip`: how far its
-- time is, `before`: what has to fall due before that; `spread`: how much later it may be for some; `at_once`: it is
-- sent in the turn of the reset itself; `fills`: the client takes nothing of what is published.
local ROWS = {
  {"a poll, its timeout", get "/poll/t?timeout=20", "polls", skip = 20, spread = 20 * JITTER},
  {"a poll with a request behind it, its timeout", get "/poll/t?timeout=20" .. http.END, "polls", skip = 20,
    spread = 20 * JITTER},
  {"a poll with a cursor of another life", get "/poll/t?after=1.1", "polls", at_once = true},
  {"a poll without patience", get "/poll/t?timeout=0", "polls", at_once = true},
  {"a poll of two topics with a cursor of another life", get "/poll/t,u?after=1.1", "polls", at_once = true},
  {"a poll, a message", get "/poll/t?timeout=60", "polls", publish = true},
  {"a poll with a request behind it, a message", get "/poll/t?timeout=60" .. http.END, "polls", publish = true},
  {"a poll of topic:serve, its timeout", get "/serve/t", "polls", skip = 25, spread = 25 * JITTER},
  {"a poll of topic:serve with a cursor of another life", get "/serve/t?after=1.1", "polls", at_once = true},
  {"an event stream, its heartbeat", get "/events/t", "sse", skip = 15},
  {"an event stream, a message", get "/events/t", "sse", publish = true},
  {"an event stream with a cursor of another life", get("/events/t", "Last-Event-ID: 1.1\r\n"), "sse", at_once = true},
  {"an event stream that takes nothing, the end of patience", get "/events/t", "sse", before = 3.5, skip = 1, fills = true},
  {"an event stream of topic:serve, its heartbeat", get("/serve/t", EVENTS), "sse", skip = 15},
  {"an event stream of topic:serve, a message", get("/serve/t", EVENTS), "sse", publish = true},
  {"a WebSocket, its ping", ws.request "/ws/ping", "websockets", skip = 5},
  {"a WebSocket, the answer to its ping", ws.request "/ws/ping", "websockets", before = 5.5, skip = 10},
  {"a WebSocket, the answer to its close", ws.request "/ws/close", "websockets", skip = 5},
  {"a WebSocket, the patience of ws:recv", ws.request "/ws/recv", "websockets", skip = 5},
  {"a WebSocket, a message", ws.request "/ws/ping", "websockets", publish = true},
  {"a WebSocket that takes nothing, the end of patience", ws.request "/ws/recv", "websockets", before = 3.5, skip = 1,
    fills = true},
  {"a WebSocket of callbacks, its ping", ws.request "/ws/callbacks", "websockets", skip = 5},
  {"a WebSocket of callbacks, the answer to its ping", ws.request "/ws/callbacks", "websockets", before = 5.5, skip = 10},
  {"a WebSocket of callbacks that speaks", ws.request "/ws/callbacks" .. ws.frame(ws.TEXT, "x"), "websockets",
    at_once = true},
  {"a WebSocket of topic:serve, its ping", ws.request "/serve/t", "websockets", skip = 25},
  {"a WebSocket of topic:serve, the answer to its ping", ws.request "/serve/t", "websockets", before = 25.5, skip = 10},
  {"a WebSocket of topic:serve with a cursor of another life", ws.request "/serve/t?after=1.1", "websockets",
    at_once = true},
  {"half a head", "GET / HTTP/1.1\r\n", nil, skip = 5},
  {"half a body", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", "/requests", skip = 5},
  {"a handler at work, its route's timeout", get "/slow", "/requests", skip = 5},
  {"a handler at work, the end of its sleep", get "/nap", "/requests", skip = 5},
  {"a stream that takes nothing, the end of patience", get "/stream", "/requests", before = 3.5, skip = 1, paused = true},
}

describe("nothing runs for a client that is gone:", function()
  local s, admin

  local function start()
    s = server.start {app = APP, workers = 1, env = ENV}
    assert(os.execute(("mkfifo %s/gate"):format(s.dir)))
    admin = live.open(s)
  end
  before_each(function()
    if s and not s:code() then admin = live.open(s) else start() end
  end)
  after_each(function() admin:close() end)
  teardown(server.stop_all)

  -- How many clients the server has for a row.
  local function wait_for(row, count)
    local kind = row[3]
    if not kind then return end
    if kind:sub(1, 1) ~= "/" then return admin:wait_for("t", kind, count) end
    assert(server.poll(10, function() return admin:ask("GET", kind).body == tostring(count) end), "not " .. count)
  end

  local function is_held()
    local file = io.open(s.dir .. "/held")
    if file then file:close() end
    return file or s:code()
  end

  -- Runs `act` while the server stands still.
  local function while_held(row, act)
    local gate = assert(io.open(s.dir .. "/gate", "r+")) -- opened for both, nobody waits for the other end
    local conn = http.open(s):send(get(("/hold?before=%s&skip=%s%s"):format(row.before or 0, row.skip or 0,
      row.publish and "&publish=1" or "")))
    assert(server.poll(20, is_held), "the server does not stand still")
    act()
    os.remove(s.dir .. "/held")
    gate:close()
    local answer = conn:answer()
    assert(answer and answer.body == "held", "the server died:\n" .. s:log())
    conn:close()
  end

  local function open_all(row, count)
    local conns = {}
    for i = 1, count do
      conns[i] = http.open(s)
      if row.fills or row.paused then
        conns[i].socket:receive_buffer(4096)
        conns[i].socket:pause()
      end
      if not row.at_once then conns[i]:send(row[2]) end
    end
    return conns
  end

  local function try(row, count)
    local begun = task.now()
    local conns = open_all(row, count)
    if not row.at_once then wait_for(row, count) end
    if row.fills then assert(admin:ask("POST", "/fill", "").status == 204) end
    local spread = task.now() - begun + (row.spread or 0)
    while_held(row, function()
      for _, conn in ipairs(conns) do
        if row.at_once then conn:send(row[2]) end
        conn:reset()
      end
      if row.skip then task.sleep(spread) end -- until the time of the last has come, too
    end)
    wait_for(row, 0)
  end

  -- Guests by their paths, as rows; WebSockets of each kind of handler go over to the next generation in their own way.
  local function guest(path)
    return {path, path:find("^[pe]") and get("/" .. path) or ws.request("/" .. path),
      path:match("^poll") and "polls" or path:match("^events") and "sse" or "websockets"}
  end
  local function serve_poll() return {"serve/t as a poll", get "/serve/t", "polls"} end
  local function serve_events() return {"serve/t as events", get("/serve/t", EVENTS), "sse"} end

  for _, row in ipairs {guest "poll/t?timeout=60", guest "events/t", guest "ws/ping", guest "ws/callbacks", guest "serve/t"} do
    it("when the server stops: " .. row[1], function()
      local conns = open_all(row, TRIES)
      wait_for(row, TRIES)
      while_held(row, function()
        for _, conn in ipairs(conns) do conn:reset() end
        s:kill("TERM")
      end)
      local stopped = s
      s = nil
      assert.equal(0, stopped:wait(), stopped:log())
    end)
  end

  local function make_gate(name)
    assert(os.execute(("mkfifo %s/%s"):format(s.dir, name)))
    return assert(io.open(s.dir .. "/" .. name, "r+"))
  end
  local function let_go(gate, name)
    os.remove(s.dir .. "/held")
    os.remove(s.dir .. "/" .. name)
    gate:close()
  end

  -- The resets are seen in the turn in which the next generation takes over, half of them before and half of them after it.
  local function try_switch(row, count)
    local conns = open_all(row, count)
    wait_for(row, count)
    local before, switch = make_gate "before", make_gate "switch"
    local group <close> = task.group()
    local reload = group:spawn(s.reload, s)
    assert(server.poll(20, is_held), "on_handoff does not come")
    for i = 1, count // 2 do conns[i]:reset() end
    let_go(before, "before")
    assert(server.poll(20, is_held), "the end of on_handoff does not come")
    for i = count // 2 + 1, count do conns[i]:reset() end
    let_go(switch, "switch")
    assert.is_true((reload:join()))
    wait_for(row, 0)
  end

  for _, row in ipairs {guest "poll/t?timeout=60", guest "events/t", guest "ws/ping", guest "ws/recv", guest "ws/callbacks",
      guest "serve/t", serve_poll(), serve_events()} do
    it("when the next generation takes over: " .. row[1], function()
      local left = TRIES
      while left > 0 do
        try_switch(row, math.min(left, SWITCHED))
        left = left - SWITCHED
      end
    end)
  end

  for _, row in ipairs(ROWS) do
    it(row[1], function()
      local left = TRIES
      while left > 0 do
        try(row, math.min(left, CROWD))
        left = left - CROWD
      end
    end)
  end
end)
