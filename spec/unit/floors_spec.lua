-- The floors of the C half (core/README.md): whoever includes a file from above, or a library that belongs to another
-- floor, is named here.
local core = require "neap.core"

local FLOORS = {"base", "net", "http", "live", "client", "script"}

-- Rooms on the same storey: none may include another.
local ROOMS = {http = true, live = true, client = true}

-- The libraries that only some floors may know. llhttp's types show in http/request.h, libuv's in net/*.h.
local LIBRARIES = {
  {pattern = "^lua%.h$", floors = {script = true}}, {pattern = "^lualib%.h$", floors = {script = true}},
  {pattern = "^lauxlib%.h$", floors = {script = true}}, {pattern = "^uv%.h$", floors = {net = true}},
  {pattern = "^llhttp%.h$", floors = {http = true}}, {pattern = "^wslay/", floors = {http = true}},
  {pattern = "^zlib%.h$", floors = {http = true}}, {pattern = "^yyjson%.h$", floors = {script = true}},
  {pattern = "^hiredis/", floors = {client = true}}, {pattern = "^curl/", floors = {client = true}},
  {pattern = "^sqlite3%.h$", floors = {client = true}}, {pattern = "^libpq%-fe%.h$", floors = {client = true}},
}

local level = {top = #FLOORS + 1}
for i, name in ipairs(FLOORS) do level[name] = i end

local function names(dir)
  return assert(core.list_dir(dir))
end

-- The floor of "net/conn.h": "net"; of a file without folder: "top".
local function floor_of(path)
  return path:match("^([^/]+)/") or "top"
end

local function includes(path)
  local file = assert(io.open("core/" .. path))
  local list = {}
  for line in file:lines() do
    local mark, name = line:match('^%s*#%s*include%s*([<"])([^>"]+)[>"]')
    if mark then list[#list + 1] = {name = name, is_ours = mark == '"'} end
  end
  file:close()
  return list
end

local function sources()
  local list = {}
  for _, name in ipairs(names("core")) do
    if name:find("%.[ch]$") then
      list[#list + 1] = name
    elseif not name:find("%.") then
      local folder = name:match("^[^/]+")
      for _, inner in ipairs(names("core/" .. folder)) do list[#list + 1] = folder .. "/" .. inner end
    end
  end
  table.sort(list)
  return list
end

describe("the floors of core", function()
  local files = sources()

  it("are all there is", function()
    assert.is_true(#files > 50)
    for _, path in ipairs(files) do
      assert(level[floor_of(path)], path .. ": this folder is no floor")
      assert(path:find("^[%w_/]+%.[ch]$"), path .. ": this is no C source")
    end
  end)

  it("include only what is on their own floor or below", function()
    for _, path in ipairs(files) do
      for _, include in ipairs(includes(path)) do
        if include.is_ours then
          local mine, theirs = floor_of(path), floor_of(include.name)
          assert(level[theirs], ("%s includes %s, which is on no floor"):format(path, include.name))
          assert(theirs == mine or not (ROOMS[theirs] and ROOMS[mine]),
            ("%s includes %s: these rooms do not know each other"):format(path, include.name))
          assert(level[theirs] <= level[mine],
            ("%s includes %s: %s is above %s"):format(path, include.name, theirs, mine))
        end
      end
    end
  end)

  it("keep each library to the floor that it belongs to", function()
    for _, path in ipairs(files) do
      for _, include in ipairs(includes(path)) do
        for _, library in ipairs(LIBRARIES) do
          if include.name:find(library.pattern) then
            assert(library.floors[floor_of(path)], ("%s includes <%s>"):format(path, include.name))
          end
        end
      end
    end
  end)

  it("have headers that begin with what they are, and guard themselves", function()
    for _, path in ipairs(files) do
      local file = assert(io.open("core/" .. path))
      local text = file:read("a")
      file:close()
      assert(text:find("^/%*"), path .. " does not begin with a comment")
      if path:find("%.h$") then
        local guard = path:upper():gsub("[/.]", "_")
        local lines = ("#ifndef %s\n#define %s\n"):format(guard, guard)
        assert(text:find(lines, 1, true), path .. ": the guard is not " .. guard)
      end
    end
  end)
end)
