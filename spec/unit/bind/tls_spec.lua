-- neap.net over TLS: a server in Python that behaves as the spec wants.
-- needs: openssl python3
local command = require "spec.support.command"
local net = require "neap.net"
local server = require "spec.support.server"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

-- Echoes a line in capitals. "cut": ends without saying so; "end": with close_notify, and reads on; "big": a megabyte.
local PYTHON = [[
import socket, ssl, threading
def serve(plain):
    try:
        secure = context.wrap_socket(plain, server_side=True)
        for line in secure.makefile("rb"):
            if line == b"cut\n":
                secure.send(b"before")
                socket.socket.shutdown(secure, socket.SHUT_RDWR)
                return
            if line == b"end\n":
                secure.send(b"before")
                secure.unwrap()
                return
            secure.sendall(b"x" * 1000000 if line == b"big\n" else line.upper())
        with open("ends", "a") as ends: ends.write("clean\n")
    except (ssl.SSLError, OSError) as error:
        with open("ends", "a") as ends: ends.write(repr(error) + "\n")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
context.set_alpn_protocols(["echo/1"])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
]]

local SCRIPT = [[
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 \
    -subj /CN=test -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2>/dev/null
  cat >source <<'END'
%s
END
  exec python3 ./source]]

local function read(path)
  local file <close> = io.open(path)
  return file and file:read("a") or ""
end

describe("a TLS connection", function()
  local running, port, ca
  local has_tools = command.exists("openssl") and command.exists("python3")

  setup(function()
    if not has_tools then return end
    running = command.start(SCRIPT:format(PYTHON))
    ca = running.dir .. "/cert.pem"
    port = server.poll(30, function() return math.tointeger(tonumber(read(running.dir .. "/out"))) end)
    assert(port, "the server does not start")
  end)
  teardown(function()
    if running then getmetatable(running).__close(running) end
  end)

  local function test(name, fn)
    it(name, has_tools and fn or function() pending("needs openssl and python3") end)
  end

  local function connect(tls, timeout)
    return net.connect("localhost", port, {tls = tls or {ca = ca}, timeout = timeout})
  end

  test("carries bytes both ways", function()
    local socket <close> = assert(connect())
    socket:send("hello\n")
    assert.equal("HELLO", socket:read_until("\n", nil, "10s"))
    local line = ("y"):rep(300000) .. "\n"
    socket:send(line)
    assert.is_true(socket:read_exact(#line, "10s") == line:upper())
    socket:send("big\n")
    assert.equal(1000000, #socket:read_exact(1000000, "10s"))
  end)

  test("is refused unless the certificate is good, and for the name", function()
    assert.same({nil, "tls: self-signed certificate"}, {connect(true)})
    assert.same({nil, "tls: hostname mismatch"}, {connect {ca = ca, server_name = "example.org"}})
    local unchecked <close> = assert(connect {verify = false, server_name = "example.org"})
    local by_address <close> = assert(net.connect("127.0.0.1", port, {tls = {ca = ca}}))
    local as_text <close> = assert(connect {ca = read(ca)})
    for _, socket in ipairs {unchecked, by_address, as_text} do
      socket:send("ok\n")
      assert.equal("OK", socket:read_until("\n", nil, "10s"))
    end
  end)

  test("says that it ends", function()
    local function ends() return select(2, read(running.dir .. "/ends"):gsub("clean", "")) end
    local before = ends()
    local socket = assert(connect())
    socket:close()
    assert.is_true(server.poll(10, function() return ends() > before end), read(running.dir .. "/ends"))
  end)

  test("tells an end from a cut", function()
    local ended <close> = assert(connect())
    ended:send("end\n")
    assert.equal("before", ended:read_exact(6, "10s"))
    assert.same({nil, "closed"}, {ended:recv(1, "10s")})
    local cut <close> = assert(connect())
    cut:send("cut\n")
    assert.equal("before", cut:read_exact(6, "10s"))
    assert.same({nil, "truncated"}, {cut:recv(1, "10s")})
    local lines <close> = assert(connect())
    lines:send("cut\n")
    local done, err = pcall(function() for _ in lines:lines() do error("a line", 0) end end)
    assert.is_false(done)
    assert.matches("lines: truncated", err)
  end)

  test("agrees on a protocol", function()
    local with <close> = assert(connect {ca = ca, alpn = {"other", "echo/1"}})
    assert.equal("echo/1", with:protocol())
    local without <close> = assert(connect())
    assert.is_nil(without:protocol())
  end)

  test("does not begin with certificates that are none", function()
    assert.matches("^tls: cannot use ca", select(2, connect {ca = "/nowhere.pem"}))
    assert.matches("^tls: cannot use cert", select(2, connect {ca = ca, cert = "-----BEGIN nonsense"}))
    assert.matches("^tls: cannot use key", select(2, connect {ca = ca, cert = ca}))
    local own <close> = assert(connect {ca = ca, cert = ca, key = running.dir .. "/key.pem"})
    assert.is_nil(own:protocol())
  end)

  it("gives up on who does not answer, in time or at all", function()
    local silent <close> = upstream.start(function(socket) while socket:recv() do end end) -- luacheck: ignore 542
    assert.same({nil, "timeout"}, {net.connect("127.0.0.1", silent.port, {tls = true, timeout = "50ms"})})
    local plain <close> = upstream.start(function(socket)
      socket:recv()
      socket:send("220 this is no TLS\r\n")
    end)
    assert.same({nil, "tls: wrong version number"}, {net.connect("127.0.0.1", plain.port, {tls = true})})
    local leaving <close> = upstream.start(function(socket) socket:recv() end)
    assert.same({nil, "tls: closed by the peer"}, {net.connect("127.0.0.1", leaving.port, {tls = true})})
    local resetting <close> = upstream.start(function(socket) socket:recv() socket:reset() end)
    assert.same({nil, "connection reset by peer"}, {net.connect("127.0.0.1", resetting.port, {tls = true})})
  end)

  it("is closed when its task is cancelled during the handshake", function()
    local has_left = false
    local up <close> = upstream.start(function(socket)
      while socket:recv() do end -- luacheck: ignore 542
      has_left = true
    end)
    local g <close> = task.group()
    local connecting = g:spawn(function() net.connect("127.0.0.1", up.port, {tls = true}) end)
    assert(server.poll(10, function() return up.open > 0 end))
    connecting:cancel()
    assert.is_true(server.poll(10, function() return has_left end))
  end)
end)
