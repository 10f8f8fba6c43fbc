-- JSON both ways: lua/neap/json.lua, core/value/json*.c.
local json = require "neap.json"

local function encode_error(value)
  local ok, err = pcall(json.encode, value)
  assert.is_false(ok)
  return err
end

local function nest(levels)
  local value = {}
  for _ = 2, levels do value = {value} end
  return value
end

-- A round trip that keeps the type of numbers, which == does not look at.
local function assert_same_number(number)
  local back = json.decode(json.encode(number))
  assert.equal(number, back)
  assert.equal(math.type(number), math.type(back))
end

describe("json.encode", function()
  it("writes plain values", function()
    assert.equal("true", json.encode(true))
    assert.equal("false", json.encode(false))
    assert.equal("null", json.encode(nil))
    assert.equal("null", json.encode(json.null))
    assert.equal('"text"', json.encode("text"))
    assert.equal("42", json.encode(42))
  end)

  it("writes a list as an array and other tables as objects", function()
    assert.equal('[1,"two",[3]]', json.encode({1, "two", {3}}))
    assert.equal('{"a":{"b":1}}', json.encode({a = {b = 1}}))
  end)

  it("writes an empty table as an object, and as an array when it is marked", function()
    assert.equal("{}", json.encode({}))
    assert.equal("[]", json.encode(json.array()))
    assert.equal('{"items":[]}', json.encode({items = json.array({})}))
  end)

  it("writes a list whose items were not stored in order", function()
    local list = {}
    for i = 9, 1, -1 do list[i] = i end
    assert.equal("[1,2,3,4,5,6,7,8,9]", json.encode(list))
  end)

  it("writes nested lists stored out of order in linear time", function()
    local value = {1}
    for _ = 1, 100 do
      local list = {}
      list[3], list[2], list[1] = 3, 2, value
      value = list
    end
    assert.equal(3 + 100 * 6, #json.encode(value))
  end)

  it("keeps 64-bit integers exact", function()
    assert.equal("12345678901234567", json.encode(12345678901234567))
    assert.equal("9223372036854775807", json.encode(math.maxinteger))
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
    assert.equal("0", json.encode(0))
  end)

  it("writes floats as the shortest text that reads back the same", function()
    assert.equal("0.1", json.encode(0.1))
    assert.equal("1.0", json.encode(1.0))
    assert.equal("1e300", json.encode(1e300))
    for _, number in ipairs({0.1, 1 / 3, 1.0, -0.5, 5e-324, 1.7976931348623157e308, 2^53, 2^63}) do
      assert_same_number(number)
    end
  end)

  it("escapes what JSON requires and nothing else", function()
    assert.equal([["\"\\/\b\f\n\r\t\u0000\u001f]] .. "\127ä€🌊\"", json.encode('"\\/\b\f\n\r\t\0\31\127ä€🌊'))
  end)

  it("escapes at every position of a long text", function()
    for at = 1, 40 do
      local text = ("x"):rep(at - 1) .. "\n" .. ("y"):rep(40 - at)
      assert.equal('"' .. text:gsub("\n", "\\n") .. '"', json.encode(text))
      assert.equal(text, json.decode(json.encode(text)))
    end
  end)

  it("writes keys with the same care as values", function()
    assert.equal([[{"a\"\n":1}]], json.encode({['a"\n'] = 1}))
  end)

  it("indents when asked to", function()
    assert.equal('{\n  "a": [\n    1,\n    {}\n  ]\n}', json.encode({a = {1, {}}}, {pretty = true}))
    assert.equal('[]', json.encode(json.array(), {pretty = true}))
  end)

  it("ignores metamethods", function()
    local object = setmetatable({a = 1}, {__index = {b = 2}, __pairs = function() error("called") end})
    assert.equal('{"a":1}', json.encode(object))
  end)

  it("names what it cannot encode, where, and the caller's line", function()
    local ok, err = pcall(function() return (json.encode({a = {b = print}})) end)
    assert.is_false(ok)
    assert.matches("json_spec%.lua:%d+: cannot encode a function at %.a%.b$", err)
    assert.matches("cannot encode a thread at %[2%]%.x$", encode_error({1, {x = coroutine.create(print)}}))
    assert.matches("cannot encode a function$", encode_error(print))
    assert.matches("cannot encode a userdata$", encode_error(io.stdout))
  end)

  it("refuses numbers that JSON does not have", function()
    assert.matches("nan.* at %.n$", encode_error({n = 0 / 0}))
    assert.matches("infinite", encode_error(math.huge))
    assert.matches("infinite", encode_error(-math.huge))
  end)

  it("refuses text that is not UTF-8", function()
    for _, text in ipairs({"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "abcdefgh\xe2\x82", "\x80"}) do
      assert.matches("not UTF%-8 at %.s$", encode_error({s = text}))
      assert.matches("key that is not UTF%-8", encode_error({[text] = 1}))
    end
  end)

  it("refuses tables that are neither list nor object, naming the key", function()
    assert.matches('key "x" of a table that is also a list', encode_error({1, 2, x = 3}))
    assert.matches("key 3 without the keys before it", encode_error({[1] = 1, [3] = 3}))
    assert.matches("key 2 without the keys before it", encode_error({[2] = 1}))
    local mixed = encode_error({t = {x = 1, [10] = 2}}) -- either key may come first
    assert.is_truthy(mixed:find("key 10 %(the keys of an object are strings%) at %.t")
      or mixed:find('key "x" of a table that is also a list at %.t'), mixed)
    assert.matches("key 1.5 ", encode_error({[1.5] = 1}))
    assert.matches("a boolean as a key", encode_error({[true] = 1}))
    assert.matches('key "n" of a table that is also a list', encode_error(json.array({n = 1})))
    assert.matches("key 0 ", encode_error({[0] = 1}))
  end)

  it("takes 128 levels and refuses more, cycles included", function()
    assert.equal(("["):rep(127) .. "{}" .. ("]"):rep(127), json.encode(nest(128)))
    assert.matches("deeper than 128", encode_error(nest(129)))
    local cycle = {}
    cycle.self = cycle
    assert.matches("deeper than 128 .*%(does one contain itself%?%) at %.self%.self", encode_error(cycle))
  end)

  it("raises for wrong arguments", function()
    assert.has_error(function() json.encode() end)
    assert.has_error(function() json.encode({}, "pretty") end)
  end)

  it("stays usable after errors and large texts", function()
    assert.is_false(pcall(json.encode, {("x"):rep(100000), print}))
    assert.equal(1000002, #json.encode(("x"):rep(1000000)))
    assert.equal("[1]", json.encode({1}))
  end)
end)

describe("json.decode", function()
  it("reads plain values", function()
    assert.is_true(json.decode("true"))
    assert.is_false(json.decode(" false\n"))
    assert.equal(json.null, json.decode("null"))
    assert.equal("text", json.decode('"text"'))
  end)

  it("reads nested values", function()
    assert.same({a = {1, {b = "c"}}, d = true}, json.decode('{"a":[1,{"b":"c"}],"d":true}'))
  end)

  it("keeps integers that fit 64 bits and makes floats of others", function()
    assert.equal(12345678901234567, json.decode("12345678901234567"))
    assert.equal(math.mininteger, json.decode("-9223372036854775808"))
    assert.equal("integer", math.type(json.decode("9223372036854775807")))
    assert.equal("float", math.type(json.decode("9223372036854775808")))
    assert.equal(2^64, json.decode("18446744073709551616"))
    assert.equal("float", math.type(json.decode("1.0")))
    assert.equal("float", math.type(json.decode("1e2")))
  end)

  it("reads escapes, surrogate pairs and NUL", function()
    assert.equal('"\\/\b\f\n\r\t\0ä🌊', json.decode([["\"\\\/\b\f\n\r\t\u0000\u00e4\ud83c\udf0a"]]))
  end)

  it("writes arrays and objects back as what they were, empty ones too", function()
    for _, text in ipairs({"[]", "{}", "[[],{}]", '{"a":[]}', "[null]"}) do
      assert.equal(text, json.encode(json.decode(text)))
    end
  end)

  it("takes the last of equal keys", function()
    assert.same({a = 2}, json.decode('{"a":1,"a":2}'))
  end)

  it("says what is wrong, at which byte and line", function()
    local cases = {
      ["[1,2"] = "unexpected end of data at byte 5 %(line 1%)",
      ["{\n\"a\":\nx}"] = "at byte 8 %(line 3%)",
      ["[1] 2"] = "at byte 5 %(line 1%)",
      [""] = "the JSON text is empty",
      ["  "] = "empty",
    }
    for text, expected in pairs(cases) do
      local value, err = json.decode(text)
      assert.is_nil(value)
      assert.matches(expected, err)
    end
  end)

  it("refuses what is not JSON", function()
    local texts = {"[1,]", "{a:1}", "'a'", "01", "+1", ".5", "1.", "NaN", "Infinity", "1e999", "[1 2]", "tru", '"\n"',
      '"\xff"', '"\\x"', '"\\ud800"', "// comment\n1", "\xef\xbb\xbf1", "[1]\0", "\0"}
    for _, text in ipairs(texts) do
      local value, err = json.decode(text)
      assert.is_nil(value, text)
      assert.is_string(err)
    end
  end)

  it("takes 128 levels and refuses more, however many", function()
    local function brackets(levels) return ("["):rep(levels) .. ("]"):rep(levels) end
    assert.equal(brackets(128), json.encode(json.decode(brackets(128))))
    for _, levels in ipairs({129, 100000}) do
      local value, err = json.decode(brackets(levels))
      assert.is_nil(value)
      assert.equal("nested deeper than 128 levels", err)
    end
    assert.is_nil((json.decode(('{"a":'):rep(129) .. "1" .. ("}"):rep(129))))
  end)

  it("raises for an argument that is no text", function()
    assert.has_error(function() json.decode(nil) end)
    assert.has_error(function() json.decode({}) end)
  end)
end)

describe("json.array", function()
  it("gives the same table back, or a new one", function()
    local list = {1}
    assert.equal(list, json.array(list))
    assert.equal(list, json.array(list)) -- twice is fine
    assert.same({}, json.array())
  end)

  it("refuses what is no plain table", function()
    assert.has_error(function() json.array("x") end)
    assert.has_error(function() json.array(setmetatable({}, {})) end)
  end)
end)

describe("json.null", function()
  it("prints as null and is itself only", function()
    assert.equal("null", tostring(json.null))
    assert.equal(json.null, json.decode("[null]")[1])
    assert.not_equal(json.null, nil)
  end)
end)
