-- Durations and sizes as people write them: 1.5, "250ms", "5m"; 4096, "1MB".
local units = {}

local SECONDS = {ms = 0.001, s = 1, m = 60, h = 3600, d = 86400}
local BYTES = {
  b = 1, kb = 1024, mb = 1024 ^ 2, gb = 1024 ^ 3,
  kib = 1024, mib = 1024 ^ 2, gib = 1024 ^ 3,
}

local function scaled(value, scale)
  local number, unit = value:match("^(%d+%.?%d*)%s*(%a+)$")
  local factor = unit and scale[unit:lower()]
  return factor and tonumber(number) * factor
end

---Seconds.
---@param value number|string seconds, or text with a unit: ms, s, m, h, d
---@return number? seconds
---@return string? err what is wrong with it
function units.duration(value)
  local seconds = type(value) == "number" and value or type(value) == "string" and scaled(value, SECONDS)
  if seconds and seconds >= 0 and seconds < math.huge then return seconds end
  return nil, ('a duration is a number of seconds or text such as "250ms", "5m", "1h", not %s'):format(
    type(value) == "string" and '"' .. value .. '"' or tostring(value))
end

---Bytes.
---@param value integer|string bytes, or text with a unit: B, KB, MB, GB (1 KB = 1024 bytes)
---@return integer? bytes
---@return string? err what is wrong with it
function units.size(value)
  local bytes = type(value) == "number" and value or type(value) == "string" and scaled(value, BYTES)
  bytes = bytes and math.tointeger(bytes)
  if bytes and bytes >= 0 then return bytes end
  return nil, ('a size is a whole number of bytes or text such as "64KB", "1MB", not %s'):format(
    type(value) == "string" and '"' .. value .. '"' or tostring(value))
end

return units
