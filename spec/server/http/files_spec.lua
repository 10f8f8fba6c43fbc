-- Files on their way to clients that are slow, that leave, and while the files change (core/THREATS.md, F5 and the
-- table of faults).
local ask = require "spec.support.ask"
local server = require "spec.support.server"
local task = require "neap.task"

local PATIENCE = 60
local LINE = "the quick brown fox jumps over the lazy dog 0123456789 abcdefgh\n" -- 64 bytes
local SIZE = 32 * 1024 * 1024
local CUT = 1024 * 1024

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:get("/big", function() return neap.res.file("big.bin") end)
  app:get("/timeout", function() return neap.res.file("big.bin") end, {timeout = "1s"})
  app:get("/small", function() return neap.res.file("small.txt") end)
  app:get("/hello", function() return "hello" end)
  app:post("/cancelled", function(req)
    local big = neap.res.file("big.bin")
    req:after(function() io.stdout:write("after\n"):flush() end)
    return big
  end)
  return app]]

local function start(opts)
  opts = opts or {}
  local s = server.start {app = APP, files = {["small.txt"] = "small"}, workers = opts.workers or 1,
    args = opts.args or {"--set", "timeouts.drain=2"}}
  local pipe = assert(io.popen(("cat >'%s/big.bin'"):format(s.dir), "w"))
  local block = LINE:rep(16384)
  for _ = 1, SIZE // #block do pipe:write(block) end
  assert(pipe:close())
  return s
end

-- A client that asks, takes what little fits into its buffers, and then waits.
local function slow_client(s, path, method)
  local socket = s:connect()
  socket:receive_buffer(262144)
  socket:send(("%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):format(method or "GET", path))
  local text = assert(socket:recv(1024, PATIENCE))
  socket:pause()
  return socket, text
end

-- Everything that still comes after `text`, without the head.
local function read_on(socket, text)
  local pieces = {text}
  while true do
    local piece, err = socket:recv(262144, PATIENCE)
    if not piece then
      assert.equal("closed", err)
      break
    end
    pieces[#pieces + 1] = piece
  end
  return (table.concat(pieces):match("\r\n\r\n(.*)$"))
end

local function read_body(socket, text, size)
  local pieces = {text:match("\r\n\r\n(.*)$")}
  local count = #pieces[1]
  while count < size do
    local piece = assert(socket:recv(262144, PATIENCE))
    pieces[#pieces + 1], count = piece, count + #piece
  end
  return table.concat(pieces)
end

local function assert_prefix(body)
  local whole = LINE:rep(#body // #LINE + 1)
  assert.is_true(body == whole:sub(1, #body), "what came is not what the file held")
end

describe("a file on its way", function()
  after_each(server.stop_all)

  it("arrives whole", function()
    local s = start()
    local answer = ask(s, "/big")
    assert.is_true(answer.is_whole)
    assert.equal(SIZE, #answer.body)
    assert_prefix(answer.body)
    assert.equal("", answer.extra)
  end)

  it("to slow clients holds up nobody else", function()
    local s = start {args = {"--set", "threads=4", "--set", "timeouts.write=5m"}}
    local sockets = {}
    for i = 1, 4 do sockets[i] = {slow_client(s, "/big")} end
    for _ = 1, 20 do
      assert.equal("small", ask(s, "/small").body)
      assert.equal("hello", ask(s, "/hello").body)
    end
    assert.equal(SIZE, #ask(s, "/big").body)
    for _, client in ipairs(sockets) do assert_prefix(read_body(client[1], client[2], SIZE)) end
    for _, client in ipairs(sockets) do client[1]:close() end
  end)

  it("keeps the worker idle while its client does not read", function()
    local s = start()
    local socket = slow_client(s, "/big")
    assert.equal("hello", ask(s, "/hello").body)
    local before = s:cpu()
    task.sleep(0.5)
    assert.is_true(s:cpu() - before < 0.1, "the worker is busy with a client that does not read")
    socket:reset()
  end)

  it("that is truncated ends the connection early, and nothing else is sent", function()
    local s = start()
    local socket, text = slow_client(s, "/big")
    assert.matches("\r\nContent%-Length: " .. SIZE .. "\r\n", text)
    -- At the end of a page: of a page that it has queued but not sent, the kernel would clear what was cut off.
    assert(os.execute(("truncate -s %d '%s/big.bin'"):format(CUT, s.dir)))
    local body = read_on(socket, text)
    assert.is_true(#body < SIZE)
    assert_prefix(body)
    socket:close()
    assert.equal(CUT, #ask(s, "/big").body)
  end)

  it("that is emptied is a short answer, too", function()
    local s = start()
    local socket, text = slow_client(s, "/big")
    assert(os.execute((": >'%s/big.bin'"):format(s.dir)))
    local body = read_on(socket, text)
    assert.is_true(#body < SIZE)
    assert_prefix(body)
    socket:close()
    assert.equal("", ask(s, "/big").body)
  end)

  it("that is replaced is the old one to the end", function()
    local s = start()
    local socket, text = slow_client(s, "/big")
    assert(os.execute(("cd '%s' && echo new >new.bin && mv new.bin big.bin"):format(s.dir)))
    assert.equal("new\n", ask(s, "/big").body)
    local body = read_body(socket, text, SIZE)
    assert.equal(SIZE, #body)
    assert_prefix(body)
    socket:close()
  end)

  it("that grows is sent as long as it was announced, and the connection goes on", function()
    local s = start()
    local socket, text = slow_client(s, "/big")
    assert(os.execute(("echo more >>'%s/big.bin'"):format(s.dir)))
    assert.equal(SIZE, #read_body(socket, text, SIZE))
    assert.equal("hello", ask(s, "/hello", {socket = socket}).body)
    assert.equal("more\n", ask(s, "/big", {socket = socket}).body:sub(-5))
    socket:close()
  end)

  it("is followed by the answers to pipelined requests", function()
    local s = start()
    local socket <close> = s:connect()
    local request = "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"
    socket:send(request:format("/small", "") .. request:format("/big", "Range: bytes=0-63,1000-1063\r\n")
      .. request:format("/hello", "") .. request:format("/small", "Connection: close\r\n"))
    local all = server.receive_all(socket)
    local statuses = {}
    for status in all:gmatch("HTTP/1.1 (%d+)") do statuses[#statuses + 1] = status end
    assert.same({"200", "206", "200", "200"}, statuses)
    assert.matches("small$", all)
  end)

  -- Each worker opens its spare file with its first connection.
  local function warm_up(s)
    for _ = 1, 50 do ask(s, "/hello") end
    return s:fds()
  end

  local function assert_closed_when(leave, path, method, opts)
    local s = start(opts)
    local before = warm_up(s)
    local socket = slow_client(s, path or "/big", method)
    assert.equal(before + 2, s:fds()) -- socket and file
    leave(socket, s)
    assert.truthy(server.poll(PATIENCE, function() return s:fds() <= before end), "the file is still open")
    socket:close()
    assert.equal("hello", ask(s, "/hello").body)
    return s
  end

  it("is closed when the client resets", function()
    assert_closed_when(function(socket) socket:reset() end)
  end)

  it("is closed when the client leaves politely", function()
    assert_closed_when(function(socket) socket:close() end)
  end)

  it("is closed when the time of the route is over", function()
    local s = assert_closed_when(function() end, "/timeout")
    assert.is_nil(s:log():find('"level":"error"', 1, true))
  end)

  it("is closed when the client takes nothing for timeouts.write", function()
    assert_closed_when(function() end, nil, nil, {args = {"--set", "timeouts.write=0.3"}})
  end)

  it("is closed, and what waits for the end runs, when a POST's client leaves", function()
    local s = assert_closed_when(function(socket) socket:reset() end, "/cancelled", "POST")
    assert.truthy(server.poll(PATIENCE, function() return s:output():find("after\n", 1, true) end))
  end)

  it("is given up when the server stops and timeouts.drain is over", function()
    local s = start {args = {"--set", "timeouts.drain=0.1"}}
    local socket, text = slow_client(s, "/big")
    assert.equal(0, s:stop())
    local body = read_on(socket, text)
    assert.is_true(#body < SIZE)
    assert_prefix(body)
    socket:close()
  end)

  it("is 503 while too many files are open, and comes again afterwards", function()
    local s = server.start {files = {["public/big.bin"] = "", ["public/small.txt"] = "small"}, workers = 1,
      prefix = "ulimit -n 150;", args = {"--set", "timeouts.drain=1", "--set", "limits.connections=120"}, app = [[
        local neap = require "neap"
        local app = neap.app()
        app:static("/static", "public")
        app:get("/big", function() return neap.res.file("public/big.bin") end)
        app:get("/file", function() return neap.res.file("public/small.txt") end)
        app:get("/hello", function() return "hello" end)
        return app]]}
    assert(os.execute(("truncate -s 100M '%s/public/big.bin'"):format(s.dir)))
    local sockets = {}
    for i = 1, 90 do
      sockets[i] = s:connect()
      assert.equal("hello", ask(s, "/hello", {socket = sockets[i]}).body)
    end
    local last = sockets[#sockets] -- is open already: only files are missing
    for i = 1, #sockets - 1 do sockets[i]:send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n") end
    for _, path in ipairs {"/file", "/static/small.txt"} do
      assert.truthy(server.poll(PATIENCE, function() return ask(s, path, {socket = last}).status == 503 end), path)
    end
    assert.equal("hello", ask(s, "/hello", {socket = last}).body)
    for i = 1, #sockets - 1 do sockets[i]:reset() end
    for _, path in ipairs {"/file", "/static/small.txt"} do
      assert.truthy(server.poll(PATIENCE, function() return ask(s, path, {socket = last}).body == "small" end), path)
    end
    last:close()
  end)

  it("may go to many clients that come and go at once", function()
    local s = start {workers = 2}
    local before = warm_up(s)
    local g <close> = task.group {limit = 50}
    for i = 1, 200 do
      g:spawn(function()
        local socket = s:connect()
        socket:receive_buffer(262144)
        socket:send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        if i % 3 > 0 then socket:recv(100, PATIENCE) end
        if i % 2 == 0 then socket:reset() else socket:close() end
      end)
    end
    g:join()
    assert.truthy(server.poll(PATIENCE, function() return s:fds() <= before end), "something is still open")
    assert.equal("small", ask(s, "/small").body)
  end)
end)
