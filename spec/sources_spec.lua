-- Format and lint of all sources, by the tools that people run by hand: spec/support/check.
-- first: minutes, when clang-tidy has to read everything
-- needs: lua-check clang-format clang-tidy
local command = require "spec.support.command"

local PATIENCE = 1800 -- the first time, clang-tidy reads everything
local COMMAND = ("cd '%s' && spec/support/check '%s'"):format(os.getenv "PWD", os.getenv("NEAP_BIN"):match("^(.*)/"))

describe("the sources satisfy", function()
  local result
  lazy_setup(function() result = command.run(COMMAND, PATIENCE) end)

  for _, tool in ipairs {"clang-format", "clang-tidy", "luacheck"} do
    it(tool, function()
      local function is(verdict) return ("\n" .. result.out):find(("\n%s %s\n"):format(verdict, tool), 1, true) end
      if is "skipped" then return pending("it is not here, or in another version") end
      if not is "ok" then error("\n" .. result.err .. result.out) end
    end)
  end
end)
