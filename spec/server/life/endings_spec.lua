-- Every generation comes to its end in a limited time, whatever its application does: the log names what it waited for,
-- and the next reload goes on.
-- builds: hooks
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"
local together = require "spec.support.together"
local ws = require "spec.support.ws"

local TIMES = {"--set", "timeouts.drain=100ms", "--set", "timeouts.grace=100ms", "--set", "timeouts.stop=1s",
  "--set", "watchdog.raise=2s"}

-- What does not want to end. `code` is in the application; `begin` starts it, from outside; `names`: what the log says
-- of it; `ends_alone`: it does end when it is cancelled, so nobody has to name it.
local STUBBORN = {
  {"a handler inside of a shield",
    code = [[app:get("/shield", function() task.shield(task.sleep, 1e6) end)]],
    begin = "/shield", names = "/shield %(request %d+%) at app.lua:%d+"},
  {"a service inside of a shield",
    code = [[app:service("stubborn", function() while true do task.shield(task.sleep, 1e6) end end)]],
    names = "task app.lua:%d+ at app.lua:%d+"},
  {"a <close> handler that loops in pcall",
    code = [[app:get("/closer", function()
      local _ <close> = closing(function() while true do pcall(error) end end)
      task.sleep(1e6)
    end)]],
    begin = "/closer", ends_alone = true},
  {"a <close> handler that sleeps inside of a shield",
    code = [[app:get("/sleeper", function()
      local _ <close> = closing(function() task.shield(task.sleep, 1e6) end)
      task.sleep(1e6)
    end)]],
    begin = "/sleeper", ends_alone = true},
  {"a task that starts another when it is closed",
    code = [[local function again()
      local _ <close> = closing(function() spawn(again) end)
      task.sleep(1e6)
    end
    app:on_ready(function() spawn(again) end)]],
    names = "app.lua:%d+"},
  {"a coroutine that catches the cancel",
    code = [[app:get("/catch", function()
      coroutine.wrap(function() while true do pcall(task.sleep, 1e6) end end)()
    end)]],
    begin = "/catch", ends_alone = true},
  {"a callback of a WebSocket that never returns",
    code = [[app:ws("/callback", {
      message = function() task.shield(task.sleep, 1e6) end,
      close = function() task.shield(task.sleep, 1e6) end,
    })]],
    socket = "/callback", says = "x", leaves = true, names = "websocket at app.lua:%d+"},
  {"a WebSocket handler inside of a shield",
    code = [[app:ws("/socket", function(ws) task.shield(task.sleep, 1e6) end)]],
    socket = "/socket", names = "/socket %(request %d+%) at app.lua:%d+"},
  {"a function of req:after inside of a shield",
    code = [[app:get("/after", function(req)
      req:after(function() task.shield(task.sleep, 1e6) end)
      return "ok"
    end)]],
    begin = "/after", names = "req:after %(request %d+%) at app.lua:%d+"},
  {"a statement of SQLite that runs for hours",
    code = [[local db = require("neap.sqlite").open(":memory:")
    app:get("/sql", function()
      db:query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    end)]],
    begin = "/sql", ends_alone = true},
  {"a function of task.thread that runs for ever",
    code = [[app:get("/thread", function() task.thread("busy", "run") end)]],
    files = {["busy.lua"] = "return {run = function() while true do end end}"},
    begin = "/thread", ends_alone = true},
  {"a hook of the end that waits inside of a shield",
    code = [[app:on_shutdown(function() task.shield(task.sleep, 1e6) end)]],
    names = "shutdown: cut off"},
  {"a clean-up that waits inside of a shield",
    code = [[app:on_cleanup(function() task.shield(task.sleep, 1e6) end)]],
    names = "has a clean%-up that has not ended[^\n]+\\n  cleanup\\n  task %S+ at app.lua:%d+"},
  {"a task that a clean-up leaves behind",
    code = [[app:on_cleanup(function() spawn(function() task.shield(task.sleep, 1e6) end) end)]],
    names = "its clean%-up left behind, after timeouts.grace: cutting them off\\n  %S+ %S+ at app.lua:%d+"},
}

local function app(code)
  return ([[
    local neap = require "neap"
    local task, spawn = neap.task, require("neap.core").task.spawn
    local lose = require("neap.core").task.lose
    local app = neap.app()
    local function closing(fn) return setmetatable({}, {__close = fn}) end
    app:get("/", function() return "generation " .. neap.generation end)
    %s
    return app]]):format(code)
end

local function start(rows, opts)
  opts = opts or {}
  local codes = {}
  for i, row in ipairs(rows) do codes[i] = row.code end
  opts.files = {}
  for _, row in ipairs(rows) do
    for name, text in pairs(row.files or {}) do opts.files[name] = text end
  end
  opts.app, opts.workers = app(table.concat(codes, "\n")), 1
  opts.args = table.move(opts.args or {}, 1, opts.args and #opts.args or 0, #TIMES + 1, {table.unpack(TIMES)})
  return server.start(opts)
end

-- Mistakes of ours, which a build for tests can make.
local LOST = {
  {"a request that is never given back",
    code = [[app:get("/lost", function() lose("request") return "ok" end)]],
    begin = "/lost", names = "/lost %(request %d+%), which has no task any more"},
  {"a request that is never given back, whose client has left",
    code = [[app:get("/left", function(req)
      while req:is_connected() do task.sleep(0.01) end
      lose("request")
    end, {on_disconnect = "continue"})]],
    begin = "/left", leaves = true, names = "/left %(request %d+%), which has no task any more"},
  {"a request that is never given back after its functions of req:after",
    code = [[app:get("/after", function(req) req:after(function() lose("request") end) return "ok" end)]],
    begin = "/after", names = "/after %(request %d+%), which has no task any more"},
  {"a WebSocket that is never given back",
    code = [[app:ws("/lost-socket", function(ws) while ws:recv() do end lose("websocket") end)]],
    socket = "/lost-socket", leaves = true, names = "a WebSocket that has closed"},
  {"an open WebSocket that is never given back",
    code = [[app:ws("/open-socket", {open = function() lose("websocket") end})]],
    socket = "/open-socket", ends_alone = true},
  {"a request too many in the count",
    code = [[app:get("/count", function() lose("count") return "ok" end)]],
    begin = "/count", names = "1 requests and 0 WebSockets are counted that nobody has"},
}

-- Starts what a row wants, and gives what is to be closed.
local function begin(s, row)
  if row.socket then
    local socket = ws.open(s, row.socket)
    if row.says then socket:send(row.says) end
    if row.leaves then socket:frame(ws.CLOSE, "") end
    return socket.conn
  end
  local conn = http.open(s)
  conn:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(row.begin or "/"))
  if row.leaves then conn:reset() end
  return conn
end

local function begin_all(s, rows)
  local conns = {}
  for i, row in ipairs(rows) do conns[i] = begin(s, row) end
  s:get("/") -- so all have begun
  return conns
end

-- One generation after the other comes, the last one ends in good order.
local function goes_on(s, first)
  for number = first, first + 1 do
    assert.is_true(s:reload {["app.lua"] = app ""})
    assert.equal("generation " .. number, select(2, s:get("/")))
  end
  assert.equal(0, s:stop(), s:log())
end

local function assert_named(log, rows)
  for _, row in ipairs(rows) do
    if not row.ends_alone then
      assert(log:find(row.names), ("%s is not named:\n%s"):format(row[1], log))
    end
  end
end

-- `check` with every row, all at the same time; the problems of those that fail.
local function each(rows, check)
  local problems = {}
  task.map(rows, function(row)
    local ok, err = pcall(check, row)
    if not ok then problems[#problems + 1] = row[1] .. ": " .. tostring(err) end
  end)
  assert(#problems == 0, table.concat(problems, "\n\n"))
end

local function close_all(conns)
  for _, conn in ipairs(conns) do conn:close() end
end

-- Nothing can interrupt one call of C.
local HOLD = {"", code = [[app:get("/hold", function()
  os.execute("touch held; until [ -e release ]; do sleep 0.05; done")
  return "ok"
end)]]}

local function hold(s)
  local conn = http.open(s)
  conn:send("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n")
  assert(server.poll(20, function() return io.open(s.dir .. "/held") end))
  return conn
end

describe("a generation", function()
  teardown(server.stop_all)

  together(it, {
    {"ends whatever does not want to, by name, and does not block the next", function()
      each(STUBBORN, function(row)
        local s = start {row}
        local conns = begin_all(s, {row})
        goes_on(s, 2)
        assert_named(s:log(), {row})
        close_all(conns)
      end)
    end},
    {"ends when all of them are in it, at a stop as well", function()
      local s = start(STUBBORN)
      local conns = begin_all(s, STUBBORN)
      s:stop()
      assert.matches("cutting them off\\n", s:log())
      assert.not_matches("does not stop", s:log())
      assert.not_matches("left open", s:log())
      close_all(conns)
    end},
    {"ends when something is lost, at a stop as well", function()
      each(LOST, function(row)
        local s = start({row}, {has_hooks = true})
        local conns = begin_all(s, {row})
        goes_on(s, 2)
        assert_named(s:log(), {row})
        close_all(conns)
      end)
      local s = start(LOST, {has_hooks = true})
      local conns = begin_all(s, LOST)
      assert.equal(2, s:stop(), s:log())
      assert.matches("has not ended after timeouts.stop", s:log())
      assert.matches("an open WebSocket of /open%-socket", s:log())
      assert.not_matches("does not stop", s:log())
      close_all(conns)
    end},
    {"whose data cannot be handed over goes on, and the next reload is tried", function()
      local s = start({{"", code = [[
        local calls = neap.store("calls")
        app:on_handoff(function()
          if calls:incr("n") == 1 then task.shield(task.sleep, 1e6) end
          return {}
        end)]]}}, {args = {"--set", "timeouts.startup=3s"}})
      local ok, line = s:reload()
      assert.is_false(ok)
      assert.matches("not ready after", line)
      assert.equal("generation 1", select(2, s:get("/")))
      goes_on(s, 3)
    end},
    {"whose worker is held up is reloaded when that answers", function()
      local s = start {HOLD}
      local conn = hold(s)
      os.execute(("kill -HUP %d"):format(s.pid))
      s:wait_log("SIGHUP")
      s:write("release", "")
      assert.equal("ok", conn:answer("GET").body)
      s.generation = 2
      goes_on(s, 3)
      conn:close()
    end},
    {"that is held up for ever does not hold up the end of the process, and is named", function()
      local s = start {HOLD}
      local conn = hold(s)
      assert.equal(2, s:stop())
      s:write("release", "") -- for the shell that is left
      assert.matches("worker 1 does not stop", s:log())
      conn:close()
    end},
  })
end)
