-- The Lua half of requests: getters (computed when first used, then kept) and methods, added to what the core
-- provides. Everything is lazy: a request that asks for nothing costs nothing.
local abort = require "neap.app.abort"
local config = require "neap.config"
local cookie = require "neap.cookie"
local core = require "neap.core"
local ipaddr = require "neap.net.ipaddr"
local negotiation = require "neap.app.negotiation"
local proxies = require "neap.app.proxies"

---Why a body did not come whole.
---@alias neap.BodyError "too_large"|"aborted"|"timeout"|"invalid"|"overloaded"

---What a handler is given. Middleware may add fields of its own (`req.user = ...`). After the answer has left,
---the request is over: keep what you need in locals.
---@class neap.Request
---@field method string "GET", "POST", ...
---@field path string percent-decoded, without the query
---@field raw_path string as it was sent
---@field raw_query string as it was sent, without the "?"; "" when there is none
---@field params table<string, string> what the route's pattern matched
---@field query table<string, string> name -> first value of the query string; see `query_all`
---@field headers neap.Headers by name in any case; the first value of each
---@field trailers table<string, string> what followed a chunked body, by lower-case name
---@field authority string the host and port that the client asked for, as sent
---@field peer_ip string? the address at the other end of the connection; nil on a unix socket
---@field peer_port integer? its port
---@field port integer? the server's port
---@field id string for logs: unique in this worker
---@field route string? the name or pattern of the route; nil when none took the request
---@field allow string? the methods that the path has, when the route is nil: "GET, HEAD, OPTIONS"
---@field state table plain table for middleware and handlers of this request
---@field version "1.0"|"1.1" of HTTP
---@field cookies table<string, string> name -> value
---@field host string? host and port as the client sees them: of a trusted proxy's header, or of the request
---@field scheme "http"|"https" as the client sees it
---@field session table? plain table of this visitor, with `neap.session`
---@field ip string? the client's address; behind trusted proxies, the one they saw
local Request = core.request.methods

local getters = core.request.getters

local function max_fields()
  return config.limits and config.limits.fields or 1000
end

-- ---- getters: called once per request ----

function getters.cookies(req)
  return cookie.parse(table.concat(req.headers:all("cookie"), ";"))
end

local function parse_query(req, only_firsts)
  local values, lists = core.parse_query(req.raw_query, max_fields(), only_firsts)
  if not values then abort.raise(400, "the query has too many fields", nil, 2) end
  return values, lists
end

function getters.query(req)
  return (parse_query(req, true)) -- most requests never ask for the lists
end

function getters.query_lists(req)
  return (select(2, parse_query(req)))
end

local is_trusted -- made when first needed: most apps never ask

function getters.forwarded(req)
  is_trusted = is_trusted or ipaddr.matcher(config.trusted_proxies or {}, "trusted_proxies")
  return proxies.client(req.peer_ip, req.headers, is_trusted)
end

function getters.ip(req)
  return req.forwarded.ip or req.peer_ip
end

function getters.scheme(req)
  return req.forwarded.scheme or "http"
end

function getters.host(req)
  local authority = req.authority
  return req.forwarded.host or authority ~= "" and authority or nil
end

-- ---- methods ----

---All values of a name in the query string: `?tag=a&tag=b` has two of `tag`.
---```lua
---app:get("/search", function(req) return {tags = req:query_all("tag")} end)
---```
---@param name string
---@return string[] # empty when there is none
function Request:query_all(name)
  return self.query_lists[name] or {}
end

---The value of a signed cookie, if its signature is ours. Raises when `secrets` are missing in the configuration.
---```lua
---app:get("/me", function(req)
---  local user = req:signed_cookie("user")
---  if not user then neap.abort(401) end
---  return "hello " .. user
---end)
---```
---@param name string
---@return string? value nil when there is no such cookie
---@return "invalid"? err it was changed, or signed with a key that is no longer known
function Request:signed_cookie(name)
  local signed = self.cookies[name]
  if not signed then return nil end
  return cookie.verify(name, signed, config.secrets, 2)
end

---The type that the client likes best, of those on offer.
---```lua
---app:get("/", function(req)
---  if req:accepts("html", "json") == "json" then return {hello = "world"} end
---  return neap.res.html("<h1>hello world</h1>")
---end)
---```
---@param ... string short names ("html", "json", "text") or media types, the preferred first
---@return string? # one of them as given; nil when the client wants none
function Request:accepts(...)
  return negotiation.best(table.concat(self.headers:all("accept"), ","), {...})
end

---The body as JSON.
---```lua
---app:post("/users", function(req)
---  local user, err = req:json("64KB")
---  if not user then return nil, {status = err == "too_large" and 413 or 400, message = err} end
---  return 201, user
---end)
---```
---@param limit (integer|string)? bytes or "64KB"; default: the route's body_limit
---@return any value nil when it failed; a JSON null is `neap.json.null`
---@return neap.BodyError? err
---@return string? detail what is wrong with invalid JSON, and where
---@async
function Request:json(limit)
  local body, err = self:body(limit)
  if not body then return nil, err end
  local value, detail = core.json.decode(body)
  if value == nil then return nil, "invalid", detail end
  return value
end

local function media_type(req)
  local value = req.headers["content-type"] or ""
  return (value:match("^%s*([^;%s]*)") or ""):lower()
end

-- Reads the fields of a multipart body into `lists`. True, or nil and a reason: files are for req:multipart.
local function read_parts(req, lists)
  for part in req:multipart({max_parts = max_fields()}) do
    local is_file = part.filename ~= nil
    if is_file and part.filename ~= "" then return nil, "a file was sent: read this form by req:multipart()" end
    local content, err = part:body()
    if not content then return nil, err end
    local list = lists[part.name] or {}
    lists[part.name] = list
    if not is_file then list[#list + 1] = content end -- an <input type=file> left empty has no name
  end
  return true
end

local FAULTS = {[408] = "timeout", [413] = "too_large"}

local function multipart_fields(req)
  local lists, values = {}, {}
  local ok, done, reason = pcall(read_parts, req, lists)
  if not ok and (type(done) ~= "table" or not done.status) then error(done, 0) end
  if not ok then return nil, FAULTS[done.status] or "invalid", done.message end
  if not done then return nil, reason == "too_large" and reason or "invalid", reason end
  for name, list in pairs(lists) do values[name] = list[1] end
  return values, lists
end

---The fields of a submitted form, urlencoded or multipart (without files: those are for `req:multipart`).
---```lua
---app:post("/login", function(req)
---  local form = assert(req:form())
---  return "welcome " .. (form.name or "stranger")
---end)
---```
---@return table<string, string>? fields name -> first value
---@return table<string, string[]>|neap.BodyError # name -> all values, or the error
---@return string? detail
---@async
function Request:form()
  local kind = media_type(self)
  if kind == "multipart/form-data" then return multipart_fields(self) end
  if kind ~= "application/x-www-form-urlencoded" then return nil, "invalid", "the content type is no form's" end
  local body, err = self:body()
  if not body then return nil, err end
  local values, lists = core.parse_query(body, max_fields())
  if not values then return nil, "too_large", lists end
  return values, lists
end

local STATUS = {too_large = 413, timeout = 408, aborted = 400, invalid = 400}

---The body piece by piece, at the speed at which the loop takes them. Raises an error with a status when the body
---does not come whole, so that a loop that ends has seen everything; `req:read_chunk` returns the error instead.
---```lua
---app:put("/count", function(req)
---  local bytes = 0
---  for chunk in req:chunks() do bytes = bytes + #chunk end
---  return {bytes = bytes}
---end)
---```
---@param n integer? at most that many bytes each; default 65536
---@return async fun(): string?
function Request:chunks(n)
  return function()
    local chunk, err = self:read_chunk(n)
    if err then abort.raise(STATUS[err] or 400, "the body is " .. err:gsub("_", " "), nil, 2) end
    return chunk
  end
end

---The parts of a multipart body, one after the other: fields and files.
---```lua
---app:post("/upload", function(req)
---  local names = {}
---  for part in req:multipart() do names[#names + 1] = part.filename or part.name end
---  return names
---end)
---```
---@param opts table? see multipart.lua
---@return async fun(): neap.Part?
---@async
function Request:multipart(opts)
  return require("neap.app.multipart").parts(self, opts)
end

return Request
