local ask = require "spec.support.ask"
local neap = require "neap"
local server = require "spec.support.server"

after_each(server.stop_all)

local OLD, NEW = "an old key of 16 bytes", "a new key of 16 bytes"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:use(neap.session{keys = {KEYS}, max_age = MAX_AGE})
  app:use("/safe", neap.csrf{origins = {"https://friend.example"}})
  app:get("/", function(req) return {session = req.session, flashes = req:flashes()} end)
  app:get("/set", function(req)
    req.session.user = {name = req.query.name}
    return "set"
  end)
  app:get("/read", function(req) return req.session.user and req.session.user.name or "nobody" end)
  app:get("/fail", function(req)
    req.session.user = {name = "mallory"}
    error("no")
  end)
  app:get("/large", function(req)
    req.session.large = ("x"):rep(4000)
    return "never"
  end)
  app:get("/odd", function(req)
    req.session.odd = print
    return "never"
  end)
  app:get("/replace", function(req)
    req.session = {replaced = true}
    return "replaced"
  end)
  app:post("/flash", function(req)
    req:flash("saved")
    req:flash("twice")
    return 204
  end)
  app:post("/logout", function(req)
    req:clear_session()
    return 204
  end)
  app:get("/token", function(req) return req:csrf_token() end)
  app:any("/safe/change", function(req)
    local form = req:form()
    return "changed " .. (form and form.what or "")
  end)
  local inner = neap.app()
  inner:use(neap.session{keys = {KEYS}, cookie = "inner"})
  inner:get("/set", function(req)
    req.session.inside = true
    return "set"
  end)
  app:mount("/inner", inner)
  return app]]

local function start(keys, max_age)
  local quoted = {}
  for i, key in ipairs(keys) do quoted[i] = ("%q"):format(key) end
  local text = APP:gsub("KEYS", table.concat(quoted, ", ")):gsub("MAX_AGE", tostring(max_age))
  return server.start {app = text, workers = 1}
end

-- A client that keeps cookies: request(path, opts) -> answer.
local function browser(s)
  local jar = {}
  return function(path, opts)
    opts = opts or {}
    local headers = {}
    for name, value in pairs(opts.headers or {}) do headers[name] = value end
    local pairs_of = {}
    for name, value in pairs(jar) do pairs_of[#pairs_of + 1] = name .. "=" .. value end
    if #pairs_of > 0 then headers.Cookie = table.concat(pairs_of, "; ") end
    local answer = ask(s, path, {method = opts.method, headers = headers, body = opts.body})
    local name, value = (answer.headers["set-cookie"] or ""):match("^([^=]+)=([^;]*)")
    if name then jar[name] = value ~= "" and value or nil end
    return answer, jar
  end
end

describe("a session", function()
  it("is remembered, and sent only when it changed", function()
    local visit = browser(start {NEW})
    assert.is_nil(visit("/").headers["set-cookie"])
    local answer = visit("/set?name=ada")
    assert.matches("^session=[%w_.-]+; Path=/; HttpOnly; SameSite=Lax$", answer.headers["set-cookie"])
    answer = visit("/read")
    assert.equal("ada", answer.body)
    assert.is_nil(answer.headers["set-cookie"])
    visit("/replace")
    assert.same({replaced = true}, neap.json.decode(visit("/").body).session)
  end)

  it("is for https only when the request came that way", function()
    local s = server.start {workers = 1, args = {"--set", "trusted_proxies=127.0.0.1"},
      app = APP:gsub("KEYS", ("%q"):format(NEW)):gsub("MAX_AGE", "60")}
    local answer = ask(s, "/set?name=ada", {headers = {["X-Forwarded-Proto"] = "https"}})
    assert.matches("Max%-Age=60; Secure; HttpOnly", answer.headers["set-cookie"])
  end)

  it("is not believed when it was changed, or too old", function()
    local s = start({NEW}, 3600)
    local visit = browser(s)
    local _, jar = visit("/set?name=ada")
    local encoded, signature = jar.session:match("^(.*)%.(.*)$")
    local crypto = neap.crypto
    local text = crypto.unbase64(encoded, true)
    for _, cookie in ipairs {crypto.base64(text:gsub("ada", "eve"), true) .. "." .. signature, encoded, "." .. signature, "x"} do
      local answer = ask(s, "/read", {headers = {Cookie = "session=" .. cookie}})
      assert.equal("nobody", answer.body)
      assert.matches("Max%-Age=0", answer.headers["set-cookie"])
    end
    local old = text:gsub('"at":%d+', '"at":' .. os.time() - 3601)
    local signed = require("neap.cookie").sign("session", old, {NEW})
    assert.equal("nobody", ask(s, "/read", {headers = {Cookie = "session=" .. signed}}).body)
    local half = text:gsub('"at":%d+', '"at":' .. os.time() - 1900)
    signed = require("neap.cookie").sign("session", half, {NEW})
    local answer = ask(s, "/read", {headers = {Cookie = "session=" .. signed}})
    assert.equal("ada", answer.body)
    assert.matches("^session=[%w_.-]+; Path=/; Max%-Age=3600", answer.headers["set-cookie"]) -- renewed
  end)

  it("outlives a change of keys", function()
    local first = browser(start {OLD})
    local _, jar = first("/set?name=ada")
    local second = start {NEW, OLD}
    assert.equal("ada", ask(second, "/read", {headers = {Cookie = "session=" .. jar.session}}).body)
    local answer = ask(second, "/set?name=alan", {headers = {Cookie = "session=" .. jar.session}})
    local cookie = answer.headers["set-cookie"]:match("^[^;]*")
    assert.equal("alan", ask(start {NEW}, "/read", {headers = {Cookie = cookie}}).body)
    assert.equal("nobody", ask(start {NEW}, "/read", {headers = {Cookie = "session=" .. jar.session}}).body)
  end)

  it("shows each flash once", function()
    local visit = browser(start {NEW})
    assert.equal(204, visit("/flash", {method = "POST"}).status)
    assert.same({"saved", "twice"}, neap.json.decode(visit("/").body).flashes)
    local answer = visit("/")
    assert.equal('[]', answer.body:match('"flashes":([^}]*)'):match("^%[%]"))
    assert.is_nil(answer.headers["set-cookie"])
  end)

  it("ends when it is cleared", function()
    local visit = browser(start {NEW})
    visit("/set?name=ada")
    local answer, jar = visit("/logout", {method = "POST"})
    assert.matches("^session=; .*Max%-Age=0", answer.headers["set-cookie"])
    assert.is_nil(jar.session)
  end)

  it("keeps nothing of a handler that failed", function()
    local visit = browser(start {NEW})
    local answer = visit("/fail")
    assert.equal(500, answer.status)
    assert.is_nil(answer.headers["set-cookie"])
    assert.equal("nobody", visit("/read").body)
  end)

  it("says what it cannot hold", function()
    local s = start {NEW}
    local visit = browser(s)
    assert.equal(500, visit("/large").status)
    s:wait_log("put large things into a database")
    assert.equal(500, visit("/odd").status)
    s:wait_log("a function at .data.odd")
  end)

  it("of a mounted app with another cookie is another", function()
    local visit = browser(start {NEW})
    visit("/set?name=ada")
    local answer = visit("/inner/set")
    assert.matches("^inner=", answer.headers["set-cookie"])
    assert.same({user = {name = "ada"}}, neap.json.decode(visit("/").body).session)
  end)

  it("needs good keys, and says so where it is used", function()
    for _, opts in ipairs {{keys = {"short"}}, {keys = {}}, {key = {NEW}}, {keys = {NEW}, cookie = "a b"}} do
      local ok, err = pcall(function() neap.session(opts) end)
      assert.is_false(ok)
      assert.matches("session_spec%.lua:%d+: ", err)
    end
  end)
end)

describe("csrf", function()
  local function post(visit, token, headers, body)
    headers = headers or {}
    headers["X-CSRF-Token"] = token
    return visit("/safe/change", {method = "POST", headers = headers, body = body or ""}).status
  end

  it("lets through what carries the token of the session", function()
    local visit = browser(start {NEW})
    local token = visit("/token").body
    assert.equal(200, post(visit, token))
    assert.not_equal(token, visit("/token").body)
    assert.equal(200, post(visit, visit("/token").body))
    assert.equal(200, post(visit, token))
    local answer = visit("/safe/change", {method = "POST", body = "what=all&csrf_token=" .. token,
      headers = {["Content-Type"] = "application/x-www-form-urlencoded"}})
    assert.equal("changed all", answer.body)
    assert.equal(200, visit("/safe/change?csrf_token=" .. token, {method = "POST", body = ""}).status)
    assert.equal(200, visit("/safe/change").status)
  end)

  it("refuses what does not", function()
    local s = start {NEW}
    local visit, other = browser(s), browser(s)
    local token, foreign = visit("/token").body, other("/token").body
    assert.equal(403, post(visit, nil))
    assert.equal(403, post(visit, ""))
    assert.equal(403, post(visit, foreign))
    assert.equal(403, post(visit, token:sub(1, -2)))
    assert.equal(403, post(visit, neap.crypto.base64(("x"):rep(44), true)))
    assert.equal(403, post(browser(s), token))
    for _, method in ipairs {"PUT", "PATCH", "DELETE"} do
      assert.equal(403, visit("/safe/change", {method = method, body = ""}).status)
    end
    assert.equal(204, visit("/logout", {method = "POST", body = ""}).status)
    visit("/token")
    assert.equal(403, post(visit, token)) -- a new session has another secret
  end)

  it("refuses what comes from another site, whatever it carries", function()
    local visit = browser(start {NEW})
    local token = visit("/token").body
    for status, cases in pairs {
      [403] = {{Origin = "http://evil.example"}, {Origin = "null"}, {["Sec-Fetch-Site"] = "cross-site"},
        {["Sec-Fetch-Site"] = "same-site"}, {Origin = "http://localhost.evil.example"}},
      [200] = {{Origin = "http://localhost"}, {["Sec-Fetch-Site"] = "same-origin"}, {["Sec-Fetch-Site"] = "none"},
        {Origin = "https://friend.example", ["Sec-Fetch-Site"] = "cross-site"}},
    } do
      for _, headers in ipairs(cases) do
        assert.equal(status, post(visit, token, headers), neap.json.encode(headers))
      end
    end
  end)

  it("says when there is no session", function()
    local s = server.start {workers = 1, app = [[
      local neap = require "neap"
      local app = neap.app()
      app:use(neap.csrf())
      app:post("/", function() return "never" end)
      return app]]}
    assert.equal(500, ask(s, "/", {method = "POST", body = ""}).status)
    s:wait_log("comes before")
  end)
end)
