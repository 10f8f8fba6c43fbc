local cookie = require "neap.cookie"

local KEYS = {"first key, 16 bytes+", "second key, 16 bytes"}

describe("neap.cookie.parse", function()
  it("reads names and values", function()
    assert.same({a = "1", b = "two"}, cookie.parse("a=1; b=two"))
  end)

  it("takes quotes off and decodes percents", function()
    assert.same({name = "Ada L", plain = "a%zz"}, cookie.parse('name="Ada%20L"; plain=a%zz'))
  end)

  it("keeps the first of two with one name", function()
    assert.same({a = "1"}, cookie.parse("a=1; a=2"))
  end)

  it("skips what is no pair", function()
    assert.same({a = "1", c = ""}, cookie.parse(";; a=1 ; nonsense; =x; c="))
    assert.same({}, cookie.parse(nil))
  end)

  it("reads at most 1000 cookies", function()
    local many = {}
    for i = 1, 2000 do many[i] = "c" .. i .. "=x" end
    local count = 0
    for _ in pairs(cookie.parse(table.concat(many, ";"))) do count = count + 1 end
    assert.equal(1000, count)
  end)

  it("takes time that grows with the length only", function()
    local started = os.clock()
    cookie.parse("a=" .. (" "):rep(200000) .. "b")
    cookie.parse((" "):rep(200000))
    cookie.parse((";"):rep(200000))
    assert.is_true(os.clock() - started < 1)
  end)
end)

describe("neap.cookie.serialise", function()
  it("is careful by default", function()
    assert.equal("a=1; Path=/; HttpOnly; SameSite=Lax", cookie.serialise("a", "1"))
  end)

  it("writes every attribute", function()
    local line = cookie.serialise("a", "1", {path = "/x", domain = "example.com", max_age = 60, expires = 0,
      secure = true, http_only = false, same_site = "none", partitioned = true})
    assert.equal("a=1; Path=/x; Domain=example.com; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; "
      .. "SameSite=None; Partitioned", line)
  end)

  it("round-trips any bytes", function()
    local value = {}
    for byte = 0, 255 do value[#value + 1] = string.char(byte) end
    value = table.concat(value)
    local pair = cookie.serialise("a", value):match("^[^;]*")
    assert.equal(value, cookie.parse(pair).a)
    assert.is_nil(pair:find("[^!-~]"))
  end)

  it("refuses what browsers drop", function()
    assert.error_matches(function() cookie.serialise("a b", "1") end, "a name is letters")
    assert.error_matches(function() cookie.serialise("a", "1", {same_site = "None"}) end, "needs secure=true")
    assert.error_matches(function() cookie.serialise("__Host-a", "1", {secure = true, domain = "x.y"}) end, "no domain")
    assert.error_matches(function() cookie.serialise("a", "1", {path = "/;x"}) end, "path may not contain")
    assert.error_matches(function() cookie.serialise("a", "1", {path = "/\r\nSet-Cookie: b=2"}) end, "path may not")
    assert.error_matches(function() cookie.serialise("a", ("x"):rep(5000)) end, "browsers drop cookies over 4096")
  end)

  it("shows the caller's line in an error", function()
    local _, err = pcall(function() cookie.serialise("a b", "1") end)
    assert.matches("cookie_spec.lua:%d+: ", err)
  end)
end)

describe("signed cookies", function()
  it("verify with every key, and are signed with the first", function()
    local signed = cookie.sign("user", "ada\0\255", {KEYS[2]})
    assert.equal("ada\0\255", cookie.verify("user", signed, KEYS))
    assert.not_equal(signed, cookie.sign("user", "ada\0\255", KEYS))
  end)

  it("refuse a changed value, another name and another key", function()
    local signed = cookie.sign("user", "ada", KEYS)
    local last = signed:sub(-4, -4) == "A" and "B" or "A"
    local changed = signed:sub(1, -5) .. last .. signed:sub(-3)
    for _, forged in ipairs {"", ".", "x.y", signed .. "x", "B" .. signed:sub(2), changed} do
      local value, err = cookie.verify("user", forged, KEYS)
      assert.is_nil(value)
      assert.equal("invalid", err)
    end
    assert.is_nil(cookie.verify("role", signed, KEYS))
    assert.is_nil(cookie.verify("user", signed, {"a very different key"}))
  end)

  it("say what to do when there is no key", function()
    assert.error_matches(function() cookie.sign("user", "ada", nil) end, "put secrets = ")
    assert.error_matches(function() cookie.sign("user", "ada", {"short"}) end, "secrets%[1%] is too short")
  end)
end)
