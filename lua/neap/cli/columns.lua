-- Text in columns, for the commands that list something.
local columns = {}

-- Each column as wide as its widest cell; nothing after the last one.
local function widths(rows)
  local list = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do list[i] = math.max(list[i] or 0, utf8.len(cell) or #cell) end
  end
  return list
end

---Prints rows of texts; the first is the head.
---@param rows string[][]
function columns.print(rows)
  local wide = widths(rows)
  for _, row in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(row) do
      line[i] = i < #row and cell .. (" "):rep(wide[i] - (utf8.len(cell) or #cell)) or cell
    end
    print(table.concat(line, "  "))
  end
end

return columns
