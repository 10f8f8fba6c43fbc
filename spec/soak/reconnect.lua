-- Clients that come back at random by poll, event stream or WebSocket while others publish: they see every message once
-- and in order, or are told of a gap, and that only when there was one.
local live = require "spec.support.live"
local subscribers = require "spec.support.subscribers"
local task = require "neap.task"

local reconnect = {}

local CLIENTS = {"any", "any", "any", "any", "any", "any"}
local LONG, SHORT = 200000, 20 -- messages that are kept: more than come in a run, and fewer than between two visits

local function subscribe(run, name, keep, pause, check)
  local admin = live.open(run.server)
  admin:set(name, {keep = keep, bytes = "64MB", ttl = "1h"})
  subscribers.beside(run, name, {
    paths = {poll = ("/poll/%s?timeout=0.2"):format(name), events = "/events/" .. name, serve = "/serve/" .. name},
    cursor = admin:cursor(), ways = CLIENTS, pause = pause, check = check,
    publish = function(number)
      admin:publish_many(name, number, number + 4)
      run:count("messages published", 5)
      task.sleep(0.005)
      return number + 4
    end,
  })
end

---@param run spec.SoakRun
---@async
function reconnect.run(run)
  run:start {app = live.APP, workers = 2}
  subscribe(run, "long", LONG, nil, function(one)
    assert(one.gaps == 0, "the log has everything, and a gap was told")
    assert(one.count > 20, "hardly a message came")
  end)
  subscribe(run, "short", SHORT, 3 * SHORT, function(one)
    assert(one.gaps > 0, "there was no gap at all")
    assert(one.gaps <= one.lost, ("%d gaps, %d messages lost"):format(one.gaps, one.lost))
  end)
end

return reconnect
