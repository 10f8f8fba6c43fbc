-- neap.net: listeners and connections, as an application has them.
local core = require "neap.core"
local net = require "neap.net"
local server = require "spec.support.server"
local task = require "neap.task"

local PATIENCE = "10s"

-- A listener, a connection to it, and the accepted end of that.
local function pair(host, port)
  local listener = assert(net.listen(host or "127.0.0.1", port or not host and 0 or nil))
  local near = assert(net.connect(host or "127.0.0.1", listener.port))
  local far = assert(listener:accept(PATIENCE))
  listener:close()
  return near, far
end

local function close_all(...)
  for _, thing in ipairs({...}) do thing:close() end
end

local function open_files()
  return #assert(core.list_dir("/proc/self/fd"))
end

-- What a wrong use raises, with the place that it blames.
local function raised(fn)
  return select(2, pcall(fn))
end

describe("a listener", function()
  it("accepts on a port of its own choice", function()
    local near, far = pair()
    near:send("over")
    assert.equal("over", far:recv())
    close_all(near, far)
  end)

  it("accepts what came before anybody asked", function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local near <close> = assert(net.connect("127.0.0.1", listener.port))
    near:send("early")
    task.yield()
    local far <close> = assert(listener:accept(PATIENCE))
    assert.equal("early", far:recv())
  end)

  it("gives connections to those who wait in their order", function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local order = {}
    local g <close> = task.group()
    for i = 1, 3 do
      g:spawn(function()
        local socket <close> = assert(listener:accept(PATIENCE))
        order[#order + 1] = i .. socket:read_exact(1)
      end)
    end
    task.yield()
    for i = 1, 3 do
      local socket <close> = assert(net.connect("127.0.0.1", listener.port))
      socket:send(tostring(i))
      assert(server.poll(10, function() return #order == i end))
    end
    assert.same({"11", "22", "33"}, order)
  end)

  it("keeps only so many connections that nobody asks for, and the others in the backlog", function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local before, sockets = open_files(), {}
    for i = 1, 100 do sockets[i] = assert(net.connect("127.0.0.1", listener.port)) end
    assert(server.poll(10, function() return open_files() == before + 100 + 64 end))
    task.yield()
    assert.equal(before + 100 + 64, open_files())
    for i = 1, 100 do sockets[i]:send(("%03d"):format(i)) end
    for i = 1, 100 do
      local far <close> = assert(listener:accept(PATIENCE))
      assert.equal(("%03d"):format(i), far:read_exact(3, PATIENCE))
      sockets[i]:close()
    end
  end)

  it("tells those who wait that it was closed", function()
    local listener = assert(net.listen("127.0.0.1", 0))
    local g <close> = task.group()
    local waiting = g:spawn(function() return listener:accept() end)
    task.yield()
    listener:close()
    assert.same({true, nil, "closed"}, {waiting:join()})
    assert.same({nil, "closed"}, {listener:accept()})
    assert.has_no.errors(function() listener:close() end)
  end)

  it("gives up after the timeout, and loses nothing to those who gave up", function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    assert.same({nil, "timeout"}, {listener:accept(0.001)})
    local g <close> = task.group()
    local cancelled = g:spawn(function() listener:accept() end)
    task.yield()
    cancelled:cancel()
    local near <close> = assert(net.connect("127.0.0.1", listener.port))
    near:send("x")
    local far <close> = assert(listener:accept(PATIENCE))
    assert.equal("x", far:recv())
  end)

  it("listens on a path, removes its file, and takes over one that was left behind", function()
    local dir = assert(os.tmpname())
    os.remove(dir)
    local path = "unix:" .. dir
    local near, far = pair(path)
    near:send("by file")
    assert.equal("by file", far:recv())
    close_all(near, far)
    assert.same({nil, "no such file or directory"}, {net.connect(path)})
    assert.is_nil(io.open(dir))
  end)

  it("says why it cannot", function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    assert.same({nil, "address already in use"}, {net.listen("127.0.0.1", listener.port)})
    assert.same({nil, "invalid argument"}, {net.listen("no address", 0)})
    assert.same({nil, "name too long"}, {net.connect("unix:" .. ("x"):rep(200))})
    assert.matches("sockets_spec.lua:%d+: net.listen: the port", raised(function() net.listen("127.0.0.1") end))
    assert.matches("sockets_spec.lua:%d+: net.listen: the host", raised(function() net.listen(8080) end))
  end)
end)

describe("a socket", function()
  local near, far
  before_each(function() near, far = pair() end)
  after_each(function() close_all(near, far) end)

  it("reads exactly so many bytes, however they come", function()
    local g <close> = task.group()
    local reading = g:spawn(function() return near:read_exact(5, PATIENCE) end)
    for piece in ("hello!"):gmatch("..?") do
      far:send(piece)
      task.yield()
    end
    assert.same({true, "hello"}, {reading:join()})
    assert.equal("!", near:recv())
  end)

  it("reads more than it would keep by itself", function()
    local g <close> = task.group()
    local text = ("0123456789"):rep(100000)
    g:spawn(function() far:send(text) end)
    assert.is_true(near:read_exact(#text, PATIENCE) == text)
  end)

  it("leaves what was too little to recv", function()
    far:send("abc")
    far:shutdown()
    assert.same({nil, "closed"}, {near:read_exact(4, PATIENCE)})
    assert.equal("abc", near:recv())
    assert.same({nil, "closed"}, {near:recv()})
  end)

  it("reads up to a delimiter at every cut", function()
    local text = "one--two----three-"
    for cut = 1, #text do
      far:send(text:sub(1, cut))
      task.yield()
      local g <close> = task.group()
      local reading = g:spawn(function()
        return near:read_until("--"), near:read_until("--"), near:read_until("--"), near:read_exact(6, PATIENCE)
      end)
      task.yield()
      far:send(text:sub(cut + 1))
      assert.same({true, "one", "two", "", "three-"}, {reading:join()})
    end
  end)

  it("refuses more than the limit before a delimiter", function()
    far:send(("x"):rep(11))
    assert.same({nil, "too_large"}, {near:read_until("\n", 10, PATIENCE)})
    assert.equal(11, #near:recv())
    far:send(("x"):rep(10) .. "\n")
    assert.equal(10, #near:read_until("\n", 10, PATIENCE))
    far:send(("x"):rep(12) .. "\n")
    assert.same({nil, "too_large"}, {near:read_until("\n", 10, PATIENCE)})
  end)

  it("gives lines until the end, the last one too when it has no end", function()
    far:send("one\r\n\ntwo\nthree")
    far:shutdown()
    local lines = {}
    for line in near:lines() do lines[#lines + 1] = line end
    assert.same({"one", "", "two", "three"}, lines)
  end)

  it("raises when a line is too long or the connection breaks", function()
    far:send(("x"):rep(20))
    local function read_all() for _ in near:lines(10) do error("a line") end end
    assert.matches("sockets_spec.lua:%d+: lines: too_large", raised(read_all))
    far:reset()
    near:recv()
    assert.matches("sockets_spec.lua:%d+: lines: connection reset by peer", raised(read_all))
  end)

  it("times out, and can be read on", function()
    assert.same({nil, "timeout"}, {near:recv(10, 0.001)})
    far:send("a")
    assert.same({nil, "timeout"}, {near:read_exact(2, 0.001)})
    assert.same({nil, "timeout"}, {near:read_until("\n", nil, 0.001)})
    far:send("b\n")
    assert.equal("ab", near:read_until("\n", nil, PATIENCE))
  end)

  it("gives what arrived before a reset, then the reset", function()
    far:send("last words")
    assert(server.poll(10, function() return near:read_exact(4, 0) end))
    far:reset()
    assert(server.poll(10, function() return not near:send("x") end))
    assert.equal(" words", near:recv())
    assert.same({nil, "connection reset by peer"}, {near:recv()})
    assert.same({nil, "closed"}, {near:send("x")})
  end)

  it("is read by one task at a time", function()
    local g <close> = task.group()
    g:spawn(function() near:recv() end)
    task.yield()
    assert.matches("another task is receiving", raised(function() near:recv() end))
    far:send("x")
  end)

  it("wakes its reader and its writer when another task closes it", function()
    local g <close> = task.group()
    local reading = g:spawn(function() return near:recv() end)
    local writing = g:spawn(function()
      local ok, err
      repeat ok, err = near:send(("x"):rep(1000000)) until not ok
      return ok, err
    end)
    task.yield()
    near:reset()
    assert.same({true, nil, "closed"}, {reading:join()})
    assert.same({true, nil, "closed"}, {writing:join()})
  end)
end)

describe("what is left open", function()
  it("is logged with the place where it was made", function()
    local s = server.run({"exec", "leak.lua"}, {files = {["leak.lua"] = [[
      local net = require "neap.net"
      local listener = net.listen("127.0.0.1", 0)
      local socket = net.connect("127.0.0.1", listener.port)
      socket, listener = nil, nil
      collectgarbage() ]]}})
    assert.equal(0, s.code)
    assert.matches("a socket was not closed; it was made at leak.lua:3", s.err, 1, true)
    assert.matches("a listener was not closed; it was made at leak.lua:2", s.err, 1, true)
  end)

  it("does not hold up the end when it was closed with bytes that nobody takes", function()
    local s = server.run({"exec", "full.lua"}, {files = {["full.lua"] = [[
      local net, task = require "neap.net", require "neap.task"
      local listener <close> = net.listen("127.0.0.1", 0)
      local near = net.connect("127.0.0.1", listener.port)
      local far <close> = listener:accept("5s")
      task.timeout("1ms", near.send, near, ("x"):rep(32 * 1024 * 1024))
      near:close() ]]}})
    assert.equal(0, s.code, s.err)
  end)
end)
