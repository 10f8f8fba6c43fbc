-- Connections to a server that take turns: never more than `max`, who waits is served in order, and while the server
-- is away everybody is told at once instead of queueing. What a connection is, only its driver knows: redis.lua, pg.lua.
local core = require "neap.core"
local log = require "neap.base.own_log"
local options = require "neap.base.options"
local primitives = core.task

---How a pool makes, looks at and ends its connections.
---@class neap.PoolDriver
---@field name string for the log: "redis"
---@field open async fun(): table?, any a connection, or nil and why not; within a time that the driver limits
---@field close fun(conn: table) does not park
---@field is_usable fun(conn: table): boolean whether somebody else may have it; does not park
---@field recover (async fun(conn: table): boolean)? brings one back that was left in the middle of something

-- free, since: connections that nobody has, the last used at the end, and since when
-- open, count: how many connections there are; the same with those being opened
-- waiters: who waits for one
-- failures, retry_at, last_err: attempts to connect that failed one after the other; when the next may be made; why
-- is_probing: one is being made, although the last failed
-- sweeper: the task that closes what is idle, while something is
local Pool = {}
Pool.__index = Pool
Pool.__name = "neap.pool"

local pool = {}

local MAX, IDLE = 10, 60
local BACKOFF, BACKOFF_MAX = 0.05, 2 -- seconds until the next attempt to connect, about

-- What a waiter is woken with, other than a connection.
local MAY_OPEN, LOOK_AGAIN = {}, {}

---The place in the user's file that called a constructor, for what is never closed.
---@param level integer as in `error`
---@return string
function pool.where(level)
  local info = debug.getinfo(level + 1, "Sl")
  return info and ("%s:%d"):format(info.short_src, info.currentline) or "?"
end

-- What every client of a server is told, with its defaults.
local OPTIONS = {
  host = "string", port = "number", user = "string", password = "string", timeout = "duration",
  connect_timeout = "duration", max = "number", idle = "duration",
}
local CONNECT_TIMEOUT, MAX_LIMIT = 5, 10000

---The options of a client, checked: those that all have, and its own. Raises at `level` of the caller.
---@param given table?
---@param own table<string, string> as `known` of options.check
---@param what string "redis.connect"
---@param level integer
---@return table
function pool.options(given, own, what, level)
  local known = {}
  for _, part in ipairs {OPTIONS, own} do
    for name, kind in pairs(part) do known[name] = kind end
  end
  local opts = options.check(given, known, what, level + 1)
  opts.max, opts.idle = opts.max or MAX, opts.idle or IDLE
  opts.connect_timeout = opts.connect_timeout or CONNECT_TIMEOUT
  options.check_integer(opts, "max", 1, MAX_LIMIT, what, level + 1)
  if opts.port then options.check_integer(opts, "port", 1, 65535, what, level + 1) end
  return opts
end

---@param driver neap.PoolDriver
---@param opts {max: integer?, idle: number?} checked
---@param where string
---@return table
function pool.new(driver, opts, where)
  return setmetatable({
    driver = driver, max = opts.max or MAX, idle = opts.idle or IDLE, free = {}, since = {}, count = 0, open = 0,
    waiters = primitives.waiters(), failures = 0, retry_at = 0, is_probing = false, is_closed = false, where = where,
  }, Pool)
end

-- ---- a connection on loan ------------------------------------------------------------------------

-- conn: nil once it was given back
local Lease = {}
Lease.__index = Lease
Lease.__name = "neap.lease"

-- Gives the connection back. If it is in the middle of something it is brought back to order first, or closed.
function Lease:close()
  local conn = self.conn
  if not conn then return end
  self.conn = nil
  self.pool:give_back(conn)
end

Lease.__close = Lease.close

-- Closes the connection instead: for what was forgotten, and cannot wait.
function Lease:discard()
  local conn = self.conn
  if not conn then return end
  self.conn = nil
  self.pool:discard(conn)
end

-- ---- opening -------------------------------------------------------------------------------------

local function is_down(self)
  return self.failures > 0 and (self.is_probing or primitives.now() < self.retry_at)
end

-- Nobody will come back to those who wait: they see for themselves.
local function tell_waiters(self)
  self.waiters:wake_all(LOOK_AGAIN)
end

-- One connection less: whoever waits may open another, or has to hear that this makes no sense now.
local function vacate(self)
  self.count = self.count - 1
  if #self.waiters == 0 or self.is_closed then return end
  if not is_down(self) then
    self.count = self.count + 1
    self.waiters:wake(MAY_OPEN)
  elseif self.open == 0 then
    tell_waiters(self)
  end
end

local function note_failure(self, err)
  self.last_err = err
  if primitives.now() < self.retry_at then return end -- several tried at the same time: one failure
  self.failures = self.failures + 1
  local delay = math.min(BACKOFF * 2 ^ math.min(self.failures - 1, 16), BACKOFF_MAX)
  self.retry_at = primitives.now() + delay * (0.5 + math.random() / 2)
  if self.failures == 1 then log.warn(self.driver.name .. ": cannot connect", {err = tostring(err)}) end
end

local function note_success(self)
  if self.failures > 0 then log.info(self.driver.name .. ": connected again", {attempts = self.failures + 1}) end
  self.failures = 0
  while self.count < self.max and #self.waiters > 0 do -- they could not, before
    self.count = self.count + 1
    self.waiters:wake(MAY_OPEN)
  end
end

-- An attempt to connect: gives its place back when it fails or is cancelled.
local Attempt = {}

function Attempt:__close()
  if self.is_probe then self.pool.is_probing = false end
  if not self.has_worked then vacate(self.pool) end
end

-- A new connection, for which the caller has counted one up.
local function connect(self)
  local attempt <close> = setmetatable({pool = self, is_probe = false, has_worked = false}, Attempt)
  if is_down(self) then return nil, self.last_err end
  if self.failures > 0 then
    self.is_probing, attempt.is_probe = true, true
  end
  local conn, err = self.driver.open()
  if not conn then
    note_failure(self, err)
    return nil, err
  end
  if self.is_closed then
    self.driver.close(conn)
    return nil, "closed"
  end
  attempt.has_worked = true
  self.open = self.open + 1
  note_success(self)
  return conn
end

-- ---- taking and giving back ----------------------------------------------------------------------

function Pool:discard(conn)
  self.driver.close(conn)
  self.open = self.open - 1
  vacate(self)
end

local function take_free(self)
  while #self.free > 0 do
    local conn = table.remove(self.free)
    self.since[#self.free + 1] = nil
    if self.driver.is_usable(conn) then return conn end
    self:discard(conn)
  end
end

local function wait(self, deadline)
  local given = self.waiters:wait(math.max(deadline - primitives.now(), 0))
  if given == nil then return nil, "busy" end
  if given == MAY_OPEN then return connect(self) end
  if given ~= LOOK_AGAIN and not self.driver.is_usable(given) then -- it broke on its way to us
    self:discard(given)
    return LOOK_AGAIN
  end
  return given
end

local function take(self, deadline)
  while true do
    if self.is_closed then return nil, "closed" end
    local conn = take_free(self)
    if conn then return conn end
    if is_down(self) and self.open == 0 then return nil, self.last_err end
    if self.count < self.max and not is_down(self) then
      self.count = self.count + 1
      return connect(self)
    end
    local err
    conn, err = wait(self, deadline)
    if conn ~= LOOK_AGAIN then return conn, err end
  end
end

-- A lease, whose `conn` is yours until it is closed: keep it in a `<close>` variable. Or nil and "busy" (none became
-- free in time), "closed", or why none could be opened.
function Pool:acquire(seconds)
  local lease = setmetatable({pool = self, conn = nil}, Lease)
  local conn, err = take(self, primitives.now() + seconds)
  if not conn then return nil, err end
  lease.conn = conn
  return lease
end

-- Closes what nobody has used for `idle` seconds, or what the server has closed; there while there is something to
-- look after.
local function sweep(self)
  while #self.free > 0 do
    primitives.sleep(math.max(self.since[1] + self.idle - primitives.now(), 0.001))
    local now = primitives.now()
    while #self.free > 0 and (self.since[1] + self.idle <= now or not self.driver.is_usable(self.free[1])) do
      local conn = table.remove(self.free, 1)
      table.remove(self.since, 1)
      self:discard(conn)
    end
  end
  self.sweeper = nil
end

local function put_free(self, conn)
  if self.is_closed or not self.driver.is_usable(conn) then return self:discard(conn) end
  if self.waiters:wake(conn) then return end
  self.free[#self.free + 1] = conn
  self.since[#self.free] = primitives.now()
  if not self.sweeper then self.sweeper = primitives.spawn(sweep, self) end
end

-- A connection that is being brought back to order: lost unless that works.
local Recovery = {}

function Recovery:__close()
  if self.has_worked then put_free(self.pool, self.conn) else self.pool:discard(self.conn) end
end

local function recover(self, conn)
  local recovery <close> = setmetatable({pool = self, conn = conn, has_worked = false}, Recovery)
  recovery.has_worked = self.driver.recover(conn)
end

-- For Lease:close. Does not park: what takes time goes on in a task of its own.
function Pool:give_back(conn)
  if self.driver.recover and not self.is_closed and not self.driver.is_usable(conn) then
    primitives.spawn(recover, self, conn)
  else
    put_free(self, conn)
  end
end

function Pool:stats()
  return {open = self.open, free = #self.free, waiting = #self.waiters, max = self.max}
end

-- What is in use is closed when it comes back, who waits gets nil, "closed".
function Pool:close()
  if self.is_closed then return end
  self.is_closed = true
  if self.sweeper then self.sweeper:cancel() end
  while #self.free > 0 do self:discard(table.remove(self.free)) end
  tell_waiters(self)
end

Pool.__close = Pool.close

function Pool:__gc()
  if self.is_closed then return end
  log.warn(self.driver.name .. ": never closed", {made = self.where, open = self.open})
  self.is_closed = true
  for _, conn in ipairs(self.free) do self.driver.close(conn) end
end

return pool
