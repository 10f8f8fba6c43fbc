-- Events: something that has happened, or not yet.
local waiters = require("neap.core").task.waiters

---Something that has happened or has not. Any number of tasks can wait for it.
---@class neap.Event
---@field package waiters userdata
---@field package has_happened boolean
local Event = {__name = "neap.event"}
Event.__index = Event

local event = {}

---@return neap.Event
function event.new()
  return setmetatable({waiters = waiters(), has_happened = false}, Event)
end

---It has happened: wakes everybody who waits; who comes later does not wait.
---
---```lua
---local is_ready = task.event()
---is_ready:set()
---assert(is_ready:is_set())
---```
function Event:set()
  self.has_happened = true
  self.waiters:wake_all(true)
end

---From now on everybody waits again.
---
---```lua
---local is_ready = task.event()
---is_ready:set()
---is_ready:clear()
---assert(not is_ready:is_set())
---```
function Event:clear()
  self.has_happened = false
end

---Whether it has happened.
---
---```lua
---assert(not task.event():is_set())
---```
---@return boolean
function Event:is_set()
  return self.has_happened
end

---Waits until it has happened.
---
---```lua
---local is_ready = task.event()
---local g <close> = task.group()
---g:spawn(function() is_ready:set() end)
---assert(is_ready:wait("5s"))
---```
---@async
---@param timeout? number|string
---@return true? happened
---@return "timeout"? err
function Event:wait(timeout)
  if self.has_happened then return true end
  return self.waiters:wait(timeout)
end

return event
