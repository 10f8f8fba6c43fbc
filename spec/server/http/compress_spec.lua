-- Compressed answers: when they are worth it, and only for who asks. Compressed requests are taken as they are
-- (core/THREATS.md, B1).
local ask = require "spec.support.ask"
local server = require "spec.support.server"

local LONG = ("The quick brown fox jumps over the lazy dog. "):rep(200) -- 9,000 bytes

local APP = [[
  local neap = require "neap"
  local res = neap.res
  local app = neap.app()
  local LONG = ("The quick brown fox jumps over the lazy dog. "):rep(200)
  app:get("/text", function() return LONG end)
  app:get("/json", function() return {text = LONG, list = {1, 2, 3}} end)
  app:get("/html", function() return res.html("<p>" .. LONG) end)
  app:get("/svg", function() return res.bytes(LONG, "image/svg+xml") end)
  app:get("/short", function() return ("x"):rep(200) end)
  app:get("/empty", function() return "" end)
  app:get("/png", function() return res.bytes(LONG, "image/png") end)
  app:get("/zip", function() return res.bytes(LONG, "application/zip") end)
  app:get("/bytes", function() return res.bytes(LONG) end)
  app:get("/events", function() return res.bytes(LONG, "text/event-stream") end)
  app:get("/etag", function() return res.text(LONG):etag("v1") end)
  app:get("/encoded", function() return res.text(LONG):header("Content-Encoding", "identity") end)
  app:get("/vary", function() return res.text(LONG):header("Vary", "Cookie") end)
  app:get("/stream", function()
    return res.stream(function(out) out:write(LONG) end, {type = "text/plain"})
  end)
  app:get("/noise", function() return res.text((neap.crypto.random(6000):gsub("[^ -~]", "?"))) end)
  app:get("/status", function() return 404, LONG end)
  app:get("/none", function() return 204 end)
  app:get("/huge", function() return ("0123456789abcdef"):rep(512 * 1024) end)
  app:post("/echo", function(req) return res.bytes(assert(req:body()), "application/x-echo") end)
  app:post("/length", function(req)
    local bytes = 0
    for chunk in req:chunks() do bytes = bytes + #chunk end
    return {bytes = bytes, coding = req.headers["content-encoding"]}
  end)
  return app]]

local function has(tool)
  return os.execute("command -v " .. tool .. " >/dev/null 2>&1")
end

-- Through gzip: "-dc" takes apart, "-c" puts together.
local function gzip(s, option, data)
  local path = s.dir .. "/piped"
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
  local pipe = assert(io.popen(("gzip %s <'%s'"):format(option, path), "r"))
  local result = pipe:read("a")
  assert(pipe:close(), "gzip could not read it")
  return result
end

describe("compression", function()
  local s
  setup(function() s = server.start {app = APP} end)
  teardown(server.stop_all)

  local function get(path, accept, method)
    local answer = ask(s, path, {method = method, headers = {["accept-encoding"] = accept}})
    assert.is_true(answer.is_whole)
    assert.equal("", answer.extra)
    return answer
  end

  local function assert_plain(path, accept)
    local answer = get(path, accept)
    assert.is_nil(answer.headers["content-encoding"], path)
    return answer
  end

  it("is done for text of some length when it is asked for", function()
    if not has "gzip" then return pending("gzip is missing") end
    for path, expected in pairs {["/text"] = LONG, ["/html"] = "<p>" .. LONG, ["/svg"] = LONG, ["/vary"] = LONG,
      ["/status"] = LONG} do
      local answer = get(path, "gzip")
      assert.equal("gzip", answer.headers["content-encoding"], path)
      assert.equal(tostring(#answer.body), answer.headers["content-length"])
      assert.is_true(#answer.body < #expected / 10)
      assert.equal(expected, gzip(s, "-dc", answer.body))
    end
    local json = require "neap.core".json.decode(gzip(s, "-dc", get("/json", "gzip").body))
    assert.equal(LONG, json.text)
  end)

  it("is understood by curl", function()
    if not has "curl" then return pending("curl is missing") end
    local pipe = assert(io.popen(("curl -s --compressed http://127.0.0.1:%d/text"):format(s.port)))
    assert.equal(LONG, pipe:read("a"))
    pipe:close()
  end)

  it("is done for every way to say gzip", function()
    for _, accept in ipairs {"gzip", "GZIP", "deflate, gzip", "br;q=1, gzip;q=0.1", "*", "gzip ; q=1.0",
      "identity;q=0, gzip", "\tgzip", "x,,gzip"} do
      assert.equal("gzip", get("/text", accept).headers["content-encoding"], accept)
    end
  end)

  it("is not done when it is not asked for, or refused", function()
    for _, accept in ipairs {"", "identity", "br", "deflate", "gzip;q=0", "gzip;q=0.0", "gzip; q=0.000", "*;q=0",
      "gzip;q=0, *", "xgzip", "gzip2", "deflate;q=1, gzip;q=0"} do
      assert.equal(LONG, assert_plain("/text", accept).body, accept)
    end
    assert.equal(LONG, ask(s, "/text").body)
  end)

  it("always says that the answer depends on Accept-Encoding", function()
    assert.equal("Accept-Encoding", get("/text", "gzip").headers.vary)
    assert.equal("Accept-Encoding", get("/text", "identity").headers.vary)
    local vary = get("/vary", "gzip").headers.vary
    assert.matches("Cookie", vary)
    assert.matches("Accept%-Encoding", vary)
    assert.is_nil(get("/short", "gzip").headers.vary)
    assert.is_nil(get("/png", "gzip").headers.vary)
  end)

  it("is not done for what is short, or compressed already", function()
    for _, path in ipairs {"/short", "/empty", "/png", "/zip", "/bytes", "/events"} do assert_plain(path, "gzip") end
  end)

  it("is not done when it makes it longer", function()
    local answer = get("/noise", "gzip")
    assert.is_true(#answer.body <= 6000)
  end)

  it("leaves alone what has a strong etag or a coding of its own, and streams", function()
    assert.equal(LONG, assert_plain("/etag", "gzip").body)
    assert.equal(LONG, get("/encoded", "gzip").body)
    assert.equal(LONG, assert_plain("/stream", "gzip").body)
  end)

  it("leaves alone what would hold up the loop for long", function()
    assert.equal(8 * 1024 * 1024, #assert_plain("/huge", "gzip").body)
  end)

  it("gives HEAD the head of GET", function()
    local whole, head = get("/text", "gzip"), get("/text", "gzip", "HEAD")
    assert.equal("", head.extra)
    for _, name in ipairs {"content-encoding", "content-length", "vary", "content-type"} do
      assert.equal(whole.headers[name], head.headers[name])
    end
  end)

  it("leaves answers without a body alone", function()
    local answer = get("/none", "gzip")
    assert.equal(204, answer.status)
    assert.is_nil(answer.headers["content-encoding"])
    assert.is_nil(answer.headers["content-length"])
  end)

  it("keeps the connection in step", function()
    local socket <close> = s:connect()
    for _ = 1, 3 do
      for _, path in ipairs {"/text", "/short", "/json", "/none", "/stream"} do
        local answer = ask(s, path, {socket = socket, headers = {["accept-encoding"] = "gzip"}})
        assert.is_true(answer.is_whole)
        assert.equal(path == "/none" and 204 or 200, answer.status)
      end
    end
  end)

  it("of a request is not undone: no bomb can go off", function()
    if not has "gzip" then return pending("gzip is missing") end
    local packed = gzip(s, "-c", ("\0"):rep(50 * 1024 * 1024))
    assert.is_true(#packed < 100000)
    local before = s:peak()
    local headers = {["content-encoding"] = "gzip"}
    assert.equal(packed, ask(s, "/echo", {method = "POST", headers = headers, body = packed}).body)
    local answer = ask(s, "/length", {method = "POST", headers = headers, body = packed})
    assert.equal(('{"bytes":%d,"coding":"gzip"}'):format(#packed),
      answer.body:gsub('^{"coding":"gzip","bytes":(%d+)}$', '{"bytes":%1,"coding":"gzip"}'))
    assert.is_true(s:peak() - before < 10 * 1024 * 1024)
  end)
end)

describe("compression by the settings", function()
  after_each(server.stop_all)

  local function coding(s, path)
    return ask(s, path, {headers = {["accept-encoding"] = "gzip"}}).headers["content-encoding"]
  end

  it("can be switched off", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "compress.enabled=false"}}
    assert.is_nil(coding(s, "/text"))
    assert.is_nil(ask(s, "/text").headers.vary)
  end)

  it("begins at a length", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "compress.min=10000"}}
    assert.is_nil(coding(s, "/text"))
    s = server.start {app = APP, workers = 1, args = {"--set", "compress.min=9000"}}
    assert.equal("gzip", coding(s, "/text"))
  end)
end)
