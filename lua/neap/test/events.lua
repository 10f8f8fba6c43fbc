-- A stream of server-sent events from the application under test: see test.lua. Asked for with HTTP/1.0, it comes
-- without chunks around it.
local net = require "neap.net"

---@class neap.TestEvent
---@field data string
---@field event string? its type
---@field id string? what Last-Event-ID would say

---@class neap.TestEvents
---@field package socket neap.Socket
local Events = {__name = "neap.test.events"}
Events.__index = Events

local BLOCK_LIMIT = "16MB"
local ANSWER_SECONDS = 10

-- The stream, or nil and the status when that is not 200.
local function open(url, path, headers)
  local socket = assert(net.connect("127.0.0.1", tonumber(url:match("(%d+)$"))))
  local lines = {("GET %s HTTP/1.0"):format(path), "Host: " .. url:match("^http://(.*)$"), "Accept: text/event-stream"}
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  socket:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
  local head, err = socket:read_until("\r\n\r\n", BLOCK_LIMIT, ANSWER_SECONDS)
  local status = head and head:match("^HTTP/1%.%d (%d+)")
  if status ~= "200" then
    socket:close()
    return nil, status or err or "no answer"
  end
  return setmetatable({socket = socket}, Events)
end

-- The event of a block of lines; nil when it is only a comment or a `retry`.
local function parse(block)
  local event, data = {}, {}
  for line in block:gmatch("[^\n]+") do
    local field, value = line:match("^(%a+): ?(.*)$")
    if field == "data" then data[#data + 1] = value
    elseif field then event[field] = value end
  end
  if #data == 0 and not event.event then return nil end
  event.data = table.concat(data, "\n")
  return event
end

---The next event.
---```lua
---local test = require "neap.test"
---app:get("/news", function() return neap.res.events("news") end)
---local c <close> = test.client(app)
---local events = c:sse("/news")
---neap.topic("news"):publish({n = 1}, {event = "count"})
---local event = events:next("1s")
---assert(event.event == "count" and event.data == '{"n":1}')
---```
---@param timeout (number|string)?
---@return neap.TestEvent? event
---@return string? err "timeout", "closed"
---@async
function Events:next(timeout)
  while true do
    local block, err = self.socket:read_until("\n\n", BLOCK_LIMIT, timeout)
    if not block then return nil, err == "timeout" and err or "closed" end
    local event = parse(block)
    if event then return event end
  end
end

---Leaves the stream.
---```lua
---local test = require "neap.test"
---app:get("/news", function() return neap.res.events("news") end)
---local c <close> = test.client(app)
---c:sse("/news"):close()
---```
function Events:close()
  self.socket:close()
end

Events.__close = Events.close

return {open = open}
