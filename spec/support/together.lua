-- Tests that mostly wait, all at the same time: the first begins them all, each waits for its own end.
--
--   teardown(server.stop_all)                        -- not after_each: the others are under way
--   together(it, {{"answers", function() ... end}, {"ends", function() ... end}})
local spawn = require("neap.core").task.spawn_owned

---@param it fun(name: string, test: fun()) the one of the spec
---@param cases {[1]: string, [2]: async fun()}[] a sentence, and the test
return function(it, cases)
  local running
  local function begin()
    running = {}
    for i, case in ipairs(cases) do running[i] = spawn(case[2]) end
  end
  for i, case in ipairs(cases) do
    it(case[1], function()
      if not running then begin() end
      local ok, err = running[i]:join()
      if not ok then error(err, 0) end
    end)
  end
end
