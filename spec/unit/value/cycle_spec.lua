-- What cannot be kept is refused in a whole sentence, however deep it is and however long its keys are.
local store = require("neap").store "spec.cycle"

local function deep(key, depth, value)
  for _ = 1, depth do value = {[key] = value} end
  return value
end

local function cycle(key)
  local t = {}
  t[key] = t
  return t
end

describe("a value that cannot be kept", function()
  it("is refused in a whole sentence", function()
    for _, key in ipairs {"a", "name.", ("k"):rep(60), 1, true, 1.5} do
      for _, value in ipairs {cycle(key), {inner = cycle(key)}, deep(key, 1, print), deep(key, 60, print)} do
        local ok, err = pcall(store.set, store, "x", value)
        assert.is_false(ok)
        assert.matches("^bad argument #%d to '[^']+' %(a .+ at %..+ cannot be kept: only plain data can%)$", err)
      end
    end
  end)
end)
