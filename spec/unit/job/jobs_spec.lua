-- Background jobs without a server, by a clock that the spec moves on.
local core = require "neap.core"
local cron = require "neap.job.cron"
local lifecycle = require "neap.life.lifecycle"
local log = require "neap.log"
local neap = require "neap"
local task = require "neap.task"
local zone = require "neap.job.zone"

-- Lets everything happen that can happen now.
local function settle()
  for _ = 1, 20 do task.yield() end
end

-- As if so much time had passed.
local function advance(seconds)
  local till = task.now() + seconds
  settle()
  while true do
    local left = till - task.now()
    if left < 0.001 then break end
    core.task.skip(left)
    settle()
  end
end

describe("a job", function()
  local app, life, logged, given_up
  local log_of = {}

  before_each(function()
    app, logged, given_up = neap.app(), {}, {}
    for _, level in ipairs {"error", "warn", "info"} do
      log_of[level] = log[level]
      log[level] = function(message, fields)
        logged[#logged + 1] = {level = level, text = tostring(message), traceback = fields and fields.traceback}
      end
    end
    life = lifecycle.new(app, {give_up = function(job) given_up[#given_up + 1] = job.name end})
  end)
  after_each(function()
    life:cleanup("shutdown")
    for level, fn in pairs(log_of) do log[level] = fn end
    assert.same({}, neap.jobs.list())
  end)

  local function start()
    assert(life:start())
    assert.is_true(life:ready())
    settle()
  end

  -- A function that counts its calls, and does something after.
  local function counter(fn)
    local self = {count = 0}
    return setmetatable(self, {__call = function(_, ...)
      self.count = self.count + 1
      if fn then return fn(...) end
    end}), function(...) return self(...) end
  end

  describe("of app:every", function()
    it("runs every so often, from the first period on", function()
      local seen, fn = counter()
      app:every(60, fn)
      start()
      advance(59)
      assert.equal(0, seen.count)
      advance(2)
      assert.equal(1, seen.count)
      advance(120)
      assert.equal(3, seen.count)
    end)

    it("runs at once, too, when it is immediate", function()
      local seen, fn = counter()
      app:every("1m", fn, {immediate = true})
      start()
      assert.equal(1, seen.count)
      advance(61)
      assert.equal(2, seen.count)
    end)

    it("leaves out times that come while it runs, and says so", function()
      local seen, fn = counter(function() task.sleep(150) end)
      local job = app:every(60, fn)
      start()
      advance(185)
      assert.equal(1, seen.count)
      assert.equal(2, job.skipped)
      assert.matches("still running: skipped", logged[1].text)
      advance(60)
      assert.equal(2, seen.count)
    end)

    it("runs one after the other with overlap = queue", function()
      local active, most = 0, 0
      local seen, fn = counter(function()
        active = active + 1
        most = math.max(most, active)
        task.sleep(90)
        active = active - 1
      end)
      app:every(60, fn, {overlap = "queue"})
      start()
      advance(60 * 4 + 1) -- the third began at 240
      assert.equal(3, seen.count)
      assert.equal(1, most)
    end)

    it("runs several at a time with overlap = allow", function()
      local seen, fn = counter(function() task.sleep(1000) end)
      app:every(60, fn, {overlap = "allow"})
      start()
      advance(185)
      assert.equal(3, seen.count)
    end)

    it("is put off by at most its jitter", function()
      local seen, fn = counter()
      app:every(60, fn, {jitter = 20})
      start()
      advance(59)
      assert.equal(0, seen.count)
      advance(22)
      assert.equal(1, seen.count)
      advance(60)
      assert.equal(2, seen.count)
    end)

    it("is cancelled when it takes longer than its timeout", function()
      local closed
      local job = app:every(60, function()
        local _ <close> = setmetatable({}, {__close = function() closed = true end})
        task.sleep(3600)
      end, {timeout = "5s"})
      start()
      advance(66)
      assert.is_true(closed)
      assert.equal(1, job.failures)
      assert.matches("it took longer than its timeout; it runs again in", logged[1].text)
      assert.matches("jobs_spec.lua", logged[1].traceback)
    end)

    it("logs a failure with its traceback and the next time, at once, and goes on", function()
      local job = app:every(60, function() error("no disk") end, {name = "backup"})
      start()
      advance(61)
      assert.equal("error", logged[1].level)
      assert.matches("^every backup failed after %d.%d+ s: .*no disk; it runs again in %d+%.%d s$", logged[1].text)
      assert.matches("jobs_spec.lua:%d+", logged[1].traceback)
      advance(60)
      assert.equal(2, job.failures)
      assert.matches("no disk", job.last_error)
    end)

    it("takes nil and an error for a failure", function()
      local job = app:every(60, function() return nil, "refused" end)
      start()
      advance(61)
      assert.equal("refused", job.last_error)
    end)

    it("can be run, paused and resumed by its name", function()
      local seen, fn = counter(function() task.sleep(1) end)
      app:every(60, fn, {name = "tick"})
      start()
      assert.is_true(neap.jobs.run_now("tick"))
      settle()
      assert.equal(1, seen.count)
      assert.same({nil, "running"}, {neap.jobs.run_now("tick")})
      assert.is_true(neap.jobs.pause("tick"))
      advance(185)
      assert.equal(1, seen.count)
      assert.equal("paused", neap.jobs.list()[1].status)
      assert.is_nil(neap.jobs.list()[1].next_run)
      assert.is_true(neap.jobs.resume("tick"))
      advance(60)
      assert.equal(2, seen.count)
      assert.same({nil, 'no job of this worker is named "tock"; did you mean "tick"?'}, {neap.jobs.pause("tock")})
    end)

    it("is listed as plain data", function()
      app:every("1m", function() task.sleep(2) end, {name = "tick"})
      start()
      local state = neap.jobs.list()[1]
      assert.same({"tick", "every", "every 60 s", "waiting", 0, 0},
        {state.name, state.kind, state.schedule, state.status, state.runs, state.skipped})
      assert.matches("jobs_spec.lua:%d+$", state.where)
      assert.is_true(math.abs(state.next_run - core.task.time() - 60) < 30)
      advance(61)
      assert.equal("running", neap.jobs.list()[1].status)
      advance(5)
      state = neap.jobs.list()[1]
      assert.equal("waiting", state.status)
      assert.equal(1, state.runs)
      assert.is_true(state.last_duration > 1.9 and state.last_duration < 5)
      assert.equal("string", type(neap.json.encode(state)))
    end)
  end)

  describe("of app:service", function()
    it("starts again after a failure, which is logged at once with the time of its return", function()
      local seen, fn = counter(function() error("lost") end)
      local job = app:service("feed", fn, {backoff = {min = 10, max = 40}})
      start()
      assert.equal(1, seen.count)
      assert.matches("^service feed failed after .*lost; it starts again in %d+%.%d s$", logged[1].text)
      assert.matches("jobs_spec.lua", logged[1].traceback)
      for i, most in ipairs {10, 20, 40, 40} do -- twice as long each time, less up to half of it
        local rest = job.next_run - core.task.time()
        assert.is_true(rest > most / 2 - 1 and rest <= most)
        advance(rest - 0.1)
        assert.equal(i, seen.count)
        advance(0.2)
        assert.equal(i + 1, seen.count)
      end
      assert.equal(seen.count, job.failures)
    end)

    it("rests for a short time again when it was well for long", function()
      local seen, fn = counter(function()
        task.sleep(100)
        error("lost")
      end)
      app:service("feed", fn, {backoff = {min = 1, max = 10}})
      start()
      advance(101.5 * 4)
      assert.equal(4 + 1, seen.count)
    end)

    it("ends when it returns", function()
      app:service("once", function() return "done" end)
      start()
      assert.equal("done", neap.jobs.list()[1].status)
      assert.equal("service once has ended", logged[1].text)
    end)

    it("starts again when it returns with restart = always", function()
      local seen, fn = counter()
      app:service("often", fn, {restart = "always", backoff = {min = 1}})
      start()
      advance(3.5)
      assert.equal(4, seen.count)
    end)

    it("is not started again with restart = never", function()
      local seen, fn = counter(function() error("lost") end)
      app:service("feed", fn, {restart = "never"})
      start()
      advance(600)
      assert.equal(1, seen.count)
      assert.equal("failed", neap.jobs.list()[1].status)
      assert.matches("lost; it is not started again$", logged[1].text)
      assert.same({}, given_up)
    end)

    it("gives up after its retries; a critical one stops the server", function()
      local seen, fn = counter(function() error("lost") end)
      app:service("feed", fn, {critical = true, retries = 2})
      start()
      advance(600)
      assert.equal(3, seen.count)
      assert.same({"feed"}, given_up)
      assert.matches("it is critical: stopping the server", logged[3].text)
    end)

    it("is cancelled by a pause and begins again after it", function()
      local trace = {}
      local job = app:service("feed", function()
        trace[#trace + 1] = "open"
        local _ <close> = setmetatable({}, {__close = function()
          task.sleep(1)
          trace[#trace + 1] = "closed"
        end})
        task.sleep(3600)
      end)
      start()
      assert.same({nil, "running"}, {job:run_now()})
      job:pause()
      job:resume() -- while it still closes
      advance(2)
      assert.same({"open", "closed", "open"}, trace)
      job:pause()
      advance(2)
      assert.equal("paused", neap.jobs.list()[1].status)
      assert.same({nil, "paused"}, {job:run_now()})
    end)

    it("need not rest when it is told to run", function()
      local seen, fn = counter(function() error("lost") end)
      local job = app:service("feed", fn, {backoff = {min = 1000, max = 1000}})
      start()
      assert.is_true(job:run_now())
      settle()
      assert.equal(2, seen.count)
      assert.is_true(job.next_run > core.task.time() + 100)
    end)

    it("closes what it has open when the app stops", function()
      local closed
      app:service("feed", function()
        local _ <close> = setmetatable({}, {__close = function()
          task.sleep(0.001)
          closed = true
        end})
        task.sleep(3600)
      end)
      app:on_cleanup(function() assert.is_true(closed) end)
      start()
      local is_clean = life:cleanup("shutdown")
      assert.is_true(is_clean)
    end)

    it("ends before the next generation begins, when the app is reloaded", function()
      local closed
      app:service("feed", function()
        local _ <close> = setmetatable({}, {__close = function() closed = true end})
        task.sleep(3600)
      end)
      start()
      life:shutdown("reload")
      assert.is_true(closed)
    end)
  end)

  describe("of app:after", function()
    it("runs once, and is forgotten", function()
      local seen, fn = counter()
      app:after(10, fn, {name = "later"})
      start()
      assert.equal("waiting", neap.jobs.list()[1].status)
      advance(9)
      assert.equal(0, seen.count)
      advance(100)
      assert.equal(1, seen.count)
      assert.same({}, neap.jobs.list())
      app:after(10, fn, {name = "later"}) -- the name is free again
      advance(11)
      assert.equal(2, seen.count)
    end)

    it("may be asked for while the app runs, any number of times", function()
      local seen, fn = counter()
      start()
      for _ = 1, 50 do app:after(1, fn) end
      advance(2)
      assert.equal(50, seen.count)
    end)

    it("does not happen when the app stops before", function()
      local seen, fn = counter()
      app:after(10, fn)
      start()
      life:cleanup("shutdown")
      advance(20)
      assert.equal(0, seen.count)
    end)
  end)

  describe("of app:cron", function()
    it("runs by the clock on the wall", function()
      local times = {}
      app:cron("*/5 * * * *", function() times[#times + 1] = core.task.time() end, {tz = "UTC"})
      start()
      advance(900)
      assert.equal(3, #times)
      for _, time in ipairs(times) do assert.is_true(time % 300 < 1, tostring(time % 300)) end
    end)

    it("refuses what is no schedule, no zone, or never comes", function()
      assert.has_error(function() app:cron("* * *", print) end)
      local _, err = pcall(function() app:cron("61 * * * *", print) end)
      assert.matches("^[^:]*jobs_spec.lua:%d+: app:cron: \"61\" is no minute", err)
      _, err = pcall(function() app:cron("@daily", print, {tz = "Mars/Olympus"}) end)
      assert.matches("no time zone \"Mars/Olympus\"", err)
      _, err = pcall(function() app:cron("0 0 31 2 *", print) end)
      assert.matches("\"0 0 31 2 %*\" never comes", err)
      start()
    end)
  end)

  it("runs in one worker only, which its name decides, unless it is for each", function()
    local worker, workers = core.worker, core.workers
    local _ <close> = setmetatable({}, {__close = function() core.worker, core.workers = worker, workers end})
    core.workers = 4
    local one, each = {}, {}
    for i = 1, 40 do
      one[i] = app:service("job " .. i, print)
      each[i] = app:service("each " .. i, print, {workers = "each"})
    end
    local busy = {}
    for i = 1, 40 do
      local count = 0
      for number = 1, 4 do
        core.worker = number
        assert.is_true(each[i]:is_here())
        if one[i]:is_here() then
          count = count + 1
          busy[number] = true
        end
      end
      assert.equal(1, count)
    end
    assert.equal(4, #busy) -- all have something to do
    app._hooks = {}
  end)

  it("of another worker cannot be run from here", function()
    local workers = core.workers
    local _ <close> = setmetatable({}, {__close = function() core.workers = workers end})
    core.workers = 1000000
    local job = app:service("elsewhere", print)
    start()
    assert.same({nil, "elsewhere"}, {job:run_now()})
    assert.same({nil, "elsewhere"}, {job:pause()})
    assert.same({}, neap.jobs.list())
  end)

  it("needs a name of its own", function()
    app:service("mail", print)
    app:every(60, print, {name = "mail"})
    local ok, err = life:start()
    assert.is_nil(ok)
    assert.matches('every %(.*%) failed after .*: the name "mail" is taken by the job at .*jobs_spec.lua:%d+', err)
  end)

  it("is refused at the caller's line when it is wrong", function()
    for expected, fn in pairs {
      ["app:service takes a name"] = function() app:service(print) end,
      ["app:service takes a function, not nil"] = function() app:service("a") end,
      ['did you mean "restart"'] = function() app:service("a", print, {restrt = "always"}) end,
      ['restart is one of "always", "never", "on_error", not "often"'] = function()
        app:service("a", print, {restart = "often"})
      end,
      ['app:service: backoff: unknown option "mim"; did you mean "min"?'] = function()
        app:service("a", print, {backoff = {mim = 1}})
      end,
      ["app:every: a duration is"] = function() app:every("often", print) end,
      ["app:every: the period is at least 1 ms"] = function() app:every(0, print) end,
      ["app:every takes a function, not 7"] = function() app:every(1, 7) end,
      ['overlap is one of "allow", "queue", "skip"'] = function() app:every(1, print, {overlap = "maybe"}) end,
      ['workers is one of "each", "one"'] = function() app:cron("@daily", print, {workers = "two"}) end,
      ["app:after: a duration is"] = function() app:after({}, print) end,
    } do
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.matches("^[^:]*jobs_spec.lua:%d+: ", err)
      assert.matches(expected, err, 1, true)
    end
  end)
end)

describe("a clock that is set", function()
  -- A schedule by a clock of ours: every sleep moves it on, and `steps` sets it at certain times.
  local function times_of(source, from, count, steps)
    local clock, mono = from, 0
    local fake = {task = {
      now = function() return mono end,
      time = function() return clock end,
      sleep = function(seconds)
        mono, clock = mono + seconds, clock + seconds
        for at, by in pairs(steps) do
          if mono >= at then
            steps[at] = nil
            clock = clock + by
          end
        end
      end,
    }}
    local path = debug.getinfo(cron.parse, "S").source:match("^@(.*/)") .. "clock.lua"
    local function fake_require(name) return name == "neap.core" and fake or require(name) end
    local due = loadfile(path, "t", setmetatable({require = fake_require}, {__index = _G}))()
    local job, times = due.cron(cron.parse(source), zone.open("UTC"), 0), {}
    for i = 1, count do
      job:wait(function() end)
      times[i] = clock
    end
    return times
  end

  it("forward makes up for what was missed with one run", function()
    local times = times_of("* * * * *", 6000, 4, {[90] = 3600})
    assert.equal(6060, times[1])
    assert.is_true(times[2] >= 9690 and times[2] <= 9720) -- noticed within 30 s
    assert.equal(math.ceil((times[2] + 1) / 60) * 60, times[3])
    assert.equal(times[3] + 60, times[4])
  end)

  it("back a little does not repeat what has been", function()
    assert.same({6060, 6120, 6180}, times_of("* * * * *", 6000, 3, {[90] = -600}))
  end)

  it("back a lot begins again", function()
    local times = times_of("* * * * *", 1000020, 3, {[90] = -500000})
    assert.equal(1000080, times[1])
    assert.is_true(times[2] > 500000 and times[2] < 500300)
    assert.equal(times[2] + 60, times[3])
  end)
end)
