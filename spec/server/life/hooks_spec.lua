-- Start and stop hooks in a real server: when they run, what their failure means, and how long they may take.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

-- An app whose hooks write lines to stderr.
local function app(text)
  return [[
    local neap = require "neap"
    local task = neap.task
    local app = neap.app()
    local function say(text) io.stderr:write(text .. "\n") end
    local function wait_for(file) repeat task.sleep(0.002) until io.open(file) end
    app:get("/", function() return "hello" end)
    app:get("/wait", function() say "waiting" task.sleep(3600) end)
  ]] .. text .. "\nreturn app"
end

-- The lines that the app itself has written, between the log's.
local function lines_of(log)
  local lines = {}
  for line in log:gmatch("[^\n]+") do
    if not line:find("^{") then lines[#lines + 1] = line end
  end
  return lines
end

local function fails(text, ...)
  local words = {"run", "--port", "0", "--workers", "1", ...}
  words[#words + 1] = "app.lua"
  local result = server.run(words, {files = {["app.lua"] = app(text)}})
  assert.equal(1, result.code)
  return result.err
end

describe("start and stop hooks", function()
  after_each(server.stop_all)

  it("run in order, with connections alive at on_shutdown and gone at on_cleanup", function()
    local s = server.start {workers = 1, app = app [[
      app:on_startup(function() say "startup" return function() say "closed" end end)
      app:on_ready(function() say "ready" end)
      app:on_shutdown(function(_, reason) say(reason) wait_for "answered" end)
      app:on_cleanup(function() say "cleanup" end)
      app:ws("/ws", {close = function() task.sleep(0.01) say "socket closed" end})]]}
    local ws = require("spec.support.ws").open(s, "/ws")
    s:wait_log("ready")
    local keep = http.open(s):send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("hello", keep:answer().body)
    s:kill("TERM")
    s:wait_log("shutdown")
    keep:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") -- still answered
    assert.equal("hello", keep:answer().body)
    s:write("answered", "")
    assert.equal(1001, (ws:ending()))
    assert.equal(0, s:wait())
    assert.same({"startup", "ready", "shutdown", "socket closed", "cleanup", "closed"}, lines_of(s:log()))
  end)

  it("go down in the reverse order, as examples/lifecycle.lua prints it", function()
    local s = server.start {workers = 1, target = os.getenv("PWD") .. "/examples/lifecycle.lua"}
    assert(server.poll(10, function() return s:output():find("ready\n", 1, true) end))
    assert.equal(0, s:stop())
    assert.matches("^open database\nopen cache\nopen mail\n", s:output())
    assert.matches("\nshutdown\nclose mail\ncache written at shutdown\nclose database\n$", s:output())
  end)

  it("are told by a second signal that there is no time", function()
    local s = server.start {workers = 1, app = app [[
      app:on_shutdown(function() say "shutdown" task.sleep(3600) end)
      app:on_cleanup(function() say "cleanup" end)]]}
    s:kill("TERM")
    s:wait_log("shutdown")
    s:kill("TERM")
    assert.equal(2, s:wait())
    assert.matches("on_shutdown %(app.lua:%d+%) was cut short", s:log())
    assert.matches("cleanup\n", s:log())
  end)

  it("have timeouts.drain for on_shutdown and the requests under way", function()
    local s = server.start {workers = 1, args = {"--set", "timeouts.drain=0.1"}, app = app [[
      app:on_shutdown(function() task.sleep(3600) end)]]}
    assert.equal(2, s:stop())
    assert.matches("on_shutdown %(app.lua:%d+%) was cut short", s:log())
  end)

  it("clean up when cancelled requests have ended", function()
    local s = server.start {workers = 1, args = {"--set", "timeouts.drain=0.1"}, app = app [[
      app:get("/closer", function()
        local _ <close> = setmetatable({}, {__close = function() task.sleep(0.05) say "request over" end})
        say "waiting"
        task.sleep(3600)
      end)
      app:on_cleanup(function() say "cleanup" end)]]}
    local socket = s:connect()
    socket:send("GET /closer HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("waiting")
    assert.equal(0, s:stop())
    socket:close()
    assert.same({"waiting", "request over", "cleanup"}, lines_of(s:log()))
  end)

  it("make the exit code 2 when a clean-up fails, and all run", function()
    local s = server.start {workers = 1, app = app [[
      app:on_cleanup(function() say "first" end)
      app:on_cleanup(function() error "broken" end)]]}
    assert.equal(2, s:stop())
    assert.matches("on_cleanup %(app.lua:%d+%) failed after .*: .*broken", s:log())
    assert.matches("stopping: 1 of 2 clean%-ups failed", s:log())
    assert.matches("first\n", s:log())
  end)

  it("have timeouts.grace for a clean-up, and the total of timeouts.stop", function()
    local s = server.start {workers = 1, args = {"--set", "timeouts.grace=0.05"}, app = app [[
      app:on_cleanup(function() say "first" end)
      app:on_cleanup(function() task.sleep(3600) end)]]}
    assert.equal(2, s:stop())
    assert.matches("on_cleanup %(app.lua:%d+%) has not returned after .*timeouts.grace.*app.lua:", s:log())
    assert.matches("first\n", s:log())
  end)
end)

describe("a start", function()
  after_each(server.stop_all)

  it("that fails is undone, and nothing is served", function()
    local err = fails [[
      app:lifespan(function(_, ready)
        local _ <close> = setmetatable({}, {__close = function() say "closed" end})
        say "open"
        ready()
      end)
      app:on_startup(function() error "no database" end)
      app:on_startup(function() say "never" end)]]
    assert.matches("open\n.*neap: on_startup %(app.lua:%d+%) failed after .* no database\n.*closed", err)
    assert.matches("The server was not started", err)
    assert.is_nil(err:find("never", 1, true))
  end)

  it("that never ends is named, with the hint to use app:service", function()
    local err = fails([[
      app:on_startup(function()
        while true do
          task.sleep(0.01)
        end
      end)]], "--set", "timeouts.startup=1")
    assert.matches("neap: on_startup %(app.lua:%d+%) has not returned after [%d.]+ s %(timeouts.startup%): "
      .. "it was waiting at app.lua:%d+.*app:service", err)
  end)

  it("may wait, and requests are answered only afterwards", function()
    local s = server.start {workers = 2, app = app [[
      app:on_startup(function(given) task.sleep(0.05) given.state.word = "open" end)
      app:get("/word", function() return app.state.word end)]]}
    assert.equal("open", select(2, s:get("/word")))
  end)

  it("that a signal interrupts is undone", function()
    local child = server.spawn({"run", "--port", "0", "--workers", "1", "app.lua"}, {files = {["app.lua"] = app [[
      app:on_cleanup(function() say "cleaned" end)
      app:on_startup(function()
        local _ <close> = setmetatable({}, {__close = function() say "closed" end})
        say "starting"
        task.sleep(60)
      end)]]}})
    child:wait_log("starting")
    assert.equal(0, child:stop("TERM"))
    assert.same({"starting", "closed", "cleaned"}, lines_of((child:log():gsub("[^\n]*cut short[^\n]*\n", ""))))
  end)

  it("of one worker that fails ends the others in good order", function()
    local result = server.run({"run", "--port", "0", "--workers", "2", "app.lua"}, {files = {["app.lua"] = app [[
      app:on_cleanup(function() say("cleaned " .. neap.worker) end)
      app:on_startup(function() if neap.worker == 2 then error "no" end end)]]}})
    assert.equal(1, result.code)
    assert.matches("cleaned 1", result.err)
    assert.matches("cleaned 2", result.err)
  end)
end)
