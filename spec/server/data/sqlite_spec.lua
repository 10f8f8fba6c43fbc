local ask = require "spec.support.ask"
local neap = require "neap"
local server = require "spec.support.server"
local sqlite, task = neap.sqlite, neap.task

after_each(server.stop_all)

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local db = assert(neap.sqlite.open("test.db", {readers = 2}))
  assert(db:migrate{"CREATE TABLE t (worker, v)"})

  app:post("/add/:v{int}", function(req)
    assert(db:transaction(function(tx)
      local highest = tx:query("SELECT max(v) AS v FROM t")[1].v or 0
      assert(tx:exec("INSERT INTO t VALUES (?, ?)", neap.worker, highest + 1))
    end))
    return 204
  end)
  app:get("/sum", function()
    local row = db:query("SELECT count(*) AS n, max(v) AS highest, count(DISTINCT worker) AS workers FROM t")[1]
    return row
  end)
  app:post("/hold", function()
    db:transaction(function(tx)
      assert(tx:exec("INSERT INTO t VALUES (?, ?)", neap.worker, -1))
      neap.log.info("holding")
      neap.task.sleep("1h")
    end)
  end)
  app:get("/endless", function()
    neap.log.info("counting")
    return db:query("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) AS n FROM c")
  end)
  app:get("/lose", function()
    assert(neap.sqlite.open(":memory:"))
    collectgarbage()
    collectgarbage()
    return "lost"
  end)
  return app]]

local function file_of(s)
  return assert(sqlite.open(s.dir .. "/test.db"))
end

local function post(s, path)
  return ask(s, path, {method = "POST", body = ""}).status
end

describe("a database of a server", function()
  it("is written by all workers at once, one transaction after the other", function()
    local s = server.start {app = APP, workers = 2}
    do
      local g <close> = task.group()
      for _ = 1, 10 do
        g:spawn(function()
          for v = 1, 20 do assert.equal(204, post(s, "/add/" .. v)) end
        end)
      end
    end
    local _, body = s:get("/sum")
    assert.same({n = 200, highest = 200, workers = 2}, neap.json.decode(body))
  end)

  it("has nothing of a transaction whose server was killed", function()
    local s = server.start {app = APP, workers = 1}
    post(s, "/add/1")
    local g <close> = task.group()
    g:spawn(function() pcall(post, s, "/hold") end)
    s:wait_log("holding")
    s:kill("KILL")
    s:wait()
    local db <close> = file_of(s)
    assert.same({{v = 1}}, db:query("SELECT v FROM t"))
    assert.same({{integrity_check = "ok"}}, db:query("PRAGMA integrity_check"))
    assert.equal(1, (db:exec("INSERT INTO t VALUES (0, 2)")))
  end)

  it("is closed when the server stops, whatever goes on", function()
    local s = server.start {app = APP, workers = 2, args = {"--set", "timeouts.drain=0.1"}}
    local g <close> = task.group()
    g:spawn(function() pcall(post, s, "/hold") end)
    g:spawn(function() pcall(s.get, s, "/endless") end)
    s:wait_log("holding")
    s:wait_log("counting")
    s:stop("TERM") -- exit code 0: nothing was left open
    local db <close> = file_of(s)
    assert.equal(0, db:query("SELECT count(*) AS n FROM t")[1].n)
  end)

  it("stops counting for a client that has left", function()
    local s = server.start {app = APP, workers = 1}
    for _ = 1, 5 do -- there are two readers
      local socket = s:connect()
      socket:send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
      task.sleep("2ms")
      socket:close()
    end
    local status = s:get("/sum")
    assert.equal(200, status)
  end)

  it("that nobody closed is logged with the place where it was opened", function()
    local s = server.start {app = APP, workers = 1}
    s:get("/lose")
    s:wait_log("a database was never closed")
    assert.matches('"opened":"[^"]*app%.lua:%d+"', s:log())
  end)
end)
