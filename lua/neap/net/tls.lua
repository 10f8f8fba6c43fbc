-- TLS for sockets: who is trusted, and who we are. Used by net.lua and by clients that are built on sockets.
local core = require "neap.core"
local options = require "neap.base.options"

---Whom a TLS connection trusts, and who it is.
---@class neap.TlsOptions
---@field verify boolean? default true: the certificate must be valid, and for the server's name
---@field ca string? file (or PEM text) of the certificates to trust, instead of the system's or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`
---@field cert string? file (or PEM text) of our own certificate
---@field key string? file (or PEM text) of its key; default: it is in `cert`
---@field server_name string? that the certificate must be for; default: the host
---@field alpn string[]? protocols to offer, best first: {"h2", "http/1.1"}

local tls = {}

local now = core.task.now
local TIMEOUT = 10
local OPTIONS = {
  verify = "boolean", ca = "string", cert = "string", key = "string", server_name = "string", alpn = "table",
}

-- By what they were made from: making them may read files.
local configs, config_count = {}, 0
local CONFIGS_MAX = 100 -- then they are made again

local function config_of(opts, deadline)
  local version, problem = 0, nil -- of the system's certificates
  if not opts.ca and opts.verify ~= false then
    version, problem = core.trust(math.max(deadline - now(), 0))
  end
  if not version then return nil, problem end
  local key = ("%s|%s|%s|%s|%d"):format(opts.verify, opts.ca, opts.cert, opts.key, version)
  if configs[key] then return configs[key] end
  local config, err = core.tls_config(opts)
  if not config then return nil, err end
  if config_count == CONFIGS_MAX then configs, config_count = {}, 0 end
  configs[key], config_count = config, config_count + 1
  return config
end

-- As RFC 7301 wants it: each name behind its length.
local function alpn_list(names, what, level)
  local parts = {}
  for i, name in ipairs(names or {}) do
    if type(name) ~= "string" or #name < 1 or #name > 255 then
      error(what .. ": the option alpn is a list of protocol names", level + 1)
    end
    parts[i] = string.pack("s1", name)
  end
  return table.concat(parts)
end

---Options for `tls.connect`. Raises at `level` of the caller for what are none.
---@param given true|neap.TlsOptions
---@param what string for messages: "net.connect: tls"
---@param level integer
---@return table
function tls.check(given, what, level)
  local opts = options.check(given ~= true and given or nil, OPTIONS, what, level + 1)
  opts.alpn = alpn_list(opts.alpn, what, level + 1)
  return opts
end

---@async
---@param host string
---@param port integer?
---@param timeout number? seconds, for the whole of it; default 10
---@param opts table of `tls.check`
---@return neap.Socket?
---@return string? err
function tls.connect(host, port, timeout, opts)
  local deadline = now() + (timeout or TIMEOUT)
  local config, err = config_of(opts, deadline)
  if not config then return nil, err end
  return core.connect(host, port, math.max(deadline - now(), 0), config, opts.server_name, opts.alpn)
end

return tls
