local neap = require "neap"
local fake_request = require "spec.support.fake_request"

-- Sends a request through a compiled app, as the core does.
local function send(spec, method, path, fields)
  local request = {method = method, path = path}
  for name, value in pairs(fields or {}) do request[name] = value end
  local id, params = spec.router:find(method, path)
  local route = id and spec.routes[id]
  if route then
    request.params, request.route = params, route.name or route.pattern
  else
    request.allow = params
  end
  local req = fake_request(request)
  local traceback
  local results = table.pack(xpcall(route and route.handler or spec.fallback, function(err)
    traceback = debug.traceback(nil, 2)
    return err
  end, req))
  local ok, response = results[1], nil
  if ok then ok, response = pcall(spec.from, table.unpack(results, 2, results.n)) end
  if not ok then response = spec.from(spec.on_error(req, response or results[2], traceback)) end
  return spec.on_send and spec.on_send(req, response) or response
end

local function tag(name)
  return function(req, next)
    req.state.trace = (req.state.trace or "") .. name .. ">"
    local response = next(req)
    return response:header("X-Trace", (response.headers["x-trace"] or "") .. "<" .. name)
  end
end

local function trace(req) return req.state.trace or "" end

local log_error

setup(function() -- what fails here on purpose need not be read
  log_error = neap.log.error
  neap.log.error = function() end
end)

teardown(function() neap.log.error = log_error end)

describe("an app", function()
  local app
  before_each(function() app = neap.app() end)

  it("calls the handler itself when there is no middleware", function()
    local function handler() return "hello" end
    app:get("/hello/:name", handler)
    local spec = app:compile()
    assert.equal(handler, spec.routes[1].handler)
    assert.equal("hello", send(spec, "GET", "/hello/ada").body)
    assert.is_nil(spec.on_send)
  end)

  it("has a method for each method", function()
    for _, method in ipairs {"get", "post", "put", "patch", "delete", "options"} do
      app[method](app, "/x", function(req) return req.method end)
    end
    app:any("/y", function(req) return "any " .. req.method end)
    local spec = app:compile()
    for _, method in ipairs {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} do
      assert.equal(method, send(spec, method, "/x").body)
    end
    assert.equal("any PATCH", send(spec, "PATCH", "/y").body)
  end)

  it("takes routes as tables, with options", function()
    app:route{method = {"PUT", "PATCH"}, path = "/f", name = "f", timeout = "5s", body_limit = "1MB",
      on_disconnect = "cancel", handler = function(req) return req.method end}
    local route = app:compile().routes[1]
    assert.same({"f", "/f", 5, 1048576, "cancel"}, {route.name, route.pattern, route.timeout, route.body_limit,
      route.on_disconnect})
    assert.equal("PATCH", send(app:compile(), "PATCH", "/f").body)
  end)

  it("says at the caller's line what is wrong with a definition", function()
    local function handler() end
    local wrong = {
      -- statements, no tail calls: a tail call has no line of its own
      function() app:get("x", handler) end, function() app:get("/x") end,
      function() app:get("/x", handler, {nam = "x"}) end,
      function() app:get("/x", handler):name("/x") end, function() app:route("x") end,
      function() app:route{path = "/x", handler = handler, method = "FETCH"} end,
      function() app:route{path = "/x", handler = handler, on_disconnect = "maybe"} end,
      function() app:route{path = "/x", handler = handler, timeout = "soon"} end,
      function() app:mount("x", neap.app()) end, function() app:mount("/x", {}) end,
      function() app:mount("/x", app) end,
      function() app:use("x", handler) end, function() app:use("/x") end, function() app:use(5) end,
      function() app:on_error(200, handler) end, function() app:on_error("x") end, function() app:on_send(nil) end,
      function() app:static("x", "dir") end, function() app:static("/x", "") end,
      function() app:static("/x", "dir", {indx = "x"}) end, function() app:url("nobody") end,
    }
    for _, fn in ipairs(wrong) do
      local _, err = pcall(fn)
      assert.matches("app_spec.lua:%d+: ", err)
    end
  end)

  it("names both places when two routes cannot be told apart", function()
    app:get("/users/:id", function() end)
    app:get("/users/:name", function() end)
    local _, err = pcall(app.compile, app)
    local first, second = err:match("app_spec.lua:(%d+).*app_spec.lua:(%d+)")
    assert.equal(1, math.abs(first - second))
  end)

  it("lists its routes with their places", function()
    local api = neap.app()
    api:get("/", function() end):name("root")
    app:get("/x", function() end)
    app:mount("/api", api)
    local list = app:list()
    assert.same({"/x", "/api"}, {list[1].pattern, list[2].pattern})
    assert.same({{"GET"}, "root"}, {list[2].methods, list[2].name})
    assert.matches("app_spec.lua:%d+$", list[1].where)
  end)

  it("builds addresses of named routes", function()
    local api = neap.app()
    api:get("/users/:id", function() end):name("user")
    app:mount("/api", api)
    assert.equal("/api/users/a%20b?x=1", app:url("user", {id = "a b"}, {x = 1}))
    assert.equal("/api/users/7", api:url("user", {id = 7}))
    app:get("/late", function() end, {name = "late"})
    assert.equal("/late", api:url("late"))
    assert.error_matches(function() app:url("usr") end, 'did you mean "user"')
    assert.error_matches(function() app:url("user") end, "needs the parameter id")
  end)

  it("refuses two routes with one name", function()
    app:get("/a", function() end):name("x")
    app:get("/b", function() end):name("x")
    local _, err = pcall(app.compile, app)
    assert.matches('app_spec.lua:%d+: the route name "x" is taken by .*app_spec.lua:%d+', err)
  end)
end)

describe("middleware", function()
  local app
  before_each(function() app = neap.app() end)

  it("wraps handlers, the first outermost, whenever it was added", function()
    app:use(tag "a")
    app:get("/", trace)
    app:use(tag "b")
    local response = send(app:compile(), "GET", "/")
    assert.same({"a>b>", "<b<a"}, {response.body, response.headers["x-trace"]})
  end)

  it("gets a response object whatever the handler returns", function()
    app:use(tag "a")
    app:get("/text", function() return "x" end)
    app:get("/table", function() return {x = 1} end)
    app:get("/status", function() return 201, "x", {["X-Own"] = "y"} end)
    app:get("/nothing", function() end)
    local spec = app:compile()
    for _, path in ipairs {"/text", "/table", "/status", "/nothing"} do
      assert.equal("<a", send(spec, "GET", path).headers["x-trace"])
    end
    assert.equal("y", send(spec, "GET", "/status").headers["x-own"])
    assert.equal(204, send(spec, "GET", "/nothing").status)
  end)

  it("wraps 404, 405 and the answer to OPTIONS as well", function()
    app:use(tag "a")
    app:get("/x", trace)
    local spec = app:compile()
    for method, status in pairs {POST = 405, OPTIONS = 204} do
      local response = send(spec, method, "/x")
      assert.same({status, "<a", "GET, HEAD, OPTIONS"},
        {response.status, response.headers["x-trace"], response.headers.allow})
    end
    assert.same({404, "<a"}, {send(spec, "GET", "/y").status, send(spec, "GET", "/y").headers["x-trace"]})
  end)

  it("may answer instead of the handler, or pass its error on", function()
    app:use(function(req, next)
      if req.headers.authorization then return next(req) end
      return 401, "who?"
    end)
    app:get("/", function() return "secret" end)
    app:get("/fail", function() return nil, {status = 409, message = "taken"} end)
    local spec = app:compile()
    local with = {headers = {Authorization = "x"}}
    assert.equal(401, send(spec, "GET", "/").status)
    assert.equal("secret", send(spec, "GET", "/", with).body)
    local response = send(spec, "GET", "/fail", with)
    assert.same({409, '{"error":"taken"}'}, {response.status, response.body})
  end)

  it("may be for a part of the paths", function()
    app:use("/admin", tag "admin")
    app:get("/admin", trace)
    app:get("/admin/x", trace)
    app:get("/administrator", trace)
    app:get("/:section/y", trace)
    app:get("/*rest", trace)
    local spec = app:compile()
    for path, expected in pairs {["/admin"] = "admin>", ["/admin/x"] = "admin>", ["/administrator"] = "",
      ["/admin/y"] = "admin>", ["/other/y"] = "", ["/admin/z"] = "admin>",
      ["//admin/z"] = "admin>", ["/z/admin"] = ""} do
      assert.equal(expected, send(spec, "GET", path).body, path)
    end
  end)

  it("of a mounted app is inside its parent's, and for that app only", function()
    local api = neap.app()
    app:use(tag "root")
    api:use(tag "api")
    api:use("/deep", tag "deep")
    api:get("/", trace)
    api:get("/deep/x", trace)
    app:get("/own", trace)
    app:mount("/api/", api)
    local spec = app:compile()
    assert.equal("root>api>", send(spec, "GET", "/api").body)
    assert.equal("root>api>", send(spec, "GET", "/api/").body)
    assert.equal("root>api>deep>", send(spec, "GET", "/api/deep/x").body)
    assert.equal("root>", send(spec, "GET", "/own").body)
    assert.equal("<api<root", send(spec, "GET", "/api/none").headers["x-trace"])
    assert.equal("<root", send(spec, "GET", "/apis").headers["x-trace"])
  end)

  it("is told when it forgets the request", function()
    app:use(function(_, next)
      local response = next()
      return response
    end)
    app:get("/", trace)
    local ok, err = pcall(app:compile().routes[1].handler, fake_request())
    assert.is_false(ok)
    assert.matches("app_spec.lua:%d+: next needs the request", err)
  end)
end)

describe("on_error", function()
  local app
  before_each(function()
    app = neap.app()
    app:get("/gone", function() neap.abort(410, "no more", {["X-Since"] = "2020"}) end)
    app:get("/teapot", function() return nil, {status = 418} end)
  end)

  it("answers with its own page and the failure's status", function()
    app:on_error(404, function(req, failure) return ("%s: %s %d"):format(req.path, failure.message, failure.status) end)
    local response = send(app:compile(), "GET", "/nowhere")
    assert.same({404, "/nowhere: not found 404"}, {response.status, response.body})
  end)

  it("may be for all, and leaves to others what it returns nothing for", function()
    app:on_error(function(_, failure)
      if failure.status == 410 then return neap.res.html("<p>" .. failure.message) end
    end)
    local spec = app:compile()
    local response = send(spec, "GET", "/gone")
    assert.same({410, "<p>no more", "2020"}, {response.status, response.body, response.headers["x-since"]})
    assert.equal('{"error":"i\'m a teapot"}', send(spec, "GET", "/teapot").body)
  end)

  it("asks the one for the status first, then the earlier one", function()
    app:on_error(function() return "all" end)
    app:on_error(410, function() return "first 410" end)
    app:on_error(410, function() return "second 410" end)
    local spec = app:compile()
    assert.equal("first 410", send(spec, "GET", "/gone").body)
    assert.equal("all", send(spec, "GET", "/teapot").body)
  end)

  it("of a mounted app comes before its parent's, and is for that app only", function()
    local api = neap.app()
    api:get("/fail", function() neap.abort(409) end)
    api:on_error(404, function() return "api 404" end)
    app:on_error(function(_, failure) return "root " .. failure.status end)
    app:mount("/api", api)
    local spec = app:compile()
    assert.equal("api 404", send(spec, "GET", "/api/x").body)
    assert.equal("root 409", send(spec, "GET", "/api/fail").body)
    assert.equal("root 404", send(spec, "GET", "/x").body)
  end)

  it("can say another status, and keeps Allow", function()
    app:on_error(405, function() return 200, "fine" end)
    local response = send(app:compile(), "POST", "/gone")
    assert.same({200, "fine", "GET, HEAD, OPTIONS"}, {response.status, response.body, response.headers.allow})
  end)

  it("does not take the page away when it fails itself", function()
    app:on_error(404, function() error("broken handler") end)
    app:on_error(410, function() neap.abort(451) end)
    app:on_error(418, function() return true end)
    local spec = app:compile()
    assert.matches('"error":"internal server error"', send(spec, "GET", "/x").body)
    assert.matches('"id":"' .. ("%x"):rep(16) .. '"', send(spec, "GET", "/x").body)
    assert.equal(451, send(spec, "GET", "/gone").status)
    assert.equal(500, send(spec, "GET", "/teapot").status)
  end)
end)

describe("on_send", function()
  it("sees every response, of a mounted app before its parent", function()
    local app, api = neap.app(), neap.app()
    local function note(name)
      return function(_, head) head:header("X-Trace", (head.headers["x-trace"] or "") .. name) end
    end
    app:on_send(note "root")
    api:on_send(note "api,")
    api:get("/", function() return "x" end)
    api:get("/fail", function() error("oops") end)
    app:get("/", function() return {x = 1} end)
    app:mount("/api", api)
    local spec = app:compile()
    for path, expected in pairs {["/"] = "root", ["/api"] = "api,root", ["/api/fail"] = "api,root",
      ["/api/x"] = "api,root", ["/x"] = "root"} do
      assert.equal(expected, send(spec, "GET", path).headers["x-trace"], path)
    end
  end)

  it("that fails is a 500, not a hanging request", function()
    local app = neap.app()
    app:on_send(function() error("broken") end)
    app:get("/", function() return "x" end)
    assert.equal(500, send(app:compile(), "GET", "/").status)
  end)
end)

describe("an app at / beside others", function()
  it("does not take their errors", function()
    local app, home, blog = neap.app(), neap.app(), neap.app()
    home:on_error(function() return "home" end)
    blog:on_error(function() return "blog" end)
    home:get("/", function() return "welcome" end)
    app:mount("/", home)
    app:mount("/home", home)
    app:mount("/blog", blog)
    local spec = app:compile()
    assert.equal("welcome", send(spec, "GET", "/").body)
    assert.equal("welcome", send(spec, "GET", "/home").body)
    assert.equal("blog", send(spec, "GET", "/blog/x").body)
    assert.equal("home", send(spec, "GET", "/x").body)
  end)
end)
