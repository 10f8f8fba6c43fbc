-- Starts neap as a child process in a folder of its own, and ends it again.
--
--   local server = require "spec.support.server"
--   after_each(server.stop_all)                  -- also proves: exit code 0, so nothing was left open
--   local s = server.start{app = [[ return app text ]]}
--   s:get("/")  s.port  s:log()  s:rss()  s:stop("TERM")
--
-- The child is started by a shell in the background, because waiting for it must not hold up this loop.
local core = require "neap.core"
local task = require "neap.task"

local server = {}

local READY_SECONDS, END_SECONDS, POLL_SECONDS = 20, 30, 0.01 -- an end may take timeouts.drain and more
local SLOWNESS = 4 -- so many times longer may everything take on a machine that has much else to do

---@class spec.Server
---@field dir string its folder
---@field pid integer
---@field port integer? of its first listener, once it is ready
---@field ready string? the line that said so
---@field was_killed boolean? it was sent a signal
local Server = {}
Server.__index = Server

local running = {} ---@type table<spec.Server, true>

local function read(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function shell(command)
  assert(os.execute(command), "failed: " .. command)
end

---The program that specs start.
---@param has_hooks boolean? the one with the hooks of -DTESTING=ON; a file that asks for it says `-- builds: hooks`
---@return string path
function server.program(has_hooks)
  local neap = assert(os.getenv("NEAP_BIN"), "NEAP_BIN is not set: run the specs with `neap test`")
  if not has_hooks or core.task.fail_alloc then return neap end -- with them we are that program ourselves
  return neap:match("^(.*)/") .. "/TESTING-ON/neap"
end

---Calls `check` until it gives something true, which is returned; nil when that takes much longer than `seconds`.
---@param seconds number that it may take on a machine with nothing else to do
---@param check fun(): any
---@return any
---@async
function server.poll(seconds, check)
  local deadline = task.now() + seconds * SLOWNESS
  repeat
    local result = check()
    if result then return result end
    task.sleep(POLL_SECONDS)
  until task.now() > deadline
  return check()
end

-- On a busy machine any piece of Lua may take 100 ms, which the log need not say.
local ENV = {NEAP_WATCHDOG_LOG = "5s"}

-- `env` by its name: what a variable is, or false when it shall not be there.
local function environment(env)
  local all, words = {}, {}
  for name, value in pairs(ENV) do all[name] = value end
  for name, value in pairs(env or {}) do all[name] = value end
  for name, value in pairs(all) do words[#words + 1] = value and quote(name .. "=" .. value) or "-u " .. name end
  table.sort(words, function(a, b) return a:sub(1, 2) == "-u" and b:sub(1, 2) ~= "-u" end) -- options of env come first
  return "env " .. table.concat(words, " ")
end

-- A folder with the files of `opts`.
local function make_dir(opts)
  local pipe = assert(io.popen("mktemp -d"))
  local dir = pipe:read("l")
  pipe:close()
  for name, text in pairs(opts.files or {}) do
    local sub = name:match("^(.*)/")
    if sub then shell(("mkdir -p %s"):format(quote(dir .. "/" .. sub))) end
    write(dir .. "/" .. name, text)
  end
  return dir
end

---@class spec.Options
---@field app string? text of app.lua, the application
---@field files table<string, string>? name -> text, for more files in the folder
---@field args string[]? options after the command
---@field env table<string, string|false>? false: not set
---@field prefix string? a command that runs the rest: "ulimit -n 64;", "prlimit ..."
---@field workers integer? default 2
---@field command string? default "run"; "dev" is the other one that serves
---@field target string? what is served; default app.lua of its folder
---@field has_hooks boolean? see server.program
---@field is_configured boolean? its config.lua says where to listen and how many workers there are, not the command line

---Starts any command of neap; does not wait for anything but the process to exist.
---@param words string[] the arguments of neap
---@param opts spec.Options?
---@return spec.Server
---@async
function server.spawn(words, opts)
  opts = opts or {}
  local self = setmetatable({dir = make_dir(opts)}, Server)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  local command = ("%s exec %s %s %s"):format(opts.prefix or "", environment(opts.env),
    quote(server.program(opts.has_hooks)), table.concat(quoted, " "))
  shell(("cd %s && { (sh -c %s >out 2>err </dev/null; echo $? >rc.new; mv rc.new rc) & } >/dev/null 2>&1"):format(
    quote(self.dir), quote("echo $$ >pid.new; mv pid.new pid; " .. command)))
  running[self] = true
  self.pid = tonumber(server.poll(READY_SECONDS, function() return read(self.dir .. "/pid") end))
  return self
end

---Runs a command of neap to its end.
---@param words string[]
---@param opts spec.Options?
---@return {code: integer, out: string, err: string, dir: string}
---@async
function server.run(words, opts)
  local self = server.spawn(words, opts)
  local code = self:wait()
  running[self] = nil
  local result = {code = code, out = self:output(), err = self:log(), dir = self.dir}
  if not (opts and opts.keep) then self:remove() end
  return result
end

---Starts a server and waits until it says that it is ready.
---@param opts spec.Options
---@return spec.Server
---@async
function server.start(opts)
  local files = {}
  for name, text in pairs(opts.files or {}) do files[name] = text end
  files["app.lua"] = opts.app or files["app.lua"]
  local words = {opts.command or "run"}
  if not opts.is_configured then words = {words[1], "--port", "0", "--workers", tostring(opts.workers or 2)} end
  for _, word in ipairs(opts.args or {}) do words[#words + 1] = word end
  words[#words + 1] = opts.target or "app.lua"
  local self = server.spawn(words, {files = files, env = opts.env, prefix = opts.prefix, has_hooks = opts.has_hooks})
  self.ready = server.poll(READY_SECONDS, function()
    return self:output():match("neap: listening on [^\n]*\n") or self:code() and ""
  end)
  if not self.ready or self.ready == "" then
    self:kill("KILL")
    error("the server did not start:\n" .. self:log(), 2)
  end
  self.port = tonumber(self.ready:match("http://[^%s,]*:(%d+)"))
  return self
end

---What it has written to stdout.
function Server:output()
  return read(self.dir .. "/out") or ""
end

---What it has written to stderr: the log. A thread of its own writes it, so a line may come a little later than the answer to
---the request that it is about: see wait_log.
function Server:log()
  return read(self.dir .. "/err") or ""
end

---Its exit code, or nil while it runs. Killed by a signal: 128 + its number.
function Server:code()
  return tonumber(read(self.dir .. "/rc"))
end

---Resident memory in bytes.
function Server:rss()
  local status = read(("/proc/%d/status"):format(self.pid)) or ""
  return tonumber(status:match("VmRSS:%s*(%d+)") or 0) * 1024
end

---The most memory it has ever had resident, in bytes.
function Server:peak()
  local status = read(("/proc/%d/status"):format(self.pid)) or ""
  return tonumber(status:match("VmHWM:%s*(%d+)") or 0) * 1024
end

---Processor time that it has used, in seconds: of its own and the kernel's for it.
---@return number seconds
---@return number user its own alone
function Server:cpu()
  local fields = {}
  for field in (read(("/proc/%d/stat"):format(self.pid)) or ""):gsub("^.*%) ", ""):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  local user, system = tonumber(fields[12] or 0) / 100, tonumber(fields[13] or 0) / 100
  return user + system, user
end

---How many files and sockets it has open.
function Server:fds()
  return #assert(core.list_dir(("/proc/%d/fd"):format(self.pid)))
end

---Sends a signal; no effect once it has ended.
---@param signal string "TERM", "INT", "KILL", ...
function Server:kill(signal)
  self.was_killed = true
  if not self:code() then os.execute(("kill -%s %d 2>/dev/null"):format(signal, self.pid)) end
end

---Writes one of its files. Text false: removes it.
---@param name string
---@param text string|false
function Server:write(name, text)
  local path = self.dir .. "/" .. name
  if not text then
    os.remove(path)
  else
    write(path .. ".new", text)
    assert(os.rename(path .. ".new", path)) -- a reload that is under way sees all of it or nothing
  end
end

-- The first line of a log that says what a generation does, and the word for it. By one search: logs may be long.
local function line_of_generation(log, number)
  local at, _, word = log:find(("generation %d (%%l+)"):format(number))
  if not at then return nil end
  local first = at
  while first > 1 and log:byte(first - 1) ~= 10 do first = first - 1 end
  return log:match("^[^\n]*", first), word
end

---Reloads: writes the files, asks for it, and waits for the outcome.
---@param files table<string, string|false>? what changes before it
---@return boolean ok whether the new generation serves
---@return string line what the log says
---@async
function Server:reload(files)
  for name, text in pairs(files or {}) do self:write(name, text) end
  self.generation = (self.generation or 1) + 1
  shell(("kill -HUP %d"):format(self.pid))
  local line, word
  server.poll(READY_SECONDS, function()
    line, word = line_of_generation(self:log(), self.generation)
    return word == "serves" or word == "failed" or self:code()
  end)
  if not word then error("no outcome of the reload in the log:\n" .. self:log(), 2) end
  return word == "serves", line
end

---Waits for its end.
---@param seconds number?
---@return integer exit_code
---@async
function Server:wait(seconds)
  local code = server.poll(seconds or END_SECONDS, function() return self:code() end)
  if code then return code end
  self:kill("ABRT")
  error(("neap (%d) did not end; its log:\n%s"):format(self.pid, self:log()), 2)
end

---Ends it.
---@param signal string? default "TERM"
---@return integer exit_code
---@async
function Server:stop(signal)
  running[self] = nil
  self:kill(signal or "TERM")
  return self:wait()
end

---It has ended, as it was to: `server.stop_all` does not look at it any more.
function Server:forget()
  running[self] = nil
  self:remove()
end

function Server:remove()
  os.execute(("rm -rf %s"):format(quote(self.dir))) -- it may be dying, and still writing there
end

---Waits until its log holds `text` (plain).
---@async
function Server:wait_log(text)
  local found = server.poll(READY_SECONDS, function() return self:log():find(text, 1, true) end)
  if not found then error(("not in the log: %s\n%s"):format(text, self:log()), 2) end
end

---Opens a connection to it; see core.connect.
---@async
function Server:connect()
  return assert(core.connect("127.0.0.1", self.port))
end

---Everything that comes until the server closes.
---@async
function server.receive_all(socket)
  local pieces = {}
  while true do
    local piece = socket:recv()
    if not piece then return table.concat(pieces) end
    pieces[#pieces + 1] = piece
  end
end

---One request on a connection of its own.
---@return integer? status nil when no answer came
---@return string body
---@return string head
---@async
function Server:get(path)
  local socket = self:connect()
  socket:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(path))
  local answer = server.receive_all(socket)
  socket:close()
  local head, body = answer:match("^(.-\r\n)\r\n(.*)$")
  return tonumber(answer:match("^HTTP/1%.1 (%d+)")), body or "", head or ""
end

---For after_each: ends what still runs, and demands that it ends well: nothing left open, nothing broken.
---@async
function server.stop_all()
  local problems = {}
  for self in pairs(running) do
    local has_ended = self:code() and self.was_killed -- the spec has seen to it
    local ok, code = pcall(self.stop, self)
    if not ok or code ~= 0 and not has_ended then
      problems[#problems + 1] = ("exit code %s:\n%s"):format(tostring(code), self:log())
    end
    self:remove()
  end
  running = {}
  assert(#problems == 0, "a server did not end well: " .. table.concat(problems, "\n"))
end

return server
