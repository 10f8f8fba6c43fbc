-- Protection from forged requests: another site can make a browser send a form here, with the visitor's cookies. It cannot
-- know the token, and browsers tell where a request came from.
local abort = require "neap.app.abort"
local core = require "neap.core"
local options = require "neap.base.options"

local Request = core.request.methods

---@class neap.csrf
local csrf = {}

local SAFE = {GET = true, HEAD = true, OPTIONS = true, TRACE = true}
local OPTIONS = {field = "string", header = "string", origins = "table"}
local SALT_BYTES = 12
local FORM = "application/x-www-form-urlencoded"

-- What the session keeps for us; it is made when there is none.
local function secret_of(req, level)
  local held = req.held_session -- see session.lua
  if not held then error("neap.csrf needs a session: app:use(neap.session{...}) comes before", level + 1) end
  held.csrf = held.csrf or core.base64(core.random(18), true)
  return held.csrf
end

-- Each token is another text for the same secret, so that compression cannot give it away letter by letter.
local function make(secret)
  local salt = core.random(SALT_BYTES)
  return core.base64(salt .. core.hmac(secret, salt), true)
end

local function is_valid(token, secret)
  local bytes = type(token) == "string" and core.unbase64(token, true)
  if not bytes or #bytes <= SALT_BYTES then return false end
  return core.equal(bytes:sub(SALT_BYTES + 1), core.hmac(secret, bytes:sub(1, SALT_BYTES)))
end

-- What the browser says about where the request comes from. The first it computes itself; an old one says only the second.
local function is_from_elsewhere(req, origins)
  local origin, site = req.headers["origin"], req.headers["sec-fetch-site"]
  if origin and origins[origin] then return false end
  if site then return site ~= "same-origin" and site ~= "none" end
  return origin ~= nil and origin:match("^https?://(.+)$") ~= req.host
end

local function sent_token(req, settings)
  local token = req.headers[settings.header] or req.query[settings.field]
  local kind = (req.headers["content-type"] or ""):match("^[^;%s]*"):lower()
  if token or kind ~= FORM then return token end
  local form, err = req:form()
  if err == "too_large" then abort.raise(413, nil, nil, 2) end
  return form and form[settings.field]
end

---Middleware that refuses POST, PUT, PATCH and DELETE with 403 unless they carry the token of the session and do not come
---from another site. Forms send the token in a hidden field, scripts in the header `X-CSRF-Token`; a form with files has
---it in its address (`action="/upload?csrf_token=..."`), because its body is the handler's to stream.
---```lua
---app:use(neap.session{keys = {"a secret of 16 bytes or more"}})
---app:use(neap.csrf())
---app:get("/", function(req)
---  return neap.res.html(('<form method="post"><input type="hidden" name="csrf_token" value="%s"><button>Go</button></form>')
---    :format(req:csrf_token()))
---end)
---app:post("/", function() return "gone" end)
---```
---@param opts {field: string?, header: string?, origins: string[]?}? field: "csrf_token"; header: "X-CSRF-Token"; origins: other sites that may send, such as "https://admin.example.com"
---@return neap.Middleware
function csrf.new(opts)
  local settings = options.check(opts, OPTIONS, "neap.csrf", 2)
  settings.field, settings.header = settings.field or "csrf_token", settings.header or "X-CSRF-Token"
  local origins = {}
  for _, origin in ipairs(settings.origins or {}) do origins[origin] = true end
  return function(req, next)
    if not SAFE[req.method] then
      if is_from_elsewhere(req, origins) then abort.raise(403, "this request comes from another site", nil, 2) end
      if not is_valid(sent_token(req, settings), secret_of(req, 1)) then
        abort.raise(403, "the CSRF token is missing or wrong: reload the page and try again", nil, 2)
      end
    end
    return next(req)
  end
end

---The token that the next unsafe request of this visitor must carry. It is good as long as the session.
---```lua
---app:use(neap.session{keys = {"a secret of 16 bytes or more"}})
---app:get("/token", function(req) return {token = req:csrf_token()} end)
---```
---@return string
function Request:csrf_token()
  return make(secret_of(self, 2))
end

return setmetatable(csrf, {__call = function(_, opts) return csrf.new(opts) end})
