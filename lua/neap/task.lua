-- Tasks: what a Lua user sees of the scheduler. The primitives are in core/task/bind_task.c; groups in task/group.lua.
local batch = require "neap.task.batch"
local child = require "neap.task.child"
local core = require "neap.core"
local event = require "neap.task.event"
local group = require "neap.task.group"
local mutex = require "neap.task.mutex"
local queue = require "neap.task.queue"
local semaphore = require "neap.task.semaphore"
local share = require "neap.task.share"
local primitives = core.task

---Waiting, groups, timeouts. A duration is a number of seconds or text like `"250ms"`, `"5m"`, `"1h"`.
---@class neap.task
local task = {}

---A task that runs or has run.
---@class neap.Task
---@field name string the one that `g:spawn` was given, or where its function begins
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

---Calls functions at the same time, each in a task of its own, and waits for all: their first results, in the order
---of the list. As soon as one fails, because it raises or returns nil and an error, the others are cancelled, and this
---returns nil and that error when they have ended.
---
---```lua
---local user, orders = task.all {
---  function() task.sleep("1ms") return {name = "ada"} end,
---  function() return {1, 2, 3} end,
---}
---assert(user.name == "ada" and #orders == 3)
---```
---@async
---@param functions (async fun(): any)[]
---@return any ... the first result of each, or nil and the error of the first that failed
function task.all(functions)
  return batch.all(functions)
end

---Calls functions at the same time and takes what comes first. The others are cancelled, and have ended when this
---returns. When the first one to end has raised an error, this raises it.
---
---```lua
---local index, what = task.race {
---  function() task.sleep("1h") return "slow" end,
---  function() task.sleep("1ms") return "quick" end,
---}
---assert(index == 2 and what == "quick")
---```
---@async
---@param functions (async fun(): any)[]
---@return integer? index which one; nil when all of them were cancelled, or the list was empty
---@return any ... its results
function task.race(functions)
  return batch.race(functions)
end

---Calls functions at the same time and takes the first that succeeds: that neither raises nor returns nil and an error.
---The others are cancelled, and have ended when this returns.
---
---```lua
---local index, what = task.any {
---  function() return nil, "refused" end,
---  function() task.sleep("1ms") return "answer" end,
---}
---assert(index == 2 and what == "answer")
---```
---@async
---@param functions (async fun(): any)[]
---@return integer? index which one; nil when all have failed
---@return any ... its results, or the list of all errors
function task.any(functions)
  return batch.any(functions)
end

---Calls functions at the same time and waits for all, however they end.
---
---```lua
---local outcomes = task.settle {
---  function() return 1 end,
---  function() return nil, "refused" end,
---}
---assert(outcomes[1].value == 1 and outcomes[2].err == "refused")
---```
---@async
---@param functions (async fun(): any)[]
---@return {ok: boolean, value: any, err: any}[] outcomes in the order of the list
function task.settle(functions)
  return batch.settle(functions)
end

---Calls `fn(item, index)` for each item of a list, each in a task of its own, and gives the first results in the
---order of the list. An error in one cancels the others and is raised here.
---
---```lua
---local squares = task.map({1, 2, 3}, function(n) return n * n end, {limit = 2})
---assert(squares[3] == 9)
---```
---@async
---@param list any[]
---@param fn async fun(item: any, index: integer): any
---@param opts? {limit?: integer} how many may run at a time
---@return any[] results
function task.map(list, fn, opts)
  local g <close> = group.new()
  return g:map(list, fn, opts)
end

---A queue between tasks: first in, first out, for the values and for those who wait.
---
---```lua
---local jobs <close> = task.queue(10)
---jobs:put("sweep")
---assert(jobs:get() == "sweep")
---```
---@param max? number how many values it may hold until `put` waits; default 1000; 0: each waits for its taker
---@return neap.Queue
function task.queue(max)
  return queue.new(max)
end

---Something that has not happened yet, and that tasks can wait for.
---
---```lua
---local is_ready = task.event()
---is_ready:set()
---is_ready:wait()
---```
---@return neap.Event
function task.event()
  return event.new()
end

---Permits, so that at most `count` tasks do something at a time.
---
---```lua
---local two_at_a_time = task.semaphore(2)
---local permit <close> = two_at_a_time:acquire()
---```
---@param count integer
---@return neap.Semaphore
function task.semaphore(count)
  return semaphore.new(count)
end

---A lock that one task holds at a time.
---
---```lua
---local guard = task.mutex()
---local lock <close> = guard:lock()
---```
---@return neap.Mutex
function task.mutex()
  return mutex.new()
end

---Calls `fn()`, unless a call with the same key is under way in this worker: then it waits for that one and gives its
---results. A thousand requests that miss the cache at once ask the database once. A caller that is cancelled leaves the
---others their call; the last one takes it along. An error is raised for every caller.
---
---```lua
---local calls = 0
---local function load() calls = calls + 1 task.sleep("1ms") return "page" end
---task.all {
---  function() return task.single("front page", load) end,
---  function() return task.single("front page", load) end,
---}
---assert(calls == 1)
---```
---@async
---@param key any not nil
---@param fn async fun(): any runs in a task of its own
---@return any ... the results of `fn`, the same values for every caller
function task.single(key, fn)
  return share.call(key, fn)
end

---Calls a function of a module on a thread of its own, for what computes long or blocks: images, `io`, `os.execute`, a
---module of C. Others go on meanwhile. It runs in a fresh Lua state, into which the module is loaded, and only plain
---data travels: numbers, texts, booleans and tables of those. Its results are returned here and its error is raised
---here, with both tracebacks in the log.
---
---There, `require` finds the same files; of neap there are `json`, `log`, `crypto`, `store` and `task.now`. Nothing can
---wait there (use what blocks), and no globals, settings or loaded modules of this state are there. `limits.memory` holds
---for each such state. When the caller is cancelled, the function is stopped; a single long call of C ends first, and
---its result is dropped. `task_threads` in the configuration says how many run at a time; others wait their turn.
---
---```lua
---assert(task.thread("os", "execute", "sleep 0.01")) -- blocks, but nobody here
---assert(task.thread("string", "rep", "ab", 2) == "abab")
---```
---@type async fun(module: string, name: string, ...: any): any
task.thread = primitives.thread

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
