-- The page that a fresh server shows at /: what is running, and what to do next.
--
--   neap run
--   curl localhost:8080/    # -> <h1>neap is running</h1>
local neap = require "neap"

local app = neap.app()

local PAGE = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>neap is running</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<main>
<h1>neap is running</h1>
<p>This page comes from <code>apps/welcome/app.lua</code>. Change it, or remove the folder when you have an app of your
own at <code>/</code>.</p>
<h2>What is running</h2>
<dl>
<dt>Version</dt><dd>{version}, with {lua}</dd>
<dt>Mode</dt><dd>{mode}</dd>
<dt>This answer</dt><dd>worker {worker} of {workers}, generation {generation}</dd>
</dl>
<h2>What to do next</h2>
<p>Put this into <code>apps/hello/app.lua</code>, start neap again, and open <a href="/hello">/hello</a>:</p>
<pre tabindex="0" aria-label="A first app"><code>local neap = require "neap"
local app = neap.app()

app:get("/", function() return "hello" end)

return app</code></pre>
<ul>
<li><code>examples/</code> has small apps to start from: JSON, streams, uploads, middleware.</li>
<li><code>lua/README.md</code> is the reference of the library.</li>
<li><a href="https://www.lua.org/manual/5.4/">The Lua 5.4 manual</a> describes the language.</li>
</ul>
</main>
</body>
</html>
]]

app:static("/static", "static", {max_age = "5m", name = "welcome.static"})

app:get("/", function()
  local facts = {
    style = app:url("welcome.static", {path = "style.css"}), version = neap.version, lua = _VERSION, mode = neap.mode,
    worker = neap.worker, workers = neap.workers, generation = neap.generation,
  }
  return neap.res.html((PAGE:gsub("{(%l+)}", facts)))
end)

return app
