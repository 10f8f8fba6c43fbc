-- The log: one line per event on stderr. Writing happens in a thread of its own, so no line ever waits.
local core = require "neap.core"

---@class neap.log
local log = {}

-- What all four have in common: `message` and `fields` may be of any type, and nothing here raises or parks. A field
-- that is a table is written as JSON, an object with `__tostring` as that says, anything odd somehow; a value of
-- several lines, such as a traceback, goes below the line. At most 32 fields, 32 KiB each. Secrets do not belong here.

---What only its author wants to know. Not written unless `log.level` is `"debug"`.
---```lua
---require("neap.log").debug("cache miss", {key = "user:42"})
---```
---@param message any
---@param fields? table<string, any>
function log.debug(message, fields)
  core.log("debug", message, fields)
end

---What happened, in the normal course of things.
---```lua
---require("neap.log").info("user signed in", {user = 42, method = "password"})
---```
---@param message any
---@param fields? table<string, any>
function log.info(message, fields)
  core.log("info", message, fields)
end

---What went wrong without harm so far.
---```lua
---require("neap.log").warn("mail server is slow", {seconds = 4.2})
---```
---@param message any
---@param fields? table<string, any>
function log.warn(message, fields)
  core.log("warn", message, fields)
end

---What failed, and somebody should look at.
---```lua
---local ok, err = pcall(error, "no such table")
---if not ok then require("neap.log").error("cannot save", {err = err, order = {id = 7}}) end
---```
---@param message any
---@param fields? table<string, any>
function log.error(message, fields)
  core.log("error", message, fields)
end

---Whether lines of a level are written: ask before gathering fields that are costly.
---```lua
---local log = require "neap.log"
---if log.wants("debug") then log.debug("state", {memory = collectgarbage("count")}) end
---```
---@param level "debug"|"info"|"warn"|"error"
---@return boolean
function log.wants(level)
  return core.log_wants(level)
end

return log
