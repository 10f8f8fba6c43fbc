-- The C half as its specs see it: files, who includes whom, circles. As a script it prints the circles:
--
--   build/neap exec spec/support/rooms.lua
local core = require "neap.core"

local rooms = {}

-- Who may include whom: each room sees itself, those named here, and what these see. core/README.md has the same table.
rooms.MATRIX = {
  {"base", {}},
  {"net", {"base"}},
  {"http", {"net"}},
  {"ws", {"http"}},
  {"live", {"net"}},
  {"client", {"net"}},
  {"value", {"base"}},
  {"task", {"value", "net", "client"}},
  {"config", {"value", "http"}},
  {"web", {"task", "http"}},
  {"bind", {"task", "client", "live", "net"}},
  {"push", {"web", "live", "ws"}},
  {"life", {"push", "config"}},
  {"dev", {"all"}},
  {"top", {"all"}},
}

function rooms.read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

-- Every file of a room, as "net/conn.h".
function rooms.sources()
  local list = {}
  for _, entry in ipairs(rooms.MATRIX) do
    for _, name in ipairs(assert(core.list_dir("core/" .. entry[1]))) do list[#list + 1] = entry[1] .. "/" .. name end
  end
  table.sort(list)
  return list
end

-- {name=, is_ours=} for each #include of a file.
function rooms.includes(path)
  local list = {}
  for mark, name in rooms.read("core/" .. path):gmatch('\n%s*#%s*include%s*([<"])([^>"]+)[>"]') do
    list[#list + 1] = {name = name, is_ours = mark == '"'}
  end
  return list
end

function rooms.of(path)
  return path:match("^(.-)/")
end

-- What a room sees: a set of rooms.
function rooms.sight()
  local sees = {}
  for _, entry in ipairs(rooms.MATRIX) do
    local name, direct = entry[1], entry[2]
    sees[name] = {[name] = true}
    for _, other in ipairs(direct) do
      for seen in pairs(other == "all" and sees or sees[other]) do sees[name][seen] = true end
    end
  end
  return sees
end

-- "net/conn" for net/conn.c, net/conn.h and net/conn_state.h: who includes one of them has to know the thing.
local function thing_of(path)
  return (path:gsub("%.[ch]$", ""):gsub("_state$", ""))
end

local function graph()
  local edges = {}
  for _, path in ipairs(rooms.sources()) do
    local from = thing_of(path)
    edges[from] = edges[from] or {}
    for _, include in ipairs(rooms.includes(path)) do
      local to = include.is_ours and thing_of(include.name)
      if to and to ~= from then edges[from][to] = true end
    end
  end
  return edges
end

-- Lists of things that know each other round about, the largest first (Tarjan's algorithm).
function rooms.circles()
  local edges, stack, index, low, on_stack, found, count = graph(), {}, {}, {}, {}, {}, 0
  local function visit(thing)
    count = count + 1
    index[thing], low[thing], on_stack[thing] = count, count, true
    stack[#stack + 1] = thing
    for other in pairs(edges[thing] or {}) do
      if not index[other] then
        visit(other)
        low[thing] = math.min(low[thing], low[other])
      elseif on_stack[other] then
        low[thing] = math.min(low[thing], index[other])
      end
    end
    if low[thing] == index[thing] then
      local circle = {}
      repeat
        local last = table.remove(stack)
        on_stack[last] = nil
        circle[#circle + 1] = last
      until last == thing
      table.sort(circle)
      if #circle > 1 then found[#found + 1] = circle end
    end
  end
  for thing in pairs(edges) do
    if not index[thing] then visit(thing) end
  end
  table.sort(found, function(a, b) return #a > #b or #a == #b and a[1] < b[1] end)
  return found
end

-- Names of the functions that a header declares.
function rooms.functions(path)
  local text = rooms.read("core/" .. path)
  text = text:gsub("/%*.-%*/", ""):gsub("\n[ \t]*#[^\n]*\\\n", "\n#"):gsub("\n[ \t]*#[^\n]*", "\n")
  text = text:gsub("%b{}", ";"):gsub("__attribute__%s*%b()%b()", ""):gsub("__attribute__%s*%b()", "")
  local list = {}
  for line in text:gmatch("\n([%a_][^;=]-%b())") do
    local name = line:match("([%a_][%w_]*)%s*%b()$")
    if name and not line:find("^typedef") and not line:find("%(%*") then list[#list + 1] = name end
  end
  return list
end

-- Static functions: name -> the files that define one.
function rooms.statics()
  local found = {}
  for _, path in ipairs(rooms.sources()) do
    if path:find("%.c$") then
      for name in rooms.read("core/" .. path):gmatch("\nstatic [%w_ %*]-([%a_][%w_]*)%b()\n{") do
        found[name] = found[name] or {}
        table.insert(found[name], path)
      end
    end
  end
  return found
end

if not ... then
  for _, circle in ipairs(rooms.circles()) do print(#circle, table.concat(circle, " ")) end
  return
end

return rooms
