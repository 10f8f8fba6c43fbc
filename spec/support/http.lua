-- Bytes to a server and answers back, for specs that mind every byte.
--
--   local http = require "spec.support.http"
--   local conn = http.open(s)
--   conn:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
--   local answer = conn:answer()       -- .status .headers .body .is_whole
--   assert.equal("", conn:rest())      -- waits until the server closes
--
--   http.each_way(s, bytes, function(exchange) ... end)   -- whole, byte by byte, at random cuts
local core = require "neap.core"
local task = require "neap.task"

local http = {}

local PATIENCE = 60 -- seconds without a byte, then the spec fails
local CUTS = 4      -- random cuts of a request

-- A request that asks for "/end" and is the last one: what follows a message that was read to its right end.
http.END = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

local QUARANTINE = ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"

-- The environment of a server whose memory is measured: under AddressSanitizer, freed memory is given back.
http.LEAN = {ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. QUARANTINE}

---@class spec.Reply
---@field status integer
---@field head string with its empty line
---@field headers table<string, string> by lower-case name; several of a name are joined by ", "
---@field body string without the framing of chunks
---@field is_whole boolean the body is as long as the head says, or its last chunk came

---@class spec.Connection
---@field socket neap.Socket
---@field text string received
---@field taken integer how much of it
---@field has_ended boolean nothing more will come
local Connection = {}
Connection.__index = Connection
function Connection:__gc() self.socket:close() end -- a spec need not; left alone, the socket would be logged as leaked

---@param s spec.Server
---@return spec.Connection
---@async
function http.open(s)
  local socket = assert(core.connect("127.0.0.1", s.port))
  return setmetatable({socket = socket, text = "", taken = 0, has_ended = false}, Connection)
end

---Sends, whole. Nothing happens when the server has closed: its answer tells why.
---@async
function Connection:send(text)
  self.socket:send(text)
  return self
end

-- A small generator of its own, so that a failure can be repeated.
local function random(seed)
  local state = seed
  return function(most)
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % most + 1
  end
end
http.random = random

local ways = {}

function ways.whole(_, _)
  return {}
end

function ways.bytes(text)
  local cuts = {}
  for i = 1, #text - 1 do cuts[i] = i end
  return cuts
end

function ways.cuts(text, seed)
  local pick, cuts = random(seed), {}
  for i = 1, CUTS do cuts[i] = pick(#text) end
  table.sort(cuts)
  return cuts
end

---Sends in pieces: "whole", "bytes" one by one, "cuts" at random.
---@param text string
---@param way string
---@param seed integer?
---@async
function Connection:send_in(text, way, seed)
  local from = 1
  for _, cut in ipairs(ways[way](text, seed)) do
    if cut >= from then
      self.socket:send(text:sub(from, cut))
      from = cut + 1
      task.yield()
    end
  end
  return self:send(text:sub(from))
end

-- The bytes received and not yet taken; `text` has taken ones before them, so that taking little is cheap.
function Connection:waiting()
  return #self.text - self.taken
end

-- False when nothing more comes.
function Connection:more()
  if self.has_ended then return false end
  local piece, err = self.socket:recv(65536, PATIENCE)
  if err == "timeout" then error("the server is silent and does not close; so far: " .. self.text, 0) end
  self.has_ended = not piece
  self.text, self.taken = self.text:sub(self.taken + 1) .. (piece or ""), 0
  return piece ~= nil
end

function Connection:take(len)
  local piece = self.text:sub(self.taken + 1, self.taken + len)
  self.taken = self.taken + #piece
  return piece
end

-- Up to and including `ending`; nil when the server closes before.
function Connection:upto(ending)
  while true do
    local _, last = self.text:find(ending, self.taken + 1, true)
    if last then return self:take(last - self.taken) end
    if not self:more() then return nil end
  end
end

-- `len` bytes, or fewer when the server closes before; and whether it was all.
function Connection:exactly(len)
  local pieces, missing = {}, len
  repeat -- what is taken does not pass through `text` again
    local piece = self:take(missing)
    pieces[#pieces + 1] = piece
    missing = missing - #piece
  until missing == 0 or not self:more()
  return table.concat(pieces), missing == 0
end

function Connection:chunked()
  local pieces = {}
  while true do
    local line = self:upto("\r\n")
    local size = line and tonumber(line:match("^(%x+)\r\n$"), 16)
    if not size then return table.concat(pieces), false end
    local data, is_whole = self:exactly(size)
    pieces[#pieces + 1] = data
    if not is_whole or self:exactly(2) ~= "\r\n" then return table.concat(pieces), false end
    if size == 0 then return table.concat(pieces), true end
  end
end

---Everything that still comes until the server closes.
---@async
function Connection:rest()
  local pieces = {}
  repeat pieces[#pieces + 1] = self:take(self:waiting()) until not self:more()
  return table.concat(pieces)
end

function Connection:body(answer, method)
  local length = tonumber(answer.headers["content-length"])
  local status = answer.status
  if method == "HEAD" or status < 200 or status == 204 or status == 304 then return "", true end
  if answer.headers["transfer-encoding"] then return self:chunked() end
  if length then return self:exactly(length) end
  return self:rest(), true
end

---The next answer, 1xx included; nil when the server closes before its head is there.
---@param method string? of its request: HEAD has no body
---@return spec.Reply?
---@async
function Connection:answer(method)
  local head = self:upto("\r\n\r\n")
  if not head then return nil end
  local status = tonumber(head:match("^HTTP/1%.1 (%d%d%d) [^\r\n]+\r\n"))
  assert(status, "this is no answer: " .. head)
  local answer = {status = status, head = head, headers = {}}
  for name, value in head:gmatch("\r\n([^:\r\n]+): ([^\r\n]*)") do
    name = name:lower()
    answer.headers[name] = answer.headers[name] and answer.headers[name] .. ", " .. value or value
  end
  answer.body, answer.is_whole = self:body(answer, method)
  return answer
end

---Every answer until the server closes, and what came behind the last.
---@param methods string[]? of their requests
---@return spec.Reply[] answers
---@return string rest
---@async
function Connection:answers(methods)
  local answers = {}
  repeat
    answers[#answers + 1] = self:answer(methods and methods[#answers + 1])
  until self.has_ended and not self.text:find("\r\n\r\n", self.taken + 1, true)
  return answers, self:take(self:waiting())
end

function Connection:close()
  self.socket:close()
end

function Connection:reset()
  self.socket:reset()
end

---Feeds the same bytes whole, one by one and at random cuts, each time on a connection of its own that the server
---has to close, and gives each time's answers to `check`.
---@param s spec.Server
---@param bytes string
---@param check fun(answers: spec.Reply[], rest: string)
---@param methods string[]?
---@async
function http.each_way(s, bytes, check, methods)
  for _, way in ipairs {"whole", "bytes", "cuts"} do
    local conn = http.open(s):send_in(bytes, way, #bytes)
    local answers, rest = conn:answers(methods)
    conn:close()
    local ok, err = pcall(check, answers, rest)
    if not ok then error(("sent %s: %s"):format(way, type(err) == "table" and err.message or err), 0) end
  end
end

---The bytes are refused with `status`: one answer, and the connection is closed.
---@param s spec.Server
---@param bytes string
---@param status integer
---@param behind string? what follows in the same connection and must not be read as a request; default `http.END`
---@async
function http.refuses(s, bytes, status, behind)
  http.each_way(s, bytes .. (behind or http.END), function(answers, rest)
    local first = answers[1]
    assert(first, "no answer")
    assert(first.status == status, ("answered %d, not %d"):format(first.status, status))
    assert(first.headers.connection == "close", "no Connection: close")
    assert(first.is_whole and rest == "", "the answer is not whole")
    assert(#answers == 1, "what follows was answered too: " .. (answers[2] and answers[2].body or ""))
  end)
end

---The bytes are one request that is answered with 200, and what follows is the next request.
---@param s spec.Server
---@param bytes string
---@param body string? of the answer; nil = any
---@async
function http.accepts(s, bytes, body)
  http.each_way(s, bytes .. http.END, function(answers, rest)
    local first, second = answers[1], answers[2]
    assert(first and first.status == 200, "answered " .. (first and first.status or "nothing"))
    assert(not body or first.body == body, ("answered %q"):format(first.body))
    assert(second and second.body == "end", "the next request was not found")
    assert(#answers == 2 and rest == "", "more than two answers")
  end)
end

-- The application that most of these specs ask.
http.APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:get("/end", function() return "end" end)
  app:any("/echo", function(req)
    local body, err = req:body()
    if not body then return 200, "no body: " .. err end
    return 200, req.method .. " " .. body
  end)
  app:any("/unread", function() return "unread" end)
  app:any("/head", function(req)
    local lines = {}
    for name, value in pairs(req.headers) do lines[#lines + 1] = name .. "=" .. value end
    return table.concat(lines, "\n")
  end)
  app:any("/trailers", function(req)
    local body, err = req:body()
    local lines = {body or "no body: " .. err}
    for name, value in pairs(req.trailers) do lines[#lines + 1] = name .. "=" .. value end
    table.sort(lines, function(a, b) return a == body or b ~= body and a < b end)
    lines[#lines + 1] = "header " .. tostring(req.headers["x-check"])
    return table.concat(lines, "\n")
  end)
  app:any("/early", function(req)
    local before = next(req.trailers)
    req:body()
    return tostring(before) .. " " .. tostring(req.trailers["x-sum"])
  end)
  app:any("/", function(req) return req.raw_path .. " " .. req.authority end)
  app:any("/*rest", function(req) return req.raw_path .. " " .. req.raw_query end)
  return app]]

---Two functions that make a test of each row {what, bytes, ...} of a table: requests that are refused with a status
---(default 400), and requests that are taken with an answer's body.
---@param it function busted's, which only spec files can see
---@param current fun(): spec.Server the server, once the tests run
---@return fun(cases: table) refuses
---@return fun(cases: table) accepts
function http.tables(it, current)
  local function refuses(cases)
    for _, case in ipairs(cases) do
      it("refuses " .. case[1], function() http.refuses(current(), case[2], case[3] or 400) end)
    end
  end
  local function accepts(cases)
    for _, case in ipairs(cases) do
      it("takes " .. case[1], function() http.accepts(current(), case[2], case[3]) end)
    end
  end
  return refuses, accepts
end

return http
