-- Topics: process-wide named logs of messages, read by long-polls, event streams, WebSockets and tasks alike. The core keeps
-- the log and serves the clients; here is what a Lua user calls.
local core = require "neap.core"
local options = require "neap.base.options"
local res = require "neap.res"
local text = require "neap.text"
local transport = require "neap.app.transport"
local visits = require "neap.app.visits"

---Several topics read as one, with one cursor.
---@class neap.Topics
---@field package names (neap.Topic|string)[]
local Topics = {}
Topics.__index = Topics
Topics.__name = "neap.topics"

---A process-wide named log of messages. All workers publish to and read the same one.
---@class neap.Topic
---@field publish fun(self: neap.Topic, value: any, opts: {event: string?, key: string?, dedupe: string?}?): string?, integer|string a cursor and how many clients will get it; nil, "closed", "too_large", or "full" when all topics together hold `limits.topics`, or there are `limits.topic_count` of them
---@field cursor fun(self: neap.Topic): string the place behind all that was published so far
---@field stats fun(self: neap.Topic): table head, messages, bytes, published, dropped, gaps, subscribers, polls, sse, websockets, readers
---@field name fun(self: neap.Topic): string
---@field close fun(self: neap.Topic) nothing can be published any more; clients are told when they have read what is there
local Topic = core.topic_methods

local WAIT_OPTIONS = {after = "string", timeout = "duration", limit = "number"}

local function wait_options(opts, name, level)
  opts = options.check(opts, WAIT_OPTIONS, name, level + 1)
  if opts.after and not core.is_cursor(opts.after) then
    error(name .. ": `after` is not a cursor that a topic gave out", level + 1)
  end
  if opts.limit and (math.type(opts.limit) ~= "integer" or opts.limit < 1) then
    error(name .. ": `limit` is how many messages at most, from 1", level + 1)
  end
  return opts
end

---Waits for messages behind a cursor.
---```lua
---local news = neap.topic("news")
---local start = news:cursor()
---news:publish("hello")
---local items, cursor = news:wait{after = start, timeout = "1s"}
---assert(items[1] == "hello" and cursor == news:cursor())
---```
---@async
---@param opts {after: string?, timeout: number|string?, limit: integer?}? after: a cursor, or "0" for all that is left (default: from now on); timeout: seconds or "25s" (default: for ever); limit: at most so many (default and most: 64)
---@return any[]? items texts as they are, tables as tables; nil when there is none
---@return string cursor to go on with; or "timeout", "gap" (messages were lost), "closed", "full" (there are `limits.topic_count` topics already)
---@return string? cursor to go on with, after nil
function Topic:wait(opts)
  return core.topic_wait(self, wait_options(opts, "topic:wait", 2))
end

local function iterate(source, opts)
  opts = options.check(opts, {after = "string"}, "messages", 3)
  local after = opts.after or (source.names and source.names[1] or source):cursor()
  local items, cursors, at, cursor, had_gap = {}, {}, 0, after, false
  return function()
    while not cursors[at + 1] do
      local got, why, place = core.topic_wait(source.names or source, {after = cursor, cursors = true})
      if got then
        items, cursors, at, cursor = got, place, 0, why
      elseif why == "gap" then
        had_gap, cursor = true, place
      else
        return nil
      end
    end
    at = at + 1
    local is_gap = had_gap
    had_gap = false
    return items[at], cursors[at], is_gap
  end
end

---Iterates over messages as they come, until the topic is closed: item, cursor, and true when messages before it were lost.
---```lua
---local clock = neap.topic("clock")
---local start = clock:cursor()
---clock:publish("tick")
---clock:close()
---for item in clock:messages{after = start} do assert(item == "tick") end
---```
---@async
---@param opts {after: string?}? after: a cursor, or "0" for all that is left (default: from now on)
---@return fun(): any, string, boolean
function Topic:messages(opts)
  return iterate(self, opts)
end

---Tells of clients that subscribe to this topic and that leave: long-polls (each request is a visit of its own), event
---streams and WebSockets, not tasks that read. Only clients of this worker, so call it where the app is made. "subscribe" is
---asked before; it refuses by returning false and why (403; a WebSocket's `subscribe` gives nil, why), or by `neap.abort`.
---"leave" gets the same table.
---```lua
---local room = neap.topic("room")
---local names = {}
---room:on("subscribe", function(visit)
---  if visit.req and not visit.req.query.name then return false, "say your name" end
---  names[visit] = visit.req and visit.req.query.name or "somebody"
---end)
---room:on("leave", function(visit) names[visit] = nil end)
---```
---@param event "subscribe"|"leave"
---@param fn async fun(visit: neap.Visit): boolean?, string?
function Topic:on(event, fn)
  if event ~= "subscribe" and event ~= "leave" then
    error(('topic:on takes "subscribe" or "leave", not %s'):format(text.quote(event)), 2)
  end
  if type(fn) ~= "function" then error(("topic:on takes a function, not a %s"):format(type(fn)), 2) end
  visits.watch(self:name(), event, fn)
end

local function serve(topics, req, opts)
  local how = transport.of(req)
  if how == "websocket" then return require("neap.app.websocket").feed(topics, opts, req) end
  if how == "sse" then return res.events(topics, opts) end
  return res.poll(topics, opts)
end

---One URL for every client: a WebSocket (in envelopes, so that it can resume), an event stream or a long-poll, whichever the
---request asks for. Return what it gives.
---```lua
---local app = neap.app()
---app:get("/news", function(req) return neap.topic("news"):serve(req) end)
---```
---@param req neap.Request
---@param opts {after: string?, timeout: number|string?, limit: integer?}?
---@return neap.Response
function Topic:serve(req, opts)
  return serve(self, req, opts)
end

---As topic:wait, for several topics.
---@async
---@param opts {after: string?, timeout: number|string?, limit: integer?}?
---@return any[]? items
---@return string cursor
---@return string? cursor
---```lua
---local both = neap.topics{"news", "weather"}
---local _, why = both:wait{timeout = 0}
---assert(why == "timeout")
---```
function Topics:wait(opts)
  return core.topic_wait(self.names, wait_options(opts, "topics:wait", 2))
end

---As topic:messages, for several topics.
---@async
---@param opts {after: string?}?
---@return fun(): any, string, boolean
---```lua
---local both = neap.topics{"a", "b"}
---local start = neap.topic("a"):cursor()
---neap.topic("b"):publish("hello")
---for item in both:messages{after = start} do
---  assert(item == "hello")
---  break
---end
---```
function Topics:messages(opts)
  return iterate(self, opts)
end

---As topic:serve, for several topics.
---@param req neap.Request
---@param opts {after: string?, timeout: number|string?, limit: integer?}?
---@return neap.Response
---```lua
---local app = neap.app()
---app:get("/all", function(req) return neap.topics{"news", "weather"}:serve(req) end)
---```
function Topics:serve(req, opts)
  return serve(self.names, req, opts)
end

local topic = {}

local SLOW = {gap = true, latest = true, close = true}
local TOPIC_OPTIONS = {keep = "number", bytes = "size", ttl = "duration", slow = "string", binary = "boolean"}

---Opens a topic: finds it, or makes it. Options change it; without them it stays as it is. Names may come from clients:
---there are at most `limits.topic_count` topics (250,000), which keep at most `limits.topics` (256 MB) together. Beyond that
---publishing gives nil, "full", `ws:subscribe` and `topic:wait` too, and polls and event streams are answered by 503. A topic
---that nobody holds goes when its messages have outlived their ttl.
---```lua
---local scores = neap.topic("scores", {keep = 1000, ttl = "1h"})
---scores:publish({home = 1, away = 0})
---```
---@param name string 1 to 255 bytes
---@param opts {keep: integer?, bytes: integer|string?, ttl: number|string?, slow: "gap"|"latest"|"close"|nil, binary: boolean?}? keep: messages (default 64); bytes: of payload (default "256KB"); ttl: seconds or "60s" (default "60s"); slow: what a client gets that fell out of the log (default "gap": a marker, then the oldest left)
---@return neap.Topic
function topic.open(name, opts)
  if type(name) ~= "string" or name == "" or #name > 255 or not utf8.len(name) then
    error("a topic's name is 1 to 255 bytes of UTF-8", 2)
  end
  opts = opts and options.check(opts, TOPIC_OPTIONS, "neap.topic", 2)
  if opts and opts.keep and (math.type(opts.keep) ~= "integer" or opts.keep < 1 or opts.keep > 1000000) then
    error("neap.topic: `keep` is 1 to 1,000,000 messages", 2)
  end
  if opts and opts.slow and not SLOW[opts.slow] then error('neap.topic: `slow` is "gap", "latest" or "close"', 2) end
  return core.topic(name, opts)
end

---Several topics as one.
---```lua
---local both = neap.topics{"news", "weather"}
---```
---@param names (string|neap.Topic)[]
---@return neap.Topics
function topic.several(names)
  if type(names) ~= "table" or #names == 0 then error("neap.topics takes a list of names", 2) end
  local list = {}
  for i, name in ipairs(names) do list[i] = type(name) == "string" and core.topic(name) or name end
  return setmetatable({names = list}, Topics)
end

return setmetatable(topic, {__call = function(_, name, opts) return topic.open(name, opts) end})
