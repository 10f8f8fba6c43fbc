-- HTTP requests to other servers, on libcurl: kept connections, TLS, HTTP/2, proxies from the environment
-- (`https_proxy`, `no_proxy`, ...). Every request parks its task and nothing else.
local core = require "neap.core"
local header = require "neap.app.header"
local json = require "neap.json"
local options = require "neap.base.options"
local response = require "neap.http.response"
local text = require "neap.text"

if not core.http then
  error("neap.http needs libcurl 7.87 or newer: install libcurl4-openssl-dev (Debian's name) and build neap again", 0)
end

local TIMEOUT, CONNECT_TIMEOUT, LIMIT, REDIRECTS = 30, 10, 10 * 1024 * 1024, 10

---@class neap.http
local http = {}

---How a request is made.
---@class neap.HttpOptions
---@field headers table<string, string|number|string[]>?
---@field query table<string, any>? appended to the URL; a list as value: the name several times
---@field body (string|async fun(): string?)? text, or an iterator of pieces that is sent before the answer is read
---@field json any? the body as JSON
---@field form table<string, any>? the body as a form
---@field timeout (number|string)? for all of it, default 30 s; of a streamed answer until its head is there, and for each chunk
---@field connect_timeout (number|string)? name, connection and TLS; default 10 s
---@field redirects integer? most that are followed, default 10; 0: none
---@field limit (integer|string)? of the answer's body, default "10MB"; of a streamed one: none
---@field stream boolean? return when the head is there; the body is taken by `chunks`
---@field verify boolean? default true: the server's certificate must be valid for its name
---@field ca string? file (or PEM text) of the certificates to trust, instead of the system's or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`
---@field cert string? file (or PEM text) of our own certificate
---@field key string? file (or PEM text) of its key

local KNOWN = {
  headers = "table", query = "table", body = "string|function", json = "any", form = "table", timeout = "duration",
  connect_timeout = "duration", redirects = "number", limit = "size", stream = "boolean", verify = "boolean",
  ca = "string", cert = "string", key = "string",
}

-- ---- what is sent

local function pairs_text(fields)
  local parts = {}
  for name, value in pairs(fields) do
    for _, one in ipairs(type(value) == "table" and value or {value}) do
      parts[#parts + 1] = core.uri_encode(tostring(name)) .. "=" .. core.uri_encode(tostring(one))
    end
  end
  table.sort(parts) -- the same request is the same text each time
  return table.concat(parts, "&")
end

local function with_query(url, query)
  local encoded = query and pairs_text(query) or ""
  if encoded == "" then return url end
  local address, fragment = url:match("^([^#]*)(.*)$")
  return address .. (address:find("?", 1, true) and "&" or "?") .. encoded .. fragment
end

-- The body's text or iterator, and its type.
local function body_of(opts)
  local count = (opts.body ~= nil and 1 or 0) + (opts.json ~= nil and 1 or 0) + (opts.form ~= nil and 1 or 0)
  if count > 1 then error("a request has one body: give one of the options body, json and form", 3) end
  if opts.json ~= nil then return json.encode(opts.json), "application/json" end
  if opts.form then return pairs_text(opts.form), "application/x-www-form-urlencoded" end
  return opts.body
end

local FRAMING = {["content-length"] = true, ["transfer-encoding"] = true, connection = true}

-- By lower-case name, as lists of {name, value}.
local function headers_of(given, content_type)
  local fields = {}
  if content_type then fields["content-type"] = {{"Content-Type", content_type}} end
  for name, value in pairs(given or {}) do
    local lower = type(name) == "string" and name:lower()
    if FRAMING[lower] then error(("the %s header is set by neap itself, from the body"):format(name), 3) end
    if not lower or not name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
      error(("%s is not a header name: letters, digits and - are allowed"):format(text.quote(name)), 3)
    end
    fields[lower] = {}
    for i, one in ipairs(type(value) == "table" and value or {value}) do
      fields[lower][i] = {name, header.value(name, one, 3)}
    end
  end
  return fields
end

local function header_lines(fields)
  local lines = {}
  for _, values in pairs(fields) do
    for _, field in ipairs(values) do
      lines[#lines + 1] = field[2] == "" and field[1] .. ";" or field[1] .. ": " .. field[2] -- ";": curl's empty value
    end
  end
  return lines
end

-- ---- one request

-- Closes a transfer whose request does not come to its end, because of an error or because its task is cancelled.
local Guard = {__close = function(self) if self.transfer then self.transfer:close() end end}

local function milliseconds(seconds)
  return math.max(1, math.ceil(seconds * 1000))
end

-- The system's certificates have to be read before a request that needs them.
local function trust(request)
  local is_needed = core.http.shares_trust and not request.ca and request.verify ~= false
    and request.url:find("^[Hh][Tt][Tt][Pp][Ss]:")
  if not is_needed then return true end
  return core.trust(math.max(request.deadline - core.task.now(), 0))
end

local function start(request)
  local is_trusting, problem = trust(request)
  if not is_trusting then return nil, problem end
  return core.http.start {
    method = request.method, url = request.url, headers = header_lines(request.fields),
    body = type(request.body) == "string" and request.body or nil, has_upload = type(request.body) == "function",
    is_streamed = request.stream, limit = request.limit, connect_ms = milliseconds(request.connect_timeout),
    total_ms = milliseconds(request.deadline - core.task.now()),
    is_unverified = request.verify == false, ca = request.ca, cert = request.cert, key = request.key,
  }
end

local function upload(transfer, pieces)
  for piece in pieces do
    if not transfer:send(piece) then return end -- the answer is there already, or an error
  end
  transfer:end_upload()
end

local function perform(request)
  local transfer, problem = start(request)
  if not transfer then return nil, problem end
  local guard <close> = setmetatable({transfer = transfer}, Guard)
  if type(request.body) == "function" then upload(transfer, request.body) end
  local status, head, detail = transfer:answer(request.stream)
  if not status then return nil, head, detail end
  local answer = response.new(status, head, request.url)
  if request.stream then
    answer.transfer, answer.patience = transfer, milliseconds(request.timeout)
    guard.transfer = nil
  else
    answer.body = transfer:body()
  end
  return answer
end

-- ---- redirects

local REDIRECT = {[301] = true, [302] = true, [303] = true, [307] = true, [308] = true}
local SECRETS = {"authorization", "cookie", "proxy-authorization"}

-- What browsers do: 303 is always asked for by GET, 301 and 302 when it was a POST.
local function becomes_get(status, method)
  return status == 303 and method ~= "HEAD" or (status == 301 or status == 302) and method == "POST"
end

-- Turns `request` into the next one; false when the answer is the last.
local function redirect(request, answer)
  local location = REDIRECT[answer.status] and answer.headers.location
  local url, is_same_origin = core.http.join(request.url, location or "")
  if not location or not url then return false end
  if becomes_get(answer.status, request.method) then
    request.method, request.body, request.fields["content-type"] = "GET", nil, nil
  elseif type(request.body) == "function" then
    return false -- an iterator cannot be sent twice
  end
  if not is_same_origin then
    for _, name in ipairs(SECRETS) do request.fields[name] = nil end
  end
  request.url = url
  return true
end

local function follow(request, most)
  for _ = 0, most do
    local answer, err, detail = perform(request)
    if not answer then return nil, err, detail end
    if most == 0 or not redirect(request, answer) then return answer end
    answer:close()
  end
  return nil, "too many redirects"
end

-- Called in tail position, so that level 2 is the line of the application.
local function ask(method, url, opts)
  if type(url) ~= "string" then error(("http: the URL is a string, not a %s"):format(type(url)), 2) end
  if url:find("[%z\1-\32\127]") then error("http: the URL has a space or control character in it", 2) end
  opts = options.check(opts, KNOWN, "http." .. method:lower(), 2)
  local body, content_type = body_of(opts)
  local timeout = opts.timeout or TIMEOUT
  return follow({
    method = method, url = with_query(url, opts.query), fields = headers_of(opts.headers, content_type),
    body = body, stream = opts.stream or false, limit = opts.limit or opts.stream and math.maxinteger or LIMIT,
    timeout = timeout, deadline = core.task.now() + timeout, connect_timeout = opts.connect_timeout or CONNECT_TIMEOUT,
    verify = opts.verify, ca = opts.ca, cert = opts.cert, key = opts.key,
  }, opts.redirects or REDIRECTS)
end

-- ---- for everybody

---Makes a request with any method. The answer's status is no error: `err` is set when there is no answer.
---```lua
---local http = require "neap.http"
---local answer, err = http.request("REPORT", "http://127.0.0.1:9/", {timeout = "1s"})
---if not answer then print("no answer: " .. err) end
---```
---@async
---@param method string
---@param url string http or https
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err "timeout", "connection refused", "unknown host", "too_large", "truncated", "tls: ...", ...
---@return string? detail a sentence about it, perhaps empty
function http.request(method, url, opts)
  if type(method) ~= "string" or not method:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
    error(("http.request: %s is not a method"):format(text.quote(method)), 2)
  end
  return ask(method, url, opts)
end

---Asks for a resource.
---```lua
---local http = require "neap.http"
---local answer, err = http.get("http://127.0.0.1:9/search", {query = {q = "neap", page = 2}, timeout = "5s"})
---if answer then print(answer.status, answer.headers["content-type"], #answer.body) else print(err) end
---```
---@async
---@param url string
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err as of `http.request`
---@return string? detail
function http.get(url, opts)
  return ask("GET", url, opts)
end

---Asks for the head of a resource.
---```lua
---local http = require "neap.http"
---local answer = http.head("http://127.0.0.1:9/large.iso")
---if answer then print(answer.headers["content-length"]) end
---```
---@async
---@param url string
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err as of `http.request`
---@return string? detail
function http.head(url, opts)
  return ask("HEAD", url, opts)
end

---Posts a body.
---```lua
---local http = require "neap.http"
---local answer, err = http.post("http://127.0.0.1:9/users", {json = {name = "Ada"}})
---if not answer then print("not saved: " .. err) end
---```
---@async
---@param url string
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err as of `http.request`
---@return string? detail
function http.post(url, opts)
  return ask("POST", url, opts)
end

---Puts a body; here piece by piece, from a file.
---```lua
---local http = require "neap.http"
---local file <close> = assert(io.open("/etc/hostname", "r"))
---http.put("http://127.0.0.1:9/backup", {body = function() return file:read(4096) end})
---```
---@async
---@param url string
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err as of `http.request`
---@return string? detail
function http.put(url, opts)
  return ask("PUT", url, opts)
end

---Patches a resource.
---```lua
---require("neap.http").patch("http://127.0.0.1:9/users/1", {json = {name = "Ada"}})
---```
---@async
---@param url string
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err as of `http.request`
---@return string? detail
function http.patch(url, opts)
  return ask("PATCH", url, opts)
end

---Deletes a resource.
---```lua
---require("neap.http").delete("http://127.0.0.1:9/users/1")
---```
---@async
---@param url string
---@param opts neap.HttpOptions?
---@return neap.HttpResponse? response
---@return string? err as of `http.request`
---@return string? detail
function http.delete(url, opts)
  return ask("DELETE", url, opts)
end

---How many connections this worker has at most, to one host and in total. Requests above that wait for their turn,
---within their timeout.
---```lua
---require("neap.http").maximum {per_host = 8, total = 64}
---```
---@param opts {per_host: integer?, total: integer?} default 32 and 256
function http.maximum(opts)
  opts = options.check(opts, {per_host = "number", total = "number"}, "http.maximum", 2)
  local per_host, total = math.tointeger(opts.per_host or 32), math.tointeger(opts.total or 256)
  if not per_host or not total or per_host < 1 or total < 1 then
    error("http.maximum: a number of connections is a whole number from 1", 2)
  end
  core.http.maximum(per_host, total)
end

return http
