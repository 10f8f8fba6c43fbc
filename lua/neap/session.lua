-- Sessions: a plain table per visitor, in a signed cookie. The server remembers nothing, so a session survives
-- restarts and is known to every worker; the visitor can read it, but not change it.
local config = require "neap.config"
local cookie = require "neap.cookie"
local core = require "neap.core"
local json = require "neap.json"
local options = require "neap.base.options"
local text = require "neap.text"

local Request = core.request.methods

---@class neap.session
local session = {}

local BYTES_MAX = 3800 -- of the cookie's value: with name and attributes browsers take 4096
local OPTIONS = {
  keys = "table", cookie = "string", max_age = "duration", path = "string", domain = "string",
  same_site = "string", secure = "boolean",
}

-- What the cookie says: {at = when it was made, data = table, flashes = list, csrf = secret}, or an empty one.
local function read(req, settings)
  local signed = req.cookies[settings.cookie]
  local value = signed and cookie.verify(settings.cookie, signed, settings.keys)
  local held = value and json.decode(value)
  local is_valid = type(held) == "table" and type(held.data) == "table" and math.type(held.at) == "integer"
  local is_fresh = is_valid and not (settings.max_age and held.at + settings.max_age < os.time())
  return is_fresh and held or {data = {}}, is_fresh
end

local function encode(held)
  return json.encode {data = held.data, flashes = held.flashes, csrf = held.csrf}
end

local function is_empty(held)
  return next(held.data) == nil and held.flashes == nil and held.csrf == nil
end

local function attributes(req, settings)
  local is_secure = settings.secure
  if is_secure == nil then is_secure = req.scheme == "https" end
  return {
    max_age = settings.max_age, path = settings.path, domain = settings.domain, same_site = settings.same_site,
    secure = is_secure,
  }
end

local function signed_value(held, settings)
  held.at = os.time()
  local value = cookie.sign(settings.cookie, json.encode(held), settings.keys)
  if #value > BYTES_MAX then
    error(("the session has %d bytes as a cookie, and browsers keep no more than %d: put large things into a database, "
      .. "and their key into the session"):format(#value, BYTES_MAX), 0)
  end
  return value
end

-- Sends the cookie when it has to change, or would soon be too old.
local function write(req, response, settings, held, before, had_cookie)
  local is_changed = encode(held) ~= before
  local is_old = settings.max_age and held.at and held.at + settings.max_age / 2 < os.time()
  if is_empty(held) then
    if had_cookie then response:cookie(settings.cookie, nil, attributes(req, settings)) end
  elseif is_changed or is_old then
    response:cookie(settings.cookie, signed_value(held, settings), attributes(req, settings))
  end
end

local function check_data(data)
  if type(data) ~= "table" then error(("req.session is a table, not %s"):format(text.quote(data)), 0) end
  return data
end

---How sessions are kept.
---@class neap.SessionOptions
---@field keys string[]? secrets of at least 16 bytes: the first signs, all verify; default: `secrets` of the configuration
---@field cookie string? its name; default "session"
---@field max_age (number|string)? seconds or "30d" since the last visit; default: until the browser is closed
---@field path string? default "/"
---@field domain string? default: this host only
---@field same_site ("Lax"|"Strict"|"None")? default "Lax"
---@field secure boolean? only over https; default: when the request came that way

---Middleware that gives requests a session: `req.session` is a plain table of what JSON can say. It is kept when the handler
---returns (an error, or what a stream does later, changes nothing), and the cookie is sent only when something changed.
---To take a key out of use, put the new one before it and remove it when old sessions have ended.
---```lua
---app:use(neap.session{keys = {"a secret of 16 bytes or more"}, max_age = "30d"})
---app:get("/visits", function(req)
---  req.session.visits = (req.session.visits or 0) + 1
---  return "visit " .. req.session.visits
---end)
---```
---@param opts neap.SessionOptions?
---@return neap.Middleware
function session.new(opts)
  local settings = options.check(opts, OPTIONS, "neap.session", 2)
  settings.keys = settings.keys or config.secrets
  settings.cookie = settings.cookie or "session"
  cookie.serialise(settings.cookie, cookie.sign(settings.cookie, "", settings.keys, 2), {}, 2) -- raises what is wrong now
  return function(req, next)
    local outer, outer_data = req.held_session, req.session
    local held, had_cookie = read(req, settings)
    local before = encode(held)
    req.held_session, req.session = held, held.data
    local response = next(req)
    held.data = check_data(req.session)
    req.held_session, req.session = outer, outer_data -- of an app that this one is mounted on
    write(req, response, settings, held, before, had_cookie or req.cookies[settings.cookie] ~= nil)
    return response
  end
end

-- What the middleware holds for a request; raises when there is none.
local function held_of(req, name, level)
  local held = req.held_session
  if not held then error(name .. " needs a session: app:use(neap.session{...}) comes before", level + 1) end
  return held
end

---Leaves a message for the next page that this visitor sees.
---```lua
---app:use(neap.session{keys = {"a secret of 16 bytes or more"}})
---app:post("/save", function(req)
---  req:flash("saved")
---  return neap.res.redirect("/", 303)
---end)
---app:get("/", function(req) return table.concat(req:flashes(), ", ") end)
---```
---@param message string
function Request:flash(message)
  if type(message) ~= "string" then error("req:flash takes a string", 2) end
  local held = held_of(self, "req:flash", 2)
  held.flashes = held.flashes or {}
  table.insert(held.flashes, message)
end

---The messages that were left for this visitor, which are then forgotten.
---```lua
---app:get("/", function(req) return {messages = req:flashes()} end)
---```
---@return string[]
function Request:flashes()
  local held = held_of(self, "req:flashes", 2)
  local flashes = held.flashes or json.array()
  held.flashes = nil
  return flashes
end

---Forgets all of the session, its messages and its CSRF token: at logout, and before the user is noted at login.
---```lua
---app:post("/logout", function(req)
---  req:clear_session()
---  return neap.res.redirect("/", 303)
---end)
---```
function Request:clear_session()
  local held = held_of(self, "req:clear_session", 2)
  held.flashes, held.csrf = nil, nil
  self.session = {}
end

return setmetatable(session, {__call = function(_, opts) return session.new(opts) end})
