-- Reads the annotations (LuaCATS) of a Lua file, as far as the reference needs them: classes, aliases, functions
-- with parameters, results and examples.
local annotations = {}

---@class neap.AnnotatedFile
---@field name string without ".lua"
---@field title string
---@field header string the comment at the top
---@field entries table[]
---@field is_public boolean whether any function or class is for applications

---@class neap.AnnotatedFunction
---@field class string of the table that it belongs to: "neap.App"
---@field separator "."|":"
---@field name string
---@field arguments string[] names in the code
---@field params {name: string, type: string, description: string, is_optional: boolean}[]
---@field returns {name: string?, type: string, description: string}[]
---@field examples {code: string, line: integer}[]
---@field description string
---@field is_async boolean
---@field line integer

-- Where the type that begins `s` ends: at a space outside brackets, but not within `fun(...): result`.
local function type_end(s)
  local depth, i = 0, 1
  while i <= #s do
    local c = s:sub(i, i)
    if c:find("[%(%[{<]") then depth = depth + 1 end
    if c:find("[%)%]}>]") then depth = depth - 1 end
    if c:find("%s") and depth == 0 then
      local before, after = s:sub(1, i - 1), s:sub(i + 1)
      local goes_on = before == "async" or before:find("[:|,]$") or after:find("^|")
      if not goes_on then return i - 1 end
    end
    i = i + 1
  end
  return #s
end

-- "string? what it is" -> type, rest
local function split_type(s)
  local stop = type_end(s)
  return s:sub(1, stop), (s:sub(stop + 1):match("^%s*(.*)$"))
end

local function without_mark(description)
  return (description:gsub("^#%s*", ""))
end

local TAGS = {}

function TAGS.param(block, rest)
  local name, mark, typed = rest:match("^([%w_.]+)(%??)%s+(.*)$")
  if not name then return end
  local kind, description = split_type(typed)
  block.params[#block.params + 1] = {
    name = name, type = kind, description = without_mark(description), is_optional = mark == "?",
  }
end

-- The name of a result is the word after its type, unless a "#" comes first.
TAGS["return"] = function(block, rest)
  local kind, description = split_type(rest)
  local name, more = nil, description
  if description:sub(1, 1) ~= "#" then
    name, more = description:match("^([%a_][%w_]*)%s*(.*)$")
    if not name then name, more = description:match("^(%.%.%.)%s*(.*)$") end
  end
  block.returns[#block.returns + 1] = {name = name, type = kind, description = without_mark(more or description)}
end

function TAGS.field(block, rest)
  if rest:find("^_") or rest:find("^private ") or rest:find("^package ") or rest:find("^protected ") then return end
  local name, mark, typed = rest:match("^(%b[])(%??)%s+(.*)$")
  if not name then name, mark, typed = rest:match("^([%w_]+)(%??)%s+(.*)$") end
  if not name then return end
  local kind, description = split_type(typed)
  block.fields[#block.fields + 1] = {name = name .. mark, type = kind, description = without_mark(description)}
end

function TAGS.class(block, rest)
  block.class = rest:match("^([%w_.]+)")
end

-- An alias needs no code below it; several may share a block.
function TAGS.alias(block, rest)
  local name, typed = rest:match("^([%w_.]+)%s+(.*)$")
  if not name then return end
  block.aliases[#block.aliases + 1] = {
    kind = "alias", name = name, type = typed, description = table.concat(block.text, "\n"), is_public = true,
  }
  block.text = {}
end

function TAGS.async(block) block.is_async = true end

-- The pieces between commas that are outside brackets.
local function split_list(s)
  local list, depth, start = {}, 0, 1
  for i = 1, #s + 1 do
    local c = s:sub(i, i)
    if c:find("[%(%[{<]") then depth = depth + 1 end
    if c:find("[%)%]}>]") then depth = depth - 1 end
    if (c == "," and depth == 0) or i > #s then
      local piece = s:sub(start, i - 1):match("^%s*(.-)%s*$")
      if piece ~= "" then list[#list + 1] = piece end
      start = i + 1
    end
  end
  return list
end

-- A value of a function's type is a function: `---@type async fun(name: string): integer?`.
function TAGS.type(block, rest)
  local mark, arguments, results = rest:match("^(%a*)%s*fun(%b())%s*:?%s*(.*)$")
  block.is_value = arguments == nil
  if not arguments then return end
  block.is_async = mark == "async"
  for _, argument in ipairs(split_list(arguments:sub(2, -2))) do
    TAGS.param(block, (argument:gsub(":", "", 1)))
  end
  for _, result in ipairs(split_list(results)) do
    block.returns[#block.returns + 1] = {type = result, description = ""}
  end
end

local function new_block()
  return {params = {}, returns = {}, fields = {}, aliases = {}, examples = {}, text = {}}
end

-- A tag, text that goes on from a field, or description.
local function add_plain_line(block, line)
  local tag, rest = line:match("^%s*@(%w+)%s*(.*)$")
  local field = block.fields[#block.fields]
  if tag then
    block.last_tag = tag
    if TAGS[tag] then TAGS[tag](block, rest) end
  elseif block.last_tag == "field" and field and line:find("%S") then
    field.description = field.description .. " " .. line:match("^%s*(.*)$")
  else
    block.text[#block.text + 1] = line:match("^%s?(.*)$")
  end
end

-- Takes one line of a comment, without its dashes.
local function add_line(block, line, number)
  local example = block.open_example
  if example and line:find("^%s?```") then
    block.open_example = nil
  elseif example then
    example.code = example.code .. line:gsub("^%s", "", example.indent) .. "\n"
  elseif line:find("^%s?```lua") then
    block.open_example = {code = "", line = number + 1, indent = line:find("^%s") and 1 or 0}
    block.examples[#block.examples + 1] = block.open_example
  else
    add_plain_line(block, line)
  end
end

local function description_of(block)
  return (table.concat(block.text, "\n"):gsub("^%s+", ""):gsub("%s+$", ""))
end

local function function_entry(block, class, separator, name, arguments)
  local names = {}
  for argument in arguments:gmatch("[%w_.]+") do names[#names + 1] = argument end
  return {
    kind = "function", class = class, separator = separator, name = name, arguments = names, params = block.params,
    returns = block.returns, examples = block.examples, is_async = block.is_async or false,
  }
end

-- The entry that a block and the first line of code after it make; nil for what belongs to no class.
local function entry_of(block, code, classes)
  if block.class then
    local variable = code:match("^local ([%w_]+) = ") or code:match("^([%w_]+) = ")
    if variable then classes[variable] = block.class end
    return {kind = "class", name = block.class, fields = block.fields}
  end
  local owner, separator, name, arguments = code:match("^function ([%w_]+)([.:])([%w_]+)%((.-)%)")
  if owner and classes[owner] then return function_entry(block, classes[owner], separator, name, arguments) end
  owner, name = code:match("^([%w_]+)%.([%w_]+) = ")
  if not owner or not classes[owner] then return nil end
  if block.is_value then return {kind = "value", class = classes[owner], name = name, examples = block.examples} end
  arguments = {}
  for i, param in ipairs(block.params) do arguments[i] = param.name end
  return function_entry(block, classes[owner], ".", name, table.concat(arguments, ","))
end

local function is_for_applications(entry)
  return entry.name:find("^_") == nil and (entry.kind ~= "class" or entry.description ~= "")
end

local function finish_block(file, block, code, classes)
  for _, alias in ipairs(block.aliases) do file.entries[#file.entries + 1] = alias end
  local entry = entry_of(block, code, classes)
  if not entry then return end
  entry.description, entry.line = description_of(block), block.line
  entry.is_public = is_for_applications(entry)
  file.entries[#file.entries + 1] = entry
end

-- The comment at the top, as one text.
local function header_of(source)
  local lines = {}
  for line in source:gmatch("([^\n]*)\n") do
    local text = not line:find("^%-%-%-@") and line:match("^%-%-%-?%s?(.+)$")
    if not text and not line:find("^%-%-") then break end
    if text and not text:find("^luacheck:") then lines[#lines + 1] = text end
    if line == "--" then break end
  end
  return table.concat(lines, "\n")
end

---What a file says about itself.
---@param source string the text of the file
---@return neap.AnnotatedFile
function annotations.read(source)
  local file = {header = header_of(source), entries = {}}
  local classes, block, number = {}, nil, 0
  for line in (source .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local comment = line:match("^%-%-%-(.*)$")
    if comment then
      block = block or new_block()
      block.line = number
      add_line(block, comment, number)
    elseif block then
      finish_block(file, block, line, classes)
      block = nil
    end
  end
  file.is_public = false
  for _, entry in ipairs(file.entries) do
    if entry.kind == "function" or entry.kind == "value" then file.is_public = file.is_public or entry.is_public end
  end
  return file
end

---What a public function lacks.
---@param entry neap.AnnotatedFunction
---@return string[] # the rest of a sentence that begins with its name
function annotations.problems(entry)
  local problems, typed = {}, {}
  if entry.description == "" then problems[#problems + 1] = "has no description" end
  if #entry.examples == 0 then problems[#problems + 1] = "has no example" end
  for _, param in ipairs(entry.params) do typed[param.name] = true end
  for _, argument in ipairs(entry.arguments) do
    if not typed[argument] then problems[#problems + 1] = "has no type for " .. argument end
  end
  return problems
end

return annotations
