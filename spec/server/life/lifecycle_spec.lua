-- A server from its start to its end: what it says, what signals do, and that nothing is left.
local server = require "spec.support.server"
local task = require "neap.task"

local HELLO = [[
  local neap = require "neap"
  local app = neap.app()
  app:get("/", function() return "hello" end)
  app:get("/slow", function()
    neap.log.info("slow begins")
    repeat neap.task.sleep(0.002) until io.open("release")
    return "slow"
  end)
  app:get("/endless", function() neap.log.info("endless begins") neap.task.sleep(3600) end)
  return app]]

local function fails(files, ...)
  local result = server.run({"run", "--port", "0", ...}, {files = files})
  assert.equal(1, result.code)
  assert.equal("", result.out)
  return result.err
end

-- An idle connection, which ends when the worker drains: after on_shutdown, which is after it stops to listen.
local function open_idle(s)
  local idle = s:connect()
  idle:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
  assert.matches("hello$", (idle:recv()))
  return idle
end

describe("starting", function()
  after_each(server.stop_all)

  it("says where it listens, once all workers are ready", function()
    local s = server.start {app = HELLO}
    assert.matches("^neap: listening on http://127%.0%.0%.1:%d+ %(2 workers, generation 1%)\n$", s.ready)
    local status, body = s:get("/")
    assert.equal(200, status)
    assert.equal("hello", body)
    assert.equal(0, s:stop())
  end)

  it("serves on several addresses", function()
    local s = server.start {app = HELLO, args = {"--listen", "127.0.0.1:0", "--listen", "unix:app.sock"}, workers = 1}
    assert.matches("http://127%.0%.0%.1:%d+, http://127%.0%.0%.1:%d+, unix:[^ ]*app.sock %(1 worker,", s.ready)
    local path = s.dir .. "/app.sock"
    assert.truthy(os.execute("test -S " .. path))
    assert.equal(0, s:stop())
    assert.falsy(os.execute("test -e " .. path))
  end)

  it("fails kindly when the port is taken", function()
    local s = server.start {app = HELLO, workers = 1}
    local result = server.run({"run", "--port", tostring(s.port), "app.lua"}, {files = {["app.lua"] = HELLO}})
    assert.equal(1, result.code)
    assert.equal(("neap: cannot listen on 127.0.0.1:%d: address already in use. Is another server running? "
      .. "Try --port 0 for any free port.\n"):format(s.port), result.err)
  end)

  it("shows an error in the application with its place, once", function()
    local err = fails({["apps/shop/app.lua"] = "local neap = require 'neap'\nlocal x\nx.y = 1"}, "--workers", "2")
    assert.matches("^neap: apps/shop/app.lua:3: attempt to index a nil value", err)
    assert.matches("The server was not started", err)
    local _, count = err:gsub("app.lua:3: attempt", "")
    assert.equal(1, count)
  end)

  it("shows a syntax error with its place", function()
    assert.matches("^neap: app.lua:2: ", fails({["app.lua"] = "local a = 1\nlocal = 2"}, "app.lua"))
  end)

  it("refuses two routes that are the same", function()
    local err = fails({["app.lua"] = [[
      local app = require("neap").app()
      app:get("/a/:x", function() end)
      app:get("/a/:y", function() end)
      return app]]}, "app.lua")
    assert.matches("app.lua:2", err)
    assert.matches("app.lua:3", err)
  end)

  it("gives up when loading takes longer than timeouts.startup", function()
    local err = fails({["app.lua"] = "require('neap.task').sleep(60)"}, "--set", "timeouts.startup=0.1", "app.lua")
    assert.matches("not loaded after 0.1 s %(timeouts.startup%): it was waiting at app.lua:1", err)
  end)

  it("says that loading was stopped by the watchdog", function()
    -- It counts from the sleep on, so that it cannot mean what neap has to load first.
    local err = fails({["app.lua"] = "require('neap.task').sleep(0.001)\nwhile true do end"}, "--set",
      "watchdog.log=0.1", "--set", "watchdog.raise=2", "--workers", "1", "app.lua")
    assert.matches("app.lua:2: in", err)
    assert.matches("neap: loading was stopped by the watchdog after [%d.]+ s at app.lua:%d+\n", err)
  end)

  it("may wait while it loads", function()
    local s = server.start {app = "require('neap.task').sleep(0.05)\n" .. HELLO}
    assert.equal(200, (s:get("/")))
  end)
end)

describe("stopping", function()
  after_each(server.stop_all)

  it("exits 0 on SIGTERM and SIGINT", function()
    assert.equal(0, server.start({app = HELLO}):stop("TERM"))
    assert.equal(0, server.start({app = HELLO}):stop("INT"))
  end)

  it("goes on after SIGHUP", function()
    local s = server.start {app = HELLO}
    s:kill("HUP")
    s:wait_log("SIGHUP")
    assert.equal(200, (s:get("/")))
  end)

  it("lets requests under way end", function()
    local s = server.start {app = HELLO, workers = 1}
    local idle <close> = open_idle(s)
    local socket <close> = s:connect()
    socket:send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("slow begins")
    s:kill("TERM")
    assert.equal("", server.receive_all(idle))
    s:write("release", "")
    local answer = server.receive_all(socket)
    assert.matches("^HTTP/1.1 200 ", answer)
    assert.matches("\r\nConnection: close\r\n", answer)
    assert.matches("slow$", answer)
    assert.equal(0, s:stop())
  end)

  it("closes idle connections at once", function()
    local s = server.start {app = HELLO, workers = 1}
    local idle <close> = open_idle(s)
    s:kill("TERM")
    assert.equal("", server.receive_all(idle))
    assert.equal(0, s:stop())
  end)

  it("cancels what is not done after timeouts.drain", function()
    local s = server.start {app = HELLO, workers = 1, args = {"--set", "timeouts.drain=0.1"}}
    local socket = s:connect()
    socket:send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("endless begins")
    assert.equal(0, s:stop())
    assert.matches("timeouts.drain", s:log())
    assert.matches("^HTTP/1.1 503 ", server.receive_all(socket))
  end)

  it("cancels at once on a second signal", function()
    local s = server.start {app = HELLO, workers = 1}
    local idle <close> = open_idle(s)
    local socket <close> = s:connect()
    socket:send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("endless begins")
    s:kill("TERM")
    assert.equal("", server.receive_all(idle)) -- not earlier: on_shutdown that was cut short is exit code 2
    s:kill("TERM")
    assert.equal(0, s:wait())
  end)

  it("leaves at once on a third signal, with exit code 2", function()
    local s = server.start {workers = 1, app = [[
      local neap = require "neap"
      local app = neap.app()
      app:get("/endless", function()
        local guard <close> = setmetatable({}, {__close = function() neap.task.sleep(3600) end})
        neap.log.info("endless begins")
        neap.task.sleep(3600)
      end)
      return app]]}
    local socket = s:connect()
    socket:send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("endless begins")
    s:kill("TERM")
    s:wait_log("stopping")
    s:kill("TERM")
    s:wait_log("cancelling")
    s:kill("TERM")
    assert.equal(2, s:wait())
    socket:close()
  end)

  it("works while it is still loading", function()
    local child = server.spawn({"run", "--port", "0", "app.lua"},
      {files = {["app.lua"] = "io.stderr:write('loading')\nrequire('neap.task').sleep(60)"}})
    child:wait_log("loading")
    assert.equal(0, child:stop("TERM"))
  end)
end)
