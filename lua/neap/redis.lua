-- A Redis client: a pool of connections, every command as a method. Sockets are the core's, replies are taken apart by
-- hiredis (core/client/redis_reader.c); all the rest is here, subscriptions are in redis_sub.lua.
local core = require "neap.core"
local options = require "neap.options"
local pool = require "neap.pool"
local redis_sub = require "neap.redis_sub"
local text = require "neap.text"

if not core.redis_reader then
  error("neap.redis: this neap was built without hiredis: install libhiredis-dev (Debian's name) and build it again")
end

---Redis: a pool of connections that opens them when they are needed.
---@class neap.redis
local redis = {}

local now = core.task.now
local PORT, TIMEOUT, CONNECT_TIMEOUT, MAX_REPLY = 6379, 5, 5, 64 * 1024 * 1024
local RECEIVE = 65536

---What the server answered instead of a reply.
---@class neap.RedisError
---@field code string its first word: "ERR", "WRONGTYPE", "NOAUTH", "EXECABORT", ...
---@field message string the rest
local RedisError = core.redis_error
function RedisError:__tostring() return self.code .. " " .. self.message end

-- ---- what is sent --------------------------------------------------------------------------------

local function word(value)
  local kind = math.type(value)
  if kind == "integer" then return ("%d"):format(value) end
  if kind == "float" then return ("%.17g"):format(value) end
  return value
end

-- A command as Redis wants it; raises at `level` of the caller for what is no text and no number.
local function pack(level, ...)
  local count = select("#", ...)
  local parts = {"*" .. count .. "\r\n"}
  for i = 1, count do
    local value = word((select(i, ...)))
    if type(value) ~= "string" then
      error(("redis %s: argument %d is %s; commands take texts and numbers (json.encode makes a text of a table)")
        :format(tostring((...)), i - 1, text.quote(value)), level + 1)
    end
    parts[i + 1] = "$" .. #value .. "\r\n" .. value .. "\r\n"
  end
  return table.concat(parts)
end

-- ---- one connection ------------------------------------------------------------------------------

-- socket, reader
-- owed: replies that are still to come
-- is_lost: nothing more can be said on it
-- is_marked: it has a state that the next user must not find: another database, ...
-- is_watching: it is in MULTI, or has a WATCH
local Conn = {}
Conn.__index = Conn

local function left(deadline)
  return math.max(deadline - now(), 0)
end

local function lose(conn, why)
  conn.is_lost = true
  return nil, why
end

-- What comes next: true and a value, or true, nil and the server's error; nil and why nothing comes.
function Conn:next(deadline)
  while true do
    local is_whole, value, err = self.reader:next()
    if is_whole ~= false then return is_whole, value, err end
    local data, why = self.socket:recv(RECEIVE, left(deadline))
    if not data then return nil, why end
    self.reader:feed(data)
  end
end

-- The next reply: its value, or nil and the error.
function Conn:reply(deadline)
  local is_whole, value, err = self:next(deadline)
  if not is_whole then return lose(self, value) end
  self.owed = self.owed - 1
  return value, err
end

-- Sends commands, `count` of them, whose replies are to be taken by `reply`.
function Conn:send(commands, count, deadline)
  if self.is_lost then return nil, "closed" end
  self.owed = self.owed + count
  local ok, why = self.socket:send(commands, left(deadline))
  if not ok then return lose(self, why) end
  return true
end

function Conn:is_usable()
  local is_ours = self.is_marked or self.is_watching or self.owed > 0
  return not is_ours and not self.is_lost and self.socket:is_quiet()
end

-- At once: what may still come of a reply is not waited for.
function Conn:close()
  self.is_lost = true
  self.socket:reset()
end

-- Closed unless it has become usable.
local Opening = {}

function Opening:__close()
  if not self.is_open then self.conn:close() end
end

-- The reply "OK" to everything that makes the connection ours.
local function introduce(conn, opts, deadline)
  local first = {}
  if opts.password then
    first[1] = opts.user and pack(1, "AUTH", opts.user, opts.password) or pack(1, "AUTH", opts.password)
  end
  if opts.name then first[#first + 1] = pack(1, "CLIENT", "SETNAME", opts.name) end
  if opts.db ~= 0 then first[#first + 1] = pack(1, "SELECT", opts.db) end
  if #first == 0 then return true end
  local ok, err = conn:send(table.concat(first), #first, deadline)
  for _ = 1, ok and #first or 0 do
    ok, err = conn:reply(deadline)
    if not ok then return nil, err end
  end
  return ok, err
end

-- A connection, or nil and why there is none.
local function open(opts)
  local deadline = now() + opts.connect_timeout
  local socket, err = core.connect(opts.host, opts.port, opts.connect_timeout)
  if not socket then return nil, err end
  local conn = setmetatable({
    socket = socket, reader = core.redis_reader(opts.max_reply), owed = 0, is_lost = false, is_marked = false,
    is_watching = false,
  }, Conn)
  local opening <close> = setmetatable({conn = conn, is_open = false}, Opening)
  local ok, why = introduce(conn, opts, deadline)
  if not ok then return nil, why end
  opening.is_open = true
  return conn
end

-- ---- the client ----------------------------------------------------------------------------------

-- Commands that leave something behind on their connection, and those that need one of their own.
local MARKING = {SELECT = true, AUTH = true, CLIENT = true, RESET = true}
local WATCHING = {MULTI = true, WATCH = true, UNWATCH = true, EXEC = false, DISCARD = false} -- and whether it then is
local FOREIGN = {SUBSCRIBE = true, PSUBSCRIBE = true, SSUBSCRIBE = true, MONITOR = true, SYNC = true, PSYNC = true,
  HELLO = true}

---A client of one Redis server. Every command is a method: `r:get(key)`, `r:hset(key, field, value)`,
---`r:xadd(...)`, in small letters. Arguments are texts and numbers. A reply is a text, an integer, nil (there is
---none) or a list, in which a missing item is a hole and `n` the length; a refusal is nil and an error with `code`.
---`"timeout"`, `"closed"`, `"busy"` (all connections are in use), `"too_large"` and `"connection refused"` are texts.
---@class neap.Redis
---@field package pool table|false false: it has a connection pinned
---@field package conn table|false
---@field package timeout number
---@field package opts table
local Redis = {}
local meta = {__name = "neap.Redis"}

-- Not on a pool: the next command would go elsewhere.
local function check_place(self, name, level)
  if FOREIGN[name] then
    error(("redis: %s cannot be called; for messages there are r:subscribe and r:psubscribe"):format(name), level + 1)
  end
  if not self.conn and (MARKING[name] and name ~= "CLIENT" or WATCHING[name] ~= nil) then
    error(("redis: %s means one connection: call it within r:pinned(function(c) ... end)"):format(name), level + 1)
  end
end

local function call(conn, name, command, deadline)
  if MARKING[name] then conn.is_marked = true end
  if WATCHING[name] ~= nil then conn.is_watching = WATCHING[name] end
  local ok, why = conn:send(command, 1, deadline)
  if not ok then return nil, why end
  return conn:reply(deadline)
end

local function run(self, name, command)
  local deadline = now() + self.timeout
  if self.conn then return call(self.conn, name, command, deadline) end
  local lease <close>, err = self.pool:acquire(self.timeout)
  if not lease then return nil, err end
  return call(lease.conn, name, command, deadline)
end

local function command_method(name)
  local upper = name:upper()
  return function(self, ...)
    check_place(self, upper, 2)
    return run(self, upper, pack(2, upper, ...))
  end
end

-- Methods of commands are made when they are first used.
function meta:__index(name)
  local method = Redis[name]
  if not method and type(name) == "string" and name:find("^%l[%l%d]*$") then
    method = command_method(name)
    Redis[name] = method
  end
  return method
end

---Calls any command, in the words that Redis itself uses.
---```lua
---local r = redis.connect("redis://127.0.0.1:1", {timeout = "100ms"})
---local reply, err = r:command("OBJECT", "ENCODING", "visits") -- here: no server
---assert(reply == nil and err)
---r:close()
---```
---@async
---@param name string
---@param ... string|number
---@return any reply
---@return neap.RedisError|string|nil err
function Redis:command(name, ...)
  if type(name) ~= "string" then error("redis: a command begins with its name", 2) end
  local upper = name:upper()
  check_place(self, upper, 2)
  return run(self, upper, pack(2, upper, ...))
end

---The same client, with another limit of time: for commands that wait, such as BLPOP.
---```lua
---local r = redis.connect("redis://127.0.0.1:1")
---local item, err = r:within("30s"):blpop("queue", 25)
---assert(item == nil and err)
---r:close()
---```
---@param timeout number|string for each command, waiting for a connection included
---@return neap.Redis
function Redis:within(timeout)
  local seconds = options.check({timeout = timeout}, {timeout = "duration"}, "r:within", 2).timeout
  return setmetatable({pool = self.pool, conn = self.conn, opts = self.opts, timeout = seconds}, meta)
end

-- ---- several commands at once ---------------------------------------------------------------------

---What a function of `r:pipeline` calls its commands on: they are sent when it has returned. Each gives its place in
---the list of results.
---@class neap.RedisPipeline
---@field package commands string[]
---@field command fun(self: neap.RedisPipeline, name: string, ...: string|number): integer any command, as with r:command
local pipeline_methods = {}
local pipeline_meta = {__name = "neap.RedisPipeline"}

-- Only for tail calls of methods, whose caller is then at level 2.
local function queue(self, name, ...)
  local upper = name:upper()
  if FOREIGN[upper] or MARKING[upper] or WATCHING[upper] ~= nil then
    error(("redis: %s has no place in a pipeline ({atomic = true} makes it a transaction)"):format(upper), 2)
  end
  local commands = self.commands
  commands[#commands + 1] = pack(2, upper, ...)
  return #commands
end

function pipeline_meta:__index(name)
  local method = pipeline_methods[name]
  if not method and type(name) == "string" and name:find("^%l[%l%d]*$") then
    method = function(p, ...) return queue(p, name, ...) end
    pipeline_methods[name] = method
  end
  return method
end

pipeline_methods.command = queue

-- Every reply has its place, also one that is nil; errors are items of their own.
local function take_replies(conn, count, deadline)
  local results = {n = count}
  for i = 1, count do
    local value, err = conn:reply(deadline)
    if conn.is_lost then return nil, err end
    results[i] = err or value
  end
  return results
end

local function exchange(conn, commands, deadline)
  local ok, err = conn:send(table.concat(commands), #commands, deadline)
  if not ok then return nil, err end
  return take_replies(conn, #commands, deadline)
end

-- MULTI ... EXEC: what counts is the reply to EXEC, or the first command that was refused.
local function exchange_atomic(conn, commands, deadline)
  local all = table.move(commands, 1, #commands, 2, {pack(1, "MULTI")})
  all[#all + 1] = pack(1, "EXEC")
  local results, err = exchange(conn, all, deadline)
  if not results then return nil, err end
  conn.is_watching = false
  local last = results[#all]
  if last == nil then return nil, "changed" end
  if getmetatable(last) ~= RedisError then
    last.n = #commands
    return last
  end
  for i = 1, #all do
    if getmetatable(results[i]) == RedisError then return nil, results[i] end
  end
end

---Sends many commands at once and gives all their results: one round trip. Nothing is sent before the function has
---returned. With `atomic` they are a transaction (MULTI, EXEC): nobody's command comes between them.
---```lua
---local r = redis.connect("redis://127.0.0.1:1")
---local results, err = r:pipeline(function(p)
---  p:incr("visits")
---  p:expire("visits", 60)
---end, {atomic = true})
---if results then print(results[1], results[2]) else print(err) end
---r:close()
---```
---@async
---@param fn fun(p: neap.RedisPipeline)
---@param opts? {atomic: boolean?}
---@return any[]? results one for each command, `n` of them; an error is an item that has `code`
---@return neap.RedisError|string|nil err with `atomic` also "changed" (what was watched), or why a command was refused
function Redis:pipeline(fn, opts)
  opts = options.check(opts, {atomic = "boolean"}, "r:pipeline", 2)
  local p = setmetatable({commands = {}}, pipeline_meta)
  fn(p)
  if #p.commands == 0 then return {n = 0} end
  local all_together = opts.atomic and exchange_atomic or exchange
  local deadline = now() + self.timeout
  if self.conn then return all_together(self.conn, p.commands, deadline) end
  local lease <close>, err = self.pool:acquire(self.timeout)
  if not lease then return nil, err end
  return all_together(lease.conn, p.commands, deadline)
end

---Calls a function with a client that has one connection for itself: for WATCH, MULTI and whatever else needs the
---same one. Afterwards it goes back to the pool, or is closed when something of it is left (a WATCH, another database).
---```lua
---local r = redis.connect("redis://127.0.0.1:1")
---local results, err = r:pinned(function(c)
---  local ok, why = c:watch("stock")
---  if not ok then return nil, why end
---  local stock = tonumber(c:get("stock")) or 0
---  if stock < 1 then return nil, "sold out" end
---  return c:pipeline(function(p) p:set("stock", stock - 1) end, {atomic = true}) -- nil, "changed": try again
---end)
---if not results then print(err) end
---r:close()
---```
---@async
---@param fn async fun(c: neap.Redis): ...
---@return any ... what it returns; nil and why when there is no connection
function Redis:pinned(fn)
  if self.conn then return fn(self) end
  local lease <close>, err = self.pool:acquire(self.timeout)
  if not lease then return nil, err end
  return fn(setmetatable({pool = false, conn = lease.conn, opts = self.opts, timeout = self.timeout}, meta))
end

-- ---- messages ------------------------------------------------------------------------------------

-- A tail call of a method: its level is that of the method.
local function subscribe(self, kind, ...)
  if select("#", ...) == 0 then error("redis: nothing to subscribe to", 2) end
  local opts = self.opts
  local command = pack(2, kind, ...)
  return redis_sub.open(function() return open(opts) end, command, {...}, kind == "PSUBSCRIBE", pool.where(2))
end

---Subscribes to channels, on a connection of its own, and iterates over what is published. When the connection is lost
---it comes again by itself; each channel then gives nil once instead of a message, which means: some may be missing.
---Leaving the loop ends it.
---```lua
---local r = redis.connect("redis://127.0.0.1:1")
---local function listen()
---  for channel, message in r:subscribe("news", "weather") do
---    if message then print(channel, message) else print(channel, "(some may be missing)") end
---  end
---end
---r:close()
---```
---@async
---@param ... string channels
---@return (async fun(): string?, string?)? next channel and message; nil when the server refuses
---@return any err why, then
function Redis:subscribe(...)
  return subscribe(self, "SUBSCRIBE", ...)
end

---As r:subscribe, for patterns such as `"news.*"`; the loop gets channel, message, pattern (with a nil for a message
---the channel is the pattern).
---```lua
---local r = redis.connect("redis://127.0.0.1:1")
---local function listen()
---  for channel, message, pattern in r:psubscribe("news.*") do print(pattern, channel, message) end
---end
---r:close()
---```
---@async
---@param ... string patterns
---@return (async fun(): string?, string?, string?)? next
---@return any err
function Redis:psubscribe(...)
  return subscribe(self, "PSUBSCRIBE", ...)
end

---How its pool is doing.
---```lua
---local r <close> = redis.connect("redis://127.0.0.1:1")
---assert(r:stats().open == 0)
---```
---@return {open: integer, free: integer, waiting: integer, max: integer}
function Redis:stats()
  return self.pool:stats()
end

---Closes its connections. Commands that are under way end first.
---```lua
---local r = redis.connect("redis://127.0.0.1:1")
---r:close()
---local _, err = r:ping()
---assert(err == "closed")
---```
function Redis:close()
  if self.pool then self.pool:close() end
end

meta.__close = Redis.close

-- ---- connecting ----------------------------------------------------------------------------------

local OPTIONS = {
  url = "string", host = "string", port = "number", user = "string", password = "string", db = "number",
  name = "string", timeout = "duration", connect_timeout = "duration", max = "number", idle = "duration",
  max_reply = "size",
}

local function unescape(s)
  return s and (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- redis://[[user]:password@]host[:port][/db] or unix:/path into `opts`; raises for what is none.
local function read_url(url, opts, level)
  if url:find("^rediss:") then
    error("redis.connect: rediss:// is Redis over TLS, which this client does not have: use redis:// through a tunnel, "
      .. "or a unix socket", level + 1)
  end
  if url:find("^unix:") then
    opts.host = opts.host or url
    return
  end
  local place = url:match("^redis://([^?#]*)$")
  if not place then
    error(("redis.connect: not a URL like redis://:password@127.0.0.1:6379/0 or unix:/path: %s"):format(
      text.quote((url:gsub("//.*@", "//...@")))), level + 1)
  end
  local secrets, rest = place:match("^(.*)@(.*)$")
  local host, db = (rest or place):match("^([^/]*)/?(%d*)$")
  if not host then error("redis.connect: behind the host comes the number of a database", level + 1) end
  local name, port = host:match("^%[(.*)%]:?(%d*)$")
  if not name then name, port = host:match("^([^:]*):?(%d*)$") end
  if not name then error("redis.connect: an IPv6 address stands in brackets", level + 1) end
  local user, password = (secrets or ""):match("^([^:]*):?(.*)$")
  opts.host = opts.host or name ~= "" and name or nil
  opts.port, opts.db = opts.port or tonumber(port), opts.db or tonumber(db)
  opts.user = opts.user or user ~= "" and unescape(user) or nil
  opts.password = opts.password or password ~= "" and unescape(password) or nil
end

local function check_integer(opts, key, least, most, level)
  local value = opts[key]
  if math.type(value) ~= "integer" or value < least or value > most then
    error(("redis.connect: %s is a whole number from %d to %d"):format(key, least, most), level + 1)
  end
end

---A client. It connects when the first command is called, so a server that is away is no error here: `r:ping()` tells.
---While the server is away commands give nil and why at once, and an attempt to connect is made after a time that
---grows from 50 ms to 2 s. After a lost connection commands are never sent again by themselves.
---```lua
---local r <close> = redis.connect("redis://127.0.0.1:6379/0", {max = 20, timeout = "2s"})
---local ok, err = r:set("greeting", "hello", "EX", 60)
---if ok then print(r:get("greeting")) else print("no Redis: " .. tostring(err)) end
---```
---@param url string|table|nil `redis://[[user]:password@]host[:port][/db]`, `unix:/path`, or the options; default: 127.0.0.1
---@param opts {host: string?, port: integer?, user: string?, password: string?, db: integer?, name: string?, timeout: number|string?, connect_timeout: number|string?, max: integer?, idle: number|string?, max_reply: integer|string?}? name: shown in CLIENT LIST; timeout: of a command, with the wait for a connection (default 5 s); connect_timeout: (5 s); max: connections of this worker (10); idle: unused ones are closed after (60 s); max_reply: size of one reply ("64MB")
---@return neap.Redis
function redis.connect(url, opts)
  if type(url) == "table" then url, opts = nil, url end
  opts = options.check(opts, OPTIONS, "redis.connect", 2)
  url = url or opts.url
  if url ~= nil and type(url) ~= "string" then error("redis.connect takes a URL or a table of options", 2) end
  if url then read_url(url, opts, 2) end
  opts.host, opts.port, opts.db = opts.host or "127.0.0.1", opts.port or PORT, opts.db or 0
  check_integer(opts, "port", 1, 65535, 2)
  check_integer(opts, "db", 0, 1000000, 2)
  if opts.max then check_integer(opts, "max", 1, 10000, 2) end
  opts.connect_timeout, opts.max_reply = opts.connect_timeout or CONNECT_TIMEOUT, opts.max_reply or MAX_REPLY
  local driver = {
    name = "redis", open = function() return open(opts) end, close = Conn.close, is_usable = Conn.is_usable,
  }
  return setmetatable({
    pool = pool.new(driver, opts, pool.where(2)), conn = false, opts = opts, timeout = opts.timeout or TIMEOUT,
  }, meta)
end

return redis
