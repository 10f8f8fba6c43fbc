-- The server side of `hostile`.
local neap = require "neap"
local app = neap.app()
local large = ("x"):rep(100000)

app:get("/", function() return "hello" end)

app:get("/clock", function() return ("%.6f!"):format(os.clock()) end)

app:get("/large", function() return large end)

app:ws("/ws", {message = function() end})

app:post("/body", function(req)
  while req:read_chunk() do end
  return "ok"
end, {body_limit = "100GB"})

app:post("/form", function(req)
  for part in req:multipart() do part:body() end
  return "ok"
end)

app:get("/stream", function()
  return neap.res.stream(function(out) while out:write("x") do end end)
end)

return app
