-- What never ends is named, with its file and line, and what to do about it.
local server = require "spec.support.server"
local together = require "spec.support.together"

local SPIN = "return {spin = function()\n  while true do end\nend}"

describe("what never ends", function()
  teardown(server.stop_all)

  together(it, {
    {"is stopped in a script, and its line is named", function()
      local result = server.run({"exec", "--set", "watchdog.raise=300ms", "loop.lua"},
        {files = {["loop.lua"] = "local x = 0\nwhile true do x = x + 1 end"}})
      assert.equal(1, result.code)
      assert.matches("neap: stopped by the watchdog after [%d.]+ s at loop.lua:2%. .-watchdog.raise", result.err)
      assert.is_nil(result.err:find("NEAP_LUA_DIR", 1, true))
    end},
    {"is logged when it is a function of task.thread, and stopped with its caller", function()
      local s = server.start {workers = 1, args = {"--set", "watchdog.thread=200ms"}, files = {["slow.lua"] = SPIN, ["app.lua"] = [[
        local neap = require "neap"
        local app = neap.app()
        app:get("/", function()
          local ok, err = neap.task.timeout(100, function()
            return neap.task.thread("slow", "spin")
          end)
          return tostring(ok) .. tostring(err)
        end)
        return app]]}}
      local conn = s:connect()
      conn:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
      s:wait_log "task.thread slow.spin: has been running for"
      assert.matches("slow.lua:2: in", s:log())
      conn:close() -- whoever waited for it is gone
      assert.equal(0, s:stop())
    end},
  })
end)
