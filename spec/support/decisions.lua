-- Makes core/DECISIONS.md, the index of core/decisions/, from the heads of these files:
--
--   build/neap exec spec/support/decisions.lua
--
-- A decision is a file NNN-short-title.md. It begins with "# N. Title", an empty line, and "Status: ...", which is
-- "accepted", "replaced by NNN" or "withdrawn"; "accepted, but for WHAT: replaced by NNN" when a part still holds.
local core = require "neap.core"

local FOLDER = "core/decisions"
local INDEX = "core/DECISIONS.md"

local INTRO = [[
# Decisions

What was decided, in what context, and what got harder by it: one file each in `core/decisions/`. A decision is never
edited but for its status line; a later one replaces it. Paths and names are those of its time.

This index is made by `build/neap exec spec/support/decisions.lua` from the files; a spec fails when it is out of date.

| number | decision | status |
|---|---|---|
]]

local decisions = {}

local function read(path)
  local file <close> = assert(io.open(path, "r"))
  return file:read("a")
end

local function is_status(status)
  return status == "accepted" or status == "withdrawn" or status:find("^replaced by %d%d%d$")
    or status:find("^accepted, but for [^:]+: replaced by %d%d%d$")
end

-- All of them in order: {number=, title=, status=, file=}.
function decisions.read()
  local list = {}
  local names = assert(core.list_dir(FOLDER))
  table.sort(names)
  for _, name in ipairs(names) do
    local number, title, status = read(FOLDER .. "/" .. name):match("^# (%d+)%. ([^\n]+)\n\nStatus: ([^\n]+)\n\n")
    assert(number, FOLDER .. "/" .. name .. " does not begin with its title and status")
    assert(is_status(status), ("%s/%s: what is the status %q?"):format(FOLDER, name, status))
    list[#list + 1] = {number = tonumber(number), title = title, status = status, file = name}
    assert(name:find(("^%03d%%-[%%w-]+%%.md$"):format(#list)), name .. ": the numbers have no holes")
    assert(list[#list].number == #list, name .. " has another number in its title")
  end
  return list
end

local function link_replaced(list, status)
  return (status:gsub("%d%d%d$", function(number)
    local other = assert(list[tonumber(number)], "there is no decision " .. number)
    return ("[%d](decisions/%s)"):format(other.number, other.file)
  end))
end

function decisions.generate(list)
  local lines = {}
  for i, one in ipairs(list) do
    lines[i] = ("| %d | [%s](decisions/%s) | %s |\n"):format(one.number, one.title, one.file,
      link_replaced(list, one.status))
  end
  return INTRO .. table.concat(lines)
end

function decisions.index()
  return read(INDEX)
end

if not ... then
  local text = decisions.generate(decisions.read())
  local file <close> = assert(io.open(INDEX, "w"))
  assert(file:write(text))
  return
end

return decisions
