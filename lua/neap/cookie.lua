-- Cookies: reading the Cookie header, writing Set-Cookie, and values signed so that a client cannot change them.
local core = require "neap.core"
local text = require "neap.text"

---@class neap.cookie
local cookie = {}

local MAX_COOKIES = 1000   -- read from one request
local MAX_BYTES = 4096     -- browsers drop a longer cookie without a word
local MIN_SECRET = 16      -- bytes
local SAME_SITE = {lax = "Lax", strict = "Strict", none = "None"}

local function unquote(value)
  if value:byte(1) == 34 and value:byte(-1) == 34 and #value >= 2 then value = value:sub(2, -2) end
  if value:find("%", 1, true) then value = core.uri_decode(value) or value end
  return value
end

---The cookies in a `Cookie` header. A name that comes twice keeps its first value, which is the one with the
---most specific path.
---```lua
---local cookies = require("neap.cookie").parse('theme=dark; name="Ada"')
---assert(cookies.theme == "dark" and cookies.name == "Ada")
---```
---@param header string? the header's value
---@return table<string, string> # name -> value; at most 1000
function cookie.parse(header)
  local cookies, count = {}, 0
  for pair in (header or ""):gmatch("[^;]+") do
    local equals = pair:find("=", 1, true)
    local name = equals and text.trim(pair:sub(1, equals - 1))
    if name and name ~= "" and not cookies[name] then
      count = count + 1
      if count > MAX_COOKIES then break end
      cookies[name] = unquote(text.trim(pair:sub(equals + 1)))
    end
  end
  return cookies
end

local function escape(value)
  return (value:gsub("[^%w!#$&'()*+%-./:<=>?@%[%]^_`{|}~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function check(what, ok, reason, level)
  if not ok then error(("cookie %s: %s"):format(text.quote(what), reason), level + 1) end
end

-- The rules that browsers enforce by dropping the cookie; better said here.
local function check_attributes(name, attrs, level)
  local same_site = SAME_SITE[tostring(attrs.same_site or "lax"):lower()]
  check(name, same_site, 'same_site is "Lax", "Strict" or "None"', level + 1)
  check(name, same_site ~= "None" or attrs.secure, 'same_site="None" needs secure=true', level + 1)
  check(name, not attrs.partitioned or attrs.secure, "partitioned needs secure=true", level + 1)
  check(name, not name:find("^__[Ss]ecure%-") or attrs.secure, "the prefix __Secure- needs secure=true", level + 1)
  check(name, not name:find("^__[Hh]ost%-") or (attrs.secure and not attrs.domain and (attrs.path or "/") == "/"),
    'the prefix __Host- needs secure=true, path="/" and no domain', level + 1)
  for _, key in ipairs {"path", "domain"} do
    local value = attrs[key]
    check(name, value == nil or (type(value) == "string" and not value:find("[%c;\127]")),
      key .. " may not contain ; or control characters", level + 1)
  end
  return same_site
end

---The value of a `Set-Cookie` header. Bytes that a cookie cannot hold are percent-encoded; `parse` undoes it.
---Raises on a name or attribute that browsers would refuse.
---```lua
---local line = require("neap.cookie").serialise("theme", "dark", {max_age = 3600})
---assert(line == "theme=dark; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax")
---```
---@param name string
---@param value string
---@param attrs neap.CookieOptions? max_age in seconds
---@param level integer? whose line an error shows, as in `error` (default 1: the caller's)
---@return string
function cookie.serialise(name, value, attrs, level)
  level, attrs = level or 1, attrs or {}
  check(name, type(name) == "string" and name:find("^[%w!#$%%&'*+%-.^_`|~]+$"),
    "a name is letters, digits and -_.", level + 1)
  check(name, type(value) == "string", "the value is a string, not a " .. type(value), level + 1)
  local same_site = check_attributes(name, attrs, level + 1)
  local parts = {name .. "=" .. escape(value), "Path=" .. (attrs.path or "/")}
  local function add(part) parts[#parts + 1] = part end
  if attrs.domain then add("Domain=" .. attrs.domain) end
  if attrs.max_age then add(("Max-Age=%d"):format(attrs.max_age // 1)) end
  if attrs.expires then add("Expires=" .. os.date("!%a, %d %b %Y %H:%M:%S GMT", attrs.expires // 1)) end
  if attrs.secure then add("Secure") end
  if attrs.http_only ~= false then add("HttpOnly") end
  add("SameSite=" .. same_site)
  if attrs.partitioned then add("Partitioned") end
  local line = table.concat(parts, "; ")
  check(name, #line <= MAX_BYTES, ("it has %d bytes, and browsers drop cookies over %d"):format(#line, MAX_BYTES),
    level + 1)
  return line
end

local function check_secrets(secrets, level)
  if type(secrets) ~= "table" or #secrets == 0 then
    error('signed cookies need a key: put secrets = {"at least 16 random characters"} into config.lua, '
      .. "for example the output of: openssl rand -base64 32", level + 1)
  end
  for i, secret in ipairs(secrets) do
    if type(secret) ~= "string" or #secret < MIN_SECRET then
      error(("secrets[%d] is too short: use at least %d random characters"):format(i, MIN_SECRET), level + 1)
    end
  end
end

-- The name is signed with the value, so that one cookie cannot pass for another.
local function mac(secret, name, value)
  local key = core.hmac(secret, "neap signed cookie")
  return core.hmac(key, name .. "=" .. value)
end

---A value with a signature (HMAC-SHA256 of name and value): readable by the client, but not changeable.
---Raises when there are no usable secrets.
---```lua
---local cookie, keys = require "neap.cookie", {"0123456789abcdef"}
---assert(cookie.verify("user", cookie.sign("user", "ada", keys), keys) == "ada")
---```
---@param name string the cookie's name
---@param value string
---@param secrets string[] the first signs
---@param level integer? whose line an error shows, as in `error` (default 1: the caller's)
---@return string
function cookie.sign(name, value, secrets, level)
  check_secrets(secrets, (level or 1) + 1)
  return core.base64(value, true) .. "." .. core.base64(mac(secrets[1], name, value), true)
end

---The value that was signed, if one of the secrets signed it.
---```lua
---local value, err = require("neap.cookie").verify("user", "forged", {"0123456789abcdef"})
---assert(value == nil and err == "invalid")
---```
---@param name string the cookie's name
---@param signed string what `sign` made
---@param secrets string[] all are tried
---@param level integer? whose line an error shows, as in `error` (default 1: the caller's)
---@return string? value
---@return "invalid"? err
function cookie.verify(name, signed, secrets, level)
  check_secrets(secrets, (level or 1) + 1)
  local encoded, signature = signed:match("^([%w_-]*)%.([%w_-]+)$")
  local value = encoded and core.unbase64(encoded, true)
  local given = signature and core.unbase64(signature, true)
  if not value or not given then return nil, "invalid" end
  for _, secret in ipairs(secrets) do
    if core.equal(mac(secret, name, value), given) then return value end
  end
  return nil, "invalid"
end

return cookie
