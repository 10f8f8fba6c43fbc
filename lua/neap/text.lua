-- Small helpers on text: trimming, escaping and quoting, all in linear time because it comes from the network.
-- `local text = require "neap.text"`.

---@class neap.text
local text = {}

---Without the white space at both ends. (`"^%s*(.-)%s*$"` would be quadratic on hostile input.)
---```lua
---assert(require("neap.text").trim("  two words \n") == "two words")
---```
---@param s string
---@return string
function text.trim(s)
  local first = s:match("^%s*()")
  return first > #s and "" or s:match(".*%S", first)
end

local HTML = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}

---Text that is safe inside an HTML element or a quoted attribute.
---```lua
---assert(require("neap.text").html("<b>") == "&lt;b&gt;")
---```
---@param s any made a string first
---@return string
function text.html(s)
  return (tostring(s):gsub("[&<>\"']", HTML))
end

---The value as one line of printable text, for messages and logs.
---```lua
---assert(require("neap.text").quote("two\nlines") == [["two\x0Alines"]])
---```
---@param value any
---@return string
function text.quote(value)
  if type(value) ~= "string" then return tostring(value) end
  local short = #value > 60 and value:sub(1, 57) .. "..." or value
  return '"' .. short:gsub("[%c\127]", function(c) return ("\\x%02X"):format(c:byte()) end) .. '"'
end

---What `tostring` says, also when a `__tostring` fails.
---```lua
---assert(require("neap.text").safe(42) == "42")
---```
---@param value any
---@return string
function text.safe(value)
  local ok, s = pcall(tostring, value)
  return ok and s or ("(a %s whose __tostring fails)"):format(type(value))
end

---The bytes as hexadecimal digits, lower case.
---```lua
---assert(require("neap.text").hex("AZ") == "415a")
---```
---@param s string
---@return string
function text.hex(s)
  return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

---The pieces between separators that are not inside double quotes: `a, "b,c"` has two.
---```lua
---local pieces = require("neap.text").split_quoted('a, "b,c"', ",")
---assert(#pieces == 2 and pieces[2] == '"b,c"')
---```
---@param s string
---@param separator string one plain character
---@return string[] # trimmed, the empty ones left out
function text.split_quoted(s, separator)
  local pieces, start, at = {}, 1, 1
  local stops = '["\\' .. separator .. "]"
  local is_quoted = false
  local function take(last)
    local piece = text.trim(s:sub(start, last))
    if piece ~= "" then pieces[#pieces + 1] = piece end
  end
  while true do
    local stop = s:find(stops, at)
    if not stop then break end
    local char = s:sub(stop, stop)
    at = stop + 1
    if char == '"' then
      is_quoted = not is_quoted
    elseif char == "\\" then
      if is_quoted then at = stop + 2 end
    elseif not is_quoted then
      take(stop - 1)
      start = at
    end
  end
  take(#s)
  return pieces
end

return text
