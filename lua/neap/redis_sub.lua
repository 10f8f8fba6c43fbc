-- Subscriptions to a Redis server: an iterator over messages that survives the connection it has. Used by redis.lua.
local core = require "neap.core"
local log = require "neap.log"

local redis_sub = {}

local now, sleep = core.task.now, core.task.sleep
local TIMEOUT = 5 -- for the confirmations
local QUIET = 15 -- seconds without a message, then the server is asked whether it is still there
local BACKOFF, BACKOFF_MAX = 0.05, 2
local PING = "*1\r\n$4\r\nPING\r\n"

-- Refusals that pass by themselves; all others are mistakes that nobody but the user can correct.
local PASSING = {LOADING = true, MASTERDOWN = true, BUSY = true, TRYAGAIN = true}

-- conn: nil while there is none
-- gaps: the channels whose continuity broke and that were not told yet
-- has_asked: whether the server is still there
local Subscription = {__name = "neap.RedisSubscription"}
Subscription.__index = Subscription

-- Closed unless it is kept.
local Starting = {}

function Starting:__close()
  if not self.is_kept then self.conn:close() end
end

-- Connects and subscribes: true, or nil and why not.
local function start(self)
  local conn, err = self.connect(self.opts)
  if not conn then return nil, err end
  local starting <close> = setmetatable({conn = conn, is_kept = false}, Starting)
  local deadline = now() + TIMEOUT
  local ok, why = conn:send(self.command, #self.names, deadline)
  for _ = 1, ok and #self.names or 0 do
    ok, why = conn:reply(deadline)
    if not ok then break end
  end
  if not ok then return nil, why end
  if self.is_closed then return nil, "closed" end
  starting.is_kept = true
  self.conn, self.has_asked = conn, false
  return true
end

local function restart(self)
  local delay = BACKOFF
  while not self.is_closed do
    local ok, err = start(self)
    if ok then
      log.info("redis: subscribed again", {to = table.concat(self.names, " ")})
      return
    end
    if delay == BACKOFF then log.warn("redis: subscription lost", {to = self.names[1], err = tostring(err)}) end
    sleep(delay * (0.5 + math.random() / 2))
    delay = math.min(delay * 2, BACKOFF_MAX)
  end
end

local function forget_conn(self)
  self.conn:close()
  self.conn = nil
  self.gaps = table.move(self.names, 1, #self.names, 1, {})
end

-- The next thing the server says; nil when there is nothing to hear any more.
local function hear(self)
  local is_whole, value = self.conn:next(now() + QUIET)
  if is_whole then
    self.has_asked = false
    return value
  end
  if value == "timeout" and not self.has_asked and self.conn.socket:send(PING, TIMEOUT) then
    self.has_asked = true
    return {}
  end
  if not self.is_closed then forget_conn(self) end
end

local function next_message(self)
  while not self.is_closed do
    if not self.conn then
      restart(self)
    elseif #self.gaps > 0 then
      local name = table.remove(self.gaps, 1)
      return name, nil, self.is_pattern and name or nil
    else
      local said = hear(self)
      if said and said[1] == "message" then return said[2], said[3] end
      if said and said[1] == "pmessage" then return said[3], said[4], said[2] end
    end
  end
end

-- A loop over it ends too.
function Subscription:close()
  if self.is_closed then return end
  self.is_closed = true
  if self.conn then self.conn:close() end
end

Subscription.__close = Subscription.close

function Subscription:__gc()
  if self.is_closed then return end
  log.warn("redis: a subscription was never closed: leave its loop, or close it", {made = self.where})
  self:close()
end

---What r:subscribe returns: the iterator, and as fourth value what closes it.
---@async
---@param opts table of redis.connect
---@param connect async fun(opts: table): table?, any makes a connection
---@param command string as it is sent
---@param names string[]
---@param is_pattern boolean
---@param where string made where
---@return function? next
---@return any err why the server refuses, or nil
function redis_sub.open(opts, connect, command, names, is_pattern, where)
  local self = setmetatable({
    opts = opts, connect = connect, command = command, names = names, is_pattern = is_pattern, where = where,
    gaps = {}, is_closed = false,
  }, Subscription)
  local ok, err = start(self)
  if not ok then
    self.gaps = table.move(names, 1, #names, 1, {})
    if type(err) == "table" and not PASSING[err.code] then
      self:close()
      return nil, err
    end
  end
  return function() return next_message(self) end, nil, nil, self
end

return redis_sub
