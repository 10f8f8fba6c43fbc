-- What `neap routes` prints: a line per route, in columns.
local columns = require "neap.cli.columns"

local routes = {}

---@param list {methods: string[], pattern: string, name: string?, where: string}[] as app:list() gives it
function routes.print(list)
  local rows = {{"METHOD", "PATTERN", "NAME", "DEFINED"}}
  for _, route in ipairs(list) do
    rows[#rows + 1] = {table.concat(route.methods, ","), route.pattern, route.name or "-", route.where}
  end
  columns.print(rows)
end

return routes
