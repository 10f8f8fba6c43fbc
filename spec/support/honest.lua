-- Honest clients: what they ask has one right answer, which must come.
local http = require "spec.support.http"
local json = require "neap.json"
local task = require "neap.task"

local honest = {}

local TRIES = 20 -- for one question: a server may close a connection, or be full, but not for ever

---@class spec.Honest
---@field run spec.SoakRun
---@field conn spec.Connection?
local Honest = {}
Honest.__index = Honest

---@param run spec.SoakRun
---@return spec.Honest
function honest.new(run)
  return setmetatable({run = run}, Honest)
end

-- A connection may be closed between two requests, and a reload cuts what takes too long; a figure tells them apart.
local function count_failure(self, answer, is_fresh)
  local what = answer and (answer.status == 503 and "refused" or "cut short") or is_fresh and "cut at once" or "cut"
  self.run:count("honest clients " .. what)
end

local function try(self, method, path, body)
  local is_fresh = not self.conn
  self.conn = self.conn or http.open(self.run.server)
  self.conn:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"):format(method, path,
    body and ("Content-Length: %d\r\n"):format(#body) or "", body or ""))
  local answer = self.conn:answer(method)
  if answer and answer.is_whole and answer.status ~= 503 then return answer end
  count_failure(self, answer, is_fresh)
  self:close()
end

---Asks until there is an answer.
---@param method string
---@param path string
---@param body string?
---@return spec.Reply
---@async
function Honest:ask(method, path, body)
  for i = 1, TRIES do
    local answer = try(self, method, path, body)
    if answer then return answer end
    task.sleep(i / 100)
  end
  error(("%s %s: no answer in %d tries"):format(method, path, TRIES), 0)
end

local function check(answer, body)
  assert(answer.status == 200, answer.head)
  assert(answer.body == body, ("answered %q, not %q"):format(answer.body, body))
end

---Asks one of two questions.
---@param some fun(most: integer): integer
---@async
function Honest:question(some)
  if some(2) == 1 then
    local n = some(1000000)
    local answer = self:ask("GET", ("/honest/%d"):format(n))
    assert(answer.status == 200, answer.head)
    local value = json.decode(answer.body)
    assert(value.n == n and value.twice == 2 * n, answer.body)
  else
    local body = ("%d "):format(some(1000)):rep(some(2000))
    check(self:ask("POST", "/honest", body), body)
  end
  self.run:count "honest answers"
  if some(10) == 1 then self:close() end
end

---Publishes the next number: once, however often it has to be asked.
---@param number integer
---@async
function Honest:publish(number)
  local answer = self:ask("POST", ("/numbers/%d"):format(number), "")
  assert(answer.status == 200, answer.head .. answer.body)
end

---The operator, who looks at everything again and again.
---@param run spec.SoakRun
---@async
function honest.operator(run)
  local questions, i = {"ps", "topics", "jobs", "errors"}, 0
  while not run:is_over() do
    i = i % #questions + 1
    run:ask(questions[i])
    task.sleep(0.3)
  end
end

function Honest:close()
  if self.conn then self.conn:close() end
  self.conn = nil
end

return honest
