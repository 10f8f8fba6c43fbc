local memo = require "neap.base.memo"

-- Remembers `string.upper`, and how often that was asked.
local function counted()
  local calls = 0
  local upper = memo(function(text)
    calls = calls + 1
    return text ~= "" and text:upper() or nil
  end)
  return upper, function() return calls end
end

describe("neap.base.memo", function()
  it("asks once for each text", function()
    local upper, calls = counted()
    for _ = 1, 3 do assert.same({"A", "B"}, {upper "a", upper "b"}) end
    assert.equal(2, calls())
  end)

  it("keeps nothing that is long, and no nil", function()
    local upper, calls = counted()
    local long = ("x"):rep(257)
    for _ = 1, 3 do
      assert.equal(long:upper(), upper(long))
      assert.is_nil(upper "")
    end
    assert.equal(6, calls())
  end)

  it("has room for so many, however many come", function()
    local upper, calls = counted()
    for i = 1, 256 do upper("a" .. i) end
    upper "a1"
    assert.equal(256, calls())
    upper "one more"
    assert.equal("A1", upper "a1")
    assert.equal(258, calls())
  end)

  it("does not keep what raised", function()
    local calls = 0
    local fails = memo(function()
      calls = calls + 1
      error("no")
    end)
    for _ = 1, 2 do assert.is_false((pcall(fails, "a"))) end
    assert.equal(2, calls)
  end)
end)
