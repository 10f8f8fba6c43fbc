-- A worker that fails at nothing but memory builds its next generation by itself, and keeps its connections.
local command = require "spec.support.command"
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"
local together = require "spec.support.together"
local ws = require "spec.support.ws"

-- `hook`: what on_handoff does.
local function start(hook)
  return server.start {workers = 1, env = {NEAP_STATE = "state"}, app = ([[
    local neap = require "neap"
    local app = neap.app()
    local leak, kept = {}, neap.keep("kept", function() return {} end)
    kept.first = kept.first or neap.generation
    app:get("/leak", function()
      for _ = 1, 1000 do leak[#leak + 1] = ("x"):rep(1000) .. #leak end
      return tostring(#leak)
    end)
    app:get("/big", function() return tostring(#("x"):rep(1 << 25)) end)
    app:get("/caught", function()
      local ok, err = pcall(function() for _ = 1, 1000 do leak[#leak + 1] = ("x"):rep(1000) .. #leak end end)
      if not ok then error(err, 0) end
    end)
    app:get("/", function() return ("generation %%d, kept since %%d"):format(neap.generation, kept.first) end)
    app:get("/say", function() neap.topic("news"):publish("said") return 204 end)
    app:ws("/socket", {open = function(ws) ws:subscribe("news") end})
    app:get("/events", function() return neap.res.events("news") end)
    app:on_handoff(function() %s end)
    app:on_adopt(function(data) require("neap.log").info("adopted " .. tostring(data and data.some)) end)
    return app]]):format(hook), args = {"--set", "limits.memory=12MB"}}
end

-- Asks for `path` until `check` is content.
local function exhaust(s, path, check)
  assert(server.poll(60, function()
    s:get(path)
    return check(s:log())
  end), s:log())
end

local function says(text)
  return function(log) return log:find(text, 1, true) end
end

local function await_generation(s, number)
  assert(server.poll(20, function()
    local _, body = s:get("/")
    return body:find("generation " .. number, 1, true)
  end), s:log())
end

-- What is open while it happens goes on.
local function with_clients(s, act)
  local socket, events = ws.open(s, "/socket"), http.open(s)
  events:send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
  events:upto("\r\n\r\n")
  act()
  s:get("/say")
  assert.equal("said", (socket:message()))
  assert.truthy(events:upto("said"))
  socket.conn:close()
  events:close()
end

describe("a worker that fails at nothing but memory", function()
  teardown(server.stop_all)

  together(it, {
    {"builds the next generation once, and keeps connections, topics and data", function()
      local s = start("return {some = 'data'}")
      with_clients(s, function()
        exhaust(s, "/leak", says "building the next generation")
        assert.is_not_nil(command.run(("cd %s && NEAP_STATE=state %s ps"):format(s.dir, os.getenv "NEAP_BIN")).code)
        await_generation(s, 2)
      end)
      assert.matches("limits.memory is 12 MB", s:log())
      assert.matches("adopted data", s:log())
      assert.equal("generation 2, kept since 1", select(2, s:get("/")))
      exhaust(s, "/leak", says "again nearly all tasks fail for lack of memory")
      assert.not_matches("generation 3", s:log())
    end},
    {"does so without what on_handoff has no memory for, and however the error is caught", function()
      local s = start("return {some = ('x'):rep(1 << 25)}")
      exhaust(s, "/caught", says "building the next generation")
      await_generation(s, 2)
      assert.matches("begins without what on_handoff", s:log())
      assert.not_matches("adopted", s:log())
    end},
    {"is not one that was asked for too much", function()
      local s = start("return {}")
      local until_ms = task.now() + 4
      while task.now() < until_ms do
        assert.equal(500, (s:get("/big")))
      end
      assert.equal("generation 1, kept since 1", select(2, s:get("/")))
      s:wait_log("not enough memory") -- and nothing else
      assert.not_matches("building", s:log())
    end},
  })
end)
