-- The application: routes, mounts, middleware and hooks. It only remembers what was defined and where;
-- `neap.app.compiler` turns it into what the core serves.
local compiler = require "neap.app.compiler"
local files = require "neap.app.files"
local folder = require "neap.app.folder"
local hooks = require "neap.app.hooks"
local options = require "neap.base.options"
local pages = require "neap.app.pages"
local pattern = require "neap.app.pattern"
local route = require "neap.app.route"
local schedule = require "neap.job.schedule"
local text = require "neap.text"

---Answers a request: returns text, a table (JSON), `status [, body [, headers]]`, a response object, nothing (204),
---or `nil, err`.
---@alias neap.Handler async fun(req: neap.Request): ...

---What middleware calls for the answer of what is inside.
---@alias neap.Next async fun(req: neap.Request): neap.Response

---Returns what `next(req)` returned, or whatever a handler may return.
---@alias neap.Middleware async fun(req: neap.Request, next: neap.Next): ...

---Returns what a handler may return, or nothing to leave the answer to others.
---@alias neap.ErrorHandler async fun(req: neap.Request, failure: neap.Failure): ...

---What `neap.app()` makes and an app file returns.
---@class neap.App
---@field state table plain table for the app's own use, one per worker and generation
---@field _routes neap.Route[]
---@field _mounts {prefix: string, app: neap.App, where: string}[]
---@field _middleware {prefix: string, fn: function, where: string}[]
---@field _on_error {status: integer?, fn: function}[]
---@field _on_send function[]
---@field _hooks neap.Hook[] what lifecycle.lua runs, mounted apps among them
---@field _life neap.Lifecycle? while it runs
---@field _on_handoff function?
---@field _on_adopt function?
---@field _parent neap.App? where it was mounted first
---@field _prefix string? where it is mounted first, once compiled
---@field _dir string its folder
---@field _pages table? the folder's views, once there is a need for them
local App = {__name = "neap.App"}
App.__index = App
for _, part in ipairs {hooks, schedule, pages} do
  for name, method in pairs(part) do App[name] = method end
end

local function check_fn(fn, what, level)
  if type(fn) ~= "function" then
    error(("%s takes a function, not %s"):format(what, text.quote(fn)), level + 1)
  end
  return fn
end

function App:_add(new)
  self._routes[#self._routes + 1] = new
  return new
end

-- Makes and remembers a route; `level` is that of the public function's caller, counted from our caller. So that there are
-- levels to count, callers write `return (add(...))`, which is no tail call.
local function add(app, what, methods, path, handler, opts, level)
  local new = route.new(what, {methods = methods, path = path, handler = handler, opts = opts}, level + 1)
  return app:_add(new)
end

---Answers GET, and HEAD with the same headers. A pattern has literals, `:name` for one segment, `:name{int}` and
---`:name{lua pattern}` for one that fits, and `*name` for the rest of the path.
---```lua
---app:get("/users/:id{int}", function(req) return "user " .. req.params.id end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:get(path, handler, opts)
  return (add(self, "app:get", {"GET"}, path, handler, opts, 2))
end

---Answers POST. The handler goes on when the client leaves, because it changes something.
---```lua
---app:post("/users", function(req)
---  local user = assert(req:json())
---  return 201, {name = user.name}
---end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:post(path, handler, opts)
  return (add(self, "app:post", {"POST"}, path, handler, opts, 2))
end

---Answers PUT.
---```lua
---app:put("/users/:id", function(req) return {id = req.params.id, saved = true} end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:put(path, handler, opts)
  return (add(self, "app:put", {"PUT"}, path, handler, opts, 2))
end

---Answers PATCH.
---```lua
---app:patch("/users/:id", function(req) return {id = req.params.id, changed = true} end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:patch(path, handler, opts)
  return (add(self, "app:patch", {"PATCH"}, path, handler, opts, 2))
end

---Answers DELETE.
---```lua
---app:delete("/users/:id", function() return 204 end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:delete(path, handler, opts)
  return (add(self, "app:delete", {"DELETE"}, path, handler, opts, 2))
end

---Answers OPTIONS. Without such a route, OPTIONS is answered with the methods that the path has.
---```lua
---app:options("/users", function() return 204, nil, {["Access-Control-Allow-Origin"] = "*"} end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:options(path, handler, opts)
  return (add(self, "app:options", {"OPTIONS"}, path, handler, opts, 2))
end

---Answers every method that the path has no route of its own for.
---```lua
---app:any("/echo", function(req) return req.method end)
---```
---@param path string the pattern
---@param handler neap.Handler
---@param opts neap.RouteOptions?
---@return neap.Route
function App:any(path, handler, opts)
  return (add(self, "app:any", {"ANY"}, path, handler, opts, 2))
end

---A WebSocket. A function is called for each socket with a coroutine of its own, and leaving it closes the socket; a table
---of functions `open(ws, req)`, `message(ws, message, kind)` and `close(ws, code, reason)` holds none while nothing comes.
---```lua
---app:ws("/room/:id", function(ws, req)
---  local room = neap.topic("room:" .. req.params.id)
---  ws:subscribe(room)
---  for message in ws:messages() do room:publish(message) end
---end)
---app:ws("/feed", {open = function(ws) ws:subscribe("news") end})
---```
---@param path string the pattern
---@param handler (async fun(ws: neap.WebSocket, req: neap.Request))|{open: function?, message: function?, close: function?}
---@param opts neap.WebSocketOptions?
---@return neap.Route
function App:ws(path, handler, opts)
  local answer, spec = require("neap.app.websocket").handler(handler, opts, 2)
  local new = add(self, "app:ws", {"GET"}, path, answer, nil, 2)
  new.ws = spec
  return new
end

---A route as a table.
---@class neap.RouteDefinition: neap.RouteOptions
---@field method (string|string[])? one or several of GET, POST, ...; default GET
---@field path string
---@field handler neap.Handler

---Defines a route by a table, with everything that can be said about it.
---```lua
---app:route{method = {"PUT", "PATCH"}, path = "/files/*name", body_limit = "100MB",
---  handler = function(req) return req.params.name end}
---```
---@param definition neap.RouteDefinition
---@return neap.Route
function App:route(definition)
  if type(definition) ~= "table" then
    error("app:route takes a table: app:route{method=, path=, handler=}", 2)
  end
  local opts = {}
  for key, value in pairs(definition) do
    if key ~= "method" and key ~= "path" and key ~= "handler" then opts[key] = value end
  end
  local methods = route.methods(definition.method, 2)
  return (add(self, "app:route", methods, definition.path, definition.handler, opts, 2))
end

---Puts another app below a prefix, with its routes, middleware and hooks. Its "/" is the prefix itself.
---```lua
---local api = neap.app()
---api:get("/", function() return {version = 1} end)
---app:mount("/api", api)
---```
---@param prefix string "/api"; may have parameters such as "/teams/:team"
---@param subapp neap.App
---@return neap.App self
function App:mount(prefix, subapp)
  prefix = pattern.prefix(prefix, "app:mount", 2)
  if getmetatable(subapp) ~= App then
    error(("app:mount takes an app, not %s; does the file return its app?"):format(text.quote(subapp)), 2)
  end
  local ancestor = self
  while ancestor do
    if ancestor == subapp then error("app:mount: an app cannot be mounted below itself", 2) end
    ancestor = ancestor._parent
  end
  self:_check_hooks("app:mount", 2)
  subapp._parent = subapp._parent or self
  local where = route.place(2)
  self._mounts[#self._mounts + 1] = {prefix = prefix, app = subapp, where = where}
  self._hooks[#self._hooks + 1] = {kind = "mount", app = subapp, where = where}
  return self
end

---Wraps every handler of this app and of what is mounted on it, 404 and 405 included, whether it was defined
---before or after. The first is the outermost. `next(req)` calls what is inside and returns a response object;
---the middleware returns that, or whatever a handler may return. Errors pass through as errors.
---```lua
---app:use(function(req, next)
---  local response = next(req)
---  return response:header("X-Path", req.path)
---end)
---```
---@param path string only for requests below this path; may be left out
---@param fn neap.Middleware
---@overload fun(self: neap.App, fn: neap.Middleware): neap.App
---@return neap.App self
function App:use(path, fn)
  if fn == nil and type(path) == "function" then path, fn = "/", path end
  check_fn(fn, "app:use", 2)
  local prefix = pattern.prefix(path, "app:use", 2)
  self._middleware[#self._middleware + 1] = {prefix = prefix, fn = fn, where = route.place(2)}
  return self
end

---Serves the files of a folder: ranges, ETag, precompressed `.br` and `.gz` siblings; never anything outside the
---folder. Names that start with a dot are hidden. Change a file by writing a new one and renaming it: what is
---on its way to a client comes from the file itself.
---```lua
---app:static("/assets", "assets", {max_age = "1h", name = "asset"})
---assert(app:url("asset", {path = "style.css"}) == "/assets/style.css")
---```
---@param prefix string "/assets"
---@param dir string relative to the file that calls this
---@param opts neap.StaticOptions?
---@return neap.App self
function App:static(prefix, dir, opts)
  prefix = pattern.prefix(prefix, "app:static", 2)
  local handler = files.handler(prefix, folder.resolve(folder.of_caller(2), dir, "app:static", 2), opts, 2)
  local name = opts and opts.name
  add(self, "app:static", {"GET"}, prefix .. "/*path", handler, {name = name}, 2)
  if prefix ~= "" then add(self, "app:static", {"GET"}, prefix, handler, nil, 2) end
  return self
end

---Answers errors. The handler is told a failure {status, message, id, cause, traceback} and returns what a handler
---returns, or nothing to leave the answer to the next: of a mounted app before its parent, for a status before
---those for all, the earlier before the later. The status of the answer is the failure's, unless it returns another.
---```lua
---app:on_error(404, function(req, failure)
---  return neap.res.html("<h1>Nothing here</h1>")
---end)
---```
---@param status integer only for this status; may be left out
---@param fn neap.ErrorHandler
---@overload fun(self: neap.App, fn: neap.ErrorHandler): neap.App
---@return neap.App self
function App:on_error(status, fn)
  if fn == nil and type(status) == "function" then status, fn = nil, status end
  check_fn(fn, "app:on_error", 2)
  if status ~= nil and (math.type(status) ~= "integer" or status < 300 or status > 599) then
    error(("app:on_error: a status is a number from 300 to 599, not %s"):format(text.quote(status)), 2)
  end
  self._on_error[#self._on_error + 1] = {status = status, fn = fn}
  return self
end

---Looks at every response of this app before it leaves, streams and error pages included: the place for headers
---that must not be missing anywhere. Of a mounted app before its parent.
---```lua
---app:on_send(function(req, head) head:header("X-Frame-Options", "DENY") end)
---```
---@param fn async fun(req: neap.Request, head: neap.Response)
---@return neap.App self
function App:on_send(fn)
  self._on_send[#self._on_send + 1] = check_fn(fn, "app:on_send", 2)
  return self
end

---Gives what the next generation needs to know when the code is reloaded: plain data, which it finds in its
---`on_adopt`. Called when the next generation is ready, which serves a moment later, or never, if another worker
---fails: so give a copy, and change nothing. An error, or data that cannot travel, and this generation goes on.
---What only has to be remembered is easier with `neap.keep` and `neap.store`.
---```lua
---app:on_handoff(function() return {hits = app.state.hits} end)
---app:on_adopt(function(data) app.state.hits = data.hits end)
---```
---@param fn async fun(): any
---@return neap.App self
function App:on_handoff(fn)
  self._on_handoff = check_fn(fn, "app:on_handoff", 2)
  return self
end

---Takes what the same app of the generation before gave by `on_handoff`. Not called without one: at the start, or
---when it gave nothing. See `app:on_handoff`.
---```lua
---app:on_adopt(function(data) app.state.hits = data.hits end)
---```
---@param fn async fun(data: any)
---@return neap.App self
function App:on_adopt(fn)
  self._on_adopt = check_fn(fn, "app:on_adopt", 2)
  return self
end

---The address of a named route of this app or of any app it is mounted with; or of a path of this app, which starts with
---"/", wherever the app is mounted. Raises when there is no such route, when a parameter is missing, and when one does not fit.
---```lua
---app:get("/files/*path", function() end):name("file")
---assert(app:url("file", {path = "a b/c"}, {v = 2}) == "/files/a%20b/c?v=2")
---local root = neap.app():mount("/shop", app)
---assert(app:url("/cart/:id", {id = 7}) == "/shop/cart/7")
---```
---@param name string of a route, or the pattern of a path
---@param params table<string, string|number>? percent-encoded; a splat keeps its slashes
---@param query table<string, string|number|boolean|(string|number|boolean)[]>?
---@return string # starts with "/"
function App:url(name, params, query)
  local path = compiler.path_of(self, name)
  if not path then
    local meant = options.suggest(tostring(name), compiler.names(self))
    meant = meant and ('; did you mean "%s"?'):format(meant) or ""
    error(("no route is named %s%s"):format(text.quote(name), meant), 2)
  end
  local filled, err = pattern.fill(path, params or {})
  if not filled then error(("route %s %s: %s"):format(text.quote(name), path, err), 2) end
  return filled .. pattern.query(query)
end

---All routes, mounted ones included, in the order of their definition: what `neap routes` prints.
---```lua
---app:get("/", function() return "hello" end)
---assert(app:list()[1].pattern == "/")
---```
---@return {methods: string[], pattern: string, name: string?, where: string}[]
function App:list()
  return compiler.list(self)
end

---What the core serves: routes with their middleware, and the hooks. Raises when two routes can never be told
---apart or a pattern is malformed; the message names the places. `neap run` calls it.
---```lua
---app:get("/", function() return "hello" end)
---assert(app:compile().router:find("GET", "/") == 1)
---```
---@return table # the argument of core.serve
function App:compile()
  return compiler.compile(self)
end

local app = {}

---An empty application. See `neap.app`.
---@param dir string its folder
---@return neap.App
function app.new(dir)
  return setmetatable({
    state = {}, _dir = dir, _routes = {}, _mounts = {}, _middleware = {}, _on_error = {}, _on_send = {}, _hooks = {},
  }, App)
end

app.methods = App

return app
