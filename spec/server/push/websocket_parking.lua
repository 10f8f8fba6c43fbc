-- What parks in a WebSocket.
local parking = require "spec.support.parking"
local test_socket = require "neap.test.socket"

local function websocket(case)
  local c, taken = parking.client(case, function(app, hand) app:ws("/", hand) end)
  local socket = assert(test_socket.open(c.url, "/", {}))
  case:keep(socket.socket) -- as it is: some rows leave it in the middle of a frame
  return taken(), socket
end

return {
  {"neap.WebSocket:recv", function(case)
    local ws, socket = websocket(case)
    return {
      park = function() return ws:recv() == "item" end, complete = function() socket:send("item") end, keeps = true,
    }
  end},
  {"neap.WebSocket:messages", function(case)
    local ws, socket = websocket(case)
    return {
      park = function() return ws:messages()() == "item" end, complete = function() socket:send("item") end,
      keeps = true,
    }
  end},
  {"neap.WebSocket:send", function(case)
    local ws, socket = websocket(case)
    return {park = function() return ws:send(parking.BIG) end, complete = case:drain(socket.socket), keeps = true}
  end},
}
