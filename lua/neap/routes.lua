-- What `neap routes` prints: a line per route, in columns.
local routes = {}

-- Each column as wide as its widest cell; nothing after the last one.
local function widths(rows)
  local list = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do list[i] = math.max(list[i] or 0, #cell) end
  end
  return list
end

---@param list {methods: string[], pattern: string, name: string?, where: string}[] as app:list() gives it
function routes.print(list)
  local rows = {{"METHOD", "PATTERN", "NAME", "DEFINED"}}
  for _, route in ipairs(list) do
    rows[#rows + 1] = {table.concat(route.methods, ","), route.pattern, route.name or "-", route.where}
  end
  local wide = widths(rows)
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do row[i] = row[i] .. (" "):rep(wide[i] - #row[i]) end
    print(table.concat(row, "  "))
  end
end

return routes
