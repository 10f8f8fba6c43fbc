-- Tracebacks for people: only the lines that are theirs.
local trace = {}

-- The folder lua/neap/, which holds the folder of this file.
local OURS = debug.getinfo(1, "S").source:match("^@(.*/)[^/]*/[^/]*$") or "/neap/"

-- Whether a line names a file of ours. The beginning of a long path is left out: "...are/neap/lua/neap/app/errors.lua:7:".
local function is_in_library(line)
  local path = line:match("^%s*(.-%.lua):%d+:")
  local cut = path and path:match("^%.%.%.(.*/neap/)")
  if cut then return OURS:sub(-#cut) == cut end
  return path and path:sub(1, #OURS) == OURS
end

local function is_ours(line)
  return is_in_library(line) or line:find("[C]", 1, true) or line:find("stack traceback:", 1, true)
    or line:find("(...tail calls...)", 1, true) or line:find("boot:1:", 1, true)
end

---The lines of a traceback without those of the library and of C.
---@param traceback string as debug.traceback gives it
---@param max integer how many lines at most
---@return string # indented lines, "" when none is left
function trace.short(traceback, max)
  local kept = {}
  for line in traceback:gmatch("[^\n]+") do
    if not is_ours(line) and #kept < max then kept[#kept + 1] = "    " .. line:gsub("^%s+", "") .. "\n" end
  end
  return table.concat(kept)
end

---The innermost line of a traceback that is the user's.
---@param traceback string?
---@return string? # "app.lua:7"
function trace.place(traceback)
  for line in (traceback or ""):gmatch("[^\n]+") do
    local place = line:match("^%s*(.-:%d+): in ")
    if place and not is_ours(line) then return place end
  end
end

---Any error value as text.
---@param err any
---@return string
function trace.describe(err)
  local ok, text = pcall(tostring, err)
  return ok and text or "an error object whose __tostring fails"
end

return trace
