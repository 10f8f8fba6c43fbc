-- The certificates that the system trusts, as neap.http and neap.net use them. What they are is settled once for a
-- process, so each spec runs a script in a neap of its own.
-- needs: openssl
local command = require "spec.support.command"
local server = require "spec.support.server"

local PEER = [[
  for name in cert other; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $name.key -out $name.pem -days 2 \
      -subj /CN=$name -addext 'subjectAltName=DNS:localhost' 2>/dev/null
  done
  exec openssl s_server -accept 127.0.0.1:0 -www -cert cert.pem -key cert.key]]

-- https() and tls() give true, or nil and the error.
local HEAD = [[
  local http, net, task = require "neap.http", require "neap.net", require "neap.task"
  local dir, port = arg[1], tonumber(arg[2])
  local function https(opts)
    local answer, err = http.get("https://localhost:" .. port, opts)
    return answer and answer.status == 200, err
  end
  local function tls(opts)
    local socket <close>, err = net.connect("localhost", port, {tls = opts or true})
    return socket and true, err
  end
  local function copy(name)
    assert(os.execute(("cp '%s/%s' '%s/bundle.new' && mv '%s/bundle.new' '%s/bundle.pem'"):format(dir, name, dir, dir, dir)))
  end
]]

describe("the certificates of the system", function()
  local peer, port
  local has_tools = command.exists "openssl"

  setup(function()
    if not has_tools then return end
    peer = command.start(PEER)
    port = server.poll(30, function()
      local file <close> = io.open(peer.dir .. "/out")
      return file and file:read("a"):match("ACCEPT 127%.0%.0%.1:(%d+)")
    end)
    assert(port, "the server does not start")
  end)
  teardown(function()
    if peer then peer:__close() end
  end)

  local function test(name, bundle, script, check)
    it(name, function()
      if not has_tools then pending("needs openssl") return end
      local result = server.run({"exec", "script.lua", peer.dir, port},
        {files = {["script.lua"] = HEAD .. script}, env = {SSL_CERT_FILE = (bundle:gsub("^@", peer.dir .. "/")), SSL_CERT_DIR = peer.dir}})
      assert.equal(0, result.code, result.err)
      check(result)
    end)
  end

  test("are those of SSL_CERT_FILE", "@cert.pem", [[
    print(https())
    print(tls())
  ]], function(result) assert.equal("true\tnil\ntrue\tnil\n", result.out) end)

  test("do not vouch for others, but `ca` may", "@other.pem", [[
    print(https())
    print(tls())
    print(https {ca = dir .. "/cert.pem"})
    print(tls {ca = dir .. "/cert.pem"})
  ]], function(result)
    assert.equal("nil\ttls: self-signed certificate\nnil\ttls: self-signed certificate\ntrue\tnil\ntrue\tnil\n", result.out)
  end)

  test("are missed by name, where somebody needs them", "/nowhere.pem", [[
    print(https())
    print(tls())
    print(https {ca = dir .. "/cert.pem"})
    print(tls {ca = dir .. "/cert.pem"})
    print(https {verify = false})
    print(tls {verify = false})
  ]], function(result)
    local missing = "nil\ttls: no usable certificates in /nowhere.pem: install ca-certificates (Debian's name), or name "
      .. "others by SSL_CERT_FILE or the option ca\n"
    assert.equal(missing:rep(2) .. ("true\tnil\n"):rep(4), result.out)
  end)

  test("are read again when their file changes, and kept when it becomes useless", "@bundle.pem", [[
    copy "other.pem"
    print((https()))
    print((tls()))
    copy "cert.pem"
    print((https()))
    print((tls()))
    copy "run"
    print((https()))
    print((tls()))
  ]], function(result)
    assert.equal(("nil\n"):rep(2) .. ("true\n"):rep(4), result.out)
    assert.matches("bundle.pem has changed and is of no use now", result.err, 1, true)
  end)

  test("are waited for by many, each of whom may leave", "@cert.pem", [[
    local g <close> = task.group()
    local leaving = g:spawn(https)
    local late = g:spawn(function() print(https {timeout = 0.000001}) end)
    local staying = {}
    for i = 1, 5 do staying[i] = g:spawn(i % 2 == 0 and https or tls) end
    task.yield()
    leaving:cancel()
    late:join()
    for i = 1, 5 do print(i, select(2, staying[i]:join())) end
  ]], function(result)
    assert.equal("nil\ttimeout\n" .. ("12345"):gsub("%d", "%0\ttrue\tnil\n"), result.out)
  end)
end)
