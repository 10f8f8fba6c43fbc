-- `neap types`: tells editors (lua-language-server) where neap's annotations are, in .luarc.json.
local json = require("neap.core").json

local types = {}

local FILE = ".luarc.json"
local RUNTIME = "Lua 5.4"

-- The folder that holds neap/.
local function library_dir()
  return (debug.getinfo(1, "S").source:match("^@(.*)/neap/cli/[^/]*$"))
end

local function read_file()
  local file = io.open(FILE, "r")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function has_value(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- Adds what is missing; true when something was.
local function complete(settings, dir)
  local libraries = settings["workspace.library"] or {}
  if has_value(libraries, dir) and settings["runtime.version"] then return false end
  if not has_value(libraries, dir) then libraries[#libraries + 1] = dir end
  settings["workspace.library"] = libraries
  settings["runtime.version"] = settings["runtime.version"] or RUNTIME
  return true
end

local function write_file(settings, text)
  local file, err = io.open(FILE, "w")
  if not file then return 1, ("neap: cannot write %s\n"):format(err) end
  assert(file:write(json.encode(settings), "\n"))
  assert(file:close())
  print(text)
  return 0
end

---Writes .luarc.json in the current folder, or completes the one that is there.
---@return integer exit_code
---@return string? message for stderr
function types.write()
  local dir = library_dir()
  local text = read_file()
  if not text then
    return write_file({["runtime.version"] = RUNTIME, ["workspace.library"] = {dir}}, "wrote " .. FILE)
  end
  local settings = json.decode(text)
  local libraries = type(settings) == "table" and settings["workspace.library"]
  if type(settings) ~= "table" or libraries and type(libraries) ~= "table" then
    return 1, ('neap: %s is not plain JSON and was left as it is. Add to it: "workspace.library": ["%s"]\n'):format(
      FILE, dir)
  end
  if complete(settings, dir) then return write_file(settings, "completed " .. FILE) end
  print(FILE .. " is up to date")
  return 0
end

return types
