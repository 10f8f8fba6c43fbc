-- Where the Lua half begins: the core runs main(mode, ...) as a task in each new state. It returns "serve" to go on
-- serving, or an exit code, with a message for stderr when something could not be done.
local core = require "neap.core"
local lifecycle = require "neap.life.lifecycle"
local limit = require "neap.life.limit"
local trace = require "neap.base.trace"

local boot = {}

-- How many lines of a traceback help when an application does not load.
local TRACEBACK_LINES = 8

-- Calls fn(...). true and its results, or false and a report that starts with "neap: ".
local function attempt(fn, ...)
  return xpcall(fn, function(err)
    return "neap: " .. trace.describe(err) .. "\n" .. trace.short(debug.traceback("", 2), TRACEBACK_LINES)
  end, ...)
end

-- `from` over `into`, table by table; lists are replaced.
local function merge(into, from)
  for key, value in pairs(from) do
    local old = into[key]
    if type(value) == "table" and #value == 0 and type(old) == "table" and #old == 0 then
      merge(old, value)
    elseif type(value) == "table" and #value == 0 then
      into[key] = merge({}, value)
    else
      into[key] = value
    end
  end
  return into
end

-- The free block `app` of config.lua. The core has read the rest of the file.
local function app_settings()
  local app = {}
  if not core.config_file then return app end
  local chunk, err = loadfile(core.config_file, "t")
  local blocks = assert(chunk, err)()
  for _, name in ipairs {"default", core.environment} do
    local block = type(blocks[name]) == "table" and blocks[name].app or nil
    if block ~= nil and type(block) ~= "table" then
      error(("%s: app in block %s must be a table"):format(core.config_file, name), 0)
    end
    if block then merge(app, block) end
  end
  return app
end

local function load_app(target)
  return require("neap.app.apps").load(target)
end

local modes = {}

-- Loads what shall be served, in the time that the whole start has: true and the app, or false and a report.
local function load_in_time(target, seconds)
  local function load() return attempt(load_app, target) end
  local results = table.pack(limit.call(seconds, "loading " .. (target or "apps"), load))
  if results[1] then return results[2], results[3] end
  local failure = results[2]
  if not failure.is_timeout then -- the watchdog has stopped it, and logged where
    return false, ("neap: loading was %s\n"):format(trace.describe(failure.err))
  end
  return false, ("neap: not loaded after %.3g s (timeouts.startup)%s. %s\n"):format(seconds,
    failure.where and ": it was waiting at " .. failure.where or "", lifecycle.HINT)
end

local function serve(target)
  local start_by = core.task.now() + core.config.timeouts.startup
  local is_loaded, app = load_in_time(target, core.config.timeouts.startup)
  if not is_loaded then return 1, app end
  local spec = app:compile()
  if core.mode == "dev" then require("neap.dev.dev").add(spec) end
  local life = lifecycle.new(app, {start_by = start_by})
  core.on_phase(function(phase, reason) return life[phase](life, reason) end)
  local ok, err = life:start()
  if not ok then return 1, "neap: " .. err end
  core.serve(spec)
  return "serve"
end

modes.run = serve
modes.dev = serve

function modes.check(target)
  local app = load_app(target)
  app:compile()
  local count = #app:list()
  print(("ok: %d route%s"):format(count, count == 1 and "" or "s"))
  return 0
end

function modes.routes(target)
  local app = load_app(target)
  app:compile()
  require("neap.cli.routes").print(app:list())
  return 0
end

function modes.exec(file, ...)
  return require("neap.cli.script").run(file, ...)
end

function modes.test(...)
  return require("neap.cli.testing").run(...)
end

for _, name in ipairs {"reload", "ps", "topics", "jobs", "errors"} do
  modes[name] = function(...) return require("neap.cli.control").run(name, ...) end
end

function modes.new(name)
  return require("neap.cli.starter").run(name)
end

function modes.types()
  return require("neap.cli.types").write()
end

-- What a user whose application does not load may do next, while nothing is served yet.
local HINTS = {
  run = "The server was not started. `neap check` loads an application without serving it.\n",
  dev = "The server was not started. `neap check` loads an application without serving it.\n",
}

---@param mode string the command: "run", "dev", "exec", "check", "routes", "test", "new", ...
---@param ... string its arguments
---@return "serve"|integer outcome "serve" or an exit code
---@return string? message whole lines for stderr
---@async
function boot.main(mode, ...)
  local ok, report = attempt(function() core.config.app = app_settings() end)
  if not ok then return 1, report end
  local results = table.pack(attempt(modes[mode], ...))
  if not results[1] then results = {false, 1, results[2], n = 3} end
  if results[3] and core.generation == 1 then results[3] = results[3] .. (HINTS[mode] or "") end
  return table.unpack(results, 2, results.n)
end

return boot
