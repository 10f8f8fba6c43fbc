local command = require "spec.support.command"
local zone = require "neap.job.zone"

local SAMPLES = 300

-- What date(1) says about moments in a zone.
local function offsets_by_date(name, moments)
  local lines = {}
  for i, at in ipairs(moments) do lines[i] = "@" .. at end
  local result = command.run(("printf '%%s\n' %s | TZ='%s' date -f - +%%z"):format(table.concat(lines, " "), name))
  assert.equal(0, result.code, result.err)
  local offsets = {}
  for sign, hours, minutes in result.out:gmatch("([+-])(%d%d)(%d%d)") do
    local seconds = tonumber(hours) * 3600 + tonumber(minutes) * 60
    offsets[#offsets + 1] = sign == "-" and -seconds or seconds
  end
  return offsets
end

-- Moments from 1975 to 2095, and both sides of the changes of a few years.
local function moments_of(zoned)
  local moments = {}
  for i = 1, SAMPLES do moments[i] = 157766400 + i * 3786912000 // SAMPLES + i * 7919 end
  for _, year in ipairs {1999, 2020, 2037, 2038, 2060} do
    local from = (year - 1970) * 31556952
    for _, span in ipairs(zoned:spans(from, from + 31556952)) do
      table.move({span.from - 1, span.from, span.from + 1}, 1, 3, #moments + 1, moments)
    end
  end
  return moments
end

describe("a time zone", function()
  for _, name in ipairs {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca",
    "America/Santiago", "Pacific/Apia", "Etc/GMT+5"} do
    it(name .. " is as date(1) has it", function()
      if not command.exists "date" then return pending("date is missing") end
      local zoned, err = zone.open(name)
      if not zoned then return pending(err) end
      local moments = moments_of(zoned)
      local expected = offsets_by_date(name, moments)
      assert.equal(#moments, #expected)
      for i, at in ipairs(moments) do assert.equal(expected[i], zoned:offset(at), name .. " at " .. at) end
    end)
  end

  it("may be given by its rule", function()
    local zoned = zone.open("CET-1CEST,M3.5.0,M10.5.0/3")
    assert.equal(3600, zoned:offset(1774745999)) -- 2026-03-29 00:59:59 UTC
    assert.equal(7200, zoned:offset(1774746000))
    assert.equal(7200, zoned:offset(1792889999)) -- 2026-10-25 00:59:59 UTC
    assert.equal(3600, zoned:offset(1792890000))
    assert.equal(-18000, zone.open("<-05>5"):offset(0))
  end)

  it("is divided where its clocks change", function()
    local spans = zone.open("CET-1CEST,M3.5.0,M10.5.0/3"):spans(1774700000, 1792900000)
    assert.same({
      {from = 1774700000, to = 1774746000, offset = 3600},
      {from = 1774746000, to = 1792890000, offset = 7200},
      {from = 1792890000, to = 1792900000, offset = 3600},
    }, spans)
  end)

  it("is UTC also where there is no database", function()
    assert.equal(0, zone.open("UTC"):offset(1792890000))
  end)

  it("is refused when there is none, with a hint", function()
    for _, name in ipairs {"Europe/Bärlin", "../../etc/passwd", "Europe", "Nowhere", "CET-1CEST,M3.5.0", ""} do
      local found, err = zone.open(name)
      assert.is_nil(found)
      assert.matches("there is no time zone .*Europe/Berlin", err)
    end
  end)

  it("of this machine is known", function()
    assert.equal("number", type(zone.here():offset(0)))
  end)
end)
