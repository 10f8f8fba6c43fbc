-- Checks an options table: an unknown key is a mistake of the caller, and the message says what was meant.
local text = require "neap.text"
local units = require "neap.base.units"

local options = {}

-- How many letters to change, add or drop to turn `a` into `b`.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      corner, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, corner + cost)
    end
  end
  return row[#b]
end

---The known word that `word` was probably meant to be.
---@param word string
---@param known string[]
---@return string? # nil when nothing comes close
function options.suggest(word, known)
  if #word > 64 then return nil end
  local best, best_distance = nil, math.max(2, #word // 3) + 1
  for _, candidate in ipairs(known) do
    local d = distance(word, candidate)
    if d < best_distance then best, best_distance = candidate, d end
  end
  return best
end

-- How each kind of option is read: returns the value to use, or nil and a reason.
local KINDS = {
  duration = units.duration,
  size = units.size,
  any = function(value) return value end,
}

local function read(kind, value)
  local reader = KINDS[kind]
  if reader then return reader(value) end
  if kind:find(type(value), 1, true) then return value end
  return nil, ("it is a %s, not %s"):format((kind:gsub("|", " or ")), text.quote(value))
end

local function unknown(what, key, known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  local meant = type(key) == "string" and options.suggest(key, names)
  if meant then return ('%s: unknown option "%s"; did you mean "%s"?'):format(what, key, meant) end
  return ("%s: unknown option %s; there are: %s"):format(what, text.quote(key), table.concat(names, ", "))
end

---A checked copy of `given`, with durations in seconds and sizes in bytes. Raises at `level` of the caller.
---@param given table? nil is an empty table
---@param known table<string, string> name -> "string", "boolean|number", ..., "duration", "size" or "any"
---@param what string the function's name, for messages
---@param level integer as in `error`, counted from the caller of this function
---@return table
function options.check(given, known, what, level)
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("%s: the options are a table, not %s"):format(what, text.quote(given)), level + 1)
  end
  local checked = {}
  for key, value in pairs(given) do
    local kind = known[key]
    if not kind then error(unknown(what, key, known), level + 1) end
    local usable, reason = read(kind, value)
    if reason then error(("%s: option %s: %s"):format(what, key, reason), level + 1) end
    checked[key] = usable
  end
  return checked
end

---Raises at `level` of the caller unless an option is a whole number in a range; nil is none.
---@param opts table
---@param name string
---@param least integer
---@param most integer
---@param what string the function's name
---@param level integer
function options.check_integer(opts, name, least, most, what, level)
  local value = opts[name]
  if math.type(value) ~= "integer" or value < least or value > most then
    error(("%s: %s is a whole number from %d to %d"):format(what, name, least, most), level + 1)
  end
end

return options
