-- `neap test`: runs specs, in this process or side by side in several.
local json = require "neap.json"
local testing_busted = require "neap.cli.testing_busted"
local testing_crew = require "neap.cli.testing_crew"
local testing_files = require "neap.cli.testing_files"
local testing_options = require "neap.cli.testing_options"
local testing_tally = require "neap.cli.testing_tally"

local testing = {}

local USAGE = 64
local HEARTBEAT_SECONDS = 1

-- A record as JSON, whatever bytes a name or a reason may hold.
local function encode(record)
  local ok, text = pcall(json.encode, record)
  if ok then return text end
  local plain = {}
  for key, value in pairs(record) do
    plain[key] = type(value) == "string" and value:gsub("[\x80-\xff]", "?") or value
  end
  return json.encode(plain)
end

-- Tells a file what happens, one JSON text a line, and by empty lines that this process is alive.
local function journal_open(path, group)
  local file = assert(io.open(path, "a"))
  file:setvbuf("line")
  io.stdout:setvbuf("line") -- when we crash, what was printed is known
  group:spawn(function()
    while true do
      require("neap.task").sleep(HEARTBEAT_SECONDS)
      file:write("\n")
    end
  end)
  return function(record) file:write(encode(record), "\n") end
end

-- One after the other, in this process.
local function run_here(files, given, tally)
  local group <close> = require("neap.task").group()
  local journal = given.journal and journal_open(given.journal, group)
  testing_busted.run(files, given, function(record)
    tally:add(record)
    if journal then journal(record) end
  end)
  group:cancel()
end

---Runs specs. The last line on stdout is "N passed, N failed, N skipped".
---@param ... string files, folders and options, see testing_options.lua
---@return integer exit_code 0 when none failed
---@return string? message for stderr
---@async
function testing.run(...)
  local given, wrong = testing_options.parse({...})
  if not given then return USAGE, wrong end
  local tally = testing_tally.new()
  local files, message = testing_files.find(given.paths)
  message = message or testing_busted.missing()
  if message then
    tally:add {event = "error"}
  elseif #files > 1 and given.jobs > 1 then
    testing_crew.run(files, given, tally)
  else
    run_here(files, given, tally)
  end
  if not given.journal then tally:print() end
  return tally.failed == 0 and 0 or 1, message
end

return testing
