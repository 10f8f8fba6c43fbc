-- Every way in which a request can lose its connection, with everything that can wait for something of it: each ends,
-- once, and neither a later reload nor the stop finds anything left.
local http = require "spec.support.http"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local task = neap.task
  local app = neap.app()

  local function note(id, what) neap.log.info(id .. " " .. what) end -- "begun", "ended", "after"

  local function wait_in(name, wait)
    local function handle(req)
      local id = req.query.id
      req:after(function() note(id, "after") end)
      return wait(req, function()
        note(id, "begun")
        return setmetatable({}, {__close = function() note(id, "ended") end})
      end)
    end
    app:get("/" .. name, handle)
    app:post("/" .. name, handle)
  end

  wait_in("body", function(req, enter)
    local mark <close> = enter()
    return tostring(req:body())
  end)
  wait_in("chunks", function(req, enter)
    local mark <close> = enter()
    repeat local chunk = req:read_chunk() until not chunk
    return "read"
  end)
  wait_in("child", function(req, enter)
    local group <close> = task.group()
    group:spawn(function()
      local mark <close> = enter()
      req:body()
    end)
    group:join()
    return "read"
  end)
  wait_in("sleep", function(req, enter)
    local mark <close> = enter()
    task.sleep(req.method == "GET" and "1h" or "1s") -- a GET is cancelled
    return "slept"
  end)
  wait_in("nothing", function(_, enter)
    local mark <close> = enter()
    return "done"
  end)
  wait_in("answer", function(_, enter)
    local mark <close> = enter()
    return ("x"):rep(8 << 20)
  end)
  wait_in("file", function(_, enter)
    local mark <close> = enter()
    return neap.res.file("large")
  end)
  local function stream(write)
    return function(_, enter)
      return neap.res.stream(function(out)
        local mark <close> = enter()
        write(out)
      end)
    end
  end
  wait_in("stream", stream(function(out) while out:write(("x"):rep(65536)) do end end))
  wait_in("flush", stream(function(out)
    while out:pending() == 0 and out:write(("x"):rep(4096)) do end
    out:flush()
  end))
  neap.topic("t"):on("subscribe", function(visit)
    note(visit.req.query.id, "begun")
    visit.state = visit.req.query.id
  end)
  neap.topic("t"):on("leave", function(visit) note(visit.state, "ended") end)
  local function park(how)
    return function(req)
      req:after(function() note(req.query.id, "after") end)
      return neap.res[how]("t")
    end
  end
  for _, how in ipairs {"poll", "events"} do
    app:get("/" .. how, park(how))
    app:post("/" .. how, park(how))
  end
  app:ws("/ws", function(ws, req)
    local id = req.query.id
    local mark <close> = setmetatable({}, {__close = function() note(id, "ended") end})
    req:after(function() note(id, "after") end)
    note(id, "begun")
    for _ in ws:messages() do end
  end)
  return app]]

-- What a client does that has sent a head and the first of its body, and reads nothing.
local WAYS = {
  ["breaks its body"] = function(conn) conn:send("zz\r\n") end,
  ["sends no more of its body"] = function() end, -- timeouts.body_window
  ["sends more than limits.body"] = function(conn) conn:send(("1000\r\n" .. ("b"):rep(4096) .. "\r\n"):rep(10)) end,
  ["sends what there is no room for"] = function(conn) conn:send(("8000\r\n" .. ("b"):rep(32768) .. "\r\n"):rep(10)) end,
  ["resets"] = function(conn) conn:reset() end,
  ["closes"] = function(conn) conn:close() end,
  ["ends its side, then resets"] = function(conn)
    conn.socket:shutdown()
    conn:reset()
  end,
  ["takes nothing"] = function(conn) conn:send("0\r\n\r\n") end, -- timeouts.write
  ["ends its side and takes nothing"] = function(conn) conn:send("0\r\n\r\n").socket:shutdown() end,
}

local function request(method, what, id)
  if what == "ws" then
    return ("GET /ws?id=%s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"):format(id)
  end
  return ("%s /%s?id=%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"):format(method, what, id)
end

local HANDLERS = {"body", "chunks", "child", "sleep", "nothing", "answer", "file", "stream", "flush"}
local GUESTS = {"poll", "events", "ws"}
local UNSENT = {"answer", "file", "stream", "flush"}
local ALL = {"poll", "events", "ws", table.unpack(HANDLERS)}

-- Which can happen to which, under which settings: nothing else ends what waits there. `by_server`: not to one after the
-- other, but to all at once; what was to run after an answer is cancelled then.
local GROUPS = {
  {"the end of a body", env = {NEAP_TIMEOUTS_BODY_WINDOW = "500ms"}, what = HANDLERS,
    ways = {"breaks its body", "sends no more of its body", "sends more than limits.body"}},
  {"a body without room", env = {NEAP_LIMITS_INPUT = "64KB", NEAP_LIMITS_BODY = "1MB"}, what = {"body", "child"},
    ways = {"sends what there is no room for"}},
  {"leaving", what = HANDLERS, ways = {"resets", "ends its side, then resets"}},
  {"leaving a guest", what = GUESTS, ways = {"resets", "closes", "ends its side, then resets"}},
  {"taking nothing", env = {NEAP_TIMEOUTS_WRITE = "400ms"}, what = UNSENT, ways = {"takes nothing", "ends its side and takes nothing"}},
  {"a reload", what = HANDLERS, ways = {"waits while the server reloads"}, by_server = function(s)
    for _ = 1, 2 do assert(s:reload()) end
  end},
  {"a stop", env = {NEAP_TIMEOUTS_DRAIN = "300ms"}, what = ALL, ways = {"waits while the server stops"},
    by_server = function(s) s:stop() end},
}

local function cases_of(group)
  local cases = {}
  for _, way in ipairs(group.ways) do
    for _, what in ipairs(group.what) do
      for _, method in ipairs {"GET", "POST"} do
        cases[#cases + 1] = {way = way, what = what, method = method, id = ("c%d"):format(#cases + 1)}
      end
    end
  end
  return cases
end

for _, group in ipairs(GROUPS) do
  describe("a request whose client", function()
    local cases = cases_of(group)
    local s

    local function count(case, what)
      return select(2, s:log():gsub(('"%s %s"'):format(case.id, what), ""))
    end

    local function open(case)
      case.conn = http.open(s)
      case.conn.socket:receive_buffer(4096)
      case.conn.socket:pause()
      case.conn:send(request(case.method, case.what, case.id))
    end

    setup(function()
      local env = {NEAP_LIMITS_BODY = "32KB", NEAP_TIMEOUTS_WRITE = "1h", NEAP_TIMEOUTS_BODY_WINDOW = "1h",
        NEAP_TIMEOUTS_DRAIN = "5s"}
      for name, value in pairs(group.env or {}) do env[name] = value end
      s = server.start {app = APP, workers = 1, env = env}
      assert(os.execute(("truncate -s 1G %s/large"):format(s.dir)))
      for _, case in ipairs(cases) do open(case) end
      assert(server.poll(10, function() return select(2, s:log():gsub(" begun", "")) == #cases end), "not all have begun")
      if group.by_server then return group.by_server(s) end
      for _, case in ipairs(cases) do WAYS[case.way](case.conn) end
    end)
    teardown(server.stop_all)

    for _, case in ipairs(cases) do
      it(("%s ends once: %s, %s"):format(case.way, case.method, case.what), function()
        server.poll(10, function()
          return count(case, "ended") > 0 and (group.by_server or count(case, "after") > 0)
        end)
        assert.equal(1, count(case, "ended"), "ended")
        if not group.by_server then assert.equal(1, count(case, "after"), "ran what was to run after it") end
      end)
    end

    it(("leaves nothing behind for two reloads and the stop: %s"):format(group[1]), function()
      for _, case in ipairs(cases) do case.conn:reset() end
      for _ = 1, s:code() and 0 or 2 do assert.is_true((s:reload())) end
      assert.equal(0, s:code() or s:stop())
      assert.falsy(s:log():find("cutting them off", 1, true), s:log())
    end)
  end)
end
