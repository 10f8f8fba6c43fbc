local core = require "neap.core"
local res = require "neap.res"

local function line_of(fn)
  local _, err = pcall(fn)
  return err
end

describe("neap.res", function()
  it("makes text, pages, JSON, bytes and nothing", function()
    assert.same({200, "text/plain; charset=utf-8", "hi"}, (function(r)
      return {r.status, r.headers["content-type"], r.body}
    end)(res.text("hi")))
    assert.equal("text/html; charset=utf-8", res.html("<p>", 404).headers["content-type"])
    assert.equal(404, res.html("<p>", 404).status)
    assert.equal('{"a":1}', res.json({a = 1}).body)
    assert.equal("application/octet-stream", res.bytes("\0").headers["content-type"])
    assert.equal("image/png", res.bytes("\0", "png").headers["content-type"])
    assert.equal(204, res.empty().status)
    assert.is_nil(res.empty().body)
    assert.equal(core.response, getmetatable(res.empty()))
  end)

  it("says at the caller's line what is wrong", function()
    for _, fn in ipairs {
      function() return res.text(nil) end, function() return res.text("x", 99) end,
      function() return res.json(print) end,
      function() return res.empty(600) end, function() return res.redirect("a\r\nb") end,
      function() return res.bytes("x", "a\nb") end, function() return res.stream("x") end,
      function() return res.stream(print, {typ = "x"}) end, function() return res.file("") end,
      function() return res.file("x", {downlaod = true}) end, function() return res.file("a\0b") end,
    } do
      assert.matches("^[^\n]*res_spec.lua:%d+: ", line_of(function() local r = fn() return r end))
    end
  end)

  it("redirects", function()
    local response = res.redirect("/a b\\c?d=é#x")
    assert.same({302, "/a%20b%5Cc?d=%C3%A9#x"}, {response.status, response.headers.location})
    assert.equal("https://x.y/%20[a]", res.redirect("https://x.y/%20[a]", 308).headers.location)
    for _, wrong in ipairs {"javascript:alert(1)", " JavaScript:alert(1)", "data:text/html,x", "", "a\0"} do
      assert.has_error(function() res.redirect(wrong) end)
    end
    assert.error_matches(function() res.redirect("/", 200) end, "200 is not a redirect")
  end)

  it("describes files", function()
    local response = res.file("a/b.css", {root = "/srv", cache = "1h", etag = false, precompressed = true})
    assert.same({"a/b.css", "/srv", true, "text/css; charset=utf-8", "max-age=3600"}, {response.file, response.root,
      response.precompressed, response.headers["content-type"], response.headers["cache-control"]})
    assert.equal("text/x-own", res.file("a.own", {types = {own = "text/x-own"}}).headers["content-type"])
    assert.equal('attachment; filename="b.pdf"', res.file("a/b.pdf", {download = true}).headers["content-disposition"])
    assert.equal([[attachment; filename="a_b__.pdf"; filename*=UTF-8''a%22b%C3%A9.pdf]],
      res.file("x", {download = 'a"b\u{e9}.pdf'}).headers["content-disposition"])
    assert.is_nil(res.file("x", {download = "a\r\nb"}).headers["content-disposition"]:find("%c"))
  end)

  it("describes streams", function()
    local response = res.stream(print, {type = "text", headers = {["X-A"] = "1"}, status = 206})
    assert.same({print, "text/plain; charset=utf-8", "1", 206}, {response.stream, response.headers["content-type"],
      response.headers["x-a"], response.status})
    assert.equal("a/b", res.stream(print, {headers = {["Content-Type"] = "a/b"}}).headers["content-type"])
  end)
end)

describe("a response", function()
  it("has headers by any case", function()
    local response = res.text("x"):header("X-One", 1):header("X-Many", {"a", "b"})
    response:header("X-Gone", "x"):header("x-gone", nil)
    assert.equal("1", response.headers["x-one"])
    assert.same({"a", "b"}, response.headers["x-many"])
    assert.is_nil(response.headers["x-gone"])
  end)

  it("refuses headers that would split it", function()
    local response = res.text("x")
    for _, value in ipairs {"a\r\nb", "a\n", "a\0b", "\127", {"a", "b\n"}, {}, true} do
      if type(value) ~= "table" or #value > 0 then
        local err = line_of(function() response:header("X-A", value) end)
        assert.matches("res_spec.lua:%d+: the X%-A header", err)
      end
    end
    for _, name in ipairs {"", "a b", "a:", "a\r\nb", "é", "Content-Length", "transfer-encoding", "Connection"} do
      assert.has_error(function() response:header(name, "x") end)
    end
    assert.equal("a\tb", response:header("X-A", "a\tb").headers["x-a"])
  end)

  it("collects cookies", function()
    local response = res.empty():cookie("a", "1"):cookie("b", nil, {path = "/x"})
    assert.same({"a=1; Path=/; HttpOnly; SameSite=Lax",
      "b=; Path=/x; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"},
      response.headers["set-cookie"])
    assert.matches("Max%-Age=120", res.empty():cookie("a", "1", {max_age = "2m"}).headers["set-cookie"][1])
    assert.error_matches(function() response:cookie("a", "1", {samesite = "Lax"}) end, 'did you mean "same_site"')
    assert.matches("res_spec.lua:%d+: ", line_of(function() response:cookie("a b", "1") end))
  end)

  it("has a type, an etag and a time to be kept", function()
    local response = res.text("x"):type("html"):etag("v1"):cache(60.5)
    assert.same({"text/html; charset=utf-8", '"v1"', "max-age=60"},
      {response.headers["content-type"], response.headers.etag, response.headers["cache-control"]})
    assert.equal('W/"v1"', response:etag("v1", true).headers.etag)
    assert.equal("no-store", response:cache("no-store").headers["cache-control"])
    assert.matches("immutable", response:cache("immutable").headers["cache-control"])
    assert.has_error(function() response:type("nonsense") end)
    assert.has_error(function() response:type("a/b\r\n") end)
    assert.has_error(function() response:etag('a"b') end)
    assert.has_error(function() response:cache(true) end)
    assert.has_error(function() response:cache("a\n") end)
  end)
end)

describe("what a handler returns", function()
  local function from(...)
    local r = res.from(...)
    return {r.status, r.body, r.headers["content-type"]}
  end

  it("becomes a response", function()
    local own = res.text("own")
    assert.same({200, "hi", "text/plain; charset=utf-8"}, from("hi"))
    assert.same({200, '{"a":1}', "application/json"}, from({a = 1}))
    assert.same({204}, from())
    assert.same({204}, from(204))
    assert.same({201, "made", "text/plain; charset=utf-8"}, from(201, "made"))
    assert.same({201, '{"a":1}', "application/json"}, from(201, {a = 1}))
    assert.equal(own, res.from(own))
    assert.equal(418, res.from(418, own).status)
    assert.same({"b", {"c", "d"}}, {res.from(200, "x", {["X-A"] = "b"}).headers["x-a"],
      res.from(200, "x", {["X-A"] = {"c", "d"}}).headers["x-a"]})
  end)

  it("is refused when it makes no sense", function()
    for _, wrong in ipairs {true, print, 99, 1.5, 600} do assert.has_error(function() res.from(wrong) end) end
    assert.has_error(function() res.from(200, true) end)
    assert.has_error(function() res.from(200, "x", "y") end)
    assert.has_error(function() res.from(200, "x", {["X-A"] = "a\nb"}) end)
    assert.has_error(function() res.from(200, "x", {["Content-Length"] = "3"}) end)
  end)

  it("is raised when it is an error", function()
    local _, err = pcall(res.from, nil, "not_found")
    assert.equal("not_found", tostring(err))
    assert.equal("not_found", require("neap.app.abort").returned_by(err))
  end)
end)
