-- The log for what neap itself says, which may be the same with each request: entries of one place are limited and counted
-- (core/base/log_limit.h). neap.log, which is the application's, never holds anything back; who replaces one of its functions
-- gets these entries, too.
local core = require "neap.core"
local log = require "neap.log"

local own_log = {}

for _, level in ipairs {"debug", "info", "warn", "error"} do
  local original = log[level]
  own_log[level] = function(message, fields)
    if log[level] ~= original then return log[level](message, fields) end
    core.log(level, message, fields, true)
  end
end

return own_log
