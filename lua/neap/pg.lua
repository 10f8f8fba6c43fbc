-- A PostgreSQL client: a pool of connections, queries with parameters, transactions, notifications. libpq does the talking
-- (core/client/pg_client.c), the core watches its sockets, and here is what a user sees of it.
local core = require "neap.core"
local json = require "neap.json"
local log = require "neap.log"
local options = require "neap.options"
local pool = require "neap.pool"
local subscription = require "neap.subscription"
local text = require "neap.text"

if not core.pg_open then
  error("neap.pg: this neap was built without libpq: install libpq-dev (Debian's name) and build it again")
end

---PostgreSQL: a pool of connections that opens them when they are needed.
---@class neap.pg
local pg = {}

local now = core.task.now
local TIMEOUT, CONNECT_TIMEOUT, RECOVERY, MAX_RESULT = 30, 5, 5, 64 * 1024 * 1024
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

-- ---- parameters ----------------------------------------------------------------------------------

local Bytea = {__name = "neap.pg.bytea"}
local Array = {__name = "neap.pg.array"}

---Bytes as a parameter: for columns of type bytea. (A text is a text: UTF-8 without zero bytes.)
---```lua
---local picture = pg.bytea("\x89PNG\0")
---assert(picture.bytes == "\x89PNG\0")
---```
---@param bytes string
---@return table
function pg.bytea(bytes)
  if type(bytes) ~= "string" then error("pg.bytea takes a text", 2) end
  return setmetatable({bytes = bytes}, Bytea)
end

local function array_item(value)
  if value == nil or value == json.null then return "NULL" end
  local kind = type(value)
  if kind == "boolean" or kind == "number" then return tostring(value) end
  if kind == "string" then return '"' .. value:gsub('["\\]', "\\%0") .. '"' end
  return nil
end

---A list as a parameter of an array type: `WHERE id = ANY($1)`. Items are texts, numbers, booleans and json.null.
---```lua
---assert(pg.array({1, 2, 3}).text == "{1,2,3}")
---```
---@param list any[]
---@return table
function pg.array(list)
  if type(list) ~= "table" then error("pg.array takes a list", 2) end
  local items = {}
  for i = 1, list.n or #list do
    items[i] = array_item(list[i]) or error(("pg.array: item %d is %s"):format(i, text.quote(list[i])), 2)
  end
  return setmetatable({text = "{" .. table.concat(items, ",") .. "}"}, Array)
end

-- `values` and `types` for core's send; tables become texts. Raises at `level` of the caller.
local function parameters(level, count, ...)
  local values, types = {...}, {}
  for i = 1, count do
    local value = values[i]
    local meta = type(value) == "table" and getmetatable(value)
    if meta == Bytea then
      values[i], types[i] = value.bytes, "bytea"
    elseif meta == Array then
      values[i] = value.text
    elseif value == json.null then
      values[i] = nil
    elseif type(value) == "table" then
      local ok, encoded = pcall(json.encode, value)
      if not ok then error(("parameter %d: %s"):format(i, text.safe(encoded)), level + 1) end
      values[i], types[i] = encoded, "json"
    elseif type(value) == "function" or type(value) == "userdata" or type(value) == "thread" then
      error(("parameter %d is %s"):format(i, text.quote(value)), level + 1)
    end
  end
  return values, types
end

-- ---- one connection ------------------------------------------------------------------------------

local function left(deadline)
  return math.max(deadline - now(), 0)
end

-- The end of a statement, its rows ignored: what the server says of it, or nil and why.
local function finish(conn, deadline)
  while true do
    local rows, err = conn:fetch(left(deadline))
    if rows == false then return err or {affected = 0} end
    if not rows then return nil, err end
  end
end

-- A statement without parameters to its end.
local function run(conn, sql, deadline)
  local ok, err = conn:send(sql)
  if not ok then return nil, err end
  return finish(conn, deadline)
end

local function is_usable(conn)
  return conn:status() == "idle"
end

-- After a user left in the middle: stops what runs, rolls back what was begun. The empty statement takes the request to
-- cancel that came too late, so that the next user's statement does not.
local function recover(conn)
  local deadline = now() + RECOVERY
  if conn:status() == "busy" then
    if not conn:cancel(left(deadline)) then return false end
    finish(conn, deadline)
    if conn:status() == "idle" or conn:status() == "inside" then run(conn, "", deadline) end
  end
  if conn:status() == "inside" then run(conn, "ROLLBACK", deadline) end
  return is_usable(conn)
end

local function close(conn)
  conn:close()
end

-- ---- statements, on a pool's connection or on that of a transaction --------------------------------

---What can run statements: a database, or a transaction of one.
---@class neap.PgRunner
---@field package timeout number
---@field package max_result integer
---@field package lease_of fun(self: neap.PgRunner, deadline: number): table?, any
local Runner = {}

local function check_sql(sql, name, level)
  if type(sql) ~= "string" then error(name .. " takes SQL as a text", level + 1) end
end

-- A lease whose connection runs the statement: nil and why when it does not.
local function start(self, deadline, sql, count, values, types)
  local lease, err = self:lease_of(deadline)
  if not lease then return nil, err end
  local ok, why = lease.conn:send(sql, count, values, types)
  if ok then return lease end
  lease:close()
  return nil, why
end

-- Every row costs its table and what is in it, about.
local ROW_COST, FIELD_COST = 64, 40

local function cost(row)
  local bytes = ROW_COST
  for _, value in pairs(row) do bytes = bytes + FIELD_COST + (type(value) == "string" and #value or 0) end
  return bytes
end

local function collect(self, conn, deadline)
  local all, size = json.array {}, 0
  while true do
    local rows, err = conn:fetch(left(deadline))
    if rows == false then return all end
    if not rows then return nil, err end
    for _, row in ipairs(rows) do
      size = size + cost(row)
      all[#all + 1] = row
    end
    if size > self.max_result then return nil, "too_large" end
    core.task.yield()
  end
end

---Runs a statement and gives its rows, as tables by column name. NULL is nil, as in a table without that field;
---integers, floats, booleans and JSON are Lua's; bytea is a text of bytes; all other types (numeric, timestamps, uuid,
---arrays, ...) are the texts that PostgreSQL writes. `$1`, `$2`, ... stand for the parameters: numbers, booleans, texts,
---nil, tables (as JSON), `pg.bytea`, `pg.array`.
---```lua
---local db <close> = pg.connect("host=127.0.0.1 port=1")
---local rows, err = db:query("SELECT id, name FROM users WHERE age > $1", 17)
---if not rows then print(err) end -- here: no server
---```
---@async
---@param sql string
---@param ... any parameters
---@return table[]? rows an empty list is `[]` in JSON
---@return neap.PgError|string|nil err "timeout", "busy" (no connection became free), "too_large", or why there is no server
function Runner:query(sql, ...)
  check_sql(sql, "query", 2)
  local count = select("#", ...)
  local values, types = parameters(2, count, ...)
  local deadline = now() + self.timeout
  local lease <close>, err = start(self, deadline, sql, count, values, types)
  if not lease then return nil, err end
  return collect(self, lease.conn, deadline)
end

---Runs a statement for its effect. Without parameters the text may have several statements.
---```lua
---local db <close> = pg.connect("host=127.0.0.1 port=1")
---local count, err = db:exec("DELETE FROM users WHERE name = $1", "ada")
---assert(count == nil and err)
---```
---@async
---@param sql string
---@param ... any parameters
---@return integer? affected rows
---@return neap.PgError|string|nil err
function Runner:exec(sql, ...)
  check_sql(sql, "exec", 2)
  local count = select("#", ...)
  local values, types = parameters(2, count, ...)
  local deadline = now() + self.timeout
  local lease <close>, err = start(self, deadline, sql, count > 0 and count or nil, values, types)
  if not lease then return nil, err end
  local done, why = finish(lease.conn, deadline)
  return done and done.affected, why
end

-- Rows that are fetched while they are used. Left early, the statement is stopped.
local Rows = {__name = "neap.pg.rows"}
Rows.__index = Rows

function Rows:close()
  if self.lease then self.lease:close() end
  self.lease, self.batch = nil, {}
end

Rows.__close = Rows.close

function Rows:__gc()
  if not self.lease then return end
  log.warn("pg: rows were neither read to their end nor closed", {made = self.where})
  self.lease:discard()
end

local function next_row(self)
  while self.at == #self.batch do
    if not self.lease then return nil end
    local batch, err = self.lease.conn:fetch(self.timeout)
    if not batch then
      self:close()
      self.at = 0
      if batch == nil then error(err, 0) end
      return nil
    end
    self.batch, self.at = batch, 0
  end
  self.at = self.at + 1
  return self.batch[self.at]
end

---Iterates over rows as they come, for results of any size: the server waits while the loop body does. Raises when the
---statement fails, so a loop that ends has seen all rows. Leaving the loop stops the statement.
---```lua
---local db <close> = pg.connect("host=127.0.0.1 port=1")
---local ok, err = pcall(function()
---  for row in db:rows("SELECT n FROM generate_series(1, 1000000) AS n") do print(row.n) end
---end)
---assert(not ok and err) -- here: no server
---```
---@async
---@param sql string
---@param ... any parameters
---@return async fun(): table?
function Runner:rows(sql, ...)
  check_sql(sql, "rows", 2)
  local count = select("#", ...)
  local values, types = parameters(2, count, ...)
  local lease, err = start(self, now() + self.timeout, sql, count, values, types)
  if not lease then error(err, 0) end
  local rows = setmetatable({lease = lease, batch = {}, at = 0, timeout = self.timeout, where = pool.where(2)}, Rows)
  return function() return next_row(rows) end, nil, nil, rows
end

-- ---- transactions --------------------------------------------------------------------------------

---What `db:transaction` calls its function with: runs statements in the transaction.
---@class neap.PgTransaction: neap.PgRunner
local Transaction = setmetatable({__name = "neap.PgTransaction"}, {__index = Runner})
Transaction.__index = Transaction

-- A lease of the transaction's connection that only stops what still runs; the transaction goes on, if it can.
local Part = {}

function Part:close()
  local conn = self.conn
  self.conn = nil
  if not conn or conn:status() ~= "busy" then return end
  local deadline = now() + RECOVERY
  if conn:cancel(left(deadline)) then finish(conn, deadline) end
  if conn:status() == "busy" then conn:close() end
end

Part.__close, Part.__index = Part.close, Part

function Transaction:lease_of()
  if not self.conn then return nil, "the transaction is over" end
  return setmetatable({conn = self.conn}, Part)
end

-- Whatever happens, nobody can use it afterwards.
function Transaction:__close()
  self.conn = nil
end

local function commit(conn, deadline, ...)
  local done, err = run(conn, "COMMIT", deadline)
  if not done then return nil, err end
  if done.tag ~= "COMMIT" then return nil, "rolled back: a statement in it has failed" end
  if select("#", ...) == 0 then return true end
  return ...
end

local function end_transaction(conn, timeout, ...)
  if ... == nil and select("#", ...) > 1 then return ... end -- nil and a reason: the lease rolls back
  return commit(conn, now() + timeout, ...)
end

---A database: a pool of connections to one PostgreSQL.
---@class neap.PgDatabase: neap.PgRunner
---@field package pool table
---@field package dsn string
local Database = setmetatable({__name = "neap.PgDatabase"}, {__index = Runner})
Database.__index = Database

function Database:lease_of(deadline)
  return self.pool:acquire(left(deadline))
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
  local begun, why = run(lease.conn, "BEGIN", deadline)
  if not begun then return nil, why end
  local tx <close> = setmetatable({
    conn = lease.conn, timeout = self.timeout, max_result = self.max_result,
  }, Transaction)
  return end_transaction(lease.conn, self.timeout, fn(tx))
end

-- ---- notifications -------------------------------------------------------------------------------

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
  local ok, why = run(conn, "LISTEN " .. quoted(channel), now() + self.connect_timeout)
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
  if payload == "timeout" and run(conn, "", now() + CONNECT_TIMEOUT) then return false end
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

-- ---- the database --------------------------------------------------------------------------------

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

local OPTIONS = {
  dsn = "string", host = "string", port = "number", user = "string", password = "string", database = "string",
  sslmode = "string", timeout = "duration", connect_timeout = "duration", max = "number", idle = "duration",
  max_result = "size",
}
local IN_DSN = {host = "host", port = "port", user = "user", password = "password", database = "dbname",
  sslmode = "sslmode"}

-- "host='...' dbname='...'" of the options.
local function dsn_of(opts)
  local words = {}
  for name, keyword in pairs(IN_DSN) do
    local value = opts[name]
    if math.type(value) == "float" then error("pg.connect: a port is a whole number", 3) end
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
  opts = options.check(opts, OPTIONS, "pg.connect", 2)
  local given = dsn_of(opts)
  dsn = dsn or opts.dsn
  if dsn and given ~= "" then error("pg.connect: " .. given .. " belongs into the connection string", 2) end
  dsn = dsn or given
  if type(dsn) ~= "string" then error("pg.connect takes a connection string or a table of options", 2) end
  if opts.max and (math.type(opts.max) ~= "integer" or opts.max < 1) then error("pg.connect: max is from 1", 2) end
  local self = setmetatable({
    dsn = dsn, timeout = opts.timeout or TIMEOUT, connect_timeout = opts.connect_timeout or CONNECT_TIMEOUT,
    max_result = opts.max_result or MAX_RESULT,
  }, Database)
  local driver = {
    name = "pg", close = close, is_usable = is_usable, recover = recover,
    open = function() return core.pg_open(self.dsn, self.connect_timeout, self.max_result) end,
  }
  self.pool = pool.new(driver, opts, pool.where(2))
  return self
end

return pg
