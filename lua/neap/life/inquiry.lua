-- What a running application tells of itself when `neap ps` and its like ask (core/top/control.c). The core calls
-- inquiry.answer with one line in each worker; control.lua is the other end.
local core = require "neap.core"
local json = require "neap.json"

local inquiry = {}

local questions = {}

-- All but the one that answers.
function questions.ps()
  local tasks = {}
  for _, task in ipairs(core.task.list()) do
    if task.name ~= "control" then tasks[#tasks + 1] = task end
  end
  local requests, websockets = core.task.clients()
  return {tasks = json.array(tasks), requests = requests, websockets = websockets}
end

-- Topics belong to the process: one worker is enough.
function questions.topics()
  if core.worker ~= 1 then return {topics = {}} end
  return {topics = core.topic_list(), use = core.topic_use()}
end

local ACTIONS = {run = "run_now", pause = "pause", resume = "resume"}

-- "": all of this worker; "pause NAME": what became of that, when the job is here.
function questions.jobs(argument)
  local jobs = require "neap.jobs"
  local list = jobs.list()
  local verb, name = argument:match("^(%S+)%s+(.+)$")
  if not verb then return {jobs = list} end
  local done = {}
  for _, job in ipairs(list) do
    if job.name == name and not done[1] then
      local ok, err = jobs[ACTIONS[verb]](name)
      done[1] = {ok = ok or false, err = err}
    end
  end
  return {done = done}
end

function questions.errors(id)
  local recent = require "neap.app.errors".recent()
  if id == "" then return {errors = recent} end
  local found = {}
  for _, entry in ipairs(recent) do
    if entry.id == id then found[1] = entry end
  end
  return {errors = found}
end

---@param line string a question, a space, its argument
---@return string # a JSON object
---@async
function inquiry.answer(line)
  local name, argument = line:match("^(%S*)%s*(.*)$")
  local question = questions[name]
  local answer = question and question(argument) or {error = "there is no question " .. name}
  answer.worker, answer.generation = core.worker, core.generation
  return json.encode(answer)
end

return inquiry
