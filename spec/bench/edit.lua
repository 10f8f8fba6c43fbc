-- From a save to the first answer with what was saved, in `neap dev`: spec/bench/edit [EDITS] [WORKERS]
--
-- An application of 50 files: 20 controllers of 10 actions each, 20 views, a layout, 6 modules, init.lua, a style sheet
-- and a script. Of each kind of file EDITS (default 100) saves, as editors do it: written beside the file and renamed over
-- it. The clock starts before the new text is written, and stops when an answer has it; all the while a client asks,
-- each time a millisecond after it got its answer. "reload" is what of it the server says the new generation took.
local http = require "spec.support.http"
local server = require "spec.support.server"
local task = require "neap.task"

local EDITS, WORKERS = tonumber(arg[1]) or 100, tonumber(arg[2]) or 2
local CONTROLLERS, MODULES, BAR_MS = 20, 6, 200
local PATIENCE = 10 -- seconds

local CONTROLLER = [[
local part = require "shop.parts.part1"
-- edit {edit}
function index() return {title = "page", part = part, items = {1, 2, 3}} end
function text() return "controller {edit}" end
function module() return "module " .. part end
]]

local ACTION = [[
function action{n}(req, id)
  local found = {}
  for i = 1, 10 do
    if i ~= tonumber(id) then found[#found + 1] = {id = i, name = "item " .. i} end
  end
  if #found == 0 then neap.abort(404) end
  return {items = found, path = req.path}
end
]]

local VIEW = [[
{% layout "base" %}
<h1>view {edit}</h1>
<ul>{% for _, one in ipairs(items) do %}<li>{{one}}, {{part}}</li>{% end %}</ul>
]]

local MODULE = "-- edit {edit}\nreturn {edit}\n"

local function with(text, edit)
  return (text:gsub("{edit}", edit))
end

local function controller(edit)
  local actions = {}
  for n = 1, 7 do actions[n] = ACTION:gsub("{n}", n) end
  return with(CONTROLLER, edit) .. table.concat(actions)
end

local function application()
  local files = {
    ["apps/shop/init.lua"] = "local app = ...\napp:on_send(function(_, head) head:header('X-Shop', 'yes') end)\n",
    ["apps/shop/views/base.html"] = "<!doctype html><html><head><title>{{title}}</title></head><body>{{{content}}}</body></html>",
    ["apps/shop/static/style.css"] = "/* style 0 */", ["apps/shop/static/script.js"] = "'use strict';",
  }
  for i = 1, CONTROLLERS do
    files[("apps/shop/controllers/c%d.lua"):format(i)] = controller(0)
    files[("apps/shop/views/c%d/index.html"):format(i)] = with(VIEW, 0)
  end
  for i = 1, MODULES do files[("apps/shop/parts/part%d.lua"):format(i)] = with(MODULE, 0) end
  return files
end

local KINDS = {
  {name = "controller", file = "apps/shop/controllers/c1.lua", make = controller,
    path = "/shop/c1/text", shows = "controller %d"},
  {name = "module", file = "apps/shop/parts/part1.lua", make = function(edit) return with(MODULE, edit) end,
    path = "/shop/c1/module", shows = "module %d"},
  {name = "view", file = "apps/shop/views/c1/index.html", make = function(edit) return with(VIEW, edit) end,
    path = "/shop/c1", shows = "view %d<"},
  {name = "style sheet", file = "apps/shop/static/style.css",
    make = function(edit) return ("/* style %d */"):format(edit) end,
    path = "/shop/static/style.css", shows = "style %d "},
}

local function ask(conn, path)
  conn:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path))
  return conn:answer("GET")
end

-- Milliseconds until an answer has what is saved now.
local function edit(s, conn, kind, number)
  local text, expected = kind.make(number), kind.shows:format(number)
  local from = task.now()
  s:write(kind.file, text)
  while true do
    local answer = ask(conn, kind.path)
    if answer.body:find(expected, 1, true) then return (task.now() - from) * 1000 end
    assert(task.now() - from < PATIENCE, "the edit never showed:\n" .. s:log())
    task.sleep(0.001)
  end
end

local function at(list, share)
  return list[math.max(1, math.ceil(#list * share))]
end

-- How long the last `count` generations took to be built and switched to, by the log.
local function reload_median(s, count)
  local took = {}
  for ms in s:log():gmatch("generation %d+ serves, after (%d+) ms") do took[#took + 1] = tonumber(ms) end
  took = table.move(took, #took - count + 1, #took, 1, {})
  table.sort(took)
  return at(took, 0.5)
end

-- Prints a kind's row; its worst time.
local function measure(s, conn, kind)
  local times = {}
  for number = 1, EDITS do
    times[number] = edit(s, conn, kind, number)
    task.sleep(0.02 + 0.03 * math.random()) -- at no fixed distance from the last, as people do
  end
  table.sort(times)
  local reload = kind.name ~= "style sheet" and reload_median(s, EDITS)
  print(("| %-11s | %6.1f | %6.1f | %6.1f | %6s |"):format(kind.name, at(times, 0.5), at(times, 0.9), times[#times],
    reload and ("%d"):format(reload) or "-"))
  return times[#times]
end

local files, count = application(), 0
for _ in pairs(files) do count = count + 1 end
local s = server.start {files = files, command = "dev", target = "apps", workers = WORKERS}
local conn = http.open(s)
print(("%d files, %d workers, %d edits of each kind; ms from the save to the answer"):format(count, WORKERS, EDITS))
print("| file        | median |    p90 |  worst | reload |")
print("|---|--:|--:|--:|--:|")
local worst = 0
for _, kind in ipairs(KINDS) do worst = math.max(worst, measure(s, conn, kind)) end
print(("worst of all: %.1f ms, bar %d ms"):format(worst, BAR_MS))
conn.socket:close()
s:stop()
s:remove()
return worst < BAR_MS
