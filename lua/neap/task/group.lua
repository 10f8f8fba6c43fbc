-- Groups of tasks: what is spawned in a block ends with the block. An error in one cancels the others and surfaces
-- where the group is joined or left.
local child = require "neap.task.child"
local core = require "neap.core"
local primitives = core.task

---A group of tasks. Leaving the block that holds it waits for all of them.
---@class neap.Group
---@field package crew userdata its tasks: how many live, which failed first (core/task/crew.h)
---@field package limit number at most this many at a time
---@field package rest table no task outlives the block, see Rest
local Group = {}
Group.__index = Group
Group.__name = "neap.group"

local group = {}

-- Closed last when a block is left, so that no task outlives it, whatever interrupts its owner.
local Rest = {}

-- Also the first error only ends the waiting when all have ended.
local function wait_for_all(crew)
  crew:wait(1)
  while #crew > 0 do crew:wait_any() end
end

function Rest:__close()
  if #self.crew == 0 then return end
  self.crew:close()
  self.crew:cancel()
  child.shielded(wait_for_all, self.crew)
end

---@param opts? {limit?: integer}
---@return neap.Group
function group.new(opts)
  local limit = opts and opts.limit or math.huge
  if type(limit) ~= "number" or limit < 1 then error("limit: how many tasks may run at a time, from 1", 2) end
  local crew = primitives.crew()
  return setmetatable({crew = crew, limit = limit, rest = setmetatable({crew = crew}, Rest)}, Group)
end

local function raise_failure(self)
  local t = self.crew:take_failure()
  if t then child.raise(t) end
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
---g:spawn("the sleeper", task.sleep, "1ms") -- a name for the log and `neap ps`
---```
---@async
---@param fn string|function the function, or a name and then the function; unnamed is where the function begins
---@param ... any its arguments
---@return neap.Task
function Group:spawn(fn, ...)
  if self.crew:wait(self.limit) then raise_failure(self) end
  if type(fn) == "string" then return self.crew:spawn(fn, ...) end
  return self.crew:spawn(fn, fn, ...)
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
  wait_for_all(self.crew)
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
  self.crew:cancel()
end

local ENDED = {done = true, failed = true, cancelled = true}

local function living(tasks)
  local some = {}
  for _, t in ipairs(tasks) do
    if not ENDED[t.status] then some[#some + 1] = t end
  end
  return some
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
  local results, tasks = {}, {}
  for i, item in ipairs(list) do
    while #tasks >= limit do
      tasks = living(tasks)
      if #tasks >= limit then self.crew:wait_any() end
    end
    if self.crew:wait(self.limit) then raise_failure(self) end
    tasks[#tasks + 1] = self.crew:spawn(fn, map_one, results, i, fn, item)
  end
  for _, t in ipairs(tasks) do
    while not ENDED[t.status] do self.crew:wait_any() end
  end
  raise_failure(self)
  return results
end

---@param err any why the block is left, nil when it came to its end
function Group:__close(err)
  local _ <close> = self.rest
  if err == nil then
    self:join()
    return
  end
  local t = self.crew:take_failure()
  if t then primitives.report(t) end -- one error is raised, the others are logged
end

return group
