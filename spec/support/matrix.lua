-- The cancellation matrix: every row is something that parks. It is cancelled before, during
-- and at the instant of its completion, and timed out at that instant. Each time: it ends once, nothing that was handed
-- out is lost, nothing is left behind, and what it waited for can be used on. A row is
--
--   {"neap.Queue:get", function(case) ... return {park = , complete = , keeps = } end}
--
-- with the name as in the reference, after which a comma and more may follow. The function makes the things that are
-- needed; `case:keep(thing)` closes one at the end, `case:group()` makes a group that is cancelled then. It gives
--   park      calls the function that parks, once, and returns something true when that succeeded
--   complete  makes it come to its end, from another task; nil: it does by itself
--   keeps     true: a completion that nobody took is still there for the next who parks (an item, a permit, bytes)
--   whole     after all of it: is everything as it was? optional
--   start     calls its argument in a task and returns that; nil: one of the test
--
-- The rows about a subject stand beside its spec: queue_spec.lua, queue_parking.lua. Such a file is found by its name, and
-- returns a list of rows. What needs a server gives three functions as well:
--   missing   why the rows cannot run here; nil or false: they can
--   start     called before them, and `stop` after them
local assert = require "luassert"
local core = require "neap.core"
local task = require "neap.task"

local PATIENCE = 60 -- seconds, for what comes through the kernel
local INSTANTS = 4  -- turns of the loop between completion and cancel
local TURNS_MAX = 10000000 -- what has not ended after so many never will

local matrix = {}

-- One try of one row: the things it made, closed at the end, and what happened.
local Case = {}
Case.__index = Case

function Case:keep(thing)
  self.kept[#self.kept + 1] = thing
  return thing
end

function Case:group(opts)
  local g = task.group(opts)
  self:keep {close = function()
    g:cancel() -- what it still runs is of no interest
    getmetatable(g).__close(g)
  end}
  return g
end

-- A function that begins to take all that comes, so that the peer can send.
function Case:drain(socket)
  local g, has_begun = self:group(), false
  return function()
    if has_begun then return end
    has_begun = true
    g:spawn(function()
      repeat until not socket:recv()
    end)
  end
end

function Case:__close()
  while #self.kept > 0 do -- a task of a group that is closed here may still keep one
    local thing = table.remove(self.kept)
    local meta = getmetatable(thing)
    if type(meta) == "table" then meta.__close(thing) else thing:close() end
  end
end

local function open(make)
  local case = setmetatable({kept = {}, ends = 0}, Case)
  for key, value in pairs(make(case)) do case[key] = value end
  case.complete = case.complete or function() end
  return case
end

-- Parks in a task of its own. Its success counts as an end, in case.value.
local function start(case, g)
  local function run()
    local value = case.park()
    case.ends = case.ends + 1
    case.value = value
  end
  if case.start then return case.start(run) end
  return g:spawn(run)
end

local function turns(count)
  for _ = 1, count do task.yield() end
end

-- After whatever happened: the next one who parks gets through. With `keeps`, by the completion that nobody took.
local function prove_usable(case, was_completed)
  local is_there = was_completed and case.keeps and case.ends == 0
  case.ends = 0
  local g <close> = task.group()
  local t = start(case, g)
  turns(1)
  if not is_there then case.complete() end
  assert.is_true(t:join(PATIENCE), is_there and "the completion was lost" or "it cannot be used any more")
  assert.equal(1, case.ends)
  assert.truthy(case.value)
  assert.is_true(not case.whole or case.whole())
end

-- What is open in this process.
local function tally()
  local counts = core.tally()
  counts.task, counts.thread = #core.task.list(), 0 -- without those that wait in a pool
  return counts
end

-- What there is more of than before: "2 of pg".
local function left_over(before)
  local list = {}
  for kind, count in pairs(tally()) do
    if count > before[kind] then list[#list + 1] = ("%d of %s"):format(count - before[kind], kind) end
  end
  return table.concat(list, ", ")
end

-- Looks ever more rarely: looking makes garbage, and what is closed by its collection was forgotten.
local function assert_nothing_left(before)
  local pause = 0.001
  while left_over(before) ~= "" and pause < PATIENCE do
    task.sleep(pause)
    pause = 2 * pause
  end
  assert.equal("", left_over(before))
end

-- Runs `act(t, case)` on a task that is about to park, awaits its end, and looks at everything. Whether it ended well.
local function try(make, act)
  local before = tally()
  local has_ended
  do
    local case <close> = open(make)
    local was_completed
    do
      local g <close> = task.group()
      local t = start(case, g)
      was_completed = act(t, case)
      t:cancel()
      local ok, err = t:join(PATIENCE)
      assert.is_true(ok == true or err == "cancelled", "it ended with: " .. tostring(err))
      assert.equal(ok and 1 or 0, case.ends)
      has_ended = ok
    end
    turns(2) -- a second resume would come now
    assert.is_true(case.ends <= 1)
    prove_usable(case, was_completed)
  end
  assert_nothing_left(before)
  return has_ended
end

-- Moments to cancel at: each of the first turns, then ever fewer.
local function after(moment)
  return moment < INSTANTS and moment + 1 or moment + moment // 2
end

-- What is done to every row.
local TRIES = {
  {"before it begins", function(make)
    try(make, function(t) t:cancel() end)
  end},
  {"in a task that has been cancelled already", function(make)
    local case <close> = open(make)
    do
      local g <close> = task.group()
      local t = g:spawn(function()
        task.self():cancel()
        case.park()
      end)
      t:join()
    end
    prove_usable(case, false)
  end},
  {"while it waits", function(make)
    try(make, function(t)
      turns(2)
      t:cancel()
    end)
  end},
  {"and completing it in the same turn", function(make)
    try(make, function(t, case)
      turns(2)
      t:cancel()
      case.complete()
      return true
    end)
  end},
  {"at every moment from its completion to its end", function(make)
    local moment, has_ended = 0
    repeat
      has_ended = try(make, function(t, case)
        turns(2)
        case.complete()
        turns(moment)
        t:cancel()
        return true
      end)
      moment = after(moment)
      assert(moment < TURNS_MAX, "it does not end")
    until has_ended and moment > INSTANTS
  end},
  {"by a timeout that is due when it completes", function(make)
    for _, is_late in ipairs {false, true} do
      local case <close> = open(make)
      do
        local g <close> = task.group()
        local t = g:spawn(function()
          local value = task.timeout("2ms", case.park)
          if value then case.ends = case.ends + 1 end
        end)
        turns(2)
        local due = os.clock() + 0.003
        if not is_late then case.complete() end
        repeat until os.clock() > due -- both are for the next turn now
        if is_late then case.complete() end
        assert.is_true(t:join(PATIENCE))
      end
      assert.is_true(case.ends <= 1)
      prove_usable(case, true)
    end
  end},
}

-- ---- where rows stand ----

-- Which of three specs runs the rows of a file; see matrix.run. There is none that nobody runs.
local function runner_of(path)
  return path:match("^spec/(unit)/") or path:match("^spec/server/(data)/") or "web"
end

local function is_there(path)
  local file <close> = io.open(path)
  return file ~= nil
end

local function add_folder(paths, folder)
  for _, name in ipairs(assert(core.list_dir(folder))) do
    local path = folder .. name
    if name:find("/$") then
      add_folder(paths, path)
    elseif name:find("_parking%.lua$") then
      assert(is_there((path:gsub("_parking%.lua$", "_spec.lua"))), path .. " stands beside no spec of the same name")
      paths[#paths + 1] = path
    end
  end
end

---What each file of rows returns.
---@param runner ("unit"|"data"|"web")? only of those that this spec runs
---@return table[]
function matrix.files(runner)
  local paths, files = {}, {}
  add_folder(paths, "spec/")
  table.sort(paths)
  for _, path in ipairs(paths) do
    if not runner or runner == runner_of(path) then
      local module = path:gsub("%.lua$", ""):gsub("/", ".")
      files[#files + 1] = require(module)
    end
  end
  return files
end

---Makes the tests of all the rows that a spec runs.
---@param runner "unit"|"data"|"web"
---@param busted table the spec's _ENV, for only a spec has `describe` and `it`
function matrix.run(runner, busted)
  for _, rows in ipairs(matrix.files(runner)) do
    busted.describe("cancelling", function()
      local why = rows.missing and rows.missing()
      if why then return busted.pending(why) end
      if rows.start then
        busted.setup(rows.start)
        busted.teardown(rows.stop)
      end
      for _, row in ipairs(rows) do
        for _, one in ipairs(TRIES) do
          busted.it(row[1] .. " " .. one[1], function() one[2](row[2]) end)
        end
      end
    end)
  end
end

return matrix
