-- Honest subscribers to a topic of numbers that are published from 1 on without a hole. They come by poll, event stream
-- or WebSocket, go, and come back with their cursor: each number comes once and in order, or a gap is told before it.
--
--   subscribers.beside(run, "the topic", {
--     paths = {poll = "/poll/t?timeout=0.2", events = "/events/t", serve = "/serve/t"}, cursor = cursor,
--     ways = {"poll", "serve", "any"},                 -- one subscriber for each; "any": another one each time
--     publish = function(number) ... return last end,  -- from this number on; parks a little
--     check = function(one) ... end,                   -- each, when it has seen everything: .gaps, .lost, .count
--   })
local http = require "spec.support.http"
local json = require "neap.json"
local task = require "neap.task"
local ws = require "spec.support.ws"

local subscribers = {}

local WAYS = {"poll", "events", "serve"}
local CATCH_UP_SECONDS = 60

---@class spec.Subscriber
---@field run spec.SoakRun
---@field paths {poll: string, events: string, serve: string}
---@field cursor string
---@field last integer the number it saw last
---@field count integer of numbers seen
---@field gaps integer that were told
---@field lost integer numbers in them
local Subscriber = {}
Subscriber.__index = Subscriber

local function subscriber_new(run, paths, cursor)
  return setmetatable({run = run, paths = paths, cursor = cursor, last = 0, count = 0, gaps = 0, lost = 0, has_gap = false},
    Subscriber)
end

local function see(self, number, way)
  number = assert(tonumber(number), way .. " brought no number")
  if self.has_gap then
    assert(number > self.last, ("%s brought %d again, after %d and a gap"):format(way, number, self.last))
    self.lost = self.lost + number - self.last - 1
  else
    assert(number == self.last + 1, ("%s brought %d after %d, and told of no gap"):format(way, number, self.last))
  end
  self.has_gap, self.last, self.count = false, number, self.count + 1
  self.run:count("messages by " .. way)
end

local function see_gap(self)
  self.gaps, self.has_gap = self.gaps + 1, true
  self.run:count "gaps told"
end

local function with(path, cursor)
  return path .. (path:find("?", 1, true) and "&" or "?") .. "after=" .. cursor
end

-- The server may close a connection at any time, and may be full: then the client comes back.
local function cut(self, conn, why)
  self.run:count("subscribers " .. why)
  conn:close()
  if why == "refused" then task.sleep(0.1) end
end

-- The head of the answer that is wanted; false: the connection is closed.
local function head_came(self, conn, status)
  local head = conn:upto("\r\n\r\n")
  if not head then return cut(self, conn, "cut") end
  if head:find(" 503 ", 1, true) then return cut(self, conn, "refused") end
  assert(head:find((" %d "):format(status), 1, true), head)
  return true
end

local function leave(conn, some)
  if some(2) == 1 then conn:reset() else conn:close() end
end

-- Each reads for a while behind self.cursor, and moves it.
local visit = {}

function visit.poll(self, some)
  local conn = http.open(self.run.server)
  for _ = 1, some(5) do
    conn:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(with(self.paths.poll, self.cursor)))
    local answer = conn:answer()
    if not answer or not answer.is_whole then return cut(self, conn, "cut") end
    if answer.status == 503 then return cut(self, conn, "refused") end
    assert(answer.status == 200 or answer.status == 204, answer.head)
    if answer.headers["topic-gap"] then see_gap(self) end
    if answer.status == 200 then
      for _, one in ipairs(json.decode(answer.body).items) do see(self, one, "poll") end
    end
    self.cursor = answer.headers["topic-cursor"]
  end
  leave(conn, some)
end

function visit.events(self, some)
  local conn = http.open(self.run.server)
  conn:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %s\r\n\r\n"):format(self.paths.events, self.cursor))
  if not head_came(self, conn, 200) then return end
  local id, is_gap
  for _ = 1, some(400) do
    local line = conn:upto("\n")
    if not line then return cut(self, conn, "cut") end
    local name, value = line:match("^(%a+): (.*)\n$")
    if name == "id" then id, is_gap = value, false end
    if name == "event" then is_gap = value == "gap" end
    if name == "data" then
      if is_gap then see_gap(self) else see(self, value, "events") end
      self.cursor = id
    end
  end
  leave(conn, some)
end

function visit.serve(self, some)
  local conn = http.open(self.run.server)
  conn:send(ws.request(with(self.paths.serve, self.cursor)))
  if not head_came(self, conn, 101) then return end
  local socket = ws.on(conn)
  for _ = 1, some(150) do
    local text = socket:message()
    if not text then return cut(self, conn, "cut") end
    local envelope = json.decode(text)
    if envelope.gap then see_gap(self) else see(self, envelope.data, "serve") end
    self.cursor = envelope.cursor
  end
  leave(conn, some)
end

-- Comes until it has seen `last`.
local function catch_up(self, last)
  local deadline = task.now() + CATCH_UP_SECONDS
  local function one() return 1 end
  while self.last < last do
    visit.poll(self, one)
    assert(task.now() < deadline, ("%d were published, only %d came"):format(last, self.last))
  end
end

---@class spec.Subscription
---@field paths {poll: string, events: string, serve: string}
---@field cursor string before the first number
---@field ways string[]
---@field pause integer? how many numbers pass between the first two visits, and between others at times
---@field publish async fun(number: integer): integer
---@field check fun(one: spec.Subscriber)

---Lets them come and go beside everything else until the run is over; then each must have seen everything.
---@param run spec.SoakRun
---@param name string
---@param opts spec.Subscription
function subscribers.beside(run, name, opts)
  local all, visiting, published, is_complete = {}, #opts.ways, 0, false
  for i, way in ipairs(opts.ways) do
    all[i] = subscriber_new(run, opts.paths, opts.cursor)
    run:beside(("subscriber %d of %s (%s)"):format(i, name, way), function(some)
      local pause = opts.pause or 0
      repeat
        visit[way == "any" and WAYS[some(#WAYS)] or way](all[i], some)
        local target = published + pause
        while published < target do task.sleep(0.001) end
        pause = some(2) == 1 and opts.pause or 0
      until run:is_over()
      visiting = visiting - 1
      while not is_complete do task.sleep(0.01) end
      catch_up(all[i], published)
      opts.check(all[i])
    end)
  end
  run:beside("publisher of " .. name, function()
    while visiting > 0 do published = opts.publish(published + 1) end -- who waits for some more must get them
    is_complete = true
  end)
end

return subscribers
