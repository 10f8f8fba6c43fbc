-- The error path: turns whatever was raised or returned into a failure {status, message, id, ...}, logs it once
-- when it was unexpected, and asks the app's on_error handlers, then the built-in pages, for the answer.
local abort = require "neap.app.abort"
local core = require "neap.core"
local errorpage = require "neap.app.errorpage"
local header = require "neap.app.header"
local log = require "neap.base.own_log"
local res = require "neap.res"
local text = require "neap.text"

local errors = {}

---What an `app:on_error` handler is told.
---@class neap.Failure
---@field status integer of the answer
---@field message string what the client may be told
---@field headers table<string, string|string[]>? to be sent with the answer, such as Allow
---@field id string? 16 hex digits, also in the log; nil when the error was foreseen (it has a status)
---@field cause any what was raised, or returned after nil
---@field traceback string? where it was raised
local Failure = {__name = "neap.Failure"}
Failure.__index = Failure
function Failure:__tostring() return ("%d %s"):format(self.status, self.message) end

local function foreseen(status, message, headers, cause)
  return setmetatable({
    status = status, message = message or errorpage.reasons[status], headers = headers, cause = cause,
  }, Failure)
end

local function index(object, name)
  return object[name]
end

-- Fields of an error object whose metamethods may fail.
local function field(err, name)
  local own = rawget(err, name)
  if own ~= nil or abort.is_one(err) then return own end
  local ok, value = pcall(index, err, name)
  return ok and value or nil
end

-- The status that an error carries; nil: nobody foresaw it.
local function status_of(err)
  local status = type(err) == "table" and field(err, "status")
  return math.type(status) == "integer" and status >= 300 and status <= 599 and status or nil
end

---The failure that an error stands for.
---@param err any what was raised or returned
---@param traceback string? nil when it was returned
---@return neap.Failure
function errors.failure(err, traceback)
  local returned = abort.returned_by(err)
  if returned ~= nil then err, traceback = returned, nil end
  local status = status_of(err)
  if status then
    local message, headers = field(err, "message"), field(err, "headers")
    if type(message) ~= "string" then message = nil end
    if type(headers) ~= "table" then headers = nil end
    return foreseen(status, message, headers, err)
  end
  return setmetatable({
    status = 500, message = errorpage.reasons[500], id = text.hex(core.random(8)), cause = err, traceback = traceback,
  }, Failure)
end

-- The newest failures, for `neap errors`.
local RECENT = 50
local recent = {}

local function remember(req, failure, message)
  if #recent == RECENT then table.remove(recent, 1) end
  recent[#recent + 1] = {id = failure.id, time = os.date("!%Y-%m-%dT%H:%M:%SZ"), method = req.method, path = req.path,
    message = message, traceback = failure.traceback}
end

local function log_failure(req, failure, where)
  local message = where .. text.safe(failure.cause)
  log.error(message, {
    id = failure.id, method = req.method, path = req.path, route = req.route, traceback = failure.traceback,
  })
  remember(req, failure, message)
end

---The newest unexpected failures of this worker, oldest first.
---@return {id: string, time: string, method: string, path: string, message: string, traceback: string?}[]
function errors.recent()
  return recent
end

local function add_headers(response, headers)
  if not headers then return end
  for name, value in pairs(headers) do
    local lower = header.name(name, 1)
    if response.headers[lower] == nil then response.headers[lower] = value end
  end
end

-- The status of the answer is the failure's, unless the handler said another.
local function answer(failure, result, second, headers)
  local response = res.from(result, second, headers)
  if math.type(result) ~= "integer" and response.status == 200 then response.status = failure.status end
  add_headers(response, failure.headers)
  return response
end

local function page(req, failure)
  local response = errorpage.render(req, failure)
  add_headers(response, failure.headers)
  return response
end

-- Calls fn(...); its results, packed, or nil and the failure that it raised.
local function call(fn, ...)
  local traceback
  local results = table.pack(xpcall(fn, function(err)
    if not status_of(err) then traceback = debug.traceback(nil, 2) end
    return err
  end, ...))
  if results[1] then return results end
  return nil, errors.failure(results[2], traceback)
end

-- One on_error handler: its response; nil when it leaves the answer to others; nil and a failure of its own.
local function ask(handler, req, failure)
  local results, second = call(handler, req, failure)
  if not results then return nil, second end
  if results[2] == nil then return nil, results[3] ~= nil and errors.failure(results[3]) or nil end
  local made
  made, second = call(answer, failure, table.unpack(results, 2, results.n))
  return made and made[2], second
end

---The answer to a failure: the first of the handlers that returns something, else the built-in page.
---@param req neap.Request
---@param failure neap.Failure
---@param handlers (async fun(req: neap.Request, failure: neap.Failure): ...)[] most specific first
---@return neap.Response
---@async
function errors.answer(req, failure, handlers)
  if failure.id then log_failure(req, failure, "") end
  for _, handler in ipairs(handlers) do
    local response, second = ask(handler, req, failure)
    if response then return response end
    if second then
      if second.id then log_failure(req, second, "in on_error: ") end
      return page(req, second)
    end
  end
  return page(req, failure)
end

---Calls a hook that changes a response. When it fails, that is logged, and the answer is the built-in page.
---@param req neap.Request
---@param where string "in on_send: "
---@param fn async fun(req: neap.Request, response: neap.Response)
---@param response neap.Response
---@return neap.Response? # nil when all went well
---@async
function errors.attempt(req, where, fn, response)
  local results, failure = call(fn, req, response)
  if results then return nil end
  if failure.id then log_failure(req, failure, where) end
  return page(req, failure)
end

---The failure for a request that no route takes: 405 when another method would do, else 404.
---@param allow string? the methods that would
---@return neap.Failure
function errors.no_route(allow)
  if allow then return foreseen(405, nil, {allow = allow}) end
  return foreseen(404)
end

-- By kind, and Allow or 404. Few: no client can make an Allow of its own.
local shared = {html = {}, json = {}, text = {}}

---The built-in answer to a request that no route takes. Everybody can ask for it at will, so it is to be cheap: it is made
---once, and all requests share it. So only the core may see it, which changes nothing in it.
---@param req neap.Request
---@param allow string? the methods that a route takes
---@return neap.Response
function errors.no_route_page(req, allow)
  if core.mode == "dev" then return page(req, errors.no_route(allow)) end
  local pages, key = shared[errorpage.kind(req)], allow or 404
  local response = pages[key]
  if not response then
    response = page(req, errors.no_route(allow))
    pages[key] = response
  end
  return response
end

return errors
