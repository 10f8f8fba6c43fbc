-- WebSockets: what app:ws takes, and the methods of a socket that need no C.
local abort = require "neap.app.abort"
local core = require "neap.core"
local options = require "neap.base.options"
local visits = require "neap.app.visits"

local POLICY, REASON_MAX = 1008, 123 -- a close code, and how many bytes may explain it
local TRY_AGAIN = 1013

---A WebSocket, as its handler has it. Messages come one at a time, in order.
---@class neap.WebSocket
---@field data table the application's own data of this socket
---@field id integer
---@field handoff any what the generation before gave by `ws:on_handoff`; nil: this socket is new
---@field recv async fun(self: neap.WebSocket, timeout: number|string?): string?, string, integer?, string? a message and "text" or "binary"; nil, "timeout"; nil, "closed", code, reason; nil, "reload" after ws:on_handoff, when another generation serves
---@field send async fun(self: neap.WebSocket, data: string, kind: "text"|"binary"|nil): true?, string? parks while much is unsent; nil, "closed"
---@field try_send fun(self: neap.WebSocket, data: string, kind: "text"|"binary"|nil): boolean?, string? false when much is unsent; never parks
---@field unsubscribe fun(self: neap.WebSocket, topic: string|neap.Topic): boolean whether it was subscribed
---@field close fun(self: neap.WebSocket, code: integer?, reason: string?) default 1000
---@field on_handoff fun(self: neap.WebSocket, fn: async fun(): any) for handlers with a coroutine: when a reload comes, receiving ends; when the handler has returned, fn gives the plain data that the new handler finds in `ws.handoff`, with the same socket
local WebSocket = core.websocket_methods

---Iterates over messages until the socket closes: message, "text" or "binary".
---```lua
---app:ws("/echo", function(ws)
---  for message, kind in ws:messages() do ws:send(message, kind) end
---end)
---```
---@async
---@return fun(): string?, string?
function WebSocket:messages()
  return function()
    local message, kind = self:recv()
    if message then return message, kind end
  end
end

local core_subscribe = WebSocket.subscribe

-- Asks those who watch the topics first.
local function visit(ws, topics, opts, req)
  local list <close>, why = visits.begin("websocket", topics, req, ws)
  if why then return nil, why end
  return core_subscribe(ws, topics, opts, list)
end

---The core sends what is published.
---```lua
---app:ws("/prices", function(ws)
---  assert(ws:subscribe("prices", {slow = "latest"}))
---  ws:recv()
---end)
---```
---@async
---@param topics string|neap.Topic|(string|neap.Topic)[]
---@param opts {after: string?, slow: "gap"|"latest"|"close"|nil, envelope: boolean?}? after: a cursor; slow: what becomes of a client that falls behind (default: "close", with envelope "gap"); envelope: as {"cursor","topic","data"}, so that a client can resume
---@return true? ok nil, "closed", "full" (see neap.topic); nil and why: see topic:on
---@return string? err
function WebSocket:subscribe(topics, opts)
  if visits.are_watched() then return visit(self, topics, opts) end
  return core_subscribe(self, topics, opts)
end

---How a WebSocket route behaves.
---@class neap.WebSocketOptions
---@field origins "same"|"*"|string[]|nil pages that may connect: our own (default), all, or a list like {"https://example.org"}
---@field max_message (integer|string)? bytes or "1MB" (default), also when inflated
---@field ping (number|string)? seconds or "25s" (default) of silence before a ping; 0: none
---@field compress boolean? permessage-deflate when the client offers it; default true
---@field protocols string[]? subprotocols, best first

local websocket = {}

local OPTIONS = {
  origins = "string|table", max_message = "size", ping = "duration", compress = "boolean", protocols = "table",
}

---Makes the handler of a route.
---@param handler function|{open: function?, message: function?, close: function?}
---@param opts neap.WebSocketOptions?
---@param level integer of the caller, for errors
---@return neap.Handler
---@return table spec for the core: callbacks and options
function websocket.handler(handler, opts, level)
  local spec = options.check(opts, OPTIONS, "app:ws", level + 1)
  if type(handler) == "function" then
    spec.handler = handler
  elseif type(handler) == "table" then
    for name, fn in pairs(handler) do
      if name ~= "open" and name ~= "message" and name ~= "close" or type(fn) ~= "function" then
        error("app:ws takes a function, or a table of the functions open, message and close", level + 1)
      end
      spec[name] = fn
    end
  else
    error(("app:ws takes a function or a table of functions, not a %s"):format(type(handler)), level + 1)
  end
  return function() return setmetatable({status = 200, headers = {}, ws = spec}, core.response) end, spec
end

---The response that feeds topics to a WebSocket in envelopes: what topic:serve returns for one.
---@param topics string|neap.Topic|(string|neap.Topic)[]
---@param opts {after: string?}?
---@param req neap.Request
---@return neap.Response
function websocket.feed(topics, opts, req)
  local after = opts and opts.after or req.query.after or req.headers["last-event-id"]
  if after == "" then after = nil end
  if after and not core.is_cursor(after) then
    abort.raise(400, "this cursor was not issued by this server", nil, 2)
  end
  local function open(ws, its_req)
    local _, why = visit(ws, topics, {envelope = true, after = after}, its_req)
    if why then ws:close(why == "full" and TRY_AGAIN or POLICY, why:sub(1, REASON_MAX)) end
  end
  return setmetatable({status = 200, headers = {}, ws = {open = open, feed = true}}, core.response)
end

return websocket
