-- topic:on: who watches a topic is told of its clients, whatever way they have come, and may refuse them.
local http = require "spec.support.http"
local json = require "neap.json"
local live = require "spec.support.live"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local APP = live.app [[
  local seen = {}
  local function note(what, visit)
    seen[#seen + 1] = ("%s %s %s %s"):format(what, visit.topic, visit.transport, visit.who or "-")
  end
  app:get("/seen", function()
    local list = neap.json.array(seen)
    seen = {}
    return list
  end)

  for _, name in ipairs {"one", "two"} do
    local topic = neap.topic(name)
    topic:on("subscribe", function(visit)
      neap.task.yield()
      local query = visit.req and visit.req.query or visit.ws and visit.ws.data or {}
      visit.who = query.who
      if query["refuse" .. name] then return false, "not you" end
      if query["abort" .. name] then neap.abort(401, "log in") end
      note("subscribe", visit)
    end)
    topic:on("leave", function(visit)
      note("leave", visit)
      assert(visit.req == nil)
      if visit.who == "breaker" then error("on purpose") end
    end)
    topic:on("leave", function(visit) note("leave again", visit) end)
  end
  app:ws("/socket", function(ws, req)
    for name, value in pairs(req.query) do ws.data[name] = value end
    for message in ws:messages() do
      local verb, topic = message:match("(%S+) (%S+)")
      local ok, why = ws[verb](ws, topic)
      ws:send(tostring(ok) .. " " .. tostring(why))
    end
  end)]]

describe("a watched topic", function()
  local s, admin

  before_each(function()
    s = server.start {app = APP, workers = 1}
    admin = live.open(s)
  end)
  after_each(function()
    admin:close()
    server.stop_all()
  end)

  -- Waits until so many things have been told, and gives them.
  local function seen(count)
    local list = {}
    server.poll(10, function()
      for _, line in ipairs(json.decode(admin:ask("GET", "/seen").body)) do list[#list + 1] = line end
      return #list >= count
    end)
    return list
  end

  local function ask(path)
    local conn = http.open(s):send(("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(path))
    local answer = conn:answer()
    conn:close()
    return answer
  end

  it("is told of a long-poll that is answered", function()
    local client = live.open(s)
    client:send("GET", "/poll/one?who=ada")
    assert.same({"subscribe one poll ada"}, seen(1))
    admin:wait_for("one", "polls", 1)
    admin:publish("one", "hello")
    assert.equal(200, client.conn:answer().status)
    assert.same({"leave one poll ada", "leave again one poll ada"}, seen(2))
    client:close()
  end)

  it("is told of a long-poll whose client has left, and of one that waits in vain", function()
    local client = live.open(s)
    client:send("GET", "/poll/one")
    assert.same({"subscribe one poll -"}, seen(1))
    client.conn:reset()
    assert.same({"leave one poll -", "leave again one poll -"}, seen(2))
    assert.equal(204, ask("/poll/one?timeout=0").status)
    assert.same({"subscribe one poll -", "leave one poll -", "leave again one poll -"}, seen(3))
  end)

  it("is told of an event stream", function()
    local client = live.open(s)
    client:send("GET", "/events/one?who=eve")
    assert.same({"subscribe one sse eve"}, seen(1))
    client:close()
    assert.same({"leave one sse eve", "leave again one sse eve"}, seen(2))
  end)

  it("is told of a WebSocket, which may leave before it closes", function()
    local socket = ws.open(s, "/socket?who=bob")
    assert.equal("true nil", (socket:send("subscribe one"):message()))
    assert.equal("true nil", (socket:send("subscribe two"):message()))
    assert.same({"subscribe one websocket bob", "subscribe two websocket bob"}, seen(2))
    assert.equal("true nil", (socket:send("unsubscribe one"):message()))
    assert.same({"leave one websocket bob", "leave again one websocket bob"}, seen(2))
    socket:close()
    assert.same({"leave two websocket bob", "leave again two websocket bob"}, seen(2))
    socket = ws.open(s, "/serve/one?who=cyd")
    assert.same({"subscribe one websocket cyd"}, seen(1))
    socket:close()
    assert.same({"leave one websocket cyd", "leave again one websocket cyd"}, seen(2))
  end)

  it("refuses who may not", function()
    for _, path in ipairs {"/poll/one?refuseone=1", "/events/one?refuseone=1", "/serve/one?refuseone=1"} do
      local answer = ask(path)
      assert.equal(403, answer.status)
      assert.matches("not you", answer.body)
    end
    assert.equal(401, ask("/poll/one?abortone=1").status)
    local socket = ws.open(s, "/socket?refuseone=1")
    assert.equal("nil not you", (socket:send("subscribe one"):message()))
    assert.equal("true nil", (socket:send("subscribe two"):message()))
    socket:close()
    socket = ws.open(s, "/serve/one?refuseone=1")
    assert.same({[2] = 1008, [3] = "not you"}, {socket:message()})
    assert.same({"subscribe two websocket -", "leave two websocket -", "leave again two websocket -"}, seen(3))
    assert.equal(0, admin:stats("one").subscribers)
  end)

  it("of several: those who had agreed are told that nothing came of it", function()
    for query, status in pairs {refusetwo = 403, aborttwo = 401} do
      assert.equal(status, ask("/poll/one,two?" .. query .. "=1").status)
      assert.same({"subscribe one poll -", "leave one poll -", "leave again one poll -"}, seen(3))
    end
    assert.equal(400, ask("/poll/one,two?after=nonsense").status)
    assert.same({"subscribe one poll -", "subscribe two poll -", "leave two poll -", "leave again two poll -",
      "leave one poll -", "leave again one poll -"}, seen(6))
  end)

  it("tells the rest when one of those who are told fails, and the log says so", function()
    assert.equal(204, ask("/poll/one?timeout=0&who=breaker").status)
    assert.same({"subscribe one poll breaker", "leave one poll breaker", "leave again one poll breaker"}, seen(3))
    s:wait_log("on purpose")
  end)

  it("leaves alone those of other topics", function()
    assert.equal(204, ask("/poll/three?timeout=0&refuseone=1").status)
    assert.same({}, seen(0))
  end)

  it("is told of everybody when the server stops", function()
    local client = live.open(s)
    client:send("GET", "/poll/one?who=breaker")
    assert.same({"subscribe one poll breaker"}, seen(1))
    s:stop()
    assert.equal(503, client.conn:answer().status)
    s:wait_log("on purpose")
    client:close()
  end)
end)
