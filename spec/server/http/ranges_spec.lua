-- Ranges and conditions of files (core/THREATS.md, F3; RFC 9110, 13 and 14).
local ask = require "spec.support.ask"
local server = require "spec.support.server"

local TEXT = "0123456789abcdefghijklmnopqrstuvwxyz" -- 36 bytes

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:static("/s", "public")
  app:get("/plain", function() return neap.res.file("public/text.txt", {etag = false}) end)
  app:post("/post", function() return neap.res.file("public/text.txt") end)
  app:get("/created", function() return neap.res.file("public/text.txt", {status = 201}) end)
  return app]]

local function gzip_missing()
  return not os.execute("command -v gzip >/dev/null 2>&1")
end

describe("ranges", function()
  local s

  setup(function()
    s = server.start {app = APP, files = {["public/text.txt"] = TEXT, ["public/empty.txt"] = ""}}
  end)
  teardown(server.stop_all)

  local function get(range, headers, path)
    local all = {range = range}
    for name, value in pairs(headers or {}) do all[name] = value end
    local answer = ask(s, path or "/s/text.txt", {headers = all})
    assert.is_true(answer.is_whole)
    assert.equal("", answer.extra)
    return answer
  end

  local function assert_part(range, from, to)
    local answer = get(range)
    assert.equal(206, answer.status, range)
    assert.equal(("bytes %d-%d/36"):format(from, to), answer.headers["content-range"])
    assert.equal(TEXT:sub(from + 1, to + 1), answer.body)
    assert.equal(tostring(to - from + 1), answer.headers["content-length"])
    assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
  end

  local function assert_whole(range, headers, path)
    local answer = get(range, headers, path)
    assert.equal(200, answer.status, range)
    assert.equal(TEXT, answer.body)
    assert.is_nil(answer.headers["content-range"])
  end

  it("gives one part", function()
    assert_part("bytes=0-0", 0, 0)
    assert_part("bytes=0-4", 0, 4)
    assert_part("bytes=5-9", 5, 9)
    assert_part("bytes=35-35", 35, 35)
    assert_part("bytes=10-", 10, 35)
    assert_part("bytes=0-", 0, 35)
    assert_part("Bytes=1-2", 1, 2)
  end)

  it("gives the end", function()
    assert_part("bytes=-1", 35, 35)
    assert_part("bytes=-5", 31, 35)
    assert_part("bytes=-36", 0, 35)
    assert_part("bytes=-99999", 0, 35)
  end)

  it("ends a part where the file ends, also for numbers that no computer has", function()
    assert_part("bytes=30-99", 30, 35)
    assert_part("bytes=30-18446744073709551615", 30, 35)
    assert_part("bytes=30-18446744073709551616", 30, 35)
    assert_part("bytes=30-99999999999999999999999999999999", 30, 35)
    assert_part("bytes=-18446744073709551615", 0, 35)
    assert_part("bytes=-99999999999999999999999999999999", 0, 35)
  end)

  it("says 416 and the size when there is nothing in the range", function()
    for _, range in ipairs {"bytes=36-", "bytes=36-40", "bytes=100-200", "bytes=-0", "bytes=18446744073709551615-",
      "bytes=18446744073709551616-", "bytes=99999999999999999999999999999-", "bytes=40-50,60-70"} do
      local answer = get(range)
      assert.equal(416, answer.status, range)
      assert.equal("bytes */36", answer.headers["content-range"])
      assert.equal("", answer.body)
    end
  end)

  it("sends the whole file for what is no range", function()
    for _, range in ipairs {"bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "bytes=1", "bytes= ", "bytes=--1",
      "bytes=1--2",
      "items=0-4", "bytes", "0-4", "bytes=0x1-2", "bytes=+1-2", "bytes=1-2;3", "bytes:0-4", "bytes=1 -2"} do
      local answer = get(range)
      assert.is_true(answer.status == 200 or answer.status == 416, range)
      if answer.status == 200 then assert.equal(TEXT, answer.body) end
    end
    assert.equal(200, get("bytes=a-b").status)
    assert.equal(200, get("bytes=5-3").status)
    assert.equal(200, get("items=0-4").status)
  end)

  it("gives several parts as multipart/byteranges", function()
    local answer = get("bytes=0-1, 10-11 ,-2")
    assert.equal(206, answer.status)
    local boundary = assert(answer.headers["content-type"]:match("^multipart/byteranges; boundary=(%S+)$"))
    assert.is_nil(answer.headers["content-range"])
    local expected = ""
    for _, part in ipairs {{"0-1", "01"}, {"10-11", "ab"}, {"34-35", "yz"}} do
      local head = "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes %s/36\r\n\r\n"
      expected = expected .. head:format(boundary, part[1]) .. part[2]
    end
    assert.equal(expected .. "\r\n--" .. boundary .. "--\r\n", answer.body)
  end)

  it("takes another boundary for each answer, so that no file can hold it", function()
    local function boundary() return get("bytes=0-1,5-6").headers["content-type"] end
    assert.are_not.equal(boundary(), boundary())
  end)

  it("merges parts that touch or overlap", function()
    assert_part("bytes=0-4,5-9", 0, 9)
    assert_part("bytes=0-9,3-5", 0, 9)
    assert_part("bytes=0-,0-,0-", 0, 35)
    assert_part("bytes=5-9,0-6", 0, 9)
    assert.equal(206, get("bytes=0-0,2-2").status)
  end)

  it("takes eight parts, and sends the whole file when nine are asked for", function()
    local list = {}
    for i = 0, 8 do list[#list + 1] = ("%d-%d"):format(i * 3, i * 3) end
    local eight = get("bytes=" .. table.concat(list, ",", 1, 8))
    assert.equal(206, eight.status)
    local _, count = eight.body:gsub("Content%-Range:", "")
    assert.equal(8, count)
    assert_whole("bytes=" .. table.concat(list, ","))
    assert_whole("bytes=" .. ("0-35,"):rep(1000) .. "0-1")
  end)

  it("leaves out the parts that are not there", function()
    assert_part("bytes=2-3,100-200", 2, 3)
  end)

  it("ranges of an empty file are the whole of it", function()
    for _, range in ipairs {"bytes=0-", "bytes=0-0", "bytes=-1"} do
      local answer = get(range, nil, "/s/empty.txt")
      assert.is_true(answer.status == 200 or answer.status == 416)
      assert.equal("", answer.body)
    end
  end)

  it("only GET has ranges", function()
    local answer = ask(s, "/s/text.txt", {method = "HEAD", headers = {range = "bytes=0-4"}})
    assert.equal(200, answer.status)
    assert.equal("36", answer.headers["content-length"])
    answer = ask(s, "/post", {method = "POST", body = "", headers = {range = "bytes=0-4"}})
    assert.equal(200, answer.status)
    assert.equal(TEXT, answer.body)
  end)

  it("If-Range: the range if the file is the same, else all of it", function()
    local headers = get().headers
    assert.equal(206, get("bytes=0-4", {["if-range"] = headers.etag}).status)
    assert.equal(206, get("bytes=0-4", {["if-range"] = headers["last-modified"]}).status)
    assert_whole("bytes=0-4", {["if-range"] = '"other"'})
    assert_whole("bytes=0-4", {["if-range"] = "W/" .. headers.etag})
    assert_whole("bytes=0-4", {["if-range"] = "Thu, 01 Jan 1970 00:00:00 GMT"})
    assert_whole("bytes=0-4", {["if-range"] = "nonsense"})
    assert_whole("bytes=0-4", {["if-range"] = headers.etag}, "/plain")
  end)
end)

describe("conditions", function()
  local s
  local OLD, FUTURE = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

  setup(function() s = server.start {app = APP, files = {["public/text.txt"] = TEXT}} end)
  teardown(server.stop_all)

  local function get(headers, path, method)
    local answer = ask(s, path or "/s/text.txt", {headers = headers, method = method})
    assert.equal("", answer.extra)
    return answer
  end

  it("If-None-Match: 304 with the same headers and no body", function()
    local whole = get {}
    for _, value in ipairs {whole.headers.etag, "W/" .. whole.headers.etag, "*", '"x", ' .. whole.headers.etag,
      '"x",W/"y" ,' .. whole.headers.etag .. ' , "z"'} do
      local answer = get {["if-none-match"] = value}
      assert.equal(304, answer.status, value)
      assert.equal("", answer.body)
      for _, name in ipairs {"etag", "last-modified", "cache-control"} do
        assert.equal(whole.headers[name], answer.headers[name])
      end
      assert.is_nil(answer.headers["content-length"])
    end
    for _, value in ipairs {'"x"', "x", whole.headers.etag:sub(2, -2), "", '"', 'W/', '"unclosed'} do
      assert.equal(200, get({["if-none-match"] = value}).status, value)
    end
  end)

  it("If-Modified-Since counts when there is no If-None-Match", function()
    local whole = get {}
    local date = whole.headers["last-modified"]
    assert.equal(304, get({["if-modified-since"] = date}).status)
    assert.equal(304, get({["if-modified-since"] = FUTURE}).status)
    assert.equal(200, get({["if-modified-since"] = OLD}).status)
    assert.equal(200, get({["if-modified-since"] = "yesterday"}).status)
    assert.equal(200, get({["if-modified-since"] = date, ["if-none-match"] = '"x"'}).status)
    assert.equal(304, get({["if-modified-since"] = OLD, ["if-none-match"] = whole.headers.etag}).status)
  end)

  it("If-Match and If-Unmodified-Since: 412 when the file is another", function()
    local whole = get {}
    assert.equal(200, get({["if-match"] = whole.headers.etag}).status)
    assert.equal(200, get({["if-match"] = "*"}).status)
    assert.equal(412, get({["if-match"] = '"x"'}).status)
    assert.equal(412, get({["if-match"] = "W/" .. whole.headers.etag}).status)
    assert.equal(412, get({["if-unmodified-since"] = OLD}).status)
    assert.equal(200, get({["if-unmodified-since"] = FUTURE}).status)
    assert.equal(200, get({["if-unmodified-since"] = OLD, ["if-match"] = whole.headers.etag}).status)
    assert.equal("", get({["if-match"] = '"x"'}).body)
  end)

  it("decide before ranges", function()
    local etag = get({}).headers.etag
    assert.equal(304, get({["if-none-match"] = etag, range = "bytes=0-4"}).status)
    assert.equal(412, get({["if-match"] = '"x"', range = "bytes=0-4"}).status)
  end)

  it("hold for HEAD", function()
    local answer = get({["if-none-match"] = get({}).headers.etag}, nil, "HEAD")
    assert.equal(304, answer.status)
  end)

  it("of other methods answer 412 instead of 304", function()
    local answer = ask(s, "/post", {method = "POST", body = "", headers = {["if-none-match"] = "*"}})
    assert.equal(412, answer.status)
  end)

  it("need no etag", function()
    local whole = get({}, "/plain")
    assert.is_nil(whole.headers.etag)
    assert.equal(304, get({["if-modified-since"] = whole.headers["last-modified"]}, "/plain").status)
    assert.equal(200, get({["if-none-match"] = '"x"'}, "/plain").status)
  end)

  it("keep the connection in step", function()
    local socket <close> = s:connect()
    local etag = get({}).headers.etag
    for _ = 1, 3 do
      assert.equal(304, ask(s, "/s/text.txt", {socket = socket, headers = {["if-none-match"] = etag}}).status)
      assert.equal(412, ask(s, "/s/text.txt", {socket = socket, headers = {["if-match"] = '"x"'}}).status)
      assert.equal(416, ask(s, "/s/text.txt", {socket = socket, headers = {range = "bytes=99-"}}).status)
      assert.equal("01", ask(s, "/s/text.txt", {socket = socket, headers = {range = "bytes=0-1"}}).body)
      assert.equal(206, ask(s, "/s/text.txt", {socket = socket, headers = {range = "bytes=0-1,9-9"}}).status)
      assert.equal(TEXT, ask(s, "/s/text.txt", {socket = socket}).body)
    end
  end)
end)

describe("compressed siblings", function()
  local s

  setup(function()
    if gzip_missing() then return end
    s = server.start {app = APP, files = {
      ["public/page.html"] = ("<p>hello</p>"):rep(100), ["public/page.html.br"] = "not really brotli",
      ["public/only.css"] = ("a{b:c}"):rep(100), ["public/plain.txt"] = "plain", ["public/trap.js"] = "let trap",
      ["public/pipe.js"] = "let pipe", ["public/folder.js"] = "let folder", ["secret.gz"] = "SECRET",
      ["public/twin.js"] = "same size", ["public/twin.js.gz"] = "size same", ["public/twin.js.br"] = "SAME size",
    }}
    assert(os.execute(("cd '%s/public' && gzip -k page.html only.css && ln -s ../../secret.gz trap.js.gz"
      .. " && ln -s ../../secret.gz trap.js.br && mkfifo pipe.js.gz && mkdir folder.js.gz"
      .. " && ln -s page.html.gz orphan.html.gz && touch -r twin.js twin.js.gz twin.js.br"):format(s.dir)))
  end)
  teardown(server.stop_all)

  local function get(name, accept, headers, method)
    local all = {["accept-encoding"] = accept}
    for key, value in pairs(headers or {}) do all[key] = value end
    local answer = ask(s, "/s/" .. name, {headers = all, method = method})
    assert.is_true(answer.is_whole)
    assert.is_nil(answer.body:find("SECRET", 1, true))
    return answer
  end

  local function it_with_gzip(name, fn)
    it(name, function()
      if gzip_missing() then return pending("gzip is missing") end
      fn()
    end)
  end

  it_with_gzip("are sent to who takes them, brotli first", function()
    assert.equal("br", get("page.html", "gzip, br").headers["content-encoding"])
    assert.equal("not really brotli", get("page.html", "gzip, br").body)
    local answer = get("page.html", "gzip, deflate")
    assert.equal("gzip", answer.headers["content-encoding"])
    assert.equal("\31\139", answer.body:sub(1, 2))
    assert.equal("text/html; charset=utf-8", answer.headers["content-type"])
    assert.equal(tostring(#answer.body), answer.headers["content-length"])
    assert.equal("gzip", get("only.css", "br;q=1.0, gzip;q=0.5").headers["content-encoding"])
    assert.equal("br", get("page.html", "*").headers["content-encoding"])
  end)

  it_with_gzip("are not sent to who does not", function()
    for _, accept in ipairs {"", "identity", "deflate", "gzip;q=0", "br;q=0, gzip;q=0.000", "*;q=0", "gzipx"} do
      local answer = get("page.html", accept)
      assert.is_nil(answer.headers["content-encoding"], accept)
      assert.equal(1200, #answer.body)
    end
  end)

  it_with_gzip("always come with Vary, and have etags of their own", function()
    for _, accept in ipairs {"gzip", "br", "identity"} do
      assert.matches("Accept%-Encoding", get("page.html", accept).headers.vary)
    end
    assert.matches("Accept%-Encoding", get("plain.txt", "gzip").headers.vary)
    local one, two, three = get("twin.js", "gzip"), get("twin.js", "br"), get("twin.js", "identity")
    assert.same({"gzip", "br", nil}, {one.headers["content-encoding"], two.headers["content-encoding"],
      three.headers["content-encoding"]})
    assert.are_not.equal(one.headers.etag, two.headers.etag)
    assert.are_not.equal(one.headers.etag, three.headers.etag)
    assert.are_not.equal(two.headers.etag, three.headers.etag)
  end)

  it_with_gzip("answer conditions, ranges and HEAD by their own bytes", function()
    local whole = get("page.html", "gzip")
    assert.equal(304, get("page.html", "gzip", {["if-none-match"] = whole.headers.etag}).status)
    assert.equal(200, get("page.html", "identity", {["if-none-match"] = whole.headers.etag}).status)
    assert.matches("Accept%-Encoding", get("page.html", "gzip", {["if-none-match"] = whole.headers.etag}).headers.vary)
    local part = get("page.html", "gzip", {range = "bytes=0-1"})
    assert.equal(206, part.status)
    assert.equal("\31\139", part.body)
    assert.equal("gzip", part.headers["content-encoding"])
    local head = get("page.html", "gzip", nil, "HEAD")
    assert.equal(whole.headers["content-length"], head.headers["content-length"])
    assert.equal("gzip", head.headers["content-encoding"])
  end)

  it_with_gzip("are checked like every file: no links, pipes or folders", function()
    for _, name in ipairs {"trap.js", "pipe.js", "folder.js"} do
      local answer = get(name, "br, gzip")
      assert.equal(200, answer.status)
      assert.is_nil(answer.headers["content-encoding"])
      assert.matches("^let ", answer.body)
    end
  end)

  it_with_gzip("do not replace a file that is not there", function()
    assert.equal(404, get("orphan.html", "gzip").status)
    assert.equal(404, get("nothing.css", "gzip").status)
  end)

  it_with_gzip("can be asked for by name, as the files they are", function()
    local answer = get("page.html.gz", "gzip")
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["content-encoding"])
  end)
end)
