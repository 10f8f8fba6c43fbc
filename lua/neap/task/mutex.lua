-- Mutexes: one task at a time, in the order of asking.
local semaphore = require "neap.task.semaphore"
local task_id = require("neap.core").task.id

---One at a time: for what several tasks change step by step, waiting in between.
---@class neap.Mutex
---@field package gate neap.Semaphore
---@field package lock_now neap.Permit? the latest one
---@field package owner integer? id of the task that got it
local Mutex = {__name = "neap.mutex"}
Mutex.__index = Mutex

local mutex = {}

---@return neap.Mutex
function mutex.new()
  return setmetatable({gate = semaphore.new(1)}, Mutex)
end

---Waits until no other task holds the mutex, and holds it until the lock is released: at the end of the block when it
---is a `<close>` variable. A task that locks it twice would wait for itself: that raises.
---
---```lua
---local balance, guard = 10, task.mutex()
---local function withdraw(amount)
---  local lock <close> = guard:lock()
---  local before = balance
---  task.sleep("1ms") -- others must not change it meanwhile
---  balance = before - amount
---end
---task.all{function() withdraw(3) end, function() withdraw(4) end}
---assert(balance == 3)
---```
---@async
---@param timeout? number|string
---@return neap.Permit? lock
---@return "timeout"? err
function Mutex:lock(timeout)
  local id = task_id()
  if self.owner == id and self.lock_now and semaphore.is_held(self.lock_now) then
    error("mutex:lock: this task holds it already, and would wait for itself", 2)
  end
  local lock, err = semaphore.acquire(self.gate, timeout, 3)
  if not lock then return nil, err end
  self.lock_now, self.owner = lock, id
  return lock
end

return mutex
