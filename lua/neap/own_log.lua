-- The log for what neap itself says, which may be the same with each request: entries of one place are limited and counted
-- (core/base/log_limit.h). neap.log, which is the application's, never holds anything back.
local log = require "neap.log"

local own_log = {}

for _, level in ipairs {"debug", "info", "warn", "error"} do
  own_log[level] = function(message, fields) log[level](message, fields, true) end
end

return own_log
