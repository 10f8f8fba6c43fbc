-- One call of C cannot be stopped, so what a number of elements makes long has a limit.
local HUGE = 2 ^ 53 | 0

local function counted(count)
  return setmetatable({}, {__len = function() return count end})
end

-- name, the call, and what it gives or a part of its error
local ROWS = {
  {"table.move up", function() table.move({}, 1, 1e9, 2) end, "table.move: more than 10000000 elements"},
  {"table.move down", function() table.move({}, 2, 1e9, 1) end, "table.move: more than 10000000 elements"},
  {"table.move to another", function() table.move({}, 1, 1e9, 1, {}) end, "table.move: more than 10000000 elements"},
  {"table.move of all numbers", function() table.move({}, math.mininteger, -2, 1) end, "table.move: more than"},
  {"table.insert", function() table.insert(counted(HUGE), 1, "x") end, "table.insert: more than 10000000 elements"},
  {"table.remove", function() table.remove(counted(HUGE), 1) end, "table.remove: more than 10000000 elements"},
  {"table.sort by C", function() table.sort(counted(2 ^ 31 - 2 | 0), rawequal) end, "table.sort: more than 10000000"},
  -- Lua's own limits:
  {"table.unpack", function() table.unpack(counted(HUGE)) end, "too many results to unpack"},
  {"table.unpack of a range", function() table.unpack({}, 1, 1e9) end, "too many results to unpack"},
  {"table.concat", function() table.concat({}, "", 1, 1e9) end, "invalid value %(nil%) at index 1"},
  {"string.rep", function() string.rep("x", 1e10) end, "resulting string too large"},
  {"string.rep of nothing", function() return string.rep("", math.maxinteger) end, ""},
  -- What is not many:
  {"a small table.move", function() return table.concat(table.move({"a", "b"}, 1, 2, 2)) end, "aab"},
  {"table.move of nothing", function() return #table.move({}, 1, 0, 1) end, "0"},
  {"table.insert by __len", function()
    local t = counted(2)
    table.insert(t, "x")
    return t[3]
  end, "x"},
  {"table.remove by __len", function()
    local t = counted(2)
    t[2] = "x"
    return table.remove(t)
  end, "x"},
  {"table.insert to no table", function() table.insert(nil, 1) end, "bad argument #1 to 'insert' %(table expected, got nil%)"},
  {"table.insert without arguments", function() table.insert() end, "bad argument #1 to 'insert' %(table expected, got no value%)"},
}

describe("the number of elements", function()
  it("is limited in each function that cannot be stopped", function()
    for _, row in ipairs(ROWS) do
      local _, result = pcall(row[2])
      assert.matches(row[3] == "" and "^$" or row[3], tostring(result), 1, false, row[1])
    end
  end)
end)
