-- What parks at a listener or a socket.
local net = require "neap.net"

-- Two ends of a connection.
local function connected(case)
  local listener <close> = assert(net.listen("127.0.0.1", 0))
  local near = case:keep(assert(net.connect("127.0.0.1", listener.port)))
  local far = case:keep(assert(listener:accept("5s")))
  return near, far
end

return {
  {"neap.net.connect", function(case)
    local listener = case:keep(assert(net.listen("127.0.0.1", 0)))
    return {park = function()
      local socket <close> = net.connect("127.0.0.1", listener.port)
      return socket ~= nil
    end}
  end},
  {"neap.net.connect, by name", function(case)
    local listener = case:keep(assert(net.listen("127.0.0.1", 0)))
    return {park = function()
      local socket <close> = net.connect("localhost", listener.port)
      return socket ~= nil
    end}
  end},
  {"neap.Listener:accept", function(case)
    local listener, g = case:keep(assert(net.listen("127.0.0.1", 0))), case:group()
    return {
      park = function()
        local socket <close> = listener:accept()
        return socket ~= nil
      end,
      complete = function()
        g:spawn(function() case:keep(net.connect("127.0.0.1", listener.port)) end)
      end,
      keeps = true,
    }
  end},
  {"neap.Listener:connections", function(case)
    local listener, g = case:keep(assert(net.listen("127.0.0.1", 0))), case:group()
    return {
      park = function()
        local socket <close> = listener:connections()()
        return socket ~= nil
      end,
      complete = function()
        g:spawn(function() case:keep(net.connect("127.0.0.1", listener.port)) end)
      end,
      keeps = true,
    }
  end},
  {"neap.Socket:recv", function(case)
    local near, far = connected(case)
    return {park = function() return near:recv() end, complete = function() far:send("item") end, keeps = true}
  end},
  {"neap.Socket:read_exact", function(case)
    local near, far = connected(case)
    far:send("it") -- there is always half of the next one
    return {
      park = function() return near:read_exact(4) == "item" end, complete = function() far:send("emit") end,
      keeps = true,
    }
  end},
  {"neap.Socket:read_until", function(case)
    local near, far = connected(case)
    far:send("it")
    return {
      park = function() return near:read_until(";") == "item" end, complete = function() far:send("em;it") end,
      keeps = true,
    }
  end},
  {"neap.Socket:lines", function(case)
    local near, far = connected(case)
    far:send("it")
    return {
      park = function() return near:lines()() == "item" end, complete = function() far:send("em\nit") end,
      keeps = true,
    }
  end},
  {"neap.Socket:send", function(case)
    local near, far = connected(case)
    local piece = ("x"):rep(8 * 1024 * 1024) -- more than the kernel takes
    return {park = function() return near:send(piece) end, complete = case:drain(far), keeps = true}
  end},
}
