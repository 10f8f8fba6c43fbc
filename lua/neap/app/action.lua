-- Actions: functions of a controller that answer requests. An action's parameters, behind the request, are the
-- arguments in its URL; here it becomes a handler that passes them.
local abort = require "neap.app.abort"
local core = require "neap.core"
local res = require "neap.res"
local text = require "neap.text"
local transport = require "neap.app.transport"
local websocket = require "neap.app.websocket"

local action = {}

---An action of a controller.
---@class neap.Action
---@field name string
---@field verb string? of action.VERBS; nil: a bare function
---@field methods string[] "GET", ...
---@field names string[] of its URL arguments
---@field takes_more boolean it ends with "..."
---@field where string its definition, "apps/shop/controllers/cart.lua:12"
---@field line integer of it
---@field make fun(names: string[]): neap.Handler, table? the handler for URLs that have these arguments, and what app:ws would tell the core

---The name of the route parameter that holds the arguments beyond the named ones.
action.REST = "more"

-- The names of the parameters behind the first `skipped`, and whether there may be more. "_" and the like, which may
-- come twice, get numbers.
local function parameters(fn, skipped)
  local info, names, taken = debug.getinfo(fn, "u"), {}, {[action.REST] = true}
  for i = skipped + 1, info.nparams do
    local name = debug.getlocal(fn, i)
    if taken[name] then name = "arg" .. i - skipped end
    taken[name], names[#names + 1] = true, name
  end
  return names, info.isvararg
end

local function not_found()
  abort.raise(404, nil, nil, 1)
end

-- A slash that was encoded parts nothing: it is neither a separator nor, decoded, something that a path can have.
local function check_path(req)
  if req.raw_path:find("%%2[fF]") then not_found() end
end

-- An argument is a segment of the path; as with files, it is not empty, does not start with a dot and has no backslash.
local function check_argument(value)
  if value == "" or value:byte() == 46 or value:find("\\", 1, true) then not_found() end
  return value
end

-- The arguments in a request's URL.
local function arguments(req, names)
  local values = {}
  for i, name in ipairs(names) do
    local value = req.params[name]
    if name ~= action.REST then
      values[i] = check_argument(value)
    else
      for segment in (value .. "/"):gmatch("([^/]*)/") do values[#values + 1] = check_argument(segment) end
    end
  end
  return table.unpack(values)
end

-- Each kind of action gives the function whose parameters count, how many of them come before those of the URL, and
-- what makes a handler.

local function plain(fn)
  return fn, 1, function(names)
    return function(req)
      check_path(req)
      return fn(req, arguments(req, names))
    end
  end
end

local function event_stream(fn)
  return fn, 2, function(names)
    return function(req)
      check_path(req)
      local values = table.pack(arguments(req, names))
      return res.sse(function(ev) fn(ev, req, table.unpack(values, 1, values.n)) end)
    end
  end
end

-- A WebSocket is a function, or a table of the callbacks open, message and close and of options.
local function split_socket(given)
  if type(given) == "function" then return given, {} end
  local callbacks, opts = {}, {}
  for name, value in pairs(given) do
    local is_callback = name == "open" or name == "message" or name == "close"
    local into = is_callback and callbacks or opts
    into[name] = value
  end
  return callbacks, opts
end

local function socket(given)
  local handler, opts = split_socket(given)
  local first = type(handler) == "table" and handler.open or handler
  if type(first) ~= "function" then first = function(_, _) end end
  return first, 2, function(names)
    local function pass(ws, req) return first(ws, req, arguments(req, names)) end
    local inner = pass
    if type(handler) == "table" then inner = {open = pass, message = handler.message, close = handler.close} end
    local answer, spec = websocket.handler(inner, opts, 2)
    return function(req)
      check_path(req)
      arguments(req, names) -- refused before there is a socket
      return answer(req)
    end, spec
  end
end

---What may stand before an action's name: `function post.save(req)`.
---@type table<string, {methods: string[], kind: function}>
action.VERBS = {
  post = {methods = {"POST"}, kind = plain}, put = {methods = {"PUT"}, kind = plain},
  patch = {methods = {"PATCH"}, kind = plain}, delete = {methods = {"DELETE"}, kind = plain},
  any = {methods = {"ANY"}, kind = plain}, ws = {methods = {"GET"}, kind = socket},
  sse = {methods = {"GET"}, kind = event_stream},
}

local BARE = {methods = {"GET"}, kind = plain}

-- A function that shows where the action is defined: itself, or one of a table's.
local function function_of(given)
  if type(given) == "function" then return given end
  return given.open or given.message or given.close
end

---The action that a controller defines; raises for what is none.
---@param name string
---@param verb string? of action.VERBS; nil: a bare function
---@param given function|table
---@param path string of the controller, for messages
---@return neap.Action
function action.new(name, verb, given, path)
  local rule = verb and action.VERBS[verb] or BARE
  local fn = (rule.kind == socket and type(given) == "table" or type(given) == "function") and function_of(given)
  if type(fn) ~= "function" then
    error(("%s: %s.%s is a function, not %s"):format(path, verb, name, text.quote(given)), 0)
  end
  local counted, skipped, make = rule.kind(given)
  local names, takes_more = parameters(counted, skipped)
  local info = debug.getinfo(fn, "S")
  return {
    name = name, verb = verb, methods = rule.methods, names = names, takes_more = takes_more, make = make,
    line = info.linedefined, where = ("%s:%d"):format(info.source:match("^@(.+)") or info.short_src, info.linedefined),
  }
end

-- Which of an address's ways a request goes; by default that of the page.
local function way_of(req, ways)
  local how = transport.of(req)
  return how == "websocket" and ways.ws or how == "sse" and ways.sse or ways.page or ways.sse or ways.ws
end

---One action of several with one name that answer GET: a page, its `ws.` and its `sse.` share an address, and a request's
---headers say which is meant. Raises when they take different arguments.
---@param list neap.Action[]
---@return neap.Action
function action.join(list)
  local joined, places = setmetatable({}, {__index = list[1]}), {}
  for i, one in ipairs(list) do
    places[i] = one.where
    if #one.names ~= #joined.names or one.takes_more ~= joined.takes_more then
      error(("%s and %s share an address, so they take the same arguments"):format(places[1], one.where), 0)
    end
  end
  joined.where = table.concat(places, ",")
  function joined.make(names)
    local ways, spec = {}, nil
    for _, one in ipairs(list) do
      local handler, of_one = one.make(names)
      ways[one.verb or "page"], spec = handler, spec or of_one
    end
    return function(req) return way_of(req, ways)(req) end, spec
  end
  return joined
end

---Whether a result of an action is data for its view, not an answer as it is.
---@param value any
---@return boolean
function action.is_data(value)
  return type(value) == "table" and getmetatable(value) ~= core.response
end

return action
