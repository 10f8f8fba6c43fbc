-- The rooms of the C half: who may include whom (the table is support/rooms.lua's), which libraries each may know, and
-- that names lead home.
local rooms = require "spec.support.rooms"

local EVERY_LUA = {"value", "task", "config", "web", "bind", "push", "life", "dev", "top"}

-- The libraries that only some rooms may know. llhttp's types show in http/request.h, libuv's in net/*.h.
local LIBRARIES = {
  {"^lua%.h$", EVERY_LUA}, {"^lualib%.h$", EVERY_LUA}, {"^lauxlib%.h$", EVERY_LUA}, {"^uv%.h$", {"net"}},
  {"^llhttp%.h$", {"http"}}, {"^zlib%.h$", {"http", "ws"}}, {"^wslay/", {"ws"}}, {"^yyjson%.h$", {"value"}},
  {"^hiredis/", {"client"}}, {"^curl/", {"client"}}, {"^sqlite3%.h$", {"client"}}, {"^libpq%-fe%.h$", {"client"}},
}

-- Functions that do not begin with the noun of their header, each with the reason. There may be five.
local NAMED_OTHERWISE = {}

local CIRCLE_MAX = 5
local LINES_MAX = 450

local function holds(list, name)
  for _, one in ipairs(list) do
    if one == name then return true end
  end
  return false
end

local function noun_of(path)
  return (path:match("/(.*)%.h$"):gsub("_state$", ""))
end

local function begins_with(name, noun)
  return name == noun or name:find("^" .. noun .. "s?_") ~= nil
end

local function count(list)
  local n = 0
  for _ in pairs(list) do n = n + 1 end
  return n
end

describe("the rooms of core", function()
  local files = rooms.sources()

  it("are all there is", function()
    assert.is_true(#files > 200)
    for _, path in ipairs(files) do
      assert(path:find("^%l+/[%w_]+%.[ch]$"), path .. " is not a C source")
    end
    local core = require "neap.core"
    for _, name in ipairs(assert(core.list_dir("core"))) do
      local is_room = rooms.sight()[(name:gsub("/$", ""))]
      assert(is_room or name == "decisions/" or name:find("%.md$"), "core/" .. name .. " is not a room: " ..
        "a room has its line in spec/support/rooms.lua, core/README.md and CMakeLists.txt")
    end
  end)

  it("include only what they see", function()
    local sees = rooms.sight()
    for _, path in ipairs(files) do
      for _, include in ipairs(rooms.includes(path)) do
        if include.is_ours then
          local mine, theirs = rooms.of(path), rooms.of(include.name)
          assert(theirs, ("%s includes %s: write the room as well"):format(path, include.name))
          assert(sees[mine][theirs], ("%s includes %s: %s does not see %s"):format(path, include.name, mine, theirs))
        end
      end
    end
  end)

  it("stand in core/README.md as they are here", function()
    local text = rooms.read("core/README.md")
    for _, entry in ipairs(rooms.MATRIX) do
      local line = text:match("\n " .. entry[1] .. "/ +([^\n]*)\n")
      assert(line, "core/README.md has no line for " .. entry[1])
      local direct = #entry[2] > 0 and table.concat(entry[2], " ") or "-"
      assert(line:sub(1, #direct + 2) == direct .. "  ",
        ("core/README.md says that %s sees %s"):format(entry[1], line))
    end
  end)

  it("keep each library to where it belongs", function()
    for _, path in ipairs(files) do
      for _, include in ipairs(rooms.includes(path)) do
        for _, library in ipairs(LIBRARIES) do
          if include.name:find(library[1]) then
            assert(holds(library[2], rooms.of(path)), ("%s includes <%s>"):format(path, include.name))
          end
        end
      end
    end
  end)

  it("have no circle of things that goes through two rooms, and only small ones", function()
    for _, circle in ipairs(rooms.circles()) do
      local text = table.concat(circle, " ")
      assert(#circle <= CIRCLE_MAX, #circle .. " things know each other round about: " .. text)
      for _, thing in ipairs(circle) do
        assert(rooms.of(thing) == rooms.of(circle[1]), "a circle through two rooms: " .. text)
      end
    end
  end)

  it("have headers that begin with what they are, and guard themselves", function()
    for _, path in ipairs(files) do
      local text = rooms.read("core/" .. path)
      assert(text:find("^/%*"), path .. " does not begin with a comment")
      if path:find("%.h$") then
        local guard = path:upper():gsub("[/.]", "_")
        local lines = ("#ifndef %s\n#define %s\n"):format(guard, guard)
        assert(text:find(lines, 1, true), path .. ": the guard is not " .. guard)
      end
    end
  end)

  it("name public functions after their header", function()
    assert(count(NAMED_OTHERWISE) <= 5, "too many exceptions")
    local seen = 0
    for _, path in ipairs(files) do
      if path:find("%.h$") then
        for _, name in ipairs(rooms.functions(path)) do
          seen = seen + 1
          assert(begins_with(name, noun_of(path)) or NAMED_OTHERWISE[name],
            ("%s declares %s: name it %s_..., or move it"):format(path, name, noun_of(path)))
        end
      end
    end
    assert.is_true(seen > 800)
  end)

  it("have no name of a static function in three files", function()
    for name, where in pairs(rooms.statics()) do
      assert(#where < 3, ("%s is in %s: give it the noun of its file"):format(name, table.concat(where, ", ")))
    end
  end)

  it("have files that one can read in one go", function()
    for _, path in ipairs(files) do
      local _, lines = rooms.read("core/" .. path):gsub("\n", "")
      assert(lines <= LINES_MAX, ("%s has %d lines"):format(path, lines))
    end
  end)

  it("have comments that no formatter has torn", function()
    for _, path in ipairs(files) do
      local number = 0
      for line in rooms.read("core/" .. path):gmatch("([^\n]*)\n") do
        number = number + 1
        local where = ("%s:%d: "):format(path, number)
        assert(utf8.len(line) <= 100, where .. "more than 100 columns")
        assert(not line:find("^%s*%*/%s*$"), where .. "*/ stands alone")
        local code, comment = line:match("^(.-)(/%*.*)$")
        assert(not code or not code:find("%S") or comment:find("*/", 1, true),
          where .. "this comment does not fit beside its line: put it above")
      end
    end
  end)
end)
