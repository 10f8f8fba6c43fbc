-- neap.test: an application in the state of its test.
local core = require "neap.core"
local neap = require "neap"
local task = require "neap.task"
local test = require "neap.test"

local function app_with(log)
  local app = neap.app()
  app:on_startup(function()
    log[#log + 1] = "start"
    return function() log[#log + 1] = "undone" end
  end)
  app:on_ready(function() log[#log + 1] = "ready" end)
  app:on_shutdown(function(_, reason) log[#log + 1] = reason end)
  return app
end

describe("a client of neap.test", function()
  it("starts an application with its hooks, and stops it", function()
    local log = {}
    local c = test.client(app_with(log))
    assert.same({"start", "ready"}, log)
    c:close()
    c:close()
    assert.same({"start", "ready", "shutdown", "undone"}, log)
    assert.same({}, test.leaks())
  end)

  it("loads a file as `neap run` would", function()
    local c <close> = test.client("examples/hello.lua")
    assert.equal("hello ada", (c:get("/hello/ada").body:gsub("%s+$", "")))
  end)

  it("undoes what was started when the start fails", function()
    local log = {}
    local app = app_with(log)
    app:on_startup(function() error("no database") end)
    assert.has_error(function()
      local ok, err = pcall(test.client, app)
      assert.is_false(ok)
      error(err:match("no database"), 0)
    end, "no database")
    assert.same({"start", "undone"}, log)
  end)

  it("makes requests, and keeps cookies", function()
    local app = neap.app()
    app:post("/login", function(req) return neap.res.text("hello " .. req:form().name):cookie("who", req:form().name) end)
    app:get("/me", function(req) return req.cookies.who or 401 end)
    app:post("/logout", function() return neap.res.empty(204):cookie("who", "", {max_age = 0}) end)
    app:any("/echo", function(req) return {method = req.method, body = req:body(), x = req.headers["x-y"]} end)
    app:get("/away", function() return neap.res.redirect("/me") end)
    local c <close> = test.client(app)
    assert.equal(401, c:get("/me").status)
    assert.equal("hello ada", c:post("/login", {form = {name = "ada"}}).body)
    assert.equal("ada", c:get("/me").body)
    assert.equal(204, c:post("/logout").status)
    assert.equal(401, c:get("/me").status)
    assert.same({method = "PUT", body = "[1]", x = "z"}, c:put("/echo", {json = {1}, headers = {["X-Y"] = "z"}}):json())
    assert.same({method = "PATCH", body = "b"}, c:patch("/echo", {body = "b"}):json())
    assert.equal("DELETE", c:delete("/echo"):json().method)
    local away = c:get("/away")
    assert.equal("/me", away.headers.location)
    assert.equal(302, away.status)
  end)

  it("talks through a WebSocket", function()
    local app = neap.app()
    app:ws("/echo", function(ws) for message, kind in ws:messages() do ws:send(message, kind) end end)
    app:ws("/leave", function(ws) ws:close(4001, "enough") end)
    local c <close> = test.client(app)
    local socket = c:ws("/echo")
    for _, message in ipairs {"", "hello", ("x"):rep(200), ("y"):rep(70000)} do
      socket:send(message)
      assert.same({message, "text"}, {socket:recv("5s")})
    end
    socket:send("\0\255", "binary")
    assert.same({"\0\255", "binary"}, {socket:recv("5s")})
    assert.same({nil, "timeout"}, {socket:recv("10ms")})
    assert.same({nil, "closed", 4001, "enough"}, {c:ws("/leave"):recv("5s")})
    assert.same({nil, "404 Not Found"}, {c:ws("/nothing")})
    assert.equal(403, tonumber(select(2, c:ws("/echo", {headers = {origin = "http://elsewhere"}})):match("%d+")))
  end)

  it("reads server-sent events", function()
    local app = neap.app()
    app:get("/news", function() return neap.res.events("test spec") end)
    local c <close> = test.client(app)
    local events = c:sse("/news")
    neap.topic("test spec"):publish("one\ntwo")
    neap.topic("test spec"):publish({n = 3})
    local event = events:next("5s")
    assert.equal("one\ntwo", event.data)
    assert.equal('{"n":3}', events:next("5s").data)
    assert.same({nil, "timeout"}, {events:next("10ms")})
    local again = c:sse("/news", {headers = {["last-event-id"] = event.id}})
    assert.equal('{"n":3}', again:next("5s").data)
    assert.same({nil, "404"}, {c:sse("/nothing")})
  end)

  it("ends what it spawned", function()
    local app = neap.app()
    app:get("/poll", function() return neap.res.poll("test spec 2") end)
    local c = test.client(app)
    local poll = c:spawn(function() return c:get("/poll").status end)
    assert(test.eventually(function() return neap.topic("test spec 2"):stats().polls == 1 end))
    c:close()
    assert.not_equal("waiting", poll.status)
  end)

  it("tells what was left open", function()
    local app = neap.app()
    local forgotten
    app:on_startup(function()
      forgotten = task.group()
      forgotten:spawn(function() task.sleep("1h") end)
    end)
    local c = test.client(app)
    local ok, err = pcall(c.close, c)
    assert.is_false(ok)
    assert.matches("did not end well:\n  task .*test_spec.lua:%d+: waiting at .*test_spec.lua:%d+$", err)
    forgotten:cancel()
    forgotten:join()
    assert.same({}, test.leaks())
  end)

  it("tells which clean-up failed, and does the others", function()
    local log = {}
    local app = app_with(log)
    app:on_cleanup(function() error("stuck") end)
    local c = test.client(app)
    local ok, err = pcall(c.close, c)
    assert.is_false(ok)
    assert.matches("on_cleanup %(.*test_spec.lua:%d+%) failed after .*stuck", err)
    assert.equal("undone", log[#log])
  end)
end)

describe("the virtual clock", function()
  it("wakes who sleeps, in order, each at its time", function()
    local from, log = task.now(), {}
    local g <close> = task.group()
    for _, seconds in ipairs {60, 30, 90, 3600} do
      g:spawn(function()
        task.sleep(seconds)
        local slept = task.now() - from
        log[#log + 1] = slept > seconds - 1 and slept < seconds + 25 and seconds or ("%g after %g"):format(seconds, slept)
      end)
    end
    test.advance("2m")
    assert.same({30, 60, 90}, log)
    test.advance(3600)
    assert.equal(3600, log[4])
  end)

  it("lets each moment set other things going", function()
    local count = 0
    local g <close> = task.group()
    g:spawn(function()
      while true do
        task.sleep("1s")
        count = count + 1
      end
    end)
    test.advance("10m")
    assert.equal(600, count)
    g:cancel()
  end)

  it("proves that a job ran, without waiting", function()
    local app, runs = neap.app(), 0
    app:every("1m", function() runs = runs + 1 end)
    local c <close> = test.client(app)
    test.advance("59s")
    assert.equal(0, runs)
    test.advance("1s")
    assert.equal(1, runs)
    test.advance("10m")
    assert.equal(11, runs)
  end)

  it("moves the clock on the wall along, for jobs that go by it", function()
    local app, at = neap.app(), {}
    app:cron("30 2 * * *", function() at[#at + 1] = os.date("!%H:%M", math.floor(core.task.time())) end, {tz = "UTC"})
    local c <close> = test.client(app)
    test.advance("48h")
    assert.same({"02:30", "02:30"}, at)
  end)

  it("goes on through the jobs of an example", function()
    local c <close> = test.client("examples/jobs.lua")
    local before = neap.store("sent"):get("ticks") or 0
    test.advance("60s")
    assert.equal(before + 60, neap.store("sent"):get("ticks"))
  end)

  it("ends a long-poll", function()
    local app = neap.app()
    app:get("/poll", function() return neap.res.poll("test spec 3", {timeout = 25}) end)
    local c <close> = test.client(app)
    local poll = c:spawn(function() return c:get("/poll").status end)
    assert(test.eventually(function() return neap.topic("test spec 3"):stats().polls == 1 end))
    test.advance("1m")
    assert.same({true, 204}, {poll:join("5s")})
  end)

  it("says so when time does not go on", function()
    local g <close> = task.group()
    g:spawn(function() while true do task.sleep(0) end end)
    local ok, err = pcall(test.advance, 1)
    g:cancel()
    assert.is_false(ok)
    assert.matches("sleeps for 0 seconds again and again", err)
  end)

  it("wants a duration", function()
    assert.has_error(function() test.advance("soon") end)
  end)
end)
