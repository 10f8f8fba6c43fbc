-- Runs spec files side by side: each in a process of its own, which is `neap test FILE` again with a journal. What a file
-- printed is shown when it ends. A process that crashes or hangs is one failure, and the others go on.
local child = require "neap.task.child"
local task = require "neap.task"
local testing_files = require "neap.cli.testing_files"

local testing_crew = {}

local POLL_SECONDS = 0.02
local END_SECONDS = 10    -- for those that are asked to end
local SILENCE_SECONDS = 5 -- more than a test may take: then a process is not even able to end it

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function first_line(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read("l")
end

-- ---- one file in a process of its own ----

-- `dir` is its folder: run, out, journal and, at its end, rc. `pid` is the shell's that leads its process group, in which is
-- all that the specs start and forget.
local Process = {}
Process.__index = Process

-- DIR and COMMAND are filled in. `setsid` makes the shell the leader of a group; it tells the end of a command that was ended.
local SCRIPT = "trap : TERM; COMMAND >DIR/out 2>&1 </dev/null; echo $? >DIR/rc.new; mv DIR/rc.new DIR/rc\n"

-- `words` is the command.
local function start(dir, words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  assert(os.execute("mkdir " .. quote(dir)))
  local fill = {DIR = quote(dir), COMMAND = table.concat(quoted, " ")}
  local file = assert(io.open(dir .. "/run", "w"))
  assert(file:write((SCRIPT:gsub("%u+", fill))))
  assert(file:close())
  local pid = first_line(("setsid sh %s/run >/dev/null 2>&1 & echo $!"):format(quote(dir)))
  return setmetatable({dir = dir, pid = pid}, Process)
end

function Process:signal(name)
  os.execute(("kill -s %s -- -%s 2>/dev/null"):format(name, self.pid))
end

-- Its exit code, which is more than 128 when a signal ended it; nil while it runs.
function Process:code()
  return tonumber(read(self.dir .. "/rc") or "")
end

local function stop(process)
  local deadline = task.now() + END_SECONDS
  process:signal("TERM")
  while not process:code() and task.now() < deadline do task.sleep(POLL_SECONDS) end
end

-- Nothing of it is left, whatever interrupts us.
function Process:__close()
  if not self:code() and not self.is_hanging then child.shielded(stop, self) end
  self:signal("KILL")
end

-- Waits for its end. The exit code, or nil when its journal, which gets a sign of life every second, stays as it is for so
-- long: then it hangs in a loop or a lock.
function Process:wait(seconds)
  local heard, since = 0, task.now()
  while task.now() - since < seconds do
    if self:code() then return self:code() end
    local journal <close> = io.open(self.dir .. "/journal")
    local length = journal and journal:seek("end") or 0
    if length ~= heard then heard, since = length, task.now() end
    task.sleep(POLL_SECONDS)
  end
  self.is_hanging = true
end

-- ---- all of them ----

-- What is wrong with how it ended, beside the tests that failed; nil when nothing is.
local function complaint(code, part, seconds)
  local where = part.test and " in: " .. part.test or ""
  if not code then return ("no sign of life for %g s%s"):format(seconds, where) end
  if code > 128 then return ("ended by signal %d%s"):format(code - 128, where) end
  if code > 1 or code == 1 and part.failed == 0 then return ("exit code %d%s"):format(code, where) end
end

-- `run` is the folder of the whole run: what specs of several files share lies there, and `pid` is ours. Who starts something
-- for all of them ends it when we are gone (spec/support/postgres.lua).
local function run_file(path, run, given, tally)
  local dir = run .. "/" .. path:gsub("%W", function(letter) return ("-%x-"):format(letter:byte()) end)
  local words = {"env", "NEAP_TEST_RUN=" .. run, os.getenv "NEAP_BIN", "test", "--journal=" .. dir .. "/journal", path}
  table.move(given.words, 1, #given.words, #words + 1, words)
  local process <close> = start(dir, words)
  local patience = given.timeout + SILENCE_SECONDS
  local code = process:wait(patience)
  local part = tally:read(read(dir .. "/journal") or "")
  io.stdout:write(read(dir .. "/out") or "")
  local problem = complaint(code, part, patience)
  if problem then
    tally:add {event = "error"}
    print(("  ERROR %s: %s"):format(path, problem))
  end
  io.stdout:flush()
end

local MAKE_FOLDER = 'd=$(mktemp -d) && echo $PPID >"$d/pid" && echo "$d"'
local Folder = {__close = function(self) os.execute("rm -rf " .. quote(self.path)) end}

-- Those that share the machine, those that do not.
local function split(files)
  local shared, alone = {}, {}
  for _, path in ipairs(files) do table.insert(testing_files.says(path, "alone") and alone or shared, path) end
  testing_files.sort(shared)
  return shared, alone
end

---@param files string[]
---@param given table see testing_options.lua
---@param tally table see testing_tally.lua
---@async
function testing_crew.run(files, given, tally)
  local folder <close> = setmetatable({path = first_line(MAKE_FOLDER)}, Folder)
  local shared, alone = split(files)
  local group <close> = task.group()
  local function run(path) run_file(path, folder.path, given, tally) end
  group:map(shared, run, {limit = given.jobs})
  group:map(alone, run, {limit = 1})
  testing_files.remember(tally.times)
end

return testing_crew
