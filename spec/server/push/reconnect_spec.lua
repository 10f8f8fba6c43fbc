-- Clients that come back with a cursor of before: spec/soak/reconnect.lua has those of the same server.
local json = require "neap.json"
local live = require "spec.support.live"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

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
