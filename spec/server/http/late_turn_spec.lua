-- A turn of the loop that came late: what a peer has sent by then is read before a deadline cuts it. One row for each
-- deadline that waits for a peer.
-- needs: openssl
local certificate = require "spec.support.certificate"
local command = require "spec.support.command"
local http = require "spec.support.http"
local json = require "neap.json"
local net = require "neap.net"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local LIMIT = 1           -- second: most of the deadlines
local PONG, CLOSE = 10, 5 -- those of a WebSocket, which come by skipping all but LEFT of them
local LEFT, MARGIN = 0.8, 0.3
local NEWCOMER = 0.1      -- who is idle for less is not closed to make room
local FEW = 4             -- rows on one server
local OTHERS = 16         -- so many are read before somebody looks at the clock
local TRIES = 10          -- a machine that stands still can make a deadline come too early

-- /hold stands still within its read, until the file that it names is let go. The short sleep behind it looks at the clock.
local APP = [[
  local neap = require "neap"
  local core = require "neap.core"
  local app = neap.app()
  local answers = {}
  local function later(name, fn)
    app:get("/" .. name, function(req)
      local query = req.query
      req:after(function()
        local found, why = fn(query)
        answers[name] = {found or why}
      end)
      return 204
    end)
  end
  local function read(name, act)
    later(name, function(query)
      local socket <close> = assert(neap.net.connect("127.0.0.1", tonumber(query.port)))
      return act(socket)
    end)
  end

  app:get("/hold", function(req)
    local gate = assert(io.open(req.query.gate, "r"))
    assert(io.open("held-" .. req.query.gate, "w")):close()
    gate:read("a")
    gate:close()
    neap.task.sleep(req.query.stay or "1ms")
    return "held"
  end)
  app:get("/skip", function(req)
    local left = tonumber(req.query.seconds)
    while left > 0 do
      left = left - core.task.skip(left)
      neap.task.yield()
    end
    return 204
  end)
  app:get("/answer", function(req)
    local found = answers[req.query.of]
    answers[req.query.of] = nil
    return found or 404
  end)

  app:get("/", function() return "hello" end)
  app:post("/body", function(req)
    local body, why = req:body()
    return body or why
  end)
  app:post("/unread", function() return "unread" end)
  app:ws("/ws/echo", {message = function(ws, text) ws:send(text) end}, {ping = "1s"})
  app:ws("/ws/recv", function(ws) ws:send(table.concat({ws:recv("1s")}, " ")) end)
  app:ws("/ws/close", function(ws)
    ws:close(1000)
    answers.close = {select(2, ws:recv())}
  end)
  read("recv", function(socket) return socket:recv(10, "1s") end)
  read("read_exact", function(socket) return socket:read_exact(4, "1s") end)
  read("read_until", function(socket) return socket:read_until("\n", 100, "1s") end)
  later("tls", function(query)
    local socket, why = neap.net.connect("127.0.0.1", tonumber(query.port), {timeout = "1s", tls = {ca = query.ca}})
    if socket then socket:close() end
    return socket and "open" or why
  end)
  later("accept", function()
    local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
    answers.port = {listener.port}
    local socket, why = listener:accept("1s")
    if socket then socket:close() end
    return socket and "accepted" or why
  end)
  later("http", function(query)
    local answer, why = neap.http.get(("http://127.0.0.1:%d/"):format(query.port), {timeout = "1s"})
    return answer and answer.body or why
  end)
  return app]]

local ENV = {NEAP_TIMEOUTS_HEADER = "1s", NEAP_TIMEOUTS_IDLE = "1s", NEAP_TIMEOUTS_BODY_WINDOW = "1s",
  NEAP_LIMITS_BODY_RATE = "8"}
local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local function post(path)
  return ("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"):format(path)
end

local function skip(s, seconds) s:get("/skip?seconds=" .. seconds) end

local function answer_of(s, name)
  local status, body
  assert(server.poll(20, function()
    status, body = s:get("/answer?of=" .. name)
    return status == 200
  end), "no answer to " .. name)
  return json.decode(body)
end

-- A client that sends `first`, is answered with `between`, and sends `rest` in the late turn; it gets `body`.
local function client(name, first, between, rest, body)
  return {
    name = name,
    open = function(s)
      local conn = http.open(s):send(first)
      if between then assert.equal(between, conn:answer().body) end
      return conn
    end,
    act = function(conn) conn:send(rest) end,
    check = function(conn) assert.equal(body, assert(conn:answer(), "cut").body) end,
  }
end

-- A WebSocket to `path`, which calls `begin`, and sends `bytes` in the late turn.
local function socket(name, path, begin, bytes, check, stage)
  return {
    name = name, stage = stage, check = check,
    open = function(s)
      local one = ws.open(s, path)
      if begin then begin(one, s) end
      return one
    end,
    act = function(one) one:raw(bytes) end,
  }
end

-- A task of the server that waits for a peer of ours. `peer`: `await` until that has what it needs, `act`.
local function waiting(path, make, expected)
  return {
    name = path,
    open = function(s)
      local peer = make(s)
      assert.equal(204, (s:get(("/%s?port=%d&ca=%s"):format(path, peer.port or 0, peer.ca or ""))))
      peer.await(peer)
      return peer
    end,
    act = function(peer) peer.act(peer) end,
    check = function(_, s) assert.same({expected}, answer_of(s, path)) end,
  }
end

local function listening(text)
  return function()
    local listener = assert(net.listen("127.0.0.1", 0))
    return {
      port = listener.port,
      await = function(peer)
        peer.socket = assert(listener:accept(20))
        listener:close()
      end,
      act = function(peer) peer.socket:send(text) end,
    }
  end
end

local function connecting(s)
  return {
    await = function(peer) peer.to = answer_of(s, "port")[1] end,
    act = function(peer) peer.socket = assert(net.connect("127.0.0.1", peer.to)) end,
  }
end

local tls = {} -- a server that speaks TLS: .running, .port, .ca

function tls.start()
  if certificate.is_missing() then return end
  tls.running = command.start [[
    until [ -e localhost.pem ]; do sleep 0.1; done
    exec openssl s_server -accept 127.0.0.1:0 -www -cert localhost.pem -key localhost.key]]
  tls.ca = certificate.make(tls.running.dir, "localhost").cert
  tls.port = assert(server.poll(20, function() return tls.running:output():match("ACCEPT [%d.]+:(%d+)") end))
end

function tls.stop()
  local running <close> = tls.running
  tls.running = nil
end

-- Stands between the task and that server, and keeps back what that says first.
local function shaking()
  local peer = listening("")()
  local await = peer.await
  peer.ca = tls.ca
  function peer.await()
    await(peer)
    peer.inner = assert(net.connect("127.0.0.1", tonumber(tls.port)))
    peer.inner:send((peer.socket:recv(65536, 20)))
    peer.flight = assert(peer.inner:recv(65536, 20))
  end
  function peer.act()
    repeat
      peer.socket:send(peer.flight)
      peer.flight = peer.inner:recv(65536, 0.2)
    until not peer.flight
  end
  return peer
end

local ROWS = {
  socket("an answer to a ping", "/ws/echo", function(one, s)
    skip(s, 1.1)
    assert.equal(ws.PING, one:next_frame().opcode)
  end, ws.frame(ws.PONG) .. ws.frame(ws.TEXT, "x"), function(one) assert.equal("x", (one:message())) end, 1),
  socket("an answer to a close", "/ws/close", function(one) assert.equal(ws.CLOSE, one:next_frame().opcode) end,
    ws.close_frame(1000), function(_, s) assert.same({"closed", 1000, ""}, answer_of(s, "close")) end, 2),
  client("a first request", "", nil, GET, "hello"),
  client("a next request", GET, "hello", GET, "hello"),
  client("the rest of a head", GET:sub(1, 20), nil, GET:sub(21), "hello"),
  client("the rest of a body", post "/body" .. "x", nil, ("y"):rep(19), "x" .. ("y"):rep(19)),
  client("the rest of a body that nobody reads", post "/unread", "unread", ("y"):rep(20) .. GET, "hello"),
  socket("a message for ws:recv", "/ws/recv", nil, ws.frame(ws.TEXT, "x"), function(one)
    assert.equal("x text", (one:message()))
  end),
  waiting("recv", listening "x", "x"),
  waiting("read_exact", listening "four", "four"),
  waiting("read_until", listening "line\n", "line"),
  waiting("accept", connecting, "accepted"),
  waiting("tls", shaking, "open"),
  waiting("http", listening "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
}

-- A connection that the server has accepted.
local function accepted(s)
  local conn = http.open(s):send(GET)
  conn:answer()
  return conn
end

-- Makes the server stand still as it reads from `conn`: what lets it go, and how to wait until it does.
local function hold(s, conn, gate, query)
  local file = assert(io.open(s.dir .. "/" .. gate, "r+")) -- opened for both, nobody waits for the other end
  conn:send(("GET /hold?gate=%s%s HTTP/1.1\r\nHost: a\r\n\r\n"):format(gate, query or ""))
  return file, function()
    assert(server.poll(20, function()
      local held <close> = io.open(s.dir .. "/held-" .. gate)
      return held
    end), "the server does not stand still")
  end
end

local function open_all(s, rows)
  local opened = {}
  for stage, pause in ipairs {PONG - CLOSE, CLOSE - LEFT, 0} do
    for i, row in ipairs(rows) do
      if (row.stage or 3) == stage then opened[i] = row.open(s) end
    end
    if pause > 0 then skip(s, pause) end
    if stage == 2 then opened.at = task.now() end
  end
  return opened
end

-- What arrives while a turn goes on, and was due before that ends.
local function late(s, opened, act)
  local gate, wait = hold(s, accepted(s), "one")
  wait()
  act()
  local was_early = task.now() - opened.at < LEFT
  task.sleep(LIMIT + MARGIN)
  gate:close()
  return was_early
end

-- What has arrived before a turn in which it must queue, for somebody else takes long.
local function queued(s, opened, act)
  local conn, others = accepted(s), {}
  for i = 1, OTHERS do others[i] = accepted(s) end
  local gate, wait = hold(s, accepted(s), "one")
  wait()
  local next_gate, next_wait = hold(s, conn, "two")
  for _, other in ipairs(others) do other:send(GET) end
  act()
  gate:close()
  next_wait()
  local was_early = task.now() - opened.at < LEFT
  task.sleep(LIMIT + MARGIN)
  next_gate:close()
  return was_early
end

local function start(env)
  local s = server.start {app = APP, workers = 1, env = env or ENV}
  assert(os.execute(("mkfifo %s/one %s/two"):format(s.dir, s.dir)))
  return s
end

-- Whether nothing was due before the server stood still.
local function try(rows, way, s)
  local opened = open_all(s, rows)
  local was_early = way(s, opened, function()
    for i, row in ipairs(rows) do row.act(opened[i]) end
  end)
  for i, row in ipairs(rows) do row.opened, row.s = opened[i], s end
  return was_early
end

local function leave(opened)
  for _, key in ipairs {"conn", "socket", "inner"} do
    if opened[key] then opened[key]:close() end
  end
end

-- A few on each server, for a turn has time for a few deadlines only.
local function try_all(rows, way)
  local parts = {}
  for i = 1, #rows, FEW do
    local part = table.move(rows, i, i + FEW - 1, 1, {})
    parts[#parts + 1] = {rows = part, s = start()}
  end
  task.map(parts, function(part)
    for _ = 1, TRIES do
      if try(part.rows, way, part.s) then return end
      part.s:stop()
      part.s = start()
    end
    error("the machine stands still too often")
  end)
end

for _, way in ipairs {{"while a turn goes on", late}, {"before, and has to queue", queued}} do
  describe("no deadline cuts what arrives " .. way[1] .. ":", function()
    local rows = {}
    for _, row in ipairs(ROWS) do
      if row.name ~= "tls" or not certificate.is_missing() then rows[#rows + 1] = row end
    end

    lazy_setup(function()
      tls.start()
      try_all(rows, way[2])
    end)
    teardown(function()
      tls.stop()
      for _, row in ipairs(rows) do leave(row.opened) end
      server.stop_all()
    end)

    for _, row in ipairs(rows) do
      it(row.name, function() row.check(row.opened, row.s) end)
    end
    if #rows < #ROWS then it("tls", function() pending("needs openssl") end) end
  end)
end

describe("a connection that comes late in a long turn", function()
  teardown(server.stop_all)

  -- There is room for three, and two wait for their answers. Whether the third has asked before it was old enough to go.
  local function come_late()
    local s = start {NEAP_LIMITS_CONNECTIONS = "3", NEAP_TIMEOUTS_DRAIN = "10ms", NEAP_TIMEOUTS_GRACE = "10ms"}
    local first, second = accepted(s), accepted(s)
    local gate, wait = hold(s, first, "one", "&stay=1h")
    wait()
    local next_gate, next_wait = hold(s, second, "two", "&stay=1h")
    local late_comer = http.open(s)
    gate:close()
    next_wait()
    task.sleep(2 * NEWCOMER)
    local freed = task.now()
    next_gate:close()
    task.sleep(NEWCOMER / 4) -- it has been accepted
    local another = http.open(s)
    task.sleep(NEWCOMER / 4)
    late_comer:send(GET)
    local was_early = task.now() - freed < NEWCOMER
    local answer = late_comer:answer()
    return was_early, answer and answer.body, another
  end

  it("is a newcomer in the next, and is not closed to make room", function()
    for _ = 1, TRIES do
      local was_early, body = come_late()
      if was_early then return assert.equal("hello", body) end
      server.stop_all()
    end
    error("the machine stands still too often")
  end)
end)
