-- What parks when a request has been answered.
local parking = require "spec.support.parking"
local task = require "neap.task"

-- The task of a req:after, which nobody can join, with that added. It is put into `begun` when it runs.
local function after_task(begun, fn)
  local one = {ended = task.event(), is_done = false}
  function one:run()
    self.task = task.self()
    begun:put(self)
    local _ <close> = setmetatable({}, {__close = function() self.ended:set() end})
    fn()
    self.is_done = true
  end
  function one:cancel() self.task:cancel() end
  function one:join(timeout)
    if not self.ended:wait(timeout) then return nil, "timeout" end
    return self.is_done, not self.is_done and "cancelled" or nil
  end
  return one
end

return {
  {"neap.Request:after, what it runs", function(case)
    local event, begun, current = task.event(), task.queue(), nil
    local c = parking.client(case, function(app)
      app:get("/", function(req)
        local one = current
        req:after(function() one:run() end)
        return 204
      end)
    end)
    return {
      start = function(run)
        current = after_task(begun, run)
        assert(c:get("/"))
        return assert(begun:get(10))
      end,
      park = function() return event:wait() end, complete = function() event:set() end, keeps = true,
    }
  end},
}
