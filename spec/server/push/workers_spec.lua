-- Two workers, publishing on both: every subscriber of every kind on either gets everything once, in one order.
local json = require "neap.json"
local live = require "spec.support.live"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local MESSAGES = 300 -- of each worker

local APP = live.app [[
  app:get("/read/:topic", function(req)
    local list = {}
    for item in neap.topic(req.params.topic):messages{after = req.query.after} do list[#list + 1] = item end
    return list
  end)]]

-- Each of these collects the messages behind `start` until there are `count`.
local collect = {}

function collect.poll(s, topic, start, count)
  local client, list, cursor = live.open(s), {}, start
  while #list < count do
    local answer = client:ask("GET", ("/poll/%s?limit=20&after=%s"):format(topic, cursor))
    assert(answer.status == 200 and not answer.headers["topic-gap"], answer.head)
    local body = json.decode(answer.body)
    cursor = body.cursor
    table.move(body.items, 1, #body.items, #list + 1, list)
  end
  client:close()
  return list
end

function collect.sse(s, topic, start, count)
  local client, list = live.open(s), {}
  client:send("GET", ("/events/%s?after=%s"):format(topic, start))
  client.conn:upto("\r\n\r\n")
  while #list < count do
    local line = assert(client.conn:upto("\n"))
    assert(not line:find("^event:"), line)
    list[#list + 1] = line:match("^data: (.*)\n$")
  end
  client:close()
  return list
end

function collect.envelopes(s, topic, start, count)
  local socket, list = ws.open(s, ("/serve/%s?after=%s"):format(topic, start)), {}
  while #list < count do list[#list + 1] = assert(json.decode((socket:message())).data) end
  socket:close()
  return list
end

function collect.raw(s, topic, start, count)
  local socket, list = ws.open(s, ("/raw/%s?after=%s"):format(topic, start)), {}
  while #list < count do
    local text = socket:message()
    if text ~= "ready" then list[#list + 1] = assert(text) end
  end
  socket:close()
  return list
end

function collect.task(s, topic, start)
  local client = live.open(s)
  local answer = client:ask("GET", ("/read/%s?after=%s"):format(topic, start))
  client:close()
  return json.decode(answer.body)
end

describe("two workers", function()
  local s, publishers

  before_each(function()
    s = server.start {app = APP, workers = 2}
    publishers = live.open_each(s, 2)
    publishers[1]:set("t", {keep = 4 * MESSAGES, bytes = "1MB"})
  end)
  after_each(server.stop_all)

  -- Runs three readers of each kind while both workers publish `MESSAGES` each.
  local function read_all()
    local start = publishers[1]:cursor()
    local readers, lists = task.group(), {}
    local stop <close> = setmetatable({}, {__close = function() readers:cancel() end})
    for name, fn in pairs(collect) do
      for i = 1, 3 do
        readers:spawn(function()
          local list = fn(s, "t", start, 2 * MESSAGES)
          lists[#lists + 1] = {name = name .. i, list = list}
        end)
      end
    end
    local g <close> = task.group()
    for worker, admin in ipairs(publishers) do
      g:spawn(function()
        for i = 1, MESSAGES do assert(admin:publish("t", ("%d %d"):format(worker, i))) end
      end)
    end
    g:join()
    publishers[1]:close_topic("t") -- for the tasks that read
    readers:join()
    return lists
  end

  it("bring everything once, in the same order, to everybody", function()
    local lists = read_all()
    assert.equal(15, #lists)
    local first = lists[1].list
    local next_of = {1, 1}
    for _, text in ipairs(first) do
      local worker, i = text:match("^(%d) (%d+)$")
      assert.equal(next_of[tonumber(worker)], tonumber(i))
      next_of[tonumber(worker)] = tonumber(i) + 1
    end
    assert.same({MESSAGES + 1, MESSAGES + 1}, next_of)
    for _, one in ipairs(lists) do
      assert.is_true(table.concat(one.list, ",") == table.concat(first, ","), one.name .. " has another order than " .. lists[1].name)
    end
  end)

  it("count the subscribers of both", function()
    local clients = {}
    for i = 1, 20 do
      clients[i] = live.open(s)
      clients[i]:send("GET", "/poll/t")
    end
    publishers[1]:wait_for("t", "polls", 20)
    local _, count = publishers[2]:publish("t", "x")
    assert.equal(20, count)
    for _, client in ipairs(clients) do
      assert.equal(200, client.conn:answer().status)
      client:close()
    end
  end)

  it("tell everybody when the topic is closed", function()
    local polls, sockets = {}, {}
    for i = 1, 6 do
      polls[i], sockets[i] = live.open(s), ws.open(s, "/serve/t")
      polls[i]:send("GET", "/poll/t")
    end
    publishers[1]:wait_for("t", "subscribers", 12)
    publishers[2]:close_topic("t")
    for i = 1, 6 do
      assert.equal(410, polls[i].conn:answer().status)
      assert.equal(4010, (sockets[i]:ending()))
      polls[i]:close()
    end
  end)
end)
