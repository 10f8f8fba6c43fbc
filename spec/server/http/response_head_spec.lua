-- What a script can put into an answer (core/THREATS.md, H10, H11): nothing that ends a header line early, and nothing
-- that says something else about the length than what is sent. It is an error, answered with 500, never cleaned up
-- silently.
local http = require "spec.support.http"
local server = require "spec.support.server"

local APP = [==[
  local neap = require "neap"
  local res = neap.res
  local app = neap.app()
  local stop = function() end

  VALUES = {"a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nHTTP/1.1 200 OK", "a\0b", "a\1b", "a\27b",
    "a\127b", "\n", "a\r\n"}
  NAMES = {"X-A\r\nX-Evil", "X-A: 1\r\nX-Evil", "X\nA", "X\rA", "X A", "X:A", "X\0A", "", "X\tA", "Ü", "X\127", "(x)"}
  OWNED = {"Content-Length", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "Date"}

  -- Every way to a header's value.
  local value_ways = {
    header = function(v) return res.text("x"):header("X-A", v) end,
    field = function(v) local r = res.text("x") r.headers["x-a"] = v return r end,
    list = function(v) local r = res.text("x") r.headers["x-a"] = {"a", v} return r end,
    third = function(v) return 200, "x", {["X-A"] = v} end,
    third_list = function(v) return 200, "x", {["X-A"] = {"a", v}} end,
    third_of_table = function(v) return 200, {a = 1}, {["X-A"] = v} end,
    redirect = function(v) return res.redirect("/" .. v) end,
    redirect_field = function(v) local r = res.redirect("/") r.headers.location = v return r end,
    cookie_path = function(v) return res.text("x"):cookie("a", "b", {path = v}) end,
    cookie_domain = function(v) return res.text("x"):cookie("a", "b", {domain = v}) end,
    cookie_same_site = function(v) return res.text("x"):cookie("a", "b", {same_site = v}) end,
    cookie_field = function(v) local r = res.text("x") r.headers["set-cookie"] = {v} return r end,
    media_type = function(v) return res.text("x"):type(v) end,
    bytes_type = function(v) return res.bytes("x", v) end,
    etag = function(v) return res.text("x"):etag(v) end,
    cache = function(v) return res.text("x"):cache(v) end,
    stream_type = function(v) return res.stream(stop, {type = v}) end,
    stream_headers = function(v) return res.stream(stop, {headers = {["X-A"] = v}}) end,
    stream_field = function(v) local r = res.stream(stop) r.headers["x-a"] = v return r end,
    file_type = function(v) return res.file("app.lua", {type = v}) end,
    file_field = function(v) local r = res.file("app.lua") r.headers["x-a"] = v return r end,
    abort = function(v) neap.abort(400, "no", {["X-A"] = v}) end,
  }
  -- Every way to a header's name.
  local name_ways = {
    header = function(n) return res.text("x"):header(n, "1") end,
    field = function(n) local r = res.text("x") r.headers[n] = "1" return r end,
    third = function(n) return 200, "x", {[n] = "1"} end,
    stream_headers = function(n) return res.stream(stop, {headers = {[n] = "1"}}) end,
    stream_field = function(n) local r = res.stream(stop) r.headers[n] = "1" return r end,
    file_field = function(n) local r = res.file("app.lua") r.headers[n] = "1" return r end,
    abort = function(n) neap.abort(400, "no", {[n] = "1"}) end,
  }
  -- These are escaped instead.
  local escaped = {
    cookie_value = function(v) return res.text("x"):cookie("a", v) end,
    download = function(v) return res.file("app.lua", {download = v}) end,
    body = function(v) return v end,
    json = function(v) return {v} end,
  }
  local statuses = {100, 101, 199, 0, -1, 600, 1000, 200.5, "200 OK\r\nX-Evil: 1", true, {}}

  app:get("/value/:way/:n{int}", function(req) return value_ways[req.params.way](VALUES[tonumber(req.params.n)]) end)
  app:get("/name/:way/:n{int}", function(req) return name_ways[req.params.way](NAMES[tonumber(req.params.n)]) end)
  app:get("/owned/:way/:n{int}", function(req) return name_ways[req.params.way](OWNED[tonumber(req.params.n)]) end)
  app:get("/cookie/:n{int}", function(req) return res.text("x"):cookie(NAMES[tonumber(req.params.n)], "1") end)
  app:get("/escaped/:way/:n{int}", function(req) return escaped[req.params.way](VALUES[tonumber(req.params.n)]) end)
  app:get("/status/:n{int}", function(req)
    local r = res.text("x")
    r.status = statuses[tonumber(req.params.n)]
    return r
  end)
  app:get("/ways/:kind", function(req)
    local names = {}
    for name in pairs(({value = value_ways, name = name_ways, escaped = escaped})[req.params.kind]) do
      names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, " ")
  end)
  app:get("/wide", function() return res.text("x"):header("X-Wide", "a\u{10d}\u{10a}X-Evil: 1") end)
  app:get("/reflect", function(req) return res.text("x"):header("X-A", req.query.v) end)

  app:any("/text/:status{int}", function(req) return tonumber(req.params.status), "body" end)
  app:any("/stream/:status{int}", function(req)
    return res.stream(function(out) out:write("bo") out:write("dy") end, {status = tonumber(req.params.status)})
  end)
  app:any("/file/:status{int}", function(req) return res.file("app.lua", {status = tonumber(req.params.status)}) end)
  app:get("/broken", function(req)
    return res.stream(function(out)
      out:write("part")
      if req.query.park then neap.task.sleep(0.001) end
      error("in the middle")
    end)
  end)
  local kept
  app:get("/keep", function() return res.stream(function(out) kept = out out:write("first") end) end)
  app:get("/late", function() local ok, err = kept:write("late") return tostring(ok) .. " " .. tostring(err) end)
  app:get("/empty", function()
    return res.stream(function(out) out:write("") out:write("a", "", "b") out:write() end)
  end)
  app:on_error(function(req, failure) return "error page" end)
  app:get("/end", function() return "end" end)
  return app]==]

describe("a script's answer", function()
  local s

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)

  local function get(path, method)
    local conn = http.open(s):send(("%s %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(method or "GET", path) .. http.END)
    local answers, rest = conn:answers {method}
    conn:close()
    assert.equal("", rest)
    return answers
  end

  -- One answer of that status, nothing smuggled into it, and the next in its place.
  local function is_answered(path, status)
    local answers = get(path)
    assert(answers[1].status == status, ("%s: answered %d"):format(path, answers[1].status))
    assert(not answers[1].headers["x-evil"], path .. ": the head was split")
    assert(#answers == 2 and answers[2].body == "end", path .. ": what followed is not the next answer")
    return answers[1]
  end

  local function each_way(kind, fn)
    for way in select(2, s:get("/ways/" .. kind)):gmatch("%S+") do fn(way) end
  end

  it("raises for a control character in a header's value, whichever way it came", function()
    each_way("value", function(way)
      for n = 1, 10 do is_answered(("/value/%s/%d"):format(way, n), 500) end
    end)
  end)

  it("raises for a header's name that is none", function()
    each_way("name", function(way)
      for n = 1, 12 do is_answered(("/name/%s/%d"):format(way, n), 500) end
    end)
    for n = 1, 12 do is_answered("/cookie/" .. n, 500) end
  end)

  it("raises for headers that frame the answer", function()
    each_way("name", function(way)
      for n = 1, 6 do is_answered(("/owned/%s/%d"):format(way, n), 500) end
    end)
  end)

  it("escapes what can be escaped", function()
    each_way("escaped", function(way)
      for n = 1, 10 do is_answered(("/escaped/%s/%d"):format(way, n), 200) end
    end)
  end)

  it("has a status from 200 to 599", function()
    for n = 1, 11 do is_answered("/status/" .. n, 500) end
  end)

  it("keeps wide characters as their bytes", function()
    assert.equal("a\u{10d}\u{10a}X-Evil: 1", is_answered("/wide", 200).headers["x-wide"])
  end)

  it("is not split by a query", function()
    is_answered("/reflect?v=a%0d%0aX-Evil:1", 500)
    is_answered("/reflect?v=a%0aX-Evil:1", 500)
    assert.equal("a b", is_answered("/reflect?v=a%20b", 200).headers["x-a"])
  end)

  it("has no body with 204 and 304", function()
    for _, kind in ipairs {"text", "stream"} do
      for _, status in ipairs {204, 304} do
        local answers = get(("/%s/%d"):format(kind, status))
        assert.equal(status, answers[1].status)
        assert.is_nil(answers[1].headers["content-length"])
        assert.is_nil(answers[1].headers["transfer-encoding"])
        assert.equal("end", answers[2].body)
      end
    end
  end)

  it("has no body with HEAD, but the same head", function()
    local paths = {"/text/200", "/text/404", "/stream/200", "/file/200", "/text/204", "/nothing", "/status/1"}
    for _, path in ipairs(paths) do
      local with, without = get(path), get(path, "HEAD")
      assert.equal("end", without[2].body)
      assert.equal(with[1].status, without[1].status)
      for _, name in ipairs {"content-length", "transfer-encoding", "content-type", "connection"} do
        assert.equal(with[1].headers[name], without[1].headers[name])
      end
    end
  end)

  it("in chunks ends where its function ends, and an empty piece does not end it", function()
    local answer = get("/empty")[1]
    assert.equal("ab", answer.body)
    assert.is_true(answer.is_whole)
  end)

  it("is cut without its last chunk when the function fails in the middle", function()
    for _, path in ipairs {"/broken", "/broken?park=1"} do
      local conn = http.open(s):send(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path) .. http.END)
      local answer = conn:answer()
      assert.equal(200, answer.status)
      assert.equal("part", answer.body)
      assert.is_false(answer.is_whole)
      assert.equal("", conn:rest())
      conn:close()
    end
    s:wait_log("in the middle")
  end)

  it("of HTTP/1.0 is cut by a reset, because its end would look like success", function()
    local conn = http.open(s):send("GET /broken?park=1 HTTP/1.0\r\n\r\n")
    conn:rest()
    assert.same({nil, "closed"}, {conn.socket:send("x")})
    conn:close()

    conn = http.open(s):send("GET /stream/200 HTTP/1.0\r\n\r\n")
    local answer = conn:answer()
    assert.equal("body", answer.body)
    assert.is_nil(answer.headers["transfer-encoding"])
    assert.equal("close", answer.headers.connection)
    assert.is_true((conn.socket:send("x")))
    conn:close()
  end)

  it("takes nothing once it has ended", function()
    assert.equal("first", get("/keep")[1].body)
    assert.equal("nil closed", get("/late")[1].body)
  end)
end)
