-- What parks in tasks and groups.
local core = require "neap.core"
local task = require "neap.task"

local primitives = core.task

local function nothing() end

-- One that ends when it is told.
local function worker(case)
  local event = task.event()
  local g = case:group()
  return g:spawn(function()
    event:wait()
    return "done"
  end), event
end

return {
  {"neap.task.sleep", function()
    return {park = function() task.sleep("1ms") return true end}
  end},
  {"neap.task.yield", function()
    return {park = function() task.yield() return true end}
  end},
  {"core.task.park", function()
    local id
    return {
      park = function()
        id = primitives.id()
        return primitives.park()
      end,
      complete = function() primitives.wake(id, true) end,
    }
  end},
  {"waiters:wait", function()
    local waiters = primitives.waiters()
    return {
      park = function() return waiters:wait() end,
      complete = function() waiters:wake(true) end,
      whole = function() return #waiters == 0 end,
    }
  end},
  {"neap.Task:join", function(case)
    local t, event = worker(case)
    return {park = function() return t:join() end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Group:join", function(case)
    local event, g = task.event(), case:group()
    return {
      park = function()
        g:spawn(event.wait, event)
        g:join()
        return true
      end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.Group:spawn, at its limit", function(case)
    local event, g = task.event(), case:group {limit = 1}
    g:spawn(event.wait, event)
    return {park = function() return g:spawn(nothing) end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Group:map", function(case)
    local event, g = task.event(), case:group()
    return {
      park = function() return g:map({1, 2}, function() return event:wait() end)[2] end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.shield", function() -- holds a cancel back
    return {park = function() return task.shield(function() task.sleep("1ms") return true end) end}
  end},
  {"neap.task.timeout", function()
    local q = task.queue()
    return {
      park = function() return task.timeout("1h", q.get, q) end,
      complete = function() q:put("item") end,
      whole = function() return #q <= 1 end,
    }
  end},
}
