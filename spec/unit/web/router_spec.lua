-- The router: core/http/router.c, pattern.c, core/web/bind_router.c, lua_pattern.c.
local core = require "neap.core"

-- A router with routes given as "GET /pattern", numbered in their order.
local function router(routes)
  local r = core.router()
  for id, route in ipairs(routes) do
    local method, pattern = route:match("^(%S+) (.*)$")
    assert(r:add(method, pattern, id, "app.lua:" .. id))
  end
  return r
end

local function refused(pattern, method)
  local ok, sentence = core.router():add(method or "GET", pattern, 1, "app.lua:1")
  assert.is_nil(ok, pattern)
  assert.equal(("route %s %s (app.lua:1): "):format(method or "GET", pattern), sentence:match("^route .- %(.-%): "))
  return sentence:match("%): (.*)")
end

describe("the router", function()
  it("finds literal paths exactly", function()
    local r = router {"GET /", "GET /a", "GET /a/", "GET /a/b", "GET /ab"}
    for id, path in ipairs {"/", "/a", "/a/", "/a/b", "/ab"} do
      assert.equal(id, r:find("GET", path))
    end
    for _, path in ipairs {"", "a", "*", "//", "/b", "/a/b/", "/a//b", "/A", "/a\0", "/abc"} do
      assert.is_nil(r:find("GET", path), path)
    end
  end)

  it("gives parameters by name", function()
    local r = router {"GET /users/:id/posts/:post_id", "GET /files/*rest"}
    local id, params = r:find("GET", "/users/42/posts/a b")
    assert.equal(1, id)
    assert.same({id = "42", post_id = "a b"}, params)
    assert.same({rest = "a/b//c.txt"}, select(2, r:find("GET", "/files/a/b//c.txt")))
    assert.same({rest = ""}, select(2, r:find("GET", "/files/")))
    assert.is_nil(r:find("GET", "/files"))
  end)

  it("has no empty parameters", function()
    local r = router {"GET /users/:id", "GET /x/:id{int}", "GET /y/:id{%w*}"}
    assert.is_nil(r:find("GET", "/users/"))
    assert.is_nil(r:find("GET", "/users//"))
    assert.is_nil(r:find("GET", "/x/"))
    assert.is_nil(r:find("GET", "/y/"))
  end)

  it("prefers literal, then int, then pattern, then parameter, then splat, in whatever order they came", function()
    local routes = {"GET /*rest", "GET /:name", "GET /:word{%w+}", "GET /:n{int}", "GET /7"}
    local order = {["/7"] = "GET /7", ["/8"] = "GET /:n{int}", ["/a8"] = "GET /:word{%w+}", ["/a-8"] = "GET /:name",
      ["/a/8"] = "GET /*rest", ["/"] = "GET /*rest"}
    for _, list in ipairs {routes, {routes[5], routes[4], routes[3], routes[2], routes[1]}} do
      local r = router(list)
      for path, expected in pairs(order) do assert.equal(expected, list[r:find("GET", path)], path) end
    end
  end)

  it("goes back when a better beginning leads nowhere", function()
    local r = router {"GET /a/b/c", "GET /a/:x/d", "GET /:y/b/e", "GET /*rest", "GET /:n{int}/f"}
    assert.equal(1, r:find("GET", "/a/b/c"))
    assert.same({2, {x = "b"}}, {r:find("GET", "/a/b/d")})
    assert.same({3, {y = "a"}}, {r:find("GET", "/a/b/e")})
    assert.same({4, {rest = "a/b/f"}}, {r:find("GET", "/a/b/f")})
    assert.same({5, {n = "1"}}, {r:find("GET", "/1/f")})
  end)

  it("goes on to a route with the method", function()
    local r = router {"GET /users/new", "POST /users/:id", "DELETE /*all"}
    assert.same({2, {id = "new"}}, {r:find("POST", "/users/new")})
    assert.same({3, {all = "users/new"}}, {r:find("DELETE", "/users/new")})
  end)

  it("takes for {int} what fits 64 bits", function()
    local r = router {"GET /:n{int}"}
    for _, text in ipairs {"0", "-0", "007", "9223372036854775807", "-9223372036854775808",
      "00000000000000000000000000001"} do
      assert.same({1, {n = text}}, {r:find("GET", "/" .. text)})
    end
    for _, text in ipairs {"-", "--1", "+1", "1.0", "0x1", "1e3", " 1", "9223372036854775808", "-9223372036854775809",
      "18446744073709551616", "92233720368547758070", "1-", "a", "\xff"} do
      assert.is_nil(r:find("GET", "/" .. text), text)
    end
  end)

  it("matches Lua patterns with the whole segment", function()
    local r = router {"GET /:slug{[%w-]+}", "GET /x/:v{v(%d+)}", "GET /y/:b{%b{}}/z", "GET /z/:c{[^}]}"}
    assert.equal(1, r:find("GET", "/a-b-1"))
    assert.is_nil(r:find("GET", "/a_b"))
    assert.same({2, {v = "v12"}}, {r:find("GET", "/x/v12")})
    assert.is_nil(r:find("GET", "/x/v12a"))
    assert.same({3, {b = "{a{}}"}}, {r:find("GET", "/y/{a{}}/z")})
    assert.equal(4, r:find("GET", "/z/a"))
    assert.is_nil(r:find("GET", "/z/}"))
  end)

  it("tries different patterns of one place in the order of their definition", function()
    local r = router {"GET /:a{%w+}", "GET /:b{%d+}", "GET /:c{%d+}/x"}
    assert.equal(1, r:find("GET", "/12"))
    assert.equal(3, r:find("GET", "/12/x"))
  end)

  it("matches patterns that are too complex for string.find", function()
    local r = router {"GET /:a{" .. ("a?"):rep(300) .. "}", "GET /:b"}
    assert.equal(1, r:find("GET", "/" .. ("a"):rep(20)))
    assert.equal(1, r:find("GET", "/" .. ("a"):rep(250)))
    assert.equal(2, r:find("GET", "/" .. ("a"):rep(250) .. "b"))
  end)

  it("matches no pattern with a segment of more than 255 bytes, which could take for ever", function()
    local r = router {"GET /:a{.-.-.-b}", "GET /:b"}
    assert.equal(1, r:find("GET", "/" .. ("a"):rep(254) .. "b"))
    assert.equal(2, r:find("GET", "/" .. ("a"):rep(255) .. "b"))
    assert.equal(2, r:find("GET", "/" .. ("a"):rep(100000)))
  end)

  it("finds from any coroutine", function()
    local r = router {"GET /:slug{[%w-]+}"}
    local id
    coroutine.wrap(function() coroutine.wrap(function() id = r:find("GET", "/a") end)() end)()
    assert.equal(1, id)
  end)

  it("takes as many parameters as it says", function()
    local names, values = {}, {}
    for i = 1, 16 do names[i], values[i] = ":p" .. i, tostring(i) end
    local r = router {"GET /" .. table.concat(names, "/")}
    local _, params = r:find("GET", "/" .. table.concat(values, "/"))
    assert.equal("16", params.p16)
    assert.matches("one parameter too many", refused("/" .. table.concat(names, "/") .. "/*rest"))
  end)

  it("checks its arguments", function()
    local r = core.router()
    assert.has_error(function() r:add("GET", "/a\0b", 1, "x") end)
    assert.has_error(function() r:add("GET", "/a", -1, "x") end)
    assert.has_error(function() r:add("GET", "/a", 1) end)
    assert.has_error(function() r.find({}, "GET", "/a") end)
    assert.has_error(function() getmetatable(r).__gc(r) r:find("GET", "/") end)
  end)
end)

describe("methods", function()
  it("let HEAD find GET, and OPTIONS nothing by itself", function()
    local r = router {"GET /a", "HEAD /b", "GET /b", "OPTIONS /c"}
    assert.equal(1, r:find("HEAD", "/a"))
    assert.equal(2, r:find("HEAD", "/b"))
    assert.equal(3, r:find("GET", "/b"))
    assert.equal(4, r:find("OPTIONS", "/c"))
    assert.same({nil, "GET, HEAD, OPTIONS"}, {r:find("OPTIONS", "/a")})
  end)

  it("beat ANY in the same place, not in a better one", function()
    local r = router {"ANY /a", "GET /a", "ANY /b", "GET /:x"}
    assert.equal(2, r:find("GET", "/a"))
    assert.equal(2, r:find("HEAD", "/a"))
    assert.equal(1, r:find("POST", "/a"))
    assert.equal(1, r:find("OPTIONS", "/a"))
    assert.equal(1, r:find("PROPFIND", "/a"))
    assert.equal(3, r:find("GET", "/b"))
  end)

  it("that are missing are answered with those of every route that fits", function()
    local r = router {"GET /users/new", "POST /users/:id", "PUT /users/:n{int}", "DELETE /*all", "PATCH /other"}
    assert.same({nil, "GET, HEAD, POST, DELETE, OPTIONS"}, {r:find("PATCH", "/users/new")})
    assert.same({nil, "POST, PUT, DELETE, OPTIONS"}, {r:find("GET", "/users/7")})
    assert.same({nil, "DELETE, OPTIONS"}, {r:find("BREW", "/tea")})
  end)

  it("are not asked for where there is no path", function()
    local r = router {"GET /a"}
    assert.equal(1, select("#", r:find("GET", "/b")))
    assert.equal(1, select("#", r:find("", "")))
  end)

  it("are known by their names in capitals", function()
    assert.matches("none of GET, HEAD, POST", refused("/", "get"))
    assert.matches("none of GET, HEAD, POST", refused("/", "BREW"))
    assert.matches("none of GET, HEAD, POST", refused("/", ""))
  end)
end)

describe("ties", function()
  local function tie(first, second)
    local r = router {first}
    local method, pattern = second:match("^(%S+) (.*)$")
    local ok, sentence = r:add(method, pattern, 2, "b.lua:2")
    assert.is_nil(ok, second)
    assert.equal(("route %s (b.lua:2) can never be told apart from %s (app.lua:1)"):format(second, first), sentence)
    assert.equal(1, r:find("GET", "/users/7"))
  end

  it("are errors that name both definitions", function()
    tie("GET /users/:id", "GET /users/:name")
    tie("GET /users/7", "GET /users/7")
    tie("GET /*rest", "GET /*everything")
    tie("GET /users/:id{int}", "GET /users/:n{int}")
    tie("GET /users/:id{%d}", "GET /users/:n{%d}")
    tie("ANY /users/:id", "ANY /users/:name")
  end)

  it("are only between routes of one method and one form", function()
    router {"GET /users/:id", "POST /users/:id", "ANY /users/:id", "HEAD /users/:id", "GET /users/:id/",
      "GET /users/:id{int}", "GET /users/:id{%d+}", "GET /users/:id{%d*}", "GET /users/*id", "GET /users/id",
      "GET /users/:other/x", "GET /users/:another/y"}
  end)
end)

describe("a bad pattern", function()
  it("does not start with a slash", function()
    assert.equal('a pattern starts with "/"', refused(""))
    assert.equal('a pattern starts with "/"', refused("a/:b"))
  end)

  it("has a splat that is not the last segment", function()
    assert.equal("*rest must be the last segment", refused("/a/*rest/b"))
    assert.equal("*rest must be the last segment", refused("/a/*rest/"))
  end)

  it("has a name twice", function()
    assert.equal(":id has the name of an earlier parameter", refused("/:id/b/:id"))
    assert.equal("*id has the name of an earlier parameter", refused("/:id{int}/*id"))
  end)

  it("has a parameter without a name", function()
    for _, segment in ipairs {":", "*", ":1a", ":a-b", ":{int}", "*a{int}", ":a:b", "*a*", ":a b"} do
      assert.matches("needs a name of letters", refused("/" .. segment))
    end
  end)

  it("mixes text and a parameter", function()
    assert.equal("user-:id mixes text and a parameter: a parameter is a whole segment", refused("/user-:id"))
    assert.matches("mixes text", refused("/a*/b"))
  end)

  it("has a constraint that is none", function()
    assert.matches("has an unknown constraint: use {int}", refused("/:id{integer}"))
    assert.matches("has an unknown constraint", refused("/:id{}"))
    assert.matches('must end with a "}"', refused("/:id{int"))
    assert.matches('must end with a "}"', refused("/:id{int}x"))
    assert.matches('must end with a "}"', refused("/:id{int/x"))
    assert.matches("has a constraint without a parameter", refused("/{id}"))
  end)

  it("has an invalid Lua pattern", function()
    local bad = {["[a"] = "missing ']'", ["[]"] = "missing ']'", ["[^]"] = "missing ']'", ["[%"] = "missing ']'",
      ["[%]"] = "missing ']'", ["a%"] = "ends with '%'", ["%bx"] = "missing arguments", ["%b"] = "missing arguments",
      ["%fa"] = "missing '['", ["%f"] = "missing '['", ["(a"] = "unfinished", ["a)"] = "without its '('",
      ["%1"] = "back reference", ["(a%1)"] = "back reference", ["%0"] = "back reference", ["()%2"] = "back reference",
      ["^a"] = "leave out the \"^\"", ["a$"] = "leave out the \"$\"", [("()"):rep(33)] = "too many captures"}
    for text, expected in pairs(bad) do
      local reason = refused("/:x{" .. text .. "}")
      assert.truthy(reason:find(expected, 1, true), text .. ": " .. reason)
    end
  end)

  it("is one that string.find would refuse, and no other", function()
    local pieces = {"a", "[", "]", "^", "%", "(", ")", "b", "f", "1", "-", "*", "$", "x", "%w", "[a]", "()"}
    local seed = 42
    local function random(n)
      seed = (seed * 1103515245 + 12345) % 0x80000000
      return (seed >> 16) % n + 1
    end
    -- string.find notices a mistake only where the subject leads: try subjects that get far.
    local function find_refuses(pattern)
      for _, subject in ipairs {"", "a", "b", "x", "1", "f", "aa", "a]", "^", "abfx1", "axbxfx", "-", "*", "1]"} do
        if not pcall(string.find, subject, "^" .. pattern .. "$") then return true end
      end
    end
    for _ = 1, 2000 do
      local list = {"x?"}
      for i = 2, random(6) + 1 do list[i] = pieces[random(#pieces)] end
      local pattern = table.concat(list)
      local accepted = core.router():add("GET", "/:x{" .. pattern .. "}", 1, "x")
      if find_refuses(pattern) then assert.is_nil(accepted, pattern) end
    end
  end)

  it("leaves the router as it was", function()
    local r = router {"GET /a"}
    assert.is_nil(r:add("GET", "/b/:x{[a}", 2, "x"))
    assert.is_nil(r:add("GET", "/b/:x{%d+}/*r/c", 2, "x"))
    assert.is_nil(r:find("GET", "/b/1"))
    assert(r:add("GET", "/b/:y{%a+}", 3, "x"))
    assert.same({3, {y = "k"}}, {r:find("GET", "/b/k")})
  end)
end)

describe("the router against a plain one", function()
  -- The rule in a few lines: of all routes that fit, the one whose kinds of segments come first, left to right.
  local RANK = {literal = 1, int = 2, param = 4, splat = 5}

  local function kind_of(segment)
    if segment:sub(1, 1) == "*" then return "splat" end
    if segment:sub(1, 1) ~= ":" then return "literal" end
    return segment:find("{int}", 1, true) and "int" or "param"
  end

  local function split(path)
    local list = {}
    for segment in path:gmatch("/([^/]*)") do list[#list + 1] = segment end
    return list
  end

  local function ranks(pattern, path)
    local result, segments = {}, split(path)
    for i, segment in ipairs(split(pattern)) do
      local kind, text = kind_of(segment), segments[i]
      if not text then return nil end
      result[i] = RANK[kind]
      if kind == "splat" then return result end
      if kind == "literal" and segment ~= text then return nil end
      if kind ~= "literal" and text == "" then return nil end
      if kind == "int" and not text:find("^%-?%d+$") then return nil end
    end
    return #result == #segments and result or nil
  end

  local function is_better(a, b)
    for i = 1, math.min(#a, #b) do
      if a[i] ~= b[i] then return a[i] < b[i] end
    end
    return false
  end

  local function plain_find(patterns, path)
    local best, best_ranks
    for _, pattern in ipairs(patterns) do
      local fit = ranks(pattern, path)
      if fit and (not best or is_better(fit, best_ranks)) then best, best_ranks = pattern, fit end
    end
    return best
  end

  it("finds the same routes", function()
    local seed = 7
    local function pick(list)
      seed = (seed * 1103515245 + 12345) % 0x80000000
      return list[(seed >> 16) % #list + 1]
    end
    for _ = 1, 100 do
      local r, patterns = core.router(), {}
      for id = 1, 30 do
        local pattern = ""
        for i = 1, pick {1, 2, 3, 4} do
          pattern = pattern .. "/" .. pick {"a", "b", "1", "", ":p" .. i, ":n" .. i .. "{int}"}
        end
        if pick {1, 2, 3, 4} == 1 then pattern = pattern .. "/*rest" end
        if r:add("GET", pattern, #patterns + 1, "x:" .. id) then patterns[#patterns + 1] = pattern end
      end
      for _ = 1, 100 do
        local path = ""
        for _ = 1, pick {1, 2, 3, 4, 5} do path = path .. "/" .. pick {"a", "b", "1", "", "c", "22"} end
        assert.equal(plain_find(patterns, path), patterns[r:find("GET", path)], path)
      end
    end
  end)
end)
