-- Hot reload: the next generation takes over beside the old one; connections stay, broken code never serves.
local command = require "spec.support.command"
local http = require "spec.support.http"
local live = require "spec.support.live"
local memory = require "spec.support.memory"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

-- An app that says which version of it answers.
local function app(version, more)
  return ([[
    local neap = require "neap"
    local app = neap.app()
    app:get("/", function() return "VERSION " .. neap.generation end)
    app:get("/at-gate", function() return tostring(neap.topic("gate"):stats().readers) end)
    %s
    return app]]):format(more or ""):gsub("VERSION", version)
end

local function start(more, opts)
  opts = opts or {}
  opts.app = app("one", more)
  return server.start(opts)
end

local function ask(s, path)
  local status, body = s:get(path)
  return ("%s %s"):format(status, body)
end

-- Waits until one handler waits for the topic "gate".
local function wait_at_gate(s)
  assert(server.poll(10, function() return ask(s, "/at-gate") == "200 1" end))
end

describe("a reload", function()
  after_each(server.stop_all)

  it("serves the new code, and counts generations", function()
    local s = start()
    assert.matches("generation 1%)", s.ready)
    assert.equal("200 one 1", ask(s, "/"))
    assert.is_true((s:reload {["app.lua"] = app "two"}))
    for _ = 1, 10 do assert.equal("200 two 2", ask(s, "/")) end -- both workers
    assert.is_true((s:reload {["app.lua"] = app "three"}))
    for _ = 1, 10 do assert.equal("200 three 3", ask(s, "/")) end
  end)

  it("loads required modules again", function()
    local more = [[app:get("/m", function() return require("words").hello end)]]
    local s = server.start {files = {["app.lua"] = app("one", more), ["words.lua"] = "return {hello = 'hello'}"}}
    assert.equal("200 hello", ask(s, "/m"))
    s:reload {["words.lua"] = "return {hello = 'bonjour'}"}
    assert.equal("200 bonjour", ask(s, "/m"))
  end)

  it("keeps a connection open, and gives its next request to the new code", function()
    local s = start(nil, {workers = 1})
    local conn = http.open(s)
    local function get()
      conn:send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      return conn:answer("GET").body
    end
    assert.equal("one 1", get())
    s:reload {["app.lua"] = app "two"}
    assert.equal("two 2", get())
    conn:close()
  end)

  it("takes the new code for a request whose head was half there", function()
    local s = start(nil, {workers = 1})
    local conn = http.open(s)
    conn:send("GET / HTTP/1.1\r\nHo")
    assert.equal("200 one 1", ask(s, "/")) -- so the half has arrived
    s:reload {["app.lua"] = app "two"}
    conn:send("st: localhost\r\n\r\n")
    assert.equal("two 2", conn:answer("GET").body)
    conn:close()
  end)

  it("lets requests under way finish on the old code", function()
    local slow = [[
      local gate = neap.topic("gate")
      app:get("/slow", function(req)
        gate:wait {timeout = 20}
        return "VERSION " .. req.path .. " " .. neap.generation
      end)
      app:post("/body", function(req) return "VERSION " .. assert(req:body()) end)
      app:get("/stream", function()
        return neap.res.stream(function(out)
          out:write("VERSION ") out:flush()
          gate:wait {timeout = 20}
          out:write("VERSION")
        end)
      end)
      app:get("/go", function() gate:publish("go") return 204 end)]]
    local s = start(slow, {workers = 1})
    local parked, body, stream = http.open(s), http.open(s), http.open(s)
    parked:send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    body:send("POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
    stream:send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream:upto("one ")
    assert(server.poll(10, function() return ask(s, "/at-gate") == "200 2" end))
    s:reload {["app.lua"] = app("two", slow)}
    assert.equal("200 two 2", ask(s, "/"))
    body:send("cd")
    assert.equal("one abcd", body:answer("POST").body)
    ask(s, "/go")
    assert.equal("one /slow 1", parked:answer("GET").body)
    stream:upto("one\r\n0\r\n\r\n")
    for _, conn in ipairs {parked, body, stream} do conn:close() end
  end)

  it("runs functions given to req:after on the old code", function()
    local after = [[
      local seen = neap.store("seen")
      app:get("/after", function(req)
        req:after(function() neap.task.sleep(0.3) seen:set("after", "VERSION") end)
        return "ok"
      end)
      app:get("/seen", function() return tostring(seen:get("after")) end)]]
    local s = start(after)
    ask(s, "/after")
    s:reload {["app.lua"] = app("two", after)}
    assert.is_true(server.poll(5, function() return ask(s, "/seen") == "200 one" end))
  end)

  it("cancels what is left of the old generation after timeouts.drain", function()
    local s = start([[
      app:get("/hang", function()
        local _ <close> = setmetatable({}, {__close = function() neap.store("seen"):set("closed", true) end})
        neap.task.sleep(100)
      end)
      app:get("/closed", function() return tostring(neap.store("seen"):get("closed")) end)]],
      {workers = 1, args = {"--set", "timeouts.drain=300ms"}})
    local conn = http.open(s)
    conn:send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert.equal("200 nil", ask(s, "/closed"))
    s:reload()
    s:wait_log("generation 1 still has something under way")
    assert.equal(503, conn:answer("GET").status)
    assert.equal("200 true", ask(s, "/closed"))
    conn:close()
  end)

  it("hurries the oldest generation when a third comes", function()
    local s = start([[app:get("/hang", function() neap.task.sleep(100) end)]], {workers = 1})
    local conn = http.open(s)
    conn:send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ask(s, "/")
    assert.is_true((s:reload()))
    assert.is_true((s:reload()))
    assert.equal(503, conn:answer("GET").status)
    assert.equal("200 one 3", ask(s, "/"))
    conn:close()
  end)

  it("is done once more when it is asked for while one is under way", function()
    local s = start([[neap.task.sleep(0.3)]])
    os.execute(("kill -HUP %d"):format(s.pid))
    s:wait_log("SIGHUP")
    s:write("app.lua", app "two")
    s:reload()
    s.generation = nil
    assert.truthy(server.poll(10, function() return ask(s, "/"):find("200 two", 1, true) end))
  end)

  it("runs the hooks of both, and never the jobs of both at a time", function()
    local more = [[
      local seen = neap.store("seen")
      local function note(text) seen:update_list(text) end
      app:on_startup(function() note("startup VERSION") return function() note("closed VERSION") end end)
      app:on_ready(function() note("ready VERSION") end)
      app:on_shutdown(function(_, reason) note("shutdown VERSION " .. reason) end)
      app:on_cleanup(function() note("cleanup VERSION") end)
      app:service("ticker", function()
        note("job begins VERSION")
        local _ <close> = setmetatable({}, {__close = function() neap.task.sleep(0.05) note("job ends VERSION") end})
        neap.task.sleep(1000)
      end)
      app:get("/seen", function() return table.concat(seen:get("list"), "\n") end)]]
    more = more:gsub("seen:update_list%(text%)", [[
      local list = seen:get("list") or {} list[#list + 1] = text seen:set("list", list)]])
    local s = start(more, {workers = 1})
    assert(server.poll(10, function() return ask(s, "/seen"):find("job begins one", 1, true) end))
    s:reload {["app.lua"] = app("two", more)}
    local text
    assert(server.poll(10, function()
      text = ask(s, "/seen")
      return text:find("closed one", 1, true) and text:find("ready two", 1, true)
    end), text)
    local function at(what) return assert(text:find(what, 1, true), what .. " is not in " .. text) end
    assert(at("startup two") < at("shutdown one reload"))
    assert(at("shutdown one reload") < at("job ends one"))
    assert(at("job ends one") < at("job begins two"))
    assert(at("job ends one") < at("cleanup one"))
    assert(at("cleanup one") < at("closed one"))
  end)

  it("is what neap reload asks for, which prints the outcome", function()
    local s = start()
    local function reload()
      return command.run(("cd %s && %s reload --pid %d"):format(s.dir, os.getenv("NEAP_BIN"), s.pid))
    end
    s:write("app.lua", app "two")
    local result = reload()
    assert.equal(0, result.code, result.err)
    assert.equal("200 two 2", ask(s, "/"))
    s:write("app.lua", "return 1 +")
    result = reload()
    assert.equal(1, result.code)
    assert.matches("app.lua:1: unexpected symbol", result.err)
    assert.equal("200 two 2", ask(s, "/"))
  end)

  it("takes polls and sockets that an old handler opens after it", function()
    local more = [[
      app:get("/first", function() return "so that numbers differ" end)
      app:get("/poll", function()
        neap.topic("gate"):wait {timeout = 20}
        return neap.res.poll("news", {timeout = 20})
      end)
      app:ws("/ws", {
        open = function(ws) neap.topic("gate"):wait {timeout = 20} ws:send("VERSION opens") end,
        message = function(ws, text) ws:send("VERSION " .. text) end,
      })
      app:get("/polls", function() return tostring(neap.topic("news"):stats().polls) end)
      app:get("/publish/:topic", function(req) neap.topic(req.params.topic):publish("x") return 204 end)]]
    local s = start(more, {workers = 1})
    local poll, socket = http.open(s), ws.open(s, "/ws")
    poll:send("GET /poll HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert(server.poll(10, function() return ask(s, "/at-gate") == "200 2" end))
    s:reload {["app.lua"] = app("two", (more:gsub('app:get%("/first".-end%)', "")))}
    ask(s, "/publish/gate")
    assert.equal("one opens", (socket:message()))
    socket:send("hello")
    assert.equal("two hello", (socket:message()))
    assert(server.poll(10, function() return ask(s, "/polls") == "200 1" end))
    s:reload {["app.lua"] = app("three", more)}
    ask(s, "/publish/news")
    assert.matches('"x"', poll:answer("GET").body, 1, true)
    poll:close()
    socket:close()
  end)

  it("leaves no memory behind", function()
    if not memory.is_measurable() then return pending("memory is not measured with " .. memory.sanitizer()) end
    local s = start([[
      app:every("10ms", function() end)
      app:service("s", function() neap.task.sleep(1000) end)
      for i = 1, 200 do app:get("/r" .. i, function() return "x" end) end]])
    for _ = 1, 10 do s:reload() end
    local before = s:rss()
    for _ = 1, 60 do s:reload() end
    local grown = s:rss() / before
    assert.is_true(grown < 1.25, ("grew to %.2f times of what it was"):format(grown))
  end)

  it("leaves a stop alone that comes while the old hooks still run", function()
    local s = start([[app:on_shutdown(function() neap.log.info("shutting down") neap.task.sleep(0.5) end)]], {workers = 1})
    s:reload()
    s:wait_log("shutting down")
    assert.equal(0, s:stop())
  end)

  it("gives up when the server stops meanwhile", function()
    local s = start()
    s:write("app.lua", app("two", "neap.log.info('loading') neap.task.sleep(100)"))
    os.execute(("kill -HUP %d"):format(s.pid))
    s:wait_log("loading")
    assert.equal(0, s:stop())
  end)
end)

describe("a broken save", function()
  after_each(server.stop_all)

  local function keeps(files, expected, opts)
    local s = start([[package.loaded["*"] = require "part"]],
      {files = {["part.lua"] = "return {}"}, args = opts and opts.args})
    local ok, line = s:reload(files)
    assert.is_false(ok)
    assert.matches(expected, line)
    for _ = 1, 4 do assert.equal("200 one 1", ask(s, "/")) end
    assert.is_true((s:reload {["app.lua"] = app "fixed", ["part.lua"] = "return {}"}))
    assert.equal("200 fixed 3", ask(s, "/"))
  end

  it("with a syntax error keeps the old generation", function()
    keeps({["app.lua"] = app("two", "local = 1")}, "app.lua:5: <name> expected")
  end)
  it("with a runtime error while loading keeps the old generation", function()
    keeps({["app.lua"] = app("two", "local x = nil + 1")}, "attempt to perform arithmetic on a nil value")
  end)
  it("with a missing module keeps the old generation", function()
    keeps({["app.lua"] = app("two", "require 'nowhere'")}, "module 'nowhere' not found")
  end)
  it("with a broken module keeps the old generation", function()
    keeps({["part.lua"] = "return {"}, "part.lua")
  end)
  it("without app.lua keeps the old generation", function()
    keeps({["app.lua"] = false}, "app.lua")
  end)
  it("with half of the file keeps the old generation", function()
    keeps({["app.lua"] = app("two"):sub(1, 90)}, "app.lua")
  end)
  it("that is empty keeps the old generation", function()
    keeps({["app.lua"] = ""}, "returned nothing, not an app")
  end)
  it("with two routes that nobody can tell apart keeps the old generation", function()
    keeps({["app.lua"] = app("two", "app:get('/', function() end)")}, "app.lua")
  end)
  it("that hangs while loading keeps the old generation", function()
    keeps({["app.lua"] = app("two", "neap.task.sleep(100)")}, "after 3 s",
      {args = {"--set", "timeouts.startup=3s"}})
  end)
  it("that runs for ever while loading keeps the old generation", function()
    keeps({["app.lua"] = app("two", "while true do end")}, "after 3 s",
      {args = {"--set", "timeouts.startup=3s", "--set", "watchdog.raise=4s"}})
  end)
  it("with an error in on_startup keeps the old generation, and undoes what it started", function()
    keeps({["app.lua"] = app("two", [[
      app:on_startup(function() return function() neap.log.info("undone") end end)
      app:on_startup(function() error("no database") end)]])}, "no database")
  end)
  it("with a hang in on_startup keeps the old generation", function()
    keeps({["app.lua"] = app("two", "app:on_startup(function() neap.task.sleep(100) end)")}, "timeouts.startup",
      {args = {"--set", "timeouts.startup=3s"}})
  end)
  it("that fails in one worker only keeps the old generation in all", function()
    keeps({["app.lua"] = app("two", "if neap.worker == 2 then error('worker two fails') end")}, "worker two fails")
  end)
end)

describe("what survives a reload", function()
  after_each(server.stop_all)

  it("is a parked poll, which gets what comes next", function()
    local s = server.start {app = live.APP, workers = 1}
    local admin, conn = live.open(s), http.open(s)
    conn:send("GET /poll/news?timeout=20 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    admin:wait_for("news", "polls", 1)
    assert.is_true((s:reload()))
    admin:publish("news", "hello")
    assert.matches("hello", conn:answer("GET").body)
    conn:close()
    admin:close()
  end)

  it("is an event stream, with every message once and in order", function()
    local s = server.start {app = live.APP, workers = 2}
    local admin, conn = live.open(s), http.open(s)
    conn:send("GET /events/news HTTP/1.1\r\nHost: localhost\r\n\r\n")
    admin:wait_for("news", "sse", 1)
    for i = 1, 4 do
      admin:publish("news", "m" .. i)
      assert.is_true((s:reload()))
    end
    admin:publish("news", "m5")
    local text = conn:upto("m5\n\n")
    local seen = {}
    for word in text:gmatch("data: (%w+)") do seen[#seen + 1] = word end
    assert.same({"m1", "m2", "m3", "m4", "m5"}, seen)
    conn:close()
    admin:close()
  end)

  it("is who visits a topic: the new code is told when they leave", function()
    local more = [[
      local seen = neap.store("seen")
      neap.topic("news"):on("subscribe", function(visit) visit.user = "ada" end)
      neap.topic("news"):on("leave", function(visit)
        seen:set(visit.transport, visit.user .. " leaves VERSION " .. tostring(visit.ws ~= nil))
      end)
      app:get("/poll", function() return neap.res.poll("news", {timeout = 20}) end)
      app:get("/events", function() return neap.res.events("news") end)
      app:ws("/ws", {open = function(ws) ws:subscribe("news") ws:send("ready") end})
      app:get("/count", function()
        local stats = neap.topic("news"):stats()
        return tostring(stats.polls + stats.sse + stats.websockets)
      end)
      app:get("/seen", function()
        return ("%s, %s, %s"):format(seen:get("poll"), seen:get("sse"), seen:get("websocket"))
      end)]]
    local s = start(more)
    local poll, events, socket = http.open(s), http.open(s), ws.open(s, "/ws")
    poll:send("GET /poll HTTP/1.1\r\nHost: localhost\r\n\r\n")
    events:send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert(server.poll(10, function() return ask(s, "/count") == "200 3" end))
    s:reload {["app.lua"] = app("two", more)}
    s:reload {["app.lua"] = app("three", more)}
    for _, conn in ipairs {poll, events, socket.conn} do conn:close() end
    local expected = "200 ada leaves three false, ada leaves three false, ada leaves three true"
    local text
    assert(server.poll(10, function()
      text = ask(s, "/seen")
      return text == expected
    end), text)
  end)

  it("is what a topic and a store hold", function()
    local s = server.start {app = live.app [[
      app:get("/store", function() return tostring(neap.store("kept"):get("x")) end)
      app:get("/set", function() neap.store("kept"):set("x", "y") return 204 end)]]}
    local admin = live.open(s)
    local cursor = admin:cursor()
    admin:publish("news", "before")
    ask(s, "/set")
    assert.is_true((s:reload()))
    assert.matches("before", select(2, s:get("/poll/news?from=" .. cursor)))
    assert.equal("200 y", ask(s, "/store"))
    admin:close()
  end)

  it("is a table of neap.keep, with what it holds at the switch", function()
    local more = [[
      local kept = neap.keep("counts", function() return {hits = 0, list = {"a"}} end)
      local seen_while_loading = kept.hits
      app:get("/hit", function() kept.hits = kept.hits + 1 return "VERSION " .. kept.hits .. kept.list[1] end)
      app:get("/loading", function() return tostring(seen_while_loading) end)]]
    local s = start(more, {workers = 1})
    assert.equal("200 one 1a", ask(s, "/hit"))
    s:reload {["app.lua"] = app("two", more)}
    assert.equal("200 1", ask(s, "/loading"))
    assert.equal("200 two 2a", ask(s, "/hit"))
    s:reload {["app.lua"] = app("three", more .. " neap.task.sleep(0.3)")}
    assert.equal("200 three 3a", ask(s, "/hit"))
  end)

  it("is not a table of neap.keep with a function in it: the reload fails and names it", function()
    local s = start [[neap.keep("db", {user = {conn = print}})]]
    local ok, line = s:reload()
    assert.is_false(ok)
    assert.matches('keep \\"db\\".user.conn: a function cannot be kept', line, 1, true)
    assert.equal("200 one 1", ask(s, "/"))
  end)

  it("is what on_handoff gives to on_adopt, in mounted apps too", function()
    local more = [[
      local sub = neap.app()
      app:mount("/sub", sub)
      for name, each in pairs {main = app, sub = sub} do
        each:on_handoff(function()
          neap.task.sleep(0.01)
          return {text = (each.state.text or "") .. name .. neap.generation}
        end)
        each:on_adopt(function(data)
          neap.task.sleep(0.01)
          each.state.text = data.text
        end)
        each:get("/state", function() return tostring(each.state.text) end)
      end]]
    local s = start(more)
    assert.equal("200 nil", ask(s, "/state"))
    s:reload()
    s:reload()
    assert.equal("200 main1main2", ask(s, "/state"))
    assert.equal("200 sub1sub2", ask(s, "/sub/state"))
  end)

  it("is nothing when a hook fails: the reload does", function()
    local s = start [[
      app:on_handoff(function() return {value = function() end} end)]]
    local ok, line = s:reload()
    assert.is_false(ok)
    assert.matches("on_handoff./.value: a function cannot be kept", line, 1, true)
    s:stop()
    s = start [[
      app:on_handoff(function() return {} end)
      app:on_adopt(function() error("cannot adopt") end)]]
    ok, line = s:reload()
    assert.is_false(ok)
    assert.matches("cannot adopt", line, 1, true)
    assert.equal("200 one 1", ask(s, "/"))
  end)
end)

describe("a WebSocket with callbacks", function()
  after_each(server.stop_all)

  local ROUTE = [[
    app:ws("/room/:id", {
      open = function(ws, req)
        ws.data.room = req.params.id
        ws.data.count = 0
        ws:subscribe("news")
        ws:send("VERSION open " .. ws.id)
      end,
      message = function(ws, message)
        if message == "slow" then neap.topic("gate"):wait {timeout = 20} end
        ws.data.count = ws.data.count + 1
        ws:send(("VERSION %s %s %d"):format(ws.data.room, message, ws.data.count))
      end,
      close = function(ws) neap.store("seen"):set("closed", "VERSION" .. ws.data.count) end,
    })
    app:get("/publish/:topic", function(req) neap.topic(req.params.topic):publish("pushed by VERSION") return 204 end)
    app:get("/closed", function() return tostring(neap.store("seen"):get("closed")) end)]]

  it("goes on in the new code, with its data and subscriptions, and is not opened again", function()
    local s = start(ROUTE)
    local socket = ws.open(s, "/room/blue")
    assert.matches("one open", (socket:message()))
    socket:send("a")
    assert.equal("one blue a 1", (socket:message()))
    s:reload {["app.lua"] = app("two", ROUTE)}
    socket:send("b")
    assert.equal("two blue b 2", (socket:message()))
    ask(s, "/publish/news")
    assert.equal("pushed by two", (socket:message()))
    s:reload {["app.lua"] = app("three", ROUTE)}
    socket:send("c")
    assert.equal("three blue c 3", (socket:message()))
    socket:close()
    assert.is_true(server.poll(5, function() return ask(s, "/closed") == "200 three3" end))
  end)

  it("lets the message at work finish in the old code; those behind it wait for the new", function()
    local s = start(ROUTE)
    local socket = ws.open(s, "/room/blue")
    socket:message()
    socket:send("slow")
    socket:send("b")
    wait_at_gate(s)
    s:reload {["app.lua"] = app("two", ROUTE)}
    socket:send("c")
    ask(s, "/publish/gate")
    assert.equal("one blue slow 1", (socket:message()))
    assert.equal("two blue b 2", (socket:message()))
    assert.equal("two blue c 3", (socket:message()))
    socket:close()
  end)

  it("is closed with 1012 when its route is gone, or its data cannot travel", function()
    local s = start(ROUTE .. [[ app:ws("/bad", {
      open = function(ws) ws.data.user = {conn = print} ws:send("x") end,
      close = function(ws) neap.store("seen"):set("closed", "bad") end})]])
    local socket, bad = ws.open(s, "/room/blue"), ws.open(s, "/bad")
    socket:message()
    bad:message()
    s:reload {["app.lua"] = app("two", [[app:ws("/bad", {message = print})]])}
    assert.equal(1012, (socket:ending()))
    assert.equal(1012, (bad:ending()))
    s:wait_log("ws.data.user.conn: a function cannot be kept")
    assert.equal("200 two 2", ask(s, "/"))
  end)

  it("is closed with 1012 when its message is still at work after the drain time", function()
    local s = start(ROUTE, {args = {"--set", "timeouts.drain=200ms"}})
    local socket = ws.open(s, "/room/blue")
    socket:message()
    socket:send("slow")
    socket:send("b")
    wait_at_gate(s)
    s:reload()
    assert.equal(1012, (socket:ending()))
  end)

  it("of a controller goes on", function()
    local chat = [[
      function ws.room(ws, req, name)
        ws:on_handoff(function() return true end)
        ws:send("VERSION " .. name)
        for message in ws:messages() do ws:send("VERSION " .. message) end
      end
      ws.calls = {message = function(ws, message) ws:send("VERSION " .. message) end}]]
    local s = server.start {files = {["apps/chat/controllers/chat.lua"] = chat:gsub("VERSION", "one")}, target = "apps"}
    local room, calls = ws.open(s, "/chat/chat/room/blue"), ws.open(s, "/chat/chat/calls")
    assert.equal("one blue", (room:message()))
    calls:send("a")
    assert.equal("one a", (calls:message()))
    s:reload {["apps/chat/controllers/chat.lua"] = (chat:gsub("VERSION", "two"))}
    assert.equal("two blue", (room:message()))
    for _, socket in ipairs {room, calls} do
      socket:send("b")
      assert.equal("two b", (socket:message()))
      socket:close()
    end
  end)

  it("of topic:serve goes on", function()
    local s = server.start {app = live.APP}
    local admin, socket = live.open(s), ws.open(s, "/serve/news")
    admin:wait_for("news", "websockets", 1)
    for i = 1, 3 do
      assert.is_true((s:reload()))
      admin:publish("news", "m" .. i)
      assert.matches("m" .. i, (socket:message()))
    end
    socket:send("nobody minds")
    socket:close()
    admin:close()
  end)
end)

describe("a WebSocket with a coroutine", function()
  after_each(server.stop_all)

  local ROUTE = [[
    app:ws("/room/:id", function(ws, req)
      local count = ws.handoff and ws.handoff.count or 0
      if not ws.handoff then ws:subscribe("news") end
      ws:on_handoff(function() return {count = count} end)
      ws:send(("VERSION begins %s %d"):format(req.params.id, count))
      for message in ws:messages() do
        if message == "slow" then neap.topic("gate"):wait {timeout = 20} end
        count = count + 1
        ws:send(("VERSION %s %d %s"):format(message, count, req.headers["x-name"] or ""))
      end
    end)
    app:ws("/stays", function(ws) for message in ws:messages() do ws:send("VERSION " .. message) end end)
    app:get("/publish/:topic", function(req) neap.topic(req.params.topic):publish("pushed by VERSION") return 204 end)]]

  it("hands over to the new handler: same socket, its data, its request, its subscriptions", function()
    local s = start(ROUTE)
    local socket = ws.open(s, "/room/blue", {["X-Name"] = "ada"})
    assert.equal("one begins blue 0", (socket:message()))
    socket:send("a")
    assert.equal("one a 1 ada", (socket:message()))
    for i, name in ipairs {"two", "three", "four"} do
      s:reload {["app.lua"] = app(name, ROUTE)}
      assert.equal(name .. " begins blue " .. i, (socket:message()))
      socket:send("b")
      assert.equal(("%s b %d ada"):format(name, i + 1), (socket:message()))
      ask(s, "/publish/news")
      assert.equal("pushed by " .. name, (socket:message()))
    end
    socket:close()
  end)

  it("leaves the messages behind the one at work to the new handler, in order", function()
    local s = start(ROUTE)
    local socket = ws.open(s, "/room/blue")
    socket:message()
    socket:send("slow")
    socket:send("b")
    wait_at_gate(s)
    s:reload {["app.lua"] = app("two", ROUTE)}
    socket:send("c")
    ask(s, "/publish/gate")
    local got = {}
    for i = 1, 4 do got[i] = socket:message() end
    assert.same({"one slow 1 ", "two begins blue 1", "two b 2 ", "two c 3 "}, got)
    socket:close()
  end)

  it("without ws:on_handoff stays in the old code until the drain time is over, then closes with 1012", function()
    local s = start(ROUTE, {args = {"--set", "timeouts.drain=1s"}})
    local socket = ws.open(s, "/stays")
    socket:send("a")
    assert.equal("one a", (socket:message()))
    s:reload {["app.lua"] = app("two", ROUTE)}
    socket:send("b")
    assert.equal("one b", (socket:message()))
    assert.equal(1012, (socket:ending()))
  end)

  it("is closed with 1012 when its route is gone, or what it hands over cannot travel", function()
    local s = start(ROUTE .. [[ app:ws("/bad", function(ws)
      ws:on_handoff(function() return {conn = print} end)
      ws:send("x")
      ws:recv()
    end)]])
    local socket, bad = ws.open(s, "/room/blue"), ws.open(s, "/bad")
    socket:message()
    bad:message()
    s:reload {["app.lua"] = app("two", [[app:ws("/bad", function(ws) ws:recv() end)]])}
    assert.equal(1012, (socket:ending()))
    assert.equal(1012, (bad:ending()))
    s:wait_log("ws.handoff.conn: a function cannot be kept")
  end)

  it("ends with 1011 when its on_handoff fails, and goes on when the client left meanwhile", function()
    local s = start [[app:ws("/bad", function(ws)
      ws:on_handoff(function() error("cannot") end)
      ws:send("x")
      ws:recv()
    end)
    app:ws("/slow", function(ws)
      ws:on_handoff(function() neap.task.sleep(0.3) return 1 end)
      ws:send("x")
      ws:recv()
    end)]]
    local bad, slow = ws.open(s, "/bad"), ws.open(s, "/slow")
    bad:message()
    slow:message()
    s:reload()
    assert.equal(1011, (bad:ending()))
    slow.conn:close()
    assert.equal("200 one 2", ask(s, "/"))
  end)

  it("cannot be reached from the old code any more", function()
    local s = start([[
      local kept
      app:ws("/ws", function(ws, req)
        ws:on_handoff(function() return true end)
        ws:send("VERSION")
        kept = kept or {ws = ws, req = req}
        ws:recv()
      end)
      app:get("/later", function()
        neap.topic("gate"):wait {timeout = 20}
        local ok, err = pcall(function() return kept.req.params.id end)
        return ("%s %s"):format(select(2, kept.ws:send("from the dead")), ok or err:match("this request is over"))
      end)
      app:get("/go", function() neap.topic("gate"):publish("x") return 204 end)]], {workers = 1})
    local socket, later = ws.open(s, "/ws"), http.open(s)
    socket:message()
    later:send("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_at_gate(s)
    s:reload()
    assert.equal("one", (socket:message()))
    ask(s, "/go")
    assert.equal("closed this request is over", later:answer("GET").body)
    later:close()
    socket:close()
  end)
end)
