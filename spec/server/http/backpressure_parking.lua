-- What parks until a client has taken some of a stream.
local neap = require "neap"
local parking = require "spec.support.parking"
local task = require "neap.task"

local function stream(hand) return neap.res.stream(hand) end

return {
  {"neap.Out:write", function(case)
    local out, drain = parking.slow(case, stream)
    return {park = function() return out:write(parking.BIG) end, complete = drain, keeps = true}
  end},
  {"neap.Out:flush", function(case)
    local out, drain = parking.slow(case, stream)
    local g <close> = task.group()
    local writer = g:spawn(out.write, out, parking.BIG)
    task.yield()
    writer:cancel() -- what it wrote is on its way all the same
    g:join()
    assert(out:pending() > 0)
    return {park = function() return out:flush() end, complete = drain, keeps = true, whole = function()
      return out:pending() == 0
    end}
  end},
}
