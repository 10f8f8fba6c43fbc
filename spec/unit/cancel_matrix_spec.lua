-- The cancellation matrix: everything that parks (spec/support/parking.lua), cancelled before, during and at the
-- instant of its completion, and timed out at that instant. Each time: it ends once, nothing that was handed out is
-- lost, nothing is left behind, and what it waited for can be used on.
local core = require "neap.core"
local rows = require "spec.support.parking"
local server = require "spec.support.server"
local task = require "neap.task"

local PATIENCE = 20 -- seconds, for what comes through the kernel
local INSTANTS = 4  -- turns of the loop between completion and cancel

-- One try of one row: the things it made, closed at the end, and what happened.
local Case = {}
Case.__index = Case

function Case:keep(thing)
  self.kept[#self.kept + 1] = thing
  return thing
end

function Case:group(opts)
  return self:keep(task.group(opts))
end

function Case:__close()
  for i = #self.kept, 1, -1 do
    local thing = self.kept[i]
    if thing.cancel then thing:cancel() end -- a group: what it still runs is of no interest
    local mt = getmetatable(thing)
    if type(mt) == "table" then mt.__close(thing) else thing:close() end
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
  return g:spawn(function()
    local value = case.park()
    case.ends = case.ends + 1
    case.value = value
  end)
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

-- Runs `act(t, case)` on a task that is about to park, awaits its end, and looks at everything.
local function try(make, act)
  local count = #core.task.list()
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
    end
    turns(2) -- a second resume would come now
    assert.is_true(case.ends <= 1)
    prove_usable(case, was_completed)
  end
  assert.truthy(server.poll(PATIENCE, function() return #core.task.list() == count end), "a task was left")
end

describe("cancelling", function()
  for _, row in ipairs(rows) do
    local name, make = row[1], row[2]

    it(name .. " before it begins", function()
      try(make, function(t) t:cancel() end)
    end)

    it(name .. " in a task that has been cancelled already", function()
      local case <close> = open(make)
      do
        local g <close> = task.group()
        local t = g:spawn(function()
          task.self():cancel()
          case.park()
          case.ends = case.ends + 1
        end)
        t:join()
      end
      case.ends = math.min(case.ends, 0) -- with nothing to wait for it may end well
      prove_usable(case, false)
    end)

    it(name .. " while it waits", function()
      try(make, function(t)
        turns(2)
        t:cancel()
      end)
    end)

    it(name .. " and completing it in the same turn", function()
      try(make, function(t, case)
        turns(2)
        t:cancel()
        case.complete()
        return true
      end)
    end)

    for instant = 0, INSTANTS do
      it(("%s %d turns after its completion"):format(name, instant), function()
        try(make, function(t, case)
          turns(2)
          case.complete()
          turns(instant)
          t:cancel()
          return true
        end)
      end)
    end

    it(name .. " by a timeout that is due when it completes", function()
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
    end)
  end
end)
