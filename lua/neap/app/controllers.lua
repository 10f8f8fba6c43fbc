-- File controllers: each file of a folder is a part of the site, each global function in it answers a URL of its own.
--
--   controllers/cart.lua:  function add(req, id, amount)  ->  GET /cart/add, /cart/add/:id, /cart/add/:id/:amount
--                          function post.add(req, id)     ->  POST /cart/add, /cart/add/:id
--   controllers/default.lua:  function index(req)         ->  GET /, /default, /default/index
--
-- What is local or begins with "_" is nobody's business. The routes are ordinary ones: `neap routes` lists them.
local action = require "neap.app.action"
local core = require "neap.core"
local pattern = require "neap.app.pattern"
local route = require "neap.app.route"
local watch = require "neap.dev.watch"

local controllers = {}

local DEFAULT_FILE, DEFAULT_ACTION = "default", "index"
local NAME = "^%a[%w_]*$" -- of files and actions that have URLs

-- What the file's names are: its own, then those of the app, then Lua's. The tables of the verbs are its own.
local function environment(globals)
  local env = {}
  for verb in pairs(action.VERBS) do env[verb] = {} end
  return setmetatable(env, {__index = globals})
end

local function run(path, env)
  local chunk, err = loadfile(path, "t", env)
  if not chunk then error(err, 0) end
  chunk()
end

local function is_name(name)
  return type(name) == "string" and name:find(NAME) ~= nil
end

-- Functions written in C are tools that somebody gave a global name: they know no requests.
local function is_bare(name, value)
  return is_name(name) and type(value) == "function" and debug.getinfo(value, "S").what ~= "C"
end

-- The actions with those joined that share an address: of one name, and answering GET.
local function by_address(list)
  local groups, result = {}, {}
  for _, one in ipairs(list) do
    local key = one.methods[1] == "GET" and one.name or one
    if not groups[key] then
      groups[key] = {}
      result[#result + 1] = groups[key]
    end
    table.insert(groups[key], one)
  end
  for i, group in ipairs(result) do result[i] = #group == 1 and group[1] or action.join(group) end
  return result
end

-- The actions of a file in the order of their definition.
local function actions_of(env, path)
  local list = {}
  for name, value in pairs(env) do
    if action.VERBS[name] and type(value) ~= "table" then
      error(("%s: \"%s\" is the table of such actions: write `function %s.name(req)`"):format(path, name, name), 0)
    elseif action.VERBS[name] then
      for of_verb, given in pairs(value) do
        if is_name(of_verb) then list[#list + 1] = action.new(of_verb, name, given, path) end
      end
    elseif is_bare(name, value) then
      list[#list + 1] = action.new(name, nil, value, path)
    end
  end
  table.sort(list, function(a, b)
    if a.where == b.where then return a.name .. a.methods[1] < b.name .. b.methods[1] end
    return a.line < b.line
  end)
  return by_address(list)
end

-- The paths of an action without arguments; the first is the one that arguments are added to.
local function paths_of(file, name)
  local paths = {("/%s/%s"):format(file, name)}
  if name == DEFAULT_ACTION then
    paths[2] = "/" .. file
    if file == DEFAULT_FILE then paths[3] = "/" end
  end
  return paths
end

-- "two_words" is two-words in addresses, and stays what it is for those who write it so.
local function spellings(file, name)
  local dashed_file, dashed = file:gsub("_", "-"), name:gsub("_", "-")
  local list = {paths_of(dashed_file, dashed)}
  if dashed_file ~= file or dashed ~= name then list[2] = paths_of(file, name) end
  return list
end

local function add_routes(one, paths, add)
  for i = #paths, 1, -1 do add(paths[i], one.make({})) end -- the shortest is what people write
  local path, names = paths[1], {}
  for i, name in ipairs(one.names) do
    path, names[i] = path .. "/:" .. name, name
    add(path, one.make({table.unpack(names)}))
  end
  if one.takes_more then
    names[#names + 1] = action.REST
    add(path .. "/*" .. action.REST, one.make(names))
  end
end

-- A handler whose data is shown by a view: as a page, unless the client would rather have JSON.
local function with_view(app, name, handler)
  local function show(req, result, second, headers)
    local is_status = math.type(result) == "integer"
    local data, status = is_status and second or result, is_status and result or 200
    if not action.is_data(data) then return result, second, headers end
    local response
    if req:accepts("html", "json") == "json" then
      response = require("neap.res").json(data, status)
    else
      response = app:view(name, data, status)
    end
    response.headers["vary"] = "Accept"
    return status, response, headers
  end
  return function(req) return show(req, handler(req)) end
end

-- Adds the routes of one file to the app.
local function load_file(app, path, file, prefix)
  local env = environment(app:_globals())
  run(path, env)
  for _, one in ipairs(actions_of(env, path)) do
    local view = file .. "/" .. one.name
    local has_view = app:_views():find(view) ~= nil
    for _, paths in ipairs(spellings(file, one.name)) do
      add_routes(one, paths, function(tail, handler, ws)
        local new = route.new("app:controllers", {
          methods = one.methods, path = pattern.join(prefix, tail),
          handler = has_view and with_view(app, view, handler) or handler, where = one.where,
        }, 1)
        new.ws = ws
        app:_add(new)
      end)
    end
  end
end

-- The names of the controllers in a folder. Files that begin with "_" or "." are not meant to be any.
local function list_files(dir)
  local names, err = core.list_dir(dir)
  if not names then return nil, err end
  local files = {}
  for _, name in ipairs(names) do
    local file = name:match("^([^_.][^/]*)%.lua$")
    if file and not is_name(file) then
      error(("%s/%s: a controller's name has letters, digits and \"_\", which is \"-\" in addresses")
        :format(dir, name), 0)
    end
    files[#files + 1] = file
  end
  return files
end

---Adds the routes of all controllers of a folder.
---@param app neap.App
---@param dir string
---@param prefix string "" or "/prefix"
---@return true? ok nil when the folder cannot be read
---@return string? err
function controllers.load(app, dir, prefix)
  watch.add(dir)
  local files, err = list_files(dir)
  if not files then return nil, err end
  for _, file in ipairs(files) do load_file(app, dir .. "/" .. file .. ".lua", file, prefix) end
  return true
end

return controllers
