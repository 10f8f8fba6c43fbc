-- What parks and needs no server of its own, for the cancellation matrix (spec/support/matrix.lua).
local core = require "neap.core"
local http = require "neap.http"
local neap = require "neap"
local net = require "neap.net"
local task = require "neap.task"
local topic = require "neap.topic"
local upstream = require "spec.support.upstream"

local primitives = core.task

local function nothing() end

-- Two ends of a connection.
local function connected(case)
  local listener <close> = assert(net.listen("127.0.0.1", 0))
  local near = case:keep(assert(net.connect("127.0.0.1", listener.port)))
  local far = case:keep(assert(listener:accept("5s")))
  return near, far
end

-- An answer whose body comes as the function that is returned beside it sends it.
local function streaming(case)
  local server
  local up = case:keep(upstream.start(function(socket)
    upstream.request(socket)
    server = socket
    socket:send("HTTP/1.1 200 OK\r\n\r\n")
    socket:recv()
  end))
  local answer = case:keep(assert(http.get(up.url, {stream = true})))
  return answer, function(piece) server:send(piece) end
end

-- One that ends when it is told.
local function worker(case)
  local event = task.event()
  local g = case:group()
  return g:spawn(function()
    event:wait()
    return "done"
  end), event
end

return {
  {"neap.task.sleep", function()
    return {park = function() task.sleep("1ms") return true end}
  end},
  {"neap.task.yield", function()
    return {park = function() task.yield() return true end}
  end},
  {"core.task.park", function()
    local id
    return {
      park = function()
        id = primitives.id()
        return primitives.park()
      end,
      complete = function() primitives.wake(id, true) end,
    }
  end},
  {"waiters:wait", function()
    local waiters = primitives.waiters()
    return {
      park = function() return waiters:wait() end,
      complete = function() waiters:wake(true) end,
      whole = function() return #waiters == 0 end,
    }
  end},
  {"neap.Task:join", function(case)
    local t, event = worker(case)
    return {park = function() return t:join() end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Group:join", function(case)
    local event, g = task.event(), case:group()
    return {
      park = function()
        g:spawn(event.wait, event)
        g:join()
        return true
      end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.Group:spawn, at its limit", function(case)
    local event, g = task.event(), case:group {limit = 1}
    g:spawn(event.wait, event)
    return {park = function() return g:spawn(nothing) end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Group:map", function(case)
    local event, g = task.event(), case:group()
    return {
      park = function() return g:map({1, 2}, function() return event:wait() end)[2] end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.all", function()
    local event = task.event()
    return {
      park = function() return task.all {function() return event:wait() end, function() return event:wait() end} end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.race", function()
    local event = task.event()
    return {
      park = function() return task.race {function() return event:wait() end, function() task.sleep("1h") end} end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.any", function()
    local event = task.event()
    return {
      park = function() return task.any {function() error "no" end, function() return event:wait() end} end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.settle", function()
    local event = task.event()
    return {
      park = function() return task.settle {function() return event:wait() end, function() error "no" end}[1].value end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.map", function()
    local event = task.event()
    return {
      park = function() return task.map({1, 2, 3}, function() return event:wait() end, {limit = 2})[3] end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.shield", function() -- holds a cancel back
    return {park = function() return task.shield(function() task.sleep("1ms") return true end) end}
  end},
  {"neap.task.timeout", function()
    local q = task.queue()
    return {
      park = function() return task.timeout("1h", q.get, q) end,
      complete = function() q:put("item") end,
      whole = function() return #q <= 1 end,
    }
  end},
  {"neap.task.single", function()
    local event = task.event()
    return {
      park = function() return task.single(event, function() return event:wait() end) end,
      complete = function() event:set() end, keeps = true,
    }
  end},
  {"neap.task.thread", function()
    return {park = function() return task.thread("string", "rep", "a", 3) == "aaa" end}
  end},
  {"neap.Queue:get", function()
    local q = task.queue()
    return {
      park = function() return q:get() end, complete = function() q:put("item") end, keeps = true,
      whole = function() return #q == 0 end,
    }
  end},
  {"neap.Queue:get, of a queue that holds nothing", function(case)
    local q, g = task.queue(0), case:group()
    return {
      park = function() return q:get() end, complete = function() g:spawn(q.put, q, "item") end, keeps = true,
      whole = function() return select(2, q:get(0)) == "timeout" end,
    }
  end},
  {"neap.Queue:put", function()
    local q, count = task.queue(1), 0
    q:put("first")
    return {
      park = function()
        local ok = q:put("item")
        count = count + (ok and 1 or 0)
        return ok
      end,
      complete = function() q:get(0) end,
      whole = function() return #q <= 1 and count <= 2 end,
    }
  end},
  {"neap.Queue:iter", function()
    local q = task.queue()
    local next_item = q:iter()
    return {
      park = function() return (next_item(q)) end, complete = function() q:put("item") end, keeps = true,
      whole = function() return #q == 0 end,
    }
  end},
  {"neap.Event:wait", function()
    local event = task.event()
    return {park = function() return event:wait() end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Semaphore:acquire", function()
    local semaphore = task.semaphore(1)
    local permit = semaphore:acquire()
    return {
      park = function()
        local mine <close> = semaphore:acquire()
        return mine ~= nil
      end,
      complete = function() permit:release() end, keeps = true,
      whole = function()
        local again <close> = semaphore:acquire(0)
        return again ~= nil and not semaphore:acquire(0)
      end,
    }
  end},
  {"neap.Mutex:lock", function(case)
    local mutex, event, g = task.mutex(), task.event(), case:group()
    g:spawn(function()
      local lock <close> = mutex:lock()
      return lock and event:wait()
    end)
    task.yield()
    return {
      park = function()
        local lock <close> = mutex:lock()
        return lock ~= nil
      end,
      complete = function() event:set() end, keeps = true,
      whole = function()
        local again <close> = mutex:lock(0)
        return again ~= nil
      end,
    }
  end},
  {"require, while another task loads the module", function(case)
    local event, g = task.event(), case:group()
    local name = "module." .. tostring(event)
    package.preload[name] = function()
      event:wait()
      return {}
    end
    g:spawn(require, name)
    task.yield()
    return {park = function() return require(name) end, complete = function() event:set() end, keeps = true}
  end},
  {"neap.Topic:wait", function()
    local t = topic("cancel." .. tostring({}))
    local cursor = t:cursor()
    return {
      park = function() return (t:wait {after = cursor}) end, complete = function() t:publish("item") end, keeps = true,
    }
  end},
  {"neap.Topic:messages", function()
    local t = topic("cancel." .. tostring({}))
    local cursor = t:cursor()
    return {
      park = function()
        return (t:messages {after = cursor}())
      end,
      complete = function() t:publish("item") end, keeps = true,
    }
  end},
  {"neap.Topics:wait", function()
    local a, b = topic("cancel.a." .. tostring({})), topic("cancel.b." .. tostring({}))
    local both = neap.topics {a, b}
    local cursor = select(3, both:wait {timeout = 0})
    return {
      park = function() return (both:wait {after = cursor}) end, complete = function() b:publish("item") end, keeps = true,
    }
  end},
  {"neap.Topics:messages", function()
    local a, b = topic("cancel.a." .. tostring({})), topic("cancel.b." .. tostring({}))
    local next_item = neap.topics({a, b}):messages()
    return {park = function() return (next_item()) end, complete = function() b:publish("item") end, keeps = true}
  end},
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
  {"neap.net.connect, with TLS", function(case) -- the handshake fails, as soon as there is an answer
    local up = case:keep(upstream.start(function(socket) socket:recv() socket:send("no TLS") end))
    return {park = function() return select(2, net.connect("127.0.0.1", up.port, {tls = true})) end}
  end},
  {"neap.http.get", function(case)
    local up = case:keep(upstream.start(upstream.answering(upstream.ok("hello"))))
    return {park = function()
      local answer = http.get(up.url)
      return answer and answer.body
    end}
  end},
  {"neap.http.post, of an iterator", function(case)
    local up = case:keep(upstream.start(function(socket)
      socket:read_until("\r\n0\r\n\r\n")
      socket:send(upstream.ok("hello"))
    end))
    return {park = function()
      local pieces = 0
      local answer = http.post(up.url, {body = function()
        pieces = pieces + 1
        task.yield()
        return pieces < 3 and "piece" or nil
      end})
      return answer and answer.body
    end}
  end},
  {"neap.HttpResponse:read_chunk", function(case)
    local answer, send = streaming(case)
    return {park = function() return answer:read_chunk() end, complete = function() send("item") end, keeps = true}
  end},
  {"neap.HttpResponse:chunks", function(case)
    local answer, send = streaming(case)
    return {park = function() return answer:chunks()() end, complete = function() send("item") end, keeps = true}
  end},
  {"core.scrypt", function() -- with little work, for hash_password and verify_password
    return {park = function() return core.scrypt("secret", "salt", 4, 1, 1) end}
  end},
  {"neap.Redis:command, of a server that answers at once", function(case) -- the connection of a cancelled one is closed, so there are many
    if not core.redis_reader then return {park = function() return true end} end
    local up = case:keep(upstream.start(function(socket)
      while socket:recv() do socket:send("+PONG\r\n") end
    end))
    local r = case:keep(require("neap.redis").connect {port = up.port, max = 1})
    return {park = function() return r:ping() end, whole = function() return r:stats().waiting == 0 end}
  end},
  {"pool:acquire", function(case)
    local driver = {name = "fake", open = function() return {} end, close = nothing}
    driver.is_usable = function() return true end
    local one = case:keep(require("neap.db.pool").new(driver, {max = 1}, "spec"))
    local lease = assert(one:acquire(1))
    return {
      park = function()
        local mine <close> = assert(one:acquire(10))
        return mine.conn
      end,
      complete = function() lease:close() end,
      keeps = true,
      whole = function() return one:stats().open == 1 end,
    }
  end},
  {"neap.Redis:subscribe, the next message", function(case)
    if not core.redis_reader then return {park = function() return true end} end
    local server
    local up = case:keep(upstream.start(function(socket)
      socket:recv()
      socket:send("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
      server = socket
      socket:recv()
    end))
    local r = case:keep(require("neap.redis").connect {port = up.port})
    local next_message, _, _, subscription = r:subscribe("a")
    case:keep(subscription)
    return {
      park = function() return select(2, next_message()) == "item" end,
      complete = function() server:send("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nitem\r\n") end,
      keeps = true,
    }
  end},
}
