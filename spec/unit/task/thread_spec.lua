-- task.thread: functions of a module on threads of their own.
local server = require "spec.support.server"
local task = require "neap.task"

local HOUR = 3600

-- A module that the threads find, in a folder of its own.
local MODULE = [[
local errands = {}
function errands.echo(...) return ... end
function errands.count() COUNT = (COUNT or 0) + 1 return COUNT end
function errands.fail(err) error(err, 0) end
function errands.break_down() local nothing; return nothing.field end
function errands.refuse() return nil, "not today" end
function errands.closure() return 1, function() end end
function errands.spin() while true do pcall(function() while true do end end) end end
function errands.eat() local t = {} for i = 1, 1e9 do t[i] = {i} end end
function errands.wait() require("neap.task").sleep(0) end
function errands.group() require("neap").task.group():spawn(print) end
function errands.nest() return require("neap").task.thread("string", "rep", "a", 2) end
function errands.http() return require("neap").http end
function errands.parts()
  local neap = require "neap"
  neap.store("threads"):incr("visits")
  return neap.json.decode(neap.json.encode({a = {1, 2}})), neap.crypto.hex(neap.crypto.sha256("")):sub(1, 4),
    type(neap.task.now())
end
function errands.meet(name, count)
  local store, now = require("neap.store")(name), os.clock()
  store:incr("here")
  while (store:get("here") or 0) < count do
    if os.clock() - now > 20 then return nil, "alone" end
  end
  return true
end
return errands
]]

local dir, old_path

local function call(name, ...)
  return task.thread("errands", name, ...)
end

-- Until `check` is true.
local function poll(check)
  return assert(server.poll(20, check), "it did not come about")
end

describe("task.thread", function()
  setup(function()
    dir, old_path = os.tmpname() .. ".dir", package.path
    assert(os.execute("mkdir " .. dir))
    local file <close> = assert(io.open(dir .. "/errands.lua", "w"))
    assert(file:write(MODULE))
    package.path = dir .. "/?.lua;" .. package.path
  end)
  teardown(function()
    package.path = old_path
    os.execute("rm -r " .. dir)
  end)
  after_each(server.stop_all)

  it("carries plain data both ways", function()
    local deep = {list = {1, 2.5, "three", true}, [7] = {x = {}}, text = ("x"):rep(100000)}
    local results = table.pack(call("echo", deep, nil, false, 1 << 62, "a\0b", nil))
    assert.equal(6, results.n)
    assert.same({deep, nil, false, 1 << 62, "a\0b"}, {table.unpack(results, 1, 5)})
    assert.equal(0, select("#", call("echo")))
  end)

  it("takes functions of the standard library as well", function()
    assert.equal("abab", task.thread("string", "rep", "ab", 2))
  end)

  it("runs each call in a fresh state", function()
    assert.equal(1, call("count"))
    assert.equal(1, call("count"))
    assert.is_nil(rawget(_G, "COUNT"))
  end)

  it("lets others go on meanwhile, and runs several at a time", function()
    require("neap.store")("meeting"):clear()
    local turns = 0
    local g <close> = task.group()
    g:spawn(function()
      while true do
        turns = turns + 1
        task.yield()
      end
    end)
    assert.same({true, true}, {task.all {
      function() return call("meet", "meeting", 2) end,
      function() return call("meet", "meeting", 2) end,
    }})
    assert.is_true(turns > 0)
    g:cancel()
  end)

  it("raises what the function raises, and returns what it returns", function()
    for _, err in ipairs {"text", {code = 7}, 42} do
      local ok, got = pcall(call, "fail", err)
      assert.is_false(ok)
      assert.same(err, got)
    end
    local ok, err = pcall(call, "break_down")
    assert.is_false(ok)
    assert.matches("errands.lua:%d+: attempt to index a nil value", err)
    assert.same({n = 2, nil, "not today"}, table.pack(call("refuse")))
  end)

  it("shows both tracebacks when nobody takes the error", function()
    local s = server.run({"exec", "main.lua"}, {files = {["errands.lua"] = MODULE, ["main.lua"] = [[
      local task = require "neap.task"
      require("neap.core").task.spawn(function() task.thread("errands", "break_down") end)
      task.sleep(0)
      task.thread("string", "rep", "a", 1)
      for _ = 1, 2000 do
        if #require("neap.core").task.list() == 1 then return end
        task.sleep("10ms")
      end
      return 1
    ]]}})
    assert.equal(0, s.code, s.err)
    assert.matches("errands.lua:5: in function 'errands.break_down'", s.err, 1, true)
    assert.matches("main.lua:2: in function <main.lua:2>", s.err, 1, true)
  end)

  it("refuses what is no plain data: arguments at the caller's line, results by their number", function()
    local ok, err = pcall(function() call("echo", 1, {f = print}) end)
    assert.is_false(ok)
    assert.matches("bad argument #4 to '[%w.]*' %(a function at .f cannot be kept", err)
    ok, err = pcall(call, "closure")
    assert.is_false(ok)
    assert.matches("result 2: a function cannot be kept", err)
  end)

  it("says so when there is no such module or function", function()
    local ok, err = pcall(task.thread, "no_such_module_at_all", "f")
    assert.is_false(ok)
    assert.matches("module 'no_such_module_at_all' not found", err)
    ok, err = pcall(call, "no_such_function")
    assert.is_false(ok)
    assert.matches("module 'errands' has no function 'no_such_function'", err)
  end)

  it("offers json, log, crypto and stores, and says what is not there", function()
    require("neap.store")("threads"):clear()
    assert.same({{a = {1, 2}}, "e3b0", "number"}, {call("parts")})
    assert.equal(1, require("neap.store")("threads"):get("visits"))
    for name, message in pairs {
      wait = "cannot wait inside task.thread", group = "there are no tasks inside task.thread",
      nest = "cannot wait inside task.thread", http = "neap.http is not available inside task.thread",
    } do
      local ok, err = pcall(call, name)
      assert.is_false(ok, name)
      assert.matches(message, err, 1, true)
    end
  end)

  it("stops what runs when its caller gives up, even in a loop of pcalls", function()
    assert.same({n = 2, nil, "timeout"}, table.pack(task.timeout("50ms", call, "spin")))
    for _ = 1, 8 do assert.is_nil((task.timeout("1ms", call, "spin"))) end
    assert.equal("free again", call("echo", "free again"))
  end)

  it("never begins what was cancelled while it waited for a thread", function()
    local s = server.run({"exec", "--set", "task_threads=1", "main.lua"}, {files = {["errands.lua"] = MODULE,
      ["main.lua"] = [[
      local task, store = require "neap.task", require("neap.store")("s")
      local g <close> = task.group()
      local spinning = g:spawn(task.thread, "errands", "spin")
      task.yield()
      local waiting = g:spawn(task.thread, "errands", "parts")
      task.yield()
      waiting:cancel()
      spinning:cancel()
      g:join()
      assert(task.thread("errands", "echo", "x") == "x")
      assert(require("neap.store")("threads"):get("visits") == nil)
    ]]}})
    assert.equal(0, s.code, s.err)
  end)

  it("bounds the memory of its state", function()
    local s = server.run({"exec", "--set", "limits.memory=16MB", "main.lua"}, {files = {["errands.lua"] = MODULE,
      ["main.lua"] = [[
      local ok, err = pcall(require("neap.task").thread, "errands", "eat")
      assert(not ok and err:find("not enough memory"), err)
    ]]}})
    assert.equal(0, s.code, s.err)
  end)

  it("ends with the server, whatever runs", function()
    local s = server.start {workers = 1, files = {["errands.lua"] = MODULE}, args = {"--set", "timeouts.drain=10ms"},
      app = [[
      local neap = require "neap"
      local app = neap.app()
      app:get("/spin", function()
        neap.store("s"):incr("spinning")
        return neap.task.thread("errands", "spin")
      end)
      app:get("/count", function() return tostring(neap.store("s"):get("spinning")) end)
      return app
    ]]}
    local spinning = s:connect()
    spinning:send("GET /spin HTTP/1.1\r\nHost: localhost\r\n\r\n")
    poll(function() return select(2, s:get("/count")) == "1" end)
    assert.equal(0, s:stop(), s:log())
    spinning:close()
  end)

  it("can be cancelled at any moment", function()
    local g <close> = task.group()
    for i = 1, 40 do
      local t = g:spawn(call, i % 2 == 0 and "spin" or "count")
      for _ = 1, i % 5 do task.yield() end
      if i % 3 == 0 then task.sleep("1ms") end
      t:cancel()
    end
    g:join()
    assert.equal(1, call("count"))
    assert.is_nil((task.timeout(0, task.sleep, HOUR)))
  end)
end)
