-- Content negotiation: which of the types on offer the client's Accept header likes best (RFC 9110, 12.5.1).
local memo = require "neap.base.memo"
local mime = require "neap.app.mime"
local text = require "neap.text"

local negotiation = {}

local MAX_BYTES = 1024 -- of a header that are looked at: browsers send 150

-- "text/html;q=0.8" -> {kind, subtype, q}; nil when it is malformed or has parameters of its own.
local function parse_range(piece)
  local pieces = text.split_quoted(piece, ";")
  local kind, subtype = (pieces[1] or ""):lower():match("^([^/%s]+)/([^/%s]+)$")
  if not kind then return nil end
  local range = {kind = kind, subtype = subtype, q = 1}
  for i = 2, #pieces do
    local q = pieces[i]:match("^[Qq]%s*=%s*([%d.]+)$")
    if not q then return nil end
    range.q = math.min(tonumber(q) or 0, 1)
  end
  return range
end

---The media ranges of an Accept header.
---@param header string
---@return {kind: string, subtype: string, q: number}[]
function negotiation.parse(header)
  local ranges = {}
  for _, piece in ipairs(text.split_quoted(header:sub(1, MAX_BYTES), ",")) do
    ranges[#ranges + 1] = parse_range(piece)
  end
  return ranges
end

local function specificity(range, kind, subtype)
  if range.kind == kind and range.subtype == subtype then return 3 end
  if range.kind == kind and range.subtype == "*" then return 2 end
  if range.kind == "*" and range.subtype == "*" then return 1 end
  return 0
end

-- The most specific range that covers the type decides its quality.
local function quality(ranges, mime_type)
  local kind, subtype = mime_type:lower():match("^([^/%s;]+)/([^/%s;]+)")
  local best, q = 0, 0
  for _, range in ipairs(ranges) do
    local s = specificity(range, kind, subtype)
    if s > best then best, q = s, range.q end
  end
  return q
end

---Which of `offered` the header likes best. Among equals, the one that is offered first.
---@param header string? nil: everything is fine
---@param offered string[] short names ("json", "html", "text") or media types
---@return string? # as it was offered; nil when the client refuses all
function negotiation.best(header, offered)
  if not header or text.trim(header) == "" then return offered[1] end
  local ranges = negotiation.parse(header)
  local best, best_q = nil, 0
  for _, name in ipairs(offered) do
    local mime_type = mime.of_name(name == "text" and "txt" or name)
    if not mime_type then error(("req:accepts: %s is not a media type"):format(text.quote(name)), 3) end
    local q = quality(ranges, mime_type)
    if q > best_q then best, best_q = name, q end
  end
  return best
end

---A function that says which of `offered` a header likes best, and remembers it: a few texts are nearly all that clients send.
---@param offered string[] as in `negotiation.best`
---@param otherwise string for the client that refuses all
---@return fun(header: string?): string
function negotiation.chooser(offered, otherwise)
  local choose = memo(function(header) return negotiation.best(header, offered) or otherwise end)
  return function(header) return header and choose(header) or offered[1] end
end

return negotiation
