-- Schedules as crontab(5) writes them: minute, hour, day of the month, month, day of the week.
--
-- When clocks change: a schedule whose minutes or hours begin with `*` is about intervals and follows real time; one that
-- names its minutes and hours is about the time of day and runs once a day. If that time does not exist, it runs when the
-- gap ends; if it exists twice, the first time.
local calendar = require "neap.job.calendar"
local text = require "neap.text"

local cron = {}

local DAY = 86400
local DAYS_AHEAD = 366 * 9 -- from one 29 February to the next it may be eight years

local MONTHS = {jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11,
  dec = 12}
local WEEKDAYS = {sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6}

local FIELDS = {
  {name = "minute", low = 0, high = 59},
  {name = "hour", low = 0, high = 23},
  {name = "day of the month", low = 1, high = 31},
  {name = "month", low = 1, high = 12, words = MONTHS},
  {name = "day of the week", low = 0, high = 7, words = WEEKDAYS}, -- 7 is Sunday, too
}

local SHORT = {
  ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *", ["@monthly"] = "0 0 1 * *", ["@weekly"] = "0 0 * * 0",
  ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@hourly"] = "0 * * * *",
}

---@class neap.CronSchedule
---@field minutes integer[] of the day, ascending
---@field days table<integer, boolean>
---@field months table<integer, boolean>
---@field weekdays table<integer, boolean>
---@field any_day boolean the day of the month begins with `*`
---@field any_weekday boolean
---@field is_interval boolean minutes or hours begin with `*`

-- ---- reading ----

local function fail(field, item)
  error({reason = ("%s is no %s: expected %d to %d, a range 1-5, a step */5, or a list 1,2"):format(text.quote(item),
    field.name, field.low, field.high)})
end

local function number_of(field, word, item)
  local number = math.tointeger(tonumber(word:match("^%d+$"))) or field.words and field.words[word:lower()]
  if not number or number < field.low or number > field.high then fail(field, item) end
  return number
end

-- "*", "7", "1-5", "mon": first and last.
local function range_of(field, range, has_step, item)
  if range == "*" then return field.low, field.high end
  local from, to = range:match("^(%w+)-(%w+)$")
  if not from then
    local only = number_of(field, range, item)
    return only, has_step and field.high or only
  end
  local first, last = number_of(field, from, item), number_of(field, to, item)
  if last == 0 and first > 0 and field.words == WEEKDAYS then last = 7 end -- sat-sun
  if first > last then fail(field, item) end
  return first, last
end

-- The numbers of a field as a set.
local function read_field(field, source)
  local set = {}
  for item in (source .. ","):gmatch("([^,]*),") do
    local range, step = item:match("^([^/]+)/(%d+)$")
    local by = step and math.tointeger(tonumber(step)) or 1
    if by == 0 then fail(field, item) end
    local first, last = range_of(field, range or item, step ~= nil, item)
    for number = first, last, by do set[number] = true end
  end
  return set
end

local function minutes_of_day(minutes, hours)
  local list = {}
  for hour = 0, 23 do
    for minute = 0, 59 do
      if hours[hour] and minutes[minute] then list[#list + 1] = hour * 60 + minute end
    end
  end
  return list
end

local function read(source)
  local words = {}
  for word in (SHORT[source:lower()] or source):gmatch("%S+") do words[#words + 1] = word end
  if #words ~= #FIELDS then
    error({reason = ("%s has %d fields; there are five (minute hour day month weekday), or @hourly @daily @weekly "
      .. "@monthly @yearly"):format(text.quote(source), #words)})
  end
  local sets = {}
  for i, field in ipairs(FIELDS) do sets[i] = read_field(field, words[i]) end
  sets[5][0] = sets[5][0] or sets[5][7]
  local function is_any(i) return words[i]:sub(1, 1) == "*" end
  return {
    minutes = minutes_of_day(sets[1], sets[2]), days = sets[3], months = sets[4], weekdays = sets[5],
    any_day = is_any(3), any_weekday = is_any(5), is_interval = is_any(1) or is_any(2),
  }
end

---Reads a schedule.
---@param source string "*/5 * * * *", "0 9 * * mon-fri", "@daily"
---@return neap.CronSchedule?
---@return string? err what is wrong with it
function cron.parse(source)
  local ok, schedule = pcall(read, source)
  if ok then return schedule end
  if type(schedule) ~= "table" then error(schedule, 0) end
  return nil, schedule.reason
end

-- ---- the next time ----

-- With both named, either will do: the 13th and every Friday.
local function is_day(schedule, days)
  local _, month, day = calendar.date(days)
  if not schedule.months[month] then return false end
  local fits, weekday_fits = schedule.days[day] or false, schedule.weekdays[calendar.weekday(days)] or false
  if schedule.any_day or schedule.any_weekday then return fits and weekday_fits end
  return fits or weekday_fits
end

-- The first moment of an interval schedule in the spans of a day.
local function next_of_interval(schedule, midnight, spans, after)
  for _, span in ipairs(spans) do
    for _, minute in ipairs(schedule.minutes) do
      local at = midnight + minute * 60 - span.offset
      if at > after and at >= span.from and at < span.to then return at end
    end
  end
end

-- When the clock shows a local time first, or, if it never does, when it jumps over it.
local function moment_of(localtime, spans)
  for i, span in ipairs(spans) do
    local at = localtime - span.offset
    if at < span.from and i > 1 then return span.from end
    if at >= span.from and at < span.to then return at end
  end
end

local function next_of_times(schedule, midnight, spans, after)
  for _, minute in ipairs(schedule.minutes) do
    local at = moment_of(midnight + minute * 60, spans)
    if at and at > after then return at end
  end
end

---The first moment after another that fits.
---@param schedule neap.CronSchedule
---@param zone neap.Zone
---@param after number seconds since 1970
---@return integer? # nil when there is none, as on 31 February
function cron.next(schedule, zone, after)
  after = math.floor(after)
  local today = (after + zone:offset(after)) // DAY
  local next_of = schedule.is_interval and next_of_interval or next_of_times
  for days = today - 1, today + DAYS_AHEAD do -- where clocks go back at midnight, yesterday goes on
    if is_day(schedule, days) then
      local midnight = days * DAY
      local at = next_of(schedule, midnight, zone:spans(midnight - DAY, midnight + 2 * DAY), after)
      if at then return at end
    end
  end
end

return cron
