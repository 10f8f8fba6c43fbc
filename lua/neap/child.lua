-- Child tasks: a task whose parent waits for it, whatever happens. Used by groups and by task.timeout; the parent
-- asks for the child's error, so nothing is logged unless it cannot.
local core = require "neap.core"
local primitives = core.task

local child = {}

local Shield = {__close = function() primitives.shield(-1) end}
local shield = setmetatable({}, Shield)

---Runs `fn(...)` so that a cancel waits until it has returned.
---@async
function child.shielded(fn, ...)
  primitives.shield(1)
  local _ <close> = shield
  return fn(...)
end

---Tells whoever is interested that the child ends: also when it fails or is cancelled.
---@class neap.Child.Watch
---@field on_end fun(t: neap.Task, err: any) called in the child; `err` is nil when it was cancelled or went well
local Watch = {}

function Watch:__close(err)
  if primitives.is_cancelled(err) then err = nil end
  self.on_end(primitives.self(), err)
end

local function main(on_end, fn, ...)
  local _ <close> = setmetatable({on_end = on_end}, Watch)
  primitives.check() -- cancelled before it began: `fn` is not called
  return fn(...)
end

---@param on_end fun(t: neap.Task, err: any)
---@param about function the task is named after where it begins
---@param fn function
---@return neap.Task
function child.spawn(on_end, about, fn, ...)
  return primitives.spawn_owned(about, main, on_end, fn, ...)
end

---Raises the error of a failed child in its parent; the log will show both tracebacks.
---@param t neap.Task
function child.raise(t)
  local _, err = t:join()
  primitives.raise(err, t:traceback())
end

return child
