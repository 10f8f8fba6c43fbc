-- SQLite. A thread of the pool does the work (core/client/sqlite_*.c), by one connection that writes and several that
-- read; here is who gets which.
local call = require "neap.db.sqlite_call"
local core = require "neap.core"
local log = require "neap.base.own_log"
local options = require "neap.base.options"
local route = require "neap.app.route"
local task = require "neap.task"
local transaction = require "neap.db.sqlite_transaction"

if not core.sqlite then
  error("this neap was built without SQLite: install libsqlite3-dev (Debian's name) and build it again", 2)
end

---@class neap.sqlite
local sqlite = {}

---How a database is used. Every statement has `timeout` for everything: a free connection, the lock, the work.
---@class neap.SqliteOptions
---@field timeout (number|string)? of a statement, in seconds or "5s"; default 30 s
---@field busy_timeout (number|string)? how long to try while another worker or process has the lock; default 5 s
---@field limit (integer|string)? what the rows of one result may take in memory; default "64MB"
---@field readers integer? connections for reading, per worker; default 4
---@field statements integer? kept prepared per connection; default 100
---@field readonly boolean? the file must exist and is not changed
---@field durable boolean? a commit survives a power cut, too, for an fsync each; default: it survives a crash of neap
local DEFAULTS = {
  timeout = 30, busy_timeout = 5, limit = 64 * 1024 * 1024, readers = 4, statements = 100,
  readonly = false, durable = false,
}
local OPTIONS = {
  timeout = "duration", busy_timeout = "duration", limit = "size", readers = "number", statements = "number",
  readonly = "boolean", durable = "boolean",
}
local VIEW_OPTIONS = {timeout = "duration", busy_timeout = "duration", limit = "size"}

---A database file, as this worker uses it: one connection that writes, and some that read meanwhile.
---@class neap.Database
---@field package settings neap.SqliteOptions
---@field package writer userdata pool of one connection
---@field package readers userdata pool; the same when all is in memory
---@field package where string? where it was opened; nil for a view of another
local Database = {__name = "neap.Database"}
Database.__index = Database

-- ---- opening and closing ----

-- What is closed unless its user gets it: a cancel, too, leaves that way.
local Opening = {}

function Opening:__close()
  if self.unused then self.unused:close() end
end

local function settings_of(opts, level)
  local settings = options.check(opts, OPTIONS, "sqlite.open", level + 1)
  for name, default in pairs(DEFAULTS) do
    if settings[name] == nil then settings[name] = default end
  end
  for _, name in ipairs {"readers", "statements"} do
    local count = math.tointeger(settings[name])
    if not count or count < 1 or count > 1000 then
      error(("sqlite.open: option %s: a number from 1 to 1000"):format(name), level + 1)
    end
  end
  return settings
end

local function open_pool(path, settings, size, is_reader)
  return core.sqlite.pool(path, size, settings.statements, settings.limit,
    {reader = is_reader, readonly = settings.readonly, durable = settings.durable})
end

-- Whether several connections to it would see the same.
local function is_shared(path)
  return path ~= "" and path ~= ":memory:"
end

---Opens a database; makes the file when there is none. The file is in WAL mode afterwards, and foreign keys are
---enforced. Several workers, and other programs, may have it open at the same time.
---```lua
---local db <close> = assert(sqlite.open(":memory:"))
---db:exec("CREATE TABLE note (id INTEGER PRIMARY KEY, text)")
---local _, id = db:exec("INSERT INTO note (text) VALUES (?)", "buy milk")
---assert(db:query("SELECT text FROM note WHERE id = :id", {id = id})[1].text == "buy milk")
---```
---@param path string of the file; ":memory:" for one that ends with its database, seen by this worker only
---@param opts neap.SqliteOptions?
---@return neap.Database? db nil when it cannot be opened
---@return neap.SqliteError? err
---@async
function sqlite.open(path, opts)
  if type(path) ~= "string" or path:find("\0", 1, true) then error("sqlite.open: the path is a string", 2) end
  local settings = settings_of(opts, 2)
  local writer = open_pool(path, settings, 1, false)
  local readers = is_shared(path) and open_pool(path, settings, settings.readers, true) or writer
  local db = setmetatable({settings = settings, writer = writer, readers = readers}, Database)
  local opening <close> = setmetatable({unused = db}, Opening)
  local ok, err = db:exec("SELECT 1")
  if not ok then return nil, err end
  opening.unused = nil
  db.where = route.place(2)
  return db
end

---Text for a column of type BLOB: bytes as they are. What is read from one is a string again.
---```lua
---local db <close> = sqlite.open(":memory:")
---assert(db:query("SELECT typeof(?) AS type", sqlite.blob("\0\1"))[1].type == "blob")
---```
---@param bytes string
---@return userdata
function sqlite.blob(bytes)
  if type(bytes) ~= "string" then error("sqlite.blob takes a string", 2) end
  return core.sqlite.blob(bytes)
end

---Closes the connections: free ones now, the others when what they do has ended. Later calls give nil, "closed".
---```lua
---local db = sqlite.open(":memory:")
---db:close()
---local rows, err = db:query("SELECT 1")
---assert(not rows and err.code == "closed")
---```
function Database:close()
  self.where = nil
  self.writer:close()
  self.readers:close()
end

Database.__close = Database.close

function Database:__gc()
  if self.where and task.self() then -- not at the end of the worker, which closes what is left
    log.warn("a database was never closed, and is collected now", {opened = self.where})
  end
end

---The same database with other limits.
---```lua
---local db <close> = sqlite.open(":memory:")
---local rows, err = db:with{limit = "1KB"}:query("SELECT hex(zeroblob(1000)) AS hex")
---assert(not rows and err.code == "too_large")
---```
---@param opts {timeout: (number|string)?, busy_timeout: (number|string)?, limit: (integer|string)?}
---@return neap.Database
function Database:with(opts)
  local settings = options.check(opts, VIEW_OPTIONS, "db:with", 2)
  return setmetatable({
    settings = setmetatable(settings, {__index = self.settings}), writer = self.writer, readers = self.readers,
  }, Database)
end

-- ---- statements ----

local function acquire(pool, deadline, level)
  local lease, code = pool:acquire(math.max(deadline - task.now(), 0))
  if lease then return lease end
  return nil, call.failure(level + 1, code)
end

---Runs a statement, or several that are separated by semicolons and happen all or not at all. Parameters are `?` with
---values, or `:name` with one table. nil and `json.null` are NULL, booleans 1 and 0, texts TEXT, `sqlite.blob(s)` a
---BLOB; for tables store `json.encode(t)`. Raises when parameters and statement do not fit.
---```lua
---local db <close> = sqlite.open(":memory:")
---db:exec("CREATE TABLE user (id INTEGER PRIMARY KEY, name TEXT UNIQUE, is_admin INT)")
---local changes, id = db:exec("INSERT INTO user (name, is_admin) VALUES (?, ?)", "ada", true)
---assert(changes == 1 and id == 1)
---local ok, err = db:exec("INSERT INTO user (name) VALUES (:name)", {name = "ada"})
---assert(not ok and err.code == "constraint" and err.constraint == "unique")
---```
---@param sql string
---@param ... any parameters
---@return integer? changes rows inserted, updated or deleted; nil when it failed
---@return integer|neap.SqliteError # the id of the last row that was inserted by this connection, or the error
---@async
function Database:exec(sql, ...)
  call.check_sql(sql, 2)
  local deadline = task.now() + self.settings.timeout
  local lease <close>, err = acquire(self.writer, deadline, 2)
  if not lease then return nil, err end
  return call.attempt(self.settings, lease, deadline, 2, "exec", nil, sql, ...)
end

local function query_by(self, pool, deadline, level, sql, ...)
  local lease <close>, err = acquire(pool, deadline, level + 1)
  if not lease then return nil, err end
  return call.collect(self.settings, lease, deadline, level + 1, sql, ...)
end

---All rows of one statement, each a table by column name; NULL is absent. Statements that write and return rows
---(`INSERT ... RETURNING`) are welcome, too.
---```lua
---local db <close> = sqlite.open(":memory:")
---local rows = db:query("SELECT 'ada' AS name, 36 AS age UNION SELECT 'alan', NULL")
---assert(#rows == 2 and rows[1].age == 36 and rows[2].age == nil)
---```
---@param sql string
---@param ... any parameters
---@return table[]? rows `[]` in JSON when there are none; nil when it failed
---@return neap.SqliteError? err
---@async
function Database:query(sql, ...)
  call.check_sql(sql, 2)
  local deadline = task.now() + self.settings.timeout
  local rows, err = query_by(self, self.readers, deadline, 2, sql, ...)
  if rows or err.code ~= "writes" then return rows, err end
  rows, err = query_by(self, self.writer, deadline, 2, sql, ...)
  return rows, err
end

-- Iterates over batches: `rows` is the first, and when there are more, `fetch` gets the next.
local function stream(rows, has_more, fetch)
  local at = 0
  return function()
    at = at + 1
    while rows[at] == nil and has_more do
      rows, at = {}, 1
      has_more = fetch(rows)
    end
    return rows[at]
  end
end

---Iterates over the rows of a statement that reads, without having all of them in memory. It sees the database as it
---was at the beginning, and has one of the readers for itself until the loop is left. Raises when something fails.
---```lua
---local db <close> = sqlite.open(":memory:")
---db:exec("CREATE TABLE n (n); INSERT INTO n VALUES (1), (2), (3)")
---local sum = 0
---for row in db:rows("SELECT n FROM n WHERE n > ?", 1) do sum = sum + row.n end
---assert(sum == 5)
---```
---@param sql string
---@param ... any parameters
---@return async fun(): table?
---@async
function Database:rows(sql, ...)
  call.check_sql(sql, 2)
  local settings = self.settings
  local deadline = task.now() + settings.timeout
  if self.readers == self.writer then -- the loop may need it
    local rows, err = query_by(self, self.writer, deadline, 2, sql, ...)
    return call.each(rows, err)
  end
  local lease, err = acquire(self.readers, deadline, 2)
  if not lease then error(err, 0) end
  local opening <close> = setmetatable({unused = lease}, Opening)
  local first = {}
  local has_more
  has_more, err = call.attempt(settings, lease, deadline, 2, "rows", first, sql, ...)
  if has_more == nil then error(err, 0) end
  opening.unused = nil -- from here on the loop has it
  return stream(first, has_more, function(rows)
    local more, problem = call.attempt(settings, lease, task.now() + settings.timeout, 3, "more", rows)
    if more == nil then error(problem, 0) end
    return more
  end), nil, nil, lease
end

---Runs `fn(tx)` in a transaction that may write: all of it happens, or nothing. It is committed when `fn` returns, and
---rolled back when it raises, is cancelled, or returns nil and a reason. Inside, use `tx` instead of `db`; nobody else
---writes meanwhile, so be quick.
---```lua
---local db <close> = sqlite.open(":memory:")
---db:exec("CREATE TABLE account (name, balance); INSERT INTO account VALUES ('ada', 100), ('alan', 0)")
---assert(db:transaction(function(tx)
---  assert(tx:exec("UPDATE account SET balance = balance - 30 WHERE name = 'ada'"))
---  assert(tx:exec("UPDATE account SET balance = balance + 30 WHERE name = 'alan'"))
---end))
---assert(db:query("SELECT balance FROM account WHERE name = 'alan'")[1].balance == 30)
---```
---@param fn async fun(tx: neap.Transaction): ...
---@return any ... what `fn` returned, or true when that was nothing; nil when it was rolled back
---@return any err the reason that `fn` gave, or a neap.SqliteError
---@async
function Database:transaction(fn)
  if type(fn) ~= "function" then error("db:transaction takes a function", 2) end
  local lease <close>, err = acquire(self.writer, task.now() + self.settings.timeout, 2)
  if not lease then return nil, err end
  return transaction.run(self.settings, lease, 2, fn)
end

---Brings the schema up to date: runs the steps that this database has not had yet, all or none of them. Their number is
---kept in `PRAGMA user_version`, so new steps go to the end of the list and old ones stay as they are.
---```lua
---local db <close> = sqlite.open(":memory:")
---local version = assert(db:migrate{
---  "CREATE TABLE note (id INTEGER PRIMARY KEY, text)",
---  function(tx) assert(tx:exec("ALTER TABLE note ADD COLUMN is_done INT NOT NULL DEFAULT 0")) end,
---})
---assert(version == 2)
---```
---@param steps (string|async fun(tx: neap.Transaction))[] SQL, or functions
---@return integer? version of the schema now
---@return neap.SqliteError|string? err
---@async
function Database:migrate(steps)
  if type(steps) ~= "table" then error("db:migrate takes a list of steps", 2) end
  local reached, err = self:transaction(function(tx)
    local version = tx:query("PRAGMA user_version")[1].user_version
    if version > #steps then
      return nil, ("the database has version %d, this program knows only %d"):format(version, #steps)
    end
    for i = version + 1, #steps do
      if type(steps[i]) == "function" then
        steps[i](tx)
      else
        local ok, why = tx:exec(steps[i])
        if not ok then return nil, why end
      end
    end
    assert(tx:exec(("PRAGMA user_version = %d"):format(#steps)))
    return #steps
  end)
  return reached, err
end

return sqlite
