-- A real PostgreSQL of its own, on a UNIX socket in a folder of its own. It refuses to run as root, so there it runs as the
-- user that its package made.
--
--   local peer <close> = postgres.shared()     -- the one of this run, with a database of our own
--   local peer <close> = postgres.start()      -- or pending, when postgres.is_missing()
--   peer.dsn  peer:stop()  peer:start()
--   peer.ca                                 -- its certificate; nil without openssl, and then it has no TLS
-- needs: postgresql
local certificate = require "spec.support.certificate"
local command = require "spec.support.command"
local core = require "neap.core"
local json = require "neap.json"
local server = require "spec.support.server"

local postgres = {}

local READY_SECONDS = 60

local function output(text)
  local pipe <close> = assert(io.popen(text))
  return pipe:read("l")
end

-- What stands before a command so that it is not root that runs it; nil when that cannot be had.
local function as_user()
  if output("id -u") ~= "0" then return "" end
  if command.exists "runuser" and os.execute("id postgres >/dev/null 2>&1") then return "runuser -u postgres -- " end
end

local function bin()
  return output("ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1")
end

---@return boolean
function postgres.is_missing()
  return not core.pg_open or not bin() or not as_user()
end

---@class spec.Postgres
---@field dsn string
---@field dir string
---@field port integer
---@field url string the same over TCP, without TLS
---@field ca string?
local Postgres = {}
Postgres.__index = Postgres

-- The shell command that runs it.
local function program(self)
  return ("%s%s/postgres -D '%s/data' -k '%s' -c listen_addresses=127.0.0.1 -p %d -c fsync=off -c max_connections=100 %s"):format(
    as_user(), bin(), self.dir, self.dir, self.port, self.args)
end

local function wait_until_ready(self)
  assert(server.poll(READY_SECONDS, function()
    local conn = core.pg_open(self.dsn, 5, 65536)
    if conn then conn:close() end
    return conn
  end), "PostgreSQL did not start")
end

---Starts it, again after `stop`.
---@async
function Postgres:start()
  self.process = command.start("exec " .. program(self))
  wait_until_ready(self)
end

---Stops it at once: no statement is waited for.
---@async
function Postgres:stop()
  if not self.process then return end
  os.execute(("kill -s QUIT $(head -n 1 '%s/data/postmaster.pid')"):format(self.dir))
  self.process:wait()
  self.process:__close()
  self.process = nil
end

function Postgres:__close()
  if self.is_shared then return end -- its database goes with it
  self:stop()
  os.execute(("rm -rf '%s'"):format(self.dir))
end

-- Options that make it speak TLS. It reads the key as its own user, and demands that nobody else can.
local function secure(self)
  local made = certificate.make(self.dir)
  os.execute(("chmod 600 '%s'; [ \"$(id -u)\" != 0 ] || chown postgres '%s'"):format(made.key, made.key))
  self.ca = made.cert
  return ("-c ssl=on -c ssl_cert_file='%s' -c ssl_key_file='%s'"):format(made.cert, made.key)
end

-- A cluster of files of its own, not started.
local function make()
  local dir = output("mktemp -d")
  local self = setmetatable({dir = dir, port = math.random(20000, 32000)}, Postgres)
  os.execute(("chmod 755 '%s'; [ \"$(id -u)\" != 0 ] || chown postgres '%s'"):format(dir, dir))
  local made = command.run(("cd '%s' && %s%s/initdb -D '%s/data' -U spec -A trust --no-sync -E UTF8 --locale=C"):format(
    dir, as_user(), bin(), dir))
  assert(made.code == 0, made.err)
  self.dsn = ("host=%s port=%d user=spec dbname=postgres"):format(dir, self.port)
  self.url = ("postgresql://spec@localhost:%d/postgres?sslmode=disable"):format(self.port)
  self.args = certificate.is_missing() and "" or secure(self)
  return self
end

---One of its own, which may be stopped.
---@return spec.Postgres
---@async
function postgres.start()
  local self = make()
  self:start()
  return self
end

-- ---- one for all ----

-- Runs it until the run is over: nobody else lives long enough to end it.
local GUARDED = [[
PROGRAM &
while kill -s 0 "$(cat 'RUN/pid')"; do sleep 1; done
kill -s QUIT $(head -n 1 'DIR/data/postmaster.pid')
wait
rm -rf 'DIR' "$PWD"
]]

-- The first of a run who needs it makes it; the others read where it is.
local function shared_by(run)
  local place = run .. "/postgres"
  if os.execute(("mkdir '%s' 2>/dev/null"):format(place)) then
    local self = make()
    command.start((GUARDED:gsub("%u%u%u+", {PROGRAM = program(self), RUN = run, DIR = self.dir})))
    wait_until_ready(self)
    local file <close> = assert(io.open(place .. "/new", "w"))
    file:write(json.encode {dir = self.dir, port = self.port, dsn = self.dsn, url = self.url, ca = self.ca})
    file:close()
    assert(os.rename(place .. "/new", place .. "/ready"))
  end
  local found = assert(server.poll(READY_SECONDS, function() return io.open(place .. "/ready") end), "nobody started PostgreSQL")
  local self <const> = setmetatable(json.decode(found:read("a")), Postgres)
  found:close()
  return self
end

---The one of this run, with a database for the caller alone. It cannot be stopped.
---@return spec.Postgres
---@async
function postgres.shared()
  local run = os.getenv "NEAP_TEST_RUN"
  if not run then return postgres.start() end
  local self = shared_by(run)
  local name = ("spec_%d"):format(math.random(1 << 30))
  local all <close> = require("neap.pg").connect(self.dsn)
  assert(all:exec("CREATE DATABASE " .. name))
  self.dsn = self.dsn:gsub("dbname=postgres", "dbname=" .. name)
  self.url = self.url:gsub("/postgres%?", "/" .. name .. "?")
  self.is_shared = true
  return self
end

return postgres
