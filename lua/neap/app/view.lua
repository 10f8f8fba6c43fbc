-- Views: the pages of an app's folder `views/`, rendered with the names of a table. See template.lua for what a page may
-- have in it; besides, it can call
--
--   {% layout "base" %}               puts this page into another, whose {{{content}}} it is
--   {% include "row" %}               another page here, with the same names ...
--   {% include("row", {n = 1}) %}     ... and more
--   {{url("/static/style.css")}}      the address of a path of this app, or of a named route: app:url
--
-- A page is compiled once in a generation, together with those that it names.
local template = require "neap.app.template"
local text = require "neap.text"
local watch = require "neap.dev.watch"

local view = {}

local MOST_NESTED = 100 -- pages within pages: more is one that includes itself

-- A folder of pages: {dir, globals = what every page sees, pages = what was compiled by name; false: no such file}.
local Views = {__name = "neap.views"}
Views.__index = Views

local function read_file(path)
  local file <close> = io.open(path, "r")
  return file and file:read("a") or nil
end

local function check_name(name, level)
  if type(name) ~= "string" or not name:find("^%w[%w_./-]*$") or name:find("..", 1, true) then
    error(("%s is not a name of a view: write it as \"tasks/list\""):format(text.quote(name)), level + 1)
  end
end

function Views:path(name)
  return ("%s/%s%s"):format(self.dir, name, name:find("%.%w+$") and "" or ".html")
end

-- Compiles the pages that `source` names, so that what is missing is known when the app is loaded.
function Views:find_named(source, path)
  for at, name in source:gmatch("{%%%s*()%l+%s*%(?%s*[\"']([%w_./-]+)[\"']") do
    local word = source:match("^%l+", at)
    if (word == "include" or word == "layout") and not self:find(name) then
      local _, before = source:sub(1, at):gsub("\n", "")
      error(("%s:%d: there is no view %s (%s)"):format(path, before + 1, text.quote(name), self:path(name)), 0)
    end
  end
end

-- The function of a page, compiled when it is first asked for; nil when there is no such file. Raises when there is a
-- mistake in it.
function Views:find(name)
  local page = self.pages[name]
  if page ~= nil then return page or nil end
  local path = self:path(name)
  local source = read_file(path)
  page = source and template.compile(source, path) or false
  self.pages[name] = page -- before the others: they may name this one
  if page then self:find_named(source, path) end
  return page or nil
end

function Views:get(name, level)
  check_name(name, level + 1)
  return self:find(name) or error(("there is no view %s (%s)"):format(text.quote(name), self:path(name)), level + 1)
end

-- The names of a table before those of another. What a page sets stays in the page.
local function over(names, others)
  return setmetatable({}, {__index = function(_, key)
    local value = names[key]
    if value == nil then return others[key] end
    return value
  end})
end

-- The text of a page. It sees the names in `data`, then the globals; as a whole it is `data`. When there is no such page,
-- the line `level` levels above our caller is shown.
function Views:render(name, data, level)
  local out, depth, base, env = {}, 0, {data = data}, nil
  local function write(piece) out[#out + 1] = piece end
  local function run(page, names)
    local outer = env
    env, depth = names, depth + 1
    if depth > MOST_NESTED then error("these views include each other without end", 0) end
    page(names, write)
    env, depth = outer, depth - 1
  end
  local layout
  function base.layout(wanted) layout = self:get(wanted, 2) end
  function base.include(wanted, more) run(self:get(wanted, 2), more and over(more, env) or env) end

  local names = over(data or {}, over(base, self.globals))
  run(self:get(name, level + 1), names)
  while layout do
    local page = layout
    names.content, out, layout, depth = table.concat(out), {}, nil, depth + 1
    run(page, names)
  end
  return table.concat(out)
end

---The pages of a folder.
---@param dir string
---@param globals table
---@return table views :find(name) -> function | nil, :render(name, data, level) -> text
function view.folder(dir, globals)
  watch.add(dir)
  return setmetatable({dir = dir, globals = globals, pages = {}}, Views)
end

return view
