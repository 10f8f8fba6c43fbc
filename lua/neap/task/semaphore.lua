-- Semaphores: at most n at a time. A permit that is given back goes straight to the task that has waited longest.
local log = require "neap.base.own_log"
local waiters = require("neap.core").task.waiters

---At most so many at a time: a number of permits, handed out in the order of asking.
---@class neap.Semaphore
---@field package free integer permits that nobody has; 0 while somebody waits
---@field package waiters userdata each offers the permit that will be its own
local Semaphore = {__name = "neap.semaphore"}
Semaphore.__index = Semaphore

---The right to go on that a semaphore or mutex gave. A `<close>` variable gives it back at the end of its block.
---@class neap.Permit
---@field package of neap.Semaphore|false whose it is; false: nobody's, not yet or not any more
---@field package where string
local Permit = {__name = "neap.permit"}
Permit.__index = Permit

local semaphore = {}

---@param count integer
---@return neap.Semaphore
function semaphore.new(count)
  if math.type(count) ~= "integer" or count < 1 then
    error("task.semaphore: how many may go on at a time, a whole number from 1", 2)
  end
  return setmetatable({free = count, waiters = waiters()}, Semaphore)
end

---Takes a permit; waits while others have all of them. Keep it in a `<close>` variable: one that is forgotten comes
---back when the collector finds it, with a warning that tells where it was acquired.
---
---```lua
---local two_at_a_time = task.semaphore(2)
---do
---  local permit <close> = two_at_a_time:acquire("5s")
---  assert(permit, "too busy")
---end
---```
---@async
---@param timeout? number|string
---@return neap.Permit? permit
---@return "timeout"? err
function Semaphore:acquire(timeout)
  return semaphore.acquire(self, timeout, 2)
end

-- For the function at `level` of the stack, counted from here.
function semaphore.acquire(self, timeout, level)
  local caller = debug.getinfo(level, "Sl")
  local permit = setmetatable({of = false, where = caller}, Permit)
  if self.free > 0 then
    self.free = self.free - 1
    permit.of = self
    return permit
  end
  local is_mine, err = self.waiters:wait(timeout, permit)
  if not is_mine then return nil, err end
  return permit
end

---Gives it back, at most once.
---
---```lua
---local gate = task.semaphore(1)
---local permit = gate:acquire()
---permit:release()
---```
function Permit:release()
  local of = self.of
  if not of then return end
  self.of = false
  local is_anybody, permit = of.waiters:wake(true)
  if is_anybody then
    permit.of = of -- before its owner runs: should that be cut off, the collector finds it
  else
    of.free = of.free + 1
  end
end

Permit.__close = Permit.release

function Permit:__gc()
  if not self.of then return end
  log.warn(("a permit was never released; it was acquired at %s:%d"):format(self.where.short_src,
    self.where.currentline))
  self:release()
end

---Whether it is still held.
---@param permit neap.Permit
---@return boolean
function semaphore.is_held(permit)
  return permit.of ~= false
end

return semaphore
