-- neap.http and servers that behave: neap itself, python's TLS, node's HTTP/2.
-- needs: openssl python3 nodejs
local command = require "spec.support.command"
local core = require "neap.core"
local http = require "neap.http"
local server = require "spec.support.server"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

local answering, ok = upstream.answering, upstream.ok

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:any("/echo", function(req)
    local headers = {}
    for name, value in pairs(req.headers) do
      headers[name] = headers[name] and headers[name] .. "," .. value or value
    end
    return {method = req.method, body = req:body("10MB"), headers = headers,
      port = req.peer_port}
  end)
  app:get("/status/:code{int}", function(req) return tonumber(req.params.code), "so it is", {["X-A"] = "1"} end)
  local now, most = 0, 0
  app:get("/crowd", function()
    now = now + 1
    most = math.max(most, now)
    neap.task.sleep(0.005)
    now = now - 1
    return tostring(most)
  end)
  app:get("/feed", function()
    return neap.res.stream(function(out)
      for i = 1, 5 do out:write(i, "\n") neap.task.sleep(0.001) end
    end)
  end)
  app:post("/count", function(req)
    local bytes, sum = 0, 0
    for chunk in req:chunks() do bytes = bytes + #chunk sum = (sum + chunk:byte(1)) % 256 end
    return {bytes = bytes, chunked = req.headers["transfer-encoding"]}
  end, {body_limit = "100MB"})
  app:get("/text", function() return ("compress me "):rep(1000) end)
  return app]]

local function raised(fn, ...)
  return select(2, pcall(fn, ...))
end

describe("the HTTP client", function()
  local s, url

  setup(function()
    s = server.start {app = APP, workers = 1}
    url = "http://127.0.0.1:" .. s.port
  end)
  teardown(function()
    core.http.reset()
    server.stop_all()
  end)

  local function echo(method, opts)
    return assert(http.request(method, url .. "/echo", opts)):json()
  end

  it("asks with every method", function()
    for _, method in ipairs {"get", "post", "put", "patch", "delete"} do
      assert.equal(method:upper(), http[method](url .. "/echo"):json().method)
    end
    local head = http.head(url .. "/echo")
    assert.same({200, ""}, {head.status, head.body})
    assert.equal("OPTIONS", echo("OPTIONS").method)
  end)

  it("sends a body as text, JSON and a form", function()
    local text = echo("POST", {body = "a\0b"})
    assert.same({"a\0b", "3", nil}, {text.body, text.headers["content-length"], text.headers["content-type"]})
    local as_json = echo("PATCH", {json = {1, 2}})
    assert.same({"[1,2]", "application/json"}, {as_json.body, as_json.headers["content-type"]})
    local form = echo("PUT", {form = {a = "ä b", c = {1, 2}}})
    assert.same({"a=%C3%A4%20b&c=1&c=2", "application/x-www-form-urlencoded"},
      {form.body, form.headers["content-type"]})
    assert.equal("0", echo("POST").headers["content-length"])
  end)

  it("sends a large body at once, without waiting for 100 Continue", function()
    local big = echo("POST", {body = ("x"):rep(3000000)})
    assert.equal(3000000, #big.body)
    assert.is_nil(big.headers.expect)
  end)

  it("adds a query", function()
    local up <close> = upstream.start(answering(function(head) return ok(head:match(" (%S+)")) end))
    assert.equal("/?a=1&b=%26&b=2", http.get(up.url, {query = {a = 1, b = {"&", 2}}}).body)
    assert.equal("/p?z=0&a=1", http.get(up.url .. "/p?z=0#part", {query = {a = 1}}).body)
  end)

  it("sends headers, and takes them in any case", function()
    local headers = echo("GET", {headers = {["X-One"] = "1", ["x-many"] = {"a", "b"}, ["X-Empty"] = "",
      ["User-Agent"] = "me"}}).headers
    assert.same({"1", "a,b", "", "me"},
      {headers["x-one"], headers["x-many"], headers["x-empty"], headers["user-agent"]})
    local up <close> = upstream.start(answering(ok("", "Set-Cookie: a=1\r\nset-COOKIE:b=2  \r\n")))
    local answer = http.get(up.url)
    assert.equal("a=1", answer.headers["SET-Cookie"])
    assert.same({"a=1", "b=2"}, answer.headers:all("Set-Cookie"))
    assert.same({}, answer.headers:all("Absent"))
    assert.is_nil(answer.headers.absent)
    local seen = {}
    for name, value in pairs(answer.headers) do seen[#seen + 1] = name .. "=" .. value end
    assert.same({"content-length=0", "set-cookie=a=1", "set-cookie=b=2"}, seen)
  end)

  it("returns any status as an answer", function()
    local answer = http.get(url .. "/status/503")
    assert.same({503, "so it is", "1", url .. "/status/503"},
      {answer.status, answer.body, answer.headers["x-a"], answer.url})
    assert.equal(404, http.get(url .. "/nowhere").status)
  end)

  it("skips what a server says before its answer, and trailers", function()
    local up <close> = upstream.start(answering("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      .. "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTrailer: no\r\n\r\n"))
    local answer = http.get(up.url)
    assert.same({200, "hi", nil, nil}, {answer.status, answer.body, answer.headers.link, answer.headers.trailer})
  end)

  it("decodes what comes compressed", function()
    local answer = http.get(url .. "/text")
    assert.equal("gzip", answer.headers["content-encoding"])
    assert.equal(12000, #answer.body)
    local raw = http.get(url .. "/text", {headers = {["Accept-Encoding"] = "gzip"}})
    assert.equal("\31\139", raw.body:sub(1, 2))
  end)

  it("keeps connections", function()
    local first = echo("GET").port
    for _ = 1, 5 do assert.equal(first, echo("POST", {body = "x"}).port) end
  end)

  it("asks again when a kept connection was closed meanwhile", function()
    local up <close> = upstream.start(function(socket)
      upstream.request(socket)
      socket:send(ok("once"))
    end)
    for _ = 1, 3 do assert.equal("once", http.get(up.url).body) end
    assert.equal(3, up.count)
  end)

  it("has at most so many connections to a host, and lets the others wait", function()
    core.http.reset()
    http.maximum {per_host = 5}
    local bodies
    do
      local g <close> = task.group()
      local list = {}
      for i = 1, 200 do list[i] = i end
      bodies = g:map(list, function() return assert(http.get(url .. "/crowd", {timeout = "60s"})).body end)
    end
    assert.equal(200, #bodies)
    assert.equal("5", http.get(url .. "/crowd").body)
    http.maximum {}
  end)

  it("times out while waiting for a connection", function()
    http.maximum {per_host = 1}
    local up <close> = upstream.start(function(socket) socket:recv() socket:recv() end)
    local g <close> = task.group()
    local slow = g:spawn(function() return http.get(up.url, {timeout = "1m"}) end)
    task.yield()
    assert.equal("timeout", select(2, http.get(up.url, {timeout = "30ms"})))
    assert.equal("waiting", slow.status)
    slow:cancel()
    http.maximum {}
  end)

  it("streams an answer", function()
    local answer <close> = assert(http.get(url .. "/feed", {stream = true}))
    assert.same({200, nil}, {answer.status, answer.body})
    local pieces = {}
    for chunk in answer:chunks() do pieces[#pieces + 1] = chunk end
    assert.equal("1\n2\n3\n4\n5\n", table.concat(pieces))
    assert.is_nil(answer:read_chunk())
  end)

  it("streams a body, at the speed at which the server takes it", function()
    local pieces = 0
    local answer = assert(http.post(url .. "/count", {body = function()
      pieces = pieces + 1
      if pieces == 50 then task.sleep(0.001) end
      return pieces <= 100 and ("x"):rep(100000) or nil
    end, timeout = "60s"}))
    assert.same({bytes = 10000000, chunked = "chunked"}, answer:json())
  end)

  it("stops sending when the answer is there early", function()
    local up <close> = upstream.start(function(socket)
      socket:read_until("\r\n\r\n")
      socket:send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    end)
    local answer, err = http.put(up.url, {body = function() task.yield() return ("x"):rep(1000) end})
    assert.is_true(answer and answer.status == 413 or err == "connection broken", err)
  end)

  it("does not make a request whose body cannot be made", function()
    local up <close> = upstream.start(function(socket) upstream.request(socket) end)
    assert.matches("no more", raised(http.post, up.url, {body = function() error("no more") end}))
  end)

  describe("follows a redirect", function()
    -- A server whose /STATUS redirects to `location`, and that gives back what it is asked otherwise.
    local function redirecting(location)
      return upstream.start(answering(function(head, body)
        local status = head:match("^%u+ /(3%d%d) ")
        if not status then return ok(head .. "\n\n" .. body) end
        return ("HTTP/1.1 %s X\r\nLocation: %s\r\nContent-Length: 4\r\n\r\ngone"):format(status, location)
      end))
    end

    it("with the method that belongs to it", function()
      local up <close> = redirecting("end?x=1")
      local expected = {["301"] = "GET", ["302"] = "GET", ["303"] = "GET", ["307"] = "POST", ["308"] = "POST"}
      for status, method in pairs(expected) do
        local answer = http.post(up.url .. "/" .. status, {json = {a = 1}})
        assert.equal(method, answer.body:match("^(%u+) /end%?x=1 "))
        assert.equal(method == "POST" and '{"a":1}' or "", answer.body:match("\n\n(.*)$"))
        assert.equal(method == "POST", answer.body:find("application/json", 1, true) ~= nil)
        assert.equal(up.url .. "/end?x=1", answer.url)
      end
      assert.matches("^PUT /end", http.put(up.url .. "/302", {body = "x"}).body)
    end)

    it("with credentials to the same place, without them to another", function()
      local secrets = {Authorization = "Bearer secret", Cookie = "a=secret", ["X-Mine"] = "mine"}
      local other <close> = upstream.start(answering(function(head) return ok(head) end))
      local away <close> = redirecting(other.url .. "/end")
      local body = http.get(away.url .. "/302", {headers = secrets}).body
      assert.is_nil(body:find("secret", 1, true))
      assert.matches("X%-Mine: mine", body)
      local same <close> = redirecting("/end")
      assert.matches("Bearer secret.*", http.get(same.url .. "/307", {headers = secrets}).body)
      local with_name = away.url:gsub("//", "//user:secret@")
      assert.is_nil(http.get(with_name .. "/302").body:find("Authorization", 1, true))
    end)

    it("when the answer is streamed", function()
      local up <close> = redirecting("/end")
      local answer <close> = assert(http.get(up.url .. "/301", {stream = true}))
      assert.matches("^GET /end", answer:read_chunk())
    end)

    it("never with a body that is gone", function()
      local up <close> = redirecting("/end")
      local is_sent = false
      local answer = http.post(up.url .. "/307", {body = function()
        local piece = not is_sent and "once" or nil
        is_sent = true
        return piece
      end})
      assert.equal(307, answer.status)
    end)
  end)

  it("says what is wrong with its use, at the caller's line", function()
    local here = "http_client_spec.lua:%d+: "
    assert.matches(here .. 'http.get: unknown option "timout"; did you mean "timeout"?',
      raised(function() http.get(url, {timout = 1}) end), 1, false)
    assert.matches(here .. "http: the URL is a string", raised(function() http.get(nil) end))
    assert.matches(here .. "http: the URL has a space", raised(function() http.get("http://a/b c") end))
    assert.matches(here .. "a request has one body", raised(function() http.post(url, {body = "", form = {}}) end))
    assert.matches(here .. "the X header has a control",
      raised(function() http.get(url, {headers = {X = "a\r\nHost: b"}}) end))
    assert.matches(here .. '"X Y" is not a header name', raised(function() http.get(url, {headers = {["X Y"] = "a"}}) end))
    assert.matches(here .. "the Connection header is set", raised(function()
      http.get(url, {headers = {Connection = "close"}})
    end))
    assert.matches(here .. "http.request: .* is not a method", raised(function() http.request("GET /", url) end))
    assert.equal("invalid url", select(2, http.get("nothing")) and select(2, http.get("http://a:b:c/")))
    assert.equal("unsupported protocol", select(2, http.get("ftp://127.0.0.1/")))
  end)

  it("goes through the proxy that the environment names", function()
    local up <close> = upstream.start(answering(function(head) return ok(head) end))
    local ran = server.run({"exec", "ask.lua"}, {env = {http_proxy = up.url}, files = {["ask.lua"] = [[
      io.write(require("neap.http").get("http://name.invalid/path").body) ]]}})
    assert.equal(0, ran.code)
    assert.matches("^GET http://name.invalid/path HTTP/1.1", ran.out)
  end)
end)

local PYTHON_TLS = [[
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secure")
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
]]

local NODE_H2 = [[
const http2 = require("http2"), fs = require("fs")
const server = http2.createSecureServer({key: fs.readFileSync("key.pem"), cert: fs.readFileSync("cert.pem")})
server.on("stream", (stream, headers) => {
  stream.respond({":status": 200, "x-path": headers[":path"]})
  stream.end("over h2")
})
server.listen(0, "127.0.0.1", () => console.log(server.address().port))
]]

-- A program that writes its port, in a folder with a certificate for `name`.
local function start_tls(program, source, name)
  local running = command.start(([[
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 \
      -subj /CN=test -addext 'subjectAltName=%s' 2>/dev/null
    cat >source <<'END'
%s
END
    exec %s ./source]]):format(name, source, program))
  local port = server.poll(30, function()
    local file = io.open(running.dir .. "/out")
    local found = file and file:read("n")
    if file then file:close() end
    return found
  end)
  assert(port, "it does not start")
  return running, math.tointeger(port)
end

describe("the HTTP client over TLS", function()
  local function needs(...)
    for _, tool in ipairs({...}) do
      if not command.exists(tool) then pending("needs " .. tool) return false end
    end
    return true
  end
  after_each(function() core.http.reset() end)

  it("trusts only who is vouched for, under the right name", function()
    if not needs("openssl", "python3") then return end
    local running, port = start_tls("python3", PYTHON_TLS, "DNS:localhost")
    local _ <close> = running
    local ca = running.dir .. "/cert.pem"
    local url = "https://localhost:" .. port
    assert.equal("tls: self-signed certificate", select(2, http.get(url)))
    assert.equal("secure", http.get(url, {ca = ca}).body)
    local file <close> = assert(io.open(ca))
    assert.equal("secure", http.get(url, {ca = file:read("a")}).body)
    assert.matches("^tls: no alternative certificate subject name",
      select(2, http.get("https://127.0.0.1:" .. port, {ca = ca})))
    assert.equal("secure", http.get("https://127.0.0.1:" .. port, {verify = false}).body)
    assert.equal("tls: self-signed certificate", select(2, http.get(url)), "a connection of other trust was used")
    assert.matches("^tls: ", select(2, http.get(url, {ca = "/nowhere.pem"})))
  end)

  it("is not satisfied with plain HTTP", function()
    local up <close> = upstream.start(function(socket)
      socket:recv()
      socket:send(ok("plain"))
    end)
    assert.matches("^tls: ", select(2, http.get((up.url:gsub("^http", "https")))))
  end)

  it("gives up on a handshake that stalls", function()
    local up <close> = upstream.start(function(socket) while socket:recv() do end end) -- luacheck: ignore 542
    local url = up.url:gsub("^http", "https")
    assert.equal("timeout", select(2, http.get(url, {connect_timeout = "50ms"})))
  end)

  it("speaks HTTP/2 when the server does", function()
    if not needs("openssl", "node") then return end
    local running, port = start_tls("node", NODE_H2, "DNS:localhost")
    local _ <close> = running
    local url, opts = "https://localhost:" .. port .. "/a", {ca = running.dir .. "/cert.pem"}
    local g <close> = task.group()
    local answers = g:map({1, 2, 3, 4, 5}, function(i) return assert(http.get(url .. i, opts)) end)
    for i, answer in ipairs(answers) do
      assert.same({200, "over h2", "/a" .. i}, {answer.status, answer.body, answer.headers["x-path"]})
    end
  end)
end)
