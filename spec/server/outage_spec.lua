-- A database that is killed under the requests of a real server, and comes back: each request is answered.
local postgres = require "spec.support.postgres"
local redis = require "spec.support.redis"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local db = neap.%s.connect("%s", {max = 4, timeout = 5})
  app:on_cleanup(function() db:close() end)
  app:get("/", function()
    local result, err = %s
    if not result then return 503, tostring(err) end
    return "served"
  end)
  return app]]

local CLIENTS, SOME = 8, 30

-- Clients that ask again and again: what they were answered, by status.
local function ask(s, g, answers)
  for _ = 1, CLIENTS do
    g:spawn(function()
      while not answers.is_over do
        local status, body = s:get("/")
        assert(status == 200 or status == 503 and #body > 0, "a request was not answered")
        answers[status] = answers[status] + 1
      end
    end)
  end
end

local function survives(peer, s)
  local answers = {[200] = 0, [503] = 0, is_over = false}
  local g <close> = task.group()
  ask(s, g, answers)
  local function some_more(status)
    local from = answers[status]
    assert(server.poll(30, function() return answers[status] >= from + SOME end), "no more answers of " .. status)
  end
  some_more(200)
  for _ = 1, 2 do
    peer:stop()
    some_more(503)
    peer:start()
    some_more(200)
  end
  answers.is_over = true
  g:join()
  assert.equal(0, s:stop())
end

describe("a server whose database is killed and comes back answers every request:", function()
  after_each(server.stop_all)

  it("Redis", function()
    if redis.is_missing() then return pending("redis-server or hiredis is missing") end
    local peer <close> = redis.start()
    survives(peer, server.start {app = APP:format("redis", peer.url, 'db:incr("n")')})
  end)

  it("PostgreSQL", function()
    if postgres.is_missing() then return pending("PostgreSQL or libpq is missing") end
    local peer <close> = postgres.start()
    survives(peer, server.start {app = APP:format("pg", peer.dsn, 'db:query("SELECT 1")')})
  end)
end)
