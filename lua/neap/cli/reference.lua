-- Makes lua/README.md from the annotations of the files of lua/neap/ and of the folders in it:
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

**Read first** `neap/init.lua`, then `neap/app/app.lua` (routes and middleware), `neap/app/request.lua` and
`neap/res.lua` (what comes in and goes out), `neap/app/compiler.lua` (how an app becomes what the core serves).

**Belongs here:** Lua that every application can use, one file for one thing. What an application may `require` lies in
`neap/`; what that is made of lies one folder deeper and may change at any time. **Does not:** anything that waits for
the network (that is a binding in `core/bind/`), and anything that only one application needs.

The reference below is made from the comments in these files by `neap exec lua/neap/cli/reference.lua`; a spec fails when
it is out of date. In the examples `neap` is `require "neap"`, `app` is `neap.app()`, and `task`, `res`, `json`, `log`
and the like are `neap.task` and so on. Where a function is marked *may park*, the task waits there and others go on.
Durations are seconds or text such as `"250ms"`, `"5m"`; sizes are bytes or text such as `"1MB"`.
]]

-- The files whose order matters to a reader; the other public ones follow by name.
local ORDER = {"init", "app/app", "app/hooks", "job/schedule", "job/job", "jobs", "app/route", "app/request",
  "app/native", "app/multipart", "res", "app/response", "app/sse", "app/websocket", "app/pages", "task", "task/group",
  "task/queue", "task/event", "task/semaphore", "task/mutex", "json", "log", "config"}

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

-- What lies in a folder; other folders end with a slash.
local function entries_of(dir)
  local ok, core = pcall(require, "neap.core")
  if ok and core.list_dir then return assert(core.list_dir(dir)) end
  local names = {}
  local pipe <close> = assert(io.popen("ls -p '" .. dir .. "'")) -- a plain Lua
  for name in pipe:lines() do names[#names + 1] = name end
  return names
end

-- The Lua files of a folder and of the folders in it, without ".lua": "json", "app/route".
local function list_files(dir)
  local names = {}
  for _, entry in ipairs(entries_of(dir)) do
    names[#names + 1] = entry:match("^([%w_]+)%.lua$")
    local folder = entry:match("^([%w_]+/)$")
    for _, inner in ipairs(folder and entries_of(dir .. "/" .. folder) or {}) do
      local name = inner:match("^([%w_]+)%.lua$")
      names[#names + 1] = name and folder .. name
    end
  end
  table.sort(names)
  return names
end

-- The folder lua/neap/.
local function root()
  return debug.getinfo(1, "S").source:match("^@(.*)/cli/[^/]*$") or ".."
end

local function position(list, wanted)
  for i, item in ipairs(list) do
    if item == wanted then return i end
  end
  return #list + 1
end

-- What an application may require lies in no folder.
local function is_required(name)
  return not name:find("/", 1, true)
end

-- Parts of the databases stand beside those.
local function sort_name(name)
  return (name:gsub("^db/", ""))
end

---What the files of the folder, and of the folders in it, say, in reading order.
---@param dir string? default: lua/neap/
---@return neap.AnnotatedFile[]
function reference.read(dir)
  dir = dir or root()
  local files = {}
  for _, name in ipairs(list_files(dir)) do
    local file = annotations.read(read_file(dir .. "/" .. name .. ".lua"))
    file.name = name
    file.is_public = file.is_public or is_required(name) or position(ORDER, name) <= #ORDER
    files[#files + 1] = file
  end
  table.sort(files, function(a, b)
    local i, j = position(ORDER, a.name), position(ORDER, b.name)
    if i ~= j then return i < j end
    return sort_name(a.name) < sort_name(b.name)
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

-- Of files that are not required by a name of their own.
local TITLES = {
  init = "neap", ["app/app"] = "Applications", ["app/hooks"] = "Hooks of an application",
  ["job/schedule"] = "Background jobs", ["job/job"] = "One background job", ["app/route"] = "Routes",
  ["app/request"] = "Requests", ["app/native"] = "What the core adds", ["app/multipart"] = "Forms with files",
  ["app/response"] = "Responses", ["app/sse"] = "Server-sent events by hand", ["app/websocket"] = "WebSockets",
  ["app/pages"] = "Controllers and views", ["task/group"] = "Groups of tasks", ["task/queue"] = "Queues",
  ["task/event"] = "Events", ["task/semaphore"] = "Semaphores", ["task/mutex"] = "Mutexes",
  ["http/response"] = "Answers of other servers", ["db/pg_runner"] = "Statements of PostgreSQL",
  ["db/sqlite_transaction"] = "Transactions of SQLite", ["test/events"] = "Event streams in tests",
  ["test/socket"] = "WebSockets in tests",
}

local function section(file)
  local title = TITLES[file.name] or "neap." .. file.name
  assert(is_required(file.name) or TITLES[file.name], file.name .. ".lua has public functions and needs a title")
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
  local lines, folder = {}, nil
  table.sort(files, function(a, b) return a.name < b.name end)
  for _, file in ipairs(files) do
    local dir, name = file.name:match("^(.*/)(.*)$")
    if dir then
      local sentence = (file.header:gsub("%s+", " ") .. " "):match("^(.-%.) ") or file.header
      if dir ~= folder then lines[#lines + 1] = ("\n### `%s`\n"):format(dir) end
      folder = dir
      lines[#lines + 1] = ("- `%s.lua`: %s"):format(name, sentence)
    end
  end
  return "## Inside\n\nFiles that applications do not require.\n" .. table.concat(lines, "\n") .. "\n"
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
  parts[#parts + 1] = inside(table.move(files, 1, #files, 1, {}))
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

if (...) ~= "neap.cli.reference" then -- run as a script
  local path = root() .. "/../README.md"
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(reference.generate(reference.read())))
  print("wrote " .. path)
  return 0
end

return reference
