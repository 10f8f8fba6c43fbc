-- One request to a server, and its answer taken apart.
--
--   local ask = require "spec.support.ask"
--   local answer = ask(s, "/path", {method = "POST", headers = {accept = "text/html"}, body = "..."})
--   assert.equal(200, answer.status)  answer.headers["content-type"]  answer.body  answer.is_whole
local core = require "neap.core"

local PATIENCE = 60 -- seconds without a byte

---@class spec.Answer
---@field status integer? nil when nothing came
---@field headers table<string, string> by lower-case name; several of a name are joined by ", "
---@field body string without the framing of chunks
---@field head string
---@field is_whole boolean the body is as long as the head says, or its last chunk came

---@class spec.Question
---@field method string?
---@field headers table<string, string>?
---@field body string? Content-Length is added
---@field socket neap.Socket? kept open for more; else a new one that the server closes

local function request_text(path, opts)
  local lines = {("%s %s HTTP/1.1"):format(opts.method or "GET", path), "Host: localhost"}
  if not opts.socket then lines[#lines + 1] = "Connection: close" end
  if opts.body then lines[#lines + 1] = "Content-Length: " .. #opts.body end
  for name, value in pairs(opts.headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (opts.body or "")
end

local function parse_head(head)
  local headers = {}
  for name, value in head:gmatch("\r\n([^:]+): ([^\r]*)") do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return tonumber(head:match("^HTTP/1%.[01] (%d+)")), headers
end

-- The bytes of a socket: what was received and not yet taken.
local Source = {}
Source.__index = Source

function Source:more()
  local piece = self.socket:recv(65536, PATIENCE)
  if not piece then return false end
  self.text = self.text .. piece
  return true
end

-- Up to and including `ending`; nil when the server closes before.
function Source:upto(ending)
  local from = 1
  while true do
    local _, last = self.text:find(ending, from, true)
    if last then return self:take(last) end
    from = math.max(1, #self.text - #ending + 2)
    if not self:more() then return nil end
  end
end

function Source:take(len)
  local piece = self.text:sub(1, len)
  self.text = self.text:sub(len + 1)
  return piece
end

-- `len` bytes, or fewer when the server closes before; and whether it was all.
function Source:exactly(len)
  local pieces, missing = {}, len
  while missing > 0 do
    if self.text == "" and not self:more() then break end
    local piece = self:take(missing)
    pieces[#pieces + 1], missing = piece, missing - #piece
  end
  return table.concat(pieces), missing == 0
end

function Source:chunked()
  local pieces = {}
  while true do
    local line = self:upto("\r\n")
    local size = line and tonumber(line:match("^%x+"), 16)
    if not size then return table.concat(pieces), false end
    local data, is_whole = self:exactly(size)
    pieces[#pieces + 1] = data
    if not is_whole or not self:upto("\r\n") then return table.concat(pieces), false end
    if size == 0 then return table.concat(pieces), true end
  end
end

function Source:rest()
  local pieces = {}
  repeat
    pieces[#pieces + 1] = self.text
    self.text = ""
  until not self:more()
  return table.concat(pieces), true
end

local function read_body(source, answer, method)
  local length = tonumber(answer.headers["content-length"])
  if method == "HEAD" or answer.status == 204 or answer.status == 304 then return "", true end
  if answer.headers["transfer-encoding"] then return source:chunked() end
  if length then return source:exactly(length) end
  return source:rest()
end

---@param s spec.Server
---@param path string as it is sent
---@param opts spec.Question?
---@return spec.Answer
---@async
local function ask(s, path, opts)
  opts = opts or {}
  local socket = opts.socket or assert(core.connect("127.0.0.1", s.port))
  socket:send(request_text(path, opts))
  local source = setmetatable({socket = socket, text = ""}, Source)
  local answer = {headers = {}, body = "", head = "", is_whole = false}
  repeat
    answer.head = source:upto("\r\n\r\n") or ""
    answer.status, answer.headers = parse_head(answer.head)
  until answer.status ~= 100
  if answer.status then answer.body, answer.is_whole = read_body(source, answer, opts.method) end
  if not opts.socket then
    answer.extra = source:rest() -- what came behind the answer: nothing, if all is well
    socket:close()
  end
  return answer
end

return ask
