-- Runs spec files with busted inside this process, so that specs may wait anywhere. busted's own runner reads `arg` and ends
-- the process; this uses what is below it, and prints failures in its own way.
local core = require "neap.core"
local yield = core.task.yield

local testing_busted = {}

local TRACEBACK_LINES = 6
local FILE_SECONDS = 1800 -- what a file does outside of its tests may not take longer

local function full_name(busted, element)
  local names = {element.name or element.descriptor}
  local parent = busted.context.parent(element)
  while parent and parent.name and parent.descriptor ~= "file" do
    table.insert(names, 1, parent.name)
    parent = busted.context.parent(parent)
  end
  return table.concat(names, " ")
end

local function short(traceback)
  local lines = {}
  for line in (traceback or ""):gmatch("[^\n]+") do
    local is_useful = line:find(":%d+:") and not line:find("/busted/", 1, true) and not line:find("/luassert/", 1, true)
      and not line:find("neap/cli/testing", 1, true)
    if is_useful and #lines < TRACEBACK_LINES then lines[#lines + 1] = "      " .. line:gsub("^%s+", "") end
  end
  return lines
end

-- Without the place in this file that busted takes for the one that raised it.
local function plain(message)
  return (tostring(message or ""):gsub("^[^\n]-/neap/cli/testing_busted%.lua:%d+: ", ""))
end

local function report(busted, word, element, message, trace)
  local indented = plain(message):gsub("\n", "\n      ")
  print(("  %s %s\n      %s"):format(word, full_name(busted, element), indented))
  for _, line in ipairs(short(trace and trace.traceback)) do print(line) end
end

-- Prints failures and a line per file, and tells `tell` all that happens. busted calls a subscriber's `true` as second
-- result "go on".
local function watch(busted, tell)
  local count, file_start = 0, nil
  local function on(channel, fn)
    busted.subscribe(channel, function(...)
      fn(...)
      return nil, true
    end)
  end

  on({"file", "start"}, function(file)
    count, file_start = 0, busted.monotime()
    tell {event = "file", name = file.name}
    yield()
  end)
  on({"file", "end"}, function(file)
    local seconds = busted.monotime() - file_start
    if count > 0 then print(("%s: %d in %.2f s"):format(file.name, count, seconds)) end
    io.stdout:flush()
    tell {event = "ran", name = file.name, seconds = seconds}
  end)
  on({"test", "start"}, function(element)
    tell {event = "test", name = full_name(busted, element)}
  end)
  on({"test", "end"}, function(element, parent, status)
    count = count + 1
    if element.descriptor == "pending" then -- a whole `describe` that said pending("why")
      tell {event = "skipped", name = full_name(busted, parent), reason = element.name}
    end
    tell {event = "end", status = status}
    yield() -- many short tests are not one long one, for the watchdog
  end)
  on({"pending", "it"}, function(element, _, message)
    tell {event = "skipped", name = full_name(busted, element), reason = plain(message)}
  end)
  for _, word in ipairs {"failure", "error"} do
    on({word}, function(element, _, message, trace)
      report(busted, word == "failure" and "FAILED" or "ERROR", element, message, trace)
      if element.descriptor ~= "it" then tell {event = "error"} end -- no "test end" will come
    end)
  end
end

-- busted's message handler returns nothing, so a `<close>` variable of a test that fails would be told that all is
-- well, and a group would wait for its tasks. Here it is told of the error.
local function keep_errors(make)
  local function careful(fn, handler, ...)
    return xpcall(fn, function(err)
      local result = handler(err)
      return result == nil and err or result
    end, ...)
  end
  local env = setmetatable({xpcall = careful}, {__index = _G, __newindex = _G})
  for i = 1, math.huge do
    local name = debug.getupvalue(make, i)
    if not name then return end
    if name == "_ENV" then debug.setupvalue(make, i, env) end
  end
end

---@return string? message for stderr when busted is not there
function testing_busted.missing()
  local ok, err = pcall(require, "busted.core")
  if ok then return nil end
  return "neap: `neap test` needs busted: install lua-busted (Debian's name)\n" .. tostring(err) .. "\n"
end

local function busted_new()
  local make = require "busted.core"
  keep_errors(make)
  local busted = make()
  require "busted"(busted)
  require "busted.languages.en"
  return busted
end

local function load_specs(busted, files, filters)
  busted.randomize = false
  require "busted.modules.filter_loader"()(busted, {
    filter = filters.filter, filterOut = filters.filterOut, tags = filters.tags, excludeTags = filters.excludeTags,
    list = false, nokeepgoing = false,
  })
  require "busted.modules.test_file_loader"(busted, {"lua"})(files, {}, {excludes = {}, recursive = false})
end

-- Which test runs and since when something runs, and a `tell` that keeps that up to date.
local function stopwatch(busted, tell)
  local now = {test = nil, since = busted.monotime()}
  return now, function(record)
    if record.event == "test" then now.test = record.name end
    if record.event == "end" then now.test = nil end
    now.since = busted.monotime()
    tell(record)
  end
end

-- Runs the tests in a task of their own, so that one that waits for ever ends the run with its name and place.
local function execute(busted, now, timeout, tell)
  local tests <close> = require("neap.task").group()
  local run = tests:spawn(function() require "busted.execute"(busted)(1, {}) end)
  local ok, err
  repeat
    ok, err = run:join(1)
    local limit = now.test and timeout or FILE_SECONDS
    if ok == nil and busted.monotime() - now.since > limit then
      local place = table.concat(short(run:traceback()), "\n")
      ok, err = false, ("%s: still waiting after %g s\n%s"):format(now.test or "outside of a test", limit, place)
      run:cancel()
    end
  until ok ~= nil
  if not ok then
    tell {event = "error"}
    print("  ERROR " .. tostring(err))
  end
end

---@param files string[]
---@param given table see testing_options.lua
---@param tell fun(record: table) see testing_tally.lua
---@async
function testing_busted.run(files, given, tell)
  local busted = busted_new()
  pcall(require, "neap") -- before busted remembers which modules are there: one copy for all files
  pcall(require, "neap.task")

  local now, told = stopwatch(busted, tell)
  watch(busted, told)
  load_specs(busted, files, given.filters)
  execute(busted, now, given.timeout, tell)
end

return testing_busted
