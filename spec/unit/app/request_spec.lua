local neap = require "neap"
local fake_request = require "spec.support.fake_request"

local function post(content, kind, fields)
  local request = {method = "POST", content = content, headers = {["Content-Type"] = kind}}
  for name, value in pairs(fields or {}) do request[name] = value end
  return fake_request(request)
end

describe("a request", function()
  it("has cookies, of several headers too", function()
    assert.same({a = "1", b = "2"}, fake_request({headers = {Cookie = {"a=1", "b=2; a=3"}}}).cookies)
    assert.same({}, fake_request().cookies)
  end)

  it("has the values of its query", function()
    local req = fake_request {raw_query = "a=1&b=x+y&a=2"}
    assert.same({a = "1", b = "x y"}, req.query)
    assert.same({"1", "2"}, req:query_all("a"))
    assert.same({}, req:query_all("none"))
    assert.error_matches(function() return fake_request({raw_query = ("a&"):rep(1001)}).query end, "too many fields")
  end)

  it("takes its own word for the host, and nobody's for the address", function()
    local req = fake_request {authority = "example.com:8080", headers = {["X-Forwarded-For"] = "1.2.3.4",
      ["X-Forwarded-Proto"] = "https", ["X-Forwarded-Host"] = "evil"}}
    assert.same({"example.com:8080", "http", "192.0.2.1"}, {req.host, req.scheme, req.ip})
    assert.is_nil(fake_request({authority = ""}).host)
  end)

  it("knows which type the client likes best", function()
    assert.equal("html", fake_request({headers = {Accept = {"text/html", "*/*;q=0.1"}}}):accepts("json", "html"))
    assert.equal("json", fake_request():accepts("json", "html"))
  end)

  it("has no signed cookie without a cookie", function()
    assert.is_nil(fake_request():signed_cookie("user"))
  end)
end)

describe("req:json", function()
  it("decodes the body", function()
    assert.same({a = {1, 2}}, post('{"a":[1,2]}'):json())
    assert.equal(neap.json.null, post("null"):json())
    assert.is_false(post("false"):json())
  end)

  it("returns what went wrong", function()
    local value, err, detail = post('{"a":'):json()
    assert.same({"invalid", "string"}, {err, type(detail)})
    assert.is_nil(value)
    assert.equal("invalid", select(2, post(""):json()))
    assert.equal("too_large", select(2, post("[1,2,3]"):json(3)))
  end)
end)

describe("req:form", function()
  local URLENCODED = "application/x-www-form-urlencoded"

  it("decodes fields, the first of each name and all of them", function()
    local fields, lists = post("a=1&b=x+y%21&a=2", URLENCODED .. "; charset=utf-8"):form()
    assert.same({a = "1", b = "x y!"}, fields)
    assert.same({"1", "2"}, lists.a)
  end)

  it("returns what went wrong", function()
    assert.equal("invalid", select(2, post("a=1", "application/json"):form()))
    assert.equal("too_large", select(2, post(("a=1&"):rep(1001), URLENCODED):form()))
  end)
end)

describe("req:chunks", function()
  it("goes through the body", function()
    local seen = {}
    for chunk in fake_request({pieces = {"a", "bc"}}):chunks() do seen[#seen + 1] = chunk end
    assert.same({"a", "bc"}, seen)
  end)

  it("raises when the body does not come whole", function()
    for err, status in pairs {too_large = 413, timeout = 408, aborted = 400, invalid = 400} do
      local ok, raised = pcall(function()
        for _ in fake_request({pieces = {"a", err = err}}):chunks() do end
      end)
      assert.is_false(ok)
      assert.equal(status, raised.status)
    end
  end)
end)
