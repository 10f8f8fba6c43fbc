-- The headers of an answer that we received: names in any case, as in req.headers.
local headers = {}

-- In one of them, [1] has the values by lower-case name, [2] the names and values in their order. Header names are
-- strings, so neither is in their way.
local Headers = {__name = "neap.http.headers"}

local function all(self, name)
  local values = self[1][name:lower()]
  return values and table.move(values, 1, #values, 1, {}) or {}
end

function Headers:__index(name)
  if name == "all" then return all end
  local values = type(name) == "string" and rawget(self, 1)[name:lower()]
  return values and values[1] or nil
end

function Headers:__pairs()
  local order, i = self[2], -1
  return function()
    i = i + 2
    return order[i], order[i + 1]
  end
end

---@param head string a status line and header lines
---@return neap.Headers
function headers.parse(head)
  local values, order = {}, {}
  for name, value in head:gmatch("\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    local lower = name:lower()
    value = value:match(".*[^ \t]") or ""
    values[lower] = values[lower] or {}
    table.insert(values[lower], value)
    order[#order + 1], order[#order + 2] = lower, value
  end
  return setmetatable({values, order}, Headers)
end

return headers
