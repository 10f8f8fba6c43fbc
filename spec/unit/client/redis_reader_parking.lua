-- What parks until Redis answers. The server is one of ours, which answers at once and takes any number of connections.
local core = require "neap.core"
local upstream = require "spec.support.upstream"

local redis = core.redis_reader and require "neap.redis"

return {
  missing = function() return not core.redis_reader and "hiredis is missing" end,

  {"neap.Redis:command, of a server that answers at once", function(case) -- the connection of a cancelled one is closed, so there are many
    local up = case:keep(upstream.start(function(socket)
      while socket:recv() do socket:send("+PONG\r\n") end
    end))
    local r = case:keep(redis.connect {port = up.port, max = 1})
    return {park = function() return r:ping() end, whole = function() return r:stats().waiting == 0 end}
  end},
  {"neap.Redis:subscribe, the next message", function(case)
    local server
    local up = case:keep(upstream.start(function(socket)
      socket:recv()
      socket:send("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
      server = socket
      socket:recv()
    end))
    local r = case:keep(redis.connect {port = up.port})
    local next_message, _, _, subscription = r:subscribe("a")
    case:keep(subscription)
    return {
      park = function() return select(2, next_message()) == "item" end,
      complete = function() server:send("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nitem\r\n") end,
      keeps = true,
    }
  end},
}
