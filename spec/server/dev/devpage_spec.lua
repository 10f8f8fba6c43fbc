-- What is shown when a handler fails: everything in `neap dev`, nothing in `neap run`.
local ask = require "spec.support.ask"
local chromium = require "spec.support.chromium"
local json = require "neap.json"
local server = require "spec.support.server"

local APP = [[
local neap = require "neap"
local app = neap.app()

local function inner(value)
  local SECRET_OF_THE_SOURCE = "<b>"
  error("cannot cope with " .. value)
end

app:get("/fail", function(req)
  local result = inner(req.query.with or "this")
  return result
end)

app:post("/fail", function() error("posted") end)
app:get("/nil", function() local x; return x.y end)
app:get("/table", function() error {code = 7} end)
app:get("/bad", function() error(setmetatable({}, {__tostring = function() error("again") end})) end)
app:get("/long", function() error(("long "):rep(20000)) end)
app:get("/bytes", function() error("bytes \255\254 \0 end") end)
app:get("/lines", function() error("first line\nsecond line") end)
app:get("/folder", function() error("..lua:1: no such place", 0) end)
app:get("/passwd", function() error("/etc/passwd:1: hm", 0) end)
app:get("/abort", function() neap.abort(409, "taken <i>already</i>") end)
app:get("/unhandled", function() return {value = print} end)
app:get("/params/:id", function(req) error("param " .. req.params.id) end)
app:get("/late", function()
  return neap.res.stream(function(out)
    out:write("some text")
    error("in the middle")
  end)
end)

return app
]]

local HTML = {accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

local function with(headers)
  local all = {accept = HTML.accept}
  for name, value in pairs(headers) do all[name] = value end
  return {headers = all}
end

-- The page without the one script that belongs there.
local function without_live(page)
  return (page:gsub('<script src="/_neap/live.js"></script>', "", 1))
end

describe("the error page of neap dev", function()
  local s
  setup(function() s = server.start {app = APP, command = "dev"} end)
  teardown(server.stop_all)

  it("shows the message, the source around it, the traceback and the request", function()
    local answer = ask(s, "/fail?with=that", {headers = HTML})
    assert.equal(500, answer.status)
    assert.equal("text/html; charset=utf-8", answer.headers["content-type"])
    assert.equal("no-store", answer.headers["cache-control"])
    assert.equal("nosniff", answer.headers["x-content-type-options"])
    local page = answer.body
    assert.matches("<title>500 Internal Server Error: app.lua:6: cannot cope with that</title>", page, 1, true)
    assert.matches("<h1>app.lua:6: cannot cope with that</h1>", page, 1, true)
    assert.matches('<mark>[^<]*6  [^<]*error%(&quot;cannot cope with &quot;', page)
    assert.matches("<code>app.lua:10</code>", page, 1, true)
    assert.matches("/fail?with=that", page, 1, true)
    assert.matches("GET", page, 1, true)
    local id = assert(page:match("logged as (%x+)"))
    s:wait_log(id)
  end)

  it("is JSON for others, without the source", function()
    for _, accept in ipairs {"application/json", "*/*"} do
      local answer = ask(s, "/fail", {headers = {accept = accept}})
      assert.equal(500, answer.status)
      assert.matches("application/json", answer.headers["content-type"])
      local body = json.decode(answer.body)
      assert.matches("^%x+$", body.id)
      assert.is_nil(answer.body:find("SECRET_OF_THE_SOURCE", 1, true))
    end
    assert.matches("application/json", ask(s, "/fail").headers["content-type"])
  end)

  it("escapes what comes from the client", function()
    local script = "<script>alert(1)</script>"
    local sent = "%3Cscript%3Ealert(1)%3C/script%3E"
    for _, answer in ipairs {
      ask(s, "/fail?with=" .. sent, {headers = HTML}), ask(s, "/params/" .. sent:gsub("/", "%%2F"), {headers = HTML}),
      ask(s, "/fail?" .. sent .. "=" .. sent, {headers = HTML}), ask(s, "/nowhere/" .. sent, {headers = HTML}),
      ask(s, "/fail", with {["user-agent"] = script, ["x-own"] = '"><img src=x onerror=alert(1)>'}),
    } do
      assert.is_true(answer.status >= 400)
      assert.is_nil(without_live(answer.body):find("<script", 1, true))
      assert.is_nil(answer.body:find("<img", 1, true))
    end
    assert.matches("taken &lt;i&gt;already&lt;/i&gt;", ask(s, "/abort", {headers = HTML}).body, 1, true)
    assert.matches("&lt;b&gt;", ask(s, "/fail", {headers = HTML}).body, 1, true)
  end)

  it("hides what looks like a secret", function()
    local answer = ask(s, "/fail?token=QUERYTOKEN&password=QUERYPASS&page=2&api_key=QUERYKEY", with {
      authorization = "Bearer HEADERAUTH", cookie = "session=COOKIEVALUE", ["x-api-key"] = "HEADERKEY",
      ["x-csrf-token"] = "HEADERCSRF", ["proxy-authorization"] = "Basic PROXYAUTH", ["x-plain"] = "shown",
      ["x-secret-thing"] = "HEADERSECRET"})
    for _, word in ipairs {"QUERYTOKEN", "QUERYPASS", "QUERYKEY", "HEADERAUTH", "COOKIEVALUE", "HEADERKEY",
      "HEADERCSRF", "PROXYAUTH", "HEADERSECRET"} do
      assert.is_nil(answer.body:find(word, 1, true), word)
    end
    assert.matches("shown", answer.body, 1, true)
    assert.matches("page=2", answer.body, 1, true)
    assert.matches("(hidden)", answer.body, 1, true)
  end)

  it("stands every kind of error", function()
    for path, expected in pairs {
      ["/nil"] = "attempt to index a nil value", ["/table"] = "table: ", ["/bad"] = "whose __tostring fails",
      ["/long"] = "long long", ["/bytes"] = "bytes ", ["/lines"] = "second line", ["/folder"] = "no such place",
      ["/unhandled"] = "function", ["/abort"] = "409 Conflict", ["/nowhere"] = "404 Not Found",
    } do
      local answer = ask(s, path, {headers = HTML})
      assert.is_true(answer.status >= 400)
      assert.matches("text/html", answer.headers["content-type"])
      assert.matches(expected, answer.body, 1, true)
      assert.matches("</html>", answer.body, 1, true)
    end
  end)

  it("shows no file but scripts", function()
    assert.is_nil(ask(s, "/passwd", {headers = HTML}).body:find("root:", 1, true))
  end)

  it("has a head for HEAD, and answers POST", function()
    local answer = ask(s, "/fail", {method = "HEAD", headers = HTML})
    assert.equal(500, answer.status)
    assert.equal("", answer.extra)
    answer = ask(s, "/fail", {method = "POST", body = "", headers = HTML})
    assert.matches("posted", answer.body, 1, true)
  end)

  it("cannot come when the answer has begun: the connection is cut", function()
    local answer = ask(s, "/late", {headers = HTML})
    assert.equal(200, answer.status)
    assert.is_false(answer.is_whole)
    assert.is_nil(answer.body:find("<html", 1, true))
    s:wait_log("in the middle")
  end)

  it("is a page that a browser can show, without scripts or things from elsewhere", function()
    local page = without_live(ask(s, "/fail", {headers = HTML}).body)
    assert.is_nil(page:find("<script", 1, true))
    assert.is_nil(page:find("https?://"))
    if not chromium.exists() then return pending("chromium is missing") end
    local script = "%3Cscript%3Edocument.title='hacked'%3C/script%3E"
    local dom = chromium.dom(("http://127.0.0.1:%d/fail?with=%s"):format(s.port, script), 0)
    assert.is_nil(dom:find("<title>hacked", 1, true))
    assert.matches("<h1>app.lua:6: cannot cope with &lt;script&gt;", dom, 1, true)
    local _, marks = dom:gsub("<mark>", "")
    assert.is_true(marks >= 1)
  end)
end)

describe("an error in neap run", function()
  local s
  setup(function() s = server.start {app = APP} end)
  teardown(server.stop_all)

  it("tells the client a number, and the log the rest", function()
    for _, accept in ipairs {"text/html", "application/json", "text/plain"} do
      local answer = ask(s, "/fail?with=QUERYWORD", {headers = {accept = accept}})
      assert.equal(500, answer.status)
      assert.matches(accept, answer.headers["content-type"], 1, true)
      for _, word in ipairs {"cannot cope", "app.lua", "traceback", "SECRET_OF_THE_SOURCE", "QUERYWORD", s.dir} do
        assert.is_nil(answer.body:find(word, 1, true), word)
      end
      local id = assert(answer.body:match("%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x"))
      s:wait_log(id)
      local line = assert(s:log():match("[^\n]*" .. id .. "[^\n]*"))
      assert.matches("cannot cope with QUERYWORD", line, 1, true)
      assert.matches("stack traceback", line, 1, true)
    end
  end)

  it("keeps one line for each error in the log, whatever the message holds", function()
    ask(s, "/fail?with=BEGIN")
    s:wait_log("BEGIN")
    local _, before = s:log():gsub("\n", "")
    ask(s, "/lines")
    ask(s, "/bytes")
    ask(s, "/fail?with=%0A%7B%22level%22%3A%22forged%22%7D")
    s:wait_log("forged")
    local _, after = s:log():gsub("\n", "")
    assert.equal(before + 3, after)
    for line in s:log():gmatch("[^\n]+") do assert.truthy(json.decode(line), line) end
  end)
end)
