-- Templates: a page with Lua in it becomes a Lua function, once. What is in the page for Lua:
--
--   {{value}}     text, escaped      {{{html}}}   as it is
--   {% lua %}     statements         {# note #}   nothing
--
-- Every line of the page is the same line of the function, so that errors name the place in the page.
local json = require("neap.core").json
local text = require "neap.text"

local template = {}

local CLOSERS = {["{{"] = "}}", ["{{{"] = "}}}", ["{%"] = "%}", ["{#"] = "#}"}

-- `_ENV` is a local here: the page's names are looked up in what the function is called with.
local HEAD = "local _ENV, _write, _escape, _show = ... "

-- A value as text; nil and JSON's null are nothing. Raises at `level` for what would only show an address.
local function show(value, level)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  if value == nil or value == json.null then return "" end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return tostring(value) end
  error(("a %s cannot be shown in a page"):format(kind), level + 1)
end

local function escape_value(value)
  return text.html((show(value, 2)))
end

local function show_value(value)
  return (show(value, 2))
end

local function line_at(source, at)
  local _, newlines = source:sub(1, at - 1):gsub("\n", "")
  return newlines + 1
end

-- The first tag from `at` on: where it starts, how it opens, what is in it, and where the page goes on. nil: none.
local function next_tag(source, at, path)
  local start = source:find("{[{%%#]", at)
  if not start then return nil end
  local opener = source:sub(start, start + 2) == "{{{" and "{{{" or source:sub(start, start + 1)
  local inside = start + #opener
  local close = source:find(CLOSERS[opener], inside, true)
  if not close then
    error(("%s:%d: %s is never closed by %s"):format(path, line_at(source, start), opener, CLOSERS[opener]), 0)
  end
  return start, opener, source:sub(inside, close - 1), close + #opener
end

-- Collects the function's text. `debt`: line ends that were put in to finish a comment, and are still to be left out.
local Code = {}
Code.__index = Code

function Code:add(piece)
  self[#self + 1] = piece
end

-- %q writes a line end as a backslash and a line end, so the lines stay as they are.
function Code:add_text(piece)
  if piece == "" then return end
  local quoted = ("%q"):format(piece)
  if self.debt > 0 then
    local paid
    quoted, paid = quoted:gsub("\\\n", "\\n", self.debt)
    self.debt = self.debt - paid
  end
  self:add("_write(" .. quoted .. ") ")
end

-- Lua from the page. A comment in it would also swallow what we write behind it.
function Code:lua(piece)
  if not piece:find("--", 1, true) then return piece end
  self.debt = self.debt + 1
  return piece .. "\n"
end

local TAGS = {
  ["{{"] = function(code, inside) code:add("_write(_escape(" .. code:lua(inside) .. ")) ") end,
  ["{{{"] = function(code, inside) code:add("_write(_show(" .. code:lua(inside) .. ")) ") end,
  ["{%"] = function(code, inside) code:add(code:lua(inside) .. " ") end,
  ["{#"] = function(code, inside) code:add(("\n"):rep(line_at(inside, #inside + 1) - 1)) end,
}

local function translate(source, path)
  local code, at = setmetatable({HEAD, debt = 0}, Code), 1
  while true do
    local start, opener, inside, behind = next_tag(source, at, path)
    if not start then break end
    code:add_text(source:sub(at, start - 1))
    TAGS[opener](code, inside)
    at = behind
  end
  code:add_text(source:sub(at))
  return table.concat(code)
end

---Makes a function of a page. Raises with file and line when there is a mistake in it.
---@param source string the page
---@param path string its file, for messages
---@return async fun(env: table, write: fun(piece: string)) # writes the page, with the names of `env`
function template.compile(source, path)
  local chunk, err = load(translate(source, path), "@" .. path, "t")
  if not chunk then error(err, 0) end
  return function(env, write) chunk(env, write, escape_value, show_value) end
end

return template
