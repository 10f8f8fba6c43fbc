-- Makes lua/README.md from the annotations of the files beside it:
--
--   neap exec lua/neap/cli/reference.lua
--
-- What is read: blocks of `---` lines before a class, a function or a value. A function is public when it belongs
-- to a table that a `---@class` names. Its example is a fenced block of Lua in its comment; a spec runs all of them.
local annotations = require "neap.cli.annotations"

local reference = {}

local INTRO = [[
# The Lua half of neap

Everything that touches no socket and no byte stream: routes, responses, cookies, error pages, groups of tasks. What
does is in `core/`, and comes here as the module `neap.core`, which is not for applications.

**Read first** `neap/init.lua`, then `app.lua` (routes and middleware), `request.lua` and `res.lua` (what comes in and
goes out), `compile.lua` (how an app becomes what the core serves).

**Belongs here:** Lua that every application can use, one file for one thing, in one folder. **Does not:** anything that
waits for the network (that is a binding in `core/script/`), and anything that only one application needs.

The reference below is made from the comments in these files by `neap exec lua/neap/cli/reference.lua`; a spec fails when
it is out of date. In the examples `neap` is `require "neap"`, `app` is `neap.app()`, and `task`, `res`, `json`, `log`
and the like are `neap.task` and so on. Where a function is marked *may park*, the task waits there and others go on.
Durations are seconds or text such as `"250ms"`, `"5m"`; sizes are bytes or text such as `"1MB"`.
]]

-- The files whose order matters to a reader; the other public ones follow by name.
local ORDER = {"init", "app", "hooks", "schedule", "job", "jobs", "route", "request", "native", "res", "response",
  "task", "group", "json", "log", "config"}

-- How an object of a class is called in signatures.
local OBJECTS = {
  App = "app", Request = "req", Response = "response", Route = "route", Headers = "req.headers", Out = "out",
  Part = "part", Task = "t", Group = "g", Socket = "socket", Redis = "r", Database = "db",
  Transaction = "tx", PgRunner = "db", PgDatabase = "db",
}

local function read_file(path)
  local file <close> = assert(io.open(path, "r"))
  return assert(file:read("a"))
end

-- The names of the Lua files of a folder, without ".lua".
local function list_files(dir)
  local ok, core = pcall(require, "neap.core")
  local names = {}
  local function add(name) names[#names + 1] = name:match("^([%w_]+)%.lua$") end
  if ok and core.list_dir then
    for _, name in ipairs(assert(core.list_dir(dir))) do add(name) end
  else -- a plain Lua
    local pipe <close> = assert(io.popen("ls '" .. dir .. "'"))
    for name in pipe:lines() do add(name) end
  end
  table.sort(names)
  return names
end

local function here()
  return debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
end

local function position(list, wanted)
  for i, item in ipairs(list) do
    if item == wanted then return i end
  end
  return #list + 1
end

---What the files of the folder say, in reading order.
---@param dir string? default: the folder of this file
---@return neap.AnnotatedFile[]
function reference.read(dir)
  dir = dir or here()
  local files = {}
  for _, name in ipairs(list_files(dir)) do
    local file = annotations.read(read_file(dir .. "/" .. name .. ".lua"))
    file.name, file.is_public = name, file.is_public or position(ORDER, name) <= #ORDER
    files[#files + 1] = file
  end
  table.sort(files, function(a, b)
    local i, j = position(ORDER, a.name), position(ORDER, b.name)
    if i ~= j then return i < j end
    return a.name < b.name
  end)
  return files
end

-- "neap.App" -> "app:", "neap.res" -> "neap.res."
local function owner_text(entry)
  local class = entry.class:match("^neap%.(%u%w*)$")
  if not class then return entry.class .. "." end
  return (OBJECTS[class] or class:lower()) .. entry.separator
end

local function is_optional(param)
  return param.is_optional or param.type:sub(-1) == "?"
end

---"app:get(path, handler [, opts])"
---@param entry neap.AnnotatedFunction
---@return string
function reference.signature(entry)
  local out, open = {}, 0
  for i, param in ipairs(entry.params) do
    local comma = i > 1 and ", " or ""
    if is_optional(param) or open > 0 then
      out[#out + 1] = (i > 1 and " [" or "[") .. comma .. param.name
      open = open + 1
    else
      out[#out + 1] = comma .. param.name
    end
  end
  return ("%s%s(%s%s)"):format(owner_text(entry), entry.name, table.concat(out), ("]"):rep(open))
end

local function join(...)
  local paragraphs = {}
  for _, paragraph in ipairs {...} do
    if paragraph ~= "" then paragraphs[#paragraphs + 1] = paragraph end
  end
  return table.concat(paragraphs, "\n\n") .. "\n"
end

local function item(name, kind, description)
  return ("- `%s` (`%s`)%s"):format(name, kind, description ~= "" and ": " .. description or "")
end

local function items(list)
  local lines = {}
  for i, one in ipairs(list) do
    lines[i] = item(one.name, one.is_optional and one.type .. "?" or one.type, one.description)
  end
  return table.concat(lines, "\n")
end

-- What comes in, then what comes out.
local function values(entry)
  local lines = {entry.params[1] and items(entry.params) or nil}
  for _, result in ipairs(entry.returns) do
    local what = result.name and ("`%s` (`%s`)"):format(result.name, result.type) or ("`%s`"):format(result.type)
    lines[#lines + 1] = ("- returns %s%s"):format(what, result.description ~= "" and ": " .. result.description or "")
  end
  return table.concat(lines, "\n")
end

local function examples(entry)
  local blocks = {}
  for i, example in ipairs(entry.examples) do blocks[i] = "```lua\n" .. example.code .. "```" end
  return table.concat(blocks, "\n\n")
end

local function heading(text)
  return ("#### `%s`"):format(text)
end

local TEXT = {
  ["function"] = function(entry)
    return join(heading(reference.signature(entry)), entry.description, entry.is_async and "*May park.*" or "",
      values(entry), examples(entry))
  end,
  class = function(entry) return join(heading(entry.name), entry.description, items(entry.fields)) end,
  value = function(entry)
    return join(heading(entry.class .. "." .. entry.name), entry.description, examples(entry))
  end,
  alias = function(entry) return join(heading(entry.name), entry.description, "    " .. entry.type) end,
}

local TITLES = {init = "neap", native = "What the core adds"}

local function section(file)
  local title = TITLES[file.name] or "neap." .. file.name
  local parts = {"## " .. title .. "\n", file.header .. "\n"}
  for _, entry in ipairs(file.entries) do
    if entry.kind == "class" and entry.name == title then -- the module itself
      if #entry.description + #entry.fields > 0 then
        parts[#parts + 1] = join(entry.description, items(entry.fields))
      end
    elseif entry.is_public then
      parts[#parts + 1] = TEXT[entry.kind](entry)
    end
  end
  return table.concat(parts, "\n")
end

-- The types of the other files that the text so far mentions.
local function other_types(files, text)
  local parts = {}
  for _, file in ipairs(files) do
    for _, entry in ipairs(file.is_public and {} or file.entries) do
      local is_type = entry.kind == "class" or entry.kind == "alias"
      if is_type and text:find(entry.name:gsub("%p", "%%%0") .. "%f[^%w]") then
        parts[#parts + 1] = TEXT[entry.kind](entry)
      end
    end
  end
  return "## Other types\n\n" .. table.concat(parts, "\n")
end

local function inside(files)
  local lines = {}
  for _, file in ipairs(files) do
    if not file.is_public then
      local sentence = (file.header:gsub("%s+", " ") .. " "):match("^(.-%.) ") or file.header
      lines[#lines + 1] = ("- `%s.lua`: %s"):format(file.name, sentence)
    end
  end
  return "## Inside\n\nFiles that applications do not use.\n\n" .. table.concat(lines, "\n") .. "\n"
end

---The text of lua/README.md.
---@param files neap.AnnotatedFile[]
---@return string
function reference.generate(files)
  local parts = {INTRO}
  for _, file in ipairs(files) do
    if file.is_public then parts[#parts + 1] = section(file) end
  end
  parts[#parts + 1] = other_types(files, table.concat(parts))
  parts[#parts + 1] = inside(files)
  return table.concat(parts, "\n")
end

---What public functions lack: a description, an example, or a parameter's type. An empty list is as it should be.
---@param files neap.AnnotatedFile[]
---@return string[] sentences
function reference.problems(files)
  local problems = {}
  for _, file in ipairs(files) do
    for _, entry in ipairs(file.entries) do
      if entry.is_public and entry.kind == "function" then
        for _, problem in ipairs(annotations.problems(entry)) do
          problems[#problems + 1] = ("lua/neap/%s.lua:%d: %s %s"):format(file.name, entry.line,
            reference.signature(entry), problem)
        end
      end
    end
  end
  return problems
end

if (...) ~= "neap.reference" then -- run as a script
  local path = here() .. "/../README.md"
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(reference.generate(reference.read())))
  print("wrote " .. path)
  return 0
end

return reference
