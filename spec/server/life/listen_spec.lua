-- `listen` addresses that cannot be had: each says what is wrong with it and what to try.
local command = require "spec.support.command"
local net = require "neap.net"
local server = require "spec.support.server"

local APP = 'return require("neap").app()'
local NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups "

local function is_root()
  local pipe <close> = assert(io.popen("id -u"))
  return pipe:read("n") == 0
end

local dir

-- What `neap run` says to an address, without the words before the reason.
local function answer(address, as)
  local result = command.run(("cd '%s' && timeout 20 %s'%s' run --listen '%s' app.lua"):format(dir, as or "",
    os.getenv("NEAP_BIN"), address))
  assert.is_true(result.code == 1 or result.code == 64, result.err)
  return (result.err:gsub("^neap: [^\n]-" .. address:gsub("%p", "%%%0") .. '"?:? ', ""))
end

describe("an address that cannot be listened on", function()
  setup(function()
    local pipe <close> = assert(io.popen("mktemp -d"))
    dir = pipe:read("l")
    os.execute(("cd '%s' && mkdir folder && echo >file && chmod 755 . folder"):format(dir))
    local file <close> = assert(io.open(dir .. "/app.lua", "w"))
    file:write(APP)
  end)
  after_each(server.stop_all)
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  for _, row in ipairs {
    {"is a file that is not a socket", "unix:file",
      "address already in use. What is there is not a socket: remove it, or take another path.\n"},
    {"is a folder", "unix:folder",
      "address already in use. What is there is not a socket: remove it, or take another path.\n"},
    {"is in no folder", "unix:nowhere/app.sock",
      "no such file or directory. Does the folder of the socket exist?\n"},
    {"is in a file", "unix:file/app.sock", "not a directory. Does the folder of the socket exist?\n"},
    {"has a path that is too long", "unix:/tmp/" .. ("x"):rep(103),
      "is too long: the path of a socket has at most 107 bytes\n"},
    {"has no path", "unix:",
      "is not an address: write 127.0.0.1:8080, :8080 for all addresses, [::1]:8080 or unix:/run/app.sock\n"},
    {"is another machine's", "192.0.2.1:0",
      "cannot assign requested address. This machine has no such address; :PORT means all it has.\n"},
  } do
    it(row[1], function() assert.equal(row[3], answer(row[2])) end)
  end

  it("takes a path that is just not too long", function()
    local path = dir .. "/"
    path = path .. ("x"):rep(107 - #path)
    local s = server.start {app = APP, args = {"--listen", "unix:" .. path}, workers = 1}
    assert.equal(0, s:stop())
  end)

  it("is the socket of a server that runs", function()
    local path = dir .. "/app.sock"
    local s = server.start {app = APP, args = {"--listen", "unix:" .. path}, workers = 1}
    assert.equal("address already in use. Is another server running? It has this socket.\n", answer("unix:" .. path))
    assert.equal(0, s:stop())
  end)

  it("is in a folder of somebody else", function()
    local as = is_root() and NOBODY
    if not as then os.execute(("chmod 555 '%s/folder'"):format(dir)) end
    assert.equal("permission denied. This user may not make or replace a socket in that folder.\n",
      answer("unix:folder/app.sock", as))
    os.execute(("chmod 755 '%s/folder'"):format(dir))
  end)

  it("is told as what it is by neap.net as well", function()
    for _, open in ipairs {net.listen, net.connect} do
      local socket, err = open("unix:/tmp/" .. ("x"):rep(103))
      assert.same({nil, "name too long"}, {socket, err})
    end
  end)
end)
