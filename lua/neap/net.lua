-- Sockets: connections to other servers and listeners of one's own, TCP and UNIX. Every operation parks; nothing
-- blocks the loop.
local core = require "neap.core"
local options = require "neap.base.options"
local tls = require "neap.net.tls"

---@class neap.net
local net = {}

---A connected socket. Close it, or keep it in a `<close>` variable. One task may receive and another send at a time.
---@class neap.Socket
---@field recv async fun(self: neap.Socket, n: integer?, timeout: number|string?): string?, string? up to n bytes (default 65536), as soon as any arrive; nil, "closed", "timeout" or what broke the connection
---@field read_exact async fun(self: neap.Socket, n: integer, timeout: number|string?): string?, string? n bytes; when fewer come, they stay for recv
---@field read_until async fun(self: neap.Socket, delimiter: string, limit: (integer|string)?, timeout: number|string?): string?, string? what stands before the delimiter; nil, "too_large" when that is more than limit (default 64 KB)
---@field send async fun(self: neap.Socket, data: string, timeout: number|string?): true?, string? parks while much is unsent
---@field close fun(self: neap.Socket) what was sent still leaves
---@field reset fun(self: neap.Socket) closes at once; the peer sees a reset
---@field protocol fun(self: neap.Socket): string? what TLS has agreed on by ALPN
---@field shutdown fun(self: neap.Socket) our side ends, the peer may go on
---@field is_quiet fun(self: neap.Socket): boolean whether it is open and nothing has come that was not taken, as it should be with an unused connection of a pool
---@field pause fun(self: neap.Socket) reads nothing from the kernel until the next recv
---@field receive_buffer fun(self: neap.Socket, bytes: integer) how much the kernel takes in for us
local Socket = core.socket_methods

---Waits for connections on a port or path of its own. Close it, or keep it in a `<close>` variable.
---@class neap.Listener
---@field port integer 0 for a UNIX socket
---@field accept async fun(self: neap.Listener, timeout: number|string?): neap.Socket?, string? the next connection; nil, "timeout" or "closed"
---@field close fun(self: neap.Listener) connections that were accepted go on
local Listener = core.listener_methods

local CONNECT_OPTIONS = {timeout = "duration", tls = "boolean|table"}

---Opens a connection.
---```lua
---local net = require "neap.net"
---local socket <close>, err = net.connect("127.0.0.1", 9, {timeout = "1s"})
---if not socket then print("no connection: " .. err) end
---```
---With `tls = true` it is secured and the server's certificate must be good; the end of a connection that was cut is
---the error "truncated".
---```lua
---local net = require "neap.net"
---local socket <close>, err = net.connect("127.0.0.1", 9, {tls = {server_name = "example.org", alpn = {"imap"}}})
---if socket then print(socket:protocol()) else print("no connection: " .. err) end
---```
---@async
---@param host string name, address, or "unix:PATH"
---@param port integer? none for a UNIX socket; then `opts` may stand in its place
---@param opts {timeout: number|string|nil, tls: boolean|neap.TlsOptions|nil}? timeout: seconds or "5s", for the whole of it (default 10 s)
---@return neap.Socket? socket
---@return string? err "timeout", "connection refused", "tls: ...", ...
function net.connect(host, port, opts)
  if type(port) == "table" then port, opts = nil, port end
  opts = options.check(opts, CONNECT_OPTIONS, "net.connect", 2)
  if not opts.tls then return core.connect(host, port, opts.timeout) end
  return tls.connect(host, port, opts.timeout, tls.check(opts.tls, "net.connect: tls", 2))
end

---Listens for connections. They are accepted in this worker only; an application's own port is `--listen`.
---```lua
---local net, task = require "neap.net", require "neap.task"
---local listener <close> = assert(net.listen("127.0.0.1", 0)) -- 0: any free port
---local g <close> = task.group()
---g:spawn(function()
---  local socket <close> = assert(net.connect("127.0.0.1", listener.port))
---  socket:send("hello\n")
---end)
---local socket <close> = assert(listener:accept("1s"))
---assert(socket:read_until("\n") == "hello")
---```
---@param host string a numeric address, "localhost", "*" for all of IPv4, or "unix:PATH"
---@param port integer? none for a UNIX socket
---@return neap.Listener? listener
---@return string? err "address already in use", ...
function net.listen(host, port)
  if type(host) ~= "string" then error('net.listen: the host is text such as "127.0.0.1" or "unix:/path"', 2) end
  if host:find("^unix:") then return core.listen(host) end
  if math.type(port) ~= "integer" or port < 0 or port > 65535 then
    error("net.listen: the port is a number from 0 (any free one) to 65535", 2)
  end
  return core.listen((host:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(host, port))
end

---Iterates over lines, without their "\n" or "\r\n", until the peer ends the connection. Raises when the connection
---breaks or a line is too long, so that a loop that ends has seen everything; `s:read_until` returns the error instead.
---```lua
---local net, task = require "neap.net", require "neap.task"
---local listener <close> = assert(net.listen("127.0.0.1", 0))
---local g <close> = task.group()
---g:spawn(function()
---  local socket <close> = assert(net.connect("127.0.0.1", listener.port))
---  socket:send("one\r\ntwo\n")
---end)
---local socket <close> = assert(listener:accept("1s"))
---local seen = {}
---for line in socket:lines("1KB") do seen[#seen + 1] = line end
---assert(table.concat(seen, " ") == "one two")
---```
---@param limit (integer|string)? of one line, in bytes or "1KB"; default 64 KB
---@return async fun(): string?
function Socket:lines(limit)
  return function()
    local line, err = self:read_until("\n", limit)
    if not line and err == "closed" then line, err = self:recv(math.maxinteger) end -- the last one may have no end
    if not line and err ~= "closed" then error("lines: " .. err, 2) end
    return line and (line:gsub("\r$", ""))
  end
end

---Iterates over connections, as they come, until the listener is closed.
---```lua
---local net, task = require "neap.net", require "neap.task"
---local listener <close> = assert(net.listen("127.0.0.1", 0))
---local g <close> = task.group()
---g:spawn(function()
---  for socket in listener:connections() do
---    g:spawn(function()
---      local s <close> = socket
---      s:send(s:recv():upper())
---    end)
---  end
---end)
---local socket <close> = assert(net.connect("127.0.0.1", listener.port))
---socket:send("echo")
---assert(socket:read_exact(4, "1s") == "ECHO")
---listener:close()
---```
---@return async fun(): neap.Socket?
function Listener:connections()
  return function() return (self:accept()) end
end

return net
