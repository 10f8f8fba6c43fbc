-- The settings in effect, as Lua sees them: read-only, except that `app` is the application's own plain table.
local core = require "neap.core"

---@class neap.config
---@field app table the application's own block of `config.lua`, a plain table
---@field secrets string[]? keys for signed cookies: the first signs, all verify
---@field trusted_proxies string[]? networks whose forwarded headers are believed; "unix" for unix sockets
---@field limits table<string, integer> bytes and counts, such as `limits.body`
---@field timeouts table<string, number> seconds, such as `timeouts.drain`
---@field [string] any every other setting, under the name that `neap config` prints

local function readonly(settings, path)
  local proxy = {}
  return setmetatable(proxy, {
    __name = "neap.config",
    __len = function() return #settings end,
    __pairs = function() return next, settings, nil end,
    __newindex = function(_, key)
      error(("neap.config%s is read-only: set %s in config.lua, in the environment or on the command line")
        :format(path, tostring(key)), 2)
    end,
    __index = function(_, key)
      local value = settings[key]
      if type(value) ~= "table" then return value end
      local block = key == "app" and path == "" and value or readonly(value, path .. "." .. tostring(key))
      rawset(proxy, key, block)
      return block
    end,
  })
end

local settings = {app = {}}
for key, value in pairs(core.config or {}) do settings[key] = value end

return readonly(settings, "")
