-- What a client waits for before it goes on (core/THREATS.md, H8, H9): 100 Continue, and another protocol.
local http = require "spec.support.http"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local is_open = false
  app:get("/end", function() return "end" end)
  app:get("/open", function() is_open = true return "open" end)
  app:any("/read", function(req)
    local body, err = req:body()
    return body or 200, "no body: " .. tostring(err)
  end)
  app:post("/chunks", function(req)
    local count = 0
    for chunk in req:chunks() do count = count + #chunk end
    return tostring(count)
  end)
  app:any("/ignore", function() return "ignored" end)
  app:any("/gate", function(req)
    while not is_open do neap.task.sleep(0.001) end
    return req.method == "POST" and req:body() or "gate"
  end)
  return app]]

local function post(path, lines, version)
  return ("POST %s HTTP/%s\r\nHost: a\r\nExpect: 100-continue\r\n%s\r\n"):format(path, version or "1.1", lines)
end

describe("Expect: 100-continue", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1} end)
  after_each(server.stop_all)

  it("is answered when the handler reads the body", function()
    for path, body in pairs {["/read"] = "hello", ["/chunks"] = "5"} do
      local conn = http.open(s):send(post(path, "Content-Length: 5\r\n"))
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", conn:answer().head)
      conn:send("hello" .. http.END)
      assert.equal(body, conn:answer().body)
      assert.equal("end", conn:answer().body)
      conn:close()
    end
  end)

  it("is answered before chunks too, and in any case of letters", function()
    local conn = http.open(s):send("POST /read HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n")
    assert.equal(100, conn:answer().status)
    conn:send("5\r\nhello\r\n0\r\n\r\n" .. http.END)
    assert.equal("hello", conn:answer().body)
    assert.equal("end", conn:answer().body)
    conn:close()
  end)

  it("is not answered before the handler reads", function()
    local conn = http.open(s):send(post("/gate", "Content-Length: 5\r\n"))
    assert.same({nil, "timeout"}, {conn.socket:recv(1, 0.1)})
    s:get("/open")
    assert.equal(100, conn:answer().status)
    conn:send("hello")
    assert.equal("hello", conn:answer().body)
    conn:close()
  end)

  it("gets the final answer alone when the handler does not read, and the connection ends", function()
    http.each_way(s, post("/ignore", "Content-Length: 5\r\n"), function(answers)
      assert.equal(1, #answers)
      assert.equal("ignored", answers[1].body)
      assert.equal("close", answers[1].headers.connection)
    end)
  end)

  it("ends the connection also when the body came unasked, so that it is no request", function()
    http.each_way(s, post("/ignore", "Content-Length: " .. #http.END .. "\r\n") .. http.END, function(answers)
      assert.equal(1, #answers)
      assert.equal("ignored", answers[1].body)
    end)
  end)

  it("does not disturb a client that did not wait", function()
    http.each_way(s, post("/read", "Content-Length: 5\r\n") .. "hello" .. http.END, function(answers)
      if answers[1].status == 100 then table.remove(answers, 1) end
      assert.equal("hello", answers[1].body)
      assert.equal("end", answers[2].body)
      assert.equal(2, #answers)
    end)
  end)

  it("is answered with 413 alone when the body would be too large", function()
    http.refuses(s, post("/read", "Content-Length: 99999999\r\n"), 413)
  end)

  it("means nothing without a body", function()
    http.accepts(s, post("/read", "Content-Length: 0\r\n"), "")
    http.accepts(s, "GET /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "")
  end)

  it("means nothing in HTTP/1.0", function()
    http.each_way(s, post("/read", "Content-Length: 5\r\n", "1.0") .. "hello", function(answers)
      assert.equal(1, #answers)
      assert.equal("hello", answers[1].body)
    end)
  end)

  it("keeps its place behind a parked request", function()
    local conn = http.open(s):send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n" .. post("/read", "Content-Length: 5\r\n"))
    s:get("/open")
    assert.equal("gate", conn:answer().body)
    assert.equal(100, conn:answer().status)
    conn:send("hello")
    assert.equal("hello", conn:answer().body)
    conn:close()
  end)

  for _, value in ipairs {"200-ok", "100-continue, x", "100-continue; x", "", "100", "x"} do
    it(("is refused as %q"):format(value), function()
      local head = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: " .. value
      http.refuses(s, head .. "\r\n\r\nhello", 417)
    end)
  end
end)

describe("an Upgrade that we do not know", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1} end)
  after_each(server.stop_all)

  local function upgrade(path, lines)
    return ("GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"):format(path, lines or "h2c")
  end

  it("is answered as if it were not there", function()
    local conn = http.open(s):send(upgrade("/ignore"))
    local answer = conn:answer()
    assert.equal("ignored", answer.body)
    assert.is_nil(answer.headers.connection)
    conn:send(upgrade("/ignore", "foo/1, bar"))
    assert.equal("ignored", conn:answer().body)
    conn:send(http.END)
    assert.equal("end", conn:answer().body)
    conn:close()
  end)

  it("ends the connection when bytes came behind it", function()
    for _, bytes in ipairs {http.END, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x81\x85abcdhello"} do
      local conn = http.open(s):send(upgrade("/ignore") .. bytes)
      local answer = conn:answer()
      assert.equal("ignored", answer.body)
      assert.equal("close", answer.headers.connection)
      assert.equal("", conn:rest())
      conn:close()
    end
  end)

  it("ends the connection when bytes came while the handler was parked", function()
    local conn = http.open(s):send(upgrade("/gate"))
    assert.same({nil, "timeout"}, {conn.socket:recv(1, 0.05)})
    conn:send(http.END)
    assert.same({nil, "timeout"}, {conn.socket:recv(1, 0.05)})
    s:get("/open")
    local answer = conn:answer()
    assert.equal("gate", answer.body)
    assert.equal("close", answer.headers.connection)
    assert.equal("", conn:rest())
    conn:close()
  end)

  it("does not take the body with it", function()
    local conn = http.open(s):send("POST /read HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
      .. "Content-Length: 5\r\n\r\nhello")
    assert.equal("hello", conn:answer().body)
    conn:close()
  end)
end)
