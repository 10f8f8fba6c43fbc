-- What parks while another thread works.
local task = require "neap.task"

return {
  {"neap.task.thread", function()
    return {park = function() return task.thread("string", "rep", "a", 3) == "aaa" end}
  end},
}
