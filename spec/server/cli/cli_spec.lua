-- The command line: what is printed, and the exit codes.
local server = require "spec.support.server"

local function neap(...)
  return server.run {...}
end

describe("the command line", function()
  after_each(server.stop_all)

  it("says which version it is", function()
    local result = neap("--version")
    assert.equal(0, result.code)
    assert.matches("^neap %d+%.%d+%.%d+\n$", result.out)
  end)

  it("has help for every command", function()
    local all = neap("-h")
    assert.equal(0, all.code)
    for _, command in ipairs {"run", "dev", "exec", "check", "routes", "test", "ps", "topics", "errors", "config", "types"} do
      assert.matches("\n  " .. command .. " ", all.out)
      local one = neap(command, "-h")
      assert.equal(0, one.code)
      assert.matches("^usage: neap " .. command, one.out)
      assert.equal(one.out, neap(command, "--help").out)
    end
  end)

  it("exits 64 without a command", function()
    local result = neap()
    assert.equal(64, result.code)
    assert.matches("usage: neap COMMAND", result.err)
  end)

  it("guesses what a misspelt option was meant to be", function()
    local result = neap("run", "--wrokers", "2")
    assert.equal(64, result.code)
    assert.equal("neap: unknown option --wrokers: did you mean --workers?\n", result.err)
  end)

  it("guesses what a misspelt command was meant to be", function()
    local result = neap("rnu")
    assert.equal(64, result.code)
    assert.equal("neap: unknown command rnu: did you mean run?\n", result.err)
  end)

  it("refuses a value that is none", function()
    for _, words in ipairs {{"--workers", "many"}, {"--port", "70000"}, {"--port", "-1"}, {"--listen", "nonsense"},
      {"--set", "workers"}, {"--set", "limits.body=big"}, {"--workers"}} do
      local result = neap("run", table.unpack(words))
      assert.equal(64, result.code)
      assert.matches("^neap: " .. words[1]:gsub("-", "%%-"), result.err)
    end
  end)

  it("refuses arguments that mean nothing", function()
    assert.equal(64, neap("run", "a.lua", "b.lua").code)
    assert.equal(64, neap("config", "a.lua").code)
    assert.equal(64, neap("exec").code)
  end)
end)

describe("neap exec", function()
  local function exec(text, ...)
    return server.run({"exec", "script.lua", ...}, {files = {["script.lua"] = text}})
  end

  it("runs a script with its arguments", function()
    local result = exec("print(arg[0], arg[1], arg[2], ...)", "one", "--two")
    assert.equal(0, result.code)
    assert.equal("script.lua\tone\t--two\tone\t--two\n", result.out)
  end)

  it("makes the exit code from what the script returns", function()
    assert.equal(7, exec("return 7").code)
    assert.equal(0, exec("return true").code)
    assert.equal(1, exec("return false").code)
    local result = exec("return nil, 'no luck'")
    assert.equal(1, result.code)
    assert.matches("no luck", result.err)
  end)

  it("shows an error with its place and a traceback, and exits 1", function()
    local result = exec("local x\nx.y = 1")
    assert.equal(1, result.code)
    assert.matches("neap: script.lua:2: attempt to index a nil value", result.err)
    assert.matches("stack traceback:", result.err)
  end)

  it("shows a syntax error with its place", function()
    local result = exec("print('a')\nlocal = 1")
    assert.equal(1, result.code)
    assert.matches("neap: script.lua:2: ", result.err)
    assert.equal("", result.out)
  end)

  it("lets the script wait", function()
    local result = exec("local task = require 'neap.task'; task.sleep(0.02); print('awake')")
    assert.equal("awake\n", result.out)
    assert.equal(0, result.code)
  end)

  it("ends with 1 when it is interrupted, after the clean-up of the script", function()
    local child = server.spawn({"exec", "script.lua"}, {files = {["script.lua"] = [[
      local task = require "neap.task"
      local guard <close> = setmetatable({}, {__close = function() task.sleep(0.01) print("cleaned up") end})
      io.stdout:write("waiting\n"):flush()
      task.sleep(60)]]}})
    assert.truthy(server.poll(10, function() return child:output():find("waiting") end))
    assert.equal(1, child:stop("INT"))
    assert.equal("waiting\ncleaned up\n", child:output())
    child:remove()
  end)
end)

describe("neap check and neap routes", function()
  local app = [[
    local neap = require "neap"
    local app = neap.app()
    app:get("/", function() return "hello" end)
    app:post("/users/:id", function() return 204 end):name("user")
    return app]]

  it("check loads an application without serving it", function()
    local result = server.run({"check", "app.lua"}, {files = {["app.lua"] = app}})
    assert.equal(0, result.code)
    assert.equal("ok: 2 routes\n", result.out)
  end)

  it("routes lists method, pattern, name and place", function()
    local result = server.run({"routes", "."}, {files = {["app.lua"] = app}})
    assert.equal(0, result.code)
    assert.matches("METHOD +PATTERN +NAME +DEFINED\n", result.out)
    assert.matches("\nGET +/ +%- +[^\n]*app.lua:3\n", result.out)
    assert.matches("\nPOST +/users/:id +user +[^\n]*app.lua:4\n", result.out)
  end)

  it("mounts the apps of a folder, and welcome at /", function()
    local blog = app:gsub(':name%("user"%)', "")
    local result = server.run({"routes"}, {files = {["apps/blog/app.lua"] = blog, ["apps/welcome/app.lua"] = app}})
    assert.equal("", result.err)
    assert.equal(0, result.code)
    for _, path in ipairs {"/", "/users/:id", "/blog", "/blog/users/:id", "/welcome/users/:id"} do
      assert.truthy(result.out:find(" " .. path .. " ", 1, true), path .. " is missing in:\n" .. result.out)
    end
  end)

  it("says what to do when there is no apps/", function()
    local result = neap("check")
    assert.equal(1, result.code)
    assert.matches("there is no folder apps/ here.*neap run FILE", result.err)
  end)

  it("says what is wrong with a file that returns no app", function()
    local result = server.run({"check", "app.lua"}, {files = {["app.lua"] = "local x = 1"}})
    assert.equal(1, result.code)
    assert.matches("app.lua: the file returned nothing, not an app. Does it end with `return app`%?", result.err)
  end)
end)

describe("neap types", function()
  it("writes .luarc.json, and completes one that is there", function()
    local result = server.run({"exec", "script.lua"}, {files = {[".luarc.json"] = '{"a":1}', ["script.lua"] = [[
      local types = require "neap.cli.types"
      assert(types.write() == 0)
      assert(types.write() == 0)
      os.remove(".luarc.json")
      assert(types.write() == 0)
      local file <close> = io.open(".luarc.json")
      local settings = require("neap.core").json.decode(file:read("a"))
      assert(settings["runtime.version"] == "Lua 5.4")
      assert(io.open(settings["workspace.library"][1] .. "/neap/life/boot.lua"))]]}})
    assert.equal("", result.err)
    assert.equal("completed .luarc.json\n.luarc.json is up to date\nwrote .luarc.json\n", result.out)
    assert.equal(0, result.code)
  end)
end)
