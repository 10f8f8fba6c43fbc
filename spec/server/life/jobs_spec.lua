-- Background jobs in a real server: where they run, that they hold nothing up, and how they end.
local server = require "spec.support.server"
local json = require "neap.json"

local function app(text)
  return [[
    local neap = require "neap"
    local task = neap.task
    local app = neap.app()
    local function say(text) io.stderr:write(text .. "\n") end
    app:get("/jobs", function() return {worker = neap.worker, jobs = neap.jobs.list()} end)
    app:get("/worker", function() return {worker = neap.worker} end)
  ]] .. text .. "\nreturn app"
end

local function count_of(text, pattern)
  local _, count = text:gsub(pattern, "")
  return count
end

-- What each worker says of its jobs.
local function jobs_of(s, workers)
  local seen, count = {}, 0
  assert(server.poll(20, function()
    local _, body = s:get("/jobs")
    local answer = json.decode(body)
    if not seen[answer.worker] then count = count + 1 end
    seen[answer.worker] = answer.jobs
    return count == workers
  end))
  return seen
end

describe("a job", function()
  after_each(server.stop_all)

  it("runs once per server, not once per worker, unless it asks for that", function()
    local s = server.start {workers = 3, app = app [[
      app:service("single", function() say("single " .. neap.worker) task.sleep(3600) end)
      app:service("each", function() say("each " .. neap.worker) task.sleep(3600) end, {workers = "each"})]]}
    for worker = 1, 3 do s:wait_log("each " .. worker) end
    s:wait_log("single ")
    local names = {}
    for _, jobs in pairs(jobs_of(s, 3)) do
      for _, job in ipairs(jobs) do names[job.name] = (names[job.name] or 0) + 1 end
    end
    assert.same({single = 1, each = 3}, names)
    assert.equal(1, count_of(s:log(), "single %d\n"))
    assert.equal(0, s:stop())
  end)

  it("does not hold up the start, whatever it does", function()
    local s = server.start {workers = 1, app = app [[
      app:service("endless", function() while true do task.sleep(0.01) end end)
      app:every(0.01, function() task.sleep(3600) end)
      app:on_ready(function() say "ready" end)]]}
    s:wait_log("ready")
    assert.equal(200, (s:get("/worker")))
    assert.equal(0, s:stop())
  end)

  it("that dies is never silent", function()
    local s = server.start {workers = 1, app = app [[
      app:service("feed", function() task.sleep(0.01) error("connection lost") end)]]}
    s:wait_log("service feed failed after")
    assert.matches("connection lost; it starts again in %d.%d s", s:log())
    assert.matches("app.lua:%d+: in function", s:log())
    assert.equal(0, s:stop())
  end)

  it("stopped by the watchdog is started again", function()
    local s = server.start {workers = 1, args = {"--set", "watchdog.raise=1"}, app = app [[
      app:service("busy", function(ctx)
        if ctx.run > 1 then say "again" task.sleep(3600) end
        while true do end
      end, {backoff = {min = 0.01}})]]}
    s:wait_log("again")
    assert.matches("stopped by the watchdog", s:log())
    assert.equal(0, s:stop())
  end)

  it("is there until the requests have ended, and closes before the clean-up", function()
    local s = server.start {workers = 1, app = app [[
      local queue, answers = {}, {}
      app:service("queue", function()
        local _ <close> = setmetatable({}, {__close = function() task.sleep(0.02) say "job closed" end})
        while true do
          for id in pairs(queue) do queue[id], answers[id] = nil, "answered" end
          task.sleep(0.005)
        end
      end)
      app:get("/ask", function()
        say "asked"
        task.sleep(0.2)
        queue.a = true
        repeat task.sleep(0.005) until answers.a
        return answers.a
      end)
      app:on_cleanup(function() say "cleanup" end)]]}
    local socket = s:connect()
    socket:send("GET /ask HTTP/1.1\r\nHost: a\r\n\r\n")
    s:wait_log("asked")
    s:kill("TERM")
    assert.matches("answered$", server.receive_all(socket))
    assert.equal(0, s:wait())
    assert.matches("job closed\ncleanup\n", s:log())
  end)

  it("that is critical and gives up stops the server in good order, with exit code 2", function()
    local s = server.start {workers = 2, app = app [[
      app:on_cleanup(function() say("cleanup " .. neap.worker) end)
      local orders = neap.store("orders")
      app:post("/die", function() orders:set("die", true) end)
      app:service("vital", function()
        repeat task.sleep(0.005) until orders:get("die")
        error("dead")
      end, {critical = true, retries = 0})]]}
    s.was_killed = true -- it ends by itself
    local socket <close> = s:connect()
    socket:send("POST /die HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert.equal(2, s:wait())
    assert.matches("service vital failed after .*dead; it is critical: stopping the server", s:log())
    assert.matches("cleanup 1\n", s:log())
    assert.matches("cleanup 2\n", s:log())
  end)

  it("of app:after in a handler runs in that worker, after the answer", function()
    local s = server.start {workers = 2, app = app [[
      app:post("/later", function()
        app:after(0.01, function() say("later " .. neap.worker) end)
        return tostring(neap.worker)
      end)]]}
    local socket = s:connect()
    socket:send("POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    local worker = server.receive_all(socket):match("%d$")
    s:wait_log("later " .. worker)
    assert.equal(0, s:stop())
  end)
end)
