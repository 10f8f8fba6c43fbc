-- Makes response objects: what a handler returns when a plain string, table or status is not enough.
local abort = require "neap.app.abort"
local core = require "neap.core"
local header = require "neap.app.header"
local mime = require "neap.app.mime"
local options = require "neap.base.options"
local text = require "neap.text"
require "neap.app.response"

---Makes responses. Every function returns a `neap.Response`, whose methods set headers and cookies.
---@class neap.res
local res = {}

local metatable = core.response

local function new(status, headers, body)
  return setmetatable({status = status, headers = headers, body = body}, metatable)
end

local function check_status(status, level)
  if math.type(status) ~= "integer" or status < 200 or status > 599 then
    error(("a status is a whole number from 200 to 599, not %s"):format(text.quote(status)), level + 1)
  end
  return status
end

local function check_string(what, value, level)
  if type(value) ~= "string" then
    error(("%s takes a string, not a %s"):format(what, type(value)), level + 1)
  end
  return value
end

-- For callers that are no tail calls, so that errors show the line of the handler.
local function with_body(what, media_type, body, status)
  check_string(what, body, 3)
  return new(check_status(status or 200, 3), {["content-type"] = media_type}, body)
end

---Plain text in UTF-8.
---```lua
---app:get("/", function() return neap.res.text("hello", 200) end)
---```
---@param body string
---@param status integer? default 200
---@return neap.Response
function res.text(body, status)
  return (with_body("res.text", "text/plain; charset=utf-8", body, status))
end

---An HTML page in UTF-8. What came from a user has to be escaped by whoever makes the page.
---```lua
---app:get("/", function() return neap.res.html("<!doctype html><title>Hi</title><h1>Hi</h1>") end)
---```
---@param body string
---@param status integer? default 200
---@return neap.Response
function res.html(body, status)
  return (with_body("res.html", "text/html; charset=utf-8", body, status))
end

---A value as JSON. Raises when it has something that JSON cannot hold, such as a function or a cycle.
---```lua
---app:get("/", function() return neap.res.json({ok = true}, 201) end)
---```
---@param value any a table, string, number, boolean or `neap.json.null`
---@param status integer? default 200
---@return neap.Response
function res.json(value, status)
  local ok, body, err = pcall(core.json.encode, value)
  if not ok or not body then error("res.json: " .. text.safe(ok and err or body), 2) end
  return new(check_status(status or 200, 2), {["content-type"] = "application/json"}, body)
end

---Bytes of any kind.
---```lua
---app:get("/pixel", function() return neap.res.bytes("GIF89a", "image/gif") end)
---```
---@param data string
---@param media_type string? default "application/octet-stream"
---@param status integer? default 200
---@return neap.Response
function res.bytes(data, media_type, status)
  local full = header.value("Content-Type", media_type or "application/octet-stream", 2)
  return (with_body("res.bytes", mime.of_name(full) or full, data, status))
end

---No body.
---```lua
---app:delete("/cache", function() return neap.res.empty():header("X-Cleared", "yes") end)
---```
---@param status integer? default 204
---@return neap.Response
function res.empty(status)
  return new(check_status(status or 204, 2), {})
end

local function percent(c)
  return ("%%%02X"):format(c:byte())
end

---Sends the client elsewhere. Raises on control characters and on `javascript:` and `data:` addresses; spaces
---and other bytes that a URL cannot hold are percent-encoded. An address that a user chose may lead to another
---site: check it first.
---```lua
---app:post("/login", function() return neap.res.redirect("/welcome", 303) end)
---```
---@param url string absolute, or relative to this page
---@param status integer? 301, 302 (default), 303, 307 or 308
---@return neap.Response
function res.redirect(url, status)
  check_string("res.redirect", url, 2)
  header.value("Location", url, 2)
  status = status or 302
  if not (status == 301 or status == 302 or status == 303 or status == 307 or status == 308) then
    error(("res.redirect: %s is not a redirect; use 301, 302, 303, 307 or 308"):format(text.quote(status)), 2)
  end
  local scheme = url:match("^%s*(%a[%w+.-]*):")
  scheme = scheme and scheme:lower()
  if url == "" or scheme == "javascript" or scheme == "data" or scheme == "vbscript" then
    error(("res.redirect: %s is not an address to go to"):format(text.quote(url)), 2)
  end
  return new(status, {location = (url:gsub("[^%w!#$%%&'()*+,%-./:;=?@%[%]_~]", percent))})
end

---What a file response can say.
---@class neap.FileOptions
---@field root string? the folder that the path is beneath and may not leave: give it when a client chose the path
---@field type string? media type; default: by the extension
---@field download (boolean|string)? offer to save it, under this name or its own
---@field cache (number|string)? as `response:cache`
---@field etag boolean? default true: made from size and time of change
---@field precompressed boolean? send a `.br` or `.gz` file that lies beside it, if the client takes it
---@field types table<string, string>? extension -> media type, for files that are unusual
---@field status integer? default 200

local FILE_OPTIONS = {
  root = "string", type = "string", download = "boolean|string", cache = "number|string", etag = "boolean",
  precompressed = "boolean", types = "table", status = "number",
}

-- attachment; filename="plain"; filename*=UTF-8''encoded
local function disposition(name)
  local plain = name:gsub('[^%w._ -]', "_")
  local value = 'attachment; filename="' .. plain .. '"'
  if plain == name then return value end
  return value .. "; filename*=UTF-8''" .. name:gsub("[^%w._~-]", percent)
end

---A file, sent by the system without passing through Lua: ranges, ETag and Last-Modified included; 404 when it is
---not there.
---```lua
---app:get("/report", function() return neap.res.file("report.pdf", {download = true}) end)
---```
---@param path string relative to the current folder, or to opts.root
---@param opts neap.FileOptions?
---@return neap.Response
function res.file(path, opts)
  check_string("res.file", path, 2)
  if path == "" or path:find("\0", 1, true) then error("res.file: the path is empty or has a NUL byte", 2) end
  opts = options.check(opts, FILE_OPTIONS, "res.file", 2)
  local response = new(check_status(opts.status or 200, 2), {})
  response.file, response.root = path, opts.root
  response.precompressed, response.etag_off = opts.precompressed, opts.etag == false or nil
  response.headers["content-type"] = header.value("Content-Type",
    opts.type and mime.of_name(opts.type) or opts.type or mime.of_path(path, opts.types), 2)
  if opts.download then
    local name = opts.download == true and path:match("[^/]+$") or opts.download
    response.headers["content-disposition"] = disposition(name)
  end
  if opts.cache then response:cache(opts.cache) end
  return response
end

---How a stream begins.
---@class neap.StreamOptions
---@field type string? media type; default "application/octet-stream"
---@field headers table<string, string>? more headers
---@field status integer? default 200

local STREAM_OPTIONS = {type = "string", headers = "table", status = "number"}

---An answer that is written piece by piece, at the speed of the client: `out:write` parks while too much waits.
---An error in the function cuts the connection, so that the client sees that something is missing.
---```lua
---app:get("/count", function()
---  return neap.res.stream(function(out)
---    for i = 1, 3 do assert(out:write(i, "\n")) end
---  end, {type = "text/plain"})
---end)
---```
---@param fn async fun(out: neap.Out) returning ends the answer
---@param opts neap.StreamOptions?
---@return neap.Response
function res.stream(fn, opts)
  if type(fn) ~= "function" then error(("res.stream takes a function, not a %s"):format(type(fn)), 2) end
  opts = options.check(opts, STREAM_OPTIONS, "res.stream", 2)
  local response = new(check_status(opts.status or 200, 2), {})
  response.stream = fn
  for name, value in pairs(opts.headers or {}) do
    response.headers[header.name(name, 2)] = header.value(name, value, 2)
  end
  local media_type = opts.type or response.headers["content-type"] or "application/octet-stream"
  response.headers["content-type"] = header.value("Content-Type", mime.of_name(media_type) or media_type, 2)
  return response
end

---Server-sent events written by hand. The function gets a writer of events; returning ends the stream.
---```lua
---local task = neap.task
---app:get("/clock", function()
---  return neap.res.sse(function(ev)
---    while ev:send(os.date("%X")) do task.sleep(1) end
---  end)
---end)
---```
---@param fn async fun(ev: neap.Events)
---@param opts neap.StreamOptions?
---@return neap.Response
function res.sse(fn, opts)
  if type(fn) ~= "function" then error(("res.sse takes a function, not a %s"):format(type(fn)), 2) end
  local response = res.stream(function(out, req) return fn(require("neap.app.sse").new(out, req)) end, opts)
  response.headers["content-type"] = "text/event-stream"
  response.headers["cache-control"] = response.headers["cache-control"] or "no-cache"
  response.headers["x-accel-buffering"] = "no" -- else nginx keeps events until its buffer is full
  return response
end

local NO_OPTIONS = {}
local POLL_OPTIONS = {after = "string", timeout = "duration", limit = "number"}

---A long-poll: the core holds the request until there are messages behind the client's cursor, and answers with
---`{"cursor": ..., "items": [...]}`; 204 when the time is over, 410 when the topic is closed. The cursor is what the
---client sends as Last-Event-ID, or `after`, or what it sends as ?after= or If-None-Match; without one, only what comes
---from now on.
---```lua
---app:get("/news", function(req) return neap.res.poll("news", {timeout = "20s"}) end)
---```
---@param topics string|neap.Topic|(string|neap.Topic)[]
---@param opts {after: string?, timeout: number|string?, limit: integer?}? timeout: seconds or "25s" (default 25 s, less up to a tenth); limit: messages in one answer (default and most: 64)
---@return neap.Response
function res.poll(topics, opts)
  opts = opts or NO_OPTIONS
  for name, value in pairs(opts) do
    if name ~= "after" or type(value) ~= "string" then -- the usual one needs no look: this is a hot path
      opts = options.check(opts, POLL_OPTIONS, "res.poll", 2)
      break
    end
  end
  return setmetatable({
    status = 200, headers = {}, poll = topics, after = opts.after, timeout = opts.timeout, limit = opts.limit,
  }, metatable)
end

local EVENTS_OPTIONS = {after = "string", retry = "duration"}

---Messages of topics as server-sent events, written by the core: no coroutine for each client. A browser's EventSource
---resumes by itself, because each event's id is its cursor.
---```lua
---app:get("/events", function() return neap.res.events{"news", "weather"} end)
---```
---@param topics string|neap.Topic|(string|neap.Topic)[]
---@param opts {after: string?, retry: number|string?}? retry: how long the client waits before it comes back, seconds or "3s"
---@return neap.Response
function res.events(topics, opts)
  opts = options.check(opts, EVENTS_OPTIONS, "res.events", 2)
  local response = new(200, {["content-type"] = "text/event-stream", ["cache-control"] = "no-cache"})
  response.events, response.after, response.retry = topics, opts.after, opts.retry
  return response
end

local function add_headers(response, headers, level)
  if type(headers) ~= "table" then
    error(("the third result of a handler is a table of headers, not a %s"):format(type(headers)), level + 1)
  end
  for name, value in pairs(headers) do
    local lower = header.name(name, level + 1)
    if type(value) == "table" then
      for _, one in ipairs(value) do header.value(name, one, level + 1) end
      response.headers[lower] = value
    else
      response.headers[lower] = header.value(name, value, level + 1)
    end
  end
end

-- status, body, headers -> response
local function from_status(status, body, headers)
  check_status(status, 3)
  local response
  if body == nil then
    response = new(status, {})
  elseif type(body) == "string" then
    response = new(status, {["content-type"] = "text/plain; charset=utf-8"}, body)
  elseif type(body) == "table" then
    response = getmetatable(body) == metatable and body or res.json(body)
    response.status = status
  else
    error(("a handler's body is a string or a table, not a %s"):format(type(body)), 3)
  end
  if headers ~= nil then add_headers(response, headers, 3) end
  return response
end

---The response object for whatever a handler may return: text, a table (JSON), `status, body, headers`, a
---response, nothing (204). `nil, err` is raised, for the error path to answer.
---```lua
---assert(neap.res.from(404, "no such user").status == 404)
---```
---@param result any what the handler returned
---@param second any body of a status, or the error
---@param headers table<string, string|string[]>?
---@return neap.Response
function res.from(result, second, headers)
  local kind = type(result)
  if kind == "table" then
    if getmetatable(result) == metatable then return result end
    return res.json(result)
  elseif kind == "string" then
    return new(200, {["content-type"] = "text/plain; charset=utf-8"}, result)
  elseif kind == "number" then
    return from_status(result, second, headers)
  elseif result == nil then
    if second == nil then return new(204, {}) end
    abort.raise_returned(second)
  end
  error(("a handler returned a %s; it can return text, a table, a status, a response or nil, err"):format(kind), 0)
end

return res
