-- Parameters of PostgreSQL's statements: what Lua's values become. Used by pg_runner.lua and pg.lua.
local json = require "neap.json"
local text = require "neap.text"

local params = {}

local Bytea = {__name = "neap.pg.bytea"}
local Array = {__name = "neap.pg.array"}

function params.bytea(bytes)
  if type(bytes) ~= "string" then error("pg.bytea takes a text", 2) end
  return setmetatable({bytes = bytes}, Bytea)
end

local function array_item(value)
  if value == nil or value == json.null then return "NULL" end
  local kind = type(value)
  if kind == "boolean" or kind == "number" then return tostring(value) end
  if kind == "string" then return '"' .. value:gsub('["\\]', "\\%0") .. '"' end
  return nil
end

function params.array(list)
  if type(list) ~= "table" then error("pg.array takes a list", 2) end
  local items = {}
  for i = 1, list.n or #list do
    items[i] = array_item(list[i]) or error(("pg.array: item %d is %s"):format(i, text.quote(list[i])), 2)
  end
  return setmetatable({text = "{" .. table.concat(items, ",") .. "}"}, Array)
end

---Values and types for core's send; tables become texts. Raises at `level` of the caller.
---@param level integer
---@param count integer
---@param ... any
---@return table values
---@return table types
function params.read(level, count, ...)
  local values, types = {...}, {}
  for i = 1, count do
    local value = values[i]
    local meta = type(value) == "table" and getmetatable(value)
    if meta == Bytea then
      values[i], types[i] = value.bytes, "bytea"
    elseif meta == Array then
      values[i] = value.text
    elseif value == json.null then
      values[i] = nil
    elseif type(value) == "table" then
      local ok, encoded = pcall(json.encode, value)
      if not ok then error(("parameter %d: %s"):format(i, text.safe(encoded)), level + 1) end
      values[i], types[i] = encoded, "json"
    elseif type(value) == "function" or type(value) == "userdata" or type(value) == "thread" then
      error(("parameter %d is %s"):format(i, text.quote(value)), level + 1)
    end
  end
  return values, types
end

return params
