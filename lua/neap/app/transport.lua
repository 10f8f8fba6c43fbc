-- How a client wants to be told what happens: a request's headers say so.
local transport = {}

---@param req neap.Request
---@return "websocket"|"sse"|"poll"
function transport.of(req)
  local upgrade = req.headers.upgrade
  if upgrade and upgrade:lower():find("websocket", 1, true) then return "websocket" end
  local accept = req.headers.accept or ""
  if accept:find("text/event-stream", 1, true) then return "sse" end
  return "poll"
end

return transport
