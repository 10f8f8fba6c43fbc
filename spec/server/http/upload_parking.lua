-- What parks until a body comes.
local parking = require "spec.support.parking"

-- A row of something that takes the whole body, of which `rest` comes last.
local function whole_body(kind, first, rest, take)
  return function(case)
    local req, send = parking.upload(case, kind, #first + #rest, first)
    local is_sent = false
    return {
      park = function() return take(req) end,
      complete = function()
        if not is_sent then send(rest) end
        is_sent = true
      end,
      keeps = true,
    }
  end
end

return {
  {"neap.Request:body", whole_body("text/plain", "half", "rest", function(req) return req:body() == "halfrest" end)},
  {"neap.Request:json", whole_body("application/json", '{"a":', "1}", function(req) return req:json().a == 1 end)},
  {"neap.Request:form", whole_body("application/x-www-form-urlencoded", "a=1&", "b=2",
    function(req) return req:form().b == "2" end)},
  {"neap.Request:read_chunk", function(case)
    local req, send = parking.upload(case, "text/plain", parking.ENDLESS, "")
    return {park = function() return req:read_chunk() end, complete = function() send("item") end, keeps = true}
  end},
  {"neap.Request:chunks", function(case)
    local req, send = parking.upload(case, "text/plain", parking.ENDLESS, "")
    return {park = function() return req:chunks()() end, complete = function() send("item") end, keeps = true}
  end},
}
