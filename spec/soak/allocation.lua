-- Memory runs out at any moment of any act: a worker that is left with a few bytes, and, with -DTESTING=ON, allocations
-- that fail one after the other. Nothing hangs, nothing is left, each server reloads and stops as it should.
local acts = require "spec.support.scarce_acts"
local scarce = require "spec.support.scarce"

local allocation = {}

local LEFT_MAX = 8000 -- bytes
local TRIES = 20      -- of one act, one after the other
local FIRST_MAX = {lua = 80, try = 6, must = 30} -- most acts make fewer
local KINDS = {"lua", "lua", "lua", "try", "must"}

local function names()
  local list = {}
  for name in pairs(acts.list) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- Adds what came of a walk to the figures.
local function tell(run, walk)
  for outcome, count in pairs(walk.outcomes) do run:count(("%s: %s"):format(walk.kind, outcome), count) end
  if walk.problems[1] then run:fail(table.concat(walk.problems, "\n")) end
end

local function squeeze(run, name, some)
  local lefts = {}
  for i = 1, TRIES do lefts[i] = some(LEFT_MAX) end
  local s = scarce.start {args = {"--set", "limits.memory=5MB"}}
  local walk = scarce.squeeze(name, lefts, s)
  if not s:code() then scarce.finish(walk, s) end
  tell(run, walk)
end

---@param run spec.SoakRun
---@async
function allocation.run(run)
  local list, some = names(), run:chance("allocation")
  while not run:is_over() do
    local name = list[some(#list)]
    squeeze(run, name, some)
    if scarce.can_run and not run:is_over() then
      local kind = KINDS[some(#KINDS)]
      local first = some(FIRST_MAX[kind])
      tell(run, scarce.walk(kind, name, {first = first, last = first + TRIES - 1}))
    end
  end
end

return allocation
