-- A PostgreSQL client: a pool of connections (db/pg_conn.lua), statements (pg_runner.lua), transactions (pg_transaction.lua),
-- notifications. libpq does the talking (core/client/pg_client.c), the core watches its sockets.
local Runner = require "neap.db.pg_runner"
local core = require "neap.core"
local params = require "neap.db.pg_params"
local pg_conn = require "neap.db.pg_conn"
local pool = require "neap.db.pool"
local subscription = require "neap.db.subscription"
local transaction = require "neap.db.pg_transaction"

if not core.pg_open then
  error("neap.pg: this neap was built without libpq: install libpq-dev (Debian's name) and build it again")
end

---PostgreSQL: a pool of connections that opens them when they are needed.
---@class neap.pg
local pg = {}

local now = core.task.now
local TIMEOUT, PING_TIMEOUT, MAX_RESULT = 30, 5, 64 * 1024 * 1024
local QUIET = 30 -- seconds without a notification, then the server is asked whether it is still there

---What the server answered instead of a result.
---@class neap.PgError
---@field code string its SQLSTATE: "23505" is a unique violation, "42P01" an unknown table, "57014" cancelled, ...
---@field message string
---@field detail string?
---@field hint string?
---@field constraint string? the constraint that was violated
local PgError = core.pg_error
function PgError:__tostring()
  return ("%s (%s)%s"):format(self.message, self.code or "?", self.detail and ": " .. self.detail or "")
end

---Bytes as a parameter: for columns of type bytea. (A text is a text: UTF-8 without zero bytes.)
---```lua
---local picture = pg.bytea("\x89PNG\0")
---assert(picture.bytes == "\x89PNG\0")
---```
---@param bytes string
---@return table
pg.bytea = params.bytea

---A list as a parameter of an array type: `WHERE id = ANY($1)`. Items are texts, numbers, booleans and json.null.
---```lua
---assert(pg.array({1, 2, 3}).text == "{1,2,3}")
---```
---@param list any[]
---@return table
pg.array = params.array

-- ---- the database --------------------------------------------------------------------------------

---A database: a pool of connections to one PostgreSQL.
---@class neap.PgDatabase: neap.PgRunner
---@field package pool table
---@field package dsn string
local Database = setmetatable({__name = "neap.PgDatabase"}, {__index = Runner})
Database.__index = Database

function Database:lease_of(deadline)
  return self.pool:acquire(pg_conn.left(deadline))
end

---Runs `fn(tx)` in a transaction: all of it happens, or nothing. It is committed when `fn` returns, and rolled back when
---it raises, is cancelled, or returns nil and a reason. Inside, use `tx` instead of `db`.
---```lua
---local db <close> = pg.connect("host=127.0.0.1 port=1")
---local ok, err = db:transaction(function(tx)
---  assert(tx:exec("UPDATE account SET balance = balance - 30 WHERE name = $1", "ada"))
---  assert(tx:exec("UPDATE account SET balance = balance + 30 WHERE name = $1", "alan"))
---end)
---assert(not ok and err) -- here: no server
---```
---@async
---@param fn async fun(tx: neap.PgTransaction): ...
---@return any ... what `fn` returned, or true when that was nothing; nil when it was rolled back
---@return any err the reason that `fn` gave, or why it could not be committed
function Database:transaction(fn)
  if type(fn) ~= "function" then error("db:transaction takes a function", 2) end
  local deadline = now() + self.timeout
  local lease <close>, err = self:lease_of(deadline)
  if not lease then return nil, err end
  return transaction.run(lease, self, deadline, fn)
end

-- ---- notifications -------------------------------------------------------------------------------

local function close(conn)
  conn:close()
end

-- A name as SQL has it.
local function quoted(name)
  return '"' .. name:gsub('"', '""') .. '"'
end

-- Closed unless it is kept.
local Starting = {}

function Starting:__close()
  if not self.is_kept then self.conn:close() end
end

local function start_listening(self, channel)
  local conn, err = core.pg_open(self.dsn, self.connect_timeout, self.max_result)
  if not conn then return nil, err end
  local starting <close> = setmetatable({conn = conn, is_kept = false}, Starting)
  local ok, why = pg_conn.run(conn, "LISTEN " .. quoted(channel), now() + self.connect_timeout)
  if not ok then return nil, why end
  starting.is_kept = true
  return conn
end

local function hear(conn, topic)
  local channel, payload = conn:notification(QUIET)
  if channel then
    if topic then topic:publish(payload) end
    return true, channel, payload
  end
  if payload == "timeout" and pg_conn.run(conn, "", now() + PING_TIMEOUT) then return false end
  return nil
end

---Listens to a channel (NOTIFY), on a connection of its own, and iterates over what comes; with a topic each payload is
---published there as well. When the connection is lost it comes again by itself; the loop then gets nil once instead of
---a payload, which means: some may be missing. Leaving the loop ends it.
---```lua
---local db <close> = pg.connect("host=127.0.0.1 port=1")
---local function feed() -- as app:service("orders", feed)
---  for channel, payload in db:listen("orders", neap.topic("orders")) do
---    if not payload then print(channel, "(some may be missing)") end
---  end
---end
---```
---@async
---@param channel string
---@param topic neap.Topic?
---@return (async fun(): string?, string?)? next channel and payload; nil when the server refuses
---@return any err why, then
function Database:listen(channel, topic)
  if type(channel) ~= "string" or channel == "" or #channel > 63 then
    error("db:listen: a channel's name is 1 to 63 bytes", 2)
  end
  local source = {
    kind = "pg", names = {channel}, close = close,
    start = function() return start_listening(self, channel) end,
    hear = function(conn) return hear(conn, topic) end,
    gap = function(name) return name, nil end,
    is_refusal = function(err) return type(err) == "table" and not (err.code or ""):find("^5[37]") end,
  }
  return subscription.open(source, pool.where(2))
end

---How its pool is doing.
---```lua
---local db <close> = pg.connect("host=127.0.0.1 port=1")
---assert(db:stats().open == 0)
---```
---@return {open: integer, free: integer, waiting: integer, max: integer}
function Database:stats()
  return self.pool:stats()
end

---Closes its connections; those in use when their statement is done.
---```lua
---local db = pg.connect("host=127.0.0.1 port=1")
---db:close()
---local _, err = db:query("SELECT 1")
---assert(err == "closed")
---```
function Database:close()
  self.pool:close()
end

Database.__close = Database.close

local OPTIONS = {dsn = "string", database = "string", sslmode = "string", max_result = "size"}
local IN_DSN = {host = "host", port = "port", user = "user", password = "password", database = "dbname",
  sslmode = "sslmode"}

-- "host='...' dbname='...'" of the options.
local function dsn_of(opts)
  local words = {}
  for name, keyword in pairs(IN_DSN) do
    local value = opts[name]
    if value then words[#words + 1] = ("%s='%s'"):format(keyword, (tostring(value):gsub("[\\']", "\\%0"))) end
  end
  return table.concat(words, " ")
end

---A database. It connects when the first statement is run, so a server that is away is no error here. While it is away
---statements give nil and why at once, and an attempt to connect is made after a time that grows from 50 ms to 2 s. A
---statement that takes longer than `timeout`, or whose task is cancelled, is cancelled on the server too.
---```lua
---local db <close> = pg.connect("postgresql://ada@127.0.0.1:1/shop", {max = 20, timeout = "10s"})
---local rows, err = db:query("SELECT now() AS time")
---if rows then print(rows[1].time) else print("no PostgreSQL: " .. tostring(err)) end
---```
---@param dsn string|table|nil `postgresql://[user[:password]@]host[:port]/database`, libpq's `"host=... dbname=..."`, or the options; default: what PGHOST and its like say
---@param opts {dsn: string?, host: string?, port: integer?, user: string?, password: string?, database: string?, sslmode: string?, timeout: number|string?, connect_timeout: number|string?, max: integer?, idle: number|string?, max_result: integer|string?}? host: also the folder of a UNIX socket; timeout: of a statement, with the wait for a connection (default 30 s); connect_timeout: (5 s); max: connections of this worker (10); idle: unused ones are closed after (60 s); max_result: what the rows of one query may take ("64MB")
---@return neap.PgDatabase
function pg.connect(dsn, opts)
  if type(dsn) == "table" then dsn, opts = nil, dsn end
  opts = pool.options(opts, OPTIONS, "pg.connect", 2)
  local given = dsn_of(opts)
  dsn = dsn or opts.dsn
  if dsn and given ~= "" then -- which may have a password: not for the message
    error("pg.connect: host, port, user, password, database and sslmode belong into the connection string", 2)
  end
  dsn = dsn or given
  if type(dsn) ~= "string" then error("pg.connect takes a connection string or a table of options", 2) end
  local self = setmetatable({
    dsn = dsn, timeout = opts.timeout or TIMEOUT, connect_timeout = opts.connect_timeout,
    max_result = opts.max_result or MAX_RESULT,
  }, Database)
  local driver = {
    name = "pg", close = close, is_usable = pg_conn.is_usable, recover = pg_conn.recover,
    open = function() return core.pg_open(self.dsn, self.connect_timeout, self.max_result) end,
  }
  self.pool = pool.new(driver, opts, pool.where(2))
  return self
end

return pg
