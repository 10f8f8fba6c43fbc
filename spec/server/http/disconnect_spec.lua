-- A client that leaves (core/THREATS.md, S4): noticed at once, also while a handler is parked and while nothing is
-- read. GET and HEAD handlers are cancelled, the others go on, and a route can say otherwise.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local events = {}
  local function note(text) events[#events + 1] = text end
  local function guard() return setmetatable({}, {__close = function() neap.task.sleep(0.001) note("closed") end}) end
  local open = false

  app:get("/events", function() return table.concat(events, " ") end)
  app:get("/open", function() open = true return "open" end)
  local function park(req)
    local g <close> = guard()
    note("parked")
    pcall(function() while not open do neap.task.sleep(0.001) end end)
    note("connected=" .. tostring(req:is_connected()))
    return "done"
  end
  app:get("/park", park)
  app:post("/park", park)
  app:get("/park/continue", park, {on_disconnect = "continue"})
  app:post("/park/cancel", park, {on_disconnect = "cancel"})
  app:get("/after", function(req)
    req:after(function() note("after") end)
    return park(req)
  end)
  local function read(how)
    return function(req)
      local g <close> = guard()
      note("reading")
      local data, err = how(req)
      note(tostring(data) .. "," .. tostring(err))
      return "done"
    end
  end
  app:post("/body", read(function(req) return req:body() end))
  app:put("/body", read(function(req) return req:body() end), {on_disconnect = "cancel"})
  app:post("/chunks", read(function(req)
    local data, err
    repeat data, err = req:read_chunk() until not data
    return data, err
  end))
  local function flood(req)
    return neap.res.stream(function(out)
      local g <close> = setmetatable({}, {__close = function() note("closed") end})
      note("writing")
      local ok, err
      repeat ok, err = out:write(("x"):rep(65536)) until not ok
      note(tostring(ok) .. "," .. err)
    end)
  end
  app:get("/flood", flood)
  app:post("/flood", flood)
  return app]]

describe("a client that leaves", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1} end)
  after_each(server.stop_all)

  local function events(expected, or_expected)
    local got
    local ok = server.poll(10, function()
      got = select(2, s:get("/events"))
      return got == expected or got == or_expected
    end)
    assert(ok, ("expected %q, got %q"):format(expected, got))
  end

  -- Sends a request and waits for its first event.
  local function start(head, first, behind)
    local conn = http.open(s):send(head .. " HTTP/1.1\r\nHost: a\r\n" .. (behind or "\r\n"))
    events(first)
    return conn
  end

  local ways = {
    ["by closing"] = function(conn) conn:close() end,
    ["by a reset"] = function(conn) conn:reset() end,
    ["by half"] = function(conn) conn.socket:shutdown() end,
  }
  for how, leave in pairs(ways) do
    it("cancels a GET handler: " .. how, function()
      leave(start("GET /park", "parked"))
      events("parked closed")
    end)
    it("lets a POST handler go on: " .. how, function()
      leave(start("POST /park", "parked"))
      task.sleep(0.02) -- the leaving arrives before the next connection does
      s:get("/open")
      events("parked connected=false closed")
    end)
  end

  it("cancels a HEAD handler", function()
    start("HEAD /park", "parked"):close()
    events("parked closed")
  end)

  it("lets a GET handler go on whose route says so", function()
    start("GET /park/continue", "parked"):close()
    task.sleep(0.02)
    s:get("/open")
    events("parked connected=false closed")
  end)

  it("cancels a POST handler whose route says so", function()
    start("POST /park/cancel", "parked"):close()
    events("parked closed")
  end)

  it("still has its functions run that were to run after the answer", function()
    start("GET /after", "parked"):close()
    events("parked closed after")
  end)

  it("is noticed behind pipelined requests", function()
    start("GET /park", "parked", "\r\n" .. http.END:rep(10)):close()
    events("parked closed")
  end)

  it("is noticed while nothing is read because so much is waiting", function()
    local conn = start("GET /park", "parked")
    conn:send(http.END:rep(2000))
    conn:close()
    events("parked closed")
  end)

  it("gets its answer when it only ended its own side", function()
    local conn = start("POST /park", "parked")
    conn.socket:shutdown()
    task.sleep(0.02)
    s:get("/open")
    assert.equal("done", conn:answer().body)
    conn:close()
  end)

  it("wakes a handler that waits for the body", function()
    start("POST /body", "reading", "Content-Length: 5\r\n\r\nhe"):close()
    events("reading nil,aborted closed")
  end)

  it("wakes a handler that waits for a chunk", function()
    start("POST /chunks", "reading", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"):close()
    events("reading nil,aborted closed")
  end)

  it("cancels a handler that waits for the body, if its route says so", function()
    start("PUT /body", "reading", "Content-Length: 5\r\n\r\nhe"):close()
    events("reading closed")
  end)

  for how, leave in pairs(ways) do
    if how ~= "by half" then
      it("ends a stream that waits for it, of GET: " .. how, function()
        local conn = http.open(s)
        conn.socket:pause()
        conn:send "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"
        events("writing")
        leave(conn)
        -- It is cancelled where it waits, or told at its next write.
        events("writing closed", "writing nil,closed closed")
      end)
      it("ends a stream that waits for it, of POST: " .. how, function()
        local conn = http.open(s)
        conn.socket:pause()
        conn:send "POST /flood HTTP/1.1\r\nHost: a\r\n\r\n"
        events("writing")
        leave(conn)
        events("writing nil,closed closed")
      end)
    end
  end

  it("leaves nothing open, many times over", function()
    local fds = s:fds() -- libuv opens one more later
    for i = 1, 100 do
      local path = i % 2 == 0 and "/park" or "/flood"
      local conn = http.open(s):send(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path))
      if i % 3 == 0 then conn:reset() else conn:close() end
    end
    assert.truthy(server.poll(10, function() return s:fds() <= fds + 1 end))
  end)
end)
