-- Every soak for a short time, so that none rots: spec/soak/run takes a longer one.
local core = require "neap.core"
local soak = require "spec.support.soak"

local SECONDS = tonumber(os.getenv "SOAK_SECONDS") or 2 -- for each; CI takes longer

describe("a soak", function()
  for _, file in ipairs(assert(core.list_dir "spec/soak")) do
    local name = file:match("^(.*)%.lua$")
    if name and not name:find("_spec$") then
      it(("ends well: %s"):format(name), function()
        local lines = {}
        local ok = soak.run(name, SECONDS, os.time(), function(line) lines[#lines + 1] = line end)
        assert.is_true(ok, table.concat(lines, "\n"))
      end)
    end
  end
end)
