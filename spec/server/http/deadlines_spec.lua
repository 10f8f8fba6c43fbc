-- Slow clients (core/THREATS.md, S1): every deadline is a total or a rate, so that a byte now and then resets nothing.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local last = ""
  app:get("/", function() return "hello" end)
  app:get("/last", function() return last end)
  app:post("/body", function(req)
    local body, err = req:body()
    last = body and #body .. " bytes" or err
    return last
  end)
  app:post("/chunks", function(req)
    local count, data, err = 0, nil, nil
    repeat
      data, err = req:read_chunk(100)
      count = count + #(data or "")
    until not data
    last = err or count .. " bytes"
    return last
  end)
  app:post("/late", function(req)
    neap.task.sleep(4)
    return #assert(req:body("1MB")) .. " bytes"
  end)
  app:post("/unread", function() return "unread" end)
  app:get("/park", function() neap.task.sleep(2) return "parked" end)
  app:get("/route", function() neap.task.sleep(3600) end, {timeout = "200ms"})
  app:get("/flood", function()
    return neap.res.stream(function(out)
      local guard <close> = setmetatable({}, {__close = function() last = "flood closed" end})
      while out:write(("x"):rep(65536)) do end
    end)
  end)
  app:get("/large", function() return ("x"):rep(65536):rep(1024) end)
  return app]]

-- A head in 1 s, 1.5 s of idleness, 1000 bytes of body a second looked at every second, 1.5 s for a write.
local ENV = {
  NEAP_TIMEOUTS_HEADER = "1s", NEAP_TIMEOUTS_IDLE = "1500ms", NEAP_TIMEOUTS_BODY_WINDOW = "1s",
  NEAP_LIMITS_BODY_RATE = "1000", NEAP_TIMEOUTS_WRITE = "1500ms",
}
-- For clients that must not be cut off: a machine that stands still for a second is not their fault.
local PATIENT_ENV = {
  NEAP_TIMEOUTS_BODY_WINDOW = "3s", NEAP_LIMITS_BODY_RATE = "1000", NEAP_TIMEOUTS_WRITE = "3s",
}
local PATIENCE = 60 -- seconds, after which what drips is not cut off at all

-- Clients that are answered 408: what they begin with, what they go on sending.
local LATE = {
  {"one byte and no more", "G"},
  {"a request line without end", "GET /", "a"},
  {"half a request line", "GET / HT"},
  {"headers that drip", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "x"},
  {"header lines that drip", "GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"},
  {"no empty line", "GET / HTTP/1.1\r\nHost: a\r\n"},
  {"half an empty line", "GET / HTTP/1.1\r\nHost: a\r\n\r"},
  {"a body that does not come", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"},
  {"a body that drips", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", "b"},
  {"a chunk that drips", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3840\r\n", "b"},
  {"chunks that drip", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n"},
  {"a chunk size that drips", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "0"},
  {"chunk extensions that drip", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", "e"},
  {"trailers that drip", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", "t"},
  {"a body read in chunks", "POST /chunks HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", "b"},
}

describe("a slow client", function()
  local s, idle_fds

  setup(function()
    s = server.start {app = APP, workers = 1, env = ENV}
    s:get("/last") -- one spare file comes with the first connection
    idle_fds = s:fds()
  end)
  teardown(server.stop_all)

  -- Sends `start`, then `drop` again and again until the server closes; what it answered, and after how long.
  local function drip(start, drop)
    local begun = task.now()
    local conn = http.open(s):send(start)
    while drop and conn.socket:send(drop) do
      assert(task.now() - begun < PATIENCE, "it is not cut off")
      local piece = conn.socket:recv(65536, 0.02)
      if piece then
        conn.text = conn.text .. piece
        break
      end
    end
    local answers, rest = conn:answers()
    conn:close()
    return answers, task.now() - begun, rest
  end

  local outcomes
  lazy_setup(function() -- all at the same time
    local group <close> = task.group()
    outcomes = group:map(LATE, function(client) return table.pack(drip(client[2], client[3])) end)
  end)

  for i, client in ipairs(LATE) do
    it("is answered 408: " .. client[1], function()
      local answers, seconds, rest = table.unpack(outcomes[i])
      assert.equal(1, #answers)
      assert.equal(408, answers[1].status)
      assert.equal("close", answers[1].headers.connection)
      assert.equal("", rest)
      assert.is_true(seconds >= 0.95, ("after %.3f s"):format(seconds)) -- not before it may be
    end)
  end

  it("is told to its handler", function()
    drip("POST /chunks HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", "b")
    assert.equal("timeout", select(2, s:get("/last")))
  end)

  it("is answered 408 in a later request too", function()
    local answers = drip("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo")
    assert.equal(2, #answers)
    assert.equal("hello", answers[1].body)
    assert.equal(408, answers[2].status)
  end)

  it("is cut off without a second answer when nobody wanted its body", function()
    local answers = drip("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n", nil)
    assert.equal(1, #answers)
    assert.equal("unread", answers[1].body)
  end)

  it("that says nothing is closed without a word", function()
    local answers, seconds, rest = drip("")
    assert.equal(0, #answers)
    assert.equal("", rest)
    assert.is_true(seconds >= 1.45, ("after %.3f s"):format(seconds))
  end)

  it("that says nothing more is closed without a word", function()
    local answers, seconds, rest = drip("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal(1, #answers)
    assert.equal("", rest)
    assert.is_true(seconds >= 1.45, ("after %.3f s"):format(seconds))
  end)

  it("that takes nothing is dropped, and its handler cancelled", function()
    local conn = http.open(s)
    conn.socket:pause()
    conn:send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.truthy(server.poll(20, function() return select(2, s:get("/last")) == "flood closed" end))
    conn:reset()
  end)

  it("that takes nothing of a finished answer is dropped", function()
    assert.truthy(server.poll(20, function() return s:fds() == idle_fds end))
    local conn = http.open(s)
    conn.socket:pause()
    conn:send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.truthy(server.poll(20, function() return s:fds() > idle_fds end))
    assert.truthy(server.poll(20, function() return s:fds() == idle_fds end))
    conn:reset()
  end)
end)

-- What they do, and get what they want.
local FINE = {}

FINE["sends above the rate"] = function(s)
  local conn = http.open(s):send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
  for _ = 1, 100 do
    conn:send(("b"):rep(5000))
    task.sleep(0.05)
  end
  assert.equal("500000 bytes", conn:answer().body)
  conn:close()
end

FINE["has a handler that does not read"] = function(s)
  local conn = http.open(s):send("POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
  conn:send(("b"):rep(500000))
  assert.equal("500000 bytes", conn:answer().body)
  conn:close()
end

FINE["waits for 100 Continue"] = function(s)
  local conn = http.open(s)
  conn:send("POST /late HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
  assert.equal(100, conn:answer().status)
  conn:send("hello")
  assert.equal("5 bytes", conn:answer().body)
  conn:close()
end

FINE["has a handler that works"] = function(s)
  local conn = http.open(s):send("GET /park HTTP/1.1\r\nHost: a\r\n\r\n")
  assert.equal("parked", conn:answer().body)
  conn:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
  assert.equal("hello", conn:answer().body)
  conn:close()
end

FINE["takes a little all the time"] = function(s)
  local conn = http.open(s)
  conn.socket:receive_buffer(4096)
  conn:send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
  local begun, total = task.now(), 0
  while task.now() - begun < 5 or total <= 20000 do
    total = total + #assert(conn.socket:recv(20000))
    conn.socket:pause()
    task.sleep(0.03)
  end
  conn:reset()
end

describe("a client that is not to blame is served:", function()
  local outcomes = {}

  setup(function() -- all at the same time
    local s = server.start {app = APP, workers = 1, env = PATIENT_ENV}
    local group <close> = task.group()
    for name, act in pairs(FINE) do group:spawn(function() outcomes[name] = table.pack(pcall(act, s)) end) end
  end)
  teardown(server.stop_all)

  for name in pairs(FINE) do
    it("one that " .. name, function()
      if not outcomes[name][1] then error(outcomes[name][2], 0) end
    end)
  end
end)

describe("a route's timeout", function()
  teardown(server.stop_all)

  it("is answered with 503", function()
    local s = server.start {app = APP, workers = 1, env = ENV}
    local answer = http.open(s):send("GET /route HTTP/1.1\r\nHost: a\r\n\r\n"):answer()
    assert.equal(503, answer.status)
  end)
end)
