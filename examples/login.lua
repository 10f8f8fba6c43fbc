-- Accounts, best tried in a browser: hashed passwords, sessions in signed cookies, forms that no other site can send.
--
--   neap run examples/login.lua
--   curl localhost:8080/join -d "name=ada&password=secret"   # -> the CSRF token is missing
--   curl -s -c /tmp/j localhost:8080/ | sed -n 's/.*"csrf_token" value="\([^"]*\).*/\1/p' > /tmp/t
--   curl -Lb /tmp/j "localhost:8080/join?csrf_token=$(cat /tmp/t)" -d "name=ada&password=secrets!" # -> Hello ada
local neap = require "neap"
local html = require("neap.text").html

local app = neap.app()
local db = assert(neap.sqlite.open("accounts.db"))
assert(db:migrate{"CREATE TABLE account (name TEXT PRIMARY KEY CHECK (name <> ''), password TEXT NOT NULL)"})

app:use(neap.session{keys = {os.getenv("SESSION_KEY") or "only for trying it out"}, max_age = "30d"})
app:use(neap.csrf())

local OUTSIDE = [[<!doctype html><title>Log in</title><p>%s</p><form method="post" action="/login">
<input type="hidden" name="csrf_token" value="%s"><input name="name" placeholder="Name">
<input name="password" type="password" placeholder="Password">
<button>Log in</button> <button formaction="/join">Join</button></form>]]

local INSIDE = [[<!doctype html><title>Welcome</title><p>%s</p><h1>Hello %s</h1><form method="post" action="/logout">
<input type="hidden" name="csrf_token" value="%s"><button>Log out</button></form>]]

local function enter(req, name)
  req:clear_session() -- what was known before the login ends with it
  req.session.name = name
  return neap.res.redirect("/", 303)
end

local function refuse(req, why)
  req:flash(why) -- the page shows it
  return neap.res.redirect("/", 303)
end

app:get("/", function(req)
  local notes, name, token = html(table.concat(req:flashes(), " ")), req.session.name, req:csrf_token()
  return neap.res.html(name and INSIDE:format(notes, html(name), token) or OUTSIDE:format(notes, token))
end)

app:post("/join", function(req)
  local form = assert(req:form())
  if #(form.password or "") < 8 then return refuse(req, "A password has at least 8 letters.") end
  local ok = db:exec("INSERT INTO account VALUES (?, ?)", form.name, neap.crypto.hash_password(form.password))
  return ok and enter(req, form.name) or refuse(req, "That name cannot be had.")
end)

app:post("/login", function(req)
  local form = assert(req:form())
  local account = db:query("SELECT password FROM account WHERE name = ?", form.name)[1]
  local is_right = neap.crypto.verify_password(form.password or "", account and account.password)
  return is_right and enter(req, form.name) or refuse(req, "Name or password is wrong.")
end)

app:post("/logout", function(req)
  req:clear_session()
  return neap.res.redirect("/", 303)
end)

return app
