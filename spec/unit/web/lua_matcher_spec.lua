-- Lua patterns of routes: matched as string.find would, but in steps that no text can multiply.
local core = require "neap.core"

local ITEMS = {"a", "b", "%d", "%w", "[ab]", "[^a]", "[a-c%d]", "[%w_-]", ".", "%-", "_", "%D", "%x", "[]a]", "[^]b]", "%u", "%p"}
local REPEATS = {"", "", "", "*", "+", "-", "?"}
local BYTES = {"a", "b", "c", "1", "2", "-", "_", "]", "A", "Z"}

local function pick(list)
  return list[math.random(#list)]
end

local function random_pattern()
  local pieces = {}
  for i = 1, math.random(5) do
    local item = pick(ITEMS) .. pick(REPEATS)
    if math.random(6) == 1 then item = "(" .. item .. ")" end
    if math.random(10) == 1 then item = "%f[%w]" .. item end
    if math.random(12) == 1 then item = item .. "()" end
    pieces[i] = item
  end
  return table.concat(pieces)
end

local function random_text()
  local pieces = {}
  for i = 1, math.random(0, 8) do pieces[i] = pick(BYTES) end
  return table.concat(pieces)
end

local function router_of(pattern)
  local router = core.router()
  local ok, why = router:add("GET", ("/:a{%s}"):format(pattern), 1, "app.lua:1")
  return ok and router, why
end

describe("a pattern of a route", function()
  it("matches what string.find matches", function()
    for _ = 1, 3000 do
      local pattern = random_pattern()
      local router = router_of(pattern)
      for _ = 1, router and 6 or 0 do
        local text = random_text()
        local expected = text ~= "" and text:find("^" .. pattern .. "$") ~= nil
        assert.equal(expected, router:find("GET", "/" .. text) == 1, ("{%s} and %q"):format(pattern, text))
      end
    end
  end)

  for _, pattern in ipairs {("[a-z]*"):rep(40) .. "x", (".-"):rep(30) .. "b", ("a?"):rep(200) .. ("a"):rep(200),
      ("(%w+)-?"):rep(20), ("[^-]*-?"):rep(40) .. "!"} do
    it("does not take longer for any text: " .. pattern:sub(1, 20), function()
      local router = assert(router_of(pattern))
      for _, text in ipairs {("a"):rep(254), ("a"):rep(253) .. "!", ("ab-"):rep(84)} do router:find("GET", "/" .. text) end
    end)
  end

  it("is refused, with its place, when it could", function()
    for _, pattern in ipairs {".*%b()x*", "(.-)(.-)%1", ".-.-%b{}"} do
      local router, why = router_of(pattern)
      assert.is_falsy(router)
      assert.matches("app.lua:1", why, 1, true)
      assert.matches("could take too long", why, 1, true)
    end
    assert.is_truthy(router_of("(.-)%1"))
    assert.is_truthy(router_of("%b{}"))
  end)
end)
