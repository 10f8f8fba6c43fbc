-- What groups and task.timeout need for tasks that somebody waits for, whatever happens.
local primitives = require("neap.core").task

local child = {}

local shield = setmetatable({}, {__close = function() primitives.shield(-1) end})

---Runs `fn(...)` so that a cancel waits until it has returned.
---@async
function child.shielded(fn, ...)
  primitives.shield(1)
  local _ <close> = shield
  return fn(...)
end

---Raises the error of a failed task in the one that waits for it; the log will show both tracebacks.
---@param t neap.Task
function child.raise(t)
  local _, err = t:join()
  primitives.raise(err, t:traceback())
end

return child
