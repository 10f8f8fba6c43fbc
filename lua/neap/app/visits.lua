-- Visits: what an application that asks with topic:on is told of the clients of its topics. One visit is one client that
-- is subscribed to one topic, from the answer to its request until it is served or has left.
local abort = require "neap.app.abort"
local core = require "neap.core"
local log = require "neap.base.own_log"

---A client at a topic. The same table is given to "subscribe" and to "leave", so it can be used to remember who it is.
---@class neap.Visit
---@field topic string
---@field transport "poll"|"sse"|"websocket"
---@field req neap.Request? during "subscribe" only; a WebSocket that called ws:subscribe itself has none
---@field ws neap.WebSocket? for a WebSocket

local visits = {}

local watchers = {} ---@type table<string, {subscribe: function[], leave: function[]}> by topic

-- The last to come is the first to go. One that fails does not keep the others from being told.
local function leave(list)
  for i = #list, 1, -1 do
    for _, fn in ipairs(watchers[list[i].topic].leave) do
      local ok, err = pcall(fn, list[i])
      if not ok then log.error("topic:on leave: " .. tostring(err), {topic = list[i].topic}) end
    end
  end
end

-- The visits of one subscription. They are over when it is closed, unless a client has them by then.
local Visits = {__name = "neap.visits"}
Visits.__index = Visits
function Visits:__close()
  if not self.is_taken then leave(self) end
end

-- The same for the caller, who has to close it now.
function Visits:pass()
  local passed = setmetatable(table.move(self, 1, #self, 1, {is_taken = false}), Visits)
  self.is_taken = true
  return passed
end

local function names_of(topics)
  local names = {}
  for i, topic in ipairs(type(topics) == "table" and topics or {topics}) do
    names[i] = type(topic) == "string" and topic or topic:name()
  end
  return names
end

local function may_enter(visit)
  for _, fn in ipairs(watchers[visit.topic].subscribe) do
    local answer, why = fn(visit)
    if answer == false then return false, why or "refused" end
  end
  return true
end

---Asks those who watch these topics. May park, and raises what they raise.
---@async
---@param transport "poll"|"sse"|"websocket"
---@param topics string|neap.Topic|(string|neap.Topic)[]
---@param req neap.Request?
---@param ws neap.WebSocket?
---@return table? visits to be closed, or given to the core; nil, why: refused; nil alone: nobody watches
---@return string? why
function visits.begin(transport, topics, req, ws)
  local list <close> = setmetatable({is_taken = false}, Visits)
  for _, name in ipairs(next(watchers) and names_of(topics) or {}) do
    if watchers[name] then
      local visit = {topic = name, transport = transport, req = req, ws = ws}
      local ok, why = may_enter(visit)
      if not ok then return nil, tostring(why) end
      visit.req = nil
      list[#list + 1] = visit
    end
  end
  return list[1] and list:pass()
end

function visits.are_watched()
  return next(watchers) ~= nil
end

-- For the core: a client's visits as plain data, for the next generation, and back.
local function pack(list)
  local data = {}
  for i, visit in ipairs(list) do
    data[i] = {}
    for key, value in pairs(visit) do
      if key ~= "ws" then data[i][key] = value end
    end
  end
  return data
end

local function unpack(data, ws)
  local list = setmetatable({is_taken = true}, Visits)
  for _, visit in ipairs(data) do
    visit.ws = ws
    if watchers[visit.topic] then list[#list + 1] = visit end
  end
  return list[1] and list
end

-- For the core, before it parks a client.
local function begin_or_refuse(...)
  local list, why = visits.begin(...)
  if why then abort.raise(403, why, nil, 2) end
  return list
end

---See topic:on.
---@param name string of the topic
---@param event "subscribe"|"leave"
---@param fn async fun(visit: neap.Visit)
function visits.watch(name, event, fn)
  if not next(watchers) then core.watch_visits(begin_or_refuse, leave, pack, unpack) end
  watchers[name] = watchers[name] or {subscribe = {}, leave = {}}
  table.insert(watchers[name][event], fn)
end

return visits
