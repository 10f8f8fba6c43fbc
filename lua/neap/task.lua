-- Tasks: what a Lua user sees of the scheduler. The primitives are in core/script/bind_task.c; groups in group.lua.
local child = require "neap.child"
local core = require "neap.core"
local group = require "neap.group"
local primitives = core.task

---Waiting, groups, timeouts. A duration is a number of seconds or text like `"250ms"`, `"5m"`, `"1h"`.
---@class neap.task
local task = {}

---A task that runs or has run.
---@class neap.Task
---@field name string where its function begins
---@field status "running"|"waiting"|"ready"|"done"|"failed"|"cancelled"
---@field join async fun(self: neap.Task, timeout?: number|string): boolean?, ... waits for its end: `true` and the
--- results, `false` and the error, or nil and "timeout"
---@field cancel fun(self: neap.Task) asks it to stop: the place where it waits raises an error that no pcall keeps
---@field traceback fun(self: neap.Task): string? where it is, or where it failed

---Waits; others run meanwhile.
---
---```lua
---task.sleep(0.01)
---task.sleep("10ms")
---```
---@type async fun(duration: number|string)
task.sleep = primitives.sleep

---Lets every other task that is ready run first, and input and output happen. For long computations.
---
---```lua
---local sum = 0
---for i = 1, 3000 do
---  sum = sum + i
---  if i % 1000 == 0 then task.yield() end
---end
---```
---@type async fun()
task.yield = primitives.yield

---Seconds of a clock that only ever goes forward: for measuring, not for telling the time.
---
---```lua
---local from = task.now()
---task.sleep("10ms")
---log.debug("slept", {seconds = task.now() - from})
---```
---@type fun(): number
task.now = primitives.now

---The task that runs this line; nil outside of any (while a module of C is closed, say).
---
---```lua
---local me = task.self()
---app:get("/stop", function() me:cancel() end)
---```
---@type fun(): neap.Task?
task.self = primitives.self

---A group of tasks that ends with its block: leaving the block waits for all of them. An error in one cancels the
---others and surfaces from `g:join()` or from the end of the block. When the owner is cancelled, so are they.
---
---```lua
---do
---  local g <close> = task.group {limit = 10}
---  for _ = 1, 20 do g:spawn(task.sleep, 0.001) end
---end -- here all have ended
---```
---@param opts? {limit?: integer} how many may run at a time
---@return neap.Group
function task.group(opts)
  return group.new(opts)
end

-- Cancels a child that is left behind and waits for its end.
local Leaving = {}

function Leaving:__close()
  if not self.child then return end
  self.child:cancel()
  child.shielded(self.child.join, self.child)
end

local function settle(t, ok, ...)
  if ok then return ... end
  if t.status == "cancelled" then return nil, "cancelled" end
  child.raise(t)
end

---Calls `fn(...)` in a task of its own and waits for it, at most so long. When the time is over the call is
---cancelled, and its `<close>` handlers have run when this returns.
---
---```lua
---local result, err = task.timeout("10ms", task.sleep, 60)
---assert(result == nil and err == "timeout")
---```
---@async
---@param duration number|string
---@param fn function
---@param ... any its arguments
---@return any ... its results, or nil and "timeout"
function task.timeout(duration, fn, ...)
  local leaving <close> = setmetatable({child = false}, Leaving)
  local t = primitives.spawn_owned(fn, ...)
  leaving.child = t
  if t:join(duration) == nil then
    t:cancel()
    child.shielded(t.join, t)
    if t.status == "cancelled" then return nil, "timeout" end
  end
  return settle(t, t:join())
end

---Calls `fn(...)`; a cancel that comes meanwhile is held back until it has returned. For what must not be left half
---done.
---
---```lua
---local account, order = {balance = 30}, {}
---task.shield(function()
---  account.balance = account.balance - 10
---  task.sleep("1ms")
---  order.is_paid = true
---end)
---```
---@async
---@param fn function
---@param ... any its arguments
---@return any ... its results
function task.shield(fn, ...)
  return child.shielded(fn, ...)
end

return task
