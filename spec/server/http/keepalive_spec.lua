-- Which connections go on after an answer (core/THREATS.md, H8): 1.1 unless somebody says otherwise, 1.0 when it asks,
-- and none behind a body that nobody wanted to read.
local http = require "spec.support.http"
local server = require "spec.support.server"

describe("a connection", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1} end)
  teardown(server.stop_all)

  -- Two requests; how many answers, and what the first says of the connection.
  local function outcome(version, lines)
    local count, connection
    http.each_way(s, ("GET /a HTTP/%s\r\nHost: a\r\n%s\r\n"):format(version, lines) .. http.END, function(answers)
      assert.equal(200, answers[1].status)
      count, connection = #answers, answers[1].headers.connection
    end)
    return count, connection
  end

  local function goes_on(version, lines)
    local count, connection = outcome(version, lines)
    assert.equal(2, count)
    assert.equal(version == "1.0" and "keep-alive" or nil, connection)
  end

  local function ends(version, lines)
    local count, connection = outcome(version, lines)
    assert.equal(1, count)
    assert.equal("close", connection)
  end

  it("of HTTP/1.1 goes on", function() goes_on("1.1", "") end)
  it("of HTTP/1.1 ends when the client says close", function()
    ends("1.1", "Connection: close\r\n")
    ends("1.1", "connection: CLOSE\r\n")
    ends("1.1", "Connection: foo, close\r\n")
    ends("1.1", "Connection: close, keep-alive\r\n")
    ends("1.1", "Connection: keep-alive\r\nConnection: close\r\n")
    ends("1.1", "Connection: close \t\r\n")
  end)
  it("of HTTP/1.1 ignores other words", function()
    goes_on("1.1", "Connection: closed\r\n")
    goes_on("1.1", "Connection: x-close, keep-alive\r\n")
    goes_on("1.1", "Proxy-Connection: close\r\n")
  end)
  it("of HTTP/1.0 ends", function() ends("1.0", "") end)
  it("of HTTP/1.0 goes on when the client asks for it", function()
    goes_on("1.0", "Connection: keep-alive\r\n")
    goes_on("1.0", "Connection: Keep-Alive\r\n")
    goes_on("1.0", "Connection: foo, keep-alive\r\n")
  end)
  it("of HTTP/1.0 ends when the client says both", function()
    ends("1.0", "Connection: keep-alive, close\r\n")
  end)
  it("serves many requests", function()
    local conn = http.open(s)
    for i = 1, 500 do
      conn:send(("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%d"):format(#tostring(i), i))
      assert.equal("POST " .. i, conn:answer().body)
    end
    conn:close()
  end)
  it("takes empty lines between requests", function()
    local bytes = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n" .. http.END
    http.each_way(s, bytes, function(answers)
      assert.equal("POST hi", answers[1].body)
      assert.equal("end", answers[2].body)
    end)
  end)
  it("ends without a word after many empty lines", function()
    http.refuses(s, ("\r\n"):rep(50), 400)
  end)
end)

describe("a body that nobody read", function()
  local SMALL, LARGE = 30000, 200000
  local s

  setup(function() s = server.start {app = http.APP, workers = 1} end)
  teardown(server.stop_all)

  local function post(lines, body)
    return ("POST /unread HTTP/1.1\r\nHost: a\r\n%s\r\n%s"):format(lines, body)
  end

  local function length(len)
    return post(("Content-Length: %d\r\n"):format(len), ("b"):rep(len))
  end

  local function chunks(len)
    local chunk = ("3e8\r\n%s\r\n"):format(("b"):rep(1000))
    return post("Transfer-Encoding: chunked\r\n", chunk:rep(len // 1000) .. "0\r\n\r\n")
  end

  local function answers_to(bytes)
    local conn = http.open(s):send(bytes .. http.END)
    local answers = conn:answers()
    conn:close()
    assert.equal("unread", answers[1].body)
    return answers
  end

  it("is swallowed when it is small", function()
    http.accepts(s, post("Content-Length: 5\r\n", "hello"), "unread")
    http.accepts(s, post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), "unread")
    for _, bytes in ipairs {length(SMALL), chunks(SMALL)} do
      local answers = answers_to(bytes)
      assert.is_nil(answers[1].headers.connection)
      assert.equal("end", answers[2].body)
    end
  end)

  it("ends the connection when it is large, and the answer still arrives", function()
    local answers = answers_to(length(LARGE))
    assert.equal(1, #answers)
    assert.equal("close", answers[1].headers.connection)
    assert.equal(1, #answers_to(chunks(LARGE)))
  end)

  it("ends the connection when it is large and not sent at all", function()
    local conn = http.open(s):send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
    local answer = conn:answer()
    assert.equal("close", answer.headers.connection)
    assert.equal("", conn:rest())
    conn:close()
  end)

  it("is no reason to wait when it is small and comes late", function()
    local conn = http.open(s):send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    assert.equal("unread", conn:answer().body)
    conn:send("hello" .. http.END)
    assert.equal("end", conn:answer().body)
    conn:close()
  end)
end)
