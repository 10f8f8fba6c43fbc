-- What `neap dev` has to watch besides the application's folder: modules, controllers, views and static files that are
-- elsewhere. The core (develop.c) finds their names in a store, and minds only those that it does not watch anyway.
local core = require "neap.core"

local watch = {}

local NAME = "neap.dev.files"

---@param path string a file, or a folder
function watch.add(path)
  local mode = rawget(core, "mode") -- a state of task.thread has none: it loads its modules again each time anyway
  if mode == "dev" then core.store(NAME):add(path, true) end
end

return watch
