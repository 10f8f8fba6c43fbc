local options = require "neap.base.options"
local units = require "neap.base.units"

describe("durations and sizes", function()
  it("are numbers or text with a unit", function()
    assert.equal(1.5, units.duration(1.5))
    assert.equal(0.25, units.duration("250ms"))
    assert.equal(300, units.duration("5m"))
    assert.equal(3600, units.duration("1 h"))
    assert.equal(4096, units.size(4096))
    assert.equal(1048576, units.size("1MB"))
    assert.equal(1536, units.size("1.5kb"))
    assert.equal("integer", math.type(units.size("1MB")))
  end)

  it("explain what they take", function()
    for _, wrong in ipairs {"", "5", "5x", "m", -1, math.huge, 0 / 0, "1e3s", {}} do
      local value, err = units.duration(wrong)
      assert.is_nil(value)
      assert.matches("a duration is", err)
    end
    for _, wrong in ipairs {"1.5B", "MB", -1, 1.5, "1TBX"} do
      assert.matches("a size is", select(2, units.size(wrong)))
    end
  end)
end)

describe("options", function()
  local KNOWN = {timeout = "duration", limit = "size", name = "string", flag = "boolean|number"}

  it("are checked and converted", function()
    assert.same({timeout = 0.5, limit = 1024, name = "x", flag = true},
      options.check({timeout = "500ms", limit = "1KB", name = "x", flag = true}, KNOWN, "f", 1))
    assert.same({}, options.check(nil, KNOWN, "f", 1))
  end)

  it("say what was meant", function()
    assert.error_matches(function() options.check({timout = 1}, KNOWN, "f", 1) end,
      'f: unknown option "timout"; did you mean "timeout"%?')
    assert.error_matches(function() options.check({zzzzzzzz = 1}, KNOWN, "f", 1) end, "there are: flag, limit, name")
    assert.error_matches(function() options.check({[1] = 1}, KNOWN, "f", 1) end, "unknown option 1")
    assert.error_matches(function() options.check({name = 1}, KNOWN, "f", 1) end, "option name: it is a string, not 1")
    assert.error_matches(function() options.check({flag = "x"}, KNOWN, "f", 1) end, "boolean or number")
    assert.error_matches(function() options.check("x", KNOWN, "f", 1) end, "the options are a table")
  end)

  it("show the caller's line", function()
    local function public(opts) options.check(opts, KNOWN, "f", 2) end
    local _, err = pcall(function() public {wrong = 1} end)
    assert.matches("options_spec.lua:" .. debug.getinfo(1, "l").currentline - 1 .. ":", err)
  end)
end)
