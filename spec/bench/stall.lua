-- How long the loop of this thread is kept from a task that only wants to sleep.
local task = require "neap.task"

local stall = {}

local TICK = 0.001

-- Seconds that this thread wanted to run while others had the core.
local function waited()
  local file <close> = assert(io.open("/proc/thread-self/schedstat"))
  local _, nanoseconds = file:read("n", "n")
  return nanoseconds / 1e9
end

---Sleeps milliseconds, and keeps how late the loop came back to it at most.
---@param worst {longest: number, own: number} in all, and without the time that the thread waited for a core
---@param is_over fun(): boolean
---@async
function stall.watch(worst, is_over)
  while not is_over() do
    local from, waited_before = task.now(), waited()
    task.sleep(TICK)
    local late = task.now() - from - TICK
    worst.longest = math.max(worst.longest, late)
    worst.own = math.max(worst.own, late - (waited() - waited_before))
  end
end

return stall
