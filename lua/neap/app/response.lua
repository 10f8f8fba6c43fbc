-- The methods of response objects. A response is a plain table {status, headers, body | stream | file} with the
-- core's metatable; header names are kept in lower case. `neap.res` makes them.
local core = require "neap.core"
local config = require "neap.config"
local cookie = require "neap.cookie"
local header = require "neap.app.header"
local mime = require "neap.app.mime"
local options = require "neap.base.options"
local text = require "neap.text"
local units = require "neap.base.units"

---What a handler answers: made by `neap.res`, returned by `next` in middleware, shown to `app:on_send`.
---@class neap.Response
---@field status integer the HTTP status
---@field headers table<string, string|string[]> by lower-case name; use `:header` to set one, it checks
---@field body string? the whole body
---@field stream (async fun(out: neap.Out))? writes the body piece by piece
---@field file string? path of the file that is the body
---@field root string? the folder that `file` may not leave
local Response = {}

---How a cookie is set. The defaults are the safe ones.
---@class neap.CookieOptions
---@field path string? default "/"
---@field domain string? default: this host only
---@field max_age (number|string)? seconds or "30d"; default: until the browser is closed
---@field expires number? seconds since 1970, for clients that know no max_age
---@field secure boolean? only over https; default false
---@field http_only boolean? hidden from scripts of the page; default true
---@field same_site ("Lax"|"Strict"|"None")? default "Lax"
---@field signed boolean? sign the value with `config.secrets`; read it by `req:signed_cookie`
---@field partitioned boolean? a jar per top-level site (CHIPS)

local COOKIE_OPTIONS = {
  path = "string", domain = "string", max_age = "duration", expires = "number", secure = "boolean",
  http_only = "boolean", same_site = "string", signed = "boolean", partitioned = "boolean",
}

---Sets a header; nil removes it, a list sends it several times. Raises on a control character in the value, on
---a name that is none, and on the headers that neap sets itself (Content-Length, Transfer-Encoding, Connection).
---```lua
---app:get("/", function()
---  return neap.res.text("hello"):header("X-Greeting", "warm")
---end)
---```
---@param name string in any case
---@param value string|number|string[]|nil
---@return neap.Response self
function Response:header(name, value)
  local lower = header.name(name, 2)
  if type(value) == "table" then
    local list = {}
    for i, one in ipairs(value) do list[i] = header.value(name, one, 2) end
    self.headers[lower] = list
  elseif value == nil then
    self.headers[lower] = nil
  else
    self.headers[lower] = header.value(name, value, 2)
  end
  return self
end

local function append(headers, name, value)
  local present = headers[name]
  if type(present) ~= "table" then
    present = {present}
    headers[name] = present
  end
  present[#present + 1] = value
end

---Sets a cookie; a nil value deletes it (give the same path and domain as when it was set). Raises on names and
---combinations of attributes that browsers refuse.
---```lua
---app:post("/theme", function()
---  return neap.res.empty():cookie("theme", "dark", {max_age = "30d"})
---end)
---```
---@param name string
---@param value string? any bytes: they are percent-encoded where necessary
---@param opts neap.CookieOptions?
---@return neap.Response self
function Response:cookie(name, value, opts)
  local attrs = options.check(opts, COOKIE_OPTIONS, "cookie " .. text.quote(name), 2)
  if value == nil then
    value, attrs.max_age, attrs.expires = "", 0, 0
  elseif attrs.signed then
    value = cookie.sign(name, value, config.secrets, 2)
  end
  append(self.headers, "set-cookie", cookie.serialise(name, value, attrs, 2))
  return self
end

---Sets the Content-Type, by a media type or a short name such as "html", "json", "csv".
---```lua
---app:get("/feed", function() return neap.res.text("<feed/>"):type("atom") end)
---```
---@param media_type string
---@return neap.Response self
function Response:type(media_type)
  local full = type(media_type) == "string" and mime.of_name(media_type)
  if not full then
    error(('%s is not a media type: write it as "kind/subtype"'):format(text.quote(media_type)), 2)
  end
  self.headers["content-type"] = header.value("Content-Type", full, 2)
  return self
end

---Sets the ETag, so that a client which has this version already is answered 304 without a body.
---```lua
---app:get("/report", function() return neap.res.text("42"):etag("v7") end)
---```
---@param tag string without quotes: printable ASCII without spaces
---@param weak boolean? the same in meaning only, not byte for byte
---@return neap.Response self
function Response:etag(tag, weak)
  if type(tag) ~= "string" or not tag:find("^[!#-~\128-\255]+$") then
    error(("an etag is printable text without spaces and quotes, not %s"):format(text.quote(tag)), 2)
  end
  self.headers["etag"] = (weak and "W/" or "") .. '"' .. tag .. '"'
  return self
end

---Sets Cache-Control: for how long the answer may be used again, or a directive such as "no-store", "private".
---"immutable" is short for a year, for files whose name changes with their content.
---```lua
---app:get("/logo", function() return neap.res.text("o"):cache("1h") end)
---```
---@param how number|string seconds, "5m", or directives
---@return neap.Response self
function Response:cache(how)
  local seconds = units.duration(how)
  if seconds then
    self.headers["cache-control"] = ("max-age=%d"):format(seconds // 1)
  elseif how == "immutable" then
    self.headers["cache-control"] = "public, max-age=31536000, immutable"
  elseif type(how) == "string" then
    self.headers["cache-control"] = header.value("Cache-Control", how, 2)
  else
    error(('cache: seconds, "5m" or a directive such as "no-store", not %s'):format(text.quote(how)), 2)
  end
  return self
end

core.response.__index = Response

return Response
