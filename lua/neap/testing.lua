-- `neap test`: runs busted inside this task, so that specs may wait anywhere. busted's own runner reads `arg` and
-- ends the process; this uses what is below it, and prints failures in its own way.
local core = require "neap.core"
local yield = core.task.yield

local testing = {}

local SPEC_DIR, APPS_DIR = "spec", "apps"
local TRACEBACK_LINES = 6
local USAGE = 64
local TEST_SECONDS = 120 -- no single test may take longer

local OPTIONS = {["--filter"] = "filter", ["--filter-out"] = "filterOut", ["--tags"] = "tags",
  ["--exclude-tags"] = "excludeTags"}

local function add(list, text, is_tags)
  if not is_tags then
    list[#list + 1] = text
    return
  end
  for tag in text:gmatch("[^,%s]+") do list[#list + 1] = tag:gsub("^#", "") end
end

-- What is run when no path is given: the folder spec/, and that of each app.
local function default_paths()
  local paths = {SPEC_DIR}
  for _, name in ipairs(core.list_dir(APPS_DIR) or {}) do
    local dir = APPS_DIR .. "/" .. name .. SPEC_DIR
    if name:sub(-1) == "/" and core.list_dir(dir) then paths[#paths + 1] = dir end
  end
  if #paths > 1 and not core.list_dir(SPEC_DIR) then table.remove(paths, 1) end
  return paths
end

-- The paths and filters of the command line; nil and a message when it is wrong.
local function parse(args)
  local given = {paths = {}, filter = {}, filterOut = {}, tags = {}, excludeTags = {}}
  local i = 1
  while i <= #args do
    local name, value = args[i]:match("^(%-%-[%w-]+)=?(.*)$")
    local field = name and OPTIONS[name]
    if not name and args[i]:sub(1, 1) ~= "-" then
      given.paths[#given.paths + 1] = args[i]
    elseif not field then
      local meant = require("neap.options").suggest(name or args[i], {"--filter", "--filter-out", "--tags",
        "--exclude-tags", "--help"})
      return nil, ("neap: unknown option %s%s\n"):format(name or args[i],
        meant and (": did you mean %s?"):format(meant) or "; there are --filter, --filter-out, --tags, --exclude-tags")
    else
      if not args[i]:find("=", 1, true) then
        i = i + 1
        value = args[i]
      end
      if not value or value == "" then return nil, ("neap: %s: the value is missing\n"):format(name) end
      add(given[field], value, field:lower():find("tags"))
    end
    i = i + 1
  end
  if #given.paths == 0 then given.paths = default_paths() end
  return given
end

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
      and not line:find("neap/testing.lua", 1, true)
    if is_useful and #lines < TRACEBACK_LINES then lines[#lines + 1] = "      " .. line:gsub("^%s+", "") end
  end
  return lines
end

local function report(busted, word, element, message, trace)
  local indented = tostring(message):gsub("\n", "\n      ")
  print(("  %s %s\n      %s"):format(word, full_name(busted, element), indented))
  for _, line in ipairs(short(trace and trace.traceback)) do print(line) end
end

-- Counts results and prints a line per file. busted calls a subscriber's `true` as second result "go on".
local function watch(busted)
  local count = {passed = 0, failed = 0, skipped = 0}
  local file_count, file_start
  local function on(channel, fn)
    busted.subscribe(channel, function(...)
      fn(...)
      return nil, true
    end)
  end

  on({"file", "start"}, function()
    file_count, file_start = count.passed + count.failed + count.skipped, busted.monotime()
    yield()
  end)
  on({"file", "end"}, function(file)
    local ran = count.passed + count.failed + count.skipped - file_count
    if ran > 0 then print(("%s: %d in %.2f s"):format(file.name, ran, busted.monotime() - file_start)) end
    io.stdout:flush()
  end)
  on({"test", "start"}, function(element)
    count.test, count.test_start = element, busted.monotime()
  end)
  on({"test", "end"}, function(_, _, status)
    local field = status == "success" and "passed" or status == "pending" and "skipped" or "failed"
    count[field] = count[field] + 1
    count.test = nil
    yield() -- many short tests are not one long one, for the watchdog
  end)
  on({"pending", "it"}, function(element, _, message)
    report(busted, "SKIPPED", element, message or "")
  end)
  for _, word in ipairs {"failure", "error"} do
    on({word}, function(element, _, message, trace)
      report(busted, word == "failure" and "FAILED" or "ERROR", element, message or "", trace)
      if element.descriptor ~= "it" then count.failed = count.failed + 1 end -- no "test end" will come
    end)
  end
  return count
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

local function busted_new()
  local ok, make = pcall(require, "busted.core")
  if not ok then
    return nil, "neap: `neap test` needs busted: install lua-busted (Debian's name)\n" .. tostring(make) .. "\n"
  end
  keep_errors(make)
  local busted = make()
  require "busted"(busted)
  require "busted.languages.en"
  return busted
end

local function load_specs(busted, given)
  busted.randomize = false
  require "busted.modules.filter_loader"()(busted, {
    filter = given.filter, filterOut = given.filterOut, tags = given.tags, excludeTags = given.excludeTags,
    list = false, nokeepgoing = false,
  })
  local load_files = require "busted.modules.test_file_loader"(busted, {"lua"})
  load_files(given.paths, {"_spec%.lua$"}, {excludes = {}, recursive = true})
end

-- Runs the tests in a task of their own, so that one that waits for ever ends the run with its name and place.
local function execute(busted, count)
  local tests <close> = require("neap.task").group()
  local run = tests:spawn(function() require "busted.execute"(busted)(1, {}) end)
  local ok, err
  repeat
    ok, err = run:join(1)
    local is_stuck = ok == nil and count.test and busted.monotime() - count.test_start > TEST_SECONDS
    if is_stuck then
      ok, err = false, ("%s: still waiting after %d s\n%s"):format(full_name(busted, count.test), TEST_SECONDS,
        run:traceback())
      run:cancel()
    end
  until ok ~= nil
  if not ok then
    count.failed = count.failed + 1
    print("  ERROR " .. tostring(err))
  end
end

-- What ./neap test found before it started us (format and lint).
local function from_check(name)
  return math.tointeger(tonumber(os.getenv(name))) or 0
end

---Runs specs. The last line on stdout is "N passed, N failed, N skipped".
---@param ... string files, folders, --filter=PATTERN, --tags=A,B
---@return integer exit_code 0 when none failed
---@return string? message for stderr
---@async
function testing.run(...)
  local given, err = parse({...})
  if not given then return USAGE, err end
  local busted, missing = busted_new()
  if not busted then return 1, missing end
  pcall(require, "neap") -- before busted remembers which modules are there: one copy for all files
  pcall(require, "neap.task")

  local count = watch(busted)
  load_specs(busted, given)
  execute(busted, count)
  local failed = count.failed + from_check("NEAP_CHECK_FAILURES")
  local skipped = count.skipped + from_check("NEAP_CHECK_SKIPPED")
  print(("%d passed, %d failed, %d skipped"):format(count.passed, failed, skipped))
  return failed == 0 and 0 or 1
end

return testing
