-- Calls that are shared: who asks for what somebody has asked for already waits for that answer.
local child = require "neap.task.child"
local spawn = require("neap.core").task.spawn_owned

local share = {}

-- What runs now: key -> {task=, callers = how many wait for it}.
local runs = {}

-- One caller's interest in a run. The last one that leaves before the end stops it.
local Interest = {}

function Interest:__close()
  local run = self.run
  run.callers = run.callers - 1
  if run.callers > 0 then return end
  if runs[self.key] == run then runs[self.key] = nil end
  run.task:cancel()
  child.shielded(run.task.join, run.task)
end

-- What all callers get of `t`, which has ended.
local function results(t, ok, ...)
  if ok then return ... end
  if t.status == "cancelled" then return nil, "cancelled" end
  child.raise(t)
end

---@async
---@param key any
---@param fn function
---@return any ...
function share.call(key, fn)
  if key == nil then error("task.single: a key that tells which calls are the same", 2) end
  if type(fn) ~= "function" then error("task.single: a function", 2) end
  local run = runs[key]
  if not run then
    run = {callers = 0}
    run.task = spawn(function()
      local _ <close> = setmetatable({}, {__close = function()
        if runs[key] == run then runs[key] = nil end -- whoever comes from now on wants a fresh answer
      end})
      return fn()
    end)
    runs[key] = run
  end
  run.callers = run.callers + 1
  local _ <close> = setmetatable({run = run, key = key}, Interest)
  return results(run.task, run.task:join())
end

return share
