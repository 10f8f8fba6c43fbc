-- A WebSocket to the application under test: see test.lua. Frames are small and few here, so plain Lua will do.
local core = require "neap.core"
local net = require "neap.net"

---@class neap.TestSocket
---@field protocol string? the subprotocol that the server chose
---@field package socket neap.Socket
---@field package pieces string[] of a message that has begun
---@field package kind string? of that message
local Socket = {__name = "neap.test.socket"}
Socket.__index = Socket

local CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
local KINDS = {[TEXT] = "text", [BINARY] = "binary"}
local HEAD_LIMIT = 65536
local ANSWER_SECONDS = 10

local function request(url, path, headers)
  local lines = {
    ("GET %s HTTP/1.1"):format(path), "Host: " .. url:match("^http://(.*)$"), "Upgrade: websocket",
    "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  }
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- A client's frames are masked; the mask only has to be there.
local function frame(opcode, payload)
  local len, first = #payload, 0x80 | opcode
  local head
  if len < 126 then head = string.pack(">BB", first, 0x80 | len)
  elseif len < 65536 then head = string.pack(">BBI2", first, 0x80 | 126, len)
  else head = string.pack(">BBI8", first, 0x80 | 127, len) end
  return head .. "\0\0\0\0" .. payload
end

-- The socket, or nil and the status of the refusal.
local function open(url, path, headers)
  local socket = assert(net.connect("127.0.0.1", tonumber(url:match("(%d+)$"))))
  socket:send(request(url, path, headers))
  local head, err = socket:read_until("\r\n\r\n", HEAD_LIMIT, ANSWER_SECONDS)
  local status = head and head:match("^HTTP/1%.1 (%d+ [^\r]*)")
  if not status or status:sub(1, 3) ~= "101" then
    socket:close()
    return nil, status or err or "no answer"
  end
  local protocol = (head .. "\r\n"):lower():match("\r\nsec%-websocket%-protocol: ([^\r]*)")
  return setmetatable({socket = socket, pieces = {}, protocol = protocol}, Socket)
end

-- One frame: opcode, whether it is the last of its message, payload; nil and the reason.
local function read_frame(socket, timeout)
  local head, err = socket:read_exact(2, timeout)
  if not head then return nil, err end
  local first, len = head:byte(1, 2)
  if len >= 126 then
    local size = len == 126 and 2 or 8
    len = string.unpack(">I" .. size, assert(socket:read_exact(size, ANSWER_SECONDS)))
  end
  local payload = len > 0 and assert(socket:read_exact(len, ANSWER_SECONDS)) or ""
  return first & 15, first >= 128, payload
end

local function closed(self, payload)
  self.socket:send(frame(CLOSE, payload))
  self.socket:close()
  if #payload < 2 then return nil, "closed", 1005, "" end
  return nil, "closed", string.unpack(">I2", payload), payload:sub(3)
end

---The next message.
---```lua
---local test = require "neap.test"
---app:ws("/echo", function(ws) for message, kind in ws:messages() do ws:send(message, kind) end end)
---local c <close> = test.client(app)
---local socket = c:ws("/echo")
---socket:send("hello")
---assert(socket:recv("1s") == "hello")
---```
---@param timeout (number|string)?
---@return string? message
---@return string kind "text" or "binary"; with nil "timeout" or "closed"
---@return integer? code of the close
---@return string? reason
---@async
function Socket:recv(timeout)
  while true do
    local opcode, is_last, payload = read_frame(self.socket, timeout)
    if not opcode and is_last == "timeout" then return nil, "timeout" end
    if not opcode then return nil, "closed", 1006, "" end
    if opcode == CLOSE then return closed(self, payload) end
    if opcode == PING then
      self.socket:send(frame(PONG, payload))
    elseif opcode ~= PONG then
      if opcode ~= CONTINUATION then self.kind = KINDS[opcode] end
      self.pieces[#self.pieces + 1] = payload
      if is_last then
        local message = table.concat(self.pieces)
        self.pieces = {}
        return message, self.kind
      end
    end
  end
end

---Sends a message.
---```lua
---local test = require "neap.test"
---app:ws("/echo", function(ws) for message, kind in ws:messages() do ws:send(message, kind) end end)
---local c <close> = test.client(app)
---local socket = c:ws("/echo")
---socket:send("\0", "binary")
---assert(select(2, socket:recv("1s")) == "binary")
---```
---@param message string
---@param kind ("text"|"binary")? default "text"
---@return true?
---@return string? err
---@async
function Socket:send(message, kind)
  return self.socket:send(frame(kind == "binary" and BINARY or TEXT, message))
end

---Closes it, and waits for the server's answer.
---```lua
---local test = require "neap.test"
---app:ws("/echo", function(ws) for message, kind in ws:messages() do ws:send(message, kind) end end)
---local c <close> = test.client(app)
---local socket = c:ws("/echo")
---socket:close(4000, "enough")
---```
---@param code integer? default 1000
---@param reason string?
---@async
function Socket:close(code, reason)
  if not self.socket:send(frame(CLOSE, string.pack(">I2", code or 1000) .. (reason or ""))) then return end
  local from = core.task.now()
  repeat
    local _, err = self:recv(ANSWER_SECONDS)
  until err == "closed" or core.task.now() > from + ANSWER_SECONDS
  self.socket:close()
end

Socket.__close = function(self) self:close() end

return {open = open}
