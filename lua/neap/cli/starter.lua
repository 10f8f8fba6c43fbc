-- `neap new NAME`: makes an application to begin with, in apps/NAME: a controller, its view, a style, hooks and a spec.
local starter = {}

local DIR = "apps"
local MOST = 40 -- letters of a name
local USAGE = 64

local FOLDERS = {"controllers", "views/default", "static", "spec"}

-- Each file of the application; {name} is its name.
local FILES = {}

FILES["init.lua"] = [[
-- Runs first when {name} is loaded: hooks and middleware for all of it.
local app = ...

app:on_send(function(_, head)
  head:header("X-Content-Type-Options", "nosniff")
end)
]]

FILES["controllers/default.lua"] = [[
-- What answers below /{name}. Each global function has an address: `index` is /{name} itself, `hello` is
-- /{name}/default/hello and /{name}/default/hello/<who>. What is local is nobody's business.
local counts = neap.store("{name}") -- for all workers

-- views/default/index.html shows the table. A client that prefers JSON gets it as JSON.
function index()
  return {title = "{name}", visits = counts:incr("visits")}
end

-- Without a view, text is text and a table is JSON.
function hello(_, who)
  return "Hello, " .. (who or "you") .. "!\n"
end

-- The form of the page. Other methods than GET have their own functions: post. put. patch. delete. any. ws. sse.
function post.hello(req)
  local form = assert(req:form())
  if not form.who or form.who == "" then neap.abort(422, "who is there?") end
  return neap.res.redirect(app:url("/default/hello/:who", {who = form.who}), 303)
end
]]

FILES["views/base.html"] = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{{url("/static/style.css")}}">
</head>
<body>
<main>
{{{content}}}
</main>
</body>
</html>
]]

FILES["views/default/index.html"] = [[
{% layout "base" %}
<h1>{{title}}</h1>
<p>This page was seen {{visits}} {{visits == 1 and "time" or "times"}}. It is
<code>apps/{name}/views/default/index.html</code>, and what it shows comes from
<code>apps/{name}/controllers/default.lua</code>.</p>
<form method="post" action="{{url("/default/hello")}}">
  <label for="who">Your name</label>
  <input id="who" name="who" required maxlength="100" autocomplete="name">
  <button>Say hello</button>
</form>
]]

FILES["static/style.css"] = [[
:root {
  color-scheme: light dark;
}

body {
  font: 1.1rem/1.6 system-ui, sans-serif;
  max-width: 40rem;
  margin: 0 auto;
  padding: 5vh 1.2rem;
}

input,
button {
  font: inherit;
  padding: 0.4rem 0.7rem;
}

label {
  display: block;
}
]]

FILES["spec/{name}_spec.lua"] = [[
-- neap test apps/{name}
local test = require "neap.test"

describe("{name}", function()
  local client
  before_each(function() client = test.client("apps/{name}") end)
  after_each(function() client:close() end) -- fails when anything is left open

  it("says hello", function()
    assert.equal("Hello, ada!\n", client:get("/default/hello/ada").body)
  end)

  it("takes its form, and leads to the greeting", function()
    local answer = client:post("/default/hello", {form = {who = "ada"}})
    assert.same({303, "/default/hello/ada"}, {answer.status, answer.headers.location})
    assert.equal(405, client:delete("/default/hello").status)
  end)
end)
]]

local NEXT = [[
made apps/{name}

  neap dev              serves it: open http://127.0.0.1:8080/{name}
  neap test apps/{name} runs its spec

Begin in apps/{name}/controllers/default.lua.]]

-- Why it cannot be the name of an application, or nil. The name becomes a folder and the first part of addresses.
local function problem(name)
  if not name:find("^%a[%w_-]*$") then
    return ("%s is not a name for an app: use letters, digits, - and _, and begin with a letter"):format(name)
  elseif #name > MOST then
    return ("the name is too long: at most %d letters"):format(MOST)
  end
end

local function fill(text, name)
  return (text:gsub("{name}", name))
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

---@param name string
---@return integer exit_code
---@return string? message for stderr
function starter.run(name)
  local why = problem(name)
  if why then return USAGE, ("neap: %s\n"):format(why) end
  local dir = DIR .. "/" .. name
  local file = io.open(dir, "r")
  if file then
    file:close()
    return 1, ("neap: %s exists already; nothing was changed\n"):format(dir)
  end
  assert(os.execute(("mkdir -p '%s/%s'"):format(dir, table.concat(FOLDERS, ("' '%s/"):format(dir))))) -- no quote in it
  for path, text in pairs(FILES) do write(dir .. "/" .. fill(path, name), fill(text, name)) end
  print(fill(NEXT, name))
  return 0
end

return starter
