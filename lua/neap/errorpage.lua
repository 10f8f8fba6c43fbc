-- The built-in answers to errors: JSON, plain text or a page, whichever the client likes. They tell nothing but
-- the status, the message and the id; in dev mode `neap.devpage` shows the rest.
local accepts = require "neap.accepts"
local core = require "neap.core"
local reasons = require "neap.status"
local res = require "neap.res"
local text = require "neap.text"

local errorpage = {}

local PAGE = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root { color-scheme: light dark }
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1.2rem }
h1 { font-size: 1.5rem }
code { overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}</main>
</body>
</html>
]]

local function html(failure)
  local title = text.html(("%d %s"):format(failure.status, reasons[failure.status] or "Error"))
  local body = ""
  if failure.message ~= (reasons[failure.status] or "error"):lower() then
    body = ("<p>%s</p>\n"):format(text.html(failure.message))
  end
  if failure.id then
    body = ("<p>Something went wrong here. If you report it, mention this number: <code>%s</code></p>\n")
      :format(failure.id)
  end
  return res.html((PAGE:gsub("{(%l+)}", {title = title, body = body})), failure.status)
end

local function json(failure)
  local detail = core.mode == "dev" and failure.id and text.safe(failure.cause) or nil
  return res.json({error = failure.message, id = failure.id, detail = detail}, failure.status)
end

local function plain(failure)
  local id = failure.id and (" (%s)"):format(failure.id) or ""
  return res.text(("%d %s%s\n"):format(failure.status, failure.message, id), failure.status)
end

local RENDER = {html = html, json = json, text = plain}

local function wanted(req)
  local ok, kind = pcall(function() return accepts.best(req.headers["accept"], {"json", "html", "text"}) end)
  return ok and kind or "text"
end

-- The dev page may meet any error object and any file; when it fails itself, the plain page is still there.
local function dev(req, failure)
  local ok, page = pcall(function() return require("neap.devpage").render(req, failure) end)
  return ok and res.html(page, failure.status) or html(failure)
end

---The built-in answer.
---@param req neap.Request
---@param failure neap.Failure
---@return neap.Response
function errorpage.render(req, failure)
  if failure.status < 400 then return res.empty(failure.status) end
  local kind = wanted(req)
  local is_dev = core.mode == "dev"
  local response = is_dev and kind == "html" and dev(req, failure) or RENDER[kind](failure)
  response.headers["x-content-type-options"] = "nosniff"
  if failure.status >= 500 then response.headers["cache-control"] = "no-store" end
  return response
end

return errorpage
