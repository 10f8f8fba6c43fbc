-- A request for specs that run without a connection: a table that answers like the core's `req`, with the getters
-- and methods written in Lua.
local core = require "neap.core"
require "neap.app.request"

local function new_headers(given)
  local lists = {}
  for name, value in pairs(given or {}) do
    lists[name:lower()] = type(value) == "table" and value or {value}
  end
  return setmetatable({}, {
    __index = function(_, name)
      if name == "all" then return function(_, wanted) return lists[wanted:lower()] or {} end end
      return lists[name:lower()] and lists[name:lower()][1]
    end,
    __pairs = function()
      return coroutine.wrap(function()
        for name, list in pairs(lists) do
          for _, value in ipairs(list) do coroutine.yield(name, value) end
        end
      end)
    end,
  })
end

local methods = {}

function methods.body(req, limit)
  local body = rawget(req, "content") or ""
  if type(limit) == "number" and #body > limit then return nil, "too_large" end
  return body
end

function methods.header(req, name)
  return req.headers[name]
end

-- The chunks of the list `pieces`, then its error, if it has one.
function methods.read_chunk(req)
  local pieces = rawget(req, "pieces") or {rawget(req, "content")}
  req.at = (rawget(req, "at") or 0) + 1
  if req.at > #pieces then return nil, pieces.err end
  return pieces[req.at]
end

---@param fields table? e.g. {method = "POST", path = "/x", headers = {Accept = "text/html"}, content = "body"}
---@return table
return function(fields)
  local req = {method = "GET", path = "/", raw_query = "", authority = "localhost", params = {}, state = {},
    peer_ip = "192.0.2.1"}
  for name, value in pairs(fields or {}) do req[name] = value end
  req.raw_path = req.raw_path or req.path
  req.headers = new_headers(req.headers)
  return setmetatable(req, {
    __index = function(self, name)
      if methods[name] then return methods[name] end
      local getter = core.request.getters[name]
      if getter then
        local value = getter(self)
        rawset(self, name, value)
        return value
      end
      local value = core.request.methods[name]
      return type(value) == "function" and value or nil
    end,
  })
end
