-- Where a message ends, and nothing else (core/THREATS.md, H1 to H3): every byte that two servers could read
-- differently is refused, so that nothing can be smuggled behind it. Each case is sent whole, byte by byte and at
-- random cuts.
local http = require "spec.support.http"
local server = require "spec.support.server"

local function post(lines, body)
  return "POST /echo HTTP/1.1\r\nHost: a\r\n" .. lines .. "\r\n" .. (body or "")
end

local function chunked(body)
  return post("Transfer-Encoding: chunked\r\n", body)
end

describe("the framing of a request", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1, env = {NEAP_LIMITS_BODY = "1000"}} end)
  teardown(server.stop_all)

  local refuses, accepts = http.tables(it, function() return s end)

  describe("with Content-Length", function()
    accepts {
      {"a length", post("Content-Length: 5\r\n", "hello"), "POST hello"},
      {"no body", post("Content-Length: 0\r\n"), "POST "},
      {"no length: no body", post(""), "POST "},
      {"leading zeros", post("Content-Length: 0005\r\n", "hello"), "POST hello"},
      {"optional white space around", post("Content-Length: \t 5 \r\n", "hello"), "POST hello"},
      {"a body that looks like a request", post("Content-Length: 26\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"),
        "POST GET /x HTTP/1.1\r\nHost: a\r\n"},
      {"a body of GET", "GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "GET hello"},
      {"a header that only looks like it", post("Content_Length: 3\r\nX-Content-Length: 4\r\n"), "POST "},
    }
    refuses {
      {"two lengths that agree", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
      {"two lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")},
      {"two lengths in different cases", post("Content-Length: 5\r\ncontent-length: 5\r\n", "hello")},
      {"a list of lengths", post("Content-Length: 5, 5\r\n", "hello")},
      {"a list without spaces", post("Content-Length: 5,5\r\n", "hello")},
      {"two numbers", post("Content-Length: 5 5\r\n", "hello")},
      {"a plus sign", post("Content-Length: +5\r\n", "hello")},
      {"a minus sign", post("Content-Length: -5\r\n", "hello")},
      {"hexadecimal", post("Content-Length: 0x5\r\n", "hello")},
      {"hexadecimal digits", post("Content-Length: a\r\n", "0123456789")},
      {"underscores", post("Content-Length: 1_0\r\n", "0123456789")},
      {"a fraction", post("Content-Length: 5.0\r\n", "hello")},
      {"an exponent", post("Content-Length: 1e1\r\n", "0123456789")},
      {"an empty length", post("Content-Length:\r\n", "hello")},
      {"a length of spaces", post("Content-Length:   \r\n", "hello")},
      {"2^64", post("Content-Length: 18446744073709551616\r\n", "hello")},
      {"more digits than any number", post("Content-Length: 99999999999999999999999999\r\n", "hello")},
      {"quotes", post('Content-Length: "5"\r\n', "hello")},
      {"a vertical tab before it", post("Content-Length: \v5\r\n", "hello")},
      {"a form feed behind it", post("Content-Length: 5\f\r\n", "hello")},
      {"a NUL behind it", post("Content-Length: 5\0\r\n", "hello")},
      {"a no-break space", post("Content-Length: \xa05\r\n", "hello")},
      {"digits of another script", post("Content-Length: \xd9\xa5\r\n", "hello")},
    }
    it("refuses a body beyond the limit, before it is sent", function()
      http.refuses(s, post("Content-Length: 18446744073709551615\r\n"), 413)
    end)
  end)

  describe("with Transfer-Encoding", function()
    accepts {
      {"chunked", chunked "5\r\nhello\r\n0\r\n\r\n", "POST hello"},
      {"chunked in any case", post("tRANSFER-eNCODING: cHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST hello"},
      {"white space around", post("Transfer-Encoding: \tchunked \r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST hello"},
      {"several chunks", chunked "1\r\nh\r\n4\r\nello\r\n6\r\n world\r\n0\r\n\r\n", "POST hello world"},
      {"an empty body", chunked "0\r\n\r\n", "POST "},
      {"leading zeros and hexadecimal digits", chunked "00B\r\nhello world\r\n000\r\n\r\n", "POST hello world"},
      {"lower case digits", chunked "b\r\nhello world\r\n0\r\n\r\n", "POST hello world"},
      {"chunk extensions", chunked 'b;a;b=c;d="e\\"f"\r\nhello world\r\n0;last\r\n\r\n', "POST hello world"},
      {"a body that looks like a last chunk", chunked "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "POST 0\r\n\r\n"},
      {"chunked GET",
        "GET /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "GET hi"},
    }
    refuses {
      {"beside Content-Length", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"before Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
      {"empty beside Content-Length", post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "hello")},
      {"identity beside Content-Length", post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello")},
      {"an empty coding", post("Transfer-Encoding:\r\n", "0\r\n\r\n"), 501},
      {"identity", post("Transfer-Encoding: identity\r\n"), 501},
      {"gzip", post("Transfer-Encoding: gzip\r\n"), 501},
      {"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
      {"chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")},
      {"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
      {"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
      {"chunked on two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"chunked, then identity on a line of its own",
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")},
      {"identity, then chunked on a line of its own",
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
      {"chunkedx", post("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"), 501},
      {"chunke", post("Transfer-Encoding: chunke\r\n", "0\r\n\r\n"), 501},
      {"quotes", post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"), 501},
      {"a parameter", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 501},
      {"a comma before", post("Transfer-Encoding: , chunked\r\n", "0\r\n\r\n"), 501},
      {"a comma behind", post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n")},
      {"a vertical tab before", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n")},
      {"a vertical tab behind", post("Transfer-Encoding: chunked\v\r\n", "0\r\n\r\n")},
      {"a form feed", post("Transfer-Encoding: \fchunked\r\n", "0\r\n\r\n")},
      {"a NUL", post("Transfer-Encoding: chunked\0\r\n", "0\r\n\r\n")},
      {"a byte 0x80 before", post("Transfer-Encoding: \x80chunked\r\n", "0\r\n\r\n"), 501},
      {"a byte 0xFF behind", post("Transfer-Encoding: chunked\xff\r\n", "0\r\n\r\n"), 501},
      {"a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")},
      {"a tab before the colon", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n")},
      {"a space before the name", post(" Transfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"a folded line", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
      {"a folded line behind another header", post("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"a line feed before it", post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"a carriage return before it", post("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"it in HTTP/1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    }
  end)

  -- The head is right here, and the handler waits for the body: the core answers in its place.
  describe("of chunks", function()
    refuses {
      {"no size", chunked "\r\nhello\r\n0\r\n\r\n"},
      {"0x", chunked "0x5\r\nhello\r\n0\r\n\r\n"},
      {"a plus sign", chunked "+5\r\nhello\r\n0\r\n\r\n"},
      {"a minus sign", chunked "-5\r\nhello\r\n0\r\n\r\n"},
      {"underscores", chunked "0_5\r\nhello\r\n0\r\n\r\n"},
      {"a space before the size", chunked " 5\r\nhello\r\n0\r\n\r\n"},
      {"a space behind the size", chunked "5 \r\nhello\r\n0\r\n\r\n"},
      {"a tab behind the size", chunked "5\t\r\nhello\r\n0\r\n\r\n"},
      {"a vertical tab behind the size", chunked "5\v\r\nhello\r\n0\r\n\r\n"},
      {"a NUL behind the size", chunked "5\0\r\nhello\r\n0\r\n\r\n"},
      {"a comma behind the size", chunked "5,5\r\nhello\r\n0\r\n\r\n"},
      {"letters that are no digits", chunked "g\r\nhello\r\n0\r\n\r\n"},
      {"2^64", chunked "10000000000000000\r\nhello\r\n0\r\n\r\n"},
      {"2^64 + 5, which wraps to 5", chunked "10000000000000005\r\nhello\r\n0\r\n\r\n"},
      {"more digits than any number", chunked(("f"):rep(40) .. "\r\nhello\r\n0\r\n\r\n")},
      {"data longer than its size", chunked "4\r\nhello\r\n0\r\n\r\n"},
      {"data shorter than its size", chunked "6\r\nhello\r\n0\r\n\r\n"},
      {"data that ends with LF", chunked "5\r\nhello\n0\r\n\r\n"},
      {"data that ends with CR", chunked "5\r\nhello\r0\r\n\r\n"},
      {"data that ends with two other bytes", chunked "5\r\nhelloXX0\r\n\r\n"},
      {"a size line that ends with LF", chunked "5\nhello\r\n0\r\n\r\n"},
      {"a size line that ends with CR", chunked "5\rhello\r\n0\r\n\r\n"},
      {"a size line that ends with CR X", chunked "5\rXhello\r\n0\r\n\r\n"},
      {"an extension that ends with LF", chunked "5;a\nhello\r\n0\r\n\r\n"},
      {"an extension with a CR in it", chunked "5;a\rb\r\nhello\r\n0\r\n\r\n"},
      {"an extension with a NUL", chunked "5;a\0b\r\nhello\r\n0\r\n\r\n"},
      {"an extension with a line feed in quotes", chunked '5;a="\n"\r\nhello\r\n0\r\n\r\n'},
      {"a last chunk that ends with LF", chunked "5\r\nhello\r\n0\n\r\n"},
      {"an end with LF", chunked "5\r\nhello\r\n0\r\n\n"},
      {"an end with CR X", chunked "5\r\nhello\r\n0\r\n\rX"},
    }
    it("refuses a chunk beyond the body's limit", function()
      http.refuses(s, chunked("fffffffffffffff0\r\n" .. ("x"):rep(1001)), 413)
    end)
  end)
end)
