-- Turns an app and everything mounted on it into what the core serves: one router, one handler per route with
-- its middleware around it, and one function each for what has no route, for errors and for every response.
local core = require "neap.core"
local errors = require "neap.app.errors"
local pattern = require "neap.app.pattern"
local res = require "neap.res"

local compiler = {}

---An app at the place where it is mounted.
---@class neap.Scope
---@field app neap.App
---@field prefix string "" for the root
---@field parent neap.Scope?
---@field depth integer how far from the root, by mounts
---@field length integer segments of the prefix
---@field is_below fun(path: string): boolean

local function scope_new(app, prefix, parent)
  return {
    app = app, prefix = prefix, parent = parent, depth = parent and parent.depth + 1 or 0,
    length = prefix == "" and 0 or #pattern.parse(prefix), is_below = pattern.matcher(prefix),
  }
end

-- Calls visit(scope) for the app and all that is mounted on it, parents first.
local function walk(scope, visit)
  visit(scope)
  for _, mount in ipairs(scope.app._mounts) do
    walk(scope_new(mount.app, scope.prefix .. mount.prefix, scope), visit)
  end
end

local function root_of(app)
  while app._parent do app = app._parent end
  return app
end

-- Calls visit(route, pattern) for every route.
local function each_route(app, visit)
  walk(scope_new(app, "", nil), function(scope)
    for _, route in ipairs(scope.app._routes) do visit(route, pattern.join(scope.prefix, route.path)) end
  end)
end

-- name -> {pattern, route}. An app that is mounted twice has the addresses of its first place.
local function names_of(app)
  local names = {}
  each_route(app, function(route, path)
    local name = route.route_name
    local taken = name and names[name]
    if taken and taken.route ~= route then
      error(('%s: the route name "%s" is taken by %s'):format(route.where, name, taken.route.where), 0)
    end
    if name and not taken then names[name] = {pattern = path, route = route} end
  end)
  return names
end

-- Where an app is mounted: its first place, as for names. Known once the app is compiled.
local function prefix_of(app)
  local prefix = app._prefix
  if prefix then return prefix end
  walk(scope_new(root_of(app), "", nil), function(scope)
    if scope.app == app then prefix = prefix or scope.prefix end
  end)
  return prefix
end

---The pattern of a named route, or of a path of the app itself.
---@param app neap.App
---@param name string a path starts with "/"
---@return string?
function compiler.path_of(app, name)
  if type(name) == "string" and name:sub(1, 1) == "/" then return pattern.join(prefix_of(app), name) end
  local root = root_of(app)
  local known = root._names and root._names[name]
  if not known then -- may have been defined since
    root._names = names_of(root)
    known = root._names[name]
  end
  return known and known.pattern
end

---All route names.
---@param app neap.App
---@return string[]
function compiler.names(app)
  local list = {}
  for name in pairs(names_of(root_of(app))) do list[#list + 1] = name end
  table.sort(list)
  return list
end

---All routes.
---@param app neap.App
---@return {methods: string[], pattern: string, name: string?, where: string}[]
function compiler.list(app)
  local list = {}
  each_route(app, function(route, path)
    list[#list + 1] = {methods = route.methods, pattern = path, name = route.route_name, where = route.where}
  end)
  return list
end

-- `inner` with one middleware around it.
local function wrap(fn, inner)
  local function next(req)
    if req == nil then error("next needs the request: next(req)", 2) end
    return res.from(inner(req))
  end
  return function(req) return fn(req, next) end
end

-- As wrap, for the requests whose path is below a prefix.
local function wrap_some(fn, inner, is_below)
  local wrapped = wrap(fn, inner)
  return function(req)
    if is_below(req.path) then return wrapped(req) end
    return inner(req)
  end
end

-- The middleware of a scope and its parents, outermost first: {fn, prefix}.
local function middleware_of(scope)
  local list = scope.parent and middleware_of(scope.parent) or {}
  for _, middleware in ipairs(scope.app._middleware) do
    list[#list + 1] = {fn = middleware.fn, prefix = scope.prefix .. middleware.prefix}
  end
  return list
end

-- `handler` with all that is around it. `route`: the segments of its pattern; nil: it takes any path.
local function around(handler, middleware, route)
  for i = #middleware, 1, -1 do
    local fn, prefix = middleware[i].fn, middleware[i].prefix
    local when = prefix == "" and "always" or "depends"
    if when == "depends" and route then when = pattern.below(pattern.parse(prefix), route) end
    if when == "always" then
      handler = wrap(fn, handler)
    elseif when == "depends" then
      handler = wrap_some(fn, handler, pattern.matcher(prefix))
    end
  end
  return handler
end

local function add_to_router(router, route, path, id)
  for _, method in ipairs(route.methods) do
    local ok, err = router:add(method, path, id, route.where)
    if not ok then error(err, 0) end
  end
end

local function add_route(spec, scopes, route, scope)
  local id, path = #spec.routes + 1, pattern.join(scope.prefix, route.path)
  add_to_router(spec.router, route, path, id)
  if route.path == "/" and scope.prefix ~= "" then add_to_router(spec.router, route, path .. "/", id) end
  spec.routes[id] = {
    handler = around(route.handler, middleware_of(scope), pattern.parse(path)),
    name = route.route_name, pattern = path, body_limit = route.opts.body_limit,
    on_disconnect = route.opts.on_disconnect, timeout = route.opts.timeout, ws = route.ws,
  }
  local key = route.route_name or path
  scopes.by_route[key] = scopes.by_route[key] or scope
end

-- Which app a request belongs to: that of its route, else the one with the longest prefix of its path.
local function scope_finder(scopes)
  table.sort(scopes.list, function(a, b)
    if a.length ~= b.length then return a.length > b.length end
    return a.depth > b.depth
  end)
  if #scopes.list == 1 then -- most apps: nothing has to be asked
    local only = scopes.list[1]
    return function() return only end
  end
  return function(req)
    local scope = req.route and scopes.by_route[req.route]
    if scope then return scope end
    local path = req.path
    for _, candidate in ipairs(scopes.list) do
      if candidate.is_below(path) then return candidate end
    end
  end
end

local function add_hooks(list, hooks, status)
  for _, hook in ipairs(hooks) do
    if hook.status == status then list[#list + 1] = hook.fn end
  end
end

local NO_HANDLERS = {}

-- The on_error handlers for a status, most specific first.
local function error_handlers(scope, status)
  local list = NO_HANDLERS
  while scope do
    local hooks = scope.app._on_error
    if #hooks > 0 then
      if list == NO_HANDLERS then list = {} end
      add_hooks(list, hooks, status)
      add_hooks(list, hooks, nil)
    end
    scope = scope.parent
  end
  return list
end

local function make_on_error(find_scope)
  return function(req, err, traceback)
    local failure = errors.failure(err, traceback)
    return errors.answer(req, failure, error_handlers(find_scope(req), failure.status))
  end
end

-- What answers requests without a route. Each app has its own, because each has its own middleware.
local function make_fallback(scopes, find_scope, has_on_send)
  local wrapped = {}
  for _, scope in ipairs(scopes.list) do
    local middleware = middleware_of(scope)
    local is_seen = has_on_send or #middleware > 0 -- what is answered here
    wrapped[scope] = around(function(req)
      local allow = req.allow
      if allow and req.method == "OPTIONS" then return 204, nil, {Allow = allow} end
      local handlers = error_handlers(scope, allow and 405 or 404)
      if not is_seen and #handlers == 0 then return errors.no_route_page(req, allow) end
      return errors.answer(req, errors.no_route(allow), handlers)
    end, middleware, nil)
  end
  if #scopes.list == 1 then return wrapped[scopes.list[1]] end
  return function(req) return wrapped[find_scope(req)](req) end
end

-- The on_send hooks of a scope and its parents, innermost first.
local function send_hooks(scope)
  local list = {}
  while scope do
    for _, fn in ipairs(scope.app._on_send) do list[#list + 1] = fn end
    scope = scope.parent
  end
  return list
end

-- nil when there are no hooks at all: then the core need not ask.
local function make_on_send(scopes, find_scope)
  local hooks, count = {}, 0
  for _, scope in ipairs(scopes.list) do
    hooks[scope] = send_hooks(scope)
    count = count + #hooks[scope]
  end
  if count == 0 then return nil end
  return function(req, ...)
    local response = res.from(...)
    for _, fn in ipairs(hooks[find_scope(req)]) do
      local failed = errors.attempt(req, "in on_send: ", fn, response)
      if failed then return failed end
    end
    return response
  end
end

-- What the apps give to the next generation, by the place where each is mounted. nil when none gives anything.
local function make_handoff(scopes)
  local givers = {}
  for _, scope in ipairs(scopes.list) do
    if scope.app._on_handoff then givers[scope.prefix == "" and "/" or scope.prefix] = scope.app._on_handoff end
  end
  if not next(givers) then return nil end
  return function()
    local given = {}
    for place, give in pairs(givers) do given[place] = give() end
    return given
  end
end

-- Gives it to the apps that are mounted there now.
local function make_adopt(scopes)
  return function(given)
    for _, scope in ipairs(scopes.list) do
      local data = given[scope.prefix == "" and "/" or scope.prefix]
      if data ~= nil and scope.app._on_adopt then scope.app._on_adopt(data) end
    end
  end
end

---What `core.serve` takes.
---@param app neap.App
---@return table
function compiler.compile(app)
  local spec = {router = core.router(), routes = {}, from = res.from}
  local scopes = {by_route = {}, list = {}}
  names_of(app) -- raises when two routes have one name
  walk(scope_new(app, "", nil), function(scope)
    scopes.list[#scopes.list + 1] = scope
    scope.app._prefix = scope.app._prefix or scope.prefix
    for _, route in ipairs(scope.app._routes) do add_route(spec, scopes, route, scope) end
  end)
  local find_scope = scope_finder(scopes)
  spec.on_send = make_on_send(scopes, find_scope)
  spec.on_error = make_on_error(find_scope)
  spec.fallback = make_fallback(scopes, find_scope, spec.on_send ~= nil)
  spec.handoff = make_handoff(scopes)
  spec.adopt = make_adopt(scopes)
  return spec
end

return compiler
