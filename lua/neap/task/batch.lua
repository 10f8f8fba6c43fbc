-- Several functions at once, each in a task of its own: task.all, race, any and settle. None of those tasks is left
-- when a call returns: the ones that nobody needs any more are cancelled and waited for.
local core = require "neap.core"
local group = require "neap.task.group"

local batch = {}

local function check(functions, what)
  if type(functions) ~= "table" then error(("task.%s: a list of functions"):format(what), 4) end
  for i, fn in ipairs(functions) do
    if type(fn) ~= "function" then error(("task.%s: number %d is not a function"):format(what, i), 4) end
  end
end

local function keep_traceback(err)
  return {err = err, traceback = debug.traceback(nil, 2)}
end

-- In the task. One that is cancelled adds nothing.
local function run(ended, index, fn)
  local outcome = table.pack(xpcall(fn, keep_traceback))
  outcome.index = index
  ended[#ended + 1] = outcome
end

-- Calls `take(outcome)` for each that ends, in that order, until it returns true. An outcome is what table.pack made of
-- xpcall's results.
local function run_all(functions, what, take)
  check(functions, what)
  local g <close> = group.new()
  local ended, seen = {}, 0
  for i, fn in ipairs(functions) do g.crew:spawn(fn, run, ended, i, fn) end
  while true do
    while seen < #ended do
      seen = seen + 1
      if take(ended[seen]) then
        g:cancel()
        return
      end
    end
    if #g.crew == 0 then return end
    g.crew:wait_any()
  end
end

-- The error of one that failed: it was raised, or returned after nil.
local function failure(outcome)
  if not outcome[1] then return true, outcome[2].err end
  if outcome[2] == nil and outcome[3] ~= nil then return true, outcome[3] end
  return false
end

function batch.all(functions)
  local values, count, has_failed, err = {}, 0, false, nil
  run_all(functions, "all", function(outcome)
    has_failed, err = failure(outcome)
    values[outcome.index], count = outcome[2], count + 1
    return has_failed
  end)
  if has_failed then return nil, err end
  if count < #functions then return nil, "cancelled" end
  return table.unpack(values, 1, #functions)
end

function batch.race(functions)
  local first
  run_all(functions, "race", function(outcome)
    first = outcome
    return true
  end)
  if not first then return nil, "cancelled" end
  if not first[1] then core.task.raise(first[2].err, first[2].traceback) end
  return first.index, table.unpack(first, 2, first.n)
end

function batch.any(functions)
  local first
  local errors = {}
  for i = 1, #functions do errors[i] = "cancelled" end
  run_all(functions, "any", function(outcome)
    local has_failed, err = failure(outcome)
    if has_failed then errors[outcome.index] = err else first = outcome end
    return not has_failed
  end)
  if not first then return nil, errors end
  return first.index, table.unpack(first, 2, first.n)
end

function batch.settle(functions)
  local settled = {}
  for i = 1, #functions do settled[i] = {ok = false, err = "cancelled"} end
  run_all(functions, "settle", function(outcome)
    local has_failed, err = failure(outcome)
    settled[outcome.index] = has_failed and {ok = false, err = err} or {ok = true, value = outcome[2]}
  end)
  return settled
end

return batch
