-- Trailers (core/THREATS.md, H13) are kept apart from the headers, and what would change the request is refused in
-- them.
local http = require "spec.support.http"
local server = require "spec.support.server"

local function with(trailers, headers)
  return "POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" .. (headers or "")
    .. "\r\n5\r\nhello\r\n0\r\n" .. trailers .. "\r\n"
end

describe("trailers", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1} end)
  teardown(server.stop_all)

  it("are what the handler sees once the body is read", function()
    http.accepts(s, with "X-Sum: 123\r\nx-two:  y z \t\r\n", "hello\nx-sum=123\nx-two=y z\nheader nil")
  end)

  it("are not there before", function()
    http.accepts(s, (with("X-Sum: 123\r\nX-Other: 1\r\n"):gsub("/trailers", "/early")), "nil 123")
  end)

  it("may be empty", function()
    http.accepts(s, with "X-Sum:\r\n", "hello\nx-sum=\nheader nil")
  end)

  it("are no headers", function()
    http.accepts(s, with "X-Check: late\r\n", "hello\nx-check=late\nheader nil")
    http.accepts(s, with("X-Check: late\r\n", "X-Check: early\r\n"), "hello\nx-check=late\nheader early")
  end)

  for _, name in ipairs {
    "Host", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Content-Type", "Content-Range", "Trailer", "TE",
    "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "Connection", "Keep-Alive", "Upgrade", "Expect",
    "Range", "Cache-Control", "Max-Forwards", "If-Match", "If-None-Match", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Forwarded-Proto", "Forwarded",
  } do
    it("refuse " .. name, function()
      http.refuses(s, with(name .. ": 1\r\n"), 400)
      http.refuses(s, with(name:upper() .. ": 1\r\n"), 400)
    end)
  end

  for what, line in pairs {
    ["a space before the colon"] = "X : y\r\n", ["a folded line"] = "X: y\r\n z\r\n",
    ["a line feed"] = "X: y\nZ: z\r\n", ["a carriage return"] = "X: y\rZ: z\r\n", ["a NUL"] = "X: y\0z\r\n",
    ["a byte beyond ASCII in a name"] = "X\x80: y\r\n", ["a line without colon"] = "X\r\n",
    ["an empty name"] = ": y\r\n",
  } do
    it("refuse " .. what, function() http.refuses(s, with(line), 400) end)
  end
end)
