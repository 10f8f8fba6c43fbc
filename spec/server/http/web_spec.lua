-- The Lua half in a real server: cookies, forwarded headers, forms, error pages and hooks, as a client sees them.
local ask = require "spec.support.ask"
local json = require "neap.json"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local app = neap.app()

  app:use(function(req, next)
    req.user = req.query.user
    return next(req):header("X-Wrapped", "yes")
  end)
  app:on_send(function(_, head) head:header("X-Sent", tostring(head.status)) end)

  app:get("/who", function(req) return {ip = req.ip, scheme = req.scheme, host = req.host, user = req.user} end)
  app:get("/login", function() return neap.res.text("in"):cookie("user", "ada", {signed = true}) end)
  app:get("/me", function(req) return {user = req:signed_cookie("user"), theme = req.cookies.theme} end)
  app:post("/json", function(req)
    local value, err, detail = req:json("1KB")
    return {value = value, err = err, detail = detail ~= nil}
  end)
  app:post("/form", function(req)
    local fields, lists = req:form()
    return {fields = fields, lists = lists}
  end)
  app:put("/count", function(req)
    local bytes = 0
    for chunk in req:chunks(10) do bytes = bytes + #chunk end
    return {bytes = bytes}
  end, {body_limit = 1000})
  app:get("/old", function() return neap.res.redirect("/new place") end)
  app:get("/fail", function() error("SECRET of the source") end)
  app:get("/refuse", function() neap.abort(409, "taken") end)
  app:get("/error", function() return nil, {status = 418, message = "short"} end)
  app:get("/half", function()
    return neap.res.stream(function(out)
      out:write("first")
      error("in the middle")
    end)
  end)
  app:get("/stream", function()
    return neap.res.stream(function(out) for i = 1, 3 do out:write(i, " ") end end, {type = "text"})
  end)
  app:get("/bad", function() return {value = print} end)
  app:get("/split", function() return 200, "x", {["X-A"] = "a\r\nSet-Cookie: b=1"} end)

  local api = neap.app()
  api:on_error(404, function() return {error = "no such thing in the API"} end)
  api:get("/", function(req) return {url = app:url("thing", {id = 7})} end)
  api:get("/things/:id{int}", function(req) return req.params.id end):name("thing")
  app:mount("/api", api)
  return app]]

local CONFIG = [[return {default = {secrets = {"a secret of this spec"}, trusted_proxies = {"127.0.0.0/8"}}}]]

describe("an application", function()
  local s

  setup(function() s = server.start {app = APP, files = {["config.lua"] = CONFIG}} end)
  teardown(server.stop_all)

  local function get(path, headers) return ask(s, path, {headers = headers}) end
  local function send(method, path, kind, body)
    return ask(s, path, {method = method, headers = {["Content-Type"] = kind}, body = body})
  end

  it("believes a trusted proxy about its client", function()
    local answer = get("/who?user=ada", {["X-Forwarded-For"] = "6.6.6.6, 192.0.2.7", ["X-Forwarded-Proto"] = "https",
      ["X-Forwarded-Host"] = "example.org"})
    assert.same({ip = "192.0.2.7", scheme = "https", host = "example.org", user = "ada"}, json.decode(answer.body))
    assert.same({ip = "127.0.0.1", scheme = "http", host = "localhost"}, json.decode(get("/who").body))
  end)

  it("knows its signed cookies again, and no others", function()
    local set = get("/login").headers["set-cookie"]
    assert.matches("^user=[%w_.-]+; Path=/; HttpOnly; SameSite=Lax$", set)
    local pair = set:match("^[^;]*")
    assert.same({user = "ada", theme = "dark"}, json.decode(get("/me", {Cookie = pair .. '; theme="dark"'}).body))
    assert.same({}, json.decode(get("/me", {Cookie = "user=ada"}).body))
    assert.same({}, json.decode(get("/me", {Cookie = pair:gsub("=.", "=A", 1)}).body))
  end)

  it("reads JSON", function()
    assert.same({value = {1, 2}, detail = false}, json.decode(send("POST", "/json", "application/json", "[1,2]").body))
    assert.same({err = "invalid", detail = true}, json.decode(send("POST", "/json", "application/json", "[1,").body))
    assert.equal(413, send("POST", "/json", "application/json", ("x"):rep(2000)).status)
  end)

  it("reads forms of both kinds", function()
    local expected = {fields = {a = "1", b = "x y"}, lists = {a = {"1", "2"}, b = {"x y"}}}
    local answer = send("POST", "/form", "application/x-www-form-urlencoded", "a=1&b=x+y&a=2")
    assert.same(expected, json.decode(answer.body))
    local function part(name, value)
      return ('--X\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'):format(name, value)
    end
    local parts = part("a", "1") .. part("b", "x y") .. part("a", "2")
    answer = send("POST", "/form", "multipart/form-data; boundary=X", parts .. "--X--\r\n")
    assert.same(expected, json.decode(answer.body))
    answer = send("POST", "/form", "multipart/form-data; boundary=X", part("a", "1"))
    assert.same({lists = "invalid"}, json.decode(answer.body))
  end)

  it("takes a body in chunks, up to the limit of the route", function()
    assert.same({bytes = 999}, json.decode(send("PUT", "/count", "text/plain", ("x"):rep(999)).body))
    assert.equal(413, send("PUT", "/count", "text/plain", ("x"):rep(1001)).status)
  end)

  it("redirects to addresses without spaces", function()
    local answer = get("/old")
    assert.same({302, "/new%20place"}, {answer.status, answer.headers.location})
  end)

  it("wraps and looks at every answer", function()
    for path, status in pairs {["/who"] = 200, ["/nowhere"] = 404, ["/old"] = 302, ["/stream"] = 200} do
      local answer = get(path)
      assert.same({status, "yes", tostring(status)},
        {answer.status, answer.headers["x-wrapped"], answer.headers["x-sent"]})
    end
    assert.same({500, "500"}, {get("/fail").status, get("/fail").headers["x-sent"]})
  end)

  it("answers a failure without telling why, and logs it with its number", function()
    local answer = get("/fail")
    assert.equal(500, answer.status)
    assert.is_nil(answer.body:find("SECRET", 1, true))
    local id = json.decode(answer.body).id
    s:wait_log(id)
    local line = s:log():match("[^\n]*" .. id .. "[^\n]*")
    for _, part in ipairs {"SECRET of the source", "app.lua:", "/fail", "traceback"} do
      assert.is_truthy(line:find(part, 1, true), part)
    end
    assert.matches("<h1>500 Internal Server Error</h1>", get("/fail", {Accept = "text/html"}).body)
  end)

  it("answers with the status of an error that has one", function()
    assert.same({409, '{"error":"taken"}'}, {get("/refuse").status, get("/refuse").body})
    assert.same({418, "418 short\n"}, {get("/error").status, get("/error", {Accept = "text/plain"}).body})
  end)

  it("cuts a stream that fails, so that the client sees it", function()
    local answer = get("/half")
    assert.same({200, "first", false}, {answer.status, answer.body, answer.is_whole})
    s:wait_log("in the middle")
    assert.is_true(get("/stream").is_whole)
    assert.equal("1 2 3 ", get("/stream").body)
  end)

  it("does not let a header split the answer, nor bad JSON out", function()
    for _, path in ipairs {"/split", "/bad"} do
      local answer = get(path)
      assert.equal(500, answer.status)
      assert.is_nil(answer.headers["set-cookie"])
    end
  end)

  it("has mounted apps with their own error pages and addresses", function()
    assert.equal("/api/things/7", json.decode(get("/api").body).url)
    assert.equal("/api/things/7", json.decode(get("/api/").body).url)
    assert.equal("7", get("/api/things/7").body)
    local answer = get("/api/things/x")
    assert.same({404, '{"error":"no such thing in the API"}'}, {answer.status, answer.body})
    assert.equal('{"error":"not found"}', get("/apis").body)
  end)
end)
