-- Long runs: what only time and chance find. A soak is a file of spec/soak that returns {run = function(run) ... end};
-- spec/soak/run starts it by hand, spec/soak/soak_spec.lua gives each a short time.
--
--   run:start {app = text, settings = {"limits.body=1KB"}, ...}   -- a server whose log is watched: see server.start
--   run:beside("peer 1", function(some)      -- a task of its own; an error in it is a failure of the run
--     while not run:is_over() do ... run:count "requests" end
--   end)                                     -- some(n): 1 to n, by the seed and the task's name
--   run:reload({["app.lua"] = text}, true)   -- must end as it is said, and ends within a minute
--
-- When the function returns, its tasks are joined, the server is stopped, and its log must be free of what no input
-- may cause.
local command = require "spec.support.command"
local follow = require "spec.support.follow"
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local soak = {}

local PATIENCE = 150      -- seconds for a reload, and for the tasks to end after their time
local LOOK_SECONDS = 0.05 -- between two looks at the log
local TELL_SECONDS = 60   -- between two lines of figures
local REPORT_LINES = 60   -- of a sanitizer, in the failure
local REPORT_SECONDS = 2  -- until all of it is in the log

-- What may never be in a log, whatever clients and applications do.
local FORBIDDEN = {"Sanitizer", "runtime error:", "left open", "Assertion", "stack overflow (log"}

---@class spec.SoakRun
---@field seconds number
---@field seed integer
---@field counts table<string, integer>
---@field problem string? the first thing that went wrong
---@field server spec.Server?
local Run = {}
Run.__index = Run

---Whether its time is over, or something went wrong.
function Run:is_over()
  return self.problem ~= nil or task.now() >= self.deadline
end

---Adds to a figure of the report.
function Run:count(name, by)
  self.counts[name] = (self.counts[name] or 0) + (by or 1)
end

---Something is wrong: the first time counts, and ends the run.
function Run:fail(text)
  self.problem = self.problem or text
end

-- A number for a name, so that each task has chances of its own.
local function number_of(name, seed)
  local sum = seed
  for i = 1, #name do sum = sum * 31 + name:byte(i) & 0x7fffffff end
  return sum
end

---Chance by the seed and a name: a function that gives 1 to n.
function Run:chance(name)
  local some = http.random(number_of(name, self.seed))
  for _ = 1, 8 do some(2) end -- seeds that are neighbours begin alike
  return some
end

local function describe(err)
  return type(err) == "table" and err.message or debug.traceback(tostring(err), 2)
end

---@param name string
---@param fn async fun(some: fun(most: integer): integer)
function Run:beside(name, fn)
  self.started[#self.started + 1] = self.tasks:spawn(name, function()
    local ok, err = xpcall(fn, describe, self:chance(name))
    if not ok then self:fail(name .. ": " .. err) end
  end)
end

-- ---- The server ---------------------------------------------------------------------------------

local function see_line(self, line)
  if self.report then -- a sanitizer's goes on over many lines, between those of other threads
    if line:sub(1, 1) ~= "{" then self.report[#self.report + 1] = line end
    return
  end
  local number, word = line:match("generation (%d+) (%l+)")
  if word == "serves" or word == "failed" then self.outcome = {number = tonumber(number), word = word, line = line} end
  if line:find("not enough memory", 1, true) then self:count "log lines about memory" end
  for _, text in ipairs(FORBIDDEN) do
    if line:find(text, 1, true) then self.report, self.report_since = {line}, task.now() end
  end
end

local function report_text(self)
  return table.concat(self.report, "\n", 1, math.min(#self.report, REPORT_LINES))
end

local function look(self)
  self.log:lines(function(line) see_line(self, line) end)
  if self.report and task.now() - self.report_since > REPORT_SECONDS then self:fail(report_text(self)) end
end

local function watch(self)
  while not self.is_stopping do
    look(self)
    if self.server:code() then
      self:fail(("the server has ended, code %s"):format(self.server:code()))
      return
    end
    task.sleep(LOOK_SECONDS)
  end
end

---Starts the server of this run; `settings`: texts such as "limits.body=1KB".
---@param opts spec.Options|{settings: string[]?}
---@async
function Run:start(opts)
  opts.args = opts.args or {}
  for _, setting in ipairs(opts.settings or {}) do
    table.insert(opts.args, "--set")
    table.insert(opts.args, setting)
  end
  self.server = server.start(opts)
  self.log = follow.open(self.server.dir .. "/err")
  self.watcher:spawn(watch, self)
end

---Reloads, and fails unless that ends as it should.
---@param files table<string, string|false>
---@param should_serve boolean
---@async
function Run:reload(files, should_serve)
  local before = self.outcome and self.outcome.number or 1
  for name, text in pairs(files) do self.server:write(name, text) end
  self.server:kill("HUP")
  server.poll(PATIENCE, function() return self.problem or self.outcome and self.outcome.number > before end)
  if self.problem then return end
  local outcome = self.outcome
  if not outcome or outcome.number <= before then return self:fail(("generation %d: no end of the reload"):format(before + 1)) end
  local serves = outcome.word == "serves"
  self:count("reloads that " .. (serves and "serve" or "fail"))
  if serves ~= should_serve then self:fail(("this should %s: %s"):format(should_serve and "serve" or "fail", outcome.line)) end
end

---Asks the server as its operator does: "ps", "topics", "jobs", "errors". A figure, not a condition: who is busy says so.
---@param question string
---@async
function Run:ask(question)
  local result = command.run(("'%s' %s --pid %d"):format(os.getenv "NEAP_BIN", question, self.server.pid), PATIENCE)
  self:count(("neap %s, code %d"):format(question, result.code))
end

local function stop(self)
  self.is_stopping = true
  if not self.server then return end
  local ok, code = pcall(self.server.stop, self.server)
  look(self)
  self.log:close()
  if self.report then self.problem = report_text(self) end
  if not ok then self:fail(tostring(code):match("^[^\n]*")) end -- the log is longer
  if ok and code ~= 0 then self:fail(("the stop: exit code %d"):format(code)) end
end

-- ---- The run ------------------------------------------------------------------------------------

local function figures(self)
  local names, parts = {}, {}
  for name in pairs(self.counts) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = ("%s %d"):format(name, self.counts[name]) end
  return table.concat(parts, ", ")
end

local function tell(self, out)
  while true do
    task.sleep(TELL_SECONDS)
    out(("%4.0f s: %s; %d MB"):format(task.now() - self.begin, figures(self), self.server and self.server:rss() >> 20 or 0))
    io.stdout:flush()
  end
end

-- The first of its tasks that still runs.
local function running(self)
  for _, one in ipairs(self.started) do
    if one.status ~= "done" and one.status ~= "failed" and one.status ~= "cancelled" then return one end
  end
end

local function act(self, one)
  local ok, err = xpcall(one.run, describe, self)
  if not ok then self:fail(err) end
  server.poll(math.max(self.deadline - task.now(), 0) + PATIENCE, function() return self.problem or not running(self) end)
  local late = running(self)
  if late then self:fail(("%s does not end:\n%s"):format(late.name, late:traceback())) end
  self.tasks:cancel()
end

local function report(self, name, out)
  out(("%s: %.0f s, seed %d: %s"):format(name, task.now() - self.begin, self.seed, figures(self)))
  if not self.problem then return end
  out("FAILED: " .. self.problem)
  if self.server then out("the server's folder: " .. self.server.dir .. " (its log: err)") end
  out(("again: %s %s %g %d"):format(os.getenv "SOAK_COMMAND" or "spec/soak/run", name, self.seconds, self.seed))
end

---Runs a soak.
---@param name string of a file of spec/soak
---@param seconds number
---@param seed integer
---@param out fun(line: string)
---@return boolean ok
---@async
function soak.run(name, seconds, seed, out)
  local one = require("spec.soak." .. name)
  local now = task.now()
  local telling <close> = task.group()
  local self = setmetatable({seconds = seconds, seed = seed, counts = {}, begin = now, deadline = now + seconds,
    tasks = task.group(), started = {}, watcher = task.group()}, Run)
  telling:spawn(tell, self, out)
  act(self, one)
  stop(self)
  self.watcher:join()
  report(self, name, out)
  if self.server and not self.problem then self.server:remove() end
  telling:cancel()
  return self.problem == nil
end

return soak
