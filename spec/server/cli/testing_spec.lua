-- `neap test` as the author of an application uses it.
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local sweeps = 0
  app:every("%s", function() sweeps = sweeps + 1 end, {name = "sweep"})
  app:get("/sweeps", function() return tostring(sweeps) end)
  return app]]

local SPEC = [[
  local t = require "neap.test"
  describe("the app", function()
    it("sweeps every minute", function()
      local c = t.client("app.lua")
      assert.equal("0", c:get("/sweeps").body)
      t.advance(60)
      assert.equal("1", c:get("/sweeps").body)
      t.advance("1h")
      assert.equal("61", c:get("/sweeps").body)
      c:close()
      assert.same({}, t.leaks())
    end)
  end)]]

local function tested(period)
  return server.run({"test"}, {files = {["app.lua"] = APP:format(period), ["spec/app_spec.lua"] = SPEC}})
end

describe("neap test", function()
  it("proves that a job of every minute ran, without waiting for it", function()
    local result = tested "1m"
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("1 passed, 0 failed, 0 skipped", result.out)
  end)

  it("fails when the job comes at another time", function()
    local result = tested "2m"
    assert.equal(1, result.code)
    assert.matches("FAILED the app sweeps every minute", result.out)
    assert.matches("0 passed, 1 failed, 0 skipped", result.out)
  end)
end)
