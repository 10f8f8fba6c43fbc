-- Days of the Gregorian calendar, counted from 1970-01-01, in whole numbers.
local calendar = {}

---The number of a day. `day` may lie outside of the month.
---@param year integer
---@param month integer 1 to 12
---@param day integer
---@return integer days since 1970-01-01
function calendar.days(year, month, day)
  local y = month <= 2 and year - 1 or year -- years begin in March, so that a leap day is the last
  local era = y // 400
  local of_era = y - era * 400
  local of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

---The date of a day.
---@param days integer since 1970-01-01
---@return integer year
---@return integer month
---@return integer day
function calendar.date(days)
  local z = days + 719468
  local era = z // 146097
  local of_era = z - era * 146097
  local y = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * y + y // 4 - y // 100)
  local m = (5 * of_year + 2) // 153
  local month = m < 10 and m + 3 or m - 9
  return y + era * 400 + (month <= 2 and 1 or 0), month, of_year - (153 * m + 2) // 5 + 1
end

---The day of the week.
---@param days integer since 1970-01-01
---@return integer # 0 is Sunday
function calendar.weekday(days)
  return (days + 4) % 7
end

return calendar
