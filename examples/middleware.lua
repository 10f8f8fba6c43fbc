-- Middleware: a header with the time that a request took, a password for a part of the site, error pages of one's
-- own, and headers that no answer may lack.
--
--   neap run examples/middleware.lua
--   curl -i localhost:8080/                         # -> Server-Timing: app ... X-Frame-Options: DENY
--   curl -i localhost:8080/admin                    # -> 401 Unauthorized ... Www-Authenticate: Basic
--   curl -i -u ada:lovelace localhost:8080/admin    # -> 200 OK ... hello ada
--   curl -i localhost:8080/nowhere                  # -> 404 Not Found ... There is no /nowhere here.
--   curl -i localhost:8080/fail                     # -> 500 Internal ... Sorry. This is written down as number
local neap = require "neap"

local app = neap.app()

-- Outermost: it sees the time of everything inside.
app:use(function(req, next)
  local started = neap.task.now()
  local response = next(req)
  return response:header("Server-Timing", ("app;dur=%.1f"):format((neap.task.now() - started) * 1000))
end)

local PASSWORDS = {ada = "lovelace"} -- an example: real ones are kept hashed

local function user_of(req)
  local encoded = (req.headers.authorization or ""):match("^Basic%s+(%S+)$")
  local name, password = (encoded and neap.crypto.unbase64(encoded) or ""):match("^([^:]*):(.*)$")
  if name and PASSWORDS[name] and neap.crypto.equal(PASSWORDS[name], password) then return name end
end

-- Only below /admin; what middleware finds out goes into req.state.
app:use("/admin", function(req, next)
  req.state.user = user_of(req)
  if not req.state.user then neap.abort(401, "who are you?", {["WWW-Authenticate"] = 'Basic realm="admin"'}) end
  return next(req)
end)

app:get("/", function() return "everybody may read this\n" end)
app:get("/admin", function(req) return ("hello %s\n"):format(req.state.user) end)
app:get("/fail", function() error("the handler has a mistake") end)

app:on_error(404, function(req) return ("There is no %s here.\n"):format(req.path) end)

app:on_error(function(_, failure)
  if failure.id then return ("Sorry. This is written down as number %s.\n"):format(failure.id) end
end)

app:on_send(function(_, head) head:header("X-Frame-Options", "DENY") end)

return app
