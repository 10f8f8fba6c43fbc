-- The answer to an HTTP request of ours.
local headers = require "neap.http.headers"
local json = require "neap.json"

---The answer of another server. `body` is nil when the answer is streamed: then take it by `chunks` or `read_chunk`,
---and close it when it is not wanted to its end, or keep it in a `<close>` variable.
---@class neap.HttpResponse
---@field status integer
---@field headers neap.Headers
---@field body string? decoded when it came compressed
---@field url string where it came from, after redirects
---@field transfer any? while it is streamed
---@field patience integer? of one wait for a chunk, in milliseconds
local Response = {__name = "neap.HttpResponse"}
Response.__index = Response

---The value that the body is the JSON of.
---```lua
---local http = require "neap.http"
---local answer, err = http.get("http://127.0.0.1:9/status.json")
---if answer then print(answer:json().state) else print(err) end
---```
---@return any value
---@return string? err with nil: what is wrong with it
function Response:json()
  return json.decode(self.body or "")
end

---The next piece of a streamed answer. While nobody asks, the server has to wait.
---```lua
---local http = require "neap.http"
---local answer <close> = http.get("http://127.0.0.1:9/feed", {stream = true})
---if answer then print(answer:read_chunk()) end
---```
---@async
---@return string? chunk nil at the end
---@return string? err "timeout", "truncated", ...
---@return string? detail
function Response:read_chunk()
  if not self.transfer then return nil end
  local chunk, err, detail = self.transfer:read(self.patience)
  if not chunk then self:close() end
  return chunk, err, detail
end

---Iterates over the pieces of a streamed answer, at the speed at which the loop takes them. Raises when the answer does
---not come whole, so that a loop that ends has seen everything; `read_chunk` returns the error instead.
---```lua
---local http = require "neap.http"
---local answer <close> = http.get("http://127.0.0.1:9/large.csv", {stream = true})
---local bytes = 0
---if answer then
---  for chunk in answer:chunks() do bytes = bytes + #chunk end
---end
---```
---@return async fun(): string?
function Response:chunks()
  return function()
    local chunk, err = self:read_chunk()
    if err then error(("the answer of %s: %s"):format(self.url, err), 2) end
    return chunk
  end
end

---Gives a streamed answer up. The connection is closed unless the answer was at its end.
---```lua
---local http = require "neap.http"
---local answer = http.get("http://127.0.0.1:9/", {stream = true})
---if answer then answer:close() end
---```
function Response:close()
  if self.transfer then self.transfer:close() end
  self.transfer = nil
end

Response.__close = Response.close

local response = {}

---@param status integer
---@param head string its header lines
---@param url string
---@return neap.HttpResponse
function response.new(status, head, url)
  return setmetatable({status = status, headers = headers.parse(head), url = url}, Response)
end

return response
