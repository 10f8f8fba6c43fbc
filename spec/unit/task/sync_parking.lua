-- What parks at an event, a semaphore or a mutex, or until another has done the same.
local task = require "neap.task"

return {
  {"neap.Event:wait", function()
    local event = task.event()
    return {park = function() return event:wait() end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Semaphore:acquire", function()
    local semaphore = task.semaphore(1)
    local permit = semaphore:acquire()
    return {
      park = function()
        local mine <close> = semaphore:acquire()
        return mine ~= nil
      end,
      complete = function() permit:release() end, keeps = true,
      whole = function()
        local again <close> = semaphore:acquire(0)
        return again ~= nil and not semaphore:acquire(0)
      end,
    }
  end},
  {"neap.Mutex:lock", function(case)
    local mutex, event, g = task.mutex(), task.event(), case:group()
    g:spawn(function()
      local lock <close> = mutex:lock()
      return lock and event:wait()
    end)
    task.yield()
    return {
      park = function()
        local lock <close> = mutex:lock()
        return lock ~= nil
      end,
      complete = function() event:set() end, keeps = true,
      whole = function()
        local again <close> = mutex:lock(0)
        return again ~= nil
      end,
    }
  end},
  {"neap.task.single", function()
    local event = task.event()
    return {
      park = function() return task.single(event, function() return event:wait() end) end,
      complete = function() event:set() end, keeps = true,
    }
  end},
}
