-- Nobody's bytes hold up the others: whatever loops over what one peer sends, or over what it takes, does so in slices.
-- The worker is stopped at a gate while everybody's bytes arrive: first those of the floods, then those of one client
-- more. Who is answered first does not depend on how fast anything is.
local http = require "spec.support.http"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local FLOODS, CALLS = 20, 3000

local APP = [[
  local neap = require "neap"
  local net, task = require "neap.net", require "neap.task"
  local app = neap.app()
  local fifo, calls = os.getenv "GATE", tonumber(os.getenv "CALLS")
  local through, turn, seen = 0, 0, {}
  local function finish() through = through + 1 end

  app:get("/gate", function()
    local file <close> = io.open(fifo) -- waits for the other end
    return "open" .. file:read("a")
  end)
  app:get("/through", function() task.sleep(0) return tostring(through) end)

  app:get("/one", function() return "one" end)
  app:get("/last", function() finish() return "last" end)
  app:post("/body", function(req) req:body() finish() return "ok" end)
  app:post("/pieces", function(req)
    while req:read_chunk(16) do end
    finish()
    return "ok"
  end)
  app:post("/form", function(req)
    for part in req:multipart() do part:body() end
    finish()
    return "ok"
  end)

  local function take(message) if message == "last" then finish() end end
  app:ws("/callbacks", {message = function(_, message) take(message) end})
  app:ws("/slow", {message = function(_, message)
    if message == "first" then task.sleep(0) end -- the others wait in a row meanwhile
    take(message)
  end})
  app:ws("/coroutine", function(socket) for message in socket:messages() do take(message) end end)

  app:get("/stream", function()
    return neap.res.stream(function(out)
      for _ = 1, calls do out:write("x") end
      finish()
    end)
  end)
  app:ws("/send", {message = function(socket)
    for _ = 1, calls do socket:send("x") end
    finish()
  end})

  local function serve(socket)
    for line in socket:lines() do
      if line == "last" then finish() end
      if line == "send" then
        for _ = 1, calls do socket:send("x") end
        finish()
      end
    end
  end
  local port
  app:service("lines", function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local readers <close> = task.group()
    port = listener.port
    for socket in listener:connections() do readers:spawn(serve, socket) end
  end)
  app:get("/port", function() return tostring(port) end)

  app:service("turns", function() while true do task.yield() turn = turn + 1 end end)
  app:get("/busy", function()
    for _ = 1, 20000 do through = through * 1 end
    seen[turn] = true
    return "busy"
  end)
  app:get("/turns", function()
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    return tostring(count)
  end)
  return app]]

local function get(path) return ("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path) end

local function post(path, type, body)
  return ("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"):format(path, type, #body, body)
end

local PART = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
local CHUNKS = "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" .. ("1\r\nx\r\n"):rep(8000) .. "0\r\n\r\n"
local PING, LETTER, LAST = ws.frame(ws.PING), ws.frame(ws.TEXT, "x"), ws.frame(ws.TEXT, "last")

-- What, how a flood's connection is opened, all that it sends (less than the kernel holds for a reader), and how many do.
local ROWS = {
  {"pipelined requests", http.open, get("/one"):rep(1200) .. get("/last")},
  {"pipelined requests that nothing answers", http.open, get("/none"):rep(1200) .. get("/last")},
  {"chunks of a byte", http.open, CHUNKS, 400},
  {"a body that is read in small pieces", http.open, post("/pieces", "text/plain", ("x"):rep(40000))},
  {"parts of a form", http.open, post("/form", "multipart/form-data; boundary=x", PART:rep(900) .. "--x--\r\n")},
  {"messages to a callback", "/callbacks", LETTER:rep(5000) .. LAST},
  {"messages that waited for a callback", "/slow", ws.frame(ws.TEXT, "first") .. LETTER:rep(5000) .. LAST},
  {"messages to a coroutine", "/coroutine", LETTER:rep(5000) .. LAST},
  {"pings", "/callbacks", PING:rep(6500) .. LAST, 100},
  {"fragments", "/callbacks", ws.frame(ws.TEXT, "", {fin = false}) .. ws.frame(0, "", {fin = false}):rep(6500)
    .. ws.frame(0, "last"), 100},
  {"lines of neap.net", "lines", ("x\n"):rep(20000) .. "last\n"},
  {"writes to a stream", http.open, get("/stream")},
  {"messages that a handler sends", "/send", LETTER},
  {"writes of neap.net", "lines", "send\n"},
}

describe("slices:", function()
  local s, dir, conns

  setup(function()
    local pipe = assert(io.popen "mktemp -d")
    dir = pipe:read("l")
    pipe:close()
    assert(os.execute(("mkfifo '%s/gate'"):format(dir)))
    s = server.start {app = APP, workers = 1, env = {GATE = dir .. "/gate", CALLS = CALLS}}
  end)
  teardown(function()
    for _, conn in ipairs(conns or {}) do conn:close() end
    server.stop_all()
    os.remove(dir .. "/gate")
    os.remove(dir)
  end)
  before_each(function() conns = {} end)
  after_each(function() for _, conn in ipairs(conns) do conn:close() end end)

  local function open(how)
    if how == http.open then return http.open(s) end
    if how == "lines" then return http.open {port = tonumber((select(2, s:get("/port"))))} end
    return ws.open(s, how).conn
  end

  local function through()
    return tonumber((select(2, s:get("/through"))))
  end

  -- Sends all of that while the worker does nothing; the answer to `last`.
  local function at_the_gate(how, count, bytes, last)
    for i = 1, count do conns[i] = open(how) end
    local gate, conn = http.open(s), http.open(s)
    conns[count + 1], conns[count + 2] = gate, conn
    gate:send(get("/gate"))
    for i = 1, count do conns[i]:send(bytes) end
    conn:send(get(last))
    io.open(dir .. "/gate", "w"):close() -- waits until the worker is there
    assert.equal("open", gate:answer().body)
    return conn:answer().body
  end

  for _, row in ipairs(ROWS) do
    local what, how, bytes, count = table.unpack(row)
    count = count or FLOODS
    it("answers another client before the end of " .. what, function()
      local before = through()
      local meanwhile = tonumber(at_the_gate(how, count, bytes, "/through")) - before
      assert.is_true(meanwhile < count / 2, ("%d of %d were through"):format(meanwhile, count))
      assert(server.poll(20, function() return through() == before + count end), "a flood was not dealt with")
    end)
  end

  it("answers pipelined requests in their order", function()
    at_the_gate(http.open, 2, (get("/one") .. get("/none")):rep(500) .. get("/last"), "/through")
    for i = 1, 2 do
      for n = 1, 500 do
        assert.equal("one", conns[i]:answer().body, n)
        assert.equal(404, conns[i]:answer().status, n)
      end
      assert.equal("last", conns[i]:answer().body)
    end
  end)

  it("looks at I/O while a crowd is answered", function()
    at_the_gate(http.open, 200, get("/busy"), "/through")
    for i = 1, 200 do assert.equal("busy", conns[i]:answer().body) end
    assert.is_true(tonumber((select(2, s:get("/turns")))) > 4)
  end)
end)
