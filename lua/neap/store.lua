-- Stores: plain data shared by all workers, kept by the core.
local core = require "neap.core"

---Plain data shared by all workers: texts, numbers, booleans, and tables of those. It lives as long as the process.
---@class neap.Store
---@field get fun(self: neap.Store, key: string): any the value, or nil
---@field set fun(self: neap.Store, key: string, value: any, opts: {ttl: number|string?}?): true?, string? nil, "full" when all stores together hold limits.stores
---@field add fun(self: neap.Store, key: string, value: any, opts: {ttl: number|string?}?): true?, string? only when it is absent; nil, "exists" or "full"
---@field incr fun(self: neap.Store, key: string, by: number?, opts: {ttl: number|string?}?): number?, string? the new number, from 0; nil, "no number" or "full"
---@field cas fun(self: neap.Store, key: string, expected: any, value: any, opts: {ttl: number|string?}?): true?, string? only when the value is `expected` (nil: absent); nil, "changed" or "full"
---@field delete fun(self: neap.Store, key: string): true?, string? nil, "absent"
---@field keys fun(self: neap.Store): string[] in no order
---@field clear fun(self: neap.Store)

local store = {}

---Opens a store: finds it, or makes it. A name costs like an entry, and is never given back. When all stores together hold
---`limits.stores`, a new one is empty and stays so: whatever is put into it gives nil, "full".
---```lua
---local visits = neap.store("visits")
---visits:incr("front page")
---visits:set("last", {page = "/", at = 1700000000}, {ttl = "1h"})
---assert(visits:get("last").page == "/")
---```
---@param name string
---@return neap.Store
function store.open(name)
  return core.store(name)
end

return setmetatable(store, {__call = function(_, name) return store.open(name) end})
