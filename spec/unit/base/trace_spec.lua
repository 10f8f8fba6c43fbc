local trace = require "neap.base.trace"

local OURS = debug.getinfo(trace.short, "S").source:match("^@(.*/)base/[^/]*$") -- ends with /lua/neap/

local function is_left_out(path)
  return trace.short(("stack traceback:\n\t%s:7: in function 'f'"):format(path), 5) == ""
end

describe("a short traceback", function()
  it("leaves out files of neap, in any folder", function()
    assert.is_true(is_left_out(OURS .. "res.lua"))
    assert.is_true(is_left_out(OURS .. "app/errors.lua"))
    assert.is_true(is_left_out("[C]"))
  end)

  it("knows them when Lua has cut the beginning of their path", function()
    assert.is_true(is_left_out("..." .. OURS:sub(-8) .. "app/errors.lua"))
    assert.is_true(is_left_out("..." .. OURS:sub(-11) .. "task.lua"))
  end)

  it("shows what is an application's, wherever that lies", function()
    assert.is_false(is_left_out("app.lua"))
    assert.is_false(is_left_out("/home/ada/neap/app/errors.lua"))
    assert.is_false(is_left_out("...ome/ada/neap/app/errors.lua"))
    assert.equal("./shop/cart.lua:3", trace.place("stack traceback:\n\t" .. OURS
      .. "life/limit.lua:5: in function 'call'\n\t./shop/cart.lua:3: in function 'add'"))
  end)
end)
