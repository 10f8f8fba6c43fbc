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

-- Some ask again and again while the database is killed and comes back, twice. `ask` says whether it was served.
local function survives(peer, ask)
  local answers, is_over = {[true] = 0, [false] = 0}, false
  local g <close> = task.group()
  for _ = 1, CLIENTS do
    g:spawn(function()
      while not is_over do
        local was_served = ask()
        answers[was_served] = answers[was_served] + 1
      end
    end)
  end
  local function some_more(served)
    local from = answers[served]
    assert(server.poll(30, function() return answers[served] >= from + SOME end), "no more answers")
  end
  some_more(true)
  for _ = 1, 2 do
    peer:stop()
    some_more(false)
    peer:start()
    some_more(true)
  end
  is_over = true
  g:join()
end

local function server_survives(peer, ...)
  local s = server.start {app = APP:format(...)}
  survives(peer, function()
    local status, body = s:get("/")
    assert(status == 200 or status == 503 and #body > 0, "a request was not answered")
    return status == 200
  end)
  assert.equal(0, s:stop())
end

describe("Redis that is killed and comes back", function()
  if redis.is_missing() then return pending("redis-server or hiredis is missing") end
  after_each(server.stop_all)

  it("leaves no request without an answer", function()
    local peer <close> = redis.start()
    server_survives(peer, "redis", peer.url, 'db:incr("n")')
  end)
end)

describe("PostgreSQL that is killed and comes back", function()
  if postgres.is_missing() then return pending("PostgreSQL, libpq or a user to run it is missing") end
  local peer ---@type spec.Postgres
  setup(function() peer = postgres.start() end)
  teardown(function() peer:__close() end)
  after_each(server.stop_all)

  it("leaves no request without an answer", function()
    server_survives(peer, "pg", peer.dsn, 'db:query("SELECT 1")')
  end)

  it("gives tasks nil and an error meanwhile, and nobody waits for ever", function()
    local db <close> = require("neap.pg").connect(peer.dsn, {max = 4, timeout = 10})
    survives(peer, function()
      local rows, err = db:query("SELECT 1")
      assert(rows or err)
      task.sleep(0.001)
      return rows ~= nil
    end)
    assert.equal(0, db:stats().waiting)
  end)
end)
