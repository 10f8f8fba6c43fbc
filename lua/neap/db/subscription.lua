-- What a server sends by itself (Redis' channels, PostgreSQL's notifications), as an iterator that survives the
-- connection it has. Used by redis.lua and pg.lua.
local core = require "neap.core"
local log = require "neap.base.own_log"

local subscription = {}

local sleep = core.task.sleep
local BACKOFF, BACKOFF_MAX = 0.05, 2

---How a kind of subscription is begun, heard and ended.
---@class neap.SubscriptionSource
---@field kind string for the log: "redis"
---@field names string[] of the channels
---@field start async fun(): table?, any a connection that has subscribed; or nil and why not
---@field hear async fun(conn: table): boolean?, any, any, any true and what the loop gets; false: nothing yet; nil: the connection is lost
---@field close fun(conn: table)
---@field gap fun(name: string): any, any, any what the loop gets when messages of a channel may be missing
---@field is_refusal fun(err: any): boolean whether trying again makes no sense

-- conn: nil while there is none
-- gaps: the channels whose continuity broke and that were not told yet
local Subscription = {__name = "neap.subscription"}
Subscription.__index = Subscription

local function tell_all_gaps(self)
  self.gaps = table.move(self.source.names, 1, #self.source.names, 1, {})
end

-- Keeps the connection; not when it was closed meanwhile.
local function begin(self)
  local conn, err = self.source.start()
  if not conn then return nil, err end
  if self.is_closed then
    self.source.close(conn)
    return nil, "closed"
  end
  self.conn = conn
  return true
end

local function begin_again(self)
  local delay, source = BACKOFF, self.source
  while not self.is_closed do
    local ok, err = begin(self)
    if ok then
      log.info(source.kind .. ": subscribed again", {to = table.concat(source.names, " ")})
      return
    end
    if delay == BACKOFF then
      log.warn(source.kind .. ": subscription lost", {to = table.concat(source.names, " "), err = tostring(err)})
    end
    sleep(delay * (0.5 + math.random() / 2))
    delay = math.min(delay * 2, BACKOFF_MAX)
  end
end

local function drop(self)
  local conn = self.conn
  if not conn then return end
  self.conn = nil
  self.source.close(conn)
end

-- What was heard, if it is something for the loop.
local function heard(self, is_something, ...)
  if is_something == nil and not self.is_closed then
    drop(self)
    tell_all_gaps(self)
  end
  if is_something then return ... end
end

local function next_message(self)
  while not self.is_closed do
    if not self.conn then begin_again(self) end
    if self.conn and #self.gaps > 0 then return self.source.gap(table.remove(self.gaps, 1)) end
    if self.conn then
      local a, b, c = heard(self, self.source.hear(self.conn))
      if a ~= nil then return a, b, c end
    end
  end
end

-- A loop over it ends too.
function Subscription:close()
  self.is_closed = true
  drop(self)
end

Subscription.__close = Subscription.close

function Subscription:__gc()
  if self.is_closed then return end
  log.warn(self.source.kind .. ": a subscription was never closed: leave its loop, or close it", {made = self.where})
  self:close()
end

---What `subscribe` and `listen` return: the iterator, and as fourth value what closes it. A server that is away is
---tried again when the loop begins.
---@async
---@param source neap.SubscriptionSource
---@param where string made where
---@return function? next
---@return any err why the server refuses, or nil
function subscription.open(source, where)
  local conn, err = source.start() -- cancelled, there is nothing yet that somebody could forget to close
  if not conn and source.is_refusal(err) then return nil, err end
  local self = setmetatable({source = source, where = where, conn = conn, gaps = {}, is_closed = false}, Subscription)
  if not conn then tell_all_gaps(self) end
  return function() return next_message(self) end, nil, nil, self
end

return subscription
