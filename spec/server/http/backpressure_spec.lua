-- Who is faster has to wait (core/THREATS.md, S3): a stream for its reader, an upload for its handler, and nobody else
-- for either.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local MB = 1024 * 1024

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local written, pending, is_open, most = 0, 0, false, 0
  local piece = ("0123456789abcdef"):rep(4096)
  app:get("/end", function() return "end" end)
  app:get("/written", function() return written .. " " .. pending end)
  app:get("/stream/:count{int}", function(req)
    return neap.res.stream(function(out)
      for _ = 1, tonumber(req.params.count) do
        assert(out:write(piece))
        written = written + #piece
        pending = math.max(pending, out:pending())
      end
    end)
  end)
  app:get("/small", function(req)
    return neap.res.stream(function(out)
      for i = 1, 100000 do assert(out:write(("%09d\n"):format(i))) end
    end)
  end)
  app:get("/flush", function()
    return neap.res.stream(function(out)
      out:write("a")
      assert(out:flush())
      local first = out:pending()
      out:write("b")
      out:write(tostring(first))
    end)
  end)
  app:get("/open", function() is_open = true return "open" end)
  app:post("/gate", function(req)
    while not is_open do neap.task.sleep(0.001) end
    local count, sum = 0, 0
    while true do
      local data, err = req:read_chunk()
      if not data then return count .. " " .. tostring(err) end
      count = count + #data
    end
  end, {body_limit = "1GB"})
  return app]]

describe("back-pressure", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1, env = http.LEAN} end)
  after_each(server.stop_all)

  local function written()
    local sum, pending = select(2, s:get("/written")):match("(%d+) (%d+)")
    return tonumber(sum), tonumber(pending)
  end

  -- The sum once it no longer grows.
  local function settled()
    local last, still = -1, 0
    server.poll(10, function()
      local sum = written()
      still = sum == last and still + 1 or 0
      last = sum
      return still >= 10
    end)
    return last
  end

  it("makes a stream wait for its reader", function()
    local before = s:rss()
    local conn = http.open(s)
    conn.socket:receive_buffer(65536)
    conn.socket:pause()
    conn:send("GET /stream/1600 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.is_true(settled() < 32 * MB) -- of 100; some megabytes are the kernel's
    local _, pending = written()
    assert.is_true(pending <= 3 * 65536, pending .. " bytes pending")
    assert.is_true(s:rss() - before < 8 * MB, ("grew by %d"):format(s:rss() - before))

    local count = 0
    conn:upto("\r\n\r\n")
    repeat
      local size = tonumber(conn:upto("\r\n"):match("^%x+"), 16)
      local data = conn:exactly(size)
      assert.is_true(data == ("0123456789abcdef"):rep(size // 16), "wrong data")
      count = count + size
      conn:exactly(2)
    until size == 0
    assert.equal(1600 * 65536, count)
    conn:send(http.END)
    assert.equal("end", conn:answer().body)
    conn:close()
  end)

  it("keeps small writes in order", function()
    local conn = http.open(s):send("GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    local answer = conn:answer()
    assert.is_true(answer.is_whole)
    local expected = {}
    for i = 1, 100000 do expected[i] = ("%09d\n"):format(i) end
    assert.is_true(answer.body == table.concat(expected))
    conn:close()
  end)

  -- While it does not read, the client must not take the end, which it can see coming, for all that there is.
  it("loses nothing for a client that reads late", function()
    local conns = {}
    for count = 1, 8 do -- some fit in what the client and its kernel hold, with the end behind
      conns[count] = http.open(s)
      conns[count]:send(("GET /stream/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(count))
    end
    task.sleep(2.2) -- two rounds of the sweep that looks for peers who have left
    for count, conn in ipairs(conns) do
      local answer = conn:answer()
      assert.is_true(answer.is_whole)
      assert.equal(count * 65536, #answer.body)
      conn:close()
    end
  end)

  it("lets a stream flush", function()
    local conn = http.open(s):send("GET /flush HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("ab0", conn:answer().body)
    conn:close()
  end)

  -- A reader that takes everything at once must not keep the stream from ever letting go.
  it("serves others beside a stream that never has to wait", function()
    local conn = http.open(s):send("GET /stream/8000 HTTP/1.1\r\nHost: a\r\n\r\n")
    local group <close> = task.group()
    local is_done = false
    group:spawn(function()
      while conn.socket:recv(262144) do end
      is_done = true
    end)
    local served = 0
    while written() < 8000 * 65536 and not is_done do served = served + 1 end
    assert.is_true(served > 10, ("only %d others"):format(served))
    conn:reset()
  end)

  it("makes an upload wait for its handler", function()
    local before = s:rss()
    local conn = http.open(s):send("POST /gate HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")
    local group <close> = task.group()
    local sent = 0
    group:spawn(function()
      for _ = 1, 100 do
        assert(conn.socket:send(("u"):rep(MB)))
        sent = sent + MB
      end
    end)
    local last, still = -1, 0
    server.poll(10, function()
      still = sent == last and still + 1 or 0
      last = sent
      return still >= 10
    end)
    assert.is_true(sent < 64 * MB, ("%d bytes were taken"):format(sent))
    assert.is_true(s:rss() - before < 8 * MB, ("grew by %d"):format(s:rss() - before))
    assert.equal("end", select(2, s:get("/end")))
    s:get("/open")
    assert.equal("104857600 nil", conn:answer().body)
    assert.is_true(s:rss() - before < 24 * MB, ("grew by %d"):format(s:rss() - before))
    conn:close()
  end)

  it("makes an upload in chunks wait too", function()
    local conn = http.open(s):send("POST /gate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    local group <close> = task.group()
    local sent = 0
    group:spawn(function()
      local chunk = ("10000\r\n%s\r\n"):format(("u"):rep(65536))
      for _ = 1, 800 do
        assert(conn.socket:send(chunk))
        sent = sent + 65536
      end
      conn.socket:send("0\r\n\r\n")
    end)
    local last, still = -1, 0
    server.poll(10, function()
      still = sent == last and still + 1 or 0
      last = sent
      return still >= 10
    end)
    assert.is_true(sent < 800 * 65536)
    s:get("/open")
    assert.equal(800 * 65536 .. " nil", conn:answer().body)
    conn:close()
  end)
end)
