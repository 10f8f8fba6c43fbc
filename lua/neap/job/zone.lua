-- Time zones: how far local time is ahead of UTC at any moment. They are read from the system's database (TZif files,
-- RFC 8536), because the C library knows one zone for the whole process only.
local calendar = require "neap.job.calendar"
local text = require "neap.text"

local DIR = "/usr/share/zoneinfo/"
local LOCALTIME = "/etc/localtime"
local DAY = 86400

---@class neap.Zone
---@field name string "Europe/Berlin"
---@field times integer[] when the offset changes, seconds since 1970
---@field offsets integer[] from each of these times on, seconds ahead of UTC
---@field first integer the offset before
---@field rule neap.ZoneRule? for what comes after the last of them

---What a TZ text such as "CET-1CEST,M3.5.0,M10.5.0/3" says.
---@class neap.ZoneRule
---@field standard integer seconds ahead of UTC
---@field summer integer?
---@field starts fun(year: integer): integer local seconds, by standard time
---@field ends fun(year: integer): integer local seconds, by summer time

local Zone = {}
Zone.__index = Zone

local zone = {}

-- ---- rules ----

-- "1", "-5:30", "+10:00:00" as seconds; the rest of the text.
local function read_time(s)
  local sign, hours, rest = s:match("^([+-]?)(%d%d?%d?)(.*)$")
  if not hours then return nil, s end
  local seconds = tonumber(hours) * 3600
  for _, unit in ipairs {60, 1} do
    local number, more = rest:match("^:(%d%d)(.*)$")
    if not number then break end
    seconds, rest = seconds + tonumber(number) * unit, more
  end
  return math.tointeger(sign == "-" and -seconds or seconds), rest
end

local function read_name(s)
  local name, rest = s:match("^<([%w+-]+)>(.*)$")
  if not name then name, rest = s:match("^(%a%a%a+)(.*)$") end
  return name, rest or s
end

-- The n-th (5: the last) day of a kind in a month.
local function day_of_month(year, month, n, weekday)
  local first = calendar.days(year, month, 1)
  local day = first + (weekday - calendar.weekday(first)) % 7 + (n - 1) * 7
  local following = month == 12 and calendar.days(year + 1, 1, 1) or calendar.days(year, month + 1, 1)
  return day < following and day or day - 7
end

local function is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

-- ",M3.5.0/2": a function of the year; the rest of the text.
local function read_date(s)
  local rule, rest = s:match("^,([^,]+)(.*)$")
  if not rule then return nil, s end
  local date, time = rule:match("^([^/]+)/?(.*)$")
  local seconds = time == "" and 7200 or read_time(time)
  local month, n, weekday = date:match("^M(%d+)%.(%d)%.(%d)$")
  if not seconds then return nil, s end
  if month then
    month, n, weekday = math.tointeger(month), math.tointeger(n), math.tointeger(weekday)
    return function(year) return day_of_month(year, month, n, weekday) * DAY + seconds end, rest
  end
  local no_leap, number = date:match("^(J?)(%d+)$")
  number = math.tointeger(tonumber(number))
  if not number then return nil, s end
  return function(year)
    local days = no_leap == "J" and number - 1 or number -- J60 is always the first of March
    if no_leap == "J" and number >= 60 and is_leap(year) then days = days + 1 end
    return (calendar.days(year, 1, 1) + days) * DAY + seconds
  end, rest
end

-- The rule of a TZ text; nil when it is none.
local function read_rule(s)
  local name, west, rest
  name, rest = read_name(s)
  if name then west, rest = read_time(rest) end
  if not west then return nil end
  local rule = {standard = -west}
  if rest == "" then return rule end
  name, rest = read_name(rest)
  if not name then return nil end
  west, rest = read_time(rest)
  rule.summer = west and -west or rule.standard + 3600
  rule.starts, rest = read_date(rest)
  rule.ends, rest = read_date(rest)
  return rule.ends and rest == "" and rule or nil
end

-- Adds the changes of a year to a list.
local function add_year(list, rule, year)
  list[#list + 1] = {at = rule.starts(year) - rule.standard, offset = rule.summer}
  list[#list + 1] = {at = rule.ends(year) - rule.summer, offset = rule.standard}
end

-- All changes of the years around two moments, in order.
local function rule_changes(rule, from, to)
  local list = {}
  if not rule.summer then return list end
  for year = calendar.date(from // DAY) - 1, calendar.date(to // DAY) + 1 do add_year(list, rule, year) end
  table.sort(list, function(a, b) return a.at < b.at end)
  return list
end

-- ---- files ----

local HEADER = ">c4 c1 c15 I4I4I4I4I4I4"

-- Where a block of data begins, and how much of everything is in it.
local function read_header(data, at)
  local magic, version, _, utc, standard, leap, times, types, chars, start = HEADER:unpack(data, at)
  if magic ~= "TZif" then return nil end
  return {version = version, utc = utc, standard = standard, leap = leap, times = times, types = types, chars = chars,
    start = start}
end

local function block_size(header, width)
  return header.times * (width + 1) + header.types * 6 + header.chars + header.leap * (width + 4) + header.standard
    + header.utc
end

-- The zone in the text of a TZif file. May raise when that is cut off.
local function read_data(data)
  local header, width, format = read_header(data, 1), 4, ">i4"
  if not header then return nil end
  if header.version >= "2" then -- the same again, with more digits
    header, width, format = read_header(data, header.start + block_size(header, 4)), 8, ">i8"
  end
  local types_at = header.start + header.times * (width + 1)
  local function offset_of(type) return (string.unpack(">i4", data, types_at + type * 6)) end
  local found = {times = {}, offsets = {}, first = offset_of(0)}
  for i = 1, header.times do
    found.times[i] = string.unpack(format, data, header.start + (i - 1) * width)
    found.offsets[i] = offset_of(data:byte(header.start + header.times * width + i - 1))
  end
  local footer = width == 8 and data:match("^\n([^\n]*)\n", header.start + block_size(header, 8))
  found.rule = footer and read_rule(footer)
  return found
end

local function read_file(path)
  local file <close> = io.open(path, "rb")
  local data = file and file:read("a") -- nil for a folder
  if not data then return nil end
  local ok, found = pcall(read_data, data)
  return ok and found or nil
end

-- ---- what others see ----

-- What is in effect from the last change before `at` on; the list of all changes that may come up to `to`.
local function around(self, at, to)
  local times, low, high = self.times, 0, #self.times
  while low < high do
    local middle = (low + high + 1) // 2
    if times[middle] <= at then low = middle else high = middle - 1 end
  end
  local offset = low == 0 and self.first or self.offsets[low]
  local coming = {}
  for i = low + 1, #times do
    if times[i] > to then break end
    coming[#coming + 1] = {at = times[i], offset = self.offsets[i]}
  end
  local last = times[#times] or math.mininteger
  if not self.rule or to < last then return offset, coming end
  if at >= last and not self.rule.summer then offset = self.rule.standard end
  for _, change in ipairs(rule_changes(self.rule, math.max(at, last), to)) do
    if change.at <= at and at >= last then offset = change.offset end
    if change.at > at and change.at > last and change.at <= to then coming[#coming + 1] = change end
  end
  return offset, coming
end

---How far local time is ahead of UTC.
---@param at integer seconds since 1970
---@return integer seconds
function Zone:offset(at)
  return (around(self, at, at))
end

---The parts of a span of time in which the offset stays as it is.
---@param from integer seconds since 1970
---@param to integer
---@return {from: integer, to: integer, offset: integer}[] # one after the other, `to` excluded
function Zone:spans(from, to)
  local offset, changes = around(self, from, to)
  local spans = {}
  for _, change in ipairs(changes) do
    spans[#spans + 1] = {from = from, to = change.at, offset = offset}
    from, offset = change.at, change.offset
  end
  spans[#spans + 1] = {from = from, to = to, offset = offset}
  return spans
end

local function plain(rule)
  return {times = {}, offsets = {}, first = 0, rule = rule}
end

local function load_zone(name)
  if name == "UTC" then return plain() end
  local found = name:find("^%a[%w_+/-]*$") and read_file(DIR .. name)
  if found then return found end
  local rule = read_rule(name)
  return rule and plain(rule)
end

local function named(found, name)
  found.name = name
  return setmetatable(found, Zone)
end

-- The names may come from a client: when there are more than a real database has, they are forgotten.
local CACHE_MAX = 2000
local cache, cached = {}, 0

---A time zone by its name in the database ("Europe/Berlin"), or by its rule ("CET-1CEST,M3.5.0,M10.5.0/3").
---@param name string
---@return neap.Zone?
---@return string? err
function zone.open(name)
  if not cache[name] then
    local found = load_zone(name)
    if not found then
      return nil, ("there is no time zone %s; names are those of %s, such as Europe/Berlin (package tzdata)"):format(
        text.quote(name), DIR)
    end
    if cached == CACHE_MAX then cache, cached = {}, 0 end
    cache[name], cached = named(found, name), cached + 1
  end
  return cache[name]
end

---The zone of this machine: $TZ, else /etc/localtime, else UTC.
---@return neap.Zone
function zone.here()
  local name = (os.getenv("TZ") or ""):gsub("^:", "")
  return name ~= "" and zone.open(name) or named(read_file(LOCALTIME) or plain(), "local")
end

return zone
