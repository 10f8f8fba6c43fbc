-- What is said to who requires a module by the name that it had when all lay in one folder.
local moves = require "neap.life.moves"
local neap = require "neap"
local reference = require "neap.cli.reference"
local server = require "spec.support.server"

-- "neap.task.group"
local function is_of_neap(name)
  local value = neap
  for part in name:gmatch("%.([%w_]+)") do value = value and value[part] end
  return value ~= nil
end

-- The methods and fields of what an application is given: "app:get", "req.ip".
local function names_of_objects()
  local names = {}
  for _, file in ipairs(reference.read()) do
    for _, entry in ipairs(file.entries) do
      if entry.kind == "function" then names[reference.signature(entry):match("^[%w_.:]+")] = true end
      for _, field in ipairs(entry.kind == "class" and entry.name == "neap.Request" and entry.fields or {}) do
        names["req." .. field.name] = true
      end
    end
  end
  return names
end

local function root()
  return (debug.getinfo(moves.message, "S").source:match("^@(.*)lua/neap/life/[^/]*$"))
end

describe("a module that is inside now", function()
  it("is named with something that is there", function()
    local help, objects = server.run({"--help"}).out, names_of_objects()
    for old, place in pairs(moves.PLACES) do
      local command = place:match("^`neap (%l+)`$")
      local found
      if command then
        found = help:find("\n  " .. command .. " ", 1, true)
      elseif place:find("/", 1, true) then
        found = io.open(root() .. place)
      elseif place:find("^neap%f[^%w]") then
        found = is_of_neap(place)
      else
        found = objects[place]
      end
      assert(found, ("neap.%s: there is no %s"):format(old, place))
    end
  end)

  it("can not be required by its old name, nor is it public", function()
    for old in pairs(moves.PLACES) do
      local name = "neap." .. old
      local ok, message = pcall(require, name)
      assert.is_false(ok, name)
      assert.equal(moves.message(name), message)
    end
  end)

  it("is every one of those that the table of moves knows", function()
    package.path = "spec/support/move/?.lua;" .. package.path
    for old in pairs(require "modules") do assert(moves.PLACES[old], "neap." .. old .. " has no row") end
    package.path = package.path:gsub("^[^;]*;", "")
  end)

  it("is told at the line that requires it", function()
    local result = server.run({"exec", "script.lua"}, {files = {["script.lua"] = [[
      local old = "group"
      local group = require("neap." .. old)]]}})
    assert.equal(1, result.code)
    assert.matches("script.lua:2: neap.group is inside neap now: use neap.task.group\n", result.err, 1, true)
  end)

  it("says which file can be copied when nothing public does the same", function()
    assert.equal("neap.units is inside neap now: nothing public does the same, so copy lua/neap/base/units.lua",
      moves.message("neap.units"))
  end)

  it("is not guessed for a name that never was one", function()
    assert.is_nil(moves.message("neap.task"))
    local ok, message = pcall(require, "neap.nothing")
    assert.is_false(ok)
    assert.matches("module 'neap.nothing' not found:", message, 1, true)
  end)
end)
