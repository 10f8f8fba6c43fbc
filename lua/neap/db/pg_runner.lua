-- Statements of PostgreSQL, on a pool's connection or on that of a transaction. Used by pg.lua and pg_transaction.lua.
local core = require "neap.core"
local json = require "neap.json"
local log = require "neap.base.own_log"
local params = require "neap.db.pg_params"
local pg_conn = require "neap.db.pg_conn"
local pool = require "neap.db.pool"

local now = core.task.now

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
    local rows, err = conn:fetch(pg_conn.left(deadline))
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
  local values, types = params.read(2, count, ...)
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
  local values, types = params.read(2, count, ...)
  local deadline = now() + self.timeout
  local lease <close>, err = start(self, deadline, sql, count > 0 and count or nil, values, types)
  if not lease then return nil, err end
  local done, why = pg_conn.finish(lease.conn, deadline)
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
  local values, types = params.read(2, count, ...)
  local lease, err = start(self, now() + self.timeout, sql, count, values, types)
  if not lease then error(err, 0) end
  local rows = setmetatable({lease = lease, batch = {}, at = 0, timeout = self.timeout, where = pool.where(2)}, Rows)
  return function() return next_row(rows) end, nil, nil, rows
end

return Runner
