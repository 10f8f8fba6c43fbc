-- Server-sent events written by hand: what res.sse gives its function.
local header = require "neap.app.header"

---Writes events. Every method parks while the client is slow.
---@class neap.Events
---@field last_id string? the Last-Event-ID that the client came back with
---@field package out neap.Out
local Events = {}
Events.__index = Events
Events.__name = "neap.events"

local sse = {}

function sse.new(out, req)
  return setmetatable({out = out, last_id = req.headers["last-event-id"]}, Events)
end

local function line(name, value, level)
  value = tostring(value)
  if value:find("[\r\n%z]") then error(name .. ": one line of text", level + 1) end
  return name .. ": " .. value .. "\n"
end

---Sends one event.
---```lua
---local app = neap.app()
---app:get("/events", function()
---  return neap.res.sse(function(ev) ev:send{event = "greeting", data = "hello", id = 1} end)
---end)
---```
---@async
---@param event {data: string|table|nil, event: string?, id: string|number?, retry: integer?}|string data: text (several lines are kept) or a table (JSON); retry: milliseconds
---@return true? ok
---@return string? err "closed"
function Events:send(event)
  if type(event) ~= "table" then event = {data = event} end
  local parts = {}
  if event.id ~= nil then parts[#parts + 1] = line("id", event.id, 2) end
  if event.event ~= nil then parts[#parts + 1] = line("event", event.event, 2) end
  if event.retry ~= nil then parts[#parts + 1] = line("retry", math.tointeger(event.retry) or "", 2) end
  local data = event.data
  if type(data) == "table" then data = require("neap.json").encode(data) end
  if data ~= nil then
    for one in (tostring(data):gsub("\r\n?", "\n") .. "\n"):gmatch("(.-)\n") do
      parts[#parts + 1] = "data: " .. one .. "\n"
    end
  end
  parts[#parts + 1] = "\n"
  return self.out:write(table.concat(parts))
end

---Sends a comment, which keeps proxies from cutting a silent stream.
---```lua
---local app = neap.app()
---app:get("/quiet", function() return neap.res.sse(function(ev) ev:comment("still here") end) end)
---```
---@async
---@param text string?
---@return true? ok
---@return string? err "closed"
function Events:comment(text)
  return self.out:write(": " .. header.value("comment", text or "", 2) .. "\n\n")
end

return sse
