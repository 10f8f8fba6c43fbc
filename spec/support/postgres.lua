-- A real PostgreSQL of its own, on a UNIX socket in a folder of its own. It refuses to run as root, so there it runs as the
-- user that its package made.
--
--   local peer <close> = postgres.start()      -- or pending, when postgres.is_missing()
--   peer.dsn  peer:stop()  peer:start()
--   peer.ca                                 -- its certificate; nil without openssl, and then it has no TLS
local certificate = require "spec.support.certificate"
local command = require "spec.support.command"
local core = require "neap.core"
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

---Starts it, again after `stop`.
---@async
function Postgres:start()
  self.process = command.start(("exec %s%s/postgres -D '%s/data' -k '%s' -c listen_addresses=127.0.0.1 -p %d "
    .. "-c fsync=off -c max_connections=30 %s"):format(as_user(), bin(), self.dir, self.dir, self.port, self.args))
  assert(server.poll(READY_SECONDS, function()
    local conn = core.pg_open(self.dsn, 5, 65536)
    if conn then conn:close() end
    return conn
  end), "PostgreSQL did not start")
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

---@return spec.Postgres
---@async
function postgres.start()
  local dir = output("mktemp -d")
  local self = setmetatable({dir = dir, port = math.random(20000, 32000)}, Postgres)
  os.execute(("chmod 755 '%s'; [ \"$(id -u)\" != 0 ] || chown postgres '%s'"):format(dir, dir))
  local made = command.run(("cd '%s' && %s%s/initdb -D '%s/data' -U spec -A trust --no-sync -E UTF8 --locale=C"):format(
    dir, as_user(), bin(), dir))
  assert(made.code == 0, made.err)
  self.dsn = ("host=%s port=%d user=spec dbname=postgres"):format(dir, self.port)
  self.url = ("postgresql://spec@localhost:%d/postgres?sslmode=disable"):format(self.port)
  self.args = certificate.is_missing() and "" or secure(self)
  self:start()
  return self
end

return postgres
