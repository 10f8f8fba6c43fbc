-- WebSockets through the real server: the rules of RFC 6455 and 7692, the handshake (core/THREATS.md, W5 and W6), both
-- styles of handlers, and floods.
local command = require "spec.support.command"
local http = require "spec.support.http"
local live = require "spec.support.live"
local memory = require "spec.support.memory"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local APP = live.app [[
  local task = neap.task
  local seen = neap.store("seen")

  app:ws("/echo", function(ws)
    for message, kind in ws:messages() do ws:send(message, kind) end
  end)
  app:ws("/small", function(ws)
    for message in ws:messages() do ws:send(tostring(#message)) end
  end, {max_message = "1KB"})
  app:ws("/plain", function(ws)
    for message, kind in ws:messages() do ws:send(message, kind) end
  end, {compress = false})
  app:ws("/list", function(ws) ws:recv() end, {origins = {"https://example.org", "http://other.example:81"}})
  app:ws("/all", function(ws) ws:recv() end, {origins = "*"})
  app:ws("/protocols", function(ws) ws:recv() end, {protocols = {"v2.chat", "v1.chat"}})
  app:ws("/leaves", function(ws) ws:send("bye") end)
  app:ws("/fails", function(ws) ws:recv() error("broken") end)
  app:ws("/closes", function(ws) ws:close(4000, "enough ü") ws:send("never") end)
  app:ws("/recv", function(ws)
    local message, why = ws:recv(0.05)
    ws:send(tostring(message) .. " " .. why)
    ws:send(tostring(ws:recv()))
    local _, closed, code, reason = ws:recv()
    seen:set("recv", ("%s %s %s"):format(closed, code, reason))
    seen:set("send", table.concat({tostring((ws:send("x"))), (select(2, ws:send("x")))}, " "))
  end)
  app:ws("/ping", function(ws) ws:recv() end, {ping = 0.1})
  app:ws("/pushes", function(ws)
    seen:set("pushed", 0)
    seen:set("pushes", "begun")
    local _ <close> = setmetatable({}, {__close = function() seen:set("pushes", "over") end})
    for i = 1, 20000 do
      if not ws:send(("%05d"):format(i):rep(200)) then break end
      seen:set("pushed", i)
    end
  end, {compress = false})
  app:ws("/tries", function(ws)
    local count = 0
    while ws:try_send(("x"):rep(1000)) do count = count + 1 end
    seen:set("tried", count)
    ws:recv()
  end, {compress = false})
  app:ws("/push-large", function(ws) ws:send(("y"):rep(100000)) ws:send(("z"):rep(100)) ws:recv() end)
  app:ws("/calls", {
    open = function(ws, req)
      ws.data.name = req.query.name
      ws.data.count = 0
      ws:send("hello " .. ws.data.name)
    end,
    message = function(ws, message, kind)
      if message == "fail" then error("broken") end
      if message == "close" then ws:close(4001, "asked") return end
      local data = ws.data
      local before = data.count
      task.sleep(0.01) -- others must not come between
      data.count = before + 1
      ws:send(("%s %d %s %s"):format(data.name, data.count, kind, message))
    end,
    close = function(ws, code, reason) seen:set("closed", ("%s %s %d"):format(code, reason, ws.data.count)) end,
  })
  app:ws("/only-close", {close = function(_, code) seen:set("only", code) end})
  app:get("/seen/:key", function(req) return tostring(seen:get(req.params.key)) end)
  app:post("/unseen/:key", function(req) seen:delete(req.params.key) return 204 end)
  app:on_send(function(_, response) response:header("X-Sent", "yes") end)]]

local function seen(s, key)
  local _, body = s:get("/seen/" .. key)
  return body
end

local function wait_seen(s, key, expected)
  local last
  assert(server.poll(5, function()
    last = seen(s, key)
    return last == expected
  end), ("%s: %s, not %s"):format(key, last, expected))
end

describe("a WebSocket's handshake", function()
  local s

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)

  local function asks(status, path, fields, first)
    local socket, answer = ws.ask(s, path, fields, first)
    assert.equal(status, answer.status)
    if status == 101 then socket:close() else socket.conn:close() end
    return answer
  end

  it("is answered as RFC 6455 says, on_send's headers included", function()
    local answer = asks(101, "/echo")
    assert.equal(ws.ACCEPT, answer.headers["sec-websocket-accept"])
    assert.equal("websocket", answer.headers.upgrade:lower())
    assert.equal("upgrade", answer.headers.connection:lower())
    assert.equal("yes", answer.headers["x-sent"])
    assert.is_nil(answer.headers["content-length"])
    assert.is_nil(answer.headers["transfer-encoding"])
    assert.is_nil(answer.headers["sec-websocket-extensions"])
    assert.is_nil(answer.headers["sec-websocket-protocol"])
  end)

  it("does not mind case and other words", function()
    asks(101, "/echo", {Upgrade = "WebSocket"})
    asks(101, "/echo", {Upgrade = "foo, WEBSOCKET"})
    asks(101, "/echo", {Connection = "keep-alive, UPGRADE"})
  end)

  it("is refused when anything is missing or wrong", function()
    asks(400, "/echo", {["Sec-WebSocket-Key"] = false})
    for _, key in ipairs {"", "short", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ==x", "!!!!IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZSBhbmQ="} do
      asks(400, "/echo", {["Sec-WebSocket-Key"] = key})
    end
    asks(400, "/echo", {Connection = "keep-alive"})
    asks(400, "/echo", {["Sec-WebSocket-Version"] = false})
    asks(400, "/echo", nil, "GET /echo HTTP/1.0")
    asks(400, "/echo", {["Content-Length"] = "5"})
    asks(400, "/echo", {["Transfer-Encoding"] = "chunked"})
    asks(426, "/echo", {Upgrade = "h2c"})
    asks(426, "/echo", {Upgrade = false, Connection = false})
    asks(405, "/echo", nil, "POST /echo HTTP/1.1")
    asks(404, "/nowhere")
  end)

  it("says which version we speak", function()
    for _, version in ipairs {"8", "12", "14", "7, 8", "99999999999"} do
      assert.equal("13", asks(426, "/echo", {["Sec-WebSocket-Version"] = version}).headers["sec-websocket-version"])
    end
  end)

  it("is refused for pages from elsewhere, unless the route says otherwise", function()
    local port = ":" .. s.port
    asks(101, "/echo", {Origin = "http://localhost"})
    asks(101, "/echo", {Origin = "HTTP://LOCALHOST:80"})
    asks(101, "/echo", {Host = "localhost" .. port, Origin = "http://localhost" .. port})
    for _, origin in ipairs {"http://evil.example", "null", "", "http://localhost" .. port, "http://localhost.evil.example",
        "http://evil.example/localhost", "http://localhost@evil.example", "file://localhost", "localhost",
        "http://localhost, http://evil.example"} do
      asks(403, "/echo", {Origin = origin})
    end
    asks(403, "/list", {Origin = "http://evil.example"})
    asks(101, "/list", {Origin = "https://example.org"})
    asks(101, "/list", {Origin = "http://other.example:81"})
    asks(403, "/list", {Origin = "http://example.org"})
    asks(403, "/list", {Origin = "http://other.example"})
    asks(101, "/list", {Origin = "http://localhost"})
    asks(101, "/all", {Origin = "http://evil.example"})
    asks(101, "/all", {Origin = "null"})
  end)

  it("agrees on our best subprotocol that the client offers", function()
    local function agreed(offer)
      return asks(101, "/protocols", {["Sec-WebSocket-Protocol"] = offer}).headers["sec-websocket-protocol"]
    end
    assert.equal("v2.chat", agreed("v1.chat, v2.chat"))
    assert.equal("v1.chat", agreed("v3.chat,v1.chat"))
    assert.is_nil(agreed("v3.chat"))
    assert.is_nil(agreed("V1.CHAT"))
    assert.is_nil(agreed(false))
  end)

  it("agrees on compression in forms that we take", function()
    local function agreed(offer)
      return asks(101, "/echo", {["Sec-WebSocket-Extensions"] = offer}).headers["sec-websocket-extensions"]
    end
    assert.matches("^permessage%-deflate", agreed("permessage-deflate"))
    assert.matches("no_context_takeover", agreed("permessage-deflate; client_max_window_bits"))
    assert.matches("^permessage%-deflate", agreed("x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=10"))
    assert.is_nil(agreed("permessage-deflate; server_max_window_bits=8"))
    assert.is_nil(agreed("permessage-deflate; unknown"))
    assert.is_nil(agreed("x-webkit-deflate-frame"))
    assert.is_nil(asks(101, "/plain", {["Sec-WebSocket-Extensions"] = "permessage-deflate"}).headers["sec-websocket-extensions"])
  end)

  it("may have frames right behind it", function()
    local conn = http.open(s)
    conn:send(ws.request("/echo") .. ws.frame(ws.TEXT, "one") .. ws.frame(ws.TEXT, "two"))
    assert(conn:upto("\r\n\r\n"))
    local socket = ws.on(conn)
    assert.equal("one", (socket:message()))
    assert.equal("two", (socket:message()))
    socket:close()
    http.each_way(s, ws.request("/echo") .. ws.close_frame(1000), function(answers, rest)
      assert.equal(101, answers[1].status)
      assert.equal("\x88\x02\x03\xe8", answers[1].body .. rest)
    end)
  end)
end)

describe("a WebSocket's frames", function()
  local s

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)

  local function echoes(bytes, ...)
    local expected = {...}
    ws.each_way(s, "/echo", bytes, function(socket)
      for _, one in ipairs(expected) do assert.equal(one, (socket:message())) end
      socket:raw(ws.close_frame(1000))
      assert.equal(1000, (socket:ending()))
    end)
  end

  local function fails(code, bytes, path)
    ws.each_way(s, path or "/echo", bytes, function(socket)
      local got = socket:ending()
      assert.equal(code, got)
    end)
  end

  it("carry texts and bytes of every length form", function()
    for _, len in ipairs {0, 1, 125, 126, 127, 128, 1000} do echoes(ws.frame(ws.TEXT, ("a"):rep(len)), ("a"):rep(len)) end
    local socket = ws.open(s, "/echo")
    for _, len in ipairs {65535, 65536, 300000, 1048576} do
      local text = ("0123456789abcdef"):rep(len // 16 + 1):sub(1, len)
      socket:send(text, "binary")
      local got, kind = socket:message()
      assert.is_true(got == text)
      assert.equal("binary", kind)
    end
    socket:close()
  end)

  it("may say a short length in a long form, or not at all", function()
    for _, form in ipairs {16, 64} do
      local socket = ws.open(s, "/echo")
      socket:frame(ws.TEXT, "hi", {form = form})
      local text, code = socket:message()
      assert.is_true(text == "hi" or code == 1002)
      socket.conn:close()
    end
  end)

  it("may be fragments, with control frames between", function()
    echoes(ws.frame(ws.TEXT, "he", {fin = false}) .. ws.frame(ws.CONTINUATION, "", {fin = false})
      .. ws.frame(ws.PING, "p") .. ws.frame(ws.PONG, "q") .. ws.frame(ws.CONTINUATION, "llo"), "hello")
    echoes(ws.frame(ws.BINARY, "", {fin = false}) .. ws.frame(ws.CONTINUATION, ""), "")
  end)

  it("must be masked", function() fails(1002, ws.frame(ws.TEXT, "hi", {mask = false})) end)

  it("must not use reserved bits and opcodes", function()
    for _, rsv in ipairs {1, 2, 4, 7} do
      fails(1002, ws.frame(ws.TEXT, "hi", {rsv = rsv}))
      fails(1002, ws.frame(ws.PING, "", {rsv = rsv}))
    end
    for _, opcode in ipairs {3, 4, 5, 6, 7, 11, 12, 13, 14, 15} do fails(1002, ws.frame(opcode, "")) end
  end)

  it("must keep control frames small and whole", function()
    fails(1002, ws.frame(ws.PING, ("x"):rep(126)))
    fails(1002, ws.frame(ws.CLOSE, ("\3\232x"):rep(42)))
    fails(1002, ws.frame(ws.PING, "", {fin = false}))
    fails(1002, ws.frame(ws.CLOSE, "\3\232", {fin = false}))
    echoes(ws.frame(ws.PONG, ("x"):rep(125)) .. ws.frame(ws.TEXT, "a"), "a")
  end)

  it("must come in an order that makes messages", function()
    fails(1002, ws.frame(ws.CONTINUATION, "x"))
    fails(1002, ws.frame(ws.CONTINUATION, "x", {fin = false}))
    fails(1002, ws.frame(ws.TEXT, "a", {fin = false}) .. ws.frame(ws.TEXT, "b"))
    fails(1002, ws.frame(ws.TEXT, "a", {fin = false}) .. ws.frame(ws.CONTINUATION, "b") .. ws.frame(ws.CONTINUATION, "c"))
  end)

  it("answer a ping with its payload, before what comes later", function()
    ws.each_way(s, "/echo", ws.frame(ws.PING, "are you there?") .. ws.frame(ws.TEXT, "x"), function(socket)
      local frame = socket:next_frame()
      assert.same({ws.PONG, "are you there?", true, 0}, {frame.opcode, frame.payload, frame.fin, frame.rsv})
      assert.equal("x", (socket:message()))
    end)
  end)

  it("close with a code that may be sent, which is echoed", function()
    for _, code in ipairs {1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999} do
      ws.each_way(s, "/echo", ws.close_frame(code, "grüß"), function(socket) assert.equal(code, (socket:ending())) end)
    end
    for _, code in ipairs {0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535} do
      fails(1002, ws.close_frame(code))
    end
    fails(1002, ws.frame(ws.CLOSE, "\3"))
    fails(1007, ws.close_frame(1000, "\xff"))
    ws.each_way(s, "/echo", ws.close_frame(), function(socket) assert.equal(1005, (socket:ending())) end)
  end)

  it("are not heard behind a close", function()
    ws.each_way(s, "/echo", ws.close_frame(1000) .. ws.frame(ws.TEXT, "late") .. ws.frame(3, ""), function(socket)
      local payload, code = socket:message()
      assert.is_nil(payload)
      assert.equal(1000, code)
    end)
  end)

  it("carry only valid UTF-8 as text, split wherever", function()
    local text = "κόσμε ü € 𝄞 \u{10FFFF} \0"
    for cut = 0, #text do
      local bytes = ws.frame(ws.TEXT, text:sub(1, cut), {fin = false}) .. ws.frame(ws.CONTINUATION, text:sub(cut + 1))
      local socket = ws.open(s, "/echo")
      socket:raw(bytes)
      assert.equal(text, (socket:message()))
      socket.conn:close()
    end
    for _, wrong in ipairs {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "a\x80", "\xf8\x88\x80\x80\x80"} do
      fails(1007, ws.frame(ws.TEXT, wrong))
      fails(1007, ws.frame(ws.TEXT, wrong:sub(1, 1), {fin = false}) .. ws.frame(ws.CONTINUATION, wrong:sub(2)))
      echoes(ws.frame(ws.BINARY, wrong), wrong)
    end
  end)

  it("are refused by their head when they are too long", function()
    fails(1009, ws.frame(ws.BINARY, "", {length = 1025}), "/small")
    fails(1009, ws.frame(ws.BINARY, "", {length = 1 << 40}), "/echo")
    fails(1009, ws.frame(ws.BINARY, "", {length = math.maxinteger}), "/echo")
    fails(1002, ws.frame(ws.BINARY, "", {length = math.mininteger, form = 64}), "/echo")
    fails(1002, ws.frame(ws.BINARY, "", {length = -1, form = 64}), "/echo")
    fails(1009, ws.frame(ws.BINARY, ("x"):rep(1000), {fin = false}) .. ws.frame(ws.CONTINUATION, ("x"):rep(25)), "/small")
    local socket = ws.open(s, "/small")
    socket:frame(ws.BINARY, ("x"):rep(1000), {fin = false}):frame(ws.CONTINUATION, ("x"):rep(24))
    assert.equal("1024", (socket:message()))
    socket:close()
  end)
end)

describe("compressed messages", function()
  local OFFER = {["Sec-WebSocket-Extensions"] = "permessage-deflate"}
  local s

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)

  -- Raw deflate that stores, ended as RFC 7692 wants it.
  local function stored(text)
    return ("\0%s%s\0"):format(string.pack("<I2I2", #text, ~#text & 0xffff), text)
  end

  local function gzipped(text)
    local dir = assert(io.popen("mktemp -d")):read("l")
    local file = assert(io.open(dir .. "/in", "wb"))
    file:write(text)
    file:close()
    local result = command.run(("gzip -9 -n <'%s/in'"):format(dir))
    os.execute(("rm -rf '%s'"):format(dir))
    return result.out:sub(11, -9)
  end

  it("are taken whole and in fragments", function()
    local bytes = stored("hello hello")
    for cut = 0, #bytes do
      local socket = ws.open(s, "/echo", OFFER)
      socket:frame(ws.TEXT, bytes:sub(1, cut), {fin = false, rsv = 4}):frame(ws.CONTINUATION, bytes:sub(cut + 1))
      assert.equal("hello hello", (socket:message()))
      socket.conn:close()
    end
    ws.each_way(s, "/echo", ws.frame(ws.TEXT, bytes, {rsv = 4}) .. ws.frame(ws.TEXT, "plain") .. ws.frame(ws.BINARY, "\0", {rsv = 4}),
      function(socket)
        assert.equal("hello hello", (socket:message()))
        assert.equal("plain", (socket:message()))
        local text, kind = socket:message()
        assert.same({"", "binary"}, {text, kind})
      end, OFFER)
  end)

  it("may end with a final block", function()
    local socket = ws.open(s, "/small", OFFER)
    socket:frame(ws.TEXT, gzipped(("a"):rep(500)), {rsv = 4})
    assert.equal("500", (socket:message()))
    socket:frame(ws.TEXT, gzipped(("b"):rep(600)) .. "\0", {rsv = 4})
    assert.equal("600", (socket:message()))
    socket:close()
  end)

  local function fails(code, bytes, path)
    ws.each_way(s, path or "/echo", bytes, function(socket) assert.equal(code, (socket:ending())) end, OFFER)
  end

  it("must mark only the first frame, and no control frame", function()
    fails(1002, ws.frame(ws.TEXT, "a", {fin = false}) .. ws.frame(ws.CONTINUATION, "b", {rsv = 4}))
    fails(1002, ws.frame(ws.PING, "", {rsv = 4}))
    fails(1002, ws.frame(ws.TEXT, stored("a"), {rsv = 6}))
  end)

  it("must be deflate, and UTF-8 behind it", function()
    fails(1007, ws.frame(ws.TEXT, "\xff\xff\xff", {rsv = 4}))
    fails(1007, ws.frame(ws.TEXT, stored("a\xff"), {rsv = 4}))
    fails(1007, ws.frame(ws.TEXT, stored("abc"):sub(1, 6), {rsv = 4}))
  end)

  it("are limited as they are when inflated: no bomb", function()
    fails(1009, ws.frame(ws.BINARY, gzipped(("x"):rep(1025)), {rsv = 4}), "/small")
    local bomb = gzipped(("\0"):rep(20000000))
    local before = s:peak()
    for _ = 1, 3 do
      local socket = ws.open(s, "/echo", OFFER)
      socket:frame(ws.BINARY, bomb, {rsv = 4})
      assert.equal(1009, (socket:ending()))
    end
    if memory.is_measurable() then assert.is_true(s:peak() - before < 8e6, (s:peak() - before) .. " bytes more") end
  end)

  it("are sent when that makes them smaller", function()
    local socket = ws.open(s, "/echo", OFFER)
    socket:send(("long "):rep(200))
    local text, _, rsv = socket:message()
    assert.equal(4, rsv)
    assert.is_true(#text < 100)
    socket:send("short")
    assert.equal("short", (socket:message()))
    socket:close()
    socket = ws.open(s, "/echo")
    socket:send(("long "):rep(200))
    assert.equal(("long "):rep(200), (socket:message()))
    socket:close()
  end)
end)

describe("a WebSocket's handler", function()
  local s, admin

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)
  before_each(function() admin = live.open(s) end)
  after_each(function() admin:close() end)

  it("ends the socket with 1000 when it leaves", function()
    local socket = ws.open(s, "/leaves")
    assert.equal("bye", (socket:message()))
    assert.equal(1000, (socket:ending()))
  end)

  it("ends it with 1011 when it fails, and the log says why", function()
    local socket = ws.open(s, "/fails")
    socket:send("x")
    assert.equal(1011, (socket:ending()))
    s:wait_log("broken")
    assert.matches("app.lua:%d+: broken", s:log())
  end)

  it("may close with a code and a reason", function()
    local code, reason = ws.open(s, "/closes"):ending()
    assert.same({4000, "enough ü"}, {code, reason})
  end)

  it("may wait for a message for a time, and learns how it ended", function()
    local socket = ws.open(s, "/recv")
    assert.equal("nil timeout", (socket:message()))
    socket:send("hi")
    assert.equal("hi", (socket:message()))
    socket:raw(ws.close_frame(4123, "why"))
    assert.equal(4123, (socket:ending()))
    wait_seen(s, "recv", "closed 4123 why")
    wait_seen(s, "send", "nil closed")
    admin:ask("POST", "/unseen/recv", "")
    socket = ws.open(s, "/recv")
    assert.equal("nil timeout", (socket:message()))
    socket:send("hi")
    socket:message()
    socket.conn:reset()
    wait_seen(s, "recv", "closed 1006 ")
  end)

  it("parks in send while the client does not read", function()
    local socket, pushed = ws.open(s, "/pushes"), nil
    server.poll(10, function() -- until it is stuck
      local before = pushed
      pushed = tonumber(seen(s, "pushed"))
      return pushed and pushed > 0 and pushed == before
    end)
    assert.is_true(pushed < 20000, pushed .. " messages were taken")
    for i = 1, 20000 do assert.equal(("%05d"):format(i), (socket:message()):sub(1, 5)) end
    assert.equal(1000, (socket:ending()))
    wait_seen(s, "pushes", "over")
    socket = ws.open(s, "/pushes")
    wait_seen(s, "pushes", "begun")
    socket.conn:close() -- and send returns
    wait_seen(s, "pushes", "over")
    assert.is_true(tonumber(seen(s, "pushed")) < 20000)
  end)

  it("learns from try_send that much is unsent", function()
    local socket = ws.open(s, "/tries")
    assert(server.poll(5, function() return tonumber(seen(s, "tried")) end))
    local count = tonumber(seen(s, "tried"))
    assert.is_true(count >= 64 and count < 20000, count)
    for _ = 1, count do assert.equal(1000, #socket:message()) end
    socket:close()
  end)

  it("gets messages in order, one at a time, in the style of callbacks", function()
    local socket = ws.open(s, "/calls?name=ada")
    assert.equal("hello ada", (socket:message()))
    for i = 1, 10 do socket:send("m" .. i, i % 2 == 0 and "binary" or "text") end
    for i = 1, 10 do
      assert.equal(("ada %d %s m%d"):format(i, i % 2 == 0 and "binary" or "text", i), (socket:message()))
    end
    socket:raw(ws.close_frame(4321, "see you"))
    assert.equal(4321, (socket:ending()))
    wait_seen(s, "closed", "4321 see you 10")
  end)

  it("handles what came before the close, then is told of it", function()
    local socket = ws.open(s, "/calls?name=eve")
    for i = 1, 5 do socket:send("m" .. i) end
    socket:raw(ws.close_frame(1000))
    wait_seen(s, "closed", "1000  5")
    socket.conn:close()
  end)

  it("is told with 1006 of a client that just leaves", function()
    local socket = ws.open(s, "/calls?name=bob")
    socket:message()
    socket.conn:reset()
    wait_seen(s, "closed", "1006  0")
    socket = ws.open(s, "/only-close")
    socket.conn:close()
    wait_seen(s, "only", "1006")
  end)

  it("goes on behind a long message that it has no callback for", function()
    local socket = ws.open(s, "/only-close")
    socket:send(("x"):rep(100000)) -- so long that reading stops until it was taken
    socket:raw(ws.close_frame(1000))
    wait_seen(s, "only", "1000")
    socket.conn:close()
  end)

  it("closes from a callback; an error there is 1011", function()
    local socket = ws.open(s, "/calls?name=a")
    socket:send("close")
    local code, reason = socket:ending()
    assert.same({4001, "asked"}, {code, reason})
    wait_seen(s, "closed", "4001  0") -- what the client answered
    socket = ws.open(s, "/calls?name=a")
    socket:send("fail")
    assert.equal(1011, (socket:ending()))
    assert(server.poll(5, function() return seen(s, "closed"):find("^1011") end))
  end)

  it("pings a silent client", function()
    local socket = ws.open(s, "/ping")
    for _ = 1, 3 do
      local frame = socket:next_frame()
      assert.equal(ws.PING, frame.opcode)
      socket:frame(ws.PONG, frame.payload)
    end
    socket:close()
  end)

  it("has what topics bring sent raw, and by topic:serve in envelopes", function()
    local raw = ws.open(s, "/raw/news")
    assert.equal("ready", (raw:message()))
    local wrapped = ws.open(s, "/serve/news")
    admin:wait_for("news", "websockets", 2)
    local cursor = admin:publish("news", 'say "hi"')
    assert.equal('say "hi"', (raw:message()))
    local json = require "neap.json"
    assert.same({cursor = cursor, topic = "news", data = 'say "hi"'}, json.decode((wrapped:message())))
    local next_cursor = admin:publish("news", '{"n":[]}', {json = 1})
    assert.equal('{"n":[]}', (raw:message()))
    wrapped:close()
    wrapped = ws.open(s, "/serve/news?after=" .. cursor)
    local text = wrapped:message()
    assert.matches('"data":{"n":[]}', text, 1, true)
    assert.equal(next_cursor, json.decode(text).cursor)
    wrapped:close()
    wrapped = ws.open(s, "/serve/news?after=1.0")
    assert.is_true(json.decode((wrapped:message())).gap)
    assert.equal(cursor, json.decode((wrapped:message())).cursor)
    wrapped:close()
    raw:close()
    admin:wait_for("news", "websockets", 0)
  end)

  it("refuses a cursor that is none", function()
    local _, answer = ws.ask(s, "/serve/news?after=huh")
    assert.equal(400, answer.status)
  end)

  it("closes with 4010 when the topic is closed", function()
    local socket = ws.open(s, "/raw/short")
    socket:message()
    admin:publish("short", "last")
    admin:close_topic("short")
    assert.equal("last", (socket:message()))
    assert.equal(4010, (socket:ending()))
  end)

  it("closes a client with 4008 that is too slow for a raw subscription", function()
    admin:set("fast", {keep = 20, bytes = "1MB"})
    local socket = ws.open(s, "/raw/fast")
    socket:message()
    for i = 1, 400 do admin:publish_many("fast", i * 10 - 9, i * 10, 2000) end
    local expected = 1
    local text, code
    repeat
      text, code = socket:message()
      if text then assert.equal(expected, tonumber(text:match("^(%d+)"))) end
      expected = expected + 1
    until not text
    assert.equal(4008, code)
    socket.conn:close()
    admin:wait_for("fast", "websockets", 0)
  end)
end)

describe("a WebSocket under attack", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1, env = http.LEAN} end)
  after_each(server.stop_all)

  local function stays_flat(limit, flood)
    local socket = ws.open(s, "/echo")
    socket:send("warm")
    socket:message()
    local before = s:rss()
    flood(socket)
    task.sleep(0.3)
    local more = s:rss() - before
    if memory.is_measurable() then assert.is_true(more < limit, ("%d bytes more"):format(more)) end
    assert.equal(200, (s:get("/end")))
    socket.conn:reset()
  end

  -- Sends until the server takes no more, or all is sent.
  local function pour(socket, bytes, times)
    local conn = socket.conn
    local pouring = task.group()
    pouring:spawn(function()
      for _ = 1, times do
        if not conn.socket:send(bytes) then return end
      end
    end)
    task.sleep(1)
    pouring:cancel()
  end

  it("answers no flood of pings that it cannot get rid of", function()
    stays_flat(6e6, function(socket) pour(socket, ws.frame(ws.PING, ("p"):rep(125), {mask = "\0\0\0\0"}):rep(500), 400) end)
  end)

  it("echoes no flood for a client that does not read", function()
    stays_flat(6e6, function(socket) pour(socket, ws.frame(ws.TEXT, ("e"):rep(1000), {mask = "\0\0\0\0"}):rep(60), 1000) end)
  end)

  it("ends an endless message of empty fragments with 1009", function()
    stays_flat(4e6, function(socket)
      socket:frame(ws.TEXT, "", {fin = false})
      local many = ws.frame(ws.CONTINUATION, "", {fin = false}):rep(1000)
      for _ = 1, 20 do socket:raw(many) end
      local _, code = socket:message()
      assert.equal(1009, code)
    end)
  end)

  it("keeps no memory for promises of large messages", function()
    local many = {}
    stays_flat(10e6, function()
      for i = 1, 100 do many[i] = ws.open(s, "/echo"):raw(ws.frame(ws.BINARY, ("x"):rep(10), {length = 1000000})) end
    end)
    for _, socket in ipairs(many) do socket.conn:close() end
  end)
end)

describe("when the server stops", function()
  after_each(server.stop_all)

  it("WebSockets are closed with 1001", function()
    local s = server.start {app = APP, workers = 2}
    local sockets = {}
    for i = 1, 6 do sockets[i] = ws.open(s, i % 2 == 0 and "/echo" or "/calls?name=x") end
    s:kill("TERM")
    for _, socket in ipairs(sockets) do assert.equal(1001, (socket:ending())) end
    assert.equal(0, s:stop())
  end)

  it("a client that does not answer the close is left after 5 s", function()
    local s = server.start {app = APP, workers = 1}
    local socket = ws.open(s, "/echo")
    s:kill("TERM")
    local _, code = socket:message()
    assert.equal(1001, code)
    assert.equal(0, s:wait(15))
    socket.conn:close()
  end)
end)
