-- neap.topic as Lua sees it: publishing, cursors, options, waiting, gaps, closing. Runs in this very process: topics
-- need no server.
local neap = require "neap"
local task = require "neap.task"

local count = 0
local function fresh(opts)
  count = count + 1
  return neap.topic(("topic spec %d"):format(count), opts)
end

local function drain(topic, after)
  return topic:wait {after = after, timeout = 0}
end

describe("publishing", function()
  it("gives a cursor that grows, and an honest number of readers", function()
    local topic = fresh()
    local first, readers = topic:publish("a")
    assert.matches("^%x+%.%d+$", first)
    assert.equal(0, readers)
    local second = topic:publish("b")
    assert.is_true(tonumber(second:match("%.(%d+)")) > tonumber(first:match("%.(%d+)")))
    assert.equal(second, topic:cursor())
    local g <close> = task.group()
    for _ = 1, 3 do g:spawn(topic.wait, topic) end
    task.yield()
    task.yield()
    assert.equal(3, topic:stats().readers)
    assert.equal(3, select(2, topic:publish("c")))
    g:join()
    assert.equal(0, topic:stats().readers)
    assert.equal(0, select(2, topic:publish("d")))
  end)

  it("is the same topic by the same name", function()
    local topic = fresh()
    local cursor = topic:cursor()
    neap.topic(topic:name()):publish("x")
    assert.same({"x"}, (drain(topic, cursor)))
  end)

  it("takes texts as they are, and tables as JSON", function()
    local topic = fresh()
    local start = topic:cursor()
    local values = {"", "text", "\0ü", {list = {1, 2}, n = 9007199254740993}, {}, true, 12, 1.5, "12"}
    for _, value in ipairs(values) do topic:publish(value) end
    assert.same(values, (drain(topic, start)))
  end)

  it("refuses what is no data, with its place", function()
    local topic = fresh()
    for _, value in ipairs {print, coroutine.create(print), {a = {b = print}}, 0 / 0} do
      assert.is_false((pcall(topic.publish, topic, value)))
    end
    local loop = {}
    loop.loop = loop
    assert.is_false((pcall(topic.publish, topic, loop)))
    local _, err = pcall(topic.publish, topic, {a = {b = print}})
    assert.matches("a.b", tostring(err), 1, true)
    assert.equal(0, topic:stats().messages)
  end)

  it("refuses bytes that are no UTF-8, unless the topic is binary", function()
    local topic = fresh()
    local ok, err = pcall(topic.publish, topic, "\xff")
    assert.is_false(ok)
    assert.matches("binary", err)
    local bytes = fresh {binary = true}
    local start = bytes:cursor()
    assert.is_string((bytes:publish("\xff\0")))
    assert.same({"\xff\0"}, (drain(bytes, start)))
  end)

  it("knows a repetition by its `dedupe`", function()
    local topic = fresh()
    local start = topic:cursor()
    local first = topic:publish("once", {dedupe = "order 1"})
    local again = topic:publish("twice", {dedupe = "order 1"})
    assert.equal(first, again)
    topic:publish("other", {dedupe = "order 2"})
    assert.same({"once", "other"}, (drain(topic, start)))
    assert.equal(2, topic:stats().published)
  end)

  it("says what is too large, and closed", function()
    local topic = fresh {bytes = "1KB"}
    assert.same({nil, "too_large"}, {topic:publish(("x"):rep(2000))})
    topic:close()
    topic:close()
    assert.same({nil, "closed"}, {topic:publish("x")})
  end)

  it("refuses wrong use at the caller's line", function()
    local topic = fresh()
    for _, wrong in ipairs {
      function() neap.topic("") end, function() neap.topic(("x"):rep(256)) end, function() neap.topic("\xff") end,
      function() neap.topic("a", {keep = 0}) end, function() neap.topic("a", {keeps = 1}) end,
      function() neap.topic("a", {slow = "sometimes"}) end, function() topic:publish() end,
      function() topic:publish("x", {event = "a\nb"}) end, function() topic:publish("x", {dedupe = 5}) end,
      function() topic:wait {after = "huh"} end, function() topic:wait {limit = 0} end,
      function() topic:wait {before = "x"} end, function() neap.topics {} end, function() neap.topics "a" end,
    } do
      local ok, err = pcall(wrong)
      assert.is_false(ok)
      assert.matches("topic_spec.lua:%d+", tostring(err))
    end
  end)
end)

describe("options", function()
  it("limit how many messages are kept", function()
    local topic = fresh {keep = 3}
    for i = 1, 10 do topic:publish(tostring(i)) end
    assert.same({"8", "9", "10"}, (select(1, topic:wait {after = select(3, topic:wait {after = "0"})})))
    local stats = topic:stats()
    assert.same({3, 10, 7}, {stats.messages, stats.published, stats.dropped})
  end)

  it("limit how many bytes are kept", function()
    local topic = fresh {bytes = "1KB", keep = 1000}
    for _ = 1, 100 do topic:publish(("x"):rep(100)) end
    local stats = topic:stats()
    assert.is_true(stats.bytes <= 1024 and stats.messages == 10, stats.bytes .. " bytes")
  end)

  it("limit how long they are kept", function()
    local topic = fresh {ttl = 1}
    local start = topic:cursor()
    topic:publish("old")
    task.sleep(1.1)
    topic:publish("new")
    local items, why, cursor = drain(topic, start)
    assert.is_nil(items)
    assert.equal("gap", why)
    assert.same({"new"}, (drain(topic, cursor)))
  end)

  it("can be changed later; none change nothing", function()
    local topic = fresh {keep = 2}
    for i = 1, 3 do topic:publish(tostring(i)) end
    neap.topic(topic:name())
    topic:publish("4")
    assert.equal(2, topic:stats().messages)
    neap.topic(topic:name(), {keep = 10})
    for i = 5, 9 do topic:publish(tostring(i)) end
    assert.equal(7, topic:stats().messages)
    neap.topic(topic:name(), {keep = 1})
    topic:publish("x")
    assert.equal(1, topic:stats().messages)
  end)
end)

describe("waiting", function()
  it("gives what is behind the cursor, and where to go on", function()
    local topic = fresh()
    local cursor = topic:cursor()
    for i = 1, 5 do topic:publish(i) end
    local items
    items, cursor = topic:wait {after = cursor, limit = 2}
    assert.same({1, 2}, items)
    items, cursor = topic:wait {after = cursor}
    assert.same({3, 4, 5}, items)
    assert.equal(topic:cursor(), cursor)
    local nothing, why, same = topic:wait {after = cursor, timeout = 0.01}
    assert.same({"timeout", cursor}, {why, same})
    assert.is_nil(nothing)
  end)

  it("wakes for what is published meanwhile", function()
    local topic = fresh()
    local g <close> = task.group()
    g:spawn(function()
      task.sleep(0.02)
      topic:publish("late")
    end)
    assert.same({"late"}, (topic:wait {timeout = 5}))
  end)

  it("with a timeout of 0 looks once", function()
    local topic = fresh()
    assert.same({nil, "timeout", topic:cursor()}, {topic:wait {timeout = 0}})
    topic:publish("x")
    local items, why = topic:wait {timeout = 0}
    assert.is_nil(items)
    assert.equal("timeout", why)
    assert.same({"x"}, (topic:wait {timeout = 0, after = "0"}))
  end)

  it("says that there is a gap, once", function()
    local topic = fresh {keep = 2}
    local start = topic:cursor()
    for i = 1, 5 do topic:publish(i) end
    local items, why, cursor = topic:wait {after = start}
    assert.is_nil(items)
    assert.equal("gap", why)
    assert.same({4, 5}, (topic:wait {after = cursor}))
    assert.is_true(topic:stats().gaps >= 1)
    items, why, cursor = topic:wait {after = "1.7"}
    assert.is_nil(items)
    assert.equal("gap", why)
    local seen = {}
    repeat
      items, why = topic:wait {after = cursor, timeout = 0}
      if items then seen, cursor = items, why else cursor = select(3, topic:wait {after = cursor, timeout = 0}) end
    until items
    assert.same({4, 5}, seen)
  end)

  it("can be cancelled", function()
    local topic = fresh()
    assert.same({nil, "timeout"}, {task.timeout(0.02, topic.wait, topic)})
    assert.equal(0, topic:stats().readers)
    assert.equal(0, select(2, topic:publish("x")))
  end)

  it("ends when the topic is closed, after what is left", function()
    local topic = fresh()
    local cursor = topic:cursor()
    topic:publish("last")
    topic:close()
    local items
    items, cursor = topic:wait {after = cursor}
    assert.same({"last"}, items)
    local nothing, why = topic:wait {after = cursor}
    assert.is_nil(nothing)
    assert.equal("closed", why)
  end)

  it("reads several topics in the order of publishing", function()
    local a, b, other = fresh(), fresh(), fresh()
    local both = neap.topics {a, b:name()}
    local start = a:cursor()
    for i = 1, 20 do
      (i % 3 == 0 and b or a):publish(i)
      other:publish("no")
    end
    local items, cursor = both:wait {after = start}
    assert.equal(20, #items)
    for i = 1, 20 do assert.equal(i, items[i]) end
    local nothing, why = both:wait {after = cursor, timeout = 0}
    assert.same({nil, "timeout"}, {nothing, why})
    a:close()
    b:publish("still")
    assert.same({"still"}, (both:wait {after = cursor}))
    b:close()
    local _, closed = both:wait {after = both.names and a:cursor() or nil}
    assert.equal("closed", closed)
  end)
end)

describe("messages()", function()
  it("iterates until the topic is closed", function()
    local topic = fresh()
    local start = topic:cursor()
    local g <close> = task.group()
    g:spawn(function()
      for i = 1, 200 do
        topic:publish(i)
        if i % 10 == 0 then task.yield() end
      end
      topic:close()
    end)
    local expected = 0
    for item, cursor, is_gap in topic:messages {after = start} do
      expected = expected + 1
      assert.equal(expected, item)
      assert.matches("^%x+%.%d+$", cursor)
      assert.is_false(is_gap)
    end
    assert.equal(200, expected)
  end)

  it("marks the first item behind a gap", function()
    local topic = fresh {keep = 2}
    local start = topic:cursor()
    for i = 1, 5 do topic:publish(i) end
    topic:close()
    local seen = {}
    for item, _, is_gap in topic:messages {after = start} do seen[#seen + 1] = {item, is_gap} end
    assert.same({{4, true}, {5, false}}, seen)
  end)

  it("gives a cursor to each item that a reader can go on from", function()
    local topic = fresh()
    local start = topic:cursor()
    for i = 1, 5 do topic:publish(i) end
    for item, cursor in topic:messages {after = start} do
      if item == 3 then
        assert.same({4, 5}, (topic:wait {after = cursor, timeout = 0}))
        break
      end
    end
  end)
end)
