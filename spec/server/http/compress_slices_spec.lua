-- Large answers are compressed in slices, between which everybody else has their turn.
local ask = require "spec.support.ask"
local json = require "neap.json"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local net, task, res = neap.net, neap.task, neap.res
  local app = neap.app()

  local lines = {}
  for i = 1, 50000 do lines[i] = ("%d: %d\n"):format(i, i * 7919 % 100003) end
  local BIG = table.concat(lines) -- 0.6 MB: some 20 slices
  local begun, ended = 0, 0

  local function count(req)
    begun = begun + 1
    neap.log.info("begun: " .. begun)
    req:after(function() ended = ended + 1 end)
  end
  local function big(req)
    count(req)
    return BIG
  end
  app:get("/text", big)
  app:post("/text", big)
  app:get("/json", function(req) count(req) return {text = BIG} end)
  app:get("/html", function(req) count(req) return res.html(BIG) end)
  app:get("/small", function() return tostring(ended) end)

  local function connect(req, path)
    local socket = assert(net.connect("127.0.0.1", math.tointeger(req.query.port)))
    socket:send(("%s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"):format(path))
    return socket
  end

  local function answer(socket)
    local pieces = {}
    for piece in function() return socket:recv() end do pieces[#pieces + 1] = piece end
    socket:close()
    return table.concat(pieces)
  end

  local function await(check)
    task.timeout(60, function() while not check() do task.yield() end end)
    assert(check())
  end

  -- Client and server are one loop here, so what comes first does not depend on who gets a core.
  app:get("/crowd", function(req)
    begun, ended = 0, 0
    local g <close> = task.group()
    local most, whole, packed = tonumber(req.query.count), 0, 0
    for _ = 1, most do
      g:spawn(function()
        local text = answer(connect(req, "GET /text"))
        local head, body = text:match("^(HTTP/1.1 200.-\r\n\r\n)(.*)$")
        if #body == tonumber(head:match("Content%-Length: (%d+)")) then whole = whole + 1 end
        if head:find("Content-Encoding: gzip", 1, true) then packed = packed + 1 end
      end)
    end
    await(function() return begun == most end)
    local ended_before = answer(connect(req, "GET /small")):match("%d+$")
    g:join()
    return {ended_before = tonumber(ended_before), whole = whole, packed = packed}
  end)

  app:get("/leave", function(req)
    begun, ended = 0, 0
    for round = 1, 3 do
      local sockets = {}
      for i = 1, 16 do sockets[i] = connect(req, i % 2 == 0 and "GET /text" or "POST /text") end
      await(function() return begun == 16 * round end)
      for _, socket in ipairs(sockets) do socket:close() end
      await(function() return ended == begun end)
    end
    return "all have ended"
  end)
  return app]]

local GZIP = {["accept-encoding"] = "gzip"}

describe("a large answer that is compressed", function()
  local s
  before_each(function() s = server.start {app = APP, workers = 1} end)
  after_each(server.stop_all)

  local function unpacked(data)
    s:write("packed", data)
    local pipe = assert(io.popen(("gzip -dc <'%s/packed'"):format(s.dir), "r"))
    local text = pipe:read("a")
    assert(pipe:close(), "gzip could not read it")
    return text
  end

  -- Asks for several of them; they are under way then.
  local function begin(count)
    local sockets = {}
    for i = 1, count do
      sockets[i] = s:connect()
      sockets[i]:send("GET /text HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
    end
    s:wait_log("begun: " .. count)
    return sockets
  end

  local function assert_whole(sockets)
    for _, socket in ipairs(sockets) do
      local head, body = server.receive_all(socket):match("^(HTTP/1.1 200.-\r\n\r\n)(.*)$")
      socket:close()
      assert.is_truthy(head:find("Content-Encoding: gzip", 1, true))
      assert.equal(tonumber(head:match("Content%-Length: (%d+)")), #body)
    end
  end

  it("lets others be answered first", function()
    local answer = ask(s, "/crowd?count=8&port=" .. s.port)
    assert.same({ended_before = 0, packed = 8, whole = 8}, json.decode(answer.body))
  end)

  it("goes out as it is when many are under way", function()
    local answer = ask(s, "/crowd?count=40&port=" .. s.port)
    local seen = json.decode(answer.body)
    assert.equal(40, seen.whole)
    assert.is_true(seen.packed >= 16)
  end)

  it("holds what it held before", function()
    for _, path in ipairs {"/text", "/json", "/html"} do
      local plain, packed = ask(s, path), ask(s, path, {headers = GZIP})
      assert.is_nil(plain.headers["content-encoding"])
      assert.equal("gzip", packed.headers["content-encoding"])
      assert.equal("Accept-Encoding", packed.headers.vary)
      assert.equal(plain.headers["content-type"], packed.headers["content-type"])
      assert.is_true(packed.is_whole and #packed.body < #plain.body)
      assert.is_true(unpacked(packed.body) == plain.body)
      local head = ask(s, path, {method = "HEAD", headers = GZIP})
      assert.equal(packed.headers["content-length"], head.headers["content-length"])
    end
  end)

  it("keeps its place among pipelined ones", function()
    local socket = s:connect()
    socket:send("GET /text HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\nGET /small HTTP/1.1\r\nHost: a\r\n\r\n"
      .. "GET /html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
    local text, types = server.receive_all(socket), {}
    socket:close()
    local at = 1
    while at <= #text do
      local head, body_at = text:match("^(HTTP/1.1 200.-\r\n\r\n)()", at)
      types[#types + 1] = head:match("Content%-Type: ([^;\r]*)") .. (head:find("gzip", 1, true) and ", packed" or "")
      at = body_at + tonumber(head:match("Content%-Length: (%d+)"))
    end
    assert.same({"text/plain, packed", "text/plain", "text/html, packed"}, types)
  end)

  it("ends when its client has left, and makes room for the next", function()
    assert.equal("all have ended", ask(s, "/leave?port=" .. s.port).body)
    assert.equal("gzip", ask(s, "/text", {headers = GZIP}).headers["content-encoding"])
  end)

  it("comes to its end in a reload", function()
    local sockets = begin(8)
    assert.is_true((s:reload()))
    assert_whole(sockets)
  end)

  it("comes to its end in a stop", function()
    local sockets = begin(8)
    s:kill("TERM")
    assert_whole(sockets)
    assert.equal(0, s:wait())
  end)
end)
