-- What `require "neap"` gives inside `task.thread`: the parts that need no event loop. The core loads this file into
-- each such state.
local PARTS = {json = true, log = true, crypto = true, store = true, task = true}

package.loaded.neap = setmetatable({}, {
  __name = "neap",
  __index = function(self, name)
    if not PARTS[name] then
      error(("neap.%s is not available inside task.thread; there are json, log, crypto, store and task.now"):format(
        tostring(name)), 2)
    end
    local part = require("neap." .. name)
    rawset(self, name, part)
    return part
  end,
})
