-- A client that comes back at random by poll, event stream or WebSocket while others publish: it sees every message
-- once and in order, or is told of a gap, and that only when there was one.
local http = require "spec.support.http"
local json = require "neap.json"
local live = require "spec.support.live"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local SECONDS = tonumber(os.getenv "SOAK_SECONDS") or 5 -- for each of the two; CI takes longer
local SEED = os.time()

-- What a client has seen. Numbers are published from 1 on without a hole.
local function seen_new()
  return {last = 0, gaps = 0, lost = 0, count = 0, has_gap = false}
end

local function see(seen, number, how)
  number = assert(tonumber(number), how .. " brought no number")
  if seen.has_gap then
    assert(number > seen.last, ("%s brought %d again, after %d and a gap"):format(how, number, seen.last))
    seen.lost = seen.lost + number - seen.last - 1
  else
    assert(number == seen.last + 1, ("%s brought %d after %d, and told of no gap"):format(how, number, seen.last))
  end
  seen.has_gap, seen.last, seen.count = false, number, seen.count + 1
end

local function see_gap(seen)
  seen.gaps, seen.has_gap = seen.gaps + 1, true
end

-- Each reads some messages behind `cursor` and gives the cursor to come back with.
local visit = {}

function visit.poll(s, seen, cursor, some)
  local client = live.open(s)
  for _ = 1, some(3) do
    local answer = client:ask("GET", ("/poll/t?timeout=0.2&after=%s"):format(cursor))
    assert(answer.status == 200 or answer.status == 204, answer.head)
    if answer.headers["topic-gap"] then see_gap(seen) end
    cursor = answer.headers["topic-cursor"]
    if answer.status == 200 then
      for _, one in ipairs(json.decode(answer.body).items) do see(seen, one, "a poll") end
    end
  end
  client:close()
  return cursor
end

function visit.events(s, seen, cursor, some)
  local client = live.open(s)
  client:send("GET", "/events/t", nil, ("Last-Event-ID: %s\r\n"):format(cursor))
  assert(client.conn:upto("\r\n\r\n"):find(" 200 ", 1, true))
  local id, is_gap
  for _ = 1, some(200) do
    local line = assert(client.conn:upto("\n"), "the stream ended")
    local name, value = line:match("^(%a+): (.*)\n$")
    if name == "id" then id, is_gap = value, false end
    if name == "event" then is_gap = value == "gap" end
    if name == "data" then
      if is_gap then see_gap(seen) else see(seen, value, "an event") end
      cursor = id
    end
  end
  if some(2) == 1 then client.conn:reset() else client:close() end
  return cursor
end

function visit.envelopes(s, seen, cursor, some)
  local socket = ws.open(s, "/serve/t?after=" .. cursor)
  for _ = 1, some(100) do
    local envelope = json.decode((assert(socket:message())))
    cursor = envelope.cursor
    if envelope.gap then see_gap(seen) else see(seen, envelope.data, "an envelope") end
  end
  if some(2) == 1 then socket.conn:reset() else socket:close() end
  return cursor
end

local WAYS = {"poll", "events", "envelopes"}

describe("a client that comes back", function()
  local s

  before_each(function() s = server.start {app = live.APP, workers = 2} end)
  after_each(server.stop_all)

  -- Several clients for a while; `pause` seconds between two visits.
  local function run(keep, pause)
    local admin = live.open(s)
    admin:set("t", {keep = keep, bytes = "64MB", ttl = "1h"})
    local start, deadline = admin:cursor(), task.now() + SECONDS
    local all, is_over, published = {}, false, 0
    local publishing <close> = task.group()
    publishing:spawn(function()
      while not is_over do
        admin:publish_many("t", published + 1, published + 5)
        published = published + 5
        task.sleep(0.005)
      end
    end)
    do
      local g <close> = task.group()
      for i = 1, 6 do
        g:spawn(function()
          local seen, cursor, some = seen_new(), start, http.random(SEED + i)
          all[i] = seen
          while task.now() < deadline do
            cursor = visit[WAYS[some(#WAYS)]](s, seen, cursor, some)
            if pause > 0 then task.sleep(some(100) / 100 * pause) end
          end
        end)
      end
    end
    is_over = true
    publishing:join()
    local dropped = admin:stats("t").dropped
    admin:close()
    return all, dropped
  end

  it("sees each message once and in order", function()
    local all, dropped = run(200000, 0)
    assert.equal(0, dropped)
    for _, seen in ipairs(all) do
      assert.equal(0, seen.gaps)
      assert.is_true(seen.count > 20, ("seed %d: only %d messages"):format(SEED, seen.count))
    end
  end)

  it("is told of a gap when the log has moved on, and only then", function()
    local gaps = 0
    for _, seen in ipairs((run(20, 0.15))) do
      assert.is_true(seen.gaps <= seen.lost, ("seed %d: %d gaps, %d messages lost"):format(SEED, seen.gaps, seen.lost))
      gaps = gaps + seen.gaps
    end
    assert.is_true(gaps > 0, "there was no gap at all")
  end)
end)

describe("a server that was started again", function()
  after_each(server.stop_all)

  it("tells every kind of client of a gap, at once", function()
    local s = server.start {app = live.APP, workers = 1}
    local admin = live.open(s)
    local cursor = admin:publish("t", "before")
    admin:close()
    assert.equal(0, s:stop())
    s = server.start {app = live.APP, workers = 2}
    local answer = live.open(s):ask("GET", "/poll/t?after=" .. cursor)
    assert.equal("1", answer.headers["topic-gap"])
    local client = live.open(s)
    client:send("GET", "/events/t", nil, ("Last-Event-ID: %s\r\n"):format(cursor))
    assert(client.conn:upto("event: gap\n"))
    client:close()
    local socket = ws.open(s, "/serve/t?after=" .. cursor)
    assert.is_true(json.decode((socket:message())).gap)
    socket:close()
  end)
end)
