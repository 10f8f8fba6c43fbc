-- Route patterns as Lua needs them: building the URL of a route, joining a mount's prefix and a route, and
-- telling which paths lie below a prefix. The core's router does the matching of requests.
local core = require "neap.core"
local text = require "neap.text"

local pattern = {}

-- Where the segment that starts at `at` ends. Within the braces of a parameter a slash is part of the constraint.
local function segment_end(path, at)
  local stop = path:find("/", at, true) or #path + 1
  local brace = path:sub(at, at) == ":" and path:find("{", at, true)
  if not brace or brace > stop then return stop end
  local close = path:match("}()/", brace) or path:match("}()$", brace)
  return close or stop
end

---@class neap.Segment
---@field kind "literal"|"param"|"splat"
---@field text string the literal, or the name of the parameter
---@field constraint string? "int" or a Lua pattern

local function parse_segment(source)
  local name, constraint = source:match("^:([%a_][%w_]*){(.+)}$")
  if not name then name = source:match("^:([%a_][%w_]*)$") end
  if name then return {kind = "param", text = name, constraint = constraint} end
  local splat = source:match("^%*([%a_][%w_]*)$")
  if splat then return {kind = "splat", text = splat} end
  return {kind = "literal", text = source}
end

---The segments of a pattern: "/users/:id" has two, "/users/" has two of which the last is empty.
---@param path string
---@return neap.Segment[]
function pattern.parse(path)
  local segments, at = {}, 2
  repeat
    local stop = segment_end(path, at)
    segments[#segments + 1] = parse_segment(path:sub(at, stop - 1))
    at = stop + 1
  until stop > #path
  return segments
end

---The pattern of a route of an app that is mounted below a prefix. The root of the app is the prefix itself.
---@param prefix string "" or "/prefix"
---@param path string
---@return string
function pattern.join(prefix, path)
  if prefix == "" then return path end
  return path == "/" and prefix or prefix .. path
end

---Checks and shortens the prefix of a mount or middleware: "/api/" -> "/api", "/" -> "".
---@param prefix string
---@param what string the function's name, for messages
---@param level integer as in `error`, counted from the caller of this function
---@return string
function pattern.prefix(prefix, what, level)
  if type(prefix) ~= "string" or prefix:sub(1, 1) ~= "/" then
    error(('%s: a prefix starts with "/", not %s'):format(what, text.quote(prefix)), level + 1)
  end
  if prefix:find("[*{]") then
    error(('%s: a prefix has no *rest and no {constraint}: "%s"'):format(what, prefix), level + 1)
  end
  return (prefix:gsub("/+$", ""))
end

local function fits(value, constraint)
  if not constraint then return true end
  if constraint == "int" then return math.tointeger(value) ~= nil or value:find("^%-?%d+$") ~= nil end
  return value:find("^" .. constraint .. "$") ~= nil
end

local function encode_splat(value)
  return (value:gsub("[^/]+", core.uri_encode))
end

-- The text of one parameter; nil and a reason when it is missing or could not be routed back.
local function fill(segment, params)
  local value = params[segment.text]
  if math.type(value) == "float" and math.tointeger(value) then value = math.tointeger(value) end
  if type(value) == "number" then value = tostring(value) end
  if value == nil then return nil, ("needs the parameter %s"):format(segment.text) end
  if type(value) ~= "string" then
    return nil, ("takes a string or number as %s, not a %s"):format(segment.text, type(value))
  end
  if segment.kind == "splat" then return encode_splat(value) end
  if value == "" then return nil, ("cannot have an empty %s"):format(segment.text) end
  if not fits(value, segment.constraint) then
    return nil, ("cannot have %s as %s: it is not {%s}"):format(text.quote(value), segment.text, segment.constraint)
  end
  return core.uri_encode(value)
end

---The path of a pattern with its parameters filled in and percent-encoded. A splat keeps its slashes.
---@param path string the pattern
---@param params table<string, string|number>
---@return string? path
---@return string? err the rest of a sentence that begins with the route
function pattern.fill(path, params)
  local parts = {}
  for i, segment in ipairs(pattern.parse(path)) do
    local part, err = segment.text, nil
    if segment.kind ~= "literal" then part, err = fill(segment, params) end
    if not part then return nil, err end
    parts[i] = part
  end
  return "/" .. table.concat(parts, "/")
end

---The query string of a table, sorted by name, with its "?"; "" when there is nothing in it.
---@param query table<string, string|number|boolean|(string|number|boolean)[]>?
---@return string
function pattern.query(query)
  local names = {}
  for name in pairs(query or {}) do names[#names + 1] = tostring(name) end
  table.sort(names)
  local pairs_ = {}
  for _, name in ipairs(names) do
    local values = query[name]
    for _, value in ipairs(type(values) == "table" and values or {values}) do
      pairs_[#pairs_ + 1] = core.uri_encode(name) .. "=" .. core.uri_encode(tostring(value))
    end
  end
  return #pairs_ > 0 and "?" .. table.concat(pairs_, "&") or ""
end

---Whether every path that a route pattern takes lies below a prefix ("always"), none ("never"), or it depends.
---@param prefix neap.Segment[] of the prefix
---@param route neap.Segment[]
---@return "always"|"never"|"depends"
function pattern.below(prefix, route)
  local answer = "always"
  for i, wanted in ipairs(prefix) do
    local segment = route[i]
    if not segment then return "never" end
    if segment.kind == "splat" then return "depends" end
    if wanted.kind == "literal" then
      if segment.kind == "param" then
        answer = "depends"
      elseif segment.text ~= wanted.text then
        return "never"
      end
    elseif segment.kind == "literal" and segment.text == "" then
      return "never"
    end
  end
  return answer
end

---A function that says whether a decoded path lies below a prefix. Empty segments ("//") do not count: a file
---system skips them too.
---@param prefix string "" or "/prefix"; a `:param` stands for any segment
---@return fun(path: string): boolean
function pattern.matcher(prefix)
  if prefix == "" then return function() return true end end
  local wanted = pattern.parse(prefix)
  return function(path)
    local i = 1
    for segment in path:gmatch("[^/]+") do
      if wanted[i].kind == "literal" and wanted[i].text ~= segment then return false end
      if i == #wanted then return true end
      i = i + 1
    end
    return false
  end
end

return pattern
