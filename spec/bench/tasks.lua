-- What tasks cost: bytes of a sleeping one, CPU time of spawning and joining, and of handing a value over.
--
--   neap exec spec/bench/tasks.lua
--
-- Each figure is the median of several rounds; exit code 1 when one misses its bar.
local task = require "neap.task"

local ROUNDS = 7
local SLEEPERS = 10000
local CALLS = 200000
local BATCH = 100

local function rss()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then return tonumber(kib) * 1024 end
  end
end

local function nothing() end

-- Bytes of resident memory for each of many tasks that sleep. Only the first time: memory that was used once is there.
local function sleeping()
  collectgarbage()
  local before = rss()
  local g <close> = task.group()
  for _ = 1, SLEEPERS do g:spawn(task.sleep, "1h") end
  task.yield()
  collectgarbage()
  local bytes = (rss() - before) / SLEEPERS
  g:cancel()
  return bytes
end

-- Microseconds of CPU time for one of `count`.
local function cost(count, fn)
  local from = os.clock()
  fn()
  return (os.clock() - from) / count * 1e6
end

-- Many at once, as a handler does that asks several things.
local function spawn_and_join()
  local g <close> = task.group()
  for _ = 1, CALLS / BATCH do
    local tasks = {}
    for i = 1, BATCH do tasks[i] = g:spawn(nothing) end
    for i = 1, BATCH do tasks[i]:join() end
  end
end

-- One after the other: each is a turn of the scheduler as well.
local function spawn_and_join_singly()
  local g <close> = task.group()
  for _ = 1, CALLS do g:spawn(nothing):join() end
end

-- Through a queue of one, so that every value changes tasks.
local function hand_over()
  local q = task.queue(1)
  task.all {
    function()
      for i = 1, CALLS do q:put(i) end
    end,
    function()
      for _ = 1, CALLS do q:get() end
    end,
  }
end

local function median(fn)
  local values = {}
  for i = 1, ROUNDS do values[i] = cost(CALLS, fn) end
  table.sort(values)
  return values[ROUNDS // 2 + 1]
end

local is_good = true

local function print_row(name, value, unit, bar)
  print(("%-34s %8.2f %-8s %s"):format(name, value, unit, bar and ("bar %g"):format(bar) or ""))
  is_good = is_good and (not bar or value < bar)
end

print_row("a sleeping task", sleeping(), "bytes", 2048)
print_row("spawn and join", median(spawn_and_join), "us CPU", 1)
print_row("spawn and join, one by one", median(spawn_and_join_singly), "us CPU")
print_row("hand-off through a queue", median(hand_over), "us CPU", 1)
return is_good
