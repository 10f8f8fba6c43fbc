-- Names with underscores (core/THREATS.md, H12): what sits behind a server may take content_length for Content-Length.
-- Here they are names of their own, and headers.underscores drops them or refuses the request.
local http = require "spec.support.http"
local server = require "spec.support.server"

local function with(lines)
  return "GET /head HTTP/1.1\r\nHost: a\r\n" .. lines .. "\r\n"
end

local function post(lines, body)
  return "POST /echo HTTP/1.1\r\nHost: a\r\n" .. lines .. "\r\n" .. body
end

local function trailing(trailers)
  return "POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    .. trailers .. "\r\n"
end

describe("headers with underscores", function()
  local s

  teardown(server.stop_all)

  local function serve(rule)
    setup(function()
      local env = {NEAP_HEADERS_UNDERSCORES = rule, NEAP_LIMITS_HEADERS = "20", NEAP_LIMITS_HEADER_BYTES = "2000",
        NEAP_LIMITS_HEADER_LINE = "500"}
      s = server.start {app = http.APP, workers = 1, env = env}
    end)
  end
  local refuses, accepts = http.tables(it, function() return s end)

  describe("by default", function()
    serve(nil)
    accepts {
      {"them as names of their own", with "a_b: y\r\na-b: z\r\nA_B: x\r\n", "host=a\na_b=y\na-b=z\na_b=x"},
      {"a twin of the length", post("Content-Length: 5\r\ncontent_length: 3\r\n", "hello"), "POST hello"},
      {"a twin of the coding", post("Content-Length: 5\r\ntransfer_encoding: chunked\r\n", "hello"), "POST hello"},
      {"trailers", trailing "x_sum: 1\r\nx-sum: 2\r\n", "hello\nx-sum=2\nx_sum=1\nheader nil"},
    }
    refuses {
      {"a twin that differs in case only", post("Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n", "hello")},
    }
  end)

  describe("that are dropped", function()
    serve "drop"
    accepts {
      {"the others", with "a_b: y\r\na-b: z\r\n_: \r\nc_:\r\nd: v_w\r\n", "host=a\na-b=z\nd=v_w"},
      {"one that comes first", "GET /head HTTP/1.1\r\na_b: y\r\nHost: a\r\n\r\n", "host=a"},
      {"nothing but them", with "a_b: y\r\n_c: z\r\n", "host=a"},
      {"a twin of the length", post("content_length: 3\r\nContent-Length: 5\r\n", "hello"), "POST hello"},
      {"the other trailers", trailing "x_sum: 1\r\nx-sum: 2\r\ny_:\r\n_z: \t\r\nz: 3\r\n",
        "hello\nx-sum=2\nz=3\nheader nil"},
    }
    refuses {
      {"a twin of Host alone", "GET /head HTTP/1.1\r\nho_st: a\r\n\r\n"},
      {"a line that is too long", with("a_b: " .. ("v"):rep(600) .. "\r\n"), 431},
      {"too many bytes", with(("a_b: " .. ("v"):rep(400) .. "\r\n"):rep(6)), 431},
      {"too many bytes of trailers", trailing(("a_b: " .. ("v"):rep(400) .. "\r\n"):rep(6)), 431},
      {"a control in a value", with "a_b: \1\r\n"},
    }
  end)

  describe("that are refused", function()
    serve "refuse"
    accepts {
      {"a request without", with "a-b: y_z\r\n", "host=a\na-b=y_z"},
      {"trailers without", trailing "x-sum: 1_2\r\n", "hello\nx-sum=1_2\nheader nil"},
    }
    refuses {
      {"one", with "a_b: y\r\n"},
      {"one that is empty", with "_:\r\n"},
      {"a twin of the length", post("Content-Length: 5\r\ncontent_length: 3\r\n", "hello")},
      {"a trailer", trailing "x_sum: 1\r\n"},
      {"an empty trailer behind others", trailing "x-sum: 1\r\ny_:\r\n"},
    }
  end)
end)
