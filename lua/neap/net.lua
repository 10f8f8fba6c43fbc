-- Outgoing TCP connections. Every operation parks; nothing blocks the loop.
local core = require "neap.core"
local options = require "neap.options"

---@class neap.net
local net = {}

---A connected socket. Close it, or keep it in a `<close>` variable.
---@class neap.Socket
---@field recv fun(self: neap.Socket, n: integer?, timeout: number|string?): string?, string? up to n bytes, as soon as any arrive; nil, "closed" or "timeout"
---@field send fun(self: neap.Socket, data: string, timeout: number|string?): true?, string? parks while much is unsent
---@field close fun(self: neap.Socket) what was sent still leaves
---@field reset fun(self: neap.Socket) closes at once; the peer sees a reset
---@field shutdown fun(self: neap.Socket) our side ends, the peer may go on
---@field pause fun(self: neap.Socket) reads nothing from the kernel until the next recv
---@field receive_buffer fun(self: neap.Socket, bytes: integer) how much the kernel takes in for us

local CONNECT_OPTIONS = {timeout = "duration"}

---Opens a TCP connection.
---```lua
---local net = require "neap.net"
---local socket <close>, err = net.connect("127.0.0.1", 9, {timeout = "1s"})
---if not socket then print("no connection: " .. err) end
---```
---@async
---@param host string name or address
---@param port integer
---@param opts {timeout: number|string}? timeout: seconds or "5s", for the whole of it (default 10 s)
---@return neap.Socket? socket
---@return string? err "timeout", "connection refused", ...
function net.connect(host, port, opts)
  opts = options.check(opts, CONNECT_OPTIONS, "net.connect", 2)
  return core.connect(host, port, opts.timeout)
end

return net
