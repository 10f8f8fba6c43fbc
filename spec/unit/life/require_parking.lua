-- What parks while a module is loaded.
local task = require "neap.task"

return {
  {"require, while another task loads the module", function(case)
    local event, g = task.event(), case:group()
    local name = "module." .. tostring(event)
    package.preload[name] = function()
      event:wait()
      return {}
    end
    g:spawn(require, name)
    task.yield()
    return {park = function() return require(name) end, complete = function() event:set() end, keeps = true}
  end},
}
