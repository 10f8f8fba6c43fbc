-- A streamed answer that is taken slowly: the server has to wait, whatever the answer's form, and nothing is lost.
-- needs: nodejs
local certificate = require "spec.support.certificate"
local command = require "spec.support.command"
local core = require "neap.core"
local memory = require "spec.support.memory"
local http = require "neap.http"
local server = require "spec.support.server"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

local PIECE, PIECES = ("0123456789abcdef"):rep(4096), 1000
local ALL = #PIECE * PIECES
local BUFFERED = 20 * 1024 * 1024 -- more than both kernels' buffers and ours hold
local WINDOW = 32 * 1024 * 1024 -- what older versions of libcurl let one HTTP/2 stream have on its way

-- When `sent()` does not grow any more, it; the server has come to a stop.
local function stuck_at(sent)
  local before = 0
  assert.is_true(server.poll(20, function()
    local now = sent()
    local is_stuck = now == before and now > 0
    before = now
    if not is_stuck then task.sleep(0.05) end
    return is_stuck
  end), "the server does not come to a stop")
  return before
end

-- Takes what is left of an answer; how many bytes it was, and whether all were the right ones.
local function take(answer)
  local length, is_right = 0, true
  for chunk in answer:chunks() do
    local at = length % #PIECE
    is_right = is_right and chunk == (PIECE .. PIECE):sub(at + 1, at + #chunk)
    length = length + #chunk
  end
  return length, is_right
end

-- Sends the answer's head, then each piece between `before` and `after`; counts in `count.sent`.
local function sending(count, head, before, after, last)
  return function(socket)
    upstream.request(socket)
    socket:send("HTTP/1.1 200 OK\r\n" .. head .. "\r\n")
    for _ = 1, PIECES do
      if not socket:send(before .. PIECE .. after) then return end
      count.sent = count.sent + #PIECE
    end
    socket:send(last)
  end
end

local NODE = [[
const http2 = require("http2"), fs = require("fs")
const piece = Buffer.from("0123456789abcdef".repeat(4096))
const keys = {key: fs.readFileSync("localhost.key"), cert: fs.readFileSync("localhost.pem"), allowHTTP1: true}
let sent = 0
const server = http2.createSecureServer(keys, (request, response) => {
  if (request.url === "/sent") return response.end(String(sent))
  let left = 1000
  function more() {
    while (left > 0) {
      left--
      const goes_on = response.write(piece)
      sent += piece.length
      if (!goes_on) return
    }
    response.end()
  }
  response.on("drain", more)
  more()
})
server.listen(0, "127.0.0.1", () => fs.writeFileSync("port", String(server.address().port)))
]]

local function start_node()
  local running = command.start("while [ ! -s start ]; do sleep 0.01; done; exec node server.js")
  certificate.make(running.dir)
  local function write(name, text)
    local file <close> = assert(io.open(running.dir .. "/" .. name, "w"))
    file:write(text)
  end
  write("server.js", NODE)
  write("start", "now")
  local port = server.poll(30, function()
    local file <close> = io.open(running.dir .. "/port")
    return file and file:read("n")
  end)
  assert(port, "node did not start")
  return running, ("https://localhost:%d"):format(port), running.dir .. "/localhost.pem"
end

describe("the HTTP client, when nobody takes a streamed answer,", function()
  after_each(function() core.http.reset() end)

  for _, form in ipairs {
    {"that ends with its connection", "", "", "", ""},
    {"with a length", ("Content-Length: %d\r\n"):format(ALL), "", "", ""},
    {"in chunks", "Transfer-Encoding: chunked\r\n", ("%x\r\n"):format(#PIECE), "\r\n", "0\r\n\r\n"},
  } do
    it("lets the server of one wait " .. form[1], function()
      local count = {sent = 0}
      local up <close> = upstream.start(sending(count, table.unpack(form, 2)))
      local answer <close> = assert(http.get(up.url, {stream = true}))
      local most = stuck_at(function() return count.sent end)
      assert.is_true(most < BUFFERED, most)
      assert.same({ALL, true}, {take(answer)})
    end)
  end

  it("serves other requests beside it", function()
    local count = {sent = 0}
    local up <close> = upstream.start(sending(count, "", "", "", ""))
    local other <close> = upstream.start(upstream.answering(upstream.ok "quick"))
    local slow <close> = assert(http.get(up.url, {stream = true}))
    local also <close> = assert(http.get(up.url, {stream = true}))
    stuck_at(function() return count.sent end)
    for _ = 1, 20 do assert.equal("quick", http.get(other.url).body) end
    assert.is_true(count.sent < 2 * BUFFERED, count.sent)
    slow:close()
    assert.same({ALL, true}, {take(also)})
  end)

  it("does the same over TLS and HTTP/2, where the connection serves others meanwhile", function()
    if certificate.is_missing() or not command.exists "node" then return pending("openssl or node is missing") end
    if memory.sanitizer() == "ThreadSanitizer" then return pending("it takes longer than the watchdog allows") end
    local running, url, ca = start_node()
    local _ <close> = running
    local answer <close> = assert(http.get(url .. "/big", {stream = true, ca = ca}))
    local most = stuck_at(function() return tonumber(http.get(url .. "/sent", {ca = ca}).body) end)
    assert.is_true(most < BUFFERED + WINDOW, most)
    assert.same({ALL, true}, {take(answer)})
  end)
end)
