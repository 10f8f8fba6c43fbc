-- The log as Lua sees it: lua/neap/log.lua, core/bind/bind_log.c. What the C half does with lines is in base.c.
local json = require "neap.json"
local log = require "neap.log"
local server = require "spec.support.server"

-- What `code` writes to the log when it runs in a neap of its own.
local function log_of(code, format, level)
  local result = server.run({"exec", "script.lua"}, {
    files = {["script.lua"] = 'local log = require "neap.log"\n' .. code},
    env = {NEAP_LOG_FORMAT = format or "json", NEAP_LOG_LEVEL = level or "info"},
  })
  assert.equal(0, result.code, result.err)
  return result.err
end

-- The one line that `code` writes, decoded.
local function event_of(code)
  local text = log_of(code)
  assert.matches("^[^\n]+\n$", text)
  return assert(json.decode(text))
end

describe("log", function()
  it("raises for nothing but an unknown level", function()
    local wants = log.wants
    assert.is_boolean(wants("debug"))
    assert.has_error(function() wants("loud") end)
  end)

  it("gives nothing back, whatever it is handed", function()
    for _, value in ipairs({1, "x", true, print, {}, json.null}) do
      assert.equal(0, select("#", log.debug(value, value)))
    end
    assert.equal(0, select("#", log.debug()))
  end)
end)

describe("a line of the log", function()
  after_each(server.stop_all)

  it("has time, level, message and fields", function()
    local event = event_of([[log.warn("disk is nearly full", {free = 12, ratio = 0.5, dirs = {"a", "b"}, ok = false})]])
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", event.time)
    event.time = nil
    assert.same({level = "warn", msg = "disk is nearly full", free = 12, ratio = 0.5, dirs = {"a", "b"}, ok = false},
      event)
  end)

  it("is written from the configured level on", function()
    assert.equal("", log_of([[log.debug("quiet")]]))
    assert.matches('"level":"debug"', log_of([[log.debug("loud")]], "json", "debug"))
    assert.equal("", log_of([[log.warn("quiet")]], "json", "error"))
  end)

  it("shows odd values instead of raising", function()
    local event = event_of([[
      local object = setmetatable({}, {__tostring = function() return "an object" end})
      local broken = setmetatable({}, {__tostring = function() error("no") end})
      local cycle = {}
      cycle.self = cycle
      log.error(object, {object = object, broken = broken, cycle = cycle, fn = print, nan = 0 / 0, bytes = "\xff",
        null = require("neap.json").null, [1] = "one", [true] = "yes"})]])
    assert.equal("an object", event.msg)
    assert.equal("an object", event.object)
    assert.equal("(table whose __tostring fails)", event.broken)
    assert.matches("^cannot encode tables nested deeper", event.cycle)
    assert.matches("^function: ", event.fn)
    assert.matches("nan", event.nan)
    assert.equal("\u{fffd}", event.bytes)
    assert.equal("null", event.null)
    assert.equal("one", event["1"])
    assert.equal("yes", event["true"])
  end)

  it("takes anything for a message, and one value in place of fields", function()
    assert.equal("nil", event_of("log.info()").msg)
    assert.equal("42", event_of("log.info(42)").msg)
    assert.equal("timeout", event_of([[log.info("failed", "timeout")]]).value)
    assert.equal("gone", event_of([[log.info("failed", setmetatable({}, {__tostring = function() return "gone" end}))]])
      .value)
  end)

  it("has at most 32 fields", function()
    local event = event_of([[local t = {} for i = 1, 100 do t["f" .. i] = i end log.info("many", t)]])
    local count = 0
    for name in pairs(event) do count = count + (name:match("^f%d+$") and 1 or 0) end
    assert.equal(32, count)
  end)

  it("cannot be forged by what a client sends", function()
    local event = event_of([[log.info('x\n{"level":"error"}\27[2J', {ua = "a\r\nb"})]])
    assert.equal('x\n{"level":"error"}\27[2J', event.msg)
    local pretty = log_of([[log.info("x\n00:00:00 error forged\27[2J", {ua = "a\rb"})]], "pretty")
    assert.matches("^%d%d:%d%d:%d%d info  x\n    00:00:00 error forged\\x1b%[2J ua=a\\rb\n$", pretty)
  end)

  it("is for people in the pretty format, fields in order, a traceback below", function()
    local pretty = log_of([[log.info("hello", {b = "two words", a = 1, traceback = "stack:\n\tx.lua:1"})]], "pretty")
    assert.matches('^%d%d:%d%d:%d%d info  hello a=1 b="two words"\n    stack:\n      x%.lua:1\n$', pretty)
  end)
end)
