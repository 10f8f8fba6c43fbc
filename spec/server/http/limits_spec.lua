-- How much a request may bring (core/THREATS.md, H4, H6, H7, H8): each limit is refused with its own status when it is
-- passed by one, and is no obstacle at its very value.
local http = require "spec.support.http"
local server = require "spec.support.server"

-- 2000 bytes of head, 500 of a line, 20 headers, 300 of the target, 200 of chunk extensions, 1000 of body.
local ENV = {
  NEAP_LIMITS_HEADER_BYTES = "2000", NEAP_LIMITS_HEADER_LINE = "500", NEAP_LIMITS_HEADERS = "20",
  NEAP_LIMITS_URI = "300", NEAP_LIMITS_CHUNK_EXTENSIONS = "200", NEAP_LIMITS_BODY = "1000",
}

local function head(lines)
  return "GET /a HTTP/1.1\r\nHost: a\r\n" .. lines .. "\r\n"
end

-- `count` header lines of `len` bytes each.
local function headers(count, len)
  local lines = {}
  for i = 1, count do
    local name = ("x-%d: "):format(i)
    lines[i] = name .. ("v"):rep(len - #name - 2) .. "\r\n"
  end
  return table.concat(lines)
end

local function post(path, lines, body)
  return ("POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n%s"):format(path, lines, body)
end

local function chunked(body, path)
  return post(path or "/echo", "Transfer-Encoding: chunked\r\n", body)
end

describe("the limits of", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1, env = ENV} end)
  teardown(server.stop_all)

  local function limits(cases)
    for _, case in ipairs(cases) do
      it(case[1], function()
        if case.fits then http.accepts(s, case.fits) end
        http.refuses(s, case.exceeds, case[2], case.behind)
      end)
    end
  end

  describe("a head:", function()
    limits {
      {"the target", 414, fits = "GET /" .. ("a"):rep(299) .. " HTTP/1.1\r\nHost: a\r\n\r\n",
        exceeds = "GET /" .. ("a"):rep(300) .. " HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"the target with its query", 414, fits = "GET /?" .. ("a"):rep(298) .. " HTTP/1.1\r\nHost: a\r\n\r\n",
        exceeds = "GET /?" .. ("a"):rep(299) .. " HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a target without end", 414, exceeds = "GET /" .. ("a"):rep(5000)},
      {"the count of headers", 431, fits = head(headers(19, 20)), exceeds = head(headers(20, 20))},
      {"the count of headers of one name", 431, fits = head(("x: y\r\n"):rep(19)),
        exceeds = head(("x: y\r\n"):rep(20))},
      {"the count of empty headers", 431, fits = head(("x:\r\n"):rep(19)), exceeds = head(("x:\r\n"):rep(20))},
      {"one line", 431, fits = head("x: " .. ("v"):rep(497) .. "\r\n"),
        exceeds = head("x: " .. ("v"):rep(498) .. "\r\n")},
      {"one name", 431, fits = head(("n"):rep(500) .. ":\r\n"), exceeds = head(("n"):rep(501) .. ":\r\n")},
      {"a line without end", 431, exceeds = "GET /a HTTP/1.1\r\nHost: a\r\nx: " .. ("v"):rep(3000)},
      {"a name without end", 431, exceeds = "GET /a HTTP/1.1\r\nHost: a\r\n" .. ("n"):rep(3000), behind = ""},
      {"a line of spaces", 431, exceeds = "GET /a HTTP/1.1\r\nHost: a\r\nx:" .. (" "):rep(3000)},
      {"all lines together", 431, fits = head(headers(4, 400)), exceeds = head(headers(6, 400))},
      {"all bytes, at the last one", 431, fits = head(headers(4, 400) .. "x: " .. ("v"):rep(367) .. "\r\n"),
        exceeds = head(headers(4, 400) .. "x: " .. ("v"):rep(368) .. "\r\n")},
      {"a method without end", 501, exceeds = ("A"):rep(3000)},
    }

    it("spaces without end before the target", function()
      http.refuses(s, "GET " .. (" "):rep(3000) .. "/a HTTP/1.1\r\nHost: a\r\n\r\n", 431)
    end)
  end)

  describe("a body:", function()
    limits {
      {"its length", 413, fits = post("/echo", "Content-Length: 1000\r\n", ("b"):rep(1000)),
        exceeds = post("/echo", "Content-Length: 1001\r\n", ("b"):rep(1001))},
      {"its chunks", 413,
        fits = chunked("1f4\r\n" .. ("b"):rep(500) .. "\r\n1f4\r\n" .. ("b"):rep(500) .. "\r\n0\r\n\r\n"),
        exceeds = chunked("1f4\r\n" .. ("b"):rep(500) .. "\r\n1f5\r\n" .. ("b"):rep(501) .. "\r\n0\r\n\r\n")},
      {"the extensions of one chunk", 413, fits = chunked("1;" .. ("e"):rep(200) .. "\r\nb\r\n0\r\n\r\n"),
        exceeds = chunked("1;" .. ("e"):rep(201) .. "\r\nb\r\n0\r\n\r\n")},
      {"the extensions of all chunks", 413, fits = chunked(("1;eeee=eeeee\r\nb\r\n"):rep(20) .. "0\r\n\r\n"),
        exceeds = chunked(("1;eeee=eeeee\r\nb\r\n"):rep(23) .. "0\r\n\r\n")},
      {"an extension without end", 413, exceeds = chunked("1;" .. ("e"):rep(5000))},
      {"an extension value without end", 413, exceeds = chunked("1;e=" .. ("e"):rep(5000))},
      {"a quoted extension without end", 413, exceeds = chunked('1;e="' .. ("e"):rep(5000))},
      {"the extensions of the last chunk", 413, exceeds = chunked("0;" .. ("e"):rep(201) .. "\r\n\r\n")},
      {"the count of trailers", 431, fits = chunked("0\r\n" .. headers(18, 12) .. "\r\n", "/trailers"),
        exceeds = chunked("0\r\n" .. headers(19, 12) .. "\r\n", "/trailers")},
      {"the count of empty trailers", 431, exceeds = chunked("0\r\n" .. ("x:\r\n"):rep(100) .. "\r\n", "/trailers")},
      {"the bytes of trailers", 431, fits = chunked("0\r\n" .. headers(4, 400) .. "\r\n", "/trailers"),
        exceeds = chunked("0\r\n" .. headers(6, 400) .. "\r\n", "/trailers")},
      {"a trailer without end", 431, exceeds = chunked("0\r\nx: " .. ("v"):rep(5000), "/trailers")},
      {"a trailer name without end", 431, exceeds = chunked("0\r\n" .. ("n"):rep(5000), "/trailers"), behind = ""},
    }
  end)

  -- Without anybody who reads it, what comes behind the head is still held to the limits.
  describe("a body that nobody reads:", function()
    local function closes(name, bytes)
      it(name, function()
        http.each_way(s, bytes .. http.END, function(answers)
          assert.equal(1, #answers)
          assert.equal("unread", answers[1].body)
        end)
      end)
    end

    closes("the extensions", chunked("1;" .. ("e"):rep(201) .. "\r\nb\r\n0\r\n\r\n", "/unread"))
    closes("the trailers", chunked("0\r\n" .. ("x:\r\n"):rep(100) .. "\r\n", "/unread"))
    closes("the framing", chunked("0x5\r\nhello\r\n0\r\n\r\n", "/unread"))
  end)
end)

describe("the default limits", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1} end)
  teardown(server.stop_all)

  -- Too long to be sent byte by byte.
  local function status(bytes)
    local conn = http.open(s):send(bytes)
    local answers = conn:answers()
    conn:close()
    assert.equal(1, #answers)
    assert.equal("close", answers[1].headers.connection)
    return answers[1].status
  end

  it("hold 100 headers of 8 KiB in 16 KiB, and a target of 8 KiB", function()
    assert.equal(200, status("GET /" .. ("a"):rep(8191) .. " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    assert.equal(414, status("GET /" .. ("a"):rep(8192) .. " HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert.equal(200, status("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" .. headers(98, 20) .. "\r\n"))
    assert.equal(431, status("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" .. headers(99, 20) .. "\r\n"))
    assert.equal(431, status("GET /a HTTP/1.1\r\nHost: a\r\nx: " .. ("v"):rep(8190) .. "\r\n\r\n"))
    assert.equal(431, status(head(headers(50, 400))))
  end)

  it("answer a header bomb of many megabytes with 431", function()
    assert.equal(431, status("GET /a HTTP/1.1\r\nHost: a\r\n" .. ("x: y\r\n"):rep(500000) .. "\r\n"))
    assert.equal(200, (s:get("/end")))
  end)
end)
