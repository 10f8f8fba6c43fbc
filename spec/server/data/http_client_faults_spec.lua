-- neap.http and the servers that do not behave: whatever they do ends in `nil, err` within the time limit, and nothing
-- stays open.
local core = require "neap.core"
local http = require "neap.http"
local server = require "spec.support.server"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

local answering, ok = upstream.answering, upstream.ok

-- The error of a request to a server that does `fn` with each connection.
local function error_of(fn, opts)
  local up <close> = upstream.start(fn)
  local answer, err, detail = http.get(up.url, opts)
  assert.is_nil(answer)
  assert.is_true(detail == nil or type(detail) == "string")
  return err
end

-- Sends a text piece by piece for ever, until the client has left.
local function endlessly(socket, piece, pause)
  while socket:send(piece) do
    if pause then task.sleep(pause) end
  end
end

local files

describe("the HTTP client", function()
  setup(function() error_of(function() end) end) -- what libuv opens once is not ours to count
  before_each(function()
    core.http.reset() -- closes the kept connections
    files = upstream.files()
  end)
  after_each(function()
    core.http.reset()
    assert.is_true(server.poll(10, function() return upstream.files() <= files end), "something is still open")
  end)

  describe("gives up on a server that", function()
    it("accepts and says nothing", function()
      assert.equal("timeout", error_of(function(socket) socket:recv() socket:recv() end, {timeout = "50ms"}))
    end)

    it("sends its head byte by byte", function()
      assert.equal("timeout", error_of(function(socket)
        socket:send("HTTP/1.1 200 OK\r\nX: ")
        endlessly(socket, "x", 0.005)
      end, {timeout = "80ms"}))
    end)

    it("drips its body: the timeout is for all of it", function()
      assert.equal("timeout", error_of(function(socket)
        socket:send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        endlessly(socket, "x", 0.005)
      end, {timeout = "80ms"}))
    end)

    it("never stops sending", function()
      assert.equal("too_large", error_of(function(socket)
        socket:send("HTTP/1.1 200 OK\r\n\r\n")
        endlessly(socket, ("x"):rep(65536))
      end, {limit = "1MB"}))
    end)

    it("never stops sending headers", function()
      assert.equal("too_large", error_of(function(socket)
        socket:send("HTTP/1.1 200 OK\r\n")
        endlessly(socket, "X-Filler: " .. ("x"):rep(500) .. "\r\n")
      end))
    end)

    it("sends one endless header", function()
      assert.equal("too_large", error_of(function(socket)
        socket:send("HTTP/1.1 200 OK\r\nX-Filler: ")
        endlessly(socket, ("x"):rep(4096))
      end))
    end)

    it("sends a small body that inflates to a large one", function()
      local name = os.tmpname()
      assert(os.execute(("head -c 20000000 /dev/zero | gzip -9 > %s"):format(name)))
      local file <close> = assert(io.open(name, "rb"))
      local bomb = file:read("a")
      os.remove(name)
      assert.is_true(#bomb < 30000)
      assert.equal("too_large", error_of(answering(ok(bomb, "Content-Encoding: gzip\r\n"))))
    end)

    it("closes before its answer", function()
      assert.equal("connection broken", error_of(function(socket) upstream.request(socket) end))
    end)

    it("resets the connection", function()
      assert.equal("connection broken", error_of(function(socket)
        upstream.request(socket)
        socket:reset()
      end))
    end)

    it("closes in the middle of the body", function()
      assert.equal("truncated", error_of(function(socket)
        upstream.request(socket)
        socket:send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
      end))
    end)

    it("closes in the middle of a chunk", function()
      assert.equal("truncated", error_of(function(socket)
        upstream.request(socket)
        socket:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345")
      end))
    end)

    it("does not speak HTTP", function()
      for _, garbage in ipairs {"220 mail.example.org ESMTP\r\n", "\0\1\2\3\4\5\6\7", "HTTP/7.5 200 OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n"} do
        local err = error_of(function(socket)
          upstream.request(socket)
          socket:send(garbage)
        end, {timeout = "10s"})
        assert.is_true(err == "invalid answer" or err == "connection broken", err)
      end
    end)

    it("sends what is not compressed as it says", function()
      assert.equal("invalid answer", error_of(answering(ok("plain text", "Content-Encoding: gzip\r\n"))))
    end)

    it("redirects for ever", function()
      local up <close> = upstream.start(answering(function(head)
        local n = tonumber(head:match("^GET /(%d*)") or 0) or 0
        return ("HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n"):format(n + 1)
      end))
      assert.same({nil, "too many redirects"}, {http.get(up.url .. "/0")})
      assert.same({nil, "too many redirects"}, {http.get(up.url .. "/0", {redirects = 1})})
      assert.equal(302, http.get(up.url .. "/0", {redirects = 0}).status)
    end)

    it("redirects slowly: the timeout is for all of it", function()
      local up <close> = upstream.start(function(socket)
        while upstream.request(socket) do
          task.sleep(0.02)
          socket:send("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
        end
      end)
      assert.equal("timeout", select(2, http.get(up.url, {timeout = "100ms", redirects = 1000})))
    end)

    it("redirects to another protocol", function()
      local up <close> = upstream.start(answering(
        "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"))
      local answer, err = http.get(up.url)
      assert.is_nil(answer)
      assert.is_true(err == "unsupported protocol" or err == "invalid url", err)
    end)

    it("is not there", function()
      assert.equal("connection refused", select(2, http.get("http://127.0.0.1:9/")))
      assert.equal("unknown host", select(2, http.get("http://nowhere.invalid/")))
    end)
  end)

  describe("with a streamed answer", function()
    it("lets the server wait while nobody reads", function()
      local sent = 0
      local up <close> = upstream.start(function(socket)
        upstream.request(socket)
        socket:send("HTTP/1.1 200 OK\r\n\r\n")
        for _ = 1, 1000 do
          if not socket:send(("x"):rep(65536)) then return end
          sent = sent + 65536
        end
      end)
      local answer <close> = assert(http.get(up.url, {stream = true}))
      local before
      server.poll(10, function() -- until it is stuck
        local is_stuck = sent == before and sent > 0
        before = sent
        task.sleep(0.02)
        return is_stuck
      end)
      assert.is_true(sent < 20 * 1024 * 1024, sent)
      local received = 0
      for chunk in answer:chunks() do received = received + #chunk end
      assert.equal(1000 * 65536, received)
    end)

    it("tells of a body that is cut short, and has given what came", function()
      local up <close> = upstream.start(function(socket)
        upstream.request(socket)
        socket:send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
      end)
      local answer <close> = assert(http.get(up.url, {stream = true}))
      assert.equal("12345", answer:read_chunk())
      assert.equal("truncated", select(2, answer:read_chunk()))
      assert.is_nil(answer:read_chunk())
      local other <close> = assert(http.get(up.url, {stream = true}))
      local done, err = pcall(function() for _ in other:chunks() do end end) -- luacheck: ignore 542
      assert.is_false(done)
      assert.matches("http_client_faults_spec.lua:%d+: the answer of http://.*: truncated", err)
    end)

    it("gives up when the next piece is late", function()
      local up <close> = upstream.start(function(socket)
        upstream.request(socket)
        socket:send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        socket:recv()
      end)
      local answer <close> = assert(http.get(up.url, {stream = true, timeout = "2s"}))
      assert.equal("12345", answer:read_chunk())
      assert.equal("timeout", select(2, answer:read_chunk()))
    end)

    it("takes no more than the limit, when there is one", function()
      local up <close> = upstream.start(answering(ok(("x"):rep(200000))))
      local answer <close> = assert(http.get(up.url, {stream = true, limit = 100000}))
      local received = 0
      local chunk, err = answer:read_chunk()
      while chunk do
        received = received + #chunk
        chunk, err = answer:read_chunk()
      end
      assert.equal("too_large", err)
      assert.is_true(received <= 100000)
    end)

    it("closes the connection when it is closed early", function()
      local has_left = false
      local up <close> = upstream.start(function(socket)
        upstream.request(socket)
        socket:send("HTTP/1.1 200 OK\r\n\r\n")
        endlessly(socket, ("x"):rep(65536))
        has_left = true
      end)
      local answer = assert(http.get(up.url, {stream = true}))
      assert.equal("string", type(answer:read_chunk()))
      answer:close()
      assert.is_nil(answer:read_chunk())
      assert.is_true(server.poll(10, function() return has_left end))
    end)
  end)

  describe("when its task is cancelled", function()
    -- Cancels a request to a server that does `fn`, as soon as `ready()`; true when the server saw the client leave.
    local function cancel_at(fn, ready, opts)
      local has_left = false
      local up <close> = upstream.start(function(socket, up)
        fn(socket, up)
        while socket:recv() do end -- luacheck: ignore 542
        has_left = true
      end)
      local g <close> = task.group()
      local asking = g:spawn(function() http.get(up.url, opts) end)
      assert(server.poll(10, function() return ready(up) end))
      asking:cancel()
      asking:join()
      assert.equal("cancelled", asking.status)
      return server.poll(10, function() return has_left end)
    end

    it("closes the transfer that waits for its answer", function()
      assert.is_true(cancel_at(function() end, function(up) return up.open > 0 end))
    end)

    it("closes the transfer that receives", function()
      local is_sent = false
      assert.is_true(cancel_at(function(socket)
        socket:send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        is_sent = true
      end, function() return is_sent end))
    end)

    it("closes the transfer that sends", function()
      local pieces = 0
      assert.is_true(cancel_at(function(socket) socket:recv() end, function() return pieces > 0 end, {body = function()
        pieces = pieces + 1
        task.sleep(pieces > 1 and 60 or 0)
        return "piece"
      end}))
    end)

    it("does nothing when it has just been answered", function()
      local up <close> = upstream.start(answering(ok("hello")))
      for _ = 1, 20 do
        local g <close> = task.group()
        local asking
        asking = g:spawn(function() return http.get(up.url, {timeout = "10s"}) end)
        g:spawn(function()
          server.poll(10, function() return up.count > 0 end)
          task.yield()
          asking:cancel()
        end)
      end
      assert.equal("hello", http.get(up.url).body)
    end)

    it("does not wait for a name that is being looked up", function()
      local g <close> = task.group()
      assert.is_true(server.poll(10, function() -- now and then the name is found out before
        local asking = g:spawn(function() http.get("http://nowhere.invalid/") end)
        task.yield()
        asking:cancel()
        asking:join()
        return asking.status == "cancelled"
      end))
    end)
  end)
end)
