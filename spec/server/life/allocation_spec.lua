-- Memory runs out, whatever is under way: nothing ends the server but a need of its own, which it says; nothing hangs,
-- nothing is left, and it can reload and stop afterwards. spec/soak/allocation.lua tries every allocation.
-- builds: hooks
local acts = require "spec.support.scarce_acts"
local scarce = require "spec.support.scarce"
local scarce_peers = require "spec.support.scarce_peers"
local server = require "spec.support.server"

-- Acts by name, without those that take the whole server.
local function names()
  local list = {}
  for name in pairs(acts.list) do
    if name ~= "reload" and name ~= "handover" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function check(walk)
  assert(#walk.problems == 0, table.concat(walk.problems, "\n"))
end

local peers

setup(function() peers = scarce_peers.start() end)
teardown(function() peers:__close() end)

-- Whether this machine has what an act talks to.
local function can_do(name)
  return not acts.wants[name] or peers.env[acts.wants[name]] ~= nil
end

describe("a worker whose memory is used up", function()
  local LEFTS = {0, 500, 1500, 4000} -- bytes
  local s

  before_each(function()
    if not s or s:code() then s = scarce.start {args = {"--set", "limits.memory=5MB"}, env = peers.env} end
  end)
  teardown(server.stop_all)

  for _, name in ipairs(names()) do
    it("answers, refuses or closes, and keeps nothing: " .. name, function()
      if not can_do(name) then return pending(acts.wants[name]) end
      check(scarce.squeeze(name, LEFTS, s))
    end)
  end

  it("reloads and stops as ever", function()
    local walk = {name = "end", kind = "left", problems = {}}
    scarce.finish(walk, s)
    check(walk)
  end)
end)

describe("an allocation that fails", function()
  local STRIDE = 5

  after_each(server.stop_all)

  for _, kind in ipairs {"lua", "try"} do
    it("of kind '" .. kind .. "' ends nobody but whom it was for", function()
      for i, name in ipairs(names()) do
        if can_do(name) then check(scarce.walk(kind, name, {first = 1 + i % STRIDE, stride = STRIDE, env = peers.env})) end
      end
    end)
  end

  it("does not keep a server from ending", function()
    check(scarce.walk_stop("lua", {first = 1, last = 36, stride = 7}))
  end)

  it("of the server's own ends it by a line and a clean exit status", function()
    local walk = scarce.walk("must", "poll", {first = 2, stride = 7})
    check(walk)
    assert(walk.outcomes.ended > 0)
  end)
end)
