-- A server that behaves as badly as a spec wants: its function has the raw socket of each connection.
--
--   local up <close> = upstream.start(function(socket) socket:send("garbage\r\n\r\n") end)
--   http.get(up.url .. "/path")      up.count (connections so far)      up.open (those now)
local core = require "neap.core"
local net = require "neap.net"
local task = require "neap.task"

local upstream = {}

---@class spec.Upstream
---@field url string "http://127.0.0.1:PORT"
---@field port integer
---@field count integer connections so far
---@field open integer functions that are running
local Upstream = {}
Upstream.__index = Upstream

local function serve(self, socket, fn)
  local s <close> = socket
  self.open = self.open + 1
  local leave <close> = setmetatable({}, {__close = function() self.open = self.open - 1 end})
  fn(s, self)
  return leave
end

---@param fn async fun(socket: neap.Socket, up: spec.Upstream) the socket is closed when it returns
---@return spec.Upstream # to be kept in a `<close>` variable
function upstream.start(fn)
  local self = setmetatable({count = 0, open = 0, listener = assert(net.listen("127.0.0.1", 0))}, Upstream)
  self.port = self.listener.port
  self.url = "http://127.0.0.1:" .. self.port
  self.group = task.group()
  self.group:spawn(function()
    for socket in self.listener:connections() do
      self.count = self.count + 1
      self.group:spawn(serve, self, socket, fn)
    end
  end)
  return self
end

---Reads the head of a request, and the body that its Content-Length announces.
---@async
---@param socket neap.Socket
---@return string? head nil when the client has left
---@return string? body
function upstream.request(socket)
  local head = socket:read_until("\r\n\r\n")
  if not head then return nil end
  local length = tonumber(head:lower():match("\ncontent%-length: (%d+)") or 0)
  return head, length > 0 and socket:read_exact(length) or ""
end

---Answers every request of a connection with the text that `answer` gives.
---@param answer string|fun(head: string, body: string): string
---@return async fun(socket: neap.Socket)
function upstream.answering(answer)
  return function(socket)
    for head, body in upstream.request, socket do
      socket:send(type(answer) == "string" and answer or answer(head, body))
    end
  end
end

---An answer with a body.
---@param body string
---@param headers string? more header lines, each with its end
---@return string
function upstream.ok(body, headers)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"):format(#body, headers or "", body)
end

---How many files and sockets this process has open.
---@return integer
function upstream.files()
  return #assert(core.list_dir("/proc/self/fd"))
end

function Upstream:__close()
  self.listener:close()
  self.group:cancel()
  local _ <close> = self.group
end

return upstream
