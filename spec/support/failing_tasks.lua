-- A script for spec/unit/task/task_spec.lua: lets each of the first allocations of tasks, groups, coroutines and cancelling fail.
-- Needs a build with -DTESTING=ON. Prints "fine" at the end, when nothing but the one that asked was harmed.
local core = require "neap.core"
local task = require "neap.task"

local fail_alloc, spawn = core.task.fail_alloc, core.task.spawn

local ALLOCATIONS = 120

local scenarios = {
  ["spawning, waiting and joining"] = function()
    spawn(function(...) task.sleep(0) return ... end, 1, {}, "x"):join()
  end,
  ["a group and its error"] = function()
    local g <close> = task.group()
    g:map({1, 2, 3}, function(n) task.sleep(0) if n == 2 then error({n}) end end)
  end,
  ["coroutines and their errors"] = function()
    for _ in coroutine.wrap(function() task.sleep(0) coroutine.yield(1) error("x" .. #task.self().name) end) do end
  end,
  ["a timeout"] = function() task.timeout(0.0001, task.sleep, 3600) end,
  ["a cancelled task with closers"] = function()
    local t = spawn(function()
      local _ <close> = setmetatable({}, {__close = function() task.sleep(0) error({}) end})
      task.sleep(3600)
    end)
    task.yield()
    t:cancel()
    t:join()
  end,
  ["require"] = function()
    package.loaded["spec.made"] = nil
    package.preload["spec.made"] = function() task.sleep(0) return {} end
    require "spec.made"
  end,
}

-- One try: `scenario` may only succeed or be out of memory.
local function try(name, scenario, n)
  local ok, result, err = pcall(task.timeout, 20, function()
    fail_alloc(n) -- whoever asks for it: others run as well
    local ok, err = pcall(scenario)
    return ok and "fine" or tostring(err)
  end)
  fail_alloc(0)
  assert(err ~= "timeout", ("%s: allocation %d: it hangs"):format(name, n))
  assert(ok or tostring(result):find("memory", 1, true), result)
  assert(select(2, spawn(function() task.sleep(0) return "fine" end):join()) == "fine")
end

for name, scenario in pairs(scenarios) do
  for n = 1, ALLOCATIONS do try(name, scenario, n) end
  task.sleep(0.01)
end
print "fine"
