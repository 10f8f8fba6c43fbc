-- The neap side of the benchmark. The routes answer the same bytes as ceiling.c and nginx.conf.
local neap = require "neap"
local app = neap.app()

app:get("/", function() return "hello" end)

app:get("/json", function() return {message = "hello", n = 42, list = {1, 2, 3}} end)

app:get("/users/:id/posts/:post", function(req)
  return "user " .. req.params.id .. " post " .. req.params.post
end)

app:post("/echo", function(req) return req:body() end)

return app
