-- Runs a shell command beside this loop and waits for its end: io.popen would hold up everything, and the watchdog
-- would complain.
--
--   local command = require "spec.support.command"
--   local result = command.run("curl -s http://...")      -- .code .out .err
local task = require "neap.task"

local command = {}

local POLL_SECONDS = 0.01
local PATIENCE = 120
local END_PATIENCE = 60 -- for what was killed to be gone

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

---@param tool string
---@return boolean # whether there is such a program
function command.exists(tool)
  return os.execute(("command -v %s >/dev/null 2>&1"):format(tool)) == true
end

---@class spec.Command
---@field dir string
local Command = {}
Command.__index = Command

---Sends a signal to its process group.
---@param name string "TERM", "KILL", ...
function Command:signal(name)
  local pid = read(self.dir .. "/pid")
  if pid then os.execute(("kill -s %s -- -%d 2>/dev/null"):format(name, pid)) end
end

-- Ends what it has left behind: of a failed spec itself, of one that has ended the processes that it started. Until the
-- last of them is gone the folder may get new files while it is being removed.
function Command:__close()
  self:signal("KILL")
  local deadline = task.now() + END_PATIENCE
  while not os.execute(("rm -rf '%s' 2>/dev/null"):format(self.dir)) do
    if task.now() > deadline then error("cannot remove " .. self.dir .. ": who still writes there?") end
    task.sleep(POLL_SECONDS)
  end
end

---Starts a command in a process group of its own; keep it in a `<close>` variable.
---@param text string for sh
---@return spec.Command
function command.start(text)
  local pipe = assert(io.popen("mktemp -d"))
  local self = setmetatable({dir = pipe:read("l")}, Command)
  pipe:close()
  local file = assert(io.open(self.dir .. "/run", "w"))
  file:write(("echo $$ >'%s/pid'\n%s\n"):format(self.dir, text))
  file:close()
  local behind = "(setsid sh ./run >out 2>err </dev/null; echo $? >rc.new; mv rc.new rc) &"
  assert(os.execute(("cd '%s' && { %s } >/dev/null 2>&1"):format(self.dir, behind)))
  return self
end

---What it has written to stdout so far.
function Command:output()
  return read(self.dir .. "/out") or ""
end

---Its exit code, or nil while it runs.
function Command:code()
  return tonumber(read(self.dir .. "/rc"))
end

---Waits for the end.
---@param seconds number? then it is killed and the spec fails
---@return {code: integer, out: string, err: string}
---@async
function Command:wait(seconds)
  local deadline = task.now() + (seconds or PATIENCE)
  while not self:code() do
    if task.now() > deadline then error("this takes too long: " .. read(self.dir .. "/run"), 2) end
    task.sleep(POLL_SECONDS)
  end
  self.result = {
    code = self:code(), out = self:output(), err = read(self.dir .. "/err"),
  }
  return self.result
end

---Runs a command to its end.
---@param text string for sh
---@param seconds number?
---@return {code: integer, out: string, err: string}
---@async
function command.run(text, seconds)
  local self <close> = command.start(text)
  return self:wait(seconds)
end

return command
