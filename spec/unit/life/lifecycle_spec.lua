-- The life of an app without a server: order of hooks, failures, limits.
local core = require "neap.core"
local lifecycle = require "neap.life.lifecycle"
local log = require "neap.log"
local neap = require "neap"
local task = require "neap.task"

describe("a lifecycle", function()
  local app, trace, logged
  local log_error = log.error

  local function note(text) trace[#trace + 1] = text end
  local function noting(text) return function() note(text) end end

  before_each(function()
    app, trace, logged = neap.app(), {}, {}
    log.error = function(message, fields) -- what fails here on purpose need not be read
      logged[#logged + 1] = {text = tostring(message), traceback = fields and fields.traceback}
    end
  end)
  after_each(function() log.error = log_error end)

  local function start()
    local life = lifecycle.new(app)
    return life, life:start()
  end

  it("goes down in the reverse order of its registration, whatever kind a hook is of", function()
    app:on_startup(function() note "open 1" return noting "close 1" end)
    app:on_cleanup(noting "clean 2")
    app:lifespan(function(_, ready)
      local _ <close> = setmetatable({}, {__close = noting "close 3"})
      note "open 3"
      ready()
    end)
    app:on_startup(function() note "open 4" return {close = noting "close 4"} end)
    app:on_cleanup(noting "clean 5")
    local life, ok = start()
    assert.is_true(ok)
    assert.same({"open 1", "open 3", "open 4"}, trace)
    trace = {}
    assert.is_true(life:cleanup("shutdown"))
    assert.same({"clean 5", "close 4", "close 3", "clean 2", "close 1"}, trace)
  end)

  it("runs the hooks of mounted apps where they are mounted, once", function()
    local inner = neap.app()
    inner:on_startup(function(given)
      assert.equal(inner, given)
      note "inner"
      return noting "inner closed"
    end)
    app:on_startup(function() note "before" return noting "before closed" end)
    app:mount("/a", inner)
    app:mount("/b", inner)
    app:on_startup(function() note "after" return noting "after closed" end)
    local life = start()
    life:cleanup("shutdown")
    assert.same({"before", "inner", "after", "after closed", "inner closed", "before closed"}, trace)
  end)

  it("undoes what was entered when a later step fails", function()
    app:lifespan(function(_, ready)
      local _ <close> = setmetatable({}, {__close = noting "closed"})
      note(ready())
    end)
    app:on_startup(function() error("no database") end)
    app:on_startup(noting "never")
    local life, ok, err = start()
    assert.is_nil(ok)
    assert.matches("^on_startup %(.*lifecycle_spec.lua:%d+%) failed after .* no database\n", err)
    assert.same({}, trace)
    life:cleanup("shutdown")
    assert.same({"failed", "closed"}, trace)
  end)

  it("takes nil and an error for a failure", function()
    app:on_startup(function() return nil, "refused" end)
    local _, ok, err = start()
    assert.is_nil(ok)
    assert.matches("failed after .*: refused\n", err)
  end)

  it("refuses what cannot be closed", function()
    app:on_startup(function() return 7 end)
    local _, ok, err = start()
    assert.is_nil(ok)
    assert.matches("it returned 7; return nothing, a function, or something with :close()", err, 1, true)
  end)

  it("runs every clean-up, whatever fails, and collects the errors", function()
    app:on_cleanup(noting "first")
    app:on_cleanup(function() error("second") end)
    app:lifespan(function(_, ready)
      ready()
      error("third")
    end)
    app:on_cleanup(function() return nil, "fourth" end)
    app:on_cleanup(noting "fifth")
    local life = start()
    local is_clean, failures = life:cleanup("shutdown")
    assert.is_false(is_clean)
    assert.same({"fifth", "first"}, trace)
    assert.equal(3, #failures)
    assert.matches("^on_cleanup %(.*_spec.lua:%d+%) failed after %d.%d+ s: fourth$", tostring(failures[1]))
    assert.matches("^lifespan .*third$", tostring(failures[2]))
    assert.matches("^on_cleanup .*second$", tostring(failures[3]))
    assert.equal(4, #logged)
    assert.matches("lifecycle_spec.lua", logged[2].traceback)
    assert.equal("stopping: 3 of 5 clean-ups failed", logged[4].text)
  end)

  it("ends a start that never returns, and says where it waits", function()
    app:on_cleanup(noting "cleaned")
    app:on_startup(function()
      local _ <close> = setmetatable({}, {__close = noting "closed"})
      while true do task.sleep(0.001) end
    end)
    local life = lifecycle.new(app, {start_by = task.now() + 0.02})
    local ok, err = life:start()
    assert.is_nil(ok)
    assert.matches("on_startup %(.*%) has not returned after .* s %(timeouts.startup%): it was waiting at "
      .. ".*lifecycle_spec.lua:%d+%. A loop .* app:service", err)
    assert.same({"closed"}, trace)
    life:cleanup("shutdown")
    assert.same({"closed", "cleaned"}, trace)
  end)

  it("gives a clean-up the grace, and goes on with the next", function()
    app:on_cleanup(noting "first")
    app:on_cleanup(function() task.sleep(3600) end)
    local life = start()
    life.grace_seconds = 0.02
    local is_clean, failures = life:cleanup("shutdown")
    assert.is_false(is_clean)
    assert.same({"first"}, trace)
    assert.matches("has not returned after .*timeouts.grace.*lifecycle_spec.lua:%d+", tostring(failures[1]))
  end)

  it("runs clean-ups up to where they wait when no time is left", function()
    app:on_cleanup(function() note "first" task.sleep(3600) end)
    app:on_cleanup(function() note "second" end)
    local life = start()
    life.stop_by = task.now() - 1
    assert.is_false((life:cleanup("shutdown")))
    assert.same({"second", "first"}, trace)
  end)

  it("tells on_shutdown and ready() why", function()
    app:lifespan(function(_, ready) note(ready()) end)
    app:on_shutdown(function(_, reason) note("first " .. reason) end)
    app:on_shutdown(function(_, reason) note("second " .. reason) end)
    app:on_ready(noting "ready")
    app:on_ready(noting "ready, too")
    local life = start()
    assert.is_true(life:ready())
    assert.is_true(life:shutdown("reload"))
    life:cleanup("reload")
    assert.same({"ready", "ready, too", "second reload", "first reload", "reload"}, trace)
  end)

  it("logs an error in on_ready and on_shutdown, and goes on", function()
    app:on_ready(function() error("one") end)
    app:on_ready(noting "ready")
    app:on_shutdown(noting "shutdown")
    app:on_shutdown(function() error("two") end)
    local life = start()
    assert.is_false(life:ready())
    assert.is_false(life:shutdown("shutdown"))
    assert.same({"ready", "shutdown"}, trace)
    assert.equal(2, #logged)
  end)

  it("says which hook was interrupted", function()
    app:on_shutdown(function() task.sleep(3600) end)
    local life = start()
    local t = core.task.spawn(life.shutdown, life, "shutdown")
    repeat task.yield() until t.status == "waiting"
    t:cancel()
    t:join()
    assert.matches("^on_shutdown %(.*%) was cut short after", logged[1].text)
  end)

  it("goes on with the clean-up that was cancelled", function()
    app:on_cleanup(noting "last")
    app:on_cleanup(function() task.sleep(3600) end)
    local life = start()
    local t = core.task.spawn(life.cleanup, life, "shutdown")
    repeat task.yield() until t.status == "waiting"
    t:cancel()
    t:join()
    assert.same({}, trace)
    life:cleanup("shutdown")
    assert.same({"last"}, trace)
  end)

  it("can be lived again", function()
    app:on_startup(function() note "open" return noting "close" end)
    for _ = 1, 2 do
      local life, ok = start()
      assert.is_true(ok)
      life:cleanup("shutdown")
    end
    assert.same({"open", "close", "open", "close"}, trace)
  end)

  it("runs what is registered while it starts", function()
    app:on_startup(function() app:on_cleanup(noting "cleaned") end)
    local life = start()
    life:cleanup("shutdown")
    assert.same({"cleaned"}, trace)
  end)

  it("refuses, while it starts, what belongs to an app whose hooks have run already", function()
    local inner, late = neap.app(), neap.app()
    app:mount("/inner", inner)
    app:on_startup(function()
      for name, register in pairs {
        ["app:on_cleanup"] = function() inner:on_cleanup(noting "lost") end,
        ["app:mount"] = function() inner:mount("/late", late) end,
      } do
        local ok, err = pcall(register)
        assert.is_false(ok)
        assert.matches("^[^:]*lifecycle_spec.lua:%d+: " .. name .. ": the hooks of this app have run already", err)
      end
      app:on_cleanup(noting "cleaned")
    end)
    local life, ok, err = start()
    assert.is_true(ok, err)
    life:cleanup("shutdown")
    assert.same({"cleaned"}, trace)
  end)

  it("refuses hooks after a start that failed, until it can be lived again", function()
    app:on_cleanup(function() app:on_cleanup(noting "lost") end)
    app:on_startup(function() error "no database" end)
    local life = start()
    local is_clean, failures = life:cleanup("shutdown")
    assert.is_false(is_clean)
    assert.matches("app:on_cleanup: the hooks of this app have run already", tostring(failures[1]), 1, true)
    app:on_cleanup(noting "not yet")
  end)
end)

describe("ready()", function()
  local function start_failure(fn)
    local app = neap.app()
    app:lifespan(fn)
    local life = lifecycle.new(app)
    local ok, err = life:start()
    life:cleanup("shutdown")
    assert.is_nil(ok)
    return err
  end

  it("has to be called", function()
    assert.matches("it ended without calling ready()", start_failure(function() end), 1, true)
  end)

  it("is for the function itself", function()
    assert.matches("ready() is for the lifespan function itself", start_failure(function(_, ready)
      local ok, err = coroutine.resume(coroutine.create(ready))
      assert(not ok)
      error(err, 0)
    end), 1, true)
  end)

  it("leaves the lifespan free to have tasks of its own", function()
    local app, count = neap.app(), 0
    app:lifespan(function(_, ready)
      local g <close> = task.group()
      g:spawn(function()
        while true do
          count = count + 1
          task.sleep(0.001)
        end
      end)
      ready()
      g:cancel()
    end)
    local life = lifecycle.new(app)
    assert.is_true(life:start())
    repeat task.sleep(0.001) until count > 2
    assert.is_true((life:cleanup("shutdown")))
  end)
end)

describe("registering a hook", function()
  it("takes functions only, and says so at the caller's line", function()
    local app = neap.app()
    for _, name in ipairs {"on_startup", "on_cleanup", "on_shutdown", "on_ready", "lifespan"} do
      local ok, err = pcall(function() app[name](app, 7) end)
      assert.is_false(ok)
      assert.matches("^[^:]*lifecycle_spec.lua:%d+: app:" .. name .. " takes a function, not 7$", err)
    end
  end)

  it("is refused once the app has started", function()
    local app = neap.app()
    local life = lifecycle.new(app)
    life:start()
    assert.has_error(function() app:on_cleanup(function() end) end)
    life:cleanup("shutdown")
  end)
end)
