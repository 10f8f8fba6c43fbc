-- Groups of tasks: what is spawned in a block ends with the block. An error in one cancels the others and surfaces
-- where the group is joined or left.
local child = require "neap.child"
local core = require "neap.core"
local primitives = core.task

---A group of tasks. Leaving the block that holds it waits for all of them.
---@class neap.Group
---@field package children table<neap.Task, true> those that run
---@field package count integer of them
---@field package limit number at most this many at a time
---@field package room userdata waiters for one to end
---@field package failed neap.Task|nil the first that failed, until its error was raised
---@field package is_closing boolean the owner leaves with an error of its own
local Group = {}
Group.__index = Group
Group.__name = "neap.group"

local group = {}

---@param opts? {limit?: integer}
---@return neap.Group
function group.new(opts)
  local limit = opts and opts.limit or math.huge
  if type(limit) ~= "number" or limit < 1 then error("limit: how many tasks may run at a time, from 1", 3) end
  return setmetatable({children = {}, count = 0, limit = limit, room = primitives.waiters()}, Group)
end

local function on_failure(self, t)
  if self.failed or self.is_closing then
    primitives.disown(t) -- one error is raised, the others are logged
    return
  end
  self.failed = t
  self:cancel()
end

local function raise_failure(self)
  local t = self.failed
  if not t then return end
  self.failed = nil
  child.raise(t)
end

-- `on_end` is called in the task when it ends, however it does.
local function start(self, on_end, about, fn, ...)
  raise_failure(self)
  local t = child.spawn(function(t, err)
    self.children[t] = nil
    self.count = self.count - 1
    if err ~= nil then on_failure(self, t) end
    if on_end then on_end() end
    self.room:wake_all()
  end, about, fn, ...)
  self.children[t] = true
  self.count = self.count + 1
  return t
end

local function wait_for_all(self)
  while self.count > 0 do self.room:wait() end
end

---Runs `fn(...)` in a task of the group, from the end of this turn on. Waits first while `limit` tasks are running.
---Raises the error of the group when one of its tasks has failed.
---
---```lua
---local g <close> = task.group()
---local sum = g:spawn(function(a, b) return a + b end, 1, 2)
---g:spawn(task.sleep, "1ms")
---g:join()
---assert(select(2, sum:join()) == 3)
---```
---@async
---@param fn function
---@param ... any its arguments
---@return neap.Task
function Group:spawn(fn, ...)
  while self.count >= self.limit and not self.failed do self.room:wait() end
  return start(self, nil, fn, fn, ...)
end

---Waits until every task has ended; raises the error of the first that failed. Being cancelled is no failure.
---
---```lua
---local g <close> = task.group()
---for i = 1, 3 do g:spawn(task.sleep, i / 1000) end
---g:join() -- all of them have slept
---```
---@async
function Group:join()
  wait_for_all(self)
  raise_failure(self)
end

---Cancels every task of the group that runs now. No error of the group, and its owner goes on.
---
---```lua
---local g <close> = task.group()
---g:spawn(task.sleep, "1h")
---task.yield()
---g:cancel()
---```
function Group:cancel()
  local list = {}
  for t in pairs(self.children) do list[#list + 1] = t end
  for _, t in ipairs(list) do t:cancel() end
end

local function map_one(results, i, fn, item)
  results[i] = fn(item, i)
end

---Calls `fn(item, index)` for each item of a list, each in a task of its own, and gives the first results in the
---order of the list. `limit`: how many may run at a time.
---
---```lua
---local g <close> = task.group()
---local squares = g:map({1, 2, 3}, function(n) return n * n end, {limit = 2})
---assert(squares[3] == 9)
---```
---@async
---@param list any[]
---@param fn fun(item: any, index: integer): any
---@param opts? {limit?: integer}
---@return any[] results
function Group:map(list, fn, opts)
  local limit = math.min(opts and opts.limit or math.huge, self.limit)
  local results, running = {}, 0
  local function on_end() running = running - 1 end
  for i, item in ipairs(list) do
    while running >= limit and not self.failed do self.room:wait() end
    running = running + 1
    start(self, on_end, fn, map_one, results, i, fn, item)
  end
  while running > 0 do self.room:wait() end
  raise_failure(self)
  return results
end

-- Whatever interrupts the owner: no task outlives the block.
local Rest = {}

function Rest:__close()
  local self_ = self.group
  if self_.count == 0 then return end
  self_.is_closing = true
  self_:cancel()
  child.shielded(wait_for_all, self_)
end

---@param err any why the block is left, nil when it came to its end
function Group:__close(err)
  local _ <close> = setmetatable({group = self}, Rest)
  if err == nil then
    self:join()
  elseif self.failed then
    primitives.disown(self.failed)
  end
end

return group
