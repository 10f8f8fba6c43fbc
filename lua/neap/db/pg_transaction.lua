-- Transactions of PostgreSQL: one connection for as long as a function runs. Used by pg.lua.
local Runner = require "neap.db.pg_runner"
local now = require("neap.core").task.now
local pg_conn = require "neap.db.pg_conn"

local transaction = {}

---What `db:transaction` calls its function with: runs statements in the transaction.
---@class neap.PgTransaction: neap.PgRunner
local Transaction = setmetatable({__name = "neap.PgTransaction"}, {__index = Runner})
Transaction.__index = Transaction

-- A lease of the transaction's connection that only stops what still runs; the transaction goes on, if it can.
local Part = {}

function Part:close()
  local conn = self.conn
  self.conn = nil
  if conn then pg_conn.stop(conn) end
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
  local done, err = pg_conn.run(conn, "COMMIT", deadline)
  if not done then return nil, err end
  if done.tag ~= "COMMIT" then return nil, "rolled back: a statement in it has failed" end
  if select("#", ...) == 0 then return true end
  return ...
end

local function end_transaction(conn, timeout, ...)
  if ... == nil and select("#", ...) > 1 then return ... end -- nil and a reason: the lease rolls back
  return commit(conn, now() + timeout, ...)
end

---Runs `fn` in a transaction. What is not committed is rolled back when the lease is given back.
---@async
---@param lease table
---@param db neap.PgRunner whose limits count
---@param deadline number for the beginning
---@param fn async fun(tx: neap.PgTransaction): ...
---@return any ...
function transaction.run(lease, db, deadline, fn)
  local begun, why = pg_conn.run(lease.conn, "BEGIN", deadline)
  if not begun then return nil, why end
  local tx <close> = setmetatable({conn = lease.conn, timeout = db.timeout, max_result = db.max_result}, Transaction)
  return end_transaction(lease.conn, db.timeout, fn(tx))
end

return transaction
