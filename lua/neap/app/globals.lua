-- The globals of an application. neap's own files have copies of the standard ones, so who forgets `local` in
-- `type = req.query.type` breaks only what is his; `neap dev` tells him where.
local core = require "neap.core"
local log = require "neap.base.own_log"

local globals = {}

-- What there is before any application runs. (This is a file of neap, and has those copies.)
local standard = {}
for name in pairs(_ENV) do standard[name] = true end

local told = {}

local function tell(name)
  local info = debug.getinfo(3, "Sl")
  local where = ("%s:%d"):format(info.short_src, info.currentline)
  local key = where .. " " .. name
  if told[key] then return end
  told[key] = true
  log.warn(("%s: `%s = ...` replaces a global of Lua for all that runs in this worker: write `local %s = ...`, or choose \z
    another name"):format(where, name, name))
end

-- Always empty, so that every assignment is seen.
local env = setmetatable({}, {
  __index = _G,
  __newindex = function(_, name, value)
    if standard[name] then tell(name) end
    _G[name] = value
  end,
  __pairs = function() return pairs(_G) end,
})

---In `neap dev`: a warning for each place in this chunk that assigns to a standard global.
---@param chunk function just loaded
function globals.watch(chunk)
  if rawget(core, "mode") == "dev" then debug.setupvalue(chunk, 1, env) end
end

return globals
