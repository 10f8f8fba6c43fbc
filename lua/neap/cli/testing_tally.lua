-- What came of the tests: records of what happened are added, here or from the journal of another process, and the end
-- says what is worth knowing.
local json = require "neap.json"

local testing_tally = {}

local SLOWEST = 5 -- so many files are listed

-- A record says what happened: {event = ..., name = of the file or test}, and
--   file     a file begins
--   test     a test begins
--   end      it ends; status: in busted's words
--   skipped  reason: why
--   error    something failed that is no test
--   ran      a file ends; seconds: how long it took
local Tally = {}
Tally.__index = Tally

-- `file` and `test`: what runs now. `times` and `reasons`: by file, how long it took, and a list of what was skipped.
function testing_tally.new()
  return setmetatable({passed = 0, failed = 0, skipped = 0, times = {}, reasons = {}}, Tally)
end

local FIELDS = {success = "passed", pending = "skipped"}

local on = {}

on["file"] = function(self, record) self.file = record.name end
on["test"] = function(self, record) self.test = record.name end

on["end"] = function(self, record)
  local field = FIELDS[record.status] or "failed"
  self[field] = self[field] + 1
  self.test = nil
end

on["skipped"] = function(self, record)
  local list = self.reasons[self.file] or {}
  list[#list + 1] = {name = record.name, reason = record.reason}
  self.reasons[self.file] = list
end

on["error"] = function(self) self.failed = self.failed + 1 end

on["ran"] = function(self, record)
  self.times[record.name] = record.seconds
  self.file = nil
end

function Tally:add(record)
  on[record.event](self, record)
end

-- Adds the journal of another process: lines of JSON, the last of which may be cut. Gives the tally of that process alone,
-- which knows what it was at when the text ends.
function Tally:read(text)
  local part = testing_tally.new()
  for line in text:gmatch("([^\n]+)\n") do part:add(assert(json.decode(line))) end
  for _, field in ipairs {"passed", "failed", "skipped"} do self[field] = self[field] + part[field] end
  for file, seconds in pairs(part.times) do self.times[file] = seconds end
  for file, list in pairs(part.reasons) do self.reasons[file] = list end
  return part
end

local function sorted_keys(map, is_before)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, is_before)
  return keys
end

-- Those of a file by reason: "3 tests: reason", "NAME: reason".
local function print_reasons(list)
  local names = {}
  for _, one in ipairs(list) do
    names[one.reason] = names[one.reason] or {}
    table.insert(names[one.reason], one.name)
  end
  for _, reason in ipairs(sorted_keys(names)) do
    local of = names[reason]
    print(("    %s: %s"):format(#of == 1 and of[1] or #of .. " tests", (reason:gsub("\n", "\n    "))))
  end
end

-- Says what was skipped and why, and which files took longest. The last line is the sums.
function Tally:print()
  local skipped = sorted_keys(self.reasons)
  if #skipped > 0 then print("skipped:") end
  for _, file in ipairs(skipped) do
    print("  " .. file)
    print_reasons(self.reasons[file])
  end
  local slowest = sorted_keys(self.times, function(a, b) return self.times[a] > self.times[b] end)
  if #slowest > SLOWEST then print("slowest:") end
  for i = 1, #slowest > SLOWEST and SLOWEST or 0 do
    print(("  %6.1f s  %s"):format(self.times[slowest[i]], slowest[i]))
  end
  print(("%d passed, %d failed, %d skipped"):format(self.passed, self.failed, self.skipped))
end

return testing_tally
