-- The applications that are served together, for pages that lead to them. Who finds and loads them is app/apps.lua.

---@class neap.apps
local apps = {}

---The names of the applications of a folder that is served; each is at `/<name>`. Empty when one application is served.
---```lua
---for _, name in ipairs(require("neap.apps").served) do assert(name:find("%S")) end
---```
---@type string[]
apps.served = {}

return apps
