-- A real Redis of its own, on a port that nobody else has; nothing is kept on disk.
--
--   local peer <close> = redis.start()      -- or pending, when redis.is_missing()
--   peer.url  peer:stop()  peer:start()  peer:signal("STOP")
--   redis.start_tls()                       -- listens for TLS as well: peer.tls_url  peer.ca
-- needs: redis-server
local certificate = require "spec.support.certificate"
local command = require "spec.support.command"
local core = require "neap.core"
local server = require "spec.support.server"

local redis = {}

local READY_SECONDS, END_SECONDS = 20, 10

---@class spec.Redis
---@field url string
---@field port integer
---@field path string of its UNIX socket
---@field tls_url string?
---@field ca string? the file with its certificate
---@field dir string? its own folder
local Redis = {}
Redis.__index = Redis

---@return boolean
function redis.is_missing()
  return not core.redis_reader or not command.exists "redis-server"
end

local function ask(port)
  local socket <close> = core.connect("127.0.0.1", port, 1)
  if not socket then return false end
  socket:send("PING\r\n")
  return socket:recv(7, 1) == "+PONG\r\n"
end

---Starts it, again after `stop`.
---@async
function Redis:start()
  self.process = command.start(("exec redis-server --port %d --bind 127.0.0.1 --unixsocket '%s' --save '' --appendonly no "
    .. "--dir /tmp %s"):format(self.port, self.path, self.args))
  assert(server.poll(READY_SECONDS, function() return ask(self.port) end), "redis-server did not start")
end

---@param name string "STOP", "CONT", ...
function Redis:signal(name)
  local file <close> = assert(io.open(self.process.dir .. "/pid"))
  os.execute(("kill -s %s %d"):format(name, file:read("n")))
end

---Kills it: no connection is ended politely.
---@async
function Redis:stop()
  if not self.process then return end
  self.process:__close()
  self.process = nil
  server.poll(END_SECONDS, function() return not ask(self.port) end)
end

function Redis:__close()
  self:stop()
  if self.dir then os.execute(("rm -r '%s'"):format(self.dir)) end
end

-- A port that was free a moment ago.
local function free_port()
  local port
  repeat
    port = math.random(20000, 32000)
    local socket <close> = core.connect("127.0.0.1", port, 1)
  until not socket
  return port
end

---@param args string? more options of redis-server
---@return spec.Redis
---@async
function redis.start(args)
  local port = free_port()
  local self = setmetatable({
    port = port, url = "redis://127.0.0.1:" .. port, path = ("/tmp/neap-redis-%d.sock"):format(port), args = args or "",
  }, Redis)
  self:start()
  return self
end

---Likewise, and it listens for TLS.
---@return spec.Redis
---@async
function redis.start_tls()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local dir, port = pipe:read("l"), free_port()
  local made = certificate.make(dir)
  local self = redis.start(("--tls-port %d --tls-cert-file '%s' --tls-key-file '%s' --tls-auth-clients no"):format(
    port, made.cert, made.key))
  self.dir, self.ca, self.tls_url = dir, made.cert, ("rediss://localhost:%d"):format(port)
  return self
end

return redis
