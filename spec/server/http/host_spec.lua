-- For whom a request is (core/THREATS.md, H5): exactly one Host that can be one, the same as in an absolute target.
local http = require "spec.support.http"
local server = require "spec.support.server"

local function host(lines, target)
  return ("GET %s HTTP/1.1\r\n%s\r\n"):format(target or "/", lines)
end

describe("the Host of a request", function()
  local s

  setup(function() s = server.start {app = http.APP, workers = 1} end)
  teardown(server.stop_all)

  local refuses, accepts = http.tables(it, function() return s end)

  accepts {
    {"a name", host "Host: example.org\r\n", "/ example.org"},
    {"a name with a port", host "Host: example.org:8080\r\n", "/ example.org:8080"},
    {"an empty port", host "Host: example.org:\r\n", "/ example.org:"},
    {"an address", host "Host: 127.0.0.1\r\n", "/ 127.0.0.1"},
    {"an IPv6 address", host "Host: [::1]:80\r\n", "/ [::1]:80"},
    {"any case of the header", host "hOsT: A\r\n", "/ A"},
    {"white space around it", host "Host: \t a \t\r\n", "/ a"},
    {"an underscore", host "Host: a_b\r\n", "/ a_b"},
    {"an absolute target", host("Host: a:80\r\n", "http://a:80/b?c"), "/b c"},
    {"an absolute target in other case", host("Host: a\r\n", "HTTP://A/b"), "/b "},
    {"an absolute target with https", host("Host: a\r\n", "https://a/b"), "/b "},
    {"an absolute target without path", host("Host: a\r\n", "http://a"), " a"},
    {"an absolute target with only a query", host("Host: a\r\n", "http://a?b"), nil},
  }
  refuses {
    {"none", host ""},
    {"an empty one", host "Host:\r\n"},
    {"one of spaces", host "Host:  \r\n"},
    {"two", host "Host: a\r\nHost: b\r\n"},
    {"two that agree", host "Host: a\r\nHost: a\r\n"},
    {"two in different case", host "Host: a\r\nHOST: a\r\n"},
    {"a list", host "Host: a, b\r\n"},
    {"two names", host "Host: a b\r\n"},
    {"userinfo", host "Host: user@a\r\n"},
    {"userinfo with a password", host "Host: user:pw@a\r\n"},
    {"a path", host "Host: a/b\r\n"},
    {"a backslash", host "Host: a\\b\r\n"},
    {"a query", host "Host: a?b\r\n"},
    {"a fragment", host "Host: a#b\r\n"},
    {"a scheme", host "Host: http://a\r\n"},
    {"an escape that is none", host "Host: a%zz\r\n"},
    {"quotes", host 'Host: "a"\r\n'},
    {"angle brackets", host "Host: <script>\r\n"},
    {"a byte beyond ASCII", host "Host: \x80\r\n"},
    {"a NUL", host "Host: a\0\r\n"},
    {"a tab inside", host "Host: a\tb\r\n"},
    {"only a port", host "Host: :80\r\n"},
    {"a port of letters", host "Host: a:http\r\n"},
    {"a port of six digits", host "Host: a:808080\r\n"},
    {"a port beyond 65535", host "Host: a:65536\r\n"},
    {"two ports", host "Host: a:80:80\r\n"},
    {"a negative port", host "Host: a:-1\r\n"},
    {"an IPv6 address without brackets", host "Host: ::1\r\n"},
    {"an open bracket", host "Host: [::1\r\n"},
    {"letters in brackets", host "Host: [xyz]\r\n"},
    {"empty brackets", host "Host: []\r\n"},
    {"something behind the brackets", host "Host: [::1]a\r\n"},
    {"a space before the colon", host "Host : a\r\n"},
    {"an absolute target without it", host("", "http://a/")},
    {"an absolute target for another", host("Host: b\r\n", "http://a/")},
    {"an absolute target with another port", host("Host: a:80\r\n", "http://a:81/")},
    {"an absolute target with userinfo", host("Host: a\r\n", "http://user@a/")},
    {"an absolute target without authority", host("Host: a\r\n", "http:///b")},
    {"an absolute target with a path for a scheme", host("Host: a\r\n", "ftp://a/")},
    {"an absolute target with one slash", host("Host: a\r\n", "http:/a")},
    {"an absolute target with backslashes", host("Host: a\r\n", "http:\\\\a\\")},
    {"an authority as target", host("Host: a\r\n", "a:80")},
  }

  describe("in HTTP/1.0", function()
    local function once(bytes, status, body)
      http.each_way(s, bytes, function(answers)
        assert.equal(1, #answers)
        assert.equal(status, answers[1].status)
        if body then assert.equal(body, answers[1].body) end
      end)
    end

    it("may be missing", function() once("GET / HTTP/1.0\r\n\r\n", 200, "/ ") end)
    it("may be there", function() once("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 200, "/ a") end)
    it("may stand in the target only", function() once("GET http://a:1/b HTTP/1.0\r\n\r\n", 200, "/b ") end)
    it("may not be there twice", function() once("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400) end)
    it("may not be empty", function() once("GET / HTTP/1.0\r\nHost:\r\n\r\n", 400) end)
    it("may not be wrong in the target", function() once("GET http://u@a/ HTTP/1.0\r\n\r\n", 400) end)
  end)
end)

describe("OPTIONS *", function()
  teardown(server.stop_all)

  it("is answered for the whole server", function()
    local s = server.start {app = http.APP, workers = 1}
    http.each_way(s, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" .. http.END, function(answers)
      assert.equal(2, #answers)
      assert.equal(204, answers[1].status)
      assert.matches("GET", answers[1].headers.allow)
      assert.equal("end", answers[2].body)
    end)
  end)
end)
