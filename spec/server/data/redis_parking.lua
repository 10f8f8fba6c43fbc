-- What parks in neap.redis, with a real server.
local certificate = require "spec.support.certificate"
local core = require "neap.core"
local parking = require "spec.support.parking"
local redis_server = require "spec.support.redis"

local redis = core.redis_reader and require "neap.redis"

local peer ---@type spec.Redis

-- One connection, which is open; `is_cold`: not yet.
local function redis_client(case, is_cold)
  local r = case:keep(redis.connect(peer.url, {max = 1}))
  if not is_cold then assert(r:set("k", "value")) end
  return r
end

-- A subscription by `method`, and what is published to it.
local function subscription(case, method, name, message_at)
  local r, other = redis_client(case), redis_client(case)
  local next_message, _, _, it = r[method](r, name)
  case:keep(it)
  local g = case:group()
  return {
    park = function() return select(message_at, next_message()) == "item" end,
    complete = function() g:spawn(function() other:publish("parking.a", "item") end) end,
    keeps = true,
  }
end

-- A row that subscribes, and leaves at once.
local function subscribing(case, method, name)
  local r = redis_client(case)
  return {park = function()
    local next_message, _, _, it = r[method](r, name)
    local _ <close> = it
    return next_message
  end, whole = parking.in_order(r)}
end

return {
  missing = function() return (redis_server.is_missing() or certificate.is_missing()) and "redis-server, hiredis or openssl is missing" end,
  start = function() peer = redis_server.start_tls() end,
  stop = function() peer:__close() end,

  {"neap.Redis:command", function(case)
    local r = redis_client(case)
    return {park = function() return r:command("GET", "k") == "value" end, whole = parking.in_order(r)}
  end},
  {"neap.Redis:command, the first on its connection", function(case)
    local r = redis_client(case, true)
    return {park = function() return r:ping() == "PONG" end, whole = parking.in_order(r)}
  end},
  {"neap.Redis:command, over TLS", function(case)
    local r = case:keep(redis.connect(peer.tls_url, {max = 1, tls = {ca = peer.ca}}))
    return {park = function() return r:ping() == "PONG" end, whole = parking.in_order(r)}
  end},
  {"neap.Redis:command, while another has the connection", function(case)
    local r = redis_client(case)
    return parking.behind(case, function(hold) r:pinned(hold) end, function() return r:get("k") == "value" end)
  end},
  {"neap.Redis:pipeline", function(case)
    local r = redis_client(case)
    return {park = function()
      return r:pipeline(function(p) p:set("n", 1) p:incr("n") p:get("k") end)[3] == "value"
    end, whole = parking.in_order(r)}
  end},
  {"neap.Redis:pipeline, atomic", function(case)
    local r = redis_client(case)
    return {park = function()
      return r:pipeline(function(p) p:set("n", 1) p:incr("n") end, {atomic = true})[2] == 2
    end, whole = parking.in_order(r)}
  end},
  {"neap.Redis:pinned", function(case)
    local r = redis_client(case)
    return {park = function()
      return r:pinned(function(c) return c:watch("k") and c:unwatch() and c:get("k") end) == "value"
    end, whole = parking.in_order(r)}
  end},
  {"neap.Redis:subscribe", function(case) return subscribing(case, "subscribe", "parking.a") end},
  {"neap.Redis:subscribe, the next message", function(case)
    return subscription(case, "subscribe", "parking.a", 2)
  end},
  {"neap.Redis:psubscribe", function(case) return subscribing(case, "psubscribe", "parking.*") end},
  {"neap.Redis:psubscribe, the next message", function(case)
    return subscription(case, "psubscribe", "parking.*", 2)
  end},
}
