local core = require "neap.core"
local neap = require "neap"
local errors = require "neap.app.errors"
local fake_request = require "spec.support.fake_request"

local SECRET = "hu" .. "sh" -- in two, because the page shows this source
local BROWSER = {Accept = "text/html,application/xhtml+xml,*/*;q=0.8"}

-- The answer to `fn` raising, as a client with these headers sees it.
local function answer_to(fn, headers)
  local traceback
  local _, err = xpcall(fn, function(raised)
    traceback = debug.traceback(nil, 2)
    return raised
  end)
  local req = fake_request {path = "/x", headers = headers, raw_query = "q=1&token=" .. SECRET}
  return errors.answer(req, errors.failure(err, traceback), {})
end

-- Replaces the log; returns the list of what is logged.
local function catch_log()
  local entries = {}
  neap.log.error = function(message, fields) entries[#entries + 1] = {message = message, fields = fields} end
  return entries
end

describe("an error that nobody foresaw", function()
  local logged, original, mode
  before_each(function()
    original, mode = neap.log.error, core.mode
    core.mode = "run"
    logged = catch_log()
  end)
  after_each(function() neap.log.error, core.mode = original, mode end)

  it("is logged once, with its traceback and the request", function()
    local body = neap.json.decode(answer_to(function() error("secret detail") end).body)
    assert.equal(1, #logged)
    assert.matches("errors_spec.lua:%d+: secret detail", logged[1].message)
    assert.matches("errors_spec.lua:%d+: in ", logged[1].fields.traceback)
    assert.same({body.id, "GET", "/x"}, {logged[1].fields.id, logged[1].fields.method, logged[1].fields.path})
    assert.equal(16, #body.id)
  end)

  it("tells the client nothing but its number", function()
    for accept, kind in pairs {["text/html"] = "text/html", ["text/plain"] = "text/plain", ["*/*"] = "application/json",
      ["image/png"] = "text/plain"} do
      local response = answer_to(function() error("secret detail") end, {Accept = accept})
      assert.equal(500, response.status)
      assert.equal(kind, response.headers["content-type"]:match("^[^;]*"))
      assert.is_nil(response.body:find("secret", 1, true))
      assert.is_truthy(response.body:find(logged[#logged].fields.id, 1, true))
    end
  end)

  it("may be any value", function()
    for _, value in ipairs {5, true, {}, {status = "x"}, {status = 99}, {status = 200}, print,
      setmetatable({}, {__index = function() error("x") end}),
      setmetatable({}, {__tostring = function() error("y") end})} do
      assert.equal(500, answer_to(function() error(value) end).status)
    end
    assert.equal(500, answer_to(function() error(nil) end).status)
  end)
end)

describe("an error with a status", function()
  it("is answered with its message and headers, and not logged", function()
    local original = neap.log.error
    local logged = catch_log()
    local response = answer_to(function() neap.abort(401, "log in", {["WWW-Authenticate"] = "Basic"}) end)
    neap.log.error = original
    assert.same({401, '{"error":"log in"}', "Basic"},
      {response.status, response.body, response.headers["www-authenticate"]})
    assert.equal(0, #logged)
    assert.equal("404 not found\n", answer_to(function() neap.abort(404) end, {Accept = "text/plain"}).body)
    assert.equal('{"error":"conflict"}', answer_to(function() error({status = 409}) end).body)
  end)

  it("may redirect", function()
    local response = answer_to(function() neap.abort(303, nil, {Location = "/login"}) end)
    assert.same({303, "/login"}, {response.status, response.headers.location})
    assert.is_nil(response.body)
  end)

  it("is escaped on a page", function()
    local body = answer_to(function() neap.abort(400, "<script>x</script>") end, BROWSER).body
    assert.is_nil(body:find("<script", 1, true))
    assert.is_truthy(body:find("&lt;script&gt;", 1, true))
  end)

  it("shows the line of a wrong neap.abort", function()
    for _, args in ipairs {{200}, {"404"}, {404, 5}, {404, "x", "y"}, {404, "x", {["A"] = "b\r\n"}}} do
      local _, err = pcall(function() neap.abort(table.unpack(args)) end)
      assert.matches("errors_spec.lua:%d+: ", err)
    end
  end)
end)

describe("the page of dev mode", function()
  local original, mode
  before_each(function()
    original, mode = neap.log.error, core.mode
    core.mode = "dev"
    catch_log()
  end)
  after_each(function() neap.log.error, core.mode = original, mode end)

  it("shows the source, the traceback and the request", function()
    local page = answer_to(function() error("this is <b>bold</b>") end, BROWSER).body
    assert.is_truthy(page:find("this is &lt;b&gt;bold&lt;/b&gt;", 1, true))
    assert.matches("<mark>→[^\n]*error%(", page)
    assert.matches("errors_spec.lua:%d+</code> in", page)
    assert.is_truthy(page:find('<th scope="row">accept</th>', 1, true))
    assert.is_nil(page:find("<b>", 1, true))
  end)

  it("masks what looks like a secret", function()
    local headers = {Accept = "text/html", Cookie = "a=" .. SECRET, Authorization = SECRET, ["X-Api-Key"] = SECRET,
      ["X-Csrf-Token"] = SECRET, ["User-Agent"] = "me"}
    local page = answer_to(function() error("x") end, headers).body
    assert.is_nil(page:find(SECRET, 1, true))
    assert.is_truthy(page:find("q=1&amp;token=(hidden)", 1, true))
    assert.is_truthy(page:find("me</td>", 1, true))
  end)

  it("does not open files that a message names", function()
    local page = answer_to(function() error("/etc/passwd:1: x", 0) end, BROWSER).body
    assert.is_nil(page:find("root" .. ":", 1, true))
  end)

  it("is for browsers only", function()
    local response = answer_to(function() error("why") end)
    assert.equal("application/json", response.headers["content-type"])
    assert.matches("errors_spec.lua:%d+: why", neap.json.decode(response.body).detail)
  end)

  it("can be read by everybody", function()
    local page = answer_to(function() error("x") end, BROWSER).body
    for _, part in ipairs {'lang="en"', 'name="viewport"', "color-scheme: light dark", "<main>", "<h1>", "<title>500",
      'tabindex="0"'} do
      assert.is_truthy(page:find(part, 1, true), part)
    end
  end)
end)
