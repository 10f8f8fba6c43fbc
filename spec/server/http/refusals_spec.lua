-- Refusals that clients can have at will: a path or a method without a route, a handler that says no. They are cheap,
-- counted by what they leave to Lua's collector, and otherwise like all answers.
local ask = require "spec.support.ask"
local http = require "spec.support.http"
local server = require "spec.support.server"

local ROUTES = [[
  local neap = require "neap"
  local app = neap.app()

  app:get("/kilobytes", function(req)
    if req.query.after then collectgarbage() end -- nothing more is collected until there is as much again
    return tostring(collectgarbage("count"))
  end)
  app:get("/status", function() return 404 end)
  app:get("/text", function() return 404, "no such thing" end)
  app:get("/abort", function() neap.abort(403) end)
  app:get("/message", function() neap.abort(400, "no such thing") end)
  app:get("/deep", function()
    local function deeper(n) if n == 0 then neap.abort(400) end return (deeper(n - 1)) end
    return deeper(100)
  end)
  app:get("/returned", function() return nil, {status = 409} end)
  app:get("/quote/:what", function(req) neap.abort(400, "no " .. req.params.what) end)
]]

-- What a client asks for, and how many bytes of garbage it may make.
local REFUSALS = {
  {"a path without a route", "GET /nowhere", 404, 400},
  {"a method without a route", "DELETE /status", 405, 400},
  {"a bare status", "GET /status", 404, 150},
  {"a status with text", "GET /text", 404, 150},
  {"neap.abort", "GET /abort", 403, 1500},
  {"neap.abort with a message", "GET /message", 400, 1500},
  {"neap.abort far down", "GET /deep", 400, 1500},
  {"nil and an error with a status", "GET /returned", 409, 1500},
}

local MANY = 50

describe("a refusal", function()
  local s

  setup(function() s = server.start {app = ROUTES .. "return app"} end)
  teardown(server.stop_all)

  local function request(line, headers)
    return ("%s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(line, headers or "")
  end

  local function garbage_of(line)
    local conn = http.open(s)
    local function kilobytes(path) return tonumber(conn:send(request("GET " .. path)):answer().body) end
    conn:send(request(line)):answer() -- what is made once
    local before = kilobytes "/kilobytes?after=collecting"
    for _ = 1, MANY do conn:send(request(line)):answer() end
    return (kilobytes "/kilobytes" - before) * 1024 / MANY
  end

  for _, refusal in ipairs(REFUSALS) do
    local what, line, status, most = table.unpack(refusal)
    it("is cheap: " .. what, function()
      assert.equal(status, http.open(s):send(request(line)):answer().status)
      assert.is_true(garbage_of(line) < most)
    end)
  end

  it("is for the eyes of the client that asks", function()
    local kinds = {["text/html"] = "text/html", ["text/plain"] = "text/plain", ["*/*"] = "application/json"}
    for _ = 1, 2 do
      for accept, kind in pairs(kinds) do
        local answer = ask(s, "/nowhere", {headers = {Accept = accept}})
        assert.same({404, kind, "nosniff"}, {answer.status, answer.headers["content-type"]:match("^[^;]*"),
          answer.headers["x-content-type-options"]})
      end
    end
    local page = ask(s, "/nowhere", {headers = {Accept = "text/html"}}).body
    assert.is_truthy(page:find("<h1>404 Not Found</h1>", 1, true))
    assert.equal('{"error":"not found"}', ask(s, "/nowhere").body)
  end)

  it("says what is allowed instead", function()
    for _, path in ipairs {"/status", "/abort", "/status"} do
      local answer = ask(s, path, {method = "DELETE"})
      assert.same({405, "GET, HEAD, OPTIONS"}, {answer.status, answer.headers.allow})
    end
    assert.is_nil(ask(s, "/nowhere", {method = "DELETE"}).headers.allow)
    local answer = ask(s, "/status", {method = "OPTIONS"})
    assert.same({204, "GET, HEAD, OPTIONS"}, {answer.status, answer.headers.allow})
  end)

  it("has no body when only the head is asked for", function()
    local conn = http.open(s)
    conn:send(request "HEAD /nowhere" .. request "GET /text")
    local head = conn:answer("HEAD")
    assert.same({404, "21"}, {head.status, head.headers["content-length"]})
    assert.equal("no such thing", conn:answer().body)
  end)

  it("stays one when it quotes bytes that are no text", function()
    local answer = ask(s, "/quote/%FF")
    assert.same({400, '{"error":"bad request"}'}, {answer.status, answer.body})
    assert.equal("400 no \xFF\n", ask(s, "/quote/%FF", {headers = {Accept = "text/plain"}}).body)
  end)

  it("looks at the beginning of a long Accept only", function()
    local long = ("a/b;q=0.1,"):rep(200)
    assert.equal("text/plain; charset=utf-8",
      ask(s, "/nowhere", {headers = {Accept = long .. "text/html"}}).headers["content-type"])
    assert.equal("text/html; charset=utf-8",
      ask(s, "/nowhere", {headers = {Accept = "text/html," .. long}}).headers["content-type"])
  end)
end)

describe("what an application does to one refusal", function()
  teardown(server.stop_all)

  local WAYS = {
    middleware = [[app:use(function(req, next) return next(req):header("X-For", req.query.name) end)]],
    on_send = [[app:on_send(function(req, head) head:header("X-For", req.query.name) end)]],
    ["on_error, which leaves the answer to neap"] = [[
      app:on_error(function(req, failure) failure.headers = {["X-For"] = req.query.name} end)]],
  }

  for what, way in pairs(WAYS) do
    it("is not seen in the next: " .. what, function()
      local s = server.start {app = ROUTES .. way .. "return app"}
      for _, name in ipairs {"ada", "bob"} do
        assert.equal(name, ask(s, "/nowhere?name=" .. name).headers["x-for"])
      end
      assert.is_nil(ask(s, "/nowhere").headers["x-for"])
    end)
  end

  it("is not seen by what is mounted beside it", function()
    local s = server.start {app = ROUTES .. [[
      local shop = neap.app()
      shop:use(function(req, next) return next(req):header("X-Shop", "yes") end)
      app:mount("/shop", shop)
      return app]]}
    for _ = 1, 2 do
      assert.equal("yes", ask(s, "/shop/nowhere").headers["x-shop"])
      assert.is_nil(ask(s, "/nowhere").headers["x-shop"])
    end
  end)
end)
