-- Start and stop. What starts last is closed first, whatever kind of hook it is. Stop it with Ctrl-C, and it prints:
-- shutdown, close mail, cache written at shutdown, close database.
--
--   neap run examples/lifecycle.lua --workers 1
--   curl -s localhost:8080/      # -> open database, open cache, open mail, ready
local neap = require "neap"

local app = neap.app()
local told = {}

local function say(text)
  told[#told + 1] = text
  print(text)
end

-- Whatever has :close(), or a function, is what a start hook may return: it is closed at this place of the stack.
app:on_startup(function()
  say "open database"
  return function() say "close database" end
end)

-- Both halves in one function, with <close> variables. ready() waits until the app stops, and says why.
app:lifespan(function(_, ready)
  say "open cache"
  local reason = ready()
  say("cache written at " .. reason)
end)

-- The hooks of a mounted app run where it is mounted.
local mail = neap.app()
mail:on_startup(function() say "open mail" end)
mail:on_cleanup(function() say "close mail" end)
app:mount("/mail", mail)

app:on_ready(function() say "ready" end)
app:on_shutdown(function(_, reason) say(reason) end) -- connections are still alive

app:get("/", function() return table.concat(told, ", ") end)

return app
