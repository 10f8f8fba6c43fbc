-- Requests and frames by chance, right ones and broken ones, for the application of everything.lua.
--
--   local some = run:chance("peer 1")            -- some(n): 1 to n
--   local bytes, kind = mischief.bytes(some)     -- what one connection sends; kind: for figures
--   local bytes = mischief.frames(some)          -- what a WebSocket sends after its handshake
local ws = require "spec.support.ws"

local mischief = {}

local function pick(some, list)
  return list[some(#list)]
end

local function text(some, most)
  return (pick(some, {"x", "\0", "\r\n", "\xff", "ab ", "€"})):rep(some(most) // 2 + 1)
end

-- ---- Requests as they should be -----------------------------------------------------------------

local GETS = {"/", "/json", "/large", "/slow", "/error", "/nil", "/abort", "/any/a/b?x=1", "/unread", "/deep", "/visits",
  "/stream", "/stream?n=200", "/stream?raise=1", "/flood", "/sse", "/after", "/after?raise=1", "/after?n=200", "/static/file.txt",
  "/static/small.css", "/static/none", "/file", "/poll", "/poll?after=1.1", "/poll?after=0", "/poll?after=x", "/poll?t=room&slow=1",
  "/poll?t=room&refuse=1", "/events", "/events?after=1.1", "/events?t=room", "/serve", "/serve?after=0", "/both", "/both?after=1.1.1",
  "/wait", "/db", "/?middleware=raise", "/?middleware=late", "/none", "/honest/7", "/ws/echo"}
local HEADS = {"", "", "", "Connection: close\r\n", "Accept-Encoding: gzip\r\n", "Accept: text/event-stream\r\n", "Range: bytes=5-90\r\n",
  "Range: bytes=0-1,5-6,900-\r\n", "If-None-Match: *\r\n", "Cookie: session=broken; a=b\r\n", "Last-Event-ID: 1.1\r\n",
  "Expect: 100-continue\r\n", "X-Forwarded-For: 1.2.3.4\r\n", "Accept: text/html\r\n"}

local function get(some)
  local method = some(8) == 1 and pick(some, {"HEAD", "OPTIONS", "DELETE", "TRACE"}) or "GET"
  return ("%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(method, pick(some, GETS), pick(some, HEADS))
end

local function chunked(some, body)
  local parts, from = {}, 1
  while from <= #body do
    local len = math.min(some(1 + #body // 2), #body - from + 1)
    parts[#parts + 1] = ("%x%s\r\n%s\r\n"):format(len, some(6) == 1 and ";a=b" or "", body:sub(from, from + len - 1))
    from = from + len
  end
  return table.concat(parts) .. "0\r\n" .. (some(4) == 1 and "X-Trailer: 1\r\n" or "") .. "\r\n"
end

local function post(some, method, path, kind, body)
  local head = ("%s %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n%s"):format(method, path, kind, pick(some, HEADS))
  if some(2) == 1 then return ("%sContent-Length: %d\r\n\r\n%s"):format(head, #body, body) end
  return head .. "Transfer-Encoding: chunked\r\n\r\n" .. chunked(some, body)
end

local function multipart(some)
  local parts = {}
  for i = 1, some(5) do
    local name = pick(some, {"a", "skip", "keep", "file"})
    parts[i] = ("--b\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n"):format(name,
      some(2) == 1 and ("; filename=\"%s\""):format(name) or "", text(some, 3000))
  end
  return table.concat(parts) .. (some(6) == 1 and "" or "--b--\r\n")
end

local function form(some)
  return ("name=%s&a=%%20&b=%%zz&c"):format(("v"):rep(some(500)))
end

local BODIES = {
  function(some) return post(some, "POST", "/body", "text/plain", text(some, 30000)) end,
  function(some) return post(some, "POST", "/body", "text/plain", ("big"):rep(70000)) end,
  function(some) return post(some, "POST", "/json", "application/json", pick(some, {"{\"a\":[1,2]}", "[", "{\"a\":", "nul", "1e999"})) end,
  function(some) return post(some, "POST", "/form", "application/x-www-form-urlencoded", form(some)) end,
  function(some) return post(some, "POST", "/form", "multipart/form-data; boundary=b", multipart(some)) end,
  function(some) return post(some, "POST", "/upload", "multipart/form-data; boundary=b", multipart(some)) end,
  function(some) return post(some, "PUT", "/pieces", "text/plain", text(some, 20000)) end,
  function(some) return post(some, "POST", "/relay", "text/plain", text(some, 90000)) end,
  function(some) return post(some, "POST", "/early", "text/plain", text(some, 90000)) end,
  function(some) return post(some, "POST", "/endless", "text/plain", text(some, 90000)) end,
  function(some) return post(some, "POST", "/larger", "text/plain", text(some, 90000)) end,
  function(some) return post(some, "POST", ("/news?t=%d"):format(some(10000)), "text/plain", text(some, 2000)) end,
  function(some) return post(some, "POST", "/unread", "text/plain", text(some, 9000)) end,
  function(some) return post(some, "POST", "/news" .. (some(2) == 1 and "?t=room" or ""), "text/plain", text(some, 2000)) end,
  function(some) return post(some, "POST", "/db", "text/plain", text(some, 200)) end,
  function(some) return post(some, "POST", "/any/x", "text/plain", text(some, 10)) end,
}

local function valid(some)
  if some(2) == 1 then return get(some) end
  return pick(some, BODIES)(some)
end

-- ---- Broken ones --------------------------------------------------------------------------------

local BROKEN = {
  "\22\3\1\2\0\1\0\1\252\3\3", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\0", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
  "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /%zz%00/../.. HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /poll HTTP/1.0\r\n\r\n", "GET /stream HTTP/1.0\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
  "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
  "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
  "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
  "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
  "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
  "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "POST /relay HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
  "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
  "POST /endless HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
  "POST /larger HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
  "POST /larger HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello",
  "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
  "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nBad Trailer\r\n\r\n",
  "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 40\r\n\r\n--b\r\n" ..
    "Content-Disposition: form-data\r\n\r\nabc",
  "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nshort",
}

local function huge(some)
  local kind = some(4)
  if kind == 1 then return "GET / HTTP/1.1\r\nHost: a\r\nX: " .. ("h"):rep(some(40000)) end
  if kind == 2 then return "GET /" .. ("u"):rep(some(20000)) .. " HTTP/1.1\r\nHost: a\r\n\r\n" end
  if kind == 3 then return "GET / HTTP/1.1\r\nHost: a\r\n" .. ("A: b\r\n"):rep(some(400)) .. "\r\n" end
  return ("GET /any/" .. ("a/"):rep(some(300)) .. " HTTP/1.1\r\nHost: a\r\nX:" .. (" \t"):rep(some(900)) .. "\r\n\r\n")
end

-- Some bytes are another, are missing, or come twice.
local function spoilt(some)
  local bytes = valid(some)
  for _ = 1, some(3) do
    local at = some(math.min(#bytes, 300))
    local how = some(3)
    local middle = how == 1 and string.char(some(256) - 1) or how == 2 and "" or bytes:sub(at, at):rep(2)
    bytes = bytes:sub(1, at - 1) .. middle .. bytes:sub(at + 1)
    if bytes == "" then return "x" end
  end
  return bytes
end

local function pipelined(some)
  local list = {}
  for i = 1, some(30) do list[i] = some(12) == 1 and spoilt(some) or get(some) end
  return table.concat(list)
end

local KINDS = {
  {"valid requests", valid}, {"valid requests", valid}, {"valid requests", valid},
  {"requests cut short", function(some)
    local bytes = valid(some)
    return bytes:sub(1, some(#bytes))
  end},
  {"spoilt requests", spoilt}, {"broken requests", function(some) return pick(some, BROKEN) .. (some(3) == 1 and get(some) or "") end},
  {"huge requests", huge}, {"pipelined requests", pipelined},
}

---What one connection sends.
---@param some fun(most: integer): integer
---@return string bytes
---@return string kind
function mischief.bytes(some)
  local kind = pick(some, KINDS)
  return kind[2](some), kind[1]
end

-- ---- WebSockets ---------------------------------------------------------------------------------

local SOCKETS = {"/ws/callback", "/ws/callback", "/ws/echo", "/ws/kept", "/ws/flood", "/serve", "/serve?after=0", "/serve?t=room&slow=1",
  "/both?after=1.1"}
local OFFERS = {"permessage-deflate", "permessage-deflate; client_max_window_bits=9", "permessage-deflate; server_no_context_takeover",
  "x-none; a=b"}

---The bytes that ask for a WebSocket, sometimes wrongly.
---@param some fun(most: integer): integer
---@return string
function mischief.handshake(some)
  local fields = {}
  if some(2) == 1 then fields["Sec-WebSocket-Extensions"] = pick(some, OFFERS) end
  local wrong = some(20)
  if wrong == 1 then fields["Sec-WebSocket-Version"] = "12" end
  if wrong == 2 then fields["Sec-WebSocket-Key"] = false end
  if wrong == 3 then fields.Origin = "https://example.org" end
  if wrong == 4 then fields["Sec-WebSocket-Key"] = "short" end
  return ws.request(pick(some, SOCKETS), fields)
end

local MESSAGES = {"hello", "raise", "sleep", "close", ""}

local function frame(some)
  local how = some(16)
  if how <= 8 then return ws.frame(some(2), pick(some, MESSAGES)) end
  if how == 9 then return ws.frame(ws.TEXT, text(some, 4000)) end
  if how == 10 then return ws.frame(some(16) - 1, "any", {rsv = some(8) - 1, fin = some(2) == 1}) end
  if how == 11 then return ws.frame(ws.TEXT, "no mask", {mask = false}) end
  if how == 12 then return ws.frame(ws.BINARY, "lies", {length = some(2) == 1 and 100000 or 1 << 62}) end
  if how == 13 then return ws.frame(ws.PING, ("p"):rep(some(200))) end
  if how == 14 then return ws.frame(ws.TEXT, "deflated?", {rsv = 4}) end
  if how == 15 then
    return ws.frame(ws.TEXT, "one ", {fin = false}) .. ws.frame(ws.PING, "") .. ws.frame(ws.CONTINUATION, "two", {fin = some(3) > 1})
  end
  return ws.close_frame(pick(some, {1000, 1001, 999, 1005, 3000, 5000}), text(some, 20))
end

---What a WebSocket sends.
---@param some fun(most: integer): integer
---@return string
function mischief.frames(some)
  local list = {}
  for i = 1, some(20) do list[i] = frame(some) end
  if some(12) == 1 then list = {ws.frame(ws.TEXT, "1"):rep(some(3000))} end
  local bytes = table.concat(list)
  return some(4) == 1 and bytes:sub(1, some(#bytes)) or bytes
end

return mischief
