local calendar = require "neap.job.calendar"
local cron = require "neap.job.cron"
local zone = require "neap.job.zone"

local BERLIN = zone.open("CET-1CEST,M3.5.0,M10.5.0/3") -- 2026: 29 March 02:00 -> 03:00, 25 October 03:00 -> 02:00
local UTC = zone.open("UTC")

-- "2026-03-29 01:30" in a zone with that offset, as seconds.
local function at(text, offset)
  local year, month, day, hour, minute = text:match("(%d+)-(%d+)-(%d+) (%d+):(%d+)")
  local days = calendar.days(tonumber(year), tonumber(month), tonumber(day))
  return math.tointeger(days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 - (offset or 0) * 3600)
end

local function show(seconds, offset)
  local localtime = seconds + offset * 3600
  local year, month, day = calendar.date(localtime // 86400)
  return ("%d-%02d-%02d %02d:%02d"):format(year, month, day, localtime % 86400 // 3600, localtime % 3600 // 60)
end

-- The next `count` times, as "2026-03-29 01:30 +1".
local function times(source, zoned, from, count)
  local schedule, list = assert(cron.parse(source)), {}
  for i = 1, count do
    from = cron.next(schedule, zoned, from)
    local offset = zoned:offset(from) // 3600
    list[i] = ("%s +%d"):format(show(from, offset), offset)
  end
  return list
end

local function next_utc(source, from)
  local found = cron.next(assert(cron.parse(source)), UTC, at(from))
  return found and show(found, 0)
end

describe("a calendar", function()
  it("counts days forth and back", function()
    for days = -200000, 200000, 997 do assert.equal(days, calendar.days(calendar.date(days))) end
    assert.equal(0, calendar.days(1970, 1, 1))
    assert.same({2024, 2, 29}, {calendar.date(calendar.days(2024, 2, 28) + 1)})
    assert.equal(4, calendar.weekday(0)) -- a Thursday
  end)
end)

describe("a schedule", function()
  it("knows ranges, steps, lists and names", function()
    assert.equal("2026-01-01 00:05", next_utc("*/5 * * * *", "2026-01-01 00:00"))
    assert.equal("2026-01-01 00:40", next_utc("10-59/30 * * * *", "2026-01-01 00:10"))
    assert.equal("2026-01-01 00:50", next_utc("20/30 * * * *", "2026-01-01 00:20"))
    assert.equal("2026-01-01 17:00", next_utc("0 9,17 * * *", "2026-01-01 09:00"))
    assert.equal("2026-01-02 09:00", next_utc("0 9 * * mon-fri", "2026-01-01 09:00"))
    assert.equal("2026-01-05 09:00", next_utc("0 9 * * MON-FRI", "2026-01-02 09:00"))
    assert.equal("2026-02-01 00:00", next_utc("0 0 1 feb,mar *", "2026-01-01 00:00"))
    assert.equal("2026-01-04 00:00", next_utc("0 0 * * 7", "2026-01-01 00:00"))
    assert.equal("2026-01-03 00:00", next_utc("0 0 * * sat-sun", "2026-01-01 00:00"))
  end)

  it("knows the short forms", function()
    assert.equal("2026-01-01 01:00", next_utc("@hourly", "2026-01-01 00:00"))
    assert.equal("2026-01-02 00:00", next_utc("@daily", "2026-01-01 00:00"))
    assert.equal("2026-01-04 00:00", next_utc("@weekly", "2026-01-01 00:00"))
    assert.equal("2026-02-01 00:00", next_utc("@monthly", "2026-01-01 00:00"))
    assert.equal("2027-01-01 00:00", next_utc("@yearly", "2026-01-01 00:00"))
  end)

  it("takes either day when both are named", function()
    assert.equal("2026-01-02 00:00", next_utc("0 0 13 * fri", "2026-01-01 00:00"))
    assert.equal("2026-01-13 00:00", next_utc("0 0 13 * fri", "2026-01-09 00:00"))
    assert.equal("2026-02-13 00:00", next_utc("0 0 13 * *", "2026-01-13 00:00"))
  end)

  it("finds leap days, and knows what never comes", function()
    assert.equal("2028-02-29 00:00", next_utc("0 0 29 2 *", "2026-01-01 00:00"))
    assert.equal("2104-02-29 00:00", next_utc("0 0 29 2 *", "2096-02-29 00:00"))
    assert.is_nil(next_utc("0 0 31 2 *", "2026-01-01 00:00"))
  end)

  it("does not come twice in the minute it has come", function()
    local schedule = cron.parse("* * * * *")
    assert.equal(at "2026-01-01 00:01", cron.next(schedule, UTC, at "2026-01-01 00:00"))
    assert.equal(at "2026-01-01 00:01", cron.next(schedule, UTC, at "2026-01-01 00:00" + 59.9))
  end)

  it("is refused with the reason when it is none", function()
    local wrong = {
      ["* * * *"] = "has 4 fields", ["* * * * * *"] = "has 6 fields", ["60 * * * *"] = '"60" is no minute',
      ["* 24 * * *"] = "no hour", ["* * 0 * *"] = "no day of the month", ["* * * 13 *"] = "no month",
      ["* * * * 8"] = "no day of the week", ["5-1 * * * *"] = '"5-1" is no minute', ["*/0 * * * *"] = "no minute",
      ["x * * * *"] = "no minute", ["1,,2 * * * *"] = "no minute", ["* * * foo *"] = "no month", [""] = "has 0 fields",
      ["@reboot"] = "has 1 fields", ["*/x * * * *"] = "no minute", ["-1 * * * *"] = "no minute",
    }
    for source, reason in pairs(wrong) do
      local schedule, err = cron.parse(source)
      assert.is_nil(schedule, source)
      assert.matches(reason, err, 1, true)
    end
  end)
end)

describe("when clocks go forward (02:00 becomes 03:00)", function()
  it("a time that does not exist comes when the gap ends", function()
    assert.same({"2026-03-28 02:30 +1", "2026-03-29 03:00 +2", "2026-03-30 02:30 +2"},
      times("30 2 * * *", BERLIN, at("2026-03-28 00:00", 1), 3))
  end)

  it("a time at the end of the gap comes once", function()
    assert.same({"2026-03-29 03:00 +2", "2026-03-30 03:00 +2"}, times("0 3 * * *", BERLIN, at("2026-03-29 00:00", 1), 2))
  end)

  it("an interval goes on by real time", function()
    assert.same({"2026-03-29 01:30 +1", "2026-03-29 03:00 +2", "2026-03-29 03:30 +2"},
      times("*/30 * * * *", BERLIN, at("2026-03-29 01:00", 1), 3))
    assert.same({"2026-03-29 01:45 +1", "2026-03-29 03:45 +2"}, times("45 * * * *", BERLIN, at("2026-03-29 01:00", 1), 2))
  end)
end)

describe("when clocks go back (03:00 becomes 02:00)", function()
  it("a time that exists twice comes the first time", function()
    assert.same({"2026-10-24 02:30 +2", "2026-10-25 02:30 +2", "2026-10-26 02:30 +1"},
      times("30 2 * * *", BERLIN, at("2026-10-24 00:00", 2), 3))
  end)

  it("an interval comes in both hours", function()
    assert.same({"2026-10-25 02:00 +2", "2026-10-25 02:30 +2", "2026-10-25 02:00 +1", "2026-10-25 02:30 +1",
      "2026-10-25 03:00 +1"}, times("*/30 * * * *", BERLIN, at("2026-10-25 01:30", 2), 5))
  end)

  it("an interval goes on in yesterday when that is where they go back to", function()
    local midnight = zone.open("<-03>3<-02>,M10.3.0/0,M2.3.0/0") -- as Brazil had it: 00:00 becomes 23:00
    local schedule = cron.parse("30 * * * *")
    local first = cron.next(schedule, midnight, at("2026-02-14 23:00", -2))
    assert.equal(at("2026-02-14 23:30", -2), first)
    assert.equal(at("2026-02-14 23:30", -3), cron.next(schedule, midnight, first))
    assert.equal(at("2026-02-15 00:30", -3), cron.next(schedule, midnight, first + 3600))
  end)
end)
