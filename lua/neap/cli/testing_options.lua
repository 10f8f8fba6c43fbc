-- The command line of `neap test`.
local suggest = require("neap.base.options").suggest
local units = require "neap.base.units"

local testing_options = {}

-- What busted calls them; each may be given several times.
local FILTERS = {["--filter"] = "filter", ["--filter-out"] = "filterOut", ["--tags"] = "tags",
  ["--exclude-tags"] = "excludeTags"}
local OTHERS = {"--jobs", "--timeout", "--journal", "--help"}
local TEST_SECONDS = 180 -- no single test may take longer

local function add(list, text, is_tags)
  if not is_tags then
    list[#list + 1] = text
    return
  end
  for tag in text:gmatch("[^,%s]+") do list[#list + 1] = tag:gsub("^#", "") end
end

-- What reads the value of an option; nil and a reason when it is wrong.
local READERS = {}

for name, field in pairs(FILTERS) do
  READERS[name] = function(given, value)
    add(given.filters[field], value, field:lower():find("tags"))
    return true
  end
end

READERS["--journal"] = function(given, value)
  given.journal = value
  return true
end

READERS["--jobs"] = function(given, value)
  given.jobs = math.tointeger(tonumber(value)) or 0
  return given.jobs > 0 or nil, "how many files may run at a time, from 1"
end

READERS["--timeout"] = function(given, value)
  local seconds, err = units.duration(tonumber(value) or value)
  given.timeout = seconds
  return seconds, err
end

-- Those that another process that runs some of the files has to know.
local function is_for_all(name)
  return name ~= "--jobs" and name ~= "--journal"
end

local function take(given, name, value)
  if not value or value == "" then return nil, ("neap: %s: the value is missing\n"):format(name) end
  local ok, reason = READERS[name](given, value)
  if not ok then return nil, ("neap: %s %s: %s\n"):format(name, value, reason) end
  if is_for_all(name) then given.words[#given.words + 1] = name .. "=" .. value end
  return true
end

local function explain_unknown(word)
  local names = table.move(OTHERS, 1, #OTHERS, 1, {})
  for name in pairs(FILTERS) do names[#names + 1] = name end
  local meant = suggest(word, names)
  return ("neap: unknown option %s%s\n"):format(word, meant and (": did you mean %s?"):format(meant)
    or "; there are --filter, --filter-out, --tags, --exclude-tags, --jobs, --timeout")
end

---@param args string[]
---@return table? given paths: files and folders; filters: by busted's names; jobs: how many files at a time; timeout: of
--- a test, in seconds; journal: a file that is told what happens; words: the options that count in other processes too
---@return string? message when something is wrong
function testing_options.parse(args)
  local given = {paths = {}, words = {}, jobs = 1, timeout = TEST_SECONDS,
    filters = {filter = {}, filterOut = {}, tags = {}, excludeTags = {}}}
  local i = 1
  while i <= #args do
    local name, equals, value = args[i]:match("^(%-%-[%w-]+)(=?)(.*)$")
    if args[i]:sub(1, 1) ~= "-" then
      given.paths[#given.paths + 1] = args[i]
    elseif not READERS[name] then
      return nil, explain_unknown(name or args[i])
    else
      if equals == "" then
        i = i + 1
        value = args[i]
      end
      local ok, wrong = take(given, name, value)
      if not ok then return nil, wrong end
    end
    i = i + 1
  end
  return given
end

return testing_options
