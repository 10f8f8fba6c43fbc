-- The control socket, and the commands that ask through it: `neap ps`, `neap topics`, `neap errors`.
local command = require "spec.support.command"
local core = require "neap.core"
local json = require "neap.json"
local net = require "neap.net"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:every("1h", function() error("no luck\nat all") end, {name = "sweep up"})
  app:get("/", function() return "worker " .. neap.worker end)
  app:get("/wait", function() neap.task.sleep(60) end)
  app:get("/news", function() return neap.res.poll("news") end)
  app:get("/feed", function() return neap.res.events("news") end)
  app:get("/fail", function() error("no luck") end)
  app:ws("/ws", {message = function() neap.task.sleep(60) end})
  app:get("/spin", function() repeat until io.open("stop") end)
  return app
]]

describe("the control socket", function()
  local state, clients

  before_each(function()
    state = command.run("mktemp -d").out:gsub("%s+$", "")
    clients = task.group()
  end)

  after_each(function()
    clients:cancel()
    clients:join()
    server.stop_all()
    command.run("rm -r " .. state)
  end)

  local function start(opts)
    opts = opts or {}
    opts.app, opts.env = APP, {NEAP_STATE = state}
    return server.start(opts)
  end

  local function neap(...)
    return server.run({...}, {env = {NEAP_STATE = state}})
  end

  -- A request that is under way until the end of the test.
  local function ask(s, path)
    clients:spawn(function()
      local socket <close> = assert(net.connect("127.0.0.1", s.port))
      socket:send(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path))
      socket:recv(65536)
      task.sleep("1h")
    end)
  end

  local function shows(pattern, ...)
    local words, out = {...}, nil
    assert(server.poll(10, function()
      local result = neap(table.unpack(words))
      out = result.out .. result.err
      return result.code == 0 and result.out:find(pattern)
    end), ("%s is not in:\n%s"):format(pattern, out))
    return out
  end

  it("lists tasks: name, age, and where they wait", function()
    local s = start()
    ask(s, "/wait")
    local out = shows("waiting", "ps")
    assert.matches("WORKER  GENERATION  STATUS", out)
    assert.matches("\n[12] +1 +waiting +%d+%.%d s +%S*/wait.*app%.lua:5\n", out)
  end)

  it("shows both generations while the old one drains, and what it waits for", function()
    local s = start {workers = 1}
    assert.is_nil(neap("ps").out:find("serving", 1, true))
    ask(s, "/wait")
    shows("/wait", "ps")
    local socket = ws.open(s, "/ws")
    socket:send("work")
    shows("websocket", "ps")
    assert.is_true((s:reload()))
    local out = shows("draining", "ps")
    assert.matches("WORKER +GENERATION +STATE +REQUESTS +WEBSOCKETS +TASKS\n1 +1 +draining +1 +1 +%d+\n1 +2 +serving +0 +0 +%d+\n", out)
    assert.matches("\n1 +1 +waiting +%S+ s +%S*/wait.*app%.lua:5\n", out)
    assert.matches("\n1 +1 +waiting +%S+ s +[^\n]*app%.lua:9\n", out)
    socket:close()
  end)

  it("lists topics: subscribers by transport, and what they hold", function()
    local s = start()
    ask(s, "/news")
    ask(s, "/feed")
    local out = shows("news +0 +1 +1 +0 ", "topics") -- no WebSocket, one event stream, one poll, no reader
    assert.matches("TOPIC +WEBSOCKETS +SSE +POLLS +READERS", out)
  end)

  it("lists what failed, and shows one with its traceback", function()
    local s = start()
    local _, body = s:get("/fail")
    local id = json.decode(body).id
    local out = shows(id, "errors")
    assert.matches("GET /fail  %S*app.lua:8: no luck\n$", out)
    local one = neap("errors", id)
    assert.equal(0, one.code)
    assert.matches("stack traceback:\n.*app.lua:8", one.out)
    local none = neap("errors", "0123")
    assert.equal(1, none.code)
    assert.equal("neap: no error 0123 is remembered; the log has all\n", none.err)
  end)

  it("lists jobs, and runs, pauses and resumes one", function()
    start()
    local out = shows("sweep up", "jobs")
    assert.matches("WORKER +NAME +SCHEDULE +STATUS +RUNS", out)
    assert.matches("\n[12] +sweep up +every 3600 s +waiting +0 +0 +0 +%- +in [%d.]+ %a+ +%-\n$", out)
    assert.equal(0, neap("jobs", "run", "sweep up").code)
    shows("sweep up +every 3600 s +waiting +1 +1 +0 +[%d.]+ s +in [%d.]+ %a+ +%S*app.lua:3: no luck\n$", "jobs")
    assert.equal(0, neap("jobs", "pause", "sweep up").code)
    shows("sweep up +every 3600 s +paused .* %- +%S*app.lua:3: no luck\n$", "jobs")
    assert.equal(0, neap("jobs", "resume", "sweep up").code)
    shows("sweep up +every 3600 s +waiting", "jobs")
  end)

  it("says when there is no such job, or no such thing to do", function()
    start()
    local none = neap("jobs", "run", "sweep")
    assert.equal(1, none.code)
    assert.equal("neap: there is no job sweep; `neap jobs` lists them\n", none.err)
    assert.equal(64, neap("jobs", "stop", "sweep up").code)
    assert.equal(64, neap("jobs", "pause").code)
  end)

  it("says so when no server runs, and removes the socket of one that was killed", function()
    assert.equal(("neap: no server of yours runs here (looked in %s)\n"):format(state), neap("ps").err)
    local s = start()
    local path = ("%s/%d.sock"):format(state, s.pid)
    assert.equal(1, #core.list_dir(state))
    s:kill("KILL")
    s:wait()
    assert.equal(1, #core.list_dir(state), path)
    assert.equal(1, neap("ps").code)
    assert.equal(0, #core.list_dir(state))
  end)

  it("asks which server is meant when there are several", function()
    local one, other = start(), start()
    local result = neap("ps")
    assert.equal(1, result.code)
    assert.matches("several servers run here; say which with %-%-pid", result.err)
    for _, s in ipairs {one, other} do
      assert.matches(("--pid %d   http://127.0.0.1:%d "):format(s.pid, s.port):gsub("%-", "%%-"), result.err)
      assert.equal(0, neap("ps", "--pid", s.pid).code)
      assert.equal(0, neap("ps", "--pid=" .. s.pid).code)
    end
    assert.equal(64, neap("ps", "--pid", "none").code)
    assert.equal(1, neap("ps", "--pid", "1").code)
  end)

  it("is for its owner only", function()
    local s = start()
    assert.equal("700", (command.run("stat -c %a " .. state).out:gsub("%s+$", "")))
    s:stop()
    assert.equal(0, #core.list_dir(state))
    command.run("chmod 755 " .. state)
    s = start()
    assert.equal(200, (s:get("/")))
    s:wait_log("must be a folder of yours that nobody else may enter")
    assert.equal(0, #core.list_dir(state))
  end)

  it("says that a worker is too busy to answer, and goes on", function()
    local s = start {workers = 1, args = {"--set", "watchdog.log=10s", "--set", "watchdog.raise=5m"}}
    ask(s, "/spin")
    local busy
    assert(server.poll(10, function()
      busy = neap("ps")
      return busy.code == 1
    end))
    assert.equal("neap: 1 of 1 workers do not answer, see the log\n", busy.err)
    s:write("stop", "")
    shows("WORKER", "ps")
  end)

  it("refuses what is no question", function()
    local s = start()
    local function say(text)
      local socket <close> = assert(net.connect(("unix:%s/%d.sock"):format(state, s.pid)))
      socket:send(text)
      local pieces = {}
      for piece in function() return (socket:recv()) end do pieces[#pieces + 1] = piece end
      return table.concat(pieces)
    end
    assert.matches("there is no question", say("nonsense\n"))
    assert.equal("", say(("x"):rep(5000)))
    assert.equal("", say(("x"):rep(5000) .. "\n"))
    assert.equal(s.pid, json.decode(say("hello\n")).pid)
  end)
end)
