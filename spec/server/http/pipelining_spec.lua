-- Requests that do not wait for the answer before (core/THREATS.md, H8, S3): answered in order, one at a time, in
-- little memory.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local running, most = 0, 0
  local function work(req, wait)
    running = running + 1
    most = math.max(most, running)
    if wait then neap.task.sleep(wait) end
    running = running - 1
    return req.params.n
  end
  app:get("/end", function() return "end" end)
  app:get("/now/:n", function(req) return work(req) end)
  app:get("/parked/:n", function(req) return work(req, 0.002) end)
  app:get("/yield/:n", function(req) neap.task.yield() return work(req) end)
  app:get("/stream/:n", function(req)
    return neap.res.stream(function(out)
      for c in req.params.n:gmatch(".") do
        out:write(c)
        neap.task.sleep(0.001)
      end
    end)
  end)
  app:post("/body/:n", function(req) return req.params.n .. req:body() end)
  app:post("/unread/:n", function(req) return req.params.n end)
  app:get("/most", function() return tostring(most) end)
  app:get("/large", function() return ("x"):rep(20000) end)
  return app]]

describe("pipelining", function()
  local s

  before_each(function() s = server.start {app = APP, workers = 1, env = http.LEAN} end)
  after_each(server.stop_all)

  local function make(kind, n)
    if kind == "body" then
      return ("POST /body/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n-abc"):format(n), n .. "-abc"
    elseif kind == "chunks" then
      return ("POST /body/%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n-a\r\n0\r\n\r\n"):format(n),
        n .. "-a"
    elseif kind == "unread" then
      return ("POST /unread/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n-abc"):format(n), tostring(n)
    end
    return ("GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(kind, n), tostring(n)
  end

  it("answers handlers of all kinds in order, one at a time", function()
    local kinds = {"now", "parked", "yield", "stream", "body", "chunks", "unread"}
    local random, requests, expected = http.random(7), {}, {}
    for i = 1, 150 do requests[i], expected[i] = make(kinds[random(#kinds)], i) end
    http.each_way(s, table.concat(requests) .. http.END, function(answers, rest)
      assert.equal(151, #answers)
      for i = 1, 150 do assert.equal(expected[i], answers[i].body) end
      assert.equal("end", answers[151].body)
      assert.equal("", rest)
    end)
    assert.equal("1", select(2, s:get("/most")))
  end)

  it("answers more than a read buffer holds", function()
    local requests, count = {}, 20000
    for i = 1, count do requests[i] = ("GET /now/%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(i) end
    local conn = http.open(s)
    local group <close> = task.group()
    group:spawn(function() conn:send(table.concat(requests) .. http.END) end)
    for i = 1, count do assert.equal(tostring(i), conn:answer().body) end
    assert.equal("end", conn:answer().body)
    assert.equal("", conn:rest())
    conn:close()
  end)

  it("stops at a request that is wrong, after the answers before it", function()
    http.each_way(s, make("parked", 1) .. make("now", 2) .. "GET / HTTP/1.1\r\n\r\n" .. http.END, function(answers)
      assert.equal(3, #answers)
      assert.equal("1", answers[1].body)
      assert.equal("2", answers[2].body)
      assert.equal(400, answers[3].status)
    end)
  end)

  it("stops behind Connection: close", function()
    for _, kind in ipairs {"now", "parked", "stream"} do
      local first = ("GET /%s/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(kind)
      http.each_way(s, first .. make("now", 2):rep(50), function(answers, rest)
        assert.equal(1, #answers)
        assert.equal("close", answers[1].headers.connection)
        assert.equal("", rest)
      end)
    end
  end)

  -- Reading stops while answers pile up, so neither requests nor answers fill the memory.
  it("does not grow for a client that never reads", function()
    local before = s:rss()
    local conns, group = {}, task.group()
    for i = 1, 10 do
      local conn = http.open(s)
      conn.socket:pause()
      conns[i] = conn
      group:spawn(function()
        local request = ("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"):rep(2000)
        for _ = 1, 1000 do
          if not conn.socket:send(request, 0.3) then return end
        end
        error("the server took in everything")
      end)
    end
    group:join()
    local grown = s:rss() - before
    assert.equal(200, (s:get("/end")))
    for _, conn in ipairs(conns) do conn:reset() end
    assert.is_true(grown < 16 * 1024 * 1024, ("grew by %d"):format(grown))
  end)

  it("does not grow while a handler is parked", function()
    local before = s:rss()
    local conn = http.open(s):send("GET /parked/1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("1", conn:answer().body)
    conn:close()
    local slow = http.open(s)
    local request = ("GET /parked/1 HTTP/1.1\r\nHost: a\r\n\r\n"):rep(20000)
    for _ = 1, 20 do
      if not slow.socket:send(request, 0.3) then break end
    end
    local grown = s:rss() - before
    slow:reset()
    assert.is_true(grown < 8 * 1024 * 1024, ("grew by %d"):format(grown))
  end)
end)
