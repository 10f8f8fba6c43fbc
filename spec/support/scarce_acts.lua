-- What a server is asked to do while memory is short (see scarce.lua): each act is a function that does one thing to it,
-- leaves nothing behind, and says in a word what came of it. None waits longer than PATIENCE.
local json = require "neap.json"
local net = require "neap.net"
local task = require "neap.task"
local ws = require "spec.support.ws"

local acts = {}

acts.APP = [[
  local neap = require "neap"
  local app = neap.app()
  local news, watched = neap.topic("news"), neap.topic("watched")
  local kept = neap.keep("kept", {n = 0})

  watched:on("subscribe", function(visit) visit.name = "x" end)
  watched:on("leave", function(visit) kept.n = kept.n + #visit.name end)
  app:on_handoff(function() return {n = kept.n} end)
  app:on_adopt(function() end)
  app:on_cleanup(function() end)
  app:every("1h", function() kept.n = kept.n + 1 end, {name = "sweep"})

  -- Holds so much that there is only room for about `left` bytes more.
  local held
  app:get("/fill/:left", function(req)
    held = nil
    collectgarbage()
    local reserve, list, size = ("r"):rep(tonumber(req.params.left)), nil, 1 << 19
    while size >= 64 do
      local ok, piece = pcall(function() return {("x"):rep(size), list} end)
      if ok then list = piece else size = size // 8 end
    end
    held, reserve = list, #reserve
    return 204
  end)
  app:get("/free", function()
    held = nil
    collectgarbage()
    return 204
  end)

  app:get("/hello/:name", function(req) return "hello " .. req.params.name .. (req.query.q or "") end)
  app:get("/json", function() return {list = {1, 2, {a = "b"}}} end)
  app:get("/packed", function() return {text = ("some text "):rep(12000)} end)
  app:get("/fail", function() error("no luck") end)
  app:post("/form", function(req) return assert(req:form()).name end)
  app:post("/upload", function(req)
    local bytes = 0
    for chunk in req:chunks() do bytes = bytes + #chunk end
    return tostring(bytes)
  end)
  app:post("/parts", function(req)
    local bytes = 0
    for part in req:multipart() do bytes = bytes + #assert(part:body()) end
    return tostring(bytes)
  end)
  app:get("/file", function() return neap.res.file("app.lua") end)
  app:get("/stream", function()
    return neap.res.stream(function(out) for _ = 1, 5 do out:write(("x"):rep(1000)) end end)
  end)
  app:get("/after", function(req)
    req:after(function() neap.task.sleep(0) kept.n = kept.n + 1 end)
    return "after"
  end)
  app:get("/tasks", function()
    local g <close> = neap.task.group()
    local list = g:map({1, 2, 3}, function(n) neap.task.sleep(0) return n end)
    return tostring(#list)
  end)
  app:get("/thread", function() return tostring(neap.task.thread("sum", "of", 1, 2)) end)
  app:get("/store", function()
    local store = neap.store("things", {ttl = "1m"})
    store:set("a", {1, "b"})
    store:incr("n")
    return {store:get("a"), store:get("n")}
  end)
  app:get("/sqlite", function()
    local db <close> = require "neap.sqlite".open(":memory:")
    db:exec("CREATE TABLE t (a, b)")
    db:exec("INSERT INTO t VALUES (?, ?)", 1, "x")
    return db:query("SELECT * FROM t")
  end)
  app:get("/client", function(req)
    local answer = assert(require "neap.http".get("http://" .. req.host .. "/hello/bob", {timeout = "2s"}))
    return answer.body
  end)
  app:use("/ids", neap.session {keys = {("k"):rep(32)}})
  app:get("/ids", function(req)
    local crypto = require "neap.crypto"
    req.session.id = crypto.base64(crypto.random(16), true)
    return crypto.hmac("secret", crypto.sha256(req.session.id), "hex")
  end)
  app:get("/pg", function()
    local db <close> = require "neap.pg".connect(os.getenv "SPEC_PG")
    return assert(db:query("SELECT $1::int AS n, 'x' AS t", 1))
  end)
  app:get("/redis", function()
    local db <close> = require "neap.redis".connect(os.getenv "SPEC_REDIS")
    assert(db:set("a", "1"))
    return assert(db:get("a"))
  end)
  app:get("/https", function()
    return assert(require "neap.http".get(os.getenv "SPEC_TLS", {ca = os.getenv "SPEC_CA", timeout = "2s"})).body
  end)
  app:get("/tls", function()
    local port = tonumber(os.getenv "SPEC_TLS":match("%d+$"))
    local socket <close> = assert(require "neap.net".connect("localhost", port, {tls = {ca = os.getenv "SPEC_CA"}, timeout = "20s"}))
    assert(socket:send("GET / HTTP/1.0\r\n\r\n"))
    return assert(socket:read_until("\r\n\r\n"))
  end)
  app:get("/publish", function() assert(news:publish("m")) assert(watched:publish({m = 1})) return 204 end)
  app:get("/poll", function() return neap.res.poll({news, "watched"}) end)
  app:get("/events", function() return neap.res.events({"news", watched}) end)
  app:get("/over", function()
    local topic = neap.topic("over")
    topic:close()
    return neap.res.events(topic)
  end)
  app:ws("/ws/echo", function(socket)
    for message in socket:messages() do socket:send(message) end
  end)
  app:ws("/ws/callbacks", {
    open = function(socket) socket.data.n = 0 end,
    message = function(socket, text) socket.data.n = socket.data.n + 1 socket:send(text) end,
    close = function() kept.n = kept.n + 1 end,
  })
  app:ws("/ws/member", function(socket)
    socket:subscribe("watched", {envelope = true})
    socket:subscribe("news")
    socket:send("here")
    socket:recv()
  end)
  app:ws("/ws/travel", function(socket)
    socket:on_handoff(function() return {1} end)
    socket:send("here")
    for message in socket:messages() do socket:send(message) end
  end)
  app:get("/serve", function(req) return watched:serve(req) end)
  return app
]]

acts.FILES = {["sum.lua"] = "return {of = function(a, b) return a + b end}"}

acts.STATE = "state" -- folder of the control socket, in the server's own

local PATIENCE = 5
local ANSWER_SECONDS = 10

-- A connection; it closes at the end of its block.
local function connect(s)
  return assert(net.connect("127.0.0.1", s.port))
end

-- A list of connections that closes them all.
local function closing(list)
  return setmetatable(list, {__close = function(all) for _, one in ipairs(all) do one:close() end end})
end

-- What comes until `pattern` is found, the server closes, or PATIENCE is over; and why it ended.
local function receive(socket, pattern)
  local text = ""
  local deadline = task.now() + PATIENCE
  while not (pattern and text:find(pattern)) do
    local piece, why = socket:recv(65536, math.max(0.001, deadline - task.now()))
    if not piece then return text, why == "timeout" and "hangs" or "closed" end
    text = text .. piece
  end
  return text, "found"
end

-- The status, "cut" when the answer is not whole, or why there is none.
local function word_of(answer, why)
  local status = answer:match("^HTTP/1%.1 (%d+)")
  if why == "hangs" or not status then return why end
  local len = tonumber(answer:match("\r\n[Cc]ontent%-[Ll]ength: (%d+)"))
  local body = answer:match("\r\n\r\n(.*)$") or ""
  local is_whole = not (len and #body < len) and not (answer:find("chunked") and not body:find("0\r\n\r\n$"))
  return is_whole and status or status .. " cut"
end

---What the server says to a line on its control socket; nil when it does not.
---@async
function acts.ask(s, line)
  local socket <close> = net.connect(("unix:%s/%s/%d.sock"):format(s.dir, acts.STATE, s.pid))
  if not socket then return nil end
  socket:send(line .. "\n")
  local text = ""
  repeat
    local piece = socket:recv(65536, ANSWER_SECONDS)
    text = text .. (piece or "")
  until not piece
  return (json.decode(text))
end

-- A question to the server: whether it was answered.
local function question(line)
  return function(s)
    local answer = acts.ask(s, line)
    return not answer and "closed" or answer.error and "error" or answer.answers[1] and "answer" or "nothing"
  end
end

local function exchange(s, request)
  local socket <close> = connect(s)
  socket:send(request)
  return word_of(receive(socket))
end

local function get(path)
  return function(s)
    return exchange(s, ("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(path))
  end
end

local function post(path, kind, body)
  local head = ("POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n")
    :format(path, kind, #body)
  return function(s)
    local socket <close> = connect(s)
    socket:send(head)
    for at = 1, #body, 20000 do -- so that the handler waits for the next
      task.sleep(0.001)
      socket:send(body:sub(at, at + 19999))
    end
    return word_of(receive(socket))
  end
end

local PARTS = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n" ..
  "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" .. ("y"):rep(3000) .. "\r\n--x--\r\n"

-- It may be the publishing that fails; the second time nothing does.
local function publish(s)
  if get("/publish")(s) ~= "204" then get("/publish")(s) end
end

-- A client that is to get the message which another one publishes.
local function await(path, message, fields)
  return function(s)
    local socket <close> = connect(s)
    socket:send(("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n"):format(path, fields or ""))
    local head, why = receive(socket, ":\n\n")
    if why ~= "found" then return word_of(head, why) end
    publish(s)
    local _, how = receive(socket, message)
    return how == "found" and "message" or how
  end
end

-- Opens, sends one message and waits for the echo, closes as one should.
local function talk(path, says)
  return function(s)
    local socket <close> = connect(s)
    socket:send(ws.request(path))
    local head, why = receive(socket, "\r\n\r\n")
    if not head:find("^HTTP/1%.1 101") then return word_of(head, why) end
    if says then socket:send(ws.frame(ws.TEXT, says)) end
    local frames = head:match("\r\n\r\n(.*)$")
    if frames == "" then frames = receive(socket, ("[\x88%s]"):format((says or "here"):sub(-1))) end
    local code = frames:match("\x88.(..)")
    socket:send(ws.close_frame(1000))
    local _, last = receive(socket)
    if last == "hangs" then return last end
    return code and tostring(string.unpack(">I2", code)) or frames:find(says or "here") and "echo" or "cut"
  end
end

-- The same with a message that is compressed, and an answer that is.
local function talk_packed(s)
  local text = ("hello "):rep(300)
  local packed = ("\0%s%s\0"):format(string.pack("<I2I2", #text, ~#text & 0xffff), text) -- deflate that only stores
  local socket <close> = connect(s)
  socket:send(ws.request("/ws/echo", {["Sec-WebSocket-Extensions"] = "permessage-deflate"}))
  local head, how = receive(socket, "\r\n\r\n")
  if not head:find("^HTTP/1%.1 101") then return word_of(head, how) end
  socket:send(ws.frame(ws.TEXT, packed, {rsv = 4}))
  local frames = head:match("\r\n\r\n(.*)$")
  if frames == "" then frames = receive(socket, "[\xc1\x81\x88]") end
  socket:send(ws.close_frame(1000))
  local _, last = receive(socket)
  return last == "hangs" and last or frames:find("^[\xc1\x81]") and "echo" or "cut"
end

acts.list = {
  request = get("/hello/ada?q=1"),
  json = get("/json"),
  packed = function(s)
    return exchange(s, "GET /packed HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n")
  end,
  failure = get("/fail"),
  missing = get("/nothing"),
  form = post("/form", "application/x-www-form-urlencoded", "name=a&b=c"),
  upload = post("/upload", "text/plain", ("x"):rep(70000)),
  parts = post("/parts", "multipart/form-data; boundary=x", PARTS),
  file = get("/file"),
  stream = get("/stream"),
  after = get("/after"),
  tasks = get("/tasks"),
  thread = get("/thread"),
  publish = get("/publish"),
  store = get("/store"),
  sqlite = get("/sqlite"),
  client = function(s)
    return exchange(s, ("GET /client HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"):format(s.port))
  end,
  ids = get("/ids"),
  pg = get("/pg"),
  redis = get("/redis"),
  https = get("/https"),
  tls = get("/tls"),
  over = get("/over"),
  events = await("/events", "data: {\"m\":1}"),
  serve = await("/serve", "\"m\"", "Accept: text/event-stream\r\n"),
  ps = question("ps"),
  topics = question("topics"),
  errors = question("errors"),
  job = question("jobs run sweep"),
  poll = function(s)
    local socket <close> = connect(s)
    socket:send("GET /poll HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    task.sleep(0.01)
    publish(s)
    return word_of(receive(socket))
  end,
  unfinished = function(s) -- each waits for a body that never comes, so each needs a task
    local sockets <close> = closing {}
    for i = 1, 20 do
      sockets[i] = connect(s)
      sockets[i]:send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxxx")
    end
    task.sleep(0.01)
    return "left"
  end,
  gone = function(s) -- a poll whose client leaves
    local socket <close> = connect(s)
    socket:send("GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
    task.sleep(0.01)
    return "left"
  end,
  echo = talk("/ws/echo", "hello"),
  deflated = talk_packed,
  callbacks = talk("/ws/callbacks", "hello"),
  member = talk("/ws/member"),
}

-- Reloads while `paths` are open: a WebSocket each, or what a GET begins.
local function reload(paths)
  return function(s)
    local sockets <close> = closing {}
    for i, path in ipairs(paths) do
      sockets[i] = connect(s)
      sockets[i]:send(path:find("^/ws") and ws.request(path) or ("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path))
    end
    return s:reload() and "serves" or "failed"
  end
end

---Leaves room for so many bytes.
function acts.fill(left)
  return get("/fill/" .. left)
end

-- The peer that an act needs: a name in the environment of the server, see scarce_peers.lua.
acts.wants = {pg = "SPEC_PG", redis = "SPEC_REDIS", https = "SPEC_TLS", tls = "SPEC_TLS"}

acts.free = get("/free")
acts.list.reload = reload {}
acts.list.handover = reload {"/ws/echo", "/ws/callbacks", "/ws/member", "/ws/travel", "/poll", "/events"}

return acts
