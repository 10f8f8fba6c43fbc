-- malloc fails, whoever calls it: our own code, Lua, OpenSSL, libcurl, SQLite, libuv, libpq ... What was asked for is
-- answered or its connection closes, and the server goes on; or it ends by a line of its own. Never by a signal, an
-- assertion, or a library's abort. spec/soak/allocation.lua tries every allocation.
local acts = require "spec.support.scarce_acts"
local malloc = require "spec.support.malloc"
local scarce = require "spec.support.scarce"
local scarce_peers = require "spec.support.scarce_peers"
local server = require "spec.support.server"
local task = require "neap.task"

local LANES = 4
local STRIDE = 7
local COLD = {"ids", "echo", "client", "tls"} -- what begins by using one
local COLD_STRIDE, COLD_LAST = 11, 60
local STRIDES = {https = 151, reload = 503, handover = 503, tls = 151, thread = 101, sqlite = 51, client = 3} -- many; libcurl's are few

describe("a malloc that fails", function()
  if malloc.is_missing() then return pending("ThreadSanitizer has a malloc of its own") end
  local peers

  setup(function() peers = scarce_peers.start() end)
  teardown(function() peers:__close() end)
  after_each(server.stop_all)

  local function check(walk)
    assert(#walk.problems == 0, table.concat(walk.problems, "\n"))
  end

  -- Each act has a server of its own; so many of them at a time.
  local function walk_all(kind, factor)
    local group <close> = task.group()
    group:map(peers:names(), function(name)
      local stride = (STRIDES[name] or STRIDE) * factor
      check(scarce.walk(kind, name, {first = 1 + #name % stride, stride = stride, env = peers.env}))
    end, {limit = LANES})
  end

  it("ends nothing but what it was for, or the server by a line", function() walk_all("malloc", 1) end)

  it("together with all after it", function() walk_all("mallocs", 7) end)

  it("ends no more when it is the first time that a library is used", function()
    local group <close> = task.group()
    group:map(COLD, function(name)
      if acts.wants[name] and not peers.env[acts.wants[name]] then return end
      check(scarce.walk("malloc", name, {first = 1, last = COLD_LAST, stride = COLD_STRIDE, env = peers.env, is_cold = true}))
    end, {limit = LANES})
  end)

  it("does not keep a server from ending", function()
    check(scarce.walk_stop("malloc", {first = 1, last = 60, stride = 11}))
  end)
end)
