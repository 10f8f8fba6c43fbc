-- What all connections together make us keep (core/THREATS.md, S3): answers that are not taken, bodies that do not end.
-- Each is held by a limit of its own; others are served meanwhile, and all is well again when the crowd has left.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local MB = 1024 * 1024
local CROWD = 8

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local piece = ("0123456789abcdef"):rep(4096)
  local large = piece:rep(96)
  local asked, endings = 0, {}
  app:get("/end", function() return "end" end)
  app:get("/asked", function() return tostring(asked) end)
  app:get("/endings", function() return table.concat(endings, " ") end)
  app:get("/large", function() asked = asked + 1 return large end)
  app:get("/stream/:count{int}", function(req)
    return neap.res.stream(function(out)
      for i = 1, tonumber(req.params.count) do
        asked = asked + 1
        assert(out:write(piece, tostring(i), "\n"))
      end
    end)
  end)
  app:get("/whole/:count{int}", function(req)
    return neap.res.stream(function(out) assert(out:write(piece:rep(tonumber(req.params.count)))) end)
  end)
  app:get("/file", function() return neap.res.file("large.bin", {root = "."}) end)
  app:ws("/messages", function(socket)
    local message, ok, why = ("m"):rep(30000)
    repeat ok, why = socket:send(message) until not ok
    endings[#endings + 1] = why
  end)
  app:ws("/in", function(socket) for text in socket:messages() do socket:send(tostring(#text)) end end)
  app:post("/body", function(req)
    local body, err = req:body()
    if not body then endings[#endings + 1] = err end
    return tostring(body and #body)
  end)
  app:post("/chunks", function(req)
    local count = 0
    for data in req:chunks() do count = count + #data end
    return tostring(count)
  end, {body_limit = "100MB"})
  return app]]

local function start(env)
  for name, value in pairs(http.LEAN) do env[name] = value end
  env.NEAP_TIMEOUTS_WRITE = env.NEAP_TIMEOUTS_WRITE or "200s" -- nobody is dropped because the machine is slow
  env.NEAP_TIMEOUTS_IDLE = "200s"
  return server.start {app = APP, workers = 1, env = env, files = {["large.bin"] = ("large1"):rep(MB)}}
end

local function asks(path)
  return ("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path)
end

-- Clients that ask and do not read.
local function crowd(s, path, count)
  local conns = {}
  for i = 1, count do
    conns[i] = http.open(s)
    conns[i].socket:receive_buffer(65536)
    conns[i].socket:pause()
    conns[i]:send(asks(path))
  end
  return conns
end

-- Waits until what the server has done no longer grows.
local function settle(s)
  local last, still = nil, 0
  server.poll(20, function()
    local asked = select(2, s:get("/asked"))
    still = asked == last and still + 1 or 0
    last = asked
    return still >= 10
  end)
end

local function stream_of(count)
  local piece, lines = ("0123456789abcdef"):rep(4096), {}
  for i = 1, count do lines[i] = piece .. i .. "\n" end
  return table.concat(lines)
end

describe("limits.output", function()
  after_each(server.stop_all)

  it("refuses large answers while others are not taken, and serves on", function()
    local s = start {NEAP_LIMITS_OUTPUT = "8MB"}
    s:get("/large")
    local before = s:rss()
    local conns = crowd(s, "/large", CROWD)
    server.poll(20, function() return select(2, s:get("/asked")) == tostring(CROWD + 1) end)
    assert.is_true(s:rss() - before < 16 * MB, ("grew by %d"):format(s:rss() - before))
    assert.equal("end", select(2, s:get("/end")))
    s:wait_log("limits.output is used up")

    local whole, refused = 0, 0
    for _, conn in ipairs(conns) do
      local answer = conn:answer()
      if answer.status == 503 then
        refused = refused + 1
      else
        assert.equal(200, answer.status)
        assert.equal(6 * MB, #answer.body)
        whole = whole + 1
      end
      conn:send(http.END)
      assert.equal("end", conn:answer().body)
      conn:close()
    end
    assert.is_true(whole > 0 and refused > 0, ("%d whole, %d refused"):format(whole, refused))
    assert.equal(6 * MB, #select(2, s:get("/large")))
  end)

  it("is free again when those who do not read are gone", function()
    local s = start {NEAP_LIMITS_OUTPUT = "8MB", NEAP_TIMEOUTS_WRITE = "1s"}
    local conns = crowd(s, "/large", 4)
    server.poll(20, function() return select(2, s:get("/asked")) == "4" end)
    local answer = server.poll(20, function()
      local status, body = s:get("/large")
      return status == 200 and #body == 6 * MB and body
    end)
    assert.truthy(answer)
    for _, conn in ipairs(conns) do conn:close() end
  end)

  -- Nobody is refused: a stream and a file only become slower.
  it("makes streams and files go on in small pieces", function()
    local s = start {NEAP_LIMITS_OUTPUT = "64KB"}
    local before = s:rss()
    local streams, files = crowd(s, "/stream/80", CROWD), crowd(s, "/file", CROWD // 4)
    settle(s)
    assert.is_true(s:rss() - before < 8 * MB, ("grew by %d"):format(s:rss() - before))
    assert.is_true(http.open(s):send(asks "/stream/30"):answer().body == stream_of(30))
    assert.equal(6 * MB, #select(2, s:get("/file")))

    local expected = stream_of(80)
    for _, conn in ipairs(streams) do
      local answer = conn:answer()
      assert.is_true(answer.is_whole and answer.body == expected, "a stream is not whole")
      conn:close()
    end
    for _, conn in ipairs(files) do
      local answer = conn:answer()
      assert.is_true(answer.is_whole and answer.body == ("large1"):rep(MB), "a file is not whole")
      conn:close()
    end
    assert.is_nil(s:log():find("limits.output", 1, true))
  end)

  it("lets a text that is larger wait in Lua", function()
    local s = start {NEAP_LIMITS_OUTPUT = "64KB"}
    local conn = crowd(s, "/whole/80", 1)[1]
    settle(s)
    local answer = conn:answer()
    assert.is_true(answer.is_whole and answer.body == ("0123456789abcdef"):rep(4096 * 80))
    conn:close()
    assert.is_nil(s:log():find("limits.output", 1, true))
  end)

  it("closes a WebSocket that does not take its messages with 1013", function()
    local s = start {NEAP_LIMITS_OUTPUT = "32KB"}
    local slow, other = ws.open(s, "/messages"), ws.open(s, "/in")
    slow.conn.socket:pause()
    assert.truthy(server.poll(20, function() return select(2, s:get("/endings")) == "closed" end))
    s:wait_log("limits.output is used up")
    other:send("hello")
    assert.equal("5", (other:message()))
    assert.equal(1013, (slow:ending()))
    other:close()
  end)
end)

describe("limits.input", function()
  local s

  before_each(function() s = start {NEAP_LIMITS_INPUT = "640KB"} end)
  after_each(server.stop_all)

  -- Begins a body of 620,000 bytes and sends the first 600,000 of it.
  local function begin()
    local conn = http.open(s)
    conn:send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 620000\r\n\r\n" .. ("b"):rep(600000))
    return conn
  end

  local function post(path, len)
    local conn = http.open(s)
    conn:send(("POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"):format(path, len))
    conn:send(("b"):rep(len))
    local answer = conn:answer()
    conn:close()
    return answer.status, answer.body
  end

  it("refuses bodies that there is no room for, and serves on", function()
    local conns, refused, last = {}, 0, nil
    local group <close> = task.group()
    for i = 1, CROWD do
      conns[i] = begin()
      group:spawn(function()
        local answer = conns[i]:answer()
        if answer and answer.status == 503 then refused = refused + 1 else last = answer end
      end)
    end
    assert.truthy(server.poll(20, function() return refused == CROWD - 1 end), refused .. " refused")
    s:wait_log("limits.input is used up")
    assert.equal(("overloaded "):rep(CROWD - 1), select(2, s:get("/endings")) .. " ")
    assert.same({200, "3000"}, {post("/body", 3000)})
    assert.same({200, "10000000"}, {post("/chunks", 10000000)})

    for _, conn in ipairs(conns) do conn:send(("b"):rep(20000)) end
    assert.truthy(server.poll(20, function() return last end))
    assert.same({200, "620000"}, {last.status, last.body})
    assert.same({200, "600000"}, {post("/body", 600000)})
    for _, conn in ipairs(conns) do conn:close() end
  end)

  it("is free again when a client breaks off", function()
    for _ = 1, 3 do
      local conn = begin()
      assert.truthy(server.poll(20, function() return post("/body", 300000) == 503 end))
      conn:reset()
      assert.truthy(server.poll(20, function() return post("/body", 300000) == 200 end))
    end
  end)

  it("holds WebSocket messages too, and closes with 1013", function()
    local message = ws.frame(ws.BINARY, ("m"):rep(600000))
    local first, second = ws.open(s, "/in"), ws.open(s, "/in")
    first:raw(message:sub(1, 500000))
    assert.truthy(server.poll(20, function() return post("/body", 300000) == 503 end))
    second:raw(message)
    assert.equal(1013, (second:ending()))
    first:raw(message:sub(500001))
    assert.equal("600000", (first:message()))
    assert.same({200, "300000"}, {post("/body", 300000)})
    first:close()
  end)
end)
