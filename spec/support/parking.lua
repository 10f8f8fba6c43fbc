-- What rows of the cancellation matrix (spec/support/matrix.lua) share. The rows themselves stand beside the specs of their
-- subjects, in files *_parking.lua.
local neap = require "neap"
local net = require "neap.net"
local task = require "neap.task"
local test = require "neap.test"

local parking = {}

-- ---- what has connections to a database ----

-- Runs fn(hold) in a task; returns what `hold` was given, which waits until `over`.
function parking.held(case, fn)
  local things, over, g = task.queue(), task.event(), case:group()
  g:spawn(fn, function(thing)
    things:put(thing)
    over:wait()
  end)
  return assert(things:get(10)), over
end

-- A row whose only connection is in use until it completes.
function parking.behind(case, hold, use)
  local _, over = parking.held(case, hold)
  return {park = use, complete = function() over:set() end, keeps = true}
end

-- Whether rows that count to 2000 were all there.
function parking.sum(rows, ...)
  local total = 0
  for row in rows, ... do total = total + row.n end
  return total == 2001000
end

-- Whether a client has lost no connection, and nobody waits for one.
function parking.in_order(r)
  return function() return r:stats().waiting == 0 and r:stats().open <= 1 end
end

-- ---- what runs while a request is answered ----
--
-- The application runs in this state; its handler hands over what it was given and waits, so that the row can use it.

parking.BIG = ("x"):rep(8 * 1024 * 1024) -- more than the kernel takes
parking.ENDLESS = 1024 * 1024 -- the length of a body that a row never ends

-- A client of an app whose handler calls `hand(thing)`, and a function that waits for that thing.
function parking.client(case, register)
  local app, handed, over = neap.app(), task.queue(), task.event()
  register(app, function(thing)
    handed:put(thing)
    over:wait()
  end)
  local c = case:keep(test.client(app))
  case:keep {close = function() over:set() end}
  return c, function() return assert(handed:get(10)) end
end

-- A connection to it, over which `text` was sent.
function parking.say(case, c, text)
  local socket = case:keep(assert(net.connect("127.0.0.1", tonumber(c.url:match("(%d+)$")))))
  socket:send(text)
  return socket
end

-- A request whose body has begun, and a function that sends more of it.
function parking.upload(case, kind, size, first)
  local c, taken = parking.client(case, function(app, hand)
    app:post("/", function(req) hand(req) return 204 end)
  end)
  local socket = parking.say(case, c, ("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"):format(
    kind, size, first))
  return taken(), function(piece) socket:send(piece) end
end

-- A stream or the like whose client takes nothing before `complete`; `hold` makes the handler's answer.
function parking.slow(case, hold)
  local c, taken = parking.client(case, function(app, hand)
    app:get("/", function() return hold(hand) end)
  end)
  local socket = parking.say(case, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
  return taken(), case:drain(socket)
end

return parking
