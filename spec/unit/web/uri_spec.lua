-- Percent-encoding and query strings: core/http/uri.c, core/web/bind_uri.c.
local core = require "neap.core"

describe("uri_decode", function()
  it("decodes escapes in either case, once", function()
    assert.equal("a b/ü%41", core.uri_decode("a%20b%2f%C3%bc%2541"))
    assert.equal("\0\xff", core.uri_decode("%00%fF"))
    assert.equal("", core.uri_decode(""))
  end)

  it("takes a plus for a space only when told to", function()
    assert.equal("a+b", core.uri_decode("a+b"))
    assert.equal("a b+", core.uri_decode("a+b%2B", true))
  end)

  it("refuses what is no escape", function()
    for _, text in ipairs {"%", "a%", "%4", "%g0", "%0g", "%%41", "% 41", "%-1", "%\xff\xff", "%`0", "%@0"} do
      local value, err = core.uri_decode(text)
      assert.is_nil(value, text)
      assert.equal("invalid", err)
    end
  end)
end)

describe("uri_encode", function()
  it("keeps letters, digits and -._~ and encodes every other byte", function()
    assert.equal("aZ09-._~", core.uri_encode("aZ09-._~"))
    assert.equal("%00%20%2F%25%C3%BC%FF", core.uri_encode("\0 /%ü\xff"))
    assert.equal("", core.uri_encode(""))
  end)

  it("is undone by uri_decode for every byte", function()
    local bytes = {}
    for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
    local all = table.concat(bytes)
    assert.equal(all, core.uri_decode(core.uri_encode(all)))
    assert.equal(all, core.uri_decode(core.uri_encode(all), true))
  end)
end)

describe("parse_query", function()
  local function firsts(text, max) return (core.parse_query(text, max)) end

  it("gives the first value and the list of all", function()
    local values, lists = core.parse_query("a=1&b=2&a=3&a=")
    assert.same({a = "1", b = "2"}, values)
    assert.same({a = {"1", "3", ""}, b = {"2"}}, lists)
  end)

  it("leaves the lists out when only first values are asked for", function()
    assert.same({{a = "1", b = "2"}}, {core.parse_query("a=1&b=2&a=3&a=", nil, true)})
    assert.same({["a b"] = ("x"):rep(1000)}, (core.parse_query("a+b=" .. ("x"):rep(1000), nil, true)))
    assert.same({nil, "too_many"}, {core.parse_query("a&b", 1, true)})
  end)

  it("decodes names and values, with plus as space", function()
    assert.same({["a b"] = "c d", ["ü"] = "=&"}, firsts("a+b=c%20d&%C3%BC=%3D%26"))
  end)

  it("splits at the first equals sign, and takes a missing one for an empty value", function()
    assert.same({a = "b=c", d = "", [""] = "e"}, firsts("a=b=c&d&=e"))
  end)

  it("skips empty fields", function()
    assert.same({a = "1"}, firsts("&&a=1&&"))
    assert.same({}, firsts(""))
    assert.same({}, firsts("&&&", 0))
  end)

  it("keeps an escape that is none as it is, as browsers do", function()
    assert.same({q = "100%", ["%zz"] = "%4", r = "%A"}, firsts("q=100%&%zz=%4&r=%%41"))
  end)

  it("keeps bytes of every kind", function()
    assert.same({["a\0b"] = "\xff\r\n"}, firsts("a%00b=\xff%0D%0A"))
  end)

  it("refuses more fields than allowed", function()
    assert.same({a = "1", b = "2"}, firsts("a=1&b=2&", 2))
    local values, err = core.parse_query("a=1&b=2&c", 2)
    assert.is_nil(values)
    assert.equal("too_many", err)
    assert.is_table(firsts(("a&"):rep(1000)))
    assert.is_nil(firsts(("a&"):rep(1001)))
  end)

  it("takes time in proportion to its input", function()
    local function seconds(text)
      local best = math.huge
      for _ = 1, 3 do
        local start = os.clock()
        core.parse_query(text, 1000000)
        best = math.min(best, os.clock() - start)
      end
      return best
    end
    for _, unit in ipairs {"a=b&", "=", "&", "%", "a+", "a&"} do
      local small, large = seconds(unit:rep(20000)), seconds(unit:rep(200000))
      assert.is_true(large < 0.02 + 60 * small, ("%q: %f s, ten times as long: %f s"):format(unit, small, large))
    end
  end)
end)
