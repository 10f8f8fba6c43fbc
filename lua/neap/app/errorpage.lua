-- The built-in answers to errors: JSON, plain text or a page, whichever the client likes. They tell nothing but
-- the status, the message and the id; in dev mode `neap.dev.page` shows the rest.
local core = require "neap.core"
local mime = require "neap.app.mime"
local negotiation = require "neap.app.negotiation"
local reasons = require "neap.app.status"
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

-- The page in the pieces that lie between what is said in it.
local BEFORE, BETWEEN, BEHIND, AFTER = PAGE:match("^(.*){title}(.*){title}(.*){body}(.*)$")

---What each status means, in lower case: the message of a failure that has none of its own.
---@type table<integer, string>
errorpage.reasons = setmetatable({}, {__index = function() return "error" end})
for status, phrase in pairs(reasons) do errorpage.reasons[status] = phrase:lower() end

local function html(failure)
  local title = text.html(("%d %s"):format(failure.status, reasons[failure.status] or "Error"))
  local body = ""
  if failure.message ~= errorpage.reasons[failure.status] then
    body = ("<p>%s</p>\n"):format(text.html(failure.message))
  end
  if failure.id then
    body = ("<p>Something went wrong here. If you report it, mention this number: <code>%s</code></p>\n")
      :format(failure.id)
  end
  return BEFORE .. title .. BETWEEN .. title .. BEHIND .. body .. AFTER
end

-- A message may quote what the client sent, and that need not be UTF-8: then it is left out.
local function json(failure)
  local detail = core.mode == "dev" and failure.id and text.safe(failure.cause) or nil
  local ok, body = pcall(core.json.encode, {error = failure.message, id = failure.id, detail = detail})
  return ok and body or core.json.encode {error = errorpage.reasons[failure.status], id = failure.id}
end

local function plain(failure)
  local id = failure.id and (" (%s)"):format(failure.id) or ""
  return ("%d %s%s\n"):format(failure.status, failure.message, id)
end

local BODY = {html = html, json = json, text = plain}
local TYPE = {html = mime.of_name "html", json = mime.of_name "json", text = mime.of_name "text"}

local choose = negotiation.chooser({"json", "html", "text"}, "text")

---Which kind of answer the client likes best.
---@param req neap.Request
---@return "json"|"html"|"text"
function errorpage.kind(req)
  return choose(req:header "accept")
end

-- The dev page may meet any error object and any file; when it fails itself, the plain page is still there.
local function dev(req, failure)
  local ok, page = pcall(function() return require("neap.dev.page").render(req, failure) end)
  return ok and page or html(failure)
end

---The built-in answer.
---@param req neap.Request
---@param failure neap.Failure
---@return neap.Response
function errorpage.render(req, failure)
  local status = failure.status
  if status < 400 then return res.empty(status) end
  local kind = errorpage.kind(req)
  local body = kind == "html" and core.mode == "dev" and dev(req, failure) or BODY[kind](failure)
  return setmetatable({
    status = status, body = body, headers = {
      ["content-type"] = TYPE[kind], ["x-content-type-options"] = "nosniff",
      ["cache-control"] = status >= 500 and "no-store" or nil,
    },
  }, core.response)
end

return errorpage
