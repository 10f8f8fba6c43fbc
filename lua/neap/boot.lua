-- Where the Lua half begins: the core runs main(mode, ...) as a task in each new state. It returns "serve" to go on
-- serving, or an exit code, with a message for stderr when something could not be done.
local core = require "neap.core"
local trace = require "neap.trace"

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
  return require("neap.apps").load(target)
end

local modes = {}

local function serve(target)
  core.serve(load_app(target):compile())
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
  require("neap.routes").print(app:list())
  return 0
end

function modes.exec(file, ...)
  return require("neap.script").run(file, ...)
end

function modes.test(...)
  return require("neap.testing").run(...)
end

for _, name in ipairs {"ps", "topics", "errors"} do
  modes[name] = function(...) return require("neap.control").run(name, ...) end
end

function modes.types()
  return require("neap.types").write()
end

-- What a user whose application does not load may do next.
local HINTS = {
  run = "The server was not started. `neap check` loads an application without serving it.\n",
  dev = "The server was not started. `neap check` loads an application without serving it.\n",
}

---@param mode string the command: "run", "dev", "exec", "check", "routes", "test" or "types"
---@param ... string its arguments
---@return "serve"|integer outcome "serve" or an exit code
---@return string? message whole lines for stderr
---@async
function boot.main(mode, ...)
  local ok, report = attempt(function() core.config.app = app_settings() end)
  if not ok then return 1, report end
  local results = table.pack(attempt(modes[mode], ...))
  if not results[1] then return 1, results[2] .. (HINTS[mode] or "") end
  return table.unpack(results, 2, results.n)
end

return boot
