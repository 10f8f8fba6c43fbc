---@meta
-- luacheck: ignore 212 241 (arguments and tables are there to be named)
-- What the core adds in C, described for editors and for the reference. This file is never loaded.
error "neap.app.native is documentation only"

---@class neap.Request
local Request = {}

---The whole body. It may be asked for again; after a first `read_chunk` it cannot.
---```lua
---app:post("/echo", function(req)
---  local body, err = req:body("10MB")
---  if not body then return nil, err end
---  return body
---end)
---```
---@param limit (integer|string)? bytes or "10MB"; default: the route's body_limit, else `limits.body`
---@return string? body nil when it did not come whole
---@return neap.BodyError? err
---@async
function Request:body(limit) end

---The next piece of the body: what has arrived, or the next to arrive. While nobody asks, the client has to wait.
---```lua
---app:put("/first", function(req)
---  local piece, err = req:read_chunk(100)
---  if err then return nil, err end
---  return piece or "nothing"
---end)
---```
---@param n integer? at most that many bytes; default 65536
---@return string? chunk nil at the end of the body
---@return neap.BodyError? err
---@async
function Request:read_chunk(n) end

---The first value of a header.
---```lua
---app:get("/", function(req) return req:header("User-Agent") or "nobody" end)
---```
---@param name string in any case
---@return string? value
function Request:header(name) end

---Whether the client is still there.
---```lua
---app:post("/work", function(req)
---  if not req:is_connected() then return nil, "nobody waits for this" end
---  return "done"
---end)
---```
---@return boolean
function Request:is_connected() end

---Runs a function after the last byte of the answer has left, or the client has: for work that nobody waits for.
---It belongs to the app: a client that leaves does not cancel it.
---```lua
---app:get("/", function(req)
---  req:after(function() neap.log.info("sent") end)
---  return "hello"
---end)
---```
---@param fn async fun()
function Request:after(fn) end

---The headers of a request: `headers["content-type"]` and `headers.Host` are first values, in any case, and
---`for name, value in pairs(headers)` goes through all of them.
---@class neap.Headers
---@field [string] string?
local Headers = {}

---Every value of a header that may come several times.
---```lua
---app:get("/", function(req) return req.headers:all("Via") end)
---```
---@param name string in any case
---@return string[] values in the order they came; empty when there is none
function Headers:all(name) end

---Where a stream writes to: `neap.res.stream` gives it to its function.
---@class neap.Out
local Out = {}

---Sends. Parks while more than 64 KiB wait for the client, so that a slow client slows only its own stream.
---```lua
---app:get("/", function()
---  return neap.res.stream(function(out) out:write("one, ", "two") end, {type = "text"})
---end)
---```
---@param ... string|number
---@return true? ok nil when the client has left
---@return "closed"? err
---@async
function Out:write(...) end

---Waits until everything that was written has left.
---```lua
---app:get("/", function()
---  return neap.res.stream(function(out)
---    out:write("first")
---    out:flush()
---    out:write("second")
---  end)
---end)
---```
---@return true? ok nil when the client has left
---@return "closed"? err
---@async
function Out:flush() end

---How much of what was written has not left yet.
---```lua
---app:get("/", function()
---  return neap.res.stream(function(out)
---    out:write(("x"):rep(1000))
---    neap.log.info("waiting for the client", {bytes = out:pending()})
---  end)
---end)
---```
---@return integer bytes
function Out:pending() end
