-- What parks until several tasks have ended.
local task = require "neap.task"

return {
  {"neap.task.all", function()
    local event = task.event()
    return {
      park = function() return task.all {function() return event:wait() end, function() return event:wait() end} end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.race", function()
    local event = task.event()
    return {
      park = function() return task.race {function() return event:wait() end, function() task.sleep("1h") end} end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.any", function()
    local event = task.event()
    return {
      park = function() return task.any {function() error "no" end, function() return event:wait() end} end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.settle", function()
    local event = task.event()
    return {
      park = function() return task.settle {function() return event:wait() end, function() error "no" end}[1].value end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.map", function()
    local event = task.event()
    return {
      park = function() return task.map({1, 2, 3}, function() return event:wait() end, {limit = 2})[3] end,
      complete = function() event:set() end, keeps = true,
    }
  end},
}
