-- Chat: rooms with a history, live by WebSocket, events or long-polls. Nothing is kept but what the topics keep.
local neap = require "neap"
local app = ...

-- What the rooms are, for all workers. Forgotten a day after somebody was there last.
app.state.rooms = neap.store("chat.rooms")

-- The messages of a room, and who is in it: two topics, because the number is only worth its newest value.
function app.state.topics(name)
  local room = "chat:" .. name
  return neap.topic(room, {keep = 200, ttl = "24h"}), neap.topic(room .. ":here", {keep = 1, ttl = "24h"})
end

local shown = {} -- room -> the number that clients know

-- One job for the whole server; the topics reach the clients of all workers.
app:every("500ms", function()
  for _, name in ipairs(app.state.rooms:keys()) do
    local room, here = app.state.topics(name)
    local count = room:stats().subscribers
    if count ~= shown[name] then here:publish {here = count} end
    shown[name] = count
  end
end)

app:on_send(function(_, head)
  head:header("Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'")
end)
