-- pcall and xpcall, which may wait inside and do not keep the errors that stop a task.
local core = require "neap.core"
local task = require "neap.task"

local spawn = core.task.spawn

local function settled(t)
  repeat task.yield() until t.status ~= "ready" and t.status ~= "running"
  return t
end

describe("pcall", function()
  it("gives true and the results, or false and the error", function()
    assert.same({n = 4, true, 1, nil, 3}, table.pack(pcall(function(...) return ... end, 1, nil, 3)))
    assert.same({n = 1, true}, table.pack(pcall(function() end)))
    local object = {}
    for _, err in ipairs {"text", object, 42, false} do
      assert.same({false, err}, {pcall(error, err, 0)})
    end
    assert.same({n = 2, false, nil}, table.pack(pcall(error)))
  end)

  it("does the same when the function waits", function()
    assert.same({n = 4, true, 1, nil, 3},
      table.pack(pcall(function(...) task.sleep(0) return ... end, 1, nil, 3)))
    assert.same({false, "late"}, {pcall(function() task.sleep(0) error("late", 0) end)})
  end)

  it("nests, with waits between", function()
    local ok, a, b, c = pcall(function()
      task.sleep(0)
      local inner, err = pcall(function()
        task.sleep(0)
        return pcall(function() task.sleep(0) error("deep", 0) end)
      end)
      task.sleep(0)
      return inner, err, "after"
    end)
    assert.same({true, true, false, "after"}, {ok, a, b, c})
  end)

  it("needs a function", function()
    assert.has_error(function() pcall() end)
    assert.is_false((pcall(42)))
  end)

  it("catches what is called where waiting is impossible", function()
    local caught
    table.sort({2, 1}, function(a, b)
      caught = select(2, pcall(error, "inside", 0))
      return a < b
    end)
    assert.equal("inside", caught)
  end)
end)

describe("xpcall", function()
  it("gives what the handler makes of the error", function()
    assert.same({false, "handled oops"}, {xpcall(error, function(err) return "handled " .. err end, "oops", 0)})
    assert.same({true, 1, 2}, {xpcall(function(...) task.sleep(0) return ... end, print, 1, 2)})
    assert.same({false, "handled late"}, {xpcall(function() task.sleep(0) error("late", 0) end,
      function(err) return "handled " .. err end)})
  end)

  it("runs the handler where the error happened", function()
    local function culprit() error("oops") end
    local _, text = xpcall(culprit, debug.traceback)
    assert.matches("oops\nstack traceback:\n\t%[C%]: in function 'error'\n\t[^\n]*in function <[^\n]*pcall_spec", text)
    _, text = xpcall(culprit, function(err) return debug.traceback(err, 2) end)
    assert.matches("oops\nstack traceback:\n\t%[C%]: in function 'error'\n", text)
  end)

  it("needs a handler", function()
    assert.has_error(function() xpcall(print) end)
    assert.has_error(function() xpcall(print, 42) end)
  end)

  it("survives a handler that fails", function()
    assert.is_false((xpcall(error, error, "a")))
    assert.is_false((xpcall(error, function(err) return err.no.field end, "a")))
  end)

  it("does not show a cancel to its handler", function()
    local seen = {}
    local t = settled(spawn(function()
      xpcall(task.sleep, function(err) seen[#seen + 1] = err end, 3600)
      seen[#seen + 1] = "went on"
    end))
    t:cancel()
    t:join()
    assert.same({}, seen)
  end)
end)

describe("a cancel", function()
  it("is raised again by any depth of pcall", function()
    local trace = {}
    local function nest(depth)
      if depth == 0 then task.sleep(3600) end
      pcall(nest, depth - 1)
      trace[#trace + 1] = depth
    end
    local t = settled(spawn(nest, 20))
    t:cancel()
    t:join()
    assert.same({}, trace)
    assert.equal("cancelled", t.status)
  end)

  it("is raised again by coroutine.resume and wrap", function()
    local trace = {}
    local t = settled(spawn(function()
      pcall(coroutine.wrap(function()
        coroutine.resume(coroutine.create(function() pcall(task.sleep, 3600) end))
        trace[1] = "resume kept it"
      end))
      trace[2] = "pcall kept it"
    end))
    t:cancel()
    t:join()
    assert.same({}, trace)
  end)

  it("cannot be faked: an error with the same text is ordinary", function()
    assert.same({false, "cancelled"}, {pcall(error, "cancelled", 0)})
  end)
end)

describe("the standard library", function()
  it("loads source text only", function()
    assert.is_nil(string.dump)
    local binary = "\27Lua"
    assert.is_nil((load(binary)))
    assert.is_nil((load(binary, "chunk", "b")))
    assert.is_nil((load(binary, "chunk", "bt")))
    assert.equal(3, load("return 1 + 2")())
    assert.equal(7, load("return x", "chunk", "t", {x = 7})())
    assert.is_nil(load("return print", "chunk", nil, {})())
    assert.equal(print, load("return print", "chunk", "bt")())
    local pieces = {"return ", "42", nil}
    local i = 0
    assert.equal(42, load(function() i = i + 1 return pieces[i] end)())
    assert.is_nil((loadfile("/dev/null", "b")))
  end)

  it("has no function that would end or upset the server", function()
    assert.has_error(function() os.exit() end, "os.exit is not available: return an exit code or stop the server")
    assert.is_nil(os.setlocale)
    assert.is_nil(debug.getregistry)
    assert.has_error(function() debug.sethook(print, "l") end)
    assert.has_error(function() debug.setmetatable("", {}) end)
    assert.has_error(function() debug.setmetatable(nil, {}) end)
    assert.has_error(function() collectgarbage("stop") end)
    assert.equal("number", type(collectgarbage("count")))
    local object = {}
    assert.equal(object, debug.setmetatable(object, {}))
  end)

  it("protects what all strings share", function()
    assert.equal("string", getmetatable(""))
    assert.has_error(function() setmetatable("", {}) end)
    assert.equal("ABC", ("abc"):upper())
  end)

  it("refuses strings too large to be meant", function()
    assert.has_error(function() string.rep("x", 100 * 1024 * 1024) end)
    assert.has_error(function() string.rep("", math.maxinteger, "x") end)
    assert.equal("xxx", ("x"):rep(3))
    assert.equal("x,x", ("x"):rep(2, ","))
    assert.equal("", ("x"):rep(-1))
    assert.equal("", (""):rep(math.maxinteger))
  end)

  it("seeds its random numbers again in every state", function()
    local server = require "spec.support.server"
    local files = {["script.lua"] = "print(math.random(0))"}
    local first = server.run({"exec", "script.lua"}, {files = files})
    local second = server.run({"exec", "script.lua"}, {files = files})
    assert.not_equal(first.out, second.out)
  end)

  it("lets a chunk wait in dofile", function()
    local server = require "spec.support.server"
    local result = server.run({"exec", "script.lua"}, {files = {
      ["script.lua"] = "print(dofile('part.lua'))",
      ["part.lua"] = "require('neap.task').sleep(0.001) return 'part', 2",
    }})
    assert.equal("part\t2\n", result.out)
  end)
end)
