-- Calls that have a limit of time, and an end that is told and not raised: for hooks and jobs, whose failures are
-- somebody else's business.
local child = require "neap.task.child"
local primitives = require("neap.core").task
local trace = require "neap.base.trace"

local limit = {}

-- Cancels the call when its caller is cancelled, and waits for its end.
local Leaving = {}

function Leaving:__close()
  if not self.call then return end
  self.call:cancel()
  child.shielded(self.call.join, self.call)
end

---How a call failed.
---@class neap.CallFailure
---@field err any what it raised
---@field is_timeout boolean? its time was over
---@field traceback string? where that was
---@field where string? "app.lua:7": where it waited when its time was over

---Calls `fn(...)` in a task of its own. When its time is over it is cancelled, and its `<close>` handlers have run.
---@param seconds number? nil: no limit
---@param ... any the name of that task, if it shall have one, then `fn` and its arguments
---@return boolean ok
---@return any ... its results, or a neap.CallFailure
---@async
function limit.call(seconds, ...)
  local leaving <close> = setmetatable({}, Leaving)
  local call = primitives.spawn_owned(...)
  leaving.call = call
  if call:join(seconds) == nil then
    local traceback = call:traceback()
    call:cancel()
    child.shielded(call.join, call)
    if call.status == "cancelled" then
      return false, {is_timeout = true, err = "timeout", traceback = traceback, where = trace.place(traceback)}
    end
  end
  leaving.call = nil
  if call.status == "done" then return call:join() end
  return false, {err = select(2, call:join()), traceback = call:traceback()}
end

return limit
