-- What the acts of scarce_acts.lua talk to: a Redis, a PostgreSQL, a server that speaks TLS. What this machine lacks is
-- left out, and its acts with it.
--
--   local peers <close> = scarce_peers.start()
--   peers.env          -- for the server: where they are
--   peers:names()      -- of the acts that can be done
local acts = require "spec.support.scarce_acts"
local certificate = require "spec.support.certificate"
local command = require "spec.support.command"
local postgres = require "spec.support.postgres"
local redis = require "spec.support.redis"
local server = require "spec.support.server"

local scarce_peers = {}

local READY_SECONDS = 20

---@class spec.ScarcePeers
---@field env table<string, string>
local Peers = {}
Peers.__index = Peers

function Peers:__close()
  for _, one in ipairs(self.all) do one:__close() end
end

---@return string[]
function Peers:names()
  local names = {}
  for name in pairs(acts.list) do
    local wanted = acts.wants[name]
    if not wanted or self.env[wanted] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function add(self, peer, env)
  self.all[#self.all + 1] = peer
  for name, value in pairs(env) do self.env[name] = value end
end

-- OpenSSL's own server, which says what it thinks of the connection.
local function start_tls(dir)
  local made = certificate.make(dir)
  local peer = command.start(("exec openssl s_server -accept 127.0.0.1:0 -www -cert '%s' -key '%s'"):format(made.cert, made.key))
  local port = server.poll(READY_SECONDS, function() return peer:output():match("ACCEPT 127%.0%.0%.1:(%d+)") end)
  return peer, {SPEC_TLS = "https://localhost:" .. assert(port, "the server does not start"), SPEC_CA = made.cert}
end

---@return spec.ScarcePeers # to be kept in a `<close>` variable
---@async
function scarce_peers.start()
  local self = setmetatable({all = {}, env = {}}, Peers)
  if not redis.is_missing() then
    local peer = redis.start()
    add(self, peer, {SPEC_REDIS = peer.url})
  end
  if not postgres.is_missing() then
    local peer = postgres.shared()
    add(self, peer, {SPEC_PG = peer.dsn})
  end
  if not certificate.is_missing() then
    local folder = command.start("true") -- removed when that is closed
    add(self, folder, {})
    add(self, start_tls(folder.dir))
  end
  return self
end

return scarce_peers
