-- neap.redis against a real Redis, which is killed, stopped and restarted under it.
local certificate = require "spec.support.certificate"
local core = require "neap.core"
local log = require "neap.log"
local net = require "neap.net"
local redis = core.redis_reader and require "neap.redis"
local redis_server = require "spec.support.redis"
local server = require "spec.support.server"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

local spawn = core.task.spawn_owned

-- Until `t` waits for something.
local function settled(t)
  repeat task.yield() until t.status ~= "ready" and t.status ~= "running"
  return t
end

local function until_true(condition)
  assert(server.poll(20, condition), "this does not happen")
end

describe("neap.redis", function()
  if redis_server.is_missing() then return pending("redis-server or hiredis is missing") end

  local peer ---@type spec.Redis

  setup(function() peer = redis_server.start() end)
  teardown(function() peer:stop() end)

  local function connect(opts)
    local r = redis.connect(peer.url, opts)
    assert.equal("PONG", r:ping())
    return r
  end

  before_each(function()
    local r <close> = connect()
    r:flushall()
  end)

  it("has every command as a method", function()
    local r <close> = connect()
    assert.equal("OK", r:set("text", "a\0b\r\n"))
    assert.equal("a\0b\r\n", r:get("text"))
    assert.same({nil, nil}, {r:get("absent")})
    assert.equal("OK", r:set("number", math.maxinteger - 1))
    assert.equal(math.maxinteger, r:incr("number"))
    assert.equal(2, r:hset("hash", "a", 1, "b", 2.5))
    assert.same({"1", "2.5"}, r:hmget("hash", "a", "b"))
    assert.same({"1", nil, n = 2}, r:hmget("hash", "a", "x"))
    assert.same({}, r:keys("none*"))
    assert.equal("embstr", r:command("object", "encoding", "text"))
  end)

  it("gives nil and an error with a code when the server refuses", function()
    local r <close> = connect()
    r:set("text", "x")
    local reply, err = r:lpush("text", 1)
    assert.is_nil(reply)
    assert.equal("WRONGTYPE", err.code)
    assert.matches("^WRONGTYPE Operation against", tostring(err))
    assert.equal("x", r:get("text"))
    assert.equal(1, r:stats().open)
  end)

  it("refuses what is no argument at the caller's line", function()
    local r <close> = connect()
    for _, wrong in ipairs {
      function() r:set("a", {}) end, function() r:set("a", nil) end, function() r:command() end, function() r:multi() end,
      function() r:select(1) end, function() r:subscribe() end, function() r:command("SUBSCRIBE", "a") end,
      function() r:pipeline(function(p) p:exec() end) end, function() r:within("soon") end,
      function() redis.connect("rediss://localhost", {tls = {verfy = false}}) end,
      function() redis.connect("http://localhost") end,
      function() redis.connect {prot = 1} end, function() redis.connect {port = 0} end,
    } do
      local ok, err = pcall(wrong)
      assert.is_false(ok)
      assert.matches("redis_spec.lua:%d+: ", err)
    end
    assert.is_nil(select(2, pcall(redis.connect, "redis://user:secret@local host:x")):find("secret", 1, true))
  end)

  it("logs in and chooses a database", function()
    local r <close> = connect()
    r:config("SET", "requirepass", "p@ss word")
    local stranger <close> = redis.connect(peer.url)
    local none, err = stranger:get("x")
    assert.is_nil(none)
    assert.equal("NOAUTH", err.code)
    local wrong <close> = redis.connect {port = peer.port, password = "no"}
    none, err = wrong:get("x")
    assert.is_nil(none)
    assert.equal("WRONGPASS", err.code)
    local friend <close> = redis.connect(("redis://:p%%40ss%%20word@127.0.0.1:%d/3"):format(peer.port), {name = "spec"})
    assert.equal("OK", friend:set("here", 1))
    assert.matches("name=spec .*db=3 ", friend:client("LIST"))
    friend:config("SET", "requirepass", "")
    assert.is_nil((r:get("here")))
  end)

  it("sends many commands in one go", function()
    local r <close> = connect()
    local results = assert(r:pipeline(function(p)
      assert.equal(1, p:set("a", 1))
      assert.equal(2, p:incr("a"))
      p:lpush("a", 1)
      p:get("absent")
      p:command("GET", "a")
    end))
    assert.equal(5, results.n)
    assert.equal(2, results[2])
    assert.equal("WRONGTYPE", results[3].code)
    assert.is_nil(results[4])
    assert.equal("2", results[5])
    assert.same({n = 0}, r:pipeline(function() end))
    results = assert(r:pipeline(function(p) for i = 1, 20000 do p:set("k" .. i, ("v"):rep(50)) end end))
    assert.equal(20000, results.n)
    assert.equal("OK", results[20000])
  end)

  it("makes transactions", function()
    local r <close> = connect()
    r:set("text", "x")
    assert.same({"OK", 2, n = 2}, r:pipeline(function(p)
      p:set("a", 1)
      p:incr("a")
    end, {atomic = true}))
    local results = assert(r:pipeline(function(p)
      p:lpush("text", 1)
      p:get("a")
    end, {atomic = true}))
    assert.equal("WRONGTYPE", results[1].code)
    assert.equal("2", results[2])
    local none, err = r:pipeline(function(p)
      p:set("a", 5)
      p:command("NONSENSE")
    end, {atomic = true})
    assert.is_nil(none)
    assert.equal("ERR", err.code)
    assert.equal("2", r:get("a"))
  end)

  it("watches on a pinned connection, which is closed when something is left of it", function()
    local r <close> = connect()
    local function change(other)
      return r:pinned(function(c)
        c:watch("stock")
        if other then r:set("stock", 7) end
        return c:pipeline(function(p) p:set("stock", 1) end, {atomic = true})
      end)
    end
    assert.same({"OK", n = 1}, change(false))
    assert.same({nil, "changed"}, {change(true)})
    assert.equal("7", r:get("stock"))
    local open = r:stats().open
    assert.same({"OK", "QUEUED"}, {r:pinned(function(c) return c:multi(), c:set("stock", 9) end)})
    assert.equal(open - 1, r:stats().open)
    assert.equal("7", r:get("stock"))
    r:pinned(function(c) return c:select(5) end)
    for _ = 1, 5 do assert.equal("7", r:get("stock")) end
  end)

  it("keeps a reply too large out, and goes on", function()
    local r <close> = connect {max_reply = "64KB"}
    r:set("big", ("x"):rep(100000))
    assert.same({nil, "too_large"}, {r:get("big")})
    assert.same({nil, "too_large"}, {r:eval("local t = {} for i = 1, 7000 do t[i] = i end return t", 0)})
    r:set("small", ("x"):rep(60000))
    assert.equal(60000, #r:get("small"))
  end)

  -- A server that sends `answer` whatever it is asked, and what `r:get` gives then.
  local function get_from(answer, repeats)
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local g <close> = task.group()
    local r <close> = redis.connect {port = listener.port, timeout = 5, max_reply = "1MB"}
    g:spawn(function()
      for socket in listener:connections() do
        local s <close> = socket
        s:recv()
        for _ = 1, repeats or 1 do
          if not s:send(answer, 5) then break end
        end
      end
    end)
    local results = {{r:get("x")}, {r:get("x")}}
    assert.equal(0, r:stats().open)
    listener:close()
    return table.unpack(results)
  end

  it("closes a connection to what does not talk Redis", function()
    for _, garbage in ipairs {"HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0\r\n", "*1\r\n%2\r\n"} do
      local first, second = get_from(garbage)
      assert.same({nil, "protocol"}, first)
      assert.same({nil, "protocol"}, second)
    end
  end)

  it("closes a connection whose reply has no end", function()
    for bomb, rest in pairs {["*1000000000\r\n"] = ":1\r\n", ["$5000000000\r\n"] = "x", ["+"] = "x"} do
      local first, second = get_from(bomb .. rest:rep(10000), 200)
      assert.same({nil, "too_large"}, first)
      assert.same(first, second)
    end
  end)

  it("speaks through a UNIX socket", function()
    local r <close> = redis.connect("unix:" .. peer.path)
    assert.equal("PONG", r:ping())
  end)

  it("gives up after a time, and nobody else gets the late reply", function()
    local r <close> = connect {max = 1, timeout = 5}
    r:rpush("queue", "late")
    local none, err = r:within("50ms"):command("BLPOP", "empty", 1)
    assert.is_nil(none)
    assert.equal("timeout", err)
    assert.equal("late", r:lpop("queue"))
    assert.same({"queue", "now"}, (function()
      local t = spawn(function() return r:within("10s"):blpop("queue", 8) end)
      settled(t)
      local other <close> = connect()
      other:rpush("queue", "now")
      return select(2, t:join())
    end)())
  end)

  it("stays in order when its users are cancelled at any moment", function()
    local r <close> = connect {max = 3}
    for i = 1, 50 do r:set("k" .. i, "v" .. i) end
    for _ = 1, 30 do
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = spawn(function()
          local n = math.random(50)
          assert.equal("v" .. n, r:get("k" .. n))
        end)
      end
      for _ = 1, math.random(0, 3) do task.yield() end
      for i = 1, 10, 2 do tasks[i]:cancel() end
      for i = 1, 10 do assert(tasks[i]:join() or tasks[i].status == "cancelled", "mixed up") end
    end
    for i = 1, 50 do assert.equal("v" .. i, r:get("k" .. i)) end
    local stats = r:stats()
    assert.equal(0, stats.waiting)
    assert.equal(stats.open, stats.free)
  end)

  it("serves 50 tasks over 10 connections fairly", function()
    local r <close> = connect {max = 10}
    local served, tasks, stop = {}, {}, false
    for i = 1, 50 do
      served[i] = 0
      tasks[i] = spawn(function()
        while not stop do
          assert(r:incr("counter"))
          served[i] = served[i] + 1
        end
      end)
    end
    until_true(function() return served[1] >= 100 end)
    stop = true
    for i = 1, 50 do assert(tasks[i]:join()) end
    assert.is_true(r:stats().open <= 10)
    local sum = 0
    for i = 1, 50 do
      sum = sum + served[i]
      assert.is_true(served[i] >= 25 and served[i] <= 400, table.concat(served, " "))
    end
    assert.equal(sum, tonumber(r:get("counter")))
  end)

  it("gives nil and an error while the server is away, and recovers by itself", function()
    local r <close> = connect {max = 4, timeout = 5}
    local other <close> = redis_server.start()
    local q <close> = redis.connect(other.url, {max = 4, timeout = 5})
    local failures, successes, tasks, stop = 0, 0, {}, false
    for i = 1, 10 do
      tasks[i] = spawn(function()
        while not stop do
          local ok, err = q:set("k", "v")
          assert(ok == "OK" or type(err) == "string" or err.code == "LOADING", tostring(err))
          if ok then successes = successes + 1 else failures = failures + 1 end
          task.sleep(0.001)
        end
      end)
    end
    until_true(function() return successes > 100 end)
    other:stop()
    local from = failures
    until_true(function() return failures > from + 200 end)
    other:start()
    from = successes
    until_true(function() return successes > from + 100 end)
    stop = true
    for i = 1, 10 do assert(tasks[i]:join()) end
    assert.is_true(q:stats().open <= 4)
    assert.equal(0, q:stats().waiting)
    assert.equal("PONG", r:ping())
  end)

  it("says timeout when the server hangs, and recovers when it goes on", function()
    local r <close> = connect {max = 2, timeout = "100ms"}
    peer:signal "STOP"
    local _ <close> = setmetatable({}, {__close = function() peer:signal "CONT" end})
    for _ = 1, 3 do
      local none, err = r:get("x")
      assert.is_nil(none)
      assert.is_true(err == "timeout" or err == "busy", tostring(err))
    end
    peer:signal "CONT"
    until_true(function() return r:ping() end)
  end)

  it("iterates over the messages of channels", function()
    local r <close> = connect()
    local got = {}
    local t = spawn(function()
      for channel, message in r:subscribe("a", "b") do
        got[#got + 1] = channel .. "=" .. message
        if message == "end" then break end
      end
    end)
    until_true(function() return r:publish("a", "one") == 1 end)
    r:publish("b", "two")
    r:publish("c", "nobody")
    r:publish("a", "end")
    assert(t:join())
    assert.same({"a=one", "b=two", "a=end"}, got)
    until_true(function() return r:publish("a", "x") == 0 end)
  end)

  it("iterates over the messages of patterns", function()
    local r <close> = connect()
    local t = spawn(function()
      local next_message, _, _, subscription = r:psubscribe("news.*")
      local _ <close> = subscription
      return next_message()
    end)
    until_true(function() return r:publish("news.se", "hej") == 1 end)
    assert.same({true, "news.se", "hej", "news.*"}, {t:join()})
  end)

  it("subscribes again when the connection is lost, and tells that messages may be missing", function()
    local r <close> = connect()
    local got = {}
    local t = spawn(function()
      for channel, message in r:subscribe("a", "b") do
        got[#got + 1] = channel .. "=" .. tostring(message)
        if message == "end" then break end
      end
    end)
    until_true(function() return r:publish("a", "one") == 1 end)
    r:client("KILL", "TYPE", "pubsub")
    until_true(function() return #got == 3 end)
    until_true(function() return r:publish("a", "end") == 1 end)
    assert(t:join())
    assert.same({"a=one", "a=nil", "b=nil", "a=end"}, got)
  end)

  it("ends a subscription whose task is cancelled, or whose server refuses", function()
    local r <close> = connect()
    local t = spawn(function()
      for _ in r:subscribe("a") do error("there is none") end
    end)
    until_true(function() return r:pubsub("NUMSUB", "a")[2] == 1 end)
    t:cancel()
    t:join()
    until_true(function() return r:pubsub("NUMSUB", "a")[2] == 0 end)
    r:acl("SETUSER", "deaf", "on", "nopass", "~*", "+@all", "resetchannels")
    local deaf <close> = redis.connect {port = peer.port, user = "deaf", password = "x"}
    local none, err = deaf:subscribe("a")
    assert.is_nil(none)
    assert.equal("NOPERM", err.code)
  end)

  it("has nothing to close of a subscription that was cancelled before it began", function()
    local up <close> = upstream.start(function(socket) while socket:recv() do end end) -- luacheck: ignore 542
    local r <close> = redis.connect {port = up.port}
    local warn, warnings = log.warn, {}
    local _ <close> = setmetatable({}, {__close = function() log.warn = warn end})
    log.warn = function(message) warnings[#warnings + 1] = message end
    local t = spawn(function() r:subscribe("a") end)
    until_true(function() return up.open == 1 end)
    t:cancel()
    t:join()
    collectgarbage()
    collectgarbage()
    assert.same({}, warnings)
  end)

  it("needs no server to be made, and says at once that there is none", function()
    local r <close> = redis.connect("redis://127.0.0.1:1")
    assert.same({nil, "connection refused"}, {r:get("x")})
    assert.same({nil, "connection refused"}, {r:pipeline(function(p) p:get("x") end)})
    assert.same({nil, "connection refused"}, {r:pinned(function() error("not called") end)})
  end)

  it("is closed by close, and the log names one that was forgotten", function()
    local r = connect()
    r:close()
    assert.same({nil, "closed"}, {r:ping()})
    local result = server.run({"exec", "leak.lua"}, {files = {["leak.lua"] = [[
      local r = require("neap.redis").connect("redis://127.0.0.1:1")
      r = nil
      collectgarbage()
    ]]}})
    assert.equal(0, result.code)
    assert.matches("redis: never closed.*leak.lua:1", result.err)
  end)
end)

describe("neap.redis over TLS", function()
  if redis_server.is_missing() or certificate.is_missing() then return pending("redis-server or openssl is missing") end

  local peer ---@type spec.Redis

  setup(function() peer = redis_server.start_tls() end)
  teardown(function() peer:__close() end)

  it("runs commands, pipelines and subscriptions", function()
    local r <close> = redis.connect(peer.tls_url, {tls = {ca = peer.ca}, max = 2})
    local big = ("x"):rep(3000000)
    assert.equal("OK", r:set("big", big))
    assert.is_true(r:get("big") == big)
    assert.equal(20000, r:pipeline(function(p) for i = 1, 20000 do p:set("k" .. i, i) end end).n)
    local t = spawn(function()
      local next_message, _, _, subscription = r:subscribe("a")
      local _ <close> = subscription
      return select(2, next_message())
    end)
    until_true(function() return r:publish("a", "hello") == 1 end)
    assert.same({true, "hello"}, {t:join()})
    assert.equal(1, r:stats().open)
  end)

  it("trusts only who is vouched for, under the right name", function()
    local stranger <close> = redis.connect(peer.tls_url)
    assert.same({nil, "tls: self-signed certificate"}, {stranger:ping()})
    local misnamed <close> = redis.connect(peer.tls_url, {tls = {ca = peer.ca, server_name = "elsewhere"}})
    assert.matches("^tls: ", select(2, misnamed:ping()))
    local careless <close> = redis.connect(peer.tls_url, {tls = {verify = false}})
    assert.equal("PONG", careless:ping())
  end)

  it("never sends a password in clear to a server that has no TLS", function()
    local seen
    local up <close> = upstream.start(function(socket)
      seen = socket:recv()
      socket:send("+OK\r\n")
    end)
    local r <close> = redis.connect(("rediss://:secret@127.0.0.1:%d"):format(up.port))
    assert.matches("^tls: ", select(2, r:get("x")))
    assert.is_nil(seen:find("secret", 1, true))
  end)

  it("recovers when the server is killed and comes back", function()
    local r <close> = redis.connect(peer.tls_url, {tls = {ca = peer.ca}, timeout = 5})
    assert.equal("PONG", r:ping())
    peer:stop()
    local none, err = r:ping()
    assert.is_nil(none)
    assert.is_string(err)
    peer:start()
    until_true(function() return r:ping() end)
  end)
end)
