-- require: modules may wait while they are loaded, and are loaded once.
local server = require "spec.support.server"
local task = require "neap.task"

-- Modules that exist only here: name -> function, called as the loader.
local modules = {}

local function search(name)
  return modules[name] and modules[name] or ("no module '%s' in the spec"):format(name)
end

describe("require", function()
  setup(function() table.insert(package.searchers, 2, search) end)
  teardown(function()
    for i, searcher in ipairs(package.searchers) do
      if searcher == search then table.remove(package.searchers, i) end
    end
  end)
  before_each(function() modules = {} end)
  after_each(function()
    for name in pairs(modules) do package.loaded[name] = nil end
  end)

  it("gives what the module returned, and where it was found", function()
    modules["spec.a"] = function(name, data) return {name = name, data = data} end
    local a = require "spec.a"
    assert.equal("spec.a", a.name)
    assert.equal(a, require "spec.a")
    assert.equal(a, package.loaded["spec.a"])
  end)

  it("gives true when the module returned nothing, or what it put in package.loaded", function()
    modules["spec.nothing"] = function() end
    modules["spec.itself"] = function(name) package.loaded[name] = "by itself" end
    assert.is_true(require "spec.nothing")
    assert.equal("by itself", (require "spec.itself"))
  end)

  it("lets a module wait at its top level", function()
    modules["spec.slow"] = function() task.sleep(0.002) return "loaded" end
    assert.equal("loaded", (require "spec.slow"))
  end)

  it("loads a module once, however many tasks ask for it", function()
    local loads = 0
    modules["spec.once"] = function() loads = loads + 1 task.sleep(0.005) return {} end
    local g <close> = task.group()
    local got = g:map({1, 2, 3, 4, 5}, function() return (require "spec.once") end)
    assert.equal(1, loads)
    for i = 2, 5 do assert.equal(got[1], got[i]) end
  end)

  it("lets the next task try again when loading failed", function()
    local loads = 0
    modules["spec.flaky"] = function()
      loads = loads + 1
      task.sleep(0.002)
      if loads == 1 then error("the first time", 0) end
      return "loaded"
    end
    local g <close> = task.group()
    local first = g:spawn(pcall, require, "spec.flaky")
    local second = g:spawn(pcall, require, "spec.flaky")
    g:join()
    assert.same({true, false, "the first time"}, {first:join()})
    assert.same({true, true, "loaded"}, {second:join()})
  end)

  it("lets the next task try again when the loading one was cancelled", function()
    local loads = 0
    modules["spec.slow"] = function() loads = loads + 1 task.sleep(loads == 1 and 3600 or 0) return "loaded" end
    local g <close> = task.group()
    local first = g:spawn(require, "spec.slow")
    local second = g:spawn(require, "spec.slow")
    task.sleep(0.002)
    first:cancel()
    assert.same({true, "loaded"}, {second:join()})
    assert.equal(2, loads)
  end)

  it("forgets a task that stopped waiting for a module", function()
    modules["spec.slow"] = function() task.sleep(0.01) return "loaded" end
    local g <close> = task.group()
    local first, second = g:spawn(require, "spec.slow"), g:spawn(require, "spec.slow")
    task.sleep(0.002)
    second:cancel()
    assert.same({true, "loaded"}, {first:join()})
    assert.equal("cancelled", second.status)
  end)

  it("says so when a module requires itself", function()
    modules["spec.self"] = function() return require "spec.self" end
    local ok, err = pcall(require, "spec.self")
    assert.is_false(ok)
    assert.matches("loop or previous error loading module 'spec.self'", err, 1, true)
    ok, err = pcall(require, "spec.self")
    assert.is_false(ok)
    assert.matches("loop", err)
  end)

  it("names the circle when modules loaded by two tasks wait for each other", function()
    modules["spec.one"] = function() task.sleep(0.002) return require "spec.two" end
    modules["spec.two"] = function() task.sleep(0.002) return require "spec.three" end
    modules["spec.three"] = function() task.sleep(0.002) return require "spec.one" end
    local g <close> = task.group()
    local results = g:map({"spec.one", "spec.two", "spec.three"}, function(name)
      return select(2, pcall(require, name))
    end)
    local all = table.concat(results, "\n")
    assert.matches("modules require each other in a circle: spec%.%w+ %-> spec%.%w+ %-> spec%.%w+ %-> spec%.%w+", all)
  end)

  it("lists where it looked for a module that is not there", function()
    local ok, err = pcall(require, "spec.absent")
    assert.is_false(ok)
    assert.matches("module 'spec.absent' not found:\n\tno field package.preload['spec.absent']", err, 1, true)
    assert.matches("\n\tno module 'spec.absent' in the spec\n", err, 1, true)
    assert.matches("\n\tno file './spec/absent.lua'", err, 1, true)
    assert.matches("\n\tno file '[^\n]*spec/absent.so'", err)
  end)

  it("needs a name", function()
    assert.has_error(function() require() end, "bad argument #1 to 'require' (string expected, got nil)")
  end)

  it("finds modules written in C", function()
    assert.equal("table", type(require "lfs"))
  end)

  it("reads files as source text, named by their path", function()
    local result = server.run({"exec", "script.lua"}, {files = {
      ["script.lua"] = [[
        local part, path = require "part"
        print(part, path)
        print(select(2, pcall(require, "broken")))
        print(select(2, pcall(require, "failing")))
        print((select(2, pcall(require, "binary")):gsub("\n.*", "")))
      ]],
      ["part.lua"] = "require('neap.task').sleep(0.001) return debug.getinfo(1, 'S').source",
      ["broken.lua"] = "local = 1",
      ["failing.lua"] = "\n\nerror('top level')",
      ["binary.lua"] = "\27Lua",
    }})
    assert.equal(0, result.code, result.err)
    local lines = {}
    for line in result.out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal("@./part.lua\t./part.lua", lines[1])
    assert.equal("error loading module 'broken' from file './broken.lua':", lines[2])
    assert.equal("\t./broken.lua:1: <name> expected near '='", lines[3])
    assert.equal("./failing.lua:3: top level", lines[4])
    assert.equal("error loading module 'binary' from file './binary.lua':", lines[5])
  end)
end)
