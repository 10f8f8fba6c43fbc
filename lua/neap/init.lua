-- What `require "neap"` gives. Read this first, then app/app.lua (routes), app/request.lua and res.lua (what comes in and
-- goes out). Parts are loaded when they are first used.
local abort = require "neap.app.abort"
local app = require "neap.app.app"
local core = require "neap.core"
local folder = require "neap.app.folder"
require "neap.app.request"

---The library.
---@class neap
---@field res neap.res makes responses
---@field task neap.task waiting, groups, timeouts
---@field json neap.json
---@field log neap.log
---@field topic fun(name: string, opts: table?): neap.Topic
---@field store fun(name: string): neap.Store
---@field crypto neap.crypto
---@field net neap.net sockets: connections and listeners
---@field http neap.http requests to other servers
---@field sqlite neap.sqlite
---@field session fun(opts: neap.SessionOptions?): neap.Middleware see session.lua
---@field csrf fun(opts: table?): neap.Middleware see csrf.lua
---@field jobs neap.jobs background jobs
---@field config neap.config the settings in effect, read-only; `config.app` is the application's own block
---@field version string of the server
---@field mode string "run", "dev", "test", ...
---@field worker integer number of this worker, from 1
---@field workers integer how many there are
---@field generation integer counts reloads, from 1
local neap = {
  version = core.version, mode = core.mode, worker = core.worker, workers = core.workers,
  generation = core.generation,
}

-- Modules that are fields: loaded when first used.
local PARTS = {
  res = true, task = true, jobs = true, topic = true, store = true, json = true, log = true, http = true, redis = true,
  sqlite = true, pg = true, net = true, crypto = true, session = true, csrf = true, test = true, config = true,
}

---An empty application.
---```lua
---local hello = neap.app()
---hello:get("/hello/:name", function(req) return "hello " .. req.params.name end)
---return hello
---```
---@return neap.App
function neap.app()
  return (app.new(folder.of_caller(2)))
end

---Ends the request from any depth with a status: raises an error that the error path answers. Nothing is logged.
---```lua
---app:get("/secret", function(req)
---  if not req.headers.authorization then neap.abort(401, "log in first", {["WWW-Authenticate"] = "Basic"}) end
---  return "the secret"
---end)
---```
---@param status integer 300 to 599
---@param message string? what the client is told; default: the meaning of the status
---@param headers table<string, string>? for the answer
function neap.abort(status, message, headers)
  abort.raise(status, message, headers, 2)
end

---Several topics as one, with one cursor: see topic.lua.
---```lua
---local items, why = neap.topics{"news", "weather"}:wait{timeout = 0}
---assert(not items and why == "timeout")
---```
---@param names (string|neap.Topic)[]
---@return neap.Topics
function neap.topics(names)
  return require("neap.topic").several(names)
end

---A table of plain data that survives reloads in this worker, such as a cache that is slow to fill. The first caller's
---`init` is used; later generations get what has become of it. While a new generation loads it sees a copy; when it
---begins to serve, the same table is filled again with what the old one had by then. Each worker has its own:
---`neap.store` is for all. A reload fails when the table holds more than data.
---```lua
---local seen = neap.keep("seen", {count = 0})
---seen.count = seen.count + 1
---```
---@param name string
---@param init table|fun(): table what to begin with
---@return table
---@async
function neap.keep(name, init)
  if type(name) ~= "string" then error("neap.keep: a name is a text", 2) end
  local kept = core.kept(name)
  if kept then return kept end
  if type(init) == "function" then init = init() end
  if type(init) ~= "table" then error("neap.keep: begins with a table, or a function that returns one", 2) end
  return core.kept(name, init)
end

return setmetatable(neap, {
  __name = "neap",
  __index = function(self, name)
    if not PARTS[name] then return nil end
    local part = require("neap." .. name)
    rawset(self, name, part)
    return part
  end,
})
