-- Finds and loads what `neap run [FILE|DIR]` means: a file that returns an app, a folder with app.lua or controllers/,
-- or a folder whose subfolders are apps.
local controllers = require "neap.app.controllers"
local core = require "neap.core"
local files = require "neap.app.files"
local globals = require "neap.app.globals"
local new_app = require("neap.app.app").new
local route = require "neap.app.route"
local served = require("neap.apps").served

local apps = {}

local DEFAULT_DIR = "apps"
local WELCOME = "welcome" -- the app that also answers at /

local function fail(format, ...)
  error(format:format(...), 0)
end

local function is_file(path)
  local names = core.list_dir(path)
  local file = not names and io.open(path, "r")
  if file then file:close() end
  return file and true or false
end

-- Modules beside the app are found by `require`.
local function add_path(dir)
  local entry = ("%s/?.lua;%s/?/init.lua"):format(dir, dir)
  if not package.path:find(entry, 1, true) then package.path = entry .. ";" .. package.path end
end

local function load_chunk(path)
  local chunk, err = loadfile(path, "t")
  if not chunk then fail("%s", err) end
  globals.watch(chunk)
  return chunk
end

local function load_file(path)
  local app = load_chunk(path)()
  if type(app) ~= "table" or type(app.compile) ~= "function" then
    fail("%s: the file returned %s, not an app. Does it end with `return app`?", path,
      app == nil and "nothing" or "a " .. type(app))
  end
  return app
end

local function is_dir(path)
  return core.list_dir(path) ~= nil
end

-- What init.lua does, it does before the controllers: they find what it has put into app.state. It is given the app, and
-- may as well return a function that takes it.
local function run_init(file, app)
  local init = load_chunk(file)(app)
  if type(init) == "function" then init(app) end
end

-- An app without app.lua: a folder with controllers/ and, if need be, init.lua, views/ and static/.
local function load_parts(dir)
  local app = new_app(dir)
  if is_file(dir .. "/init.lua") then run_init(dir .. "/init.lua", app) end
  assert(controllers.load(app, dir .. "/controllers", ""))
  if is_dir(dir .. "/static") then
    app:_add(route.new("static", {
      methods = {"GET"}, path = "/static/*path", handler = files.handler("/static", dir .. "/static", nil, 1),
      where = dir .. "/static",
    }, 1))
  end
  return app
end

-- nil when the folder is no app.
local function load_dir(dir)
  local file = dir .. "/app.lua"
  if is_file(file) then
    add_path(dir)
    return load_file(file)
  elseif is_dir(dir .. "/controllers") then
    add_path(dir)
    return load_parts(dir)
  end
end

local function load_all(dir, names)
  local neap = require "neap"
  local root = neap.app()
  add_path(dir)
  for _, name in ipairs(names) do
    local is_app = name:sub(-1) == "/" and name:sub(1, 1) ~= "."
    local sub = is_app and load_dir(dir .. "/" .. name:sub(1, -2))
    if sub then
      table.insert(served, (name:sub(1, -2)))
      if name == WELCOME .. "/" then root:mount("/", sub) end
      root:mount("/" .. name:sub(1, -2), sub)
    end
  end
  if #served == 0 then
    fail("%s: there is no app.lua and no controllers/ in it or in one of its subfolders. `neap new NAME` makes an app. "
      .. "The smallest is a Lua file that returns one:\n    local neap = require \"neap\"\n    local app = neap.app()\n"
      .. "    app:get(\"/\", function() return \"hello\" end)\n    return app", dir)
  end
  return root
end

---Loads the application at `target`: a file, or a folder. Raises with a sentence that says what to do.
---@param target string? default: the folder apps/
---@return neap.App
---@async
function apps.load(target)
  local dir = target or DEFAULT_DIR
  if target and is_file(target) then
    add_path(target:match("^(.*)/[^/]*$") or ".")
    return load_file(target)
  end
  local names, err = core.list_dir(dir)
  if names then return load_dir((dir:gsub("/+$", ""))) or load_all((dir:gsub("/+$", "")), names) end
  if target then fail("cannot open %s: %s", target, err) end
  fail("there is no folder %s/ here. Say what to serve: `neap run FILE` or `neap run DIR`", DEFAULT_DIR)
end

return apps
