-- Server-sent events: from topics (res.events, topic:serve) and by hand (res.sse).
local http = require "spec.support.http"
local json = require "neap.json"
local live = require "spec.support.live"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = live.app [[
  app:get("/hand", function()
    return neap.res.sse(function(ev)
      ev:comment("hello")
      ev:send("plain")
      ev:send{event = "greeting", data = "two\nlines\r\nthree\rfour", id = 7, retry = 1500}
      ev:send{data = {n = 1}}
      ev:send{data = ""}
      ev:send{event = "last", data = tostring(ev.last_id)}
    end)
  end)
  app:get("/bad", function()
    return neap.res.sse(function(ev)
      for _, event in ipairs{{id = "a\nb"}, {event = "a\rb"}, {id = "a\0b"}} do
        ev:send(tostring(pcall(ev.send, ev, event)))
      end
      ev:send(tostring(pcall(ev.comment, ev, "a\nb")))
    end)
  end)
  app:get("/until-closed", function()
    return neap.res.sse(function(ev)
      local _ <close> = setmetatable({}, {__close = function() neap.store("seen"):set("over", true) end})
      while ev:send("tick") do neap.task.sleep(0.01) end
    end)
  end)
  app:get("/over", function() return tostring(neap.store("seen"):get("over")) end)
  app:on_send(function(_, response) response:header("X-Sent", "yes") end)]]

-- Reads a stream of events, as a browser does.
local Stream = {}
Stream.__index = Stream

local function open(s, path, lines, version)
  local conn = http.open(s)
  conn:send(("GET %s HTTP/%s\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n"):format(path, version or "1.1", lines or ""))
  local head = assert(conn:upto("\r\n\r\n"), "no answer")
  return setmetatable({conn = conn, head = head, status = tonumber(head:match("^HTTP/1%.1 (%d+)")), text = "",
    is_chunked = head:find("Transfer-Encoding: chunked", 1, true) ~= nil}, Stream)
end

function Stream:more()
  if not self.is_chunked then
    if not self.conn:more() then return false end
    self.text = self.text .. self.conn:take(self.conn:waiting())
    return true
  end
  local size = self.conn:upto("\r\n")
  size = size and tonumber(size:match("^(%x+)\r\n$"), 16)
  if not size then return false end
  local data, is_whole = self.conn:exactly(size)
  assert(is_whole and self.conn:exactly(2) == "\r\n", "a chunk is not whole")
  if size == 0 then self.has_ended = true return false end
  self.text = self.text .. data
  return true
end

-- The next block that is an event; nil at the end. Comments are counted.
function Stream:event()
  while true do
    local block, rest = self.text:match("^(.-)\n\n(.*)$")
    if block then
      self.text = rest
      local event = {}
      for line in (block .. "\n"):gmatch("(.-)\n") do
        local name, value = line:match("^(%w*): ?(.*)$")
        if name == "" then self.comments = (self.comments or 0) + 1 end
        if name and name ~= "" then event[name] = event[name] and name == "data" and event[name] .. "\n" .. value or value end
      end
      if next(event) then return event end
    elseif not self:more() then
      return nil
    end
  end
end

function Stream:close() self.conn:close() end

describe("an event stream of a topic", function()
  local s, admin, topic
  local count = 0

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)
  before_each(function()
    count = count + 1
    topic = "t" .. count
    admin = live.open(s)
  end)
  after_each(function() admin:close() end)

  local function events(lines, query)
    local stream = open(s, ("/events/%s%s"):format(topic, query or ""), lines)
    assert.equal(200, stream.status)
    return stream
  end

  it("has headers that keep proxies from holding it back", function()
    local stream = events()
    assert.matches("\r\nContent-Type: text/event-stream", stream.head, 1, true)
    assert.matches("\r\nCache-Control: no-cache\r\n", stream.head, 1, true)
    assert.matches("\r\nX-Accel-Buffering: no\r\n", stream.head, 1, true)
    assert.matches("\r\nX-Sent: yes\r\n", stream.head, 1, true)
    assert.is_nil(stream.head:find("Content-Length", 1, true))
    assert.is_nil(stream.head:find("Content-Encoding", 1, true))
    stream:close()
  end)

  it("is not compressed for a client that would take it", function()
    local stream = events("Accept-Encoding: gzip\r\n")
    assert.is_nil(stream.head:find("Content-Encoding", 1, true))
    admin:publish(topic, ("x"):rep(5000))
    assert.equal(5000, #stream:event().data)
    stream:close()
  end)

  it("brings messages with their cursor as id, and event names", function()
    local stream = events()
    local first = admin:publish(topic, "one")
    assert.same({id = first, data = "one"}, stream:event())
    local second = admin:publish(topic, '{"n":2}', {json = 1, event = "number"})
    assert.same({id = second, event = "number", data = '{"n":2}'}, stream:event())
    assert.equal(1, admin:stats(topic).sse)
    stream:close()
    admin:wait_for(topic, "sse", 0)
  end)

  it("keeps the lines of a text", function()
    local stream = events()
    for _, text in ipairs {"a\nb", "a\r\nb", "a\rb", "\n", "a\n", "\na", "a\n\nb", "id: 5\n\ndata: x", "", " a", ":a"} do
      admin:publish(topic, text)
      assert.equal((text:gsub("\r\n?", "\n")), stream:event().data)
    end
    stream:close()
  end)

  it("refuses event names of several lines", function()
    for _, name in ipairs {"a\nb", "a\rb", "a\0b"} do
      local cursor, err = admin:publish(topic, "x", {event = name})
      assert.is_nil(cursor)
      assert.matches("one line", err)
    end
  end)

  it("resumes behind Last-Event-ID", function()
    local first = admin:publish(topic, "1")
    admin:publish_many(topic, 2, 5)
    local stream = events(("Last-Event-ID: %s\r\n"):format(first))
    for i = 2, 5 do assert.equal(tostring(i), stream:event().data) end
    admin:publish(topic, "6")
    assert.equal("6", stream:event().data)
    stream:close()
    stream = events("Last-Event-ID: \r\n") -- as a browser says that it has seen none
    admin:publish(topic, "7")
    assert.equal("7", stream:event().data)
    stream:close()
    stream = events(nil, "?after=0")
    assert.equal("1", stream:event().data)
    stream:close()
    stream = events(("Last-Event-ID: %s\r\n"):format(first), "?after=0") -- as when it comes back
    assert.equal("2", stream:event().data)
    stream:close()
  end)

  it("says that there is a gap, whose id one may resume from", function()
    admin:set(topic, {keep = 3})
    local start = admin:publish(topic, "0")
    admin:publish_many(topic, 1, 10)
    local stream = events(("Last-Event-ID: %s\r\n"):format(start))
    local gap = stream:event()
    assert.equal("gap", gap.event)
    assert.same({gap = true, cursor = gap.id}, json.decode(gap.data))
    for i = 8, 10 do assert.equal(tostring(i), stream:event().data) end
    stream:close()
    stream = events(("Last-Event-ID: %s\r\n"):format(gap.id))
    assert.equal("8", stream:event().data)
    stream:close()
  end)

  it("takes an id of another life for a gap", function()
    admin:publish(topic, "kept")
    local stream = events("Last-Event-ID: 1.5\r\n")
    local gap = stream:event()
    assert.equal("gap", gap.event)
    assert.equal("kept", stream:event().data)
    stream:close()
    stream = events(("Last-Event-ID: %s\r\n"):format(gap.id))
    assert.equal("kept", stream:event().data)
    stream:close()
  end)

  it("says once that an id of another life is a gap, also when the log has moved on", function()
    admin:set(topic, {keep = 2})
    admin:publish_many(topic, 1, 10)
    local stream = events("Last-Event-ID: 1.5\r\n")
    assert.equal("gap", stream:event().event)
    assert.equal("9", stream:event().data)
    stream:close()
  end)

  it("refuses what is not a cursor with 400", function()
    assert.equal(400, open(s, "/events/" .. topic, "Last-Event-ID: huh\r\n").status)
    assert.equal(400, open(s, "/events/" .. topic .. "?after=1").status)
  end)

  it("tells the client when to come back", function()
    local stream = open(s, "/events/" .. topic .. "?retry=2s")
    assert.equal("2000", stream:event().retry)
    stream:close()
  end)

  it("ends when the topic is closed, and is 204 after that", function()
    local stream = events()
    admin:publish(topic, "last")
    admin:close_topic(topic)
    local last = stream:event()
    assert.equal("last", last.data)
    assert.is_nil(stream:event())
    assert.is_true(stream.has_ended)
    stream:close()
    local answer = admin:ask("GET", "/events/" .. topic, nil, ("Last-Event-ID: %s\r\n"):format(last.id))
    assert.equal(204, answer.status)
    assert.is_nil(answer.headers["content-type"])
    assert.equal("yes", answer.headers["x-sent"])
    stream = events("Last-Event-ID: 1.5\r\n") -- but what is left is still there for others
    assert.equal("gap", stream:event().event)
    assert.equal("last", stream:event().data)
    assert.is_nil(stream:event())
    stream:close()
  end)

  it("leaves the connection usable after its end", function()
    local stream = events()
    admin:close_topic(topic)
    assert.is_nil(stream:event())
    stream.conn:send(http.END)
    assert.equal("end", stream.conn:answer().body)
    stream:close()
  end)

  it("ends the connection when something came that it did not hear", function()
    local stream = events()
    stream.conn:send("GET /end HTTP/1.1\r\n")
    admin:publish(topic, "heard")
    assert.equal("heard", stream:event().data)
    stream.conn:send("Host: a\r\n\r\n")
    admin:close_topic(topic)
    assert.is_nil(stream:event())
    assert.equal("", stream.conn:rest())
    stream:close()
  end)

  it("speaks to HTTP/1.0 without chunks, and closes", function()
    local stream = open(s, "/events/" .. topic, nil, "1.0")
    assert.is_false(stream.is_chunked)
    local cursor = admin:publish(topic, "x")
    assert.same({id = cursor, data = "x"}, stream:event())
    admin:close_topic(topic)
    assert.is_nil(stream:event())
    stream:close()
  end)

  it("has no body for HEAD", function()
    local answer = admin:ask("HEAD", "/events/" .. topic)
    assert.equal(200, answer.status)
    assert.equal("text/event-stream", answer.headers["content-type"])
    assert.equal(0, admin:stats(topic).sse)
  end)

  it("notices at once that its client has left", function()
    local stream = events()
    admin:wait_for(topic, "sse", 1)
    stream.conn:reset()
    admin:wait_for(topic, "sse", 0)
    stream = events()
    stream.conn:send(("x"):rep(50000)) -- nobody reads that
    stream:close()
    admin:wait_for(topic, "sse", 0)
  end)

  it("gives a client that does not read a gap, never a piece of a message, and holds nothing for it", function()
    admin:set(topic, {keep = 50, bytes = "1MB"})
    local stream = events()
    for i = 1, 400 do admin:publish_many(topic, i * 10 - 9, i * 10, 2000) end -- 8 MB
    local expected, gaps = 1, 0
    repeat
      local event = stream:event()
      if event.event == "gap" then
        gaps = gaps + 1
      else
        local number = tonumber(event.data:match("^(%d+) x+$"))
        assert.equal(2000 + #tostring(number) + 1, #event.data)
        assert.is_true(number == expected or gaps > 0 and number > expected)
        expected = number + 1
      end
    until expected > 4000
    assert.is_true(gaps > 0)
    assert.is_true(admin:stats(topic).gaps >= gaps)
    stream:close()
  end)

  it("ends for a slow client when the topic says so", function()
    admin:set(topic, {keep = 20, bytes = "1MB", slow = "close"})
    local stream = events()
    for i = 1, 400 do admin:publish_many(topic, i * 10 - 9, i * 10, 2000) end
    local expected = 1
    for event in function() return stream:event() end do
      assert.equal(expected, tonumber(event.data:match("^(%d+)")))
      expected = expected + 1
    end
    assert.is_true(stream.has_ended)
    assert.is_true(expected <= 4000)
    stream:close()
  end)

  it("gives a slow client the newest of each key when the topic says so", function()
    admin:set(topic, {keep = 20, bytes = "1MB", slow = "latest"})
    local stream = events()
    for i = 1, 300 do admin:publish_many(topic, i * 10 - 9, i * 10, 2000) end
    for i = 1, 10 do admin:publish(topic, tostring(3000 + i), {key = "k" .. i % 2}) end
    local last, by_key = 0, {}
    repeat
      local event = stream:event()
      if event.event ~= "gap" then
        local number = tonumber(event.data:match("^(%d+)"))
        assert.is_true(number > last)
        last = number
        if number > 3000 then by_key[number % 2] = number end
      end
    until last == 3010
    assert.same({[0] = 3010, [1] = 3009}, by_key)
    stream:close()
  end)

  it("is what topic:serve gives to EventSource", function()
    admin:publish(topic, "x")
    local stream = open(s, ("/serve/%s?after=0"):format(topic))
    assert.equal("x", stream:event().data)
    stream:close()
  end)

  it("reads several topics in order", function()
    local stream = open(s, ("/events/%s,%s-b?after=0"):format(topic, topic))
    for i = 1, 10 do admin:publish(i % 2 == 0 and topic or topic .. "-b", tostring(i)) end
    for i = 1, 10 do assert.equal(tostring(i), stream:event().data) end
    admin:close_topic(topic)
    admin:publish(topic .. "-b", "11")
    assert.equal("11", stream:event().data)
    admin:close_topic(topic .. "-b")
    assert.is_nil(stream:event())
    stream:close()
  end)
end)

describe("an event stream by hand", function()
  local s

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)

  it("writes events, comments, ids, names and retry", function()
    local stream = open(s, "/hand", "Last-Event-ID: 41\r\n")
    assert.matches("\r\nContent-Type: text/event-stream", stream.head, 1, true)
    assert.matches("\r\nX-Accel-Buffering: no\r\n", stream.head, 1, true)
    assert.same({data = "plain"}, stream:event())
    assert.equal(1, stream.comments)
    assert.same({event = "greeting", data = "two\nlines\nthree\nfour", id = "7", retry = "1500"}, stream:event())
    assert.same({data = '{"n":1}'}, stream:event())
    assert.same({data = ""}, stream:event())
    assert.same({event = "last", data = "41"}, stream:event())
    assert.is_nil(stream:event())
    stream:close()
  end)

  it("refuses ids, names and comments of several lines", function()
    local stream = open(s, "/bad")
    for _ = 1, 4 do assert.equal("false", stream:event().data) end
    stream:close()
  end)

  it("learns that its client has left", function()
    local stream = open(s, "/until-closed")
    assert.equal("tick", stream:event().data)
    stream:close()
    local admin = live.open(s)
    assert.is_true(server.poll(10, function() return admin:ask("GET", "/over").body == "true" end))
    admin:close()
  end)
end)

describe("when the server stops", function()
  after_each(server.stop_all)

  it("event streams end as they should", function()
    local s = server.start {app = APP, workers = 2}
    local admin, streams = live.open(s), {}
    for i = 1, 6 do streams[i] = open(s, "/events/t") end
    admin:wait_for("t", "sse", 6)
    s:kill("TERM")
    for i = 1, 6 do
      assert.is_nil(streams[i]:event())
      assert.is_true(streams[i].has_ended)
      assert.equal("", streams[i].conn:rest())
      streams[i]:close()
    end
    admin:close()
    assert.equal(0, s:stop())
  end)
end)
