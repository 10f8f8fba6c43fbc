-- Request lines and header lines that are no HTTP/1.1 (core/THREATS.md, H2, H6, H12): refused with the right status and
-- a closed connection, in whatever pieces they come.
local http = require "spec.support.http"
local server = require "spec.support.server"

local function line(text)
  return text .. "\r\nHost: a\r\n\r\n"
end

local function with(lines)
  return "GET /head HTTP/1.1\r\nHost: a\r\n" .. lines .. "\r\n"
end

describe("parsing", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1} end)
  teardown(server.stop_all)

  local refuses, accepts = http.tables(it, function() return s end)

  describe("a request line", function()
    accepts {
      {"a path", line "GET /a/b HTTP/1.1", "/a/b "},
      {"a query", line "GET /a?b=c&d?e HTTP/1.1", "/a b=c&d?e"},
      {"escapes", line "GET /%61%20%C3%A4 HTTP/1.1", "/%61%20%C3%A4 "},
      {"two line ends before it", "\r\n\r\n" .. line "GET /a HTTP/1.1", "/a "},
      {"a method of many", line "PROPFIND /a HTTP/1.1", "/a "},
    }
    refuses {
      {"three line ends before it", "\r\n\r\n\r\n" .. line "GET /a HTTP/1.1"},
      {"bare line feeds before it", "\n\n" .. line "GET /a HTTP/1.1"},
      {"a bare carriage return before it", "\r" .. line "GET /a HTTP/1.1"},
      {"a space before it", " " .. line "GET /a HTTP/1.1"},
      {"two spaces before the target", line "GET  /a HTTP/1.1"},
      {"two spaces behind the target", line "GET /a  HTTP/1.1"},
      {"a tab before the target", line "GET\t/a HTTP/1.1"},
      {"a tab behind the target", line "GET /a\tHTTP/1.1"},
      {"a vertical tab behind the target", line "GET /a\vHTTP/1.1"},
      {"a space behind the version", line "GET /a HTTP/1.1 "},
      {"a fourth word", line "GET /a HTTP/1.1 b"},
      {"a bare line feed at its end", "GET /a HTTP/1.1\nHost: a\r\n\r\n"},
      {"a bare carriage return at its end", "GET /a HTTP/1.1\rHost: a\r\n\r\n"},
      {"CR X at its end", "GET /a HTTP/1.1\r\rHost: a\r\n\r\n"},
      {"a NUL in the target", line "GET /a\0b HTTP/1.1"},
      {"a control in the target", line "GET /a\1b HTTP/1.1"},
      {"DEL in the target", line "GET /a\127b HTTP/1.1"},
      {"a byte beyond ASCII in the target", line "GET /\x80 HTTP/1.1"},
      {"UTF-8 that is not escaped", line "GET /ä HTTP/1.1"},
      {"a fragment", line "GET /a#b HTTP/1.1"},
      {"an escape that is none", line "GET /%zz HTTP/1.1"},
      {"half an escape", line "GET /a%4 HTTP/1.1"},
      {"an escaped NUL", line "GET /a%00b HTTP/1.1"},
      {"a target without slash", line "GET a HTTP/1.1"},
      {"an asterisk for GET", line "GET * HTTP/1.1"},
      {"more than an asterisk for OPTIONS", line "OPTIONS *a HTTP/1.1"},
      {"another protocol", line "GET /a ICE/1.1"},
      {"a protocol in lower case", line "GET /a http/1.1"},
      {"a method of another protocol", line "PLAY /a RTSP/1.0"},
      {"an unknown method", line "BREW /a HTTP/1.1", 501},
      {"a method in lower case", line "get /a HTTP/1.1", 501},
      {"a known method with more behind", line "GETS /a HTTP/1.1", 501},
      {"a long unknown method", line(("A"):rep(60) .. " /a HTTP/1.1"), 501},
      {"a method that is no word", line "G@T /a HTTP/1.1"},
      {"a byte beyond ASCII in the method", line "G\xcbT /a HTTP/1.1"},
      {"no method", line " /a HTTP/1.1"},
      {"a NUL first", "\0" .. line "GET /a HTTP/1.1"},
      {"CONNECT", line "CONNECT a:443 HTTP/1.1", 501},
      {"CONNECT to a path", line "CONNECT /a HTTP/1.1", 501},
    }
  end)

  describe("a version", function()
    it("answers HTTP/1.0 and closes", function()
      http.each_way(s, "GET /a HTTP/1.0\r\n\r\n", function(answers)
        assert.equal(1, #answers)
        assert.equal(200, answers[1].status)
        assert.equal("close", answers[1].headers.connection)
      end)
    end)
    refuses {
      {"HTTP/0.9", "GET /a\r\n", 505},
      {"HTTP/0.9 by name", line "GET /a HTTP/0.9", 505},
      {"HTTP/2.0", line "GET /a HTTP/2.0", 505},
      {"HTTP/1.2", line "GET /a HTTP/1.2", 505},
      {"HTTP/9.9", line "GET /a HTTP/9.9", 505},
      {"HTTP/1", line "GET /a HTTP/1"},
      {"HTTP/11.1", line "GET /a HTTP/11.1"},
      {"HTTP/1.10", line "GET /a HTTP/1.10"},
      {"HTTP/1,1", line "GET /a HTTP/1,1"},
      {"HTTP 1.1", line "GET /a HTTP 1.1"},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505},
      {"a TLS hello", "\x16\3\1\2\0\1\0\1\xfc\3\3" .. ("\xa7"):rep(500)},
      {"an SSH greeting", "SSH-2.0-OpenSSH_9.2\r\n", 501},
    }
  end)

  describe("a header line", function()
    accepts {
      {"any token as a name", with "!#$%&'*+-.^_`|~09aZ: x\r\n", "host=a\n!#$%&'*+-.^_`|~09az=x"},
      {"no space behind the colon", with "X:y\r\n", "host=a\nx=y"},
      {"white space around a value", with "X: \t y z\t \t\r\n", "host=a\nx=y z"},
      {"an empty value", with "X:\r\nY: \r\nZ: z\r\n", "host=a\nx=\ny=\nz=z"},
      {"a tab in a value", with "X: y\tz\r\n", "host=a\nx=y\tz"},
      {"bytes beyond ASCII in a value", with "X: \x80\xff\r\n", "host=a\nx=\x80\xff"},
      {"a colon in a value", with "X: y:z\r\n", "host=a\nx=y:z"},
      {"a name twice", with "X: y\r\nX: z\r\n", "host=a\nx=y\nx=z"},
      {"underscore and dash as different names", with "a-b: y\r\na_b: z\r\n", "host=a\na-b=y\na_b=z"},
    }
    refuses {
      {"a space before the colon", with "X : y\r\n"},
      {"a tab before the colon", with "X\t: y\r\n"},
      {"a space before the first name", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {"a folded value", with "X: y\r\n z\r\n"},
      {"a value folded with a tab", with "X: y\r\n\tz\r\n"},
      {"an empty folded line", with "X: y\r\n \r\n"},
      {"a bare line feed behind a value", with "X: y\nZ: z\r\n"},
      {"a bare carriage return behind a value", with "X: y\rZ: z\r\n"},
      {"a bare carriage return in a value", with "X: y\r\rZ: z\r\n"},
      {"a bare line feed as the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"line feeds only", "GET / HTTP/1.1\nHost: a\n\n"},
      {"CR X as the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX"},
      {"CR CR LF as the end", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"},
      {"a NUL in a value", with "X: y\0z\r\n"},
      {"a control in a value", with "X: y\1z\r\n"},
      {"an escape character in a value", with "X: y\27z\r\n"},
      {"DEL in a value", with "X: y\127z\r\n"},
      {"a NUL in a name", with "X\0: y\r\n"},
      {"a control in a name", with "X\1: y\r\n"},
      {"a byte beyond ASCII in a name", with "X\x80: y\r\n"},
      {"a name in UTF-8", with "Grün: y\r\n"},
      {"a space in a name", with "X Y: z\r\n"},
      {"brackets in a name", with "X[]: z\r\n"},
      {"quotes in a name", with 'X": z\r\n'},
      {"an empty name", with ": y\r\n"},
      {"a line without colon", with "X\r\n"},
      {"a line without colon behind one with", with "X: y\r\nZ\r\n"},
    }
  end)
end)

-- Any bytes may come; whatever they are, the server answers or closes, and serves on.
describe("noise", function()
  local SEEDS = {
    "GET /echo?a=b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: z\r\n\r\n",
    "PUT http://a/unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n",
  }
  local WORDS = {"\r", "\n", "\r\n", "\r\n\r\n", " ", "\t", "\0", ":", ";", "0", "-1", "ffffffffffffffff", "\x80",
    "\xff", "Host: b\r\n", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n", "HTTP/1.1", "chunked", "%", "/",
    "*", ("a"):rep(300)}
  local REQUESTS, PER_CONNECTION = 3000, 20

  local function mutate(text, random)
    for _ = 1, random(4) do
      local at, kind = random(#text), random(4)
      if kind == 1 then
        text = text:sub(1, at - 1) .. string.char(random(256) - 1) .. text:sub(at + 1)
      elseif kind == 2 then
        text = text:sub(1, at - 1) .. WORDS[random(#WORDS)] .. text:sub(at)
      elseif kind == 3 then
        text = text:sub(1, at - 1) .. text:sub(at + random(8))
      else
        text = text:sub(1, at) .. text:sub(random(#text))
      end
    end
    return text
  end

  -- Sends it and ends our side; whatever is answered is an answer, and no handler failed.
  local function look(s, text, way, seed)
    local conn = http.open(s):send_in(text, way, seed)
    conn.socket:shutdown()
    for _, answer in ipairs(conn:answers()) do assert.not_equal(500, answer.status) end
    conn:close()
  end

  it("does no harm", function()
    local s = server.start {app = http.APP, workers = 1}
    local random = http.random(2024)
    for _ = 1, REQUESTS // PER_CONNECTION do
      local pieces = {}
      for i = 1, PER_CONNECTION do pieces[i] = mutate(SEEDS[random(#SEEDS)], random) end
      look(s, table.concat(pieces), "whole") -- a pipeline, up to the first that is wrong
      for _, piece in ipairs(pieces) do look(s, piece, random(2) == 1 and "whole" or "cuts", random(1000)) end
    end
    http.accepts(s, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "GET ")
    assert.is_nil(s:log():find("Sanitizer", 1, true))
    assert.equal(0, s:stop())
  end)

  teardown(server.stop_all)
end)
