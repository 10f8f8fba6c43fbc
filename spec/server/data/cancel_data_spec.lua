-- Cancelling what parks in a database, with real servers.
local certificate = require "spec.support.certificate"
local matrix = require "spec.support.matrix"
local parking = require "spec.support.parking_data"
local postgres = require "spec.support.postgres"
local redis = require "spec.support.redis"

local function test(rows)
  for _, one in ipairs(matrix.tests(rows)) do it(one.name, one.run) end
end

describe("cancelling SQLite:", function()
  test(parking.sqlite)
end)

describe("cancelling Redis:", function()
  if redis.is_missing() or certificate.is_missing() then return pending("redis-server, hiredis or openssl is missing") end
  setup(function() parking.servers.redis = redis.start_tls() end)
  teardown(function() parking.servers.redis:__close() end)
  test(parking.redis)
end)

describe("cancelling PostgreSQL:", function()
  if postgres.is_missing() then return pending("PostgreSQL, libpq or a user to run it is missing") end
  setup(function() parking.servers.pg = postgres.shared() end)
  teardown(function() parking.servers.pg:__close() end)
  test(parking.pg)
end)
