local config = require "neap.config"
local core = require "neap.core"

describe("neap.config", function()
  it("is what the core found, and read-only", function()
    for key, value in pairs(core.config) do
      if type(value) ~= "table" then assert.equal(value, config[key]) end
    end
    assert.error_matches(function() config.workers = 5 end, "neap.config is read%-only: set workers in config.lua")
    assert.is_nil(config.no_such_setting)
  end)

  it("has a plain table for the app's own settings", function()
    assert.equal("table", type(config.app))
    assert.is_nil(getmetatable(config.app))
  end)
end)
