-- The page that a browser gets for an error while developing: the message, the source around it, the traceback
-- and the request. Everything in it is escaped, and what looks like a secret is masked.
local reasons = require "neap.app.status"
local text = require "neap.text"

local page = {}

local AROUND = 6          -- lines of source before and after
local MAX_FRAMES = 30
local SECRET_HEADERS = {["cookie"] = true, ["authorization"] = true, ["proxy-authorization"] = true}
local SECRET_WORDS = {"token", "secret", "passw", "api-key", "apikey", "api_key", "session", "csrf", "signature"}

local PAGE = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root { color-scheme: light dark; --line: #8886; --hit: #c002 }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; white-space: pre-wrap }
h2 { font-size: 1.05rem; margin-top: 2rem }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; padding: .6rem 0; line-height: 1.45 }
pre span, pre mark { display: block; padding: 0 .8rem; min-width: max-content }
pre mark { background: var(--hit); color: inherit; font-weight: bold }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line) }
td { overflow-wrap: anywhere }
th { font-weight: normal }
code, pre, td { font-family: ui-monospace, monospace; font-size: .9rem }
summary { overflow-wrap: anywhere; padding: .3rem 0 }
</style>
</head>
<body>
<main>
<p>{status}</p>
<h1>{message}</h1>
{body}</main>
</body>
</html>
]]

-- A message can contain a client's words: only what looks like a script or a view is shown.
local function read_lines(path)
  local is_source = path:find("%.lua$") or path:find("/views/.+%.html$")
  local file = is_source and io.open(path, "r")
  if not file then return nil end
  local content = file:read("a")
  file:close()
  if not content then return nil end -- a folder opens, too
  local lines = {}
  for line in (content .. "\n"):gmatch("([^\n]*)\r?\n") do lines[#lines + 1] = line end
  return lines
end

-- The lines around `number` as HTML; nil when the file cannot be read.
local function excerpt(path, number)
  local lines = read_lines(path)
  if not lines or number > #lines then return nil end
  local rows = {}
  for i = math.max(1, number - AROUND), math.min(#lines, number + AROUND) do
    local row = ("%s%4d  %s"):format(i == number and "→" or " ", i, text.html(lines[i]))
    rows[#rows + 1] = i == number and "<mark>" .. row .. "</mark>" or "<span>" .. row .. "</span>"
  end
  return ('<pre tabindex="0" role="region" aria-label="Source of %s around line %d">%s</pre>\n')
    :format(text.html(path), number, table.concat(rows))
end

-- {path, line, what} of each level of a traceback that is Lua.
local function frames_of(traceback)
  local frames = {}
  for text_line in (traceback or ""):gmatch("[^\n]+") do
    local path, line, what = text_line:match("^%s*(.-):(%d+): in (.*)$")
    if path and #frames < MAX_FRAMES then frames[#frames + 1] = {path = path, line = tonumber(line), what = what} end
  end
  return frames
end

local function is_ours(frame)
  return frame.path:find("lua/neap/", 1, true) ~= nil
end

-- Where it happened: the position in the message, else the innermost level that is not the library's.
local function place_of(message, frames)
  local path, line = message:match("^([^\n]-):(%d+): ")
  if path and excerpt(path, tonumber(line)) then return {path = path, line = tonumber(line)} end
  for _, frame in ipairs(frames) do
    if not is_ours(frame) and excerpt(frame.path, frame.line) then return frame end
  end
  return nil
end

local function source_section(place)
  if not place then return "" end
  return ("<h2>%s, line %d</h2>\n%s"):format(text.html(place.path), place.line, excerpt(place.path, place.line))
end

local function traceback_section(frames)
  if #frames == 0 then return "" end
  local parts = {"<h2>Traceback, innermost first</h2>\n"}
  for _, frame in ipairs(frames) do
    local label = ("<code>%s:%d</code> in %s"):format(text.html(frame.path), frame.line, text.html(frame.what))
    local source = not is_ours(frame) and excerpt(frame.path, frame.line)
    parts[#parts + 1] = source and ("<details><summary>%s</summary>%s</details>\n"):format(label, source)
      or ("<p>%s</p>\n"):format(label)
  end
  return table.concat(parts)
end

local function is_secret(name)
  name = name:lower()
  if SECRET_HEADERS[name] then return true end
  for _, word in ipairs(SECRET_WORDS) do
    if name:find(word, 1, true) then return true end
  end
  return false
end

local function masked_query(query)
  return (query:gsub("([^&=]+)=([^&]*)", function(name, value)
    return name .. "=" .. (is_secret(name) and "(hidden)" or value)
  end))
end

local function row(name, value)
  return ('<tr><th scope="row">%s</th><td>%s</td></tr>\n'):format(text.html(name), text.html(value))
end

local function header_rows(req)
  local rows = {}
  for name, value in pairs(req.headers) do
    rows[#rows + 1] = row(name, is_secret(name) and "(hidden)" or value)
  end
  return table.concat(rows)
end

local function request_section(req)
  local query = req.raw_query
  local target = req.path .. (query and query ~= "" and "?" .. masked_query(query) or "")
  return "<h2>Request</h2>\n<table>\n" .. row("method", req.method) .. row("target", target)
    .. row("route", req.route or "(none)") .. header_rows(req) .. "</table>\n"
end

---The page.
---@param req neap.Request
---@param failure neap.Failure
---@return string html
function page.render(req, failure)
  local message = failure.id and text.safe(failure.cause) or failure.message
  local frames = frames_of(failure.traceback)
  local status = ("%d %s"):format(failure.status, reasons[failure.status] or "Error")
  local id = failure.id and (", logged as %s"):format(failure.id) or ""
  return (PAGE:gsub("{(%l+)}", {
    title = text.html(status .. ": " .. (message:match("^[^\n]*"))),
    status = text.html(status .. id),
    message = text.html(message),
    body = source_section(place_of(message, frames)) .. traceback_section(frames) .. request_section(req),
  }))
end

-- The place that a report names first, on whatever line of it.
local function place_in(report, frames)
  for line in report:gmatch("[^\n]+") do
    local place = place_of(line:gsub("^%s+", ""), {})
    if place then return place end
  end
  return place_of(report, frames)
end

---The page about a reload that failed, while the generation before goes on.
---@param state {serving: integer, failed: integer?, error: string?} see neap.dev
---@return string html
function page.render_reload(state)
  if not state.error then
    local status = ("generation %d serves"):format(state.serving)
    return (PAGE:gsub("{(%l+)}", {title = status, status = status, message = "All is well", body = ""}))
  end
  local report = state.error:gsub("^neap: ", "")
  local message, traceback = report:match("^(.-)\n(stack traceback:.*)$")
  message = message or report
  local frames = frames_of(traceback)
  local status = ("serving generation %d, generation %d failed"):format(state.serving, state.failed)
  return (PAGE:gsub("{(%l+)}", {
    title = text.html(status), status = status, message = text.html(message),
    body = source_section(place_in(message, frames)) .. traceback_section(frames),
  }))
end

return page
