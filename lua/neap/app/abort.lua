-- Errors that carry a status: what `neap.abort` raises, and what `nil, err` from a handler becomes where it has
-- to pass through middleware.
local header = require "neap.app.header"
local reasons = require "neap.app.status"
local text = require "neap.text"

local abort = {}

---What `neap.abort` raises. Any error that is a table with a `status` is treated alike.
---@class neap.Abort
---@field status integer 300 to 599
---@field message string? for the client
---@field headers table<string, string>? for the answer
local Abort = {__name = "neap.Abort"}
function Abort:__tostring()
  return ("%d %s"):format(self.status, self.message or reasons[self.status] or "error")
end

---An error that a handler returned after nil.
---@class neap.Returned
---@field cause any what it returned
---@field is_returned true the core makes no traceback of it: it was raised by neap, not by the handler
local Returned = {__name = "neap.Returned"}
Returned.__index = Returned
function Returned:__tostring() return text.safe(self.cause) end

local function check_headers(headers, level)
  if headers == nil then return end
  if type(headers) ~= "table" then
    error(("neap.abort: the headers are a table, not %s"):format(text.quote(headers)), level + 1)
  end
  for name, value in pairs(headers) do header.value(header.name(name, level + 1), value, level + 1) end
end

---Raises an error with a status. See `neap.abort`.
---@param status integer
---@param message string?
---@param headers table<string, string>?
---@param level integer whose line wrong use is reported at, as in `error`
function abort.raise(status, message, headers, level)
  if math.type(status) ~= "integer" or status < 300 or status > 599 then
    error(("neap.abort takes a status from 300 to 599, not %s"):format(text.quote(status)), level + 1)
  end
  if message ~= nil and type(message) ~= "string" then
    error(("neap.abort: the message is a string, not a %s"):format(type(message)), level + 1)
  end
  check_headers(headers, level + 1)
  error(setmetatable({status = status, message = message, headers = headers}, Abort), 0)
end

---Whether `neap.abort` made it: then it has no fields but its own.
---@param err table
---@return boolean
function abort.is_one(err)
  return getmetatable(err) == Abort
end

---Raises what a handler returned after nil, in a form that `returned_by` knows again.
---@param cause any
function abort.raise_returned(cause)
  error(setmetatable({cause = cause, is_returned = true}, Returned), 0)
end

---The error that a handler returned, when `err` is one.
---@param err any
---@return any cause nil when `err` was raised
function abort.returned_by(err)
  return type(err) == "table" and getmetatable(err) == Returned and err.cause or nil
end

return abort
