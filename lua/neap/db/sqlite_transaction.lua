-- Transactions of SQLite: one connection for as long as a function runs.
local call = require "neap.db.sqlite_call"
local child = require "neap.task.child"
local task = require "neap.task"

---What the function of `db:transaction` is given: a transaction, or one within another. It ends with that function.
---@class neap.Transaction
---@field package settings neap.SqliteOptions
---@field package lease userdata
local Transaction = {__name = "neap.Transaction"}
Transaction.__index = Transaction

local transaction = {}

---As `db:exec`. SQLite undoes the whole transaction when a statement that writes is stopped in its middle, by a timeout or
---because its task was cancelled: whatever follows in it fails with the code "aborted".
---```lua
---local db <close> = sqlite.open(":memory:")
---db:transaction(function(tx)
---  tx:exec("CREATE TABLE account (name, balance)")
---  tx:exec("INSERT INTO account VALUES (?, ?)", "ada", 100)
---end)
---```
---@param sql string
---@param ... any parameters
---@return integer? changes nil when it failed
---@return integer|neap.SqliteError # the id of the last row that was inserted, or the error
---@async
function Transaction:exec(sql, ...)
  call.check_sql(sql, 2)
  local deadline = task.now() + self.settings.timeout
  local changes, last_id = call.attempt(self.settings, self.lease, deadline, 2, "exec", nil, sql, ...)
  return changes, last_id
end

---As `db:query`.
---```lua
---local db <close> = sqlite.open(":memory:")
---local one = db:transaction(function(tx) return tx:query("SELECT 1 AS one")[1].one end)
---assert(one == 1)
---```
---@param sql string
---@param ... any parameters
---@return table[]? rows nil when it failed
---@return neap.SqliteError? err
---@async
function Transaction:query(sql, ...)
  call.check_sql(sql, 2)
  local rows, err = call.collect(self.settings, self.lease, task.now() + self.settings.timeout, 2, sql, ...)
  return rows, err
end

---Iterates over rows. Unlike `db:rows` it has them all when it begins, so that the loop can change what it reads.
---```lua
---local db <close> = sqlite.open(":memory:")
---db:transaction(function(tx)
---  for row in tx:rows("SELECT 1 AS one UNION SELECT 2") do print(row.one) end
---end)
---```
---@param sql string
---@param ... any parameters
---@return fun(): table?
---@async
function Transaction:rows(sql, ...)
  call.check_sql(sql, 2)
  local rows, err = call.collect(self.settings, self.lease, task.now() + self.settings.timeout, 2, sql, ...)
  return call.each(rows, err)
end

-- Whether a function that returned this wants it undone; else what the transaction returns.
local function verdict(result, err, ...)
  if result == nil and err ~= nil then return false end
  if result == nil and err == nil then return true, true end
  return true, result, err, ...
end

-- Undoes a savepoint unless its function went well.
local Savepoint = {}

function Savepoint:__close()
  if self.is_kept then return end
  child.shielded(call.attempt, self.settings, self.lease, task.now() + self.settings.timeout, 2, "undo")
end

---A transaction within the transaction: what it did is undone alone when it fails.
---```lua
---local db <close> = sqlite.open(":memory:")
---db:transaction(function(tx)
---  tx:exec("CREATE TABLE t (n)")
---  local ok, why = tx:transaction(function(inner)
---    inner:exec("INSERT INTO t VALUES (1)")
---    return nil, "rather not"
---  end)
---  assert(not ok and why == "rather not" and #tx:query("SELECT * FROM t") == 0)
---end)
---```
---@param fn async fun(tx: neap.Transaction): ...
---@return any ... as `db:transaction`
---@async
function Transaction:transaction(fn)
  local function control(method)
    return call.attempt(self.settings, self.lease, task.now() + self.settings.timeout, 3, method)
  end
  local ok, err = control("save")
  if not ok then return nil, err end
  local savepoint <close> = setmetatable({settings = self.settings, lease = self.lease}, Savepoint)
  local results = table.pack(fn(self))
  if not verdict(table.unpack(results, 1, results.n)) then return table.unpack(results, 1, results.n) end
  ok, err = control("keep")
  if not ok then return nil, err end
  savepoint.is_kept = true
  return select(2, verdict(table.unpack(results, 1, results.n)))
end

---Runs `fn` in a transaction on a connection that nobody else has meanwhile. What is not committed is rolled back when
---the lease is given back.
---@param settings neap.SqliteOptions
---@param lease userdata
---@param level integer as in `error`, counted from the caller of this function
---@param fn async fun(tx: neap.Transaction): ...
---@return any ...
---@async
function transaction.run(settings, lease, level, fn)
  local ok, err = call.attempt(settings, lease, task.now() + settings.timeout, level + 1, "begin")
  if not ok then return nil, err end
  local results = table.pack(fn(setmetatable({settings = settings, lease = lease}, Transaction)))
  if not verdict(table.unpack(results, 1, results.n)) then return table.unpack(results, 1, results.n) end
  ok, err = call.attempt(settings, lease, task.now() + settings.timeout, level + 1, "commit")
  if not ok then return nil, err end
  return select(2, verdict(table.unpack(results, 1, results.n)))
end

return transaction
