-- Whatever a client can name or make grow is counted and limited, and a place that is full says so: one row for each way.
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local held = {}

  local grow = {}
  function grow.bytes(n) return neap.topic("t" .. n, {ttl = "1h"}):publish(("x"):rep(5000)) end
  function grow.small(n) return neap.topic("t" .. n, {ttl = "1h"}):publish("") end
  function grow.one_topic() return neap.topic("one", {keep = 100000, bytes = "1GB"}):publish("") end
  function grow.keys(n)
    return neap.topic("one", {keep = 100000, bytes = "1GB"}):publish("x", {key = ("k"):rep(1000) .. n, dedupe = n})
  end
  function grow.handles(n)
    held[n] = neap.topic("t" .. n)
    return held[n]:publish("x")
  end
  function grow.waits(n)
    held[n] = neap.topic("t" .. n)
    local _, why = held[n]:wait{timeout = 0}
    return why == "timeout", why
  end
  function grow.store_keys(n) return neap.store("s"):set(n, 1) end
  function grow.store_names(n) return neap.store(("s"):rep(1000) .. n):set("k", 1) end
  function grow.counters(n) return neap.store("s"):incr(("k"):rep(1000) .. n) end

  app:get("/grow/:what", function(req)
    local n, ok, why = -1, nil, nil
    repeat
      n = n + 1
      ok, why = grow[req.params.what](req.query.name .. n)
    until not ok or n == 2000
    return {count = n, why = why}
  end)
  app:get("/poll/:room", function(req)
    held[#held + 1] = neap.topic(req.params.room)
    return neap.res.poll(req.params.room, {timeout = "10ms"})
  end)
  app:get("/events/:room", function(req)
    held[#held + 1] = neap.topic(req.params.room)
    return neap.res.events(req.params.room)
  end)
  app:get("/serve/:room", function(req)
    held[#held + 1] = neap.topic(req.params.room)
    return neap.topic(req.params.room):serve(req, {timeout = "10ms"})
  end)
  app:ws("/subscribe", function(ws)
    for name in ws:messages() do
      local ok, why = ws:subscribe(name)
      ws:send(ok and "more" or why)
    end
  end)
  app:get("/forget", function()
    held = {}
    collectgarbage()
    return "ok"
  end)
  app:get("/quick", function()
    local ok, why = neap.topic("quick", {ttl = "1s"}):publish("hello")
    return ok and "more" or why
  end)
  app:get("/fill", function()
    local n = 0
    while neap.topic("f" .. n, {ttl = "50ms"}):publish(("x"):rep(5000)) do n = n + 1 end
    return tostring(n)
  end)
  return app
]]

local LIMITS = {"--set", "limits.topics=100KB", "--set", "limits.topic_count=50", "--set", "limits.stores=20KB"}
local MOST = 2000

local function start()
  return server.start {app = APP, workers = 1, args = LIMITS}
end

-- How often `ask(n)` says "more" before it says `refusal`.
local function count_until(refusal, ask)
  for n = 0, MOST do
    local said = ask(n)
    if said ~= "more" then
      assert.equal(refusal, said)
      return n
    end
  end
  error("not refused after " .. MOST)
end

-- An answer's status as a word.
local function ask_status(s, path, n)
  local conn = http.open(s)
  conn:send(("GET %s/room%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(path, n))
  local status = conn:upto("\r\n\r\n"):match("^HTTP/1.1 (%d+)")
  conn:close()
  return (status == "200" or status == "204") and "more" or status
end

local ROWS = {
  {"large messages to topics of new names", "bytes", 15, 20},
  {"empty messages to topics of new names", "small", 50, 50},
  {"messages of one topic, though it keeps many", "one_topic", 100, 1000},
  {"keys and dedupe ids of messages", "keys", 50, 100},
  {"topics that are only held", "handles", 50, 50},
  {"topics that tasks wait for", "waits", 50, 50},
  {"keys of a store", "store_keys", 100, 500},
  {"names of stores", "store_names", 10, 20},
  {"names of counters", "counters", 10, 20},
}

describe("what a client can make grow", function()
  after_each(server.stop_all)

  for _, row in ipairs(ROWS) do
    it("is limited: " .. row[1], function()
      local s = start()
      local _, body = s:get(("/grow/%s?name=x"):format(row[2]))
      local said = json.decode(body)
      assert.equal("full", said.why)
      assert.is_true(said.count >= row[3] and said.count <= row[4], body)
    end)
  end

  for _, path in ipairs {"/poll", "/events", "/serve"} do
    it("is limited: topics that a client names at " .. path, function()
      local s = start()
      assert.equal(50, count_until("503", function(n) return ask_status(s, path, n) end))
      s:get("/forget")
      assert.is_truthy(server.poll(5, function() return ask_status(s, path, 1000) == "more" end))
    end)
  end

  it("is limited: topics that a WebSocket subscribes to", function()
    local socket = ws.open(start(), "/subscribe")
    assert.equal(50, count_until("full", function(n)
      socket:send("room" .. n)
      return socket:message()
    end))
    socket:close()
  end)

  it("is limited: subscriptions of one WebSocket to one topic", function()
    local socket = ws.open(start(), "/subscribe")
    local count = count_until("full", function()
      socket:send("room")
      return socket:message()
    end)
    assert.is_true(count > 100)
    socket:close()
  end)

  it("finds room again when messages have outlived their ttl, and when the limit is raised", function()
    local s = server.start {
      app = APP, workers = 1, is_configured = true,
      files = {["config.lua"] = [[return {default = {listen = {"127.0.0.1:0"}, workers = 1, limits = {topics = "100KB"}}}]]},
    }
    assert.is_truthy(server.poll(5, function() return select(2, s:get("/fill")) ~= "0" end))
    assert.is_truthy(server.poll(5, function() return select(2, s:get("/quick")) == "more" end))
    assert.is_true(tonumber((select(2, s:get("/fill")))) < 30)
    s:reload {
      ["config.lua"] = [[return {default = {listen = {"127.0.0.1:0"}, workers = 1, limits = {topics = "1MB"}}}]],
    }
    assert.is_true(tonumber((select(2, s:get("/fill")))) > 100)
  end)

  it("is shown by `neap topics`, and said in the log", function()
    local s = start()
    s:get("/grow/small?name=x")
    local shown = server.run({"topics", "--pid", tostring(s.pid)}).out
    assert.matches("50 of 50 topics (limits.topic_count), 0.0 MB of 0.1 MB (limits.topics)", shown, 1, true)
    s:wait_log("as many as limits.topic_count allows")
  end)
end)
