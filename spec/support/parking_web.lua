-- What parks while a request is answered, for the cancellation matrix (spec/support/matrix.lua). The application runs in
-- this state; its handler hands over what it was given and waits, so that the row can use it.
local core = require "neap.core"
local neap = require "neap"
local net = require "neap.net"
local task = require "neap.task"
local test = require "neap.test"
local test_socket = require "neap.test.socket"

local BIG = ("x"):rep(8 * 1024 * 1024) -- more than the kernel takes

-- A client of an app whose handler calls `hand(thing)`, and a function that waits for that thing.
local function client(case, register)
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
local function say(case, c, text)
  local socket = case:keep(assert(net.connect("127.0.0.1", tonumber(c.url:match("(%d+)$")))))
  socket:send(text)
  return socket
end

-- A request whose body has begun, and a function that sends more of it.
local function upload(case, kind, size, first)
  local c, taken = client(case, function(app, hand)
    app:post("/", function(req) hand(req) return 204 end)
  end)
  local socket = say(case, c, ("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"):format(
    kind, size, first))
  return taken(), function(piece) socket:send(piece) end
end

-- A row of something that takes the whole body, of which `rest` comes last.
local function whole_body(kind, first, rest, take)
  return function(case)
    local req, send = upload(case, kind, #first + #rest, first)
    local is_sent = false
    return {
      park = function() return take(req) end,
      complete = function()
        if not is_sent then send(rest) end
        is_sent = true
      end,
      keeps = true,
    }
  end
end

local ENDLESS = 1024 * 1024
local FORM = "multipart/form-data; boundary=b"
local HEAD = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"

-- A form whose first part has begun; `send` ends it, sends another one and begins a third. What was left half read is
-- skipped by the next who wants a part.
local function parts(case, take)
  local req, send = upload(case, FORM, ENDLESS, HEAD .. "it")
  local next_part = req:multipart()
  return {
    park = function() return take(next_part()) end,
    complete = function() send("em\r\n" .. HEAD .. "item\r\n" .. HEAD .. "it") end,
    keeps = true,
  }
end

-- A stream or the like whose client takes nothing before `complete`; `hold` makes the handler's answer.
local function slow(case, hold)
  local c, taken = client(case, function(app, hand)
    app:get("/", function() return hold(hand) end)
  end)
  local socket = say(case, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
  return taken(), case:drain(socket)
end

local function stream(hand) return neap.res.stream(hand) end
local function sse(hand) return neap.res.sse(hand) end

-- The task of a req:after, which nobody can join, with that added. It is put into `begun` when it runs.
local function after_task(begun, fn)
  local one = {ended = task.event(), is_done = false}
  function one:run()
    self.task = task.self()
    begun:put(self)
    local _ <close> = setmetatable({}, {__close = function() self.ended:set() end})
    fn()
    self.is_done = true
  end
  function one:cancel() self.task:cancel() end
  function one:join(timeout)
    if not self.ended:wait(timeout) then return nil, "timeout" end
    return self.is_done, not self.is_done and "cancelled" or nil
  end
  return one
end

local function websocket(case)
  local c, taken = client(case, function(app, hand) app:ws("/", hand) end)
  local socket = assert(test_socket.open(c.url, "/", {}))
  case:keep(socket.socket) -- as it is: some rows leave it in the middle of a frame
  return taken(), socket
end

return {
  {"neap.Request:body", whole_body("text/plain", "half", "rest", function(req) return req:body() == "halfrest" end)},
  {"neap.Request:json", whole_body("application/json", '{"a":', "1}", function(req) return req:json().a == 1 end)},
  {"neap.Request:form", whole_body("application/x-www-form-urlencoded", "a=1&", "b=2",
    function(req) return req:form().b == "2" end)},
  {"neap.Request:read_chunk", function(case)
    local req, send = upload(case, "text/plain", ENDLESS, "")
    return {park = function() return req:read_chunk() end, complete = function() send("item") end, keeps = true}
  end},
  {"neap.Request:chunks", function(case)
    local req, send = upload(case, "text/plain", ENDLESS, "")
    return {park = function() return req:chunks()() end, complete = function() send("item") end, keeps = true}
  end},
  {"neap.Request:multipart", function(case)
    local req, send = upload(case, FORM, ENDLESS, "")
    local next_part = req:multipart()
    return {
      park = function() return next_part().name == "a" end, complete = function() send(HEAD .. "x\r\n") end, keeps = true,
    }
  end},
  {"neap.Part:chunks", function(case)
    return parts(case, function(part)
      local pieces = {}
      for piece in part:chunks() do pieces[#pieces + 1] = piece end
      return table.concat(pieces) == "item"
    end)
  end},
  {"neap.Part:body", function(case)
    return parts(case, function(part) return part:body() == "item" end)
  end},
  {"neap.Part:save", function(case)
    local path = os.tmpname()
    local folder, name = path:match("^(.*)/([^/]*)$")
    case:keep {close = function() os.remove(path) end}
    local row = parts(case, function(part) return part:save(path) == 4 end)
    row.whole = function() -- no half of a file is left
      for _, file in ipairs(core.list_dir(folder)) do
        if file:find(name .. ".", 1, true) then return false end
      end
      return true
    end
    return row
  end},
  {"neap.Request:after, what it runs", function(case)
    local event, begun, current = task.event(), task.queue(), nil
    local c = client(case, function(app)
      app:get("/", function(req)
        local one = current
        req:after(function() one:run() end)
        return 204
      end)
    end)
    return {
      start = function(run)
        current = after_task(begun, run)
        assert(c:get("/"))
        return assert(begun:get(10))
      end,
      park = function() return event:wait() end, complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.Out:write", function(case)
    local out, drain = slow(case, stream)
    return {park = function() return out:write(BIG) end, complete = drain, keeps = true}
  end},
  {"neap.Out:flush", function(case)
    local out, drain = slow(case, stream)
    local g <close> = task.group()
    local writer = g:spawn(out.write, out, BIG)
    task.yield()
    writer:cancel() -- what it wrote is on its way all the same
    g:join()
    assert(out:pending() > 0)
    return {park = function() return out:flush() end, complete = drain, keeps = true, whole = function()
      return out:pending() == 0
    end}
  end},
  {"neap.Events:send", function(case)
    local ev, drain = slow(case, sse)
    return {park = function() return ev:send {data = BIG} end, complete = drain, keeps = true}
  end},
  {"neap.Events:comment", function(case)
    local ev, drain = slow(case, sse)
    return {park = function() return ev:comment(BIG) end, complete = drain, keeps = true}
  end},
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
    return {park = function() return ws:send(BIG) end, complete = case:drain(socket.socket), keeps = true}
  end},
}
