-- Tests of an application: starts it in this state, with its hooks and jobs, and talks to it over real sockets. `neap test`
-- runs spec files one after the other; `neap test --jobs=4` four at a time, each in a process of its own. For this they must not
-- share a database, a port or files; one that has the line `-- alone: WHY` at its top runs after the others, by itself.
local apps = require "neap.app.apps"
local core = require "neap.core"
local lifecycle = require "neap.life.lifecycle"
local options = require "neap.base.options"
local task = require "neap.task"
local text = require "neap.text"
local units = require "neap.base.units"

---@class neap.test
local test = {}

local END_SECONDS = 5   -- for what is under way when a client is closed
local TURNS = 8         -- of the loop, for what a moment of the virtual clock sets going
local STOPS_MAX = 1000  -- moments at which time stands still
local PATIENCE = "24h"  -- with an answer: the clock may be moved on meanwhile
local PAUSE = 0.002     -- between two looks

-- ---- what is open ----

local baseline -- what was open when the first of the clients that are open now was made
local open_clients = {} ---@type table<neap.TestClient, true>

local function snapshot()
  local tasks = {}
  for _, one in ipairs(core.task.list()) do tasks[one.id] = true end
  return {tally = core.tally(), tasks = tasks}
end

-- Tasks are told by name and place, so their number is not.
local TOLD_ELSEWHERE = {task = true}

---What is open and was not when the client was made: "2 of websocket", "task app.lua:12: waiting at app.lua:14".
---```lua
---local test = require "neap.test"
---local c = test.client(app)
---c:close()
---assert(#test.leaks() == 0)
---```
---@return string[]
function test.leaks()
  local list = {}
  if not baseline then return list end
  for kind, count in pairs(core.tally()) do
    local more = count - baseline.tally[kind]
    if more > 0 and not TOLD_ELSEWHERE[kind] then list[#list + 1] = ("%d of %s"):format(more, kind) end
  end
  for _, one in ipairs(core.task.list()) do
    if not baseline.tasks[one.id] then
      list[#list + 1] = ("task %s: %s at %s"):format(one.name, one.status, one.where)
    end
  end
  table.sort(list)
  return list
end

-- ---- time ----

---Waits in real time until `check` gives something true. For what takes as long as it takes: files, other servers.
---```lua
---local test = require "neap.test"
---local is_done
---task.group():spawn(function() is_done = true end)
---assert(test.eventually(function() return is_done end))
---```
---@generic T
---@param check async fun(): T
---@param timeout (number|string)? default 5 s
---@return T? # nil when the time is over
---@async
function test.eventually(check, timeout)
  local deadline = task.now() + (timeout and units.duration(timeout) or END_SECONDS)
  repeat
    local result = check()
    if result then return result end
    task.sleep(PAUSE)
  until task.now() > deadline
  return check()
end

local function settle()
  for _ = 1, TURNS do task.yield() end
end

---Moves the clock of this worker on, as if so much time had passed: sleeps end, timeouts come, jobs run, each at its
---moment and in order. What waits for a file, a database or a socket still takes its real time: see `test.eventually`.
---```lua
---local test = require "neap.test"
---local woken
---local g <close> = task.group()
---g:spawn(function() task.sleep("1h") woken = true end)
---test.advance("59m")
---assert(not woken)
---test.advance("1m")
---assert(woken)
---```
---@param duration number|string
---@async
function test.advance(duration)
  local seconds, why = units.duration(duration)
  if not seconds then error("test.advance: " .. why, 2) end
  local left = math.floor(seconds * 1000 + 0.5)
  local stops = 0
  settle()
  while left > 0 do
    local step = math.floor(core.task.skip(left / 1000) * 1000 + 0.5)
    left = left - step
    stops = step == 0 and stops + 1 or 0
    if stops > STOPS_MAX then
      error("test.advance: time does not go on: something sleeps for 0 seconds again and again", 2)
    end
    settle()
  end
end

-- ---- the client ----

---An application that runs, and who talks to it. Cookies are kept from answer to request.
---@class neap.TestClient
---@field app neap.App
---@field url string "http://127.0.0.1:PORT"
---@field cookies table<string, string> by name
---@field package port userdata
---@field package life neap.Lifecycle
---@field package group neap.Group
---@field package opened table[] WebSockets and event streams
local Client = {__name = "neap.test.client"}
Client.__index = Client

local function undo_start(life, err)
  life:cleanup("failed")
  error(err, 3)
end

-- The end of the run: those that a test has left open.
core.on_phase(function(phase)
  if phase ~= "cleanup" then return true end
  for client in pairs(open_clients) do client:close() end
  return true
end)

---Starts an application, as `neap run` would: its hooks run, its jobs begin. Close it, or keep it in a `<close>`
---variable; closing stops the application and raises when a clean-up fails or something stays open.
---```lua
---local test = require "neap.test"
---app:get("/hello/:name", function(req) return "hello " .. req.params.name end)
---local c <close> = test.client(app)
---assert(c:get("/hello/ada").body == "hello ada")
---```
---@param target string|neap.App a file or folder as for `neap run`, or an app
---@return neap.TestClient
---@async
function test.client(target)
  local app = type(target) == "string" and apps.load(target) or target
  local spec = app:compile()
  if not next(open_clients) then baseline = snapshot() end
  local life = lifecycle.new(app)
  local ok, err = life:start()
  if not ok then undo_start(life, err) end
  core.serve(spec)
  local port, number = core.open_port()
  if not port then undo_start(life, "no port: " .. number) end
    local self = setmetatable({app = app, life = life, port = port, group = task.group(), cookies = {},
    opened = {}, url = "http://127.0.0.1:" .. number}, Client)
  open_clients[self] = true
  life:ready()
  settle()
  return self
end

local function ended(self)
  return self.port:connections() == 0 and #test.leaks() == 0
end

---Stops the application: shutdown hooks, the end of all connections, clean-ups. Raises when a clean-up fails or when
---something stays open.
---```lua
---local test = require "neap.test"
---local c = test.client(app)
---c:close()
---```
---@async
function Client:close()
  if self.is_closed then return end
  self.is_closed = true
  self.life:shutdown("shutdown")
  self.port:drain()
  self.group:cancel()
  local ok, err = pcall(self.group.join, self.group) -- raises what failed in c:spawn
  test.eventually(function() return self.port:connections() == 0 end, 1)
  for _, one in ipairs(self.opened) do one:close() end
  self.port:close()
  local _, failures = self.life:cleanup("shutdown")
  open_clients[self] = nil
  local is_last = not next(open_clients)
  if is_last then test.eventually(function() return ended(self) end) end
  local problems = is_last and test.leaks() or {}
  if not ok then problems[#problems + 1] = text.safe(err) end
  for _, failure in ipairs(failures or {}) do problems[#problems + 1] = tostring(failure) end
  if #problems > 0 then error("the application did not end well:\n  " .. table.concat(problems, "\n  "), 2) end
end

Client.__close = function(self, err)
  if err == nil then return self:close() end
  local ok, problem = pcall(self.close, self) -- the test's own error is what counts
  if not ok then require("neap.log").warn(text.safe(problem)) end
end

-- ---- requests ----

local REQUEST_OPTIONS = {headers = "table", query = "table", body = "string|function", json = "any", form = "table",
  timeout = "duration"}

local function cookie_header(cookies)
  local list = {}
  for name, value in pairs(cookies) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return #list > 0 and table.concat(list, "; ") or nil
end

-- An empty value, or an age that is over, takes a cookie away.
local function keep_cookies(cookies, answer)
  for _, line in ipairs(answer.headers:all("set-cookie")) do
    local name, value = line:match("^([^=]+)=([^;]*)")
    local is_over = line:lower():find("max%-age=0") or value == ""
    if name then cookies[name] = not is_over and value or nil end
  end
end

-- Options for neap.http and net.connect, with the cookies.
local function headers_of(self, opts)
  local headers = {cookie = cookie_header(self.cookies)}
  for name, value in pairs(opts.headers or {}) do headers[name:lower()] = value end
  return headers
end

---Makes a request. Redirects are not followed: a test wants to see them.
---```lua
---local test = require "neap.test"
---app:post("/echo", function(req) return {got = req:json()} end)
---local c <close> = test.client(app)
---local answer = c:request("POST", "/echo", {json = {1, 2}})
---assert(answer.status == 200 and answer:json().got[2] == 2)
---```
---@param method string
---@param path string
---@param opts {headers: table<string, string>?, query: table?, body: string?, json: any, form: table?, timeout: (number|string)?}?
---@return neap.HttpResponse? answer
---@return string? err
---@async
function Client:request(method, path, opts)
  opts = options.check(opts, REQUEST_OPTIONS, "client:request", 2)
  opts.headers = headers_of(self, opts)
  opts.redirects = 0
  opts.timeout = opts.timeout or PATIENCE
  local answer, err = require("neap.http").request(method, self.url .. path, opts)
  if answer then keep_cookies(self.cookies, answer) end
  return answer, err
end

---Asks for a page.
---```lua
---local test = require "neap.test"
---app:get("/", function() return "hello" end)
---local c <close> = test.client(app)
---assert(c:get("/").body == "hello")
---```
---@param path string
---@param opts table? as of `c:request`
---@return neap.HttpResponse? answer
---@return string? err
---@async
function Client:get(path, opts) return self:request("GET", path, opts) end

---Sends something.
---```lua
---local test = require "neap.test"
---app:post("/", function(req) return 201, {got = req:json()} end)
---local c <close> = test.client(app)
---assert(c:post("/", {json = {1}}).status == 201)
---```
---@param path string
---@param opts table? as of `c:request`
---@return neap.HttpResponse? answer
---@return string? err
---@async
function Client:post(path, opts) return self:request("POST", path, opts) end

---Puts something in its place.
---```lua
---local test = require "neap.test"
---app:put("/a", function(req) return req:body() end)
---local c <close> = test.client(app)
---assert(c:put("/a", {body = "new"}).body == "new")
---```
---@param path string
---@param opts table? as of `c:request`
---@return neap.HttpResponse? answer
---@return string? err
---@async
function Client:put(path, opts) return self:request("PUT", path, opts) end

---Changes something.
---```lua
---local test = require "neap.test"
---app:patch("/a", function(req) return req:form().name end)
---local c <close> = test.client(app)
---assert(c:patch("/a", {form = {name = "b"}}).body == "b")
---```
---@param path string
---@param opts table? as of `c:request`
---@return neap.HttpResponse? answer
---@return string? err
---@async
function Client:patch(path, opts) return self:request("PATCH", path, opts) end

---Removes something.
---```lua
---local test = require "neap.test"
---app:delete("/a", function() return 204 end)
---local c <close> = test.client(app)
---assert(c:delete("/a").status == 204)
---```
---@param path string
---@param opts table? as of `c:request`
---@return neap.HttpResponse? answer
---@return string? err
---@async
function Client:delete(path, opts) return self:request("DELETE", path, opts) end

-- What the client opened is closed with it.
local function keep(self, one, err)
  self.opened[#self.opened + 1] = one
  return one, err
end

---Opens a WebSocket.
---```lua
---local test = require "neap.test"
---app:ws("/echo", function(ws) for message in ws:messages() do ws:send(message) end end)
---local c <close> = test.client(app)
---local socket <close> = c:ws("/echo")
---socket:send("hello")
---assert(socket:recv("1s") == "hello")
---```
---@param path string
---@param opts {headers: table<string, string>?}?
---@return neap.TestSocket? socket
---@return string? err "403 ..." when it was refused
---@async
function Client:ws(path, opts)
  return keep(self, require("neap.test.socket").open(self.url, path, headers_of(self, opts or {})))
end

---Opens a stream of server-sent events.
---```lua
---local test = require "neap.test"
---app:get("/news", function() return neap.res.events("news") end)
---local c <close> = test.client(app)
---local events <close> = c:sse("/news")
---neap.topic("news"):publish("hello")
---assert(events:next("1s").data == "hello")
---```
---@param path string
---@param opts {headers: table<string, string>?}?
---@return neap.TestEvents? events
---@return string? err
---@async
function Client:sse(path, opts)
  return keep(self, require("neap.test.events").open(self.url, path, headers_of(self, opts or {})))
end

---Runs a function in a task that ends with the client: for what has to happen while the test goes on.
---```lua
---local test = require "neap.test"
---app:get("/poll", function() return neap.res.poll("news") end)
---local c <close> = test.client(app)
---local poll = c:spawn(function() return c:get("/poll").status end)
---test.eventually(function() return neap.topic("news"):stats().polls == 1 end)
---neap.topic("news"):publish("hello")
---assert(select(2, poll:join("5s")) == 200)
---```
---@param fn async fun(...)
---@param ... any its arguments
---@return neap.Task
---@async
function Client:spawn(fn, ...)
  return self.group:spawn(fn, ...)
end

return test
