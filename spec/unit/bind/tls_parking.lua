-- What parks in a handshake.
local net = require "neap.net"
local upstream = require "spec.support.upstream"

return {
  {"neap.net.connect, with TLS", function(case) -- the handshake fails, as soon as there is an answer
    local up = case:keep(upstream.start(function(socket) socket:recv() socket:send("no TLS") end))
    return {park = function() return select(2, net.connect("127.0.0.1", up.port, {tls = true})) end}
  end},
}
