-- A gigabyte in and out, in constant memory, also to clients that hardly read (core/THREATS.md, S3).
local command = require "spec.support.command"
local memory = require "spec.support.memory"
local server = require "spec.support.server"
local task = require "neap.task"

-- A sanitizer takes its time, and its memory is not what counts.
local SIZE = memory.is_measurable() and 1024 * 1024 * 1024 or 64 * 1024 * 1024
local MOST = 50 -- MB resident, ever
local SLOW_SECONDS = 2
local PATIENCE = 60

local APP = ("local SIZE = %d\n"):format(SIZE) .. [[
  local neap = require "neap"
  local app = neap.app()

  app:put("/up", function(req)
    local bytes = 0
    for chunk in req:chunks() do bytes = bytes + #chunk end
    return tostring(bytes)
  end, {body_limit = "2GB"})

  app:put("/slow", function(req)
    for chunk in req:chunks() do neap.task.sleep(0.05) end
    return "done"
  end, {body_limit = "2GB"})

  local written = 0
  app:get("/written", function() return tostring(written) end)
  app:get("/stream", function()
    return neap.res.stream(function(out)
      local piece = ("x"):rep(65536)
      for i = 1, SIZE // #piece do
        if not out:write(piece) then return end
        written = i * #piece
      end
    end)
  end)
  app:get("/file", function() return neap.res.file("big.bin") end)
  return app]]

local function start()
  local s = server.start {app = APP, workers = 1, args = {"--set", "timeouts.drain=1"}}
  assert(os.execute(("truncate -s %d '%s/big.bin'"):format(SIZE, s.dir)))
  return s
end

local function assert_frugal(s)
  if not memory.is_measurable() then return pending("memory is not measured with " .. memory.sanitizer()) end
  local peak = s:peak() / 1024 / 1024
  print(("      peak memory %.1f MB, processor time %.2f s"):format(peak, (s:cpu())))
  assert.is_true(peak < MOST, ("%.1f MB"):format(peak))
end

local function curl(text)
  local result = command.run("exec curl -sS " .. text, PATIENCE)
  assert.equal(0, result.code, result.err)
  return result.out
end

-- A client that takes a little now and then.
local function read_slowly(s, path)
  local socket <close> = s:connect()
  socket:receive_buffer(4096)
  socket:send(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path))
  local bytes, deadline = 0, task.now() + SLOW_SECONDS
  while task.now() < deadline do
    local piece, err = socket:recv(2048, 0.5)
    assert.is_true(piece ~= nil or err == "timeout", err)
    bytes = bytes + #(piece or "")
    task.sleep(0.02)
  end
  socket:reset()
  return bytes
end

describe("a gigabyte", function()
  after_each(server.stop_all)

  local function it_with_curl(name, fn)
    it(name, function()
      if not command.exists "curl" then return pending("curl is missing") end
      fn()
    end)
  end

  it_with_curl("comes in with Content-Length", function()
    local s = start()
    assert.equal(tostring(SIZE), curl(("-T '%s/big.bin' http://127.0.0.1:%d/up"):format(s.dir, s.port)))
    assert_frugal(s)
  end)

  it_with_curl("comes in chunked", function()
    local s = start()
    assert.equal(tostring(SIZE), curl(("-T - http://127.0.0.1:%d/up <'%s/big.bin'"):format(s.port, s.dir)))
    assert_frugal(s)
  end)

  it_with_curl("waits outside while the handler takes its time", function()
    local s = start()
    local _ <close> = command.start(("exec curl -sS -T '%s/big.bin' http://127.0.0.1:%d/slow"):format(s.dir, s.port))
    local deadline = task.now() + SLOW_SECONDS
    while task.now() < deadline do
      assert.equal(200, (s:get("/written")))
      task.sleep(0.1)
    end
    assert_frugal(s)
  end)

  it_with_curl("goes out as a stream", function()
    local s = start()
    local size = curl(("-o /dev/null -w '%%{size_download}' http://127.0.0.1:%d/stream"):format(s.port))
    assert.equal(tostring(SIZE), size)
    assert_frugal(s)
  end)

  it_with_curl("goes out as a file", function()
    local s = start()
    local size = curl(("-o /dev/null -w '%%{size_download}' http://127.0.0.1:%d/file"):format(s.port))
    assert.equal(tostring(SIZE), size)
    assert_frugal(s)
  end)

  it("goes out as a stream to a client that hardly reads: the writer waits", function()
    local s = start()
    read_slowly(s, "/stream")
    local _, written = s:get("/written")
    assert.is_true(tonumber(written) < 64 * 1024 * 1024, "written: " .. written) -- what the kernel's buffers take
    assert_frugal(s)
  end)

  it("goes out as a file to a client that hardly reads", function()
    local s = start()
    read_slowly(s, "/file")
    assert_frugal(s)
  end)
end)
