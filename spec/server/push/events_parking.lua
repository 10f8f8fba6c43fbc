-- What parks until a client has taken some of its events.
local neap = require "neap"
local parking = require "spec.support.parking"

local function sse(hand) return neap.res.sse(hand) end

return {
  {"neap.Events:send", function(case)
    local ev, drain = parking.slow(case, sse)
    return {park = function() return ev:send {data = parking.BIG} end, complete = drain, keeps = true}
  end},
  {"neap.Events:comment", function(case)
    local ev, drain = parking.slow(case, sse)
    return {park = function() return ev:comment(parking.BIG) end, complete = drain, keeps = true}
  end},
}
