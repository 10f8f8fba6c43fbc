-- Routes as an app remembers them: checked when they are defined, with the place of their definition.
local options = require "neap.base.options"
local text = require "neap.text"

---A route, as `app:get` and its siblings return it.
---@class neap.Route
---@field methods string[] "GET", ..., "ANY"
---@field path string the pattern, as it was given
---@field handler neap.Handler
---@field opts neap.RouteOptions checked: durations in seconds, sizes in bytes
---@field where string its definition, "app.lua:12"
---@field route_name string?
local Route = {__name = "neap.Route"}
Route.__index = Route

---What may differ from route to route.
---@class neap.RouteOptions
---@field name string? for `app:url`
---@field timeout (number|string)? seconds or "5s" until the handler is cancelled and 503 is answered
---@field on_disconnect ("cancel"|"continue")? when the client leaves, or sends a broken body that nobody reads; default: cancel GET and HEAD, continue others
---@field body_limit (integer|string)? bytes or "10MB" of the request body; default `limits.body`

local ROUTE_OPTIONS = {name = "string", timeout = "duration", on_disconnect = "string", body_limit = "size"}
local METHODS = {GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true, OPTIONS = true,
  ANY = true}

local route = {}

---"apps/hello/app.lua:12": where the function `level` levels above the caller was called.
---@param level integer as in `error`, counted from the caller of this function
---@return string
function route.place(level)
  local info = debug.getinfo(level + 1, "Sl")
  return info and ("%s:%d"):format(info.source:match("^@(.+)") or info.short_src, info.currentline) or "?"
end

local function check_name(name, level)
  if type(name) ~= "string" or name == "" or name:sub(1, 1) == "/" then
    error(('the name of a route is a string that does not start with "/", not %s'):format(text.quote(name)), level + 1)
  end
  return name
end

---The methods of a definition as a list. Raises at `level` for what is none.
---@param method string|string[]|nil nil is GET
---@param level integer as in `error`, counted from the caller of this function
---@return string[]
function route.methods(method, level)
  local methods = type(method) == "table" and method or {method}
  for _, one in ipairs(methods) do
    if not METHODS[one] then
      error(("app:route: %s is not a method; use GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD or ANY")
        :format(text.quote(one)), level + 1)
    end
  end
  return #methods > 0 and methods or {"GET"}
end

local function check_options(opts, what, level)
  local checked = options.check(opts, ROUTE_OPTIONS, what, level + 1)
  local choice = checked.on_disconnect
  if choice ~= nil and choice ~= "cancel" and choice ~= "continue" then
    error(('%s: on_disconnect is "cancel" or "continue", not %s'):format(what, text.quote(choice)), level + 1)
  end
  if checked.name ~= nil then check_name(checked.name, level + 1) end
  return checked
end

---A route. Raises at `level` when something is wrong with it.
---@param what string the function that defines it, for messages
---@param given {methods: string[], path: string, handler: neap.Handler, opts: neap.RouteOptions?, where: string?}
---@param level integer as in `error`, counted from the caller of this function
---@return neap.Route
function route.new(what, given, level)
  local path, handler = given.path, given.handler
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    error(('%s: a path starts with "/", not %s'):format(what, text.quote(path)), level + 1)
  end
  if type(handler) ~= "function" then
    error(("%s takes a function, not %s"):format(what, text.quote(handler)), level + 1)
  end
  local opts = check_options(given.opts, what, level + 1)
  return setmetatable({
    methods = given.methods, path = path, handler = handler, opts = opts,
    where = given.where or route.place(level + 1), route_name = opts.name,
  }, Route)
end

---Names the route, so that `app:url` can build its address.
---```lua
---app:get("/users/:id", function(req) return req.params.id end):name("user")
---assert(app:url("user", {id = 7}) == "/users/7")
---```
---@param name string
---@return neap.Route self
function Route:name(name)
  self.route_name = check_name(name, 2)
  return self
end

return route
