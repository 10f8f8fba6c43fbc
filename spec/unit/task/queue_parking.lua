-- What parks at a queue.
local task = require "neap.task"

return {
  {"neap.Queue:get", function()
    local q = task.queue()
    return {
      park = function() return q:get() end, complete = function() q:put("item") end, keeps = true,
      whole = function() return #q == 0 end,
    }
  end},
  {"neap.Queue:get, of a queue that holds nothing", function(case)
    local q, g = task.queue(0), case:group()
    return {
      park = function() return q:get() end, complete = function() g:spawn(q.put, q, "item") end, keeps = true,
      whole = function() return select(2, q:get(0)) == "timeout" end,
    }
  end},
  {"neap.Queue:put", function()
    local q, count = task.queue(1), 0
    q:put("first")
    return {
      park = function()
        local ok = q:put("item")
        count = count + (ok and 1 or 0)
        return ok
      end,
      complete = function() q:get(0) end,
      whole = function() return #q <= 1 and count <= 2 end,
    }
  end},
  {"neap.Queue:iter", function()
    local q = task.queue()
    local next_item = q:iter()
    return {
      park = function() return (next_item(q)) end, complete = function() q:put("item") end, keeps = true,
      whole = function() return #q == 0 end,
    }
  end},
}
