-- Long-polls, as lua/README.md promises them: 200, 204, 410, 503, cursors, gaps; and that a client that leaves is noticed.
local http = require "spec.support.http"
local json = require "neap.json"
local live = require "spec.support.live"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = live.app [[
  app:get("/dressed/:topics", function(req)
    local response = neap.res.poll(names(req), options(req))
    response:header("X-Handler", "one")
    return response
  end)
  app:post("/poll/:topics", function(req)
    if req.query.read then req:body() end
    return neap.res.poll(names(req), options(req))
  end)
  app:post("/late/:topics", function(req)
    neap.topic("late"):publish("here")
    while req:is_connected() do neap.task.sleep(0.01) end
    req:after(function() neap.topic("late"):publish("gone") end)
    return (req.query.events and neap.res.events or neap.res.poll)(names(req))
  end)
  app:get("/wrong/:topics", function(req) return neap.res.poll(names(req), {limit = 0}) end)
  app:on_send(function(req, response) response:header("X-Sent", req.path) end)]]

local function items(answer)
  assert.equal(200, answer.status)
  assert.equal("application/json", answer.headers["content-type"])
  local body = json.decode(answer.body)
  assert.equal(body.cursor, answer.headers["topic-cursor"])
  assert.equal('"' .. body.cursor .. '"', answer.headers.etag)
  assert.equal("no-cache", answer.headers["cache-control"])
  return body.items, body.cursor
end

describe("a long-poll", function()
  local s, admin, client, topic
  local count = 0

  setup(function() s = server.start {app = APP, workers = 1} end)
  teardown(server.stop_all)

  before_each(function()
    count = count + 1
    topic = "t" .. count
    admin, client = live.open(s), live.open(s)
  end)
  after_each(function()
    admin:close()
    client:close()
  end)

  local function get(path, lines) return client:ask("GET", path, nil, lines) end

  local function park(path, lines)
    client:send("GET", path or "/poll/" .. topic, nil, lines)
    admin:wait_for(topic, "polls", 1)
  end

  it("is answered the moment something is published", function()
    park()
    local cursor, subscribers = admin:publish(topic, "hello")
    assert.equal(1, subscribers)
    local list, at = items(client.conn:answer())
    assert.same({"hello"}, list)
    assert.equal(cursor, at)
    assert.equal(0, admin:stats(topic).polls)
  end)

  it("goes on on the same connection, and misses nothing between", function()
    local _, cursor = items(get(("/poll/%s?after=%s"):format(topic, admin:publish(topic, "0") and "0")))
    for i = 1, 20 do
      admin:publish(topic, "a" .. i)
      admin:publish(topic, "b" .. i)
      local list
      list, cursor = items(get(("/poll/%s?after=%s"):format(topic, cursor)))
      assert.same({"a" .. i, "b" .. i}, list)
    end
  end)

  it("gives texts as strings and tables as JSON", function()
    local start = admin:cursor()
    admin:publish(topic, 'a "quoted"\n\\ text \0 ü \127 \226\128\168')
    admin:publish(topic, '{"n":9007199254740993,"list":[],"t":true}', {json = 1})
    local answer = get(("/poll/%s?after=%s"):format(topic, start))
    assert.same('a "quoted"\n\\ text \0 ü \127 \226\128\168', items(answer)[1])
    assert.matches('9007199254740993', answer.body, 1, true)
    assert.matches('"list":[]', answer.body, 1, true)
  end)

  it("takes its cursor from ?after=, If-None-Match and Last-Event-ID", function()
    admin:publish(topic, "old")
    local cursor = admin:cursor()
    admin:publish(topic, "new")
    local path = "/poll/" .. topic
    assert.same({"new"}, (items(get(path .. "?after=" .. cursor))))
    assert.same({"new"}, (items(get(path .. "?x=1&after=" .. cursor .. "&after=7"))))
    assert.same({"new"}, (items(get(path, ('If-None-Match: "%s"\r\n'):format(cursor)))))
    assert.same({"new"}, (items(get(path, ('If-None-Match: W/"%s"\r\n'):format(cursor)))))
    assert.same({"new"}, (items(get(path, ("Last-Event-ID: %s\r\n"):format(cursor)))))
    assert.same({"old", "new"}, (items(get(path .. "?after=0"))))
    assert.same({"old", "new"}, (items(get(path .. "?from=0&after=" .. cursor)))) -- what the handler says comes first
  end)

  it("refuses what is not a cursor with 400", function()
    for _, wrong in ipairs {"x", "1", "1.", ".1", "-1.2", "1.-2", "g.1", "1.2.3", "00.1", "1.01", "1.1%20",
        "fffffffffffffffff.1", "1.99999999999999999999999", "%00", ("9"):rep(2000)} do
      local answer = get(("/poll/%s?after=%s"):format(topic, wrong))
      assert.equal(400, answer.status, wrong)
    end
    assert.equal(400, get("/poll/" .. topic, "Last-Event-ID: huh\r\n").status)
    assert.equal(400, get("/poll/" .. topic, 'If-None-Match: "huh"\r\n').status)
    assert.equal(0, admin:stats(topic).polls)
  end)

  it("says at once that a cursor of another life is a gap, and gives what is left", function()
    for i = 1, 3 do admin:publish(topic, tostring(i)) end
    for _, foreign in ipairs {"1.0", "1.5", "abc.99999999"} do
      local answer = get(("/poll/%s?after=%s"):format(topic, foreign))
      assert.equal("1", answer.headers["topic-gap"])
      assert.same({"1", "2", "3"}, (items(answer)))
    end
    local answer = get("/poll/nothing-was-here?after=1.0")
    assert.equal("1", answer.headers["topic-gap"])
    assert.matches('"items":[]', answer.body, 1, true)
    local list, cursor = items(answer)
    assert.same({}, list)
    assert.equal(204, get(("/poll/nothing-was-here?timeout=0&after=%s"):format(cursor)).status)
  end)

  it("takes a cursor from the future of this life for a gap", function()
    local epoch = admin:cursor():match("^(%x+)%.")
    local answer = get(("/poll/%s?after=%s.99999999"):format(topic, epoch))
    assert.equal("1", answer.headers["topic-gap"])
  end)

  it("says that there is a gap when the log has moved on, and goes on with what is left", function()
    admin:set(topic, {keep = 4})
    local start = admin:cursor()
    admin:publish_many(topic, 1, 10)
    local answer = get(("/poll/%s?after=%s"):format(topic, start))
    assert.equal("1", answer.headers["topic-gap"])
    local list, cursor = items(answer)
    assert.same({"7", "8", "9", "10"}, list)
    admin:publish(topic, "11")
    answer = get(("/poll/%s?after=%s"):format(topic, cursor))
    assert.is_nil(answer.headers["topic-gap"])
    assert.same({"11"}, (items(answer)))
  end)

  it("sees no gap when exactly all that is new is still there", function()
    admin:set(topic, {keep = 4})
    admin:publish(topic, "before")
    local start = admin:cursor()
    admin:publish_many(topic, 1, 4)
    local answer = get(("/poll/%s?after=%s"):format(topic, start))
    assert.is_nil(answer.headers["topic-gap"])
    assert.same({"1", "2", "3", "4"}, (items(answer)))
  end)

  it("gives at most `limit` and 64 messages at a time", function()
    admin:set(topic, {keep = 200})
    local cursor = admin:cursor()
    admin:publish_many(topic, 1, 150)
    local list = {}
    for _, size in ipairs {10, 64, 64, 12} do
      local some
      some, cursor = items(get(("/poll/%s?limit=%d&after=%s"):format(topic, size == 10 and 10 or 1000, cursor)))
      assert.equal(size, #some)
      for _, one in ipairs(some) do list[#list + 1] = tonumber(one) end
    end
    for i = 1, 150 do assert.equal(i, list[i]) end
    assert.equal(204, get(("/poll/%s?timeout=0&after=%s"):format(topic, cursor)).status)
    assert.equal(500, get("/wrong/" .. topic).status)
  end)

  it("reads several topics with one cursor, in the order of publishing", function()
    local both = ("%s,%s-b"):format(topic, topic)
    local cursor = admin:cursor()
    admin:publish(topic, "1")
    admin:publish(topic .. "-b", "2")
    admin:publish("another", "no")
    admin:publish(topic, "3")
    local list, at = items(get(("/poll/%s?after=%s"):format(both, cursor)))
    assert.same({"1", "2", "3"}, list)
    client:send("GET", ("/poll/%s?after=%s"):format(both, at))
    admin:wait_for(topic, "polls", 1)
    admin:wait_for(topic .. "-b", "polls", 1)
    admin:publish(topic .. "-b", "4")
    assert.same({"4"}, (items(client.conn:answer())))
    admin:wait_for(topic, "polls", 0)
  end)

  it("answers 204 when its time is over", function()
    local start = admin:cursor()
    local from = task.now()
    local answer = get(("/poll/%s?timeout=0.2&after=%s"):format(topic, start))
    assert.is_true(task.now() - from >= 0.15)
    assert.equal(204, answer.status)
    assert.equal("", answer.body)
    assert.is_nil(answer.headers["content-length"])
    assert.is_nil(answer.headers["content-type"])
    assert.matches("^%x+%.%d+$", answer.headers["topic-cursor"])
    admin:publish(topic, "new")
    assert.same({"new"}, (items(get(("/poll/%s?after=%s"):format(topic, answer.headers["topic-cursor"])))))
  end)

  it("with timeout=0 gives what is there, or 204 at once", function()
    assert.equal(204, get("/poll/" .. topic .. "?timeout=0").status)
    admin:publish(topic, "x")
    assert.equal(204, get("/poll/" .. topic .. "?timeout=0").status)
    assert.same({"x"}, (items(get("/poll/" .. topic .. "?timeout=0&after=0"))))
  end)

  it("answers 410 when the topic is closed, after what is left", function()
    park()
    admin:close_topic(topic)
    assert.equal(410, client.conn:answer().status)
    local other = topic .. "-b"
    admin:publish(other, "last words")
    admin:close_topic(other)
    local list, cursor = items(get("/poll/" .. other .. "?after=0"))
    assert.same({"last words"}, list)
    assert.equal(410, get(("/poll/%s?after=%s"):format(other, cursor)).status)
    assert.equal(410, get(("/poll/%s?timeout=0&after=%s"):format(other, cursor)).status)
    assert.same({nil, "closed"}, {admin:publish(other, "x")})
  end)

  it("keeps the headers of the handler and of on_send, whatever the status is", function()
    local path = "/dressed/" .. topic
    local function dressed(answer, status)
      assert.equal(status, answer.status)
      assert.equal("one", answer.headers["x-handler"])
      assert.equal(path, answer.headers["x-sent"])
    end
    dressed(get(path .. "?timeout=0"), 204)
    park(path)
    admin:publish(topic, "hello")
    dressed(client.conn:answer(), 200)
    park(path)
    admin:close_topic(topic)
    dressed(client.conn:answer(), 410)
  end)

  it("lets requests wait that came behind it", function()
    client.conn:send(("GET /poll/%s HTTP/1.1\r\nHost: a\r\n\r\n"):format(topic) .. http.END)
    admin:wait_for(topic, "polls", 1)
    admin:publish(topic, "first")
    local answers = client.conn:answers()
    assert.same({"first"}, (items(answers[1])))
    assert.equal("end", answers[2].body)
  end)

  it("is the same whole, byte by byte and in pieces", function()
    admin:publish(topic, "x")
    http.each_way(s, ("GET /poll/%s?after=0 HTTP/1.1\r\nHost: a\r\n\r\n"):format(topic) .. http.END, function(answers)
      assert.same({"x"}, (items(answers[1])))
      assert.equal("end", answers[2].body)
    end)
  end)

  it("takes a body that nobody read for no request", function()
    local inner = "GET /end HTTP/1.1\r\nHost: a\r\n\r\n"
    for _, method in ipairs {"GET", "POST"} do
      local head = ("%s /poll/%s?timeout=0.05 HTTP/1.1\r\nHost: a\r\n"):format(method, topic)
      for _, body in ipairs {("Content-Length: %d\r\n\r\n%s"):format(#inner, inner),
        ("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"):format(#inner, inner)} do
        http.each_way(s, head .. body .. http.END, function(answers)
          assert.equal(1, #answers)
          assert.equal(204, answers[1].status)
          assert.equal("close", answers[1].headers.connection)
        end)
      end
    end
  end)

  it("goes on with the next request when its body was read", function()
    client.conn:send(("POST /poll/%s?read=1&timeout=0.05 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"):format(topic)
      .. http.END)
    local answers = client.conn:answers()
    assert.equal(204, answers[1].status)
    assert.equal("end", answers[2].body)
  end)

  it("is not begun for a client that left before the handler was through", function()
    for _, leave in ipairs {"close", "reset", "shutdown"} do
      for _, query in ipairs {"", "?events=1"} do
        local start = admin:stats("late").published
        local conn = http.open(s):send(("POST /late/%s%s HTTP/1.1\r\nHost: a\r\n\r\n"):format(topic, query))
        admin:wait_for("late", "published", start + 1)
        conn.socket[leave](conn.socket)
        admin:wait_for("late", "published", start + 2)
        admin:wait_for(topic, "subscribers", 0)
        conn:close()
      end
    end
    assert.equal("end", get("/end").body)
  end)

  it("ends at once when its client leaves", function()
    park()
    client:close()
    admin:wait_for(topic, "polls", 0)
    client = live.open(s)
    park()
    client.conn:reset()
    admin:wait_for(topic, "polls", 0)
    local _, subscribers = admin:publish(topic, "nobody hears")
    assert.equal(0, subscribers)
  end)

  it("ends when its client leaves, also with bytes behind that nobody has read", function()
    client.conn:send(("GET /poll/%s HTTP/1.1\r\nHost: a\r\n\r\n"):format(topic) .. http.END)
    admin:wait_for(topic, "polls", 1)
    client:close()
    admin:wait_for(topic, "polls", 0)
    client = live.open(s)
    client.conn:send(("GET /poll/%s HTTP/1.1\r\nHost: a\r\n\r\nPOST /end HTTP/1.1\r\n"):format(topic) .. ("x"):rep(100000))
    admin:wait_for(topic, "polls", 1)
    client:close()
    admin:wait_for(topic, "polls", 0)
  end)

  it("has no body for HEAD", function()
    admin:publish(topic, "x")
    local answer = client:ask("HEAD", "/poll/" .. topic .. "?after=0")
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
    assert.equal("end", get("/end").body)
    assert.equal(204, client:ask("HEAD", "/poll/" .. topic .. "?timeout=0").status)
    assert.equal("end", get("/end").body)
  end)

  it("serves HTTP/1.0, with and without keep-alive", function()
    admin:publish(topic, "x")
    local line = ("GET /poll/%s?after=0 HTTP/1.0\r\nHost: a\r\n"):format(topic)
    client.conn:send(line .. "Connection: keep-alive\r\n\r\n")
    local answer = client.conn:answer()
    assert.same({"x"}, (items(answer)))
    assert.equal("keep-alive", answer.headers.connection)
    client.conn:send(line .. "\r\n")
    assert.same({"x"}, (items(client.conn:answer())))
    assert.equal("", client.conn:rest())
  end)

  it("closes afterwards when the client has said so", function()
    client.conn:send(("GET /poll/%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(topic))
    admin:wait_for(topic, "polls", 1)
    admin:publish(topic, "x")
    local answer = client.conn:answer()
    assert.equal("close", answer.headers.connection)
    assert.equal("", client.conn:rest())
  end)

  it("wakes many at once", function()
    local many = {}
    for i = 1, 100 do
      many[i] = live.open(s)
      many[i]:send("GET", "/poll/" .. topic)
    end
    admin:wait_for(topic, "polls", 100)
    local _, subscribers = admin:publish(topic, "all")
    assert.equal(100, subscribers)
    for i = 1, 100 do
      assert.same({"all"}, (items(many[i].conn:answer())))
      many[i]:close()
    end
  end)

  it("is what topic:serve gives to a client that asks for nothing else", function()
    admin:publish(topic, "x")
    assert.same({"x"}, (items(get(("/serve/%s?after=0"):format(topic)))))
    assert.same({"x"}, (items(get(("/serve/%s,%s-b?after=0"):format(topic, topic), "Accept: application/json\r\n"))))
  end)
end)

describe("when the server stops", function()
  after_each(server.stop_all)

  it("a long-poll is answered 503 with Retry-After", function()
    local s = server.start {app = APP, workers = 2}
    local admin, clients = live.open(s), {}
    for i = 1, 6 do
      clients[i] = live.open(s)
      clients[i]:send("GET", "/dressed/t")
    end
    admin:wait_for("t", "polls", 6)
    s:kill("TERM")
    for i = 1, 6 do
      local answer = clients[i].conn:answer()
      assert.equal(503, answer.status)
      assert.matches("^%d+$", answer.headers["retry-after"])
      assert.equal("close", answer.headers.connection)
      assert.equal("one", answer.headers["x-handler"])
      assert.equal("", clients[i].conn:rest())
      clients[i]:close()
    end
    admin:close()
    assert.equal(0, s:stop())
  end)

  it("a cursor from before is a gap afterwards, and nobody hangs", function()
    local s = server.start {app = APP, workers = 1}
    local admin = live.open(s)
    local cursor = admin:publish("t", "before")
    admin:close()
    assert.equal(0, s:stop())
    s = server.start {app = APP, workers = 1}
    admin = live.open(s)
    local answer = admin:ask("GET", "/poll/t?after=" .. cursor)
    assert.equal("1", answer.headers["topic-gap"])
    assert.same({}, (items(answer)))
    admin:close()
  end)
end)
