-- Multipart forms, part by part, as they arrive: nothing is kept in memory but the piece at hand. The bytes are
-- parsed by the core; this makes parts of its events. `req:multipart()` is `parts` of this module.
local abort = require "neap.app.abort"
local config = require "neap.config"
local core = require "neap.core"
local options = require "neap.base.options"
local text = require "neap.text"
local units = require "neap.base.units"

local multipart = {}

local FIELD_LIMIT = 1024 * 1024 -- of part:body()

-- What a form that cannot be read to its end is answered with.
local FAULTS = {
  invalid = {400, "the form is malformed"},
  too_many = {413, "the form has too many parts"},
  too_large = {413, "a part of the form has too many headers"},
}
local BODY_FAULTS = {
  invalid = {400, "the body is invalid"},
  aborted = {400, "the body was aborted"},
  timeout = {408, "the body came too slowly"},
  too_large = {413, "the body is too large"},
}

local function fail(faults, err)
  local fault = faults[err] or faults.invalid
  abort.raise(fault[1], fault[2], nil, 2)
end

-- Where the reading of one form is: the parser's events that nobody has taken yet.
local Reader = {}
Reader.__index = Reader

-- Whether there is more of the body.
function Reader:read()
  local chunk, err = self.req:read_chunk()
  if err then fail(BODY_FAULTS, err) end
  if not chunk then
    local ok, fault = self.parser:finish()
    if not ok then fail(FAULTS, fault) end
    return false
  end
  self.chunk, self.from = chunk, 1
  return true
end

function Reader:refill()
  if not self.from and not self:read() then return false end
  local events, from = self.parser:feed(self.chunk, self.from)
  if not events then fail(FAULTS, from) end
  self.events, self.taken, self.from = events, 0, from
  return true
end

function Reader:next_event()
  while self.taken == #self.events do
    if not self:refill() then return nil end
  end
  self.taken = self.taken + 1
  return self.events[self.taken]
end

---One field or file of a form. Read it before going on to the next: what was not read is skipped then.
---@class neap.Part
---@field name string of the form's field
---@field filename string? as the client says: text to show, never a path to write to
---@field content_type string? as the client says
---@field headers table<string, string> all headers of the part, names in lower case
---@field private _reader table
---@field private _state "unread"|"open"|"done"|"skipped"
local Part = {__name = "neap.Part"}
Part.__index = Part

function Part:_check_not_skipped(level)
  if self._state ~= "skipped" then return end
  error(("part %s is over: read it before going on to the next one"):format(text.quote(self.name)), level + 1)
end

-- The next piece of the content, nil at its end.
function Part:_next()
  if self._state == "done" then return nil end
  self:_check_not_skipped(3)
  self._state = "open"
  local event = self._reader:next_event()
  if event and event.type == "data" then return event.data end
  self._state = "done"
end

-- For what needs the content from its beginning.
function Part:_check_unread(what)
  if self._state == "unread" then return end
  self:_check_not_skipped(3)
  error(("part:%s: part %s was already read"):format(what, text.quote(self.name)), 3)
end

---The content piece by piece, as it arrives.
---```lua
---app:post("/count", function(req)
---  local bytes = 0
---  for part in req:multipart() do
---    for chunk in part:chunks() do bytes = bytes + #chunk end
---  end
---  return {bytes = bytes}
---end)
---```
---@return async fun(): string?
function Part:chunks()
  return function() return self:_next() end
end

---The whole content of a small part.
---```lua
---app:post("/form", function(req)
---  local fields = {}
---  for part in req:multipart() do fields[part.name] = assert(part:body("64KB")) end
---  return fields
---end)
---```
---@param limit (integer|string)? bytes or "64KB"; default "1MB"
---@return string? content
---@return "too_large"? err
---@async
function Part:body(limit)
  local most = FIELD_LIMIT
  if limit ~= nil then
    local bytes, reason = units.size(limit)
    if not bytes then error("part:body: " .. reason, 2) end
    most = bytes
  end
  self:_check_unread("body")
  local pieces, size = {}, 0
  for chunk in self:chunks() do
    size = size + #chunk
    if size > most then return nil, "too_large" end
    pieces[#pieces + 1] = chunk
  end
  return table.concat(pieces)
end

-- A file beside `path` that is gone again unless `kept` is set.
local function temporary(path)
  local self = {name = ("%s.%s.part"):format(path, text.hex(core.random(8))), kept = false}
  return setmetatable(self, {__close = function() if not self.kept then os.remove(self.name) end end})
end

---Writes the content to a file, under another name until it is whole. Choose `path` yourself: `part.filename` is
---what the client likes it to be.
---```lua
---app:post("/upload", function(req)
---  for part in req:multipart() do
---    if part.name == "photo" then return {bytes = assert(part:save("uploads/photo.jpg"))} end
---  end
---  return 422, "send a photo"
---end)
---```
---@param path string an existing file is replaced
---@return integer? bytes
---@return string? err what the system says, such as "...: No space left on device"
---@async
function Part:save(path)
  if type(path) ~= "string" then error(("part:save takes a path, not %s"):format(text.quote(path)), 2) end
  self:_check_unread("save")
  local temp <close> = temporary(path)
  local opened, err = io.open(temp.name, "wb")
  if not opened then return nil, err end
  local file <close> = opened
  local bytes = 0
  for chunk in self:chunks() do
    local ok, reason = file:write(chunk)
    if not ok then return nil, reason end
    bytes = bytes + #chunk
  end
  local ok, reason = file:close()
  if ok then ok, reason = os.rename(temp.name, path) end
  if not ok then return nil, reason end
  temp.kept = true
  return bytes
end

local function skip(part)
  if part._state == "done" then return end
  while part:_next() do end
  part._state = "skipped"
end

---The parts of a form, one after the other. Raises an error with a status (400, 408, 413; 415 when the body is no
---multipart form) when the form cannot be read to its end, so that a loop that ends has seen everything.
---```lua
---app:post("/upload", function(req)
---  local saved = {}
---  for part in req:multipart() do
---    if part.filename then saved[part.name] = assert(part:save("uploads/" .. part.name:gsub("%W", "_"))) end
---  end
---  return saved
---end)
---```
---@param req neap.Request
---@param opts { max_parts: integer? }? default: the setting limits.parts
---@return async fun(): neap.Part?
---@async
function multipart.parts(req, opts)
  opts = options.check(opts, {max_parts = "number"}, "req:multipart", 2)
  local boundary = core.boundary(req.headers["content-type"] or "")
  if not boundary then abort.raise(415, "the body is not a multipart form", nil, 2) end
  local limits = config.limits
  local max_parts = opts.max_parts or limits and limits.parts
  local parser = core.multipart(boundary, {max_parts = max_parts})
  local reader = setmetatable({req = req, parser = parser, events = {}, taken = 0}, Reader)
  return function()
    if reader.part then skip(reader.part) end
    local event = reader:next_event()
    if not event then
      reader.part = nil
      return nil
    end
    reader.part = setmetatable({
      name = event.name, filename = event.filename, content_type = event.content_type, headers = event.headers,
      _reader = reader, _state = "unread",
    }, Part)
    return reader.part
  end
end

return multipart
