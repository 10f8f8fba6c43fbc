-- A WebSocket client that can do everything wrong, for specs that mind every byte.
--
--   local socket = ws.open(s, "/echo")                   -- after the handshake
--   socket:send("text")                                  -- a whole, masked text frame
--   socket:frame(ws.PING, "x", {fin = false, rsv = 4})   -- anything
--   local payload, kind = socket:message()               -- "text", "binary"; nil, code, reason at the end
local http = require "spec.support.http"

local ws = {CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10}

local KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ws.ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" -- for that key, from RFC 6455

local Socket = {}
Socket.__index = Socket

local function mask_with(mask, text)
  if mask == "\0\0\0\0" then return text end
  local keys, bytes = {mask:byte(1, 4)}, {}
  for i = 1, #text do bytes[i] = string.char(text:byte(i) ~ keys[(i - 1) % 4 + 1]) end
  return table.concat(bytes)
end

---The bytes of a frame.
---@param opcode integer
---@param payload string?
---@param opts {fin: boolean?, rsv: integer?, mask: string|false|nil, length: integer?, form: integer?}? rsv: 4 is RSV1; mask: four bytes or false for none; length: a lie; form: 7, 16 or 64 bits whatever the length is
---@return string
function ws.frame(opcode, payload, opts)
  payload, opts = payload or "", opts or {}
  local first = (opts.fin == false and 0 or 0x80) | (opts.rsv or 0) << 4 | opcode
  local mask = opts.mask == nil and (#payload > 5000 and "\0\0\0\0" or "\x12\x34\xfa\xce") or opts.mask
  local bit, len = mask and 0x80 or 0, opts.length or #payload
  local form = opts.form or len < 126 and 7 or len < 65536 and 16 or 64
  local head
  if form == 7 then head = string.pack(">BB", first, bit | len)
  elseif form == 16 then head = string.pack(">BBI2", first, bit | 126, len)
  else head = string.pack(">BBi8", first, bit | 127, len) end
  return head .. (mask and mask .. mask_with(mask, payload) or payload)
end

---@param code integer?
---@param reason string?
function ws.close_frame(code, reason)
  return ws.frame(ws.CLOSE, code and string.pack(">I2", code) .. (reason or "") or "")
end

---The bytes of a request for a WebSocket. `fields`: lines that replace or add (false removes).
---@param path string
---@param fields table<string, string|false>?
---@param first string? the request line
---@return string
function ws.request(path, fields, first)
  local all = {Host = "localhost", Upgrade = "websocket", Connection = "Upgrade", ["Sec-WebSocket-Key"] = KEY,
    ["Sec-WebSocket-Version"] = "13"}
  for name, value in pairs(fields or {}) do all[name] = value or nil end
  local lines = {first or ("GET %s HTTP/1.1"):format(path)}
  for name, value in pairs(all) do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

---A socket on a connection that is behind its handshake.
function ws.on(conn)
  return setmetatable({conn = conn}, Socket)
end

---Asks for a WebSocket: the connection, and the answer.
---@async
function ws.ask(s, path, fields, first)
  local conn = http.open(s)
  conn:send(ws.request(path, fields, first))
  local head = assert(conn:upto("\r\n\r\n"), "no answer")
  local answer = {status = tonumber(head:match("^HTTP/1%.1 (%d+)")), head = head, headers = {}}
  for name, value in head:gmatch("\r\n([^:\r\n]+): ([^\r\n]*)") do answer.headers[name:lower()] = value end
  return setmetatable({conn = conn, answer = answer}, Socket), answer
end

---@async
function ws.open(s, path, fields)
  local socket, answer = ws.ask(s, path, fields)
  assert(answer.status == 101, "no WebSocket: " .. answer.head)
  return socket
end

function Socket:raw(bytes)
  self.conn:send(bytes)
  return self
end

function Socket:frame(opcode, payload, opts)
  return self:raw(ws.frame(opcode, payload, opts))
end

---A whole message.
function Socket:send(text, kind)
  return self:frame(kind == "binary" and ws.BINARY or ws.TEXT, text)
end

---The next frame as it came: {fin, rsv, opcode, payload}; nil at the end.
---@async
function Socket:next_frame()
  local head, is_whole = self.conn:exactly(2)
  if not is_whole then return nil end
  local first, second = head:byte(1, 2)
  assert(second < 0x80, "the server masks")
  local len = second
  if len == 126 then len = string.unpack(">I2", (self.conn:exactly(2)))
  elseif len == 127 then len = string.unpack(">I8", (self.conn:exactly(8))) end
  local payload, is_all = self.conn:exactly(len)
  assert(is_all, "half a frame")
  return {fin = first >= 0x80, rsv = first >> 4 & 7, opcode = first & 15, payload = payload}
end

---The next message (pings are answered): text, "text" or "binary". Nil, code, reason when the server closes; nil when
---the connection just ends.
---@async
function Socket:message()
  while true do
    local frame = self:next_frame()
    if not frame then return nil end
    if frame.opcode == ws.CLOSE then
      if #frame.payload < 2 then return nil, 1005, "" end
      return nil, string.unpack(">I2", frame.payload), frame.payload:sub(3)
    elseif frame.opcode == ws.PING then
      self:frame(ws.PONG, frame.payload)
    elseif frame.opcode ~= ws.PONG then
      assert(frame.fin and (frame.opcode == ws.TEXT or frame.opcode == ws.BINARY), "not a whole message")
      return frame.payload, frame.opcode == ws.TEXT and "text" or "binary", frame.rsv
    end
  end
end

---Skips messages until the server closes: its code and reason, nil when it just ends; and that it ends indeed.
---@async
function Socket:ending()
  local payload, code, reason
  repeat payload, code, reason = self:message() until not payload
  if code then self:raw(ws.close_frame(code ~= 1005 and code or nil)) end
  local rest = self.conn:rest()
  assert(rest == "", "there is more behind the end")
  self.conn:close()
  return code, reason
end

---Closes as one should.
---@async
function Socket:close(code)
  self:raw(ws.close_frame(code or 1000))
  self:ending()
end

---Sends `bytes` whole, one by one and at random cuts behind a handshake, and gives each time's socket to `check`.
---@async
function ws.each_way(s, path, bytes, check, fields)
  for _, way in ipairs {"whole", "bytes", "cuts"} do
    local socket = ws.open(s, path, fields)
    socket.conn:send_in(bytes, way, #bytes)
    local ok, err = pcall(check, socket)
    socket.conn:close()
    if not ok then error(("sent %s: %s"):format(way, type(err) == "table" and err.message or err), 0) end
  end
end

return ws
