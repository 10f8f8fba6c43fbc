-- A Redis client: a pool of connections (db/redis_conn.lua), every command as a method. Subscriptions are in redis_sub.lua.
local core = require "neap.core"
local options = require "neap.base.options"
local pool = require "neap.db.pool"
local redis_conn = require "neap.db.redis_conn"
local redis_sub = require "neap.db.redis_sub"
local text = require "neap.text"
local tls = require "neap.net.tls"

---Redis: a pool of connections that opens them when they are needed.
---@class neap.redis
local redis = {}

local RedisError = core.redis_error
local now, pack = core.task.now, redis_conn.pack
local HOST, PORT, TIMEOUT, MAX_REPLY = "127.0.0.1", 6379, 5, 64 * 1024 * 1024

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
  local function connect() return redis_conn.open(opts) end
  return redis_sub.open(connect, command, {...}, kind == "PSUBSCRIBE", pool.where(2))
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
  url = "string", db = "number", name = "string", max_reply = "size", tls = "boolean|table",
}

local function unescape(s)
  return s and (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- redis://[[user]:password@]host[:port][/db], the same with rediss:, or unix:/path into `opts`; raises for what is none.
local function read_url(url, opts, level)
  if url:find("^unix:") then
    opts.host = opts.host or url
    return
  end
  local secure, place = url:match("^redis(s?)://([^?#]*)$")
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
  if secure == "s" and not opts.tls then opts.tls = true end
  opts.host = opts.host or name ~= "" and name or nil
  opts.port, opts.db = opts.port or tonumber(port), opts.db or tonumber(db)
  opts.user = opts.user or user ~= "" and unescape(user) or nil
  opts.password = opts.password or password ~= "" and unescape(password) or nil
end

---A client. It connects when the first command is called, so a server that is away is no error here: `r:ping()` tells.
---While the server is away commands give nil and why at once, and an attempt to connect is made after a time that
---grows from 50 ms to 2 s. After a lost connection commands are never sent again by themselves.
---```lua
---local r <close> = redis.connect("redis://127.0.0.1:6379/0", {max = 20, timeout = "2s"})
---local ok, err = r:set("greeting", "hello", "EX", 60)
---if ok then print(r:get("greeting")) else print("no Redis: " .. tostring(err)) end
---```
---@param url string|table|nil `redis://[[user]:password@]host[:port][/db]`, `rediss://...` (over TLS), `unix:/path`, or the options; default: 127.0.0.1
---@param opts {host: string?, port: integer?, user: string?, password: string?, db: integer?, name: string?, timeout: number|string?, connect_timeout: number|string?, max: integer?, idle: number|string?, max_reply: integer|string?, tls: boolean|neap.TlsOptions|nil}? name: shown in CLIENT LIST; timeout: of a command, with the wait for a connection (default 5 s); connect_timeout: (5 s); max: connections of this worker (10); idle: unused ones are closed after (60 s); max_reply: size of one reply ("64MB"); tls: as of `net.connect`
---@return neap.Redis
function redis.connect(url, opts)
  if type(url) == "table" then url, opts = nil, url end
  opts = pool.options(opts, OPTIONS, "redis.connect", 2)
  url = url or opts.url
  if url ~= nil and type(url) ~= "string" then error("redis.connect takes a URL or a table of options", 2) end
  if url then read_url(url, opts, 2) end
  opts.host, opts.port, opts.db = opts.host or HOST, opts.port or PORT, opts.db or 0
  options.check_integer(opts, "port", 1, 65535, "redis.connect", 2)
  options.check_integer(opts, "db", 0, 1000000, "redis.connect", 2)
  opts.max_reply = opts.max_reply or MAX_REPLY
  opts.tls = opts.tls and tls.check(opts.tls, "redis.connect: tls", 2)
  local driver = {
    name = "redis", open = function() return redis_conn.open(opts) end, close = function(conn) conn:close() end,
    is_usable = function(conn) return conn:is_usable() end,
  }
  return setmetatable({
    pool = pool.new(driver, opts, pool.where(2)), conn = false, opts = opts, timeout = opts.timeout or TIMEOUT,
  }, meta)
end

return redis
