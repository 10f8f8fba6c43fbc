-- What may stand in a response header. Wrong names and values raise: a CR or LF that got into a value would let
-- a client write headers of its own ("response splitting").
local memo = require "neap.base.memo"
local text = require "neap.text"

local header = {}

-- The core writes these itself; a second opinion would break the framing.
local OWNED = {
  ["content-length"] = true, ["transfer-encoding"] = true, connection = true, ["keep-alive"] = true, date = true,
}

-- The name in lower case; nil when it is none.
local lower_case = memo(function(name)
  return name:find("^[%w!#$%%&'*+%-.^_`|~]+$") and name:lower() or nil
end)

---The name in lower case. Raises at `level` when it cannot be a header name, or when the core sets that header.
---@param name string
---@param level integer as in `error`, counted from the caller of this function
---@return string
function header.name(name, level)
  local lower = type(name) == "string" and lower_case(name)
  if not lower then
    error(("%s is not a header name: letters, digits and - are allowed"):format(text.quote(name)), level + 1)
  end
  if OWNED[lower] then
    error(("the %s header is set by neap itself, from the body that you return"):format(name), level + 1)
  end
  return lower
end

---The value as a string. Raises at `level` when it has a control character.
---@param name string for the message
---@param value string|number
---@param level integer as in `error`, counted from the caller of this function
---@return string
function header.value(name, value, level)
  if type(value) == "number" then value = tostring(value) end
  if type(value) ~= "string" then
    error(("the %s header is a string or a number, not a %s"):format(name, type(value)), level + 1)
  end
  local at = value:find("[\0-\8\10-\31\127]")
  if at then
    error(("the %s header has a control character (byte %d, at %d): refused, because it could split the response")
      :format(name, value:byte(at), at), level + 1)
  end
  return value
end

return header
