-- Queues between tasks. A value goes straight to the task that has waited longest, so it is always in exactly one
-- place: in the queue, with who put it, or with who got it. A task that is cancelled takes nothing along.
local waiters = require("neap.core").task.waiters

---A queue of values, first in, first out. Closing it ends everybody's waiting; what is in it can still be taken.
---@class neap.Queue
---@field package max number
---@field package items any[] from `first` on, `count` of them
---@field package first integer
---@field package count integer
---@field package getters userdata who waits for a value
---@field package putters userdata who waits for room, each offering its value
---@field package is_closed boolean
local Queue = {__name = "neap.queue"}
Queue.__index = Queue

local queue = {}

local DEFAULT_MAX = 1000
local CLOSED = {} -- wakes those whom closing ends

---@param max number?
---@return neap.Queue
function queue.new(max)
  max = max or DEFAULT_MAX
  if type(max) ~= "number" or max < 0 then error("task.queue: how many values it may hold, from 0", 2) end
  return setmetatable({max = max, items = {}, first = 1, count = 0, getters = waiters(), putters = waiters(),
    is_closed = false}, Queue)
end

local function add(self, value)
  self.items[self.first + self.count] = value
  self.count = self.count + 1
end

-- The oldest value; the first of those who wait for room puts its own in.
local function take(self)
  local items, first = self.items, self.first
  local value = items[first]
  items[first] = nil
  self.count = self.count - 1
  self.first = self.count > 0 and first + 1 or 1
  if self.count + 1 >= self.max then
    local is_anybody, offered = self.putters:wake(true)
    if is_anybody then add(self, offered) end
  end
  return value
end

---Puts a value in; waits while the queue is full. Cancelled or late, it has not put anything in.
---
---```lua
---local jobs <close> = task.queue(2)
---jobs:put("sweep")
---jobs:put("dust")
---assert(select(2, jobs:put("polish", "1ms")) == "timeout")
---```
---@async
---@param value any not nil
---@param timeout? number|string
---@return true? ok
---@return "timeout"|"closed"|nil err
function Queue:put(value, timeout)
  if value == nil then error("q:put: a queue cannot hold nil", 2) end
  if self.is_closed then return nil, "closed" end
  if self.getters:wake(value) then return true end
  if self.count < self.max then
    add(self, value)
    return true
  end
  local outcome, err = self.putters:wait(timeout, value)
  if outcome == CLOSED then return nil, "closed" end
  return outcome, err
end

---Takes the oldest value out; waits while there is none. Who waits longest is served first.
---
---```lua
---local jobs <close> = task.queue()
---local g <close> = task.group()
---g:spawn(function() jobs:put("sweep") end)
---assert(jobs:get("5s") == "sweep")
---```
---@async
---@param timeout? number|string
---@return any value nil when there was none
---@return "timeout"|"closed"|nil err
function Queue:get(timeout)
  if self.count > 0 then return take(self) end
  local is_anybody, offered = self.putters:wake(true) -- of a queue that holds nothing by itself
  if is_anybody then return offered end
  if self.is_closed then return nil, "closed" end
  local value, err = self.getters:wait(timeout)
  if value == CLOSED then return nil, "closed" end
  return value, err
end

local function next_value(self)
  return (self:get())
end

---For loops: every value until the queue is closed and empty.
---
---```lua
---local jobs = task.queue()
---jobs:put("sweep")
---jobs:put("dust")
---jobs:close()
---for job in jobs:iter() do log.debug("done", {job = job}) end
---```
---@async
---@return async fun(self: neap.Queue): any
---@return neap.Queue
function Queue:iter()
  return next_value, self
end

---Ends it: nothing can be put in any more, everybody who waits is told "closed", and what it holds can still be
---taken. A `<close>` variable does so at the end of its block.
---
---```lua
---local jobs = task.queue()
---jobs:close()
---assert(select(2, jobs:get()) == "closed")
---```
function Queue:close()
  self.is_closed = true
  self.getters:wake_all(CLOSED)
  self.putters:wake_all(CLOSED)
end

Queue.__close = Queue.close

function Queue:__len()
  return self.count
end

return queue
