-- What comments and documents cite is there: files, rows of core/THREATS.md, decisions, settings, and names of C.
-- Decisions themselves keep the names of their time.
local core = require "neap.core"
local rooms = require "spec.support.rooms"
local task = require "neap.task"

local PLACES = {"core/", "lua/", "spec/", "apps/", "examples/"}
local OTHER_FILES = {"README.md", "CMakeLists.txt", "neap", ".clang-format", ".clang-tidy", ".luacheckrc"}
local SKIPPED = {["core/decisions/"] = true, ["spec/support/move/"] = true, ["lua/CHANGES.md"] = true}
local ENDINGS = {c = true, h = true, lua = true, md = true}
local READ = {c = true, h = true, lua = true, md = true, sh = true, awk = true, py = true, conf = true, [""] = true}

-- Files of an application, and of others, that are named without being ours.
local OF_OTHERS = {}
for path in ([[apps/shop/controllers/cart.lua apps/shop/controllers/default.lua apps/shop/init.lua apps/hello/app.lua
  spec/app_spec.lua spec/page_spec.lua tasks.lua noun_verb snake_case ltests.c ae.c anet.c sds.c sleep.c util.c]]):gmatch("%S+") do
  OF_OTHERS[path] = true
end

-- Beginnings of names that are functions of libraries, although a header of ours has that noun.
local FOREIGN = {"^lua_", "^luaL_", "^uv_", "^llhttp_", "^wslay_"}

local function read(path)
  local file <close> = assert(io.open(path, "r"))
  return file:read("a")
end

local known = {}
local function exists(path)
  if known[path] == nil then
    local file <close> = io.open(path, "r")
    known[path] = file ~= nil
  end
  return known[path]
end

local function each_file(folder, fn)
  for _, name in ipairs(assert(core.list_dir(folder))) do
    local path = folder .. name
    local is_skipped = SKIPPED[path] or name == "citations_spec.lua"
    if not is_skipped and name:find("/$") then
      each_file(path, fn)
    elseif not is_skipped and READ[name:match("%.(%w+)$") or ""] then
      fn(path)
    end
  end
end

-- ---- what there is ----

local function words_of(text, words)
  for word in text:gmatch("[%a_][%w_]*") do words[word] = true end
end

local function strip_c(text)
  return (text:gsub("/%*.-%*/", " "))
end

local function survey()
  local here = {files = {}, texts = {}, stems = {}, nouns = {}, words = {}, structs = {}, rows = {}, decisions = {}}
  for _, folder in ipairs(PLACES) do
    each_file(folder, function(path) here.files[#here.files + 1] = path end)
  end
  for _, path in ipairs(OTHER_FILES) do here.files[#here.files + 1] = path end
  table.sort(here.files)
  for _, path in ipairs(here.files) do
    local text = read(path)
    here.texts[path] = text
    here.stems[path:match("[^/]+$")] = true
    if path:find("%.[ch]$") then words_of(strip_c(text), here.words) end
    for struct in text:gmatch("\nstruct ([%l_]+) {") do here.structs[struct] = true end
    for header in text:gmatch("\n#include <([%w_./]+)>") do here.stems[header] = true end -- of libraries
    if path:find("^lua/.*%.lua$") then words_of(text, here.words) end
    local noun = path:match("^core/%l+/(.*)%.h$")
    if noun then here.nouns[(noun:gsub("_state$", ""))] = true end
  end
  for row in here.texts["core/THREATS.md"]:gmatch("\n| (%u%d+) |") do here.rows[row] = true end
  for row in here.texts["core/THREATS.md"]:gmatch("\n(%d+)%. %*%*") do here.rows[row] = true end
  for row in here.texts["core/THREATS.md"]:gmatch("\n(%d+)%. %u") do here.rows[row] = true end
  for _, name in ipairs(assert(core.list_dir("core/decisions"))) do
    here.decisions[tonumber(name:match("^%d+"))] = true
  end
  return here
end

-- ---- what is cited ----

local function strip_lua(text)
  local comments = {}
  for line in text:gmatch("[^\n]*") do comments[#comments + 1] = line:match("%-%-.*") end
  return table.concat(comments, "\n")
end

-- The part of a file that is for people.
local function prose(path, text)
  local said
  if path:find("%.[ch]$") then
    local comments = {}
    for comment in text:gmatch("/%*.-%*/") do comments[#comments + 1] = comment end
    said = table.concat(comments, "\n")
  elseif path:find("%.lua$") then
    said = strip_lua(text)
  else
    said = text:gsub("\n```.-\n```", "")
  end
  -- One sentence may go over several lines, with the mark of a comment at the beginning of each.
  return (said:gsub("%a+://%S+", ""):gsub("\n *%*? ?%-?%-? *", " "))
end

local function is_path(here, from, path)
  local folder = from:match("^(.*/)") or ""
  for _, prefix in ipairs {"", "core/", folder} do
    if exists(prefix .. path) then return true end
  end
  return here.stems[path] or OF_OTHERS[path] or false
end

local function check_paths(here, from, said, complain)
  for before, path, ending in said:gmatch("()([%w_%-./]+%.(%l+))%f[^%w_]") do
    local is_part = before > 1 and said:sub(before - 1, before - 1):find("[*>}%%$@~]")
    local room = path:match("^(%l+)/[%w_]+%.[ch]$")
    local place = path:match("^%l+/")
    local is_ours = room and rooms.sight()[room]
    for _, one in ipairs(PLACES) do is_ours = is_ours or place == one end
    if ending == "c" or ending == "h" then is_ours = is_ours or path:find("^[%w_]+%.[ch]$") and from:find("^core/") end
    if ending == "lua" then is_ours = is_ours or path:find("^[%l_]+%.lua$") and from:find("^[cl]%l+/") end
    if ending == "md" then is_ours = is_ours or path:find("^%u[%u_]+%.md$") end
    if ENDINGS[ending] and is_ours and not is_part and not is_path(here, from, path) then complain(path) end
  end
end

-- What stands in code, such as commands and names in strings.
local function check_code(here, from, text, complain)
  for path in text:gmatch("%f[%w_./]([%w_]+/[%w_./]+%.%l+)%f[^%w_/]") do
    local is_ours = path:find("^core/%l+/") or path:find("^lua/neap/") or path:find("^spec/%l+/")
    if is_ours and ENDINGS[path:match("%.(%l+)$")] and not is_path(here, from, path) then complain(path) end
  end
end

local function check_rows(here, said, complain)
  for list in said:gmatch("THREATS%.md, ([%w, ]+)") do
    for row in list:gmatch("%f[%w]%u?%d+%f[%W]") do
      if not here.rows[row] then complain("THREATS.md, " .. row) end
    end
  end
  for number in said:gmatch("[dD]ecision (%d+)") do
    if not here.decisions[tonumber(number)] then complain("decision " .. number) end
  end
end

local function check_links(from, text, complain)
  local folder = from:match("^(.*/)") or ""
  for target in text:gmatch("%]%(([^)%s#]+)[^)]*%)") do
    if not target:find("^%a+:") and not exists(folder .. target) then complain(target) end
  end
end

local function check_settings(here, said, complain)
  for name in said:gmatch("`(%l+%.[%l_]+)`") do
    local group = name:match("^%l+")
    local is_setting = group == "limits" or group == "timeouts" or group == "watchdog" or group == "headers"
    local is_file = name:find("%.lua$") ~= nil
    if is_setting and not is_file and not here.texts["core/config/config_schema.c"]:find('"' .. name .. '"', 1, true) then
      complain(name)
    end
  end
end

-- Whether it begins with the noun of a header, as our functions do.
local function is_our_name(here, name)
  for _, foreign in ipairs(FOREIGN) do
    if name:find(foreign) then return false end
  end
  local at = 1
  while true do
    at = name:find("_", at + 1, true)
    if not at then return false end
    if here.nouns[name:sub(1, at - 1)] then return true end
  end
end

local function check_names(here, from, said, complain)
  local function check(name)
    if is_our_name(here, name) and not here.words[name] and not here.nouns[name] then complain(name) end
  end
  if from:find("^core/.*%.md$") then
    for code in said:gmatch("`([^`]+)`") do
      for name in code:gmatch("%f[%w_/.<>](%l[%w_]+_%w+)%f[^%w_./<]") do
        if not (here.words[name] or here.nouns[name] or OF_OTHERS[name]) then complain(name) end
      end
      local struct = code:match("^struct ([%l_]+)$")
      if struct and not here.structs[struct] then complain("struct " .. struct) end
    end
  elseif from:find("^core/.*%.[ch]$") then
    for name in said:gmatch("%f[%w_/.](%l[%w_]+)%f[^%w_./<]") do check(name) end
  end
end

-- A list of "FILE cites WHAT".
local function missing(here, from, text)
  local list, seen = {}, {}
  local function complain(what)
    if not seen[what] then list[#list + 1] = from .. " cites " .. what end
    seen[what] = true
  end
  local said = prose(from, text)
  check_paths(here, from, said, complain)
  check_rows(here, said, complain)
  check_settings(here, said, complain)
  check_names(here, from, said, complain)
  if from:find("%.md$") then
    check_links(from, text, complain)
  else
    check_code(here, from, text, complain)
  end
  return list
end

describe("a citation", function()
  local here = survey()

  it("leads somewhere", function()
    local wrong = {}
    for _, path in ipairs(here.files) do
      for _, one in ipairs(missing(here, path, here.texts[path])) do wrong[#wrong + 1] = one end
      task.yield()
    end
    assert(#wrong == 0, ("%d do not:\n%s"):format(#wrong, table.concat(wrong, "\n")))
  end)

  describe("that leads nowhere is found:", function()
    local function finds(name, from, text, what)
      it(name, function() assert.same({from .. " cites " .. what}, missing(here, from, text)) end)
    end

    finds("a header", "core/net/a.c", "/* See net/connection.h. */", "net/connection.h")
    finds("a file without its room", "core/net/a.c", "/* See connection.h. */", "connection.h")
    finds("a folder", "core/net/a.c", "/* As\n * core/network/conn.h says. */", "core/network/conn.h")
    finds("a module", "lua/neap/a.lua", "-- It is in lua/neap/none.lua.\n", "lua/neap/none.lua")
    finds("a file in a string", "spec/a_spec.lua", 'run("neap exec spec/support/none.lua")', "spec/support/none.lua")
    finds("a document", "spec/a_spec.lua", "-- What NONE.md says.\n", "NONE.md")
    finds("a row", "spec/a_spec.lua", "-- Floods (core/THREATS.md, H1 to H99): refused.\n", "THREATS.md, H99")
    finds("a decision", "core/net/a.h", "/* (decision 999) */", "decision 999")
    finds("a function in a comment", "core/net/a.c", "/* conn_wrote calls this. */", "conn_wrote")
    finds("a function in a document", "core/A.md", "It is `conn_wrote(conn)` that does it.", "conn_wrote")
    finds("a struct", "core/A.md", "It is in `struct connection`.", "struct connection")
    finds("a setting", "core/A.md", "See `limits.bodies`.", "limits.bodies")
    finds("a link", "core/A.md", "[It](NONE.md) is there.", "NONE.md")
  end)
end)
