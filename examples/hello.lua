-- The smallest application: two pages of text.
--
--   neap run examples/hello.lua
--   curl localhost:8080/             # -> hello
--   curl localhost:8080/hello/ada    # -> hello ada
local neap = require "neap"

local app = neap.app()

app:get("/", function() return "hello\n" end)

app:get("/hello/:name", function(req)
  return ("hello %s\n"):format(req.params.name)
end)

return app
