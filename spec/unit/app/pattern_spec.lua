local pattern = require "neap.app.pattern"

describe("filling a route pattern", function()
  it("encodes parameters and keeps the slashes of a splat", function()
    assert.equal("/users/a%20b%2Fc/x", pattern.fill("/users/:name/x", {name = "a b/c"}))
    assert.equal("/files/a%20b/c%3F", pattern.fill("/files/*path", {path = "a b/c?"}))
    assert.equal("/u/7", pattern.fill("/u/:id{int}", {id = 7.0}))
    assert.equal("/a/", pattern.fill("/a/", {}))
    assert.equal("/", pattern.fill("/", {}))
    assert.equal("/x/y", pattern.fill("/x/:b{[^/]+}", {b = "y"}))
  end)

  it("says which parameter is wrong", function()
    assert.matches("needs the parameter id", select(2, pattern.fill("/u/:id", {})))
    assert.matches("cannot have an empty id", select(2, pattern.fill("/u/:id", {id = ""})))
    assert.matches("is not {int}", select(2, pattern.fill("/u/:id{int}", {id = "x"})))
    assert.matches("is not {%%l%+}", select(2, pattern.fill("/u/:id{%l+}", {id = "X"})))
    assert.matches("not a table", select(2, pattern.fill("/u/:id", {id = {}})))
  end)

  it("writes query strings in a fixed order", function()
    assert.equal("?a=1&b=x%26y&b=z", pattern.query({b = {"x&y", "z"}, a = 1}))
    assert.equal("", pattern.query({}))
    assert.equal("", pattern.query(nil))
  end)
end)

describe("prefixes", function()
  local function below(prefix, route) return pattern.below(pattern.parse(prefix), pattern.parse(route)) end

  it("are shortened, and refused when they are none", function()
    assert.equal("/api", pattern.prefix("/api/", "f", 1))
    assert.equal("", pattern.prefix("/", "f", 1))
    for _, wrong in ipairs {"api", "/*rest", "/:x{int}", 5} do
      assert.error_matches(function() pattern.prefix(wrong, "f", 1) end, "f: a prefix")
    end
  end)

  it("know which routes lie below them", function()
    assert.equal("always", below("/admin", "/admin"))
    assert.equal("always", below("/admin", "/admin/users/:id"))
    assert.equal("never", below("/admin", "/administrator"))
    assert.equal("never", below("/admin", "/"))
    assert.equal("depends", below("/admin", "/:section/users"))
    assert.equal("depends", below("/admin", "/*rest"))
    assert.equal("always", below("/teams/:team", "/teams/:id/users"))
    assert.equal("always", below("/teams/:team", "/teams/red"))
    assert.equal("never", below("/teams/:team", "/teams/"))
    assert.equal("never", below("/a/b", "/a"))
  end)

  it("know which paths lie below them", function()
    local is_below = pattern.matcher("/admin")
    for _, path in ipairs {"/admin", "/admin/", "/admin/x", "//admin", "/admin//x"} do
      assert.is_true(is_below(path), path)
    end
    for _, path in ipairs {"/", "/administrator", "/x/admin", ""} do
      assert.is_false(is_below(path), path)
    end
    assert.is_true(pattern.matcher("/t/:team")("/t/red/x"))
    assert.is_false(pattern.matcher("/t/:team")("/t"))
    assert.is_true(pattern.matcher("")("/anything"))
  end)
end)
