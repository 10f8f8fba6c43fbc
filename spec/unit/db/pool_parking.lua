-- What parks until a pool has a connection.
local pool = require "neap.db.pool"

local function nothing() end

return {
  {"pool:acquire", function(case)
    local driver = {name = "fake", open = function() return {} end, close = nothing}
    driver.is_usable = function() return true end
    local one = case:keep(pool.new(driver, {max = 1}, "spec"))
    local lease = assert(one:acquire(1))
    return {
      park = function()
        local mine <close> = assert(one:acquire(10))
        return mine.conn
      end,
      complete = function() lease:close() end,
      keeps = true,
      whole = function() return one:stats().open == 1 end,
    }
  end},
}
