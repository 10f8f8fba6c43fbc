-- An application with a route of every kind, as text: for clients that do everything wrong at each of them. The file
-- version.lua beside it is its version; one that raises, or does not compile, is a reload that must fail.
--
--   server.start {files = everything.files(1)}     -- and {["version.lua"] = everything.version(2)} for a reload
local everything = {}

local APP = [[
local neap = require "neap"
local version = require "version"
local app, res, task = neap.app(), neap.res, neap.task

app:use(neap.session{keys = {"a secret of 16 bytes or more"}})
app:use(function(req, next)
  if req.query.middleware == "raise" then error("middleware") end
  local response = next(req)
  if req.query.middleware == "late" then error("late middleware") end
  return response:header("X-Version", tostring(version))
end)
app:on_send(function(_, head) head:header("X-Sent", "1") end)
app:on_error(418, function() return 418, "a teapot" end)

-- What an honest client asks: the answer follows from the question.
app:get("/honest/:n{int}", function(req) return {n = tonumber(req.params.n), twice = 2 * tonumber(req.params.n)} end)
app:post("/honest", function(req) return req:body() end)

app:get("/", function() return "hello" end)
app:get("/json", function() return {list = {1, 2, 3}, text = ("x"):rep(100)} end)
app:get("/large", function() return ("large "):rep(100):rep(300) end)
app:get("/slow", function() task.sleep(0.05) return "slow" end)
app:get("/error", function() error("on purpose") end)
app:get("/nil", function() return nil, "on purpose" end)
app:get("/abort", function() neap.abort(418) end)
app:any("/any/*rest", function(req) return req.method .. " " .. req.params.rest end)
app:any("/unread", function() return "unread" end)
app:get("/deep", function() return neap.task.all{function() task.sleep(0.01) return 1 end, function() error("in a group") end} end)
app:get("/visits", function(req)
  req.session.visits = (req.session.visits or 0) + 1
  return tostring(req.session.visits)
end)

app:post("/body", function(req) return {bytes = #assert(req:body())} end)
app:post("/json", function(req) return (assert(req:json())) end)
app:post("/form", function(req) return (assert(req:form())) end)
app:post("/upload", function(req)
  local sizes = {}
  for part in req:multipart() do
    local name = part.filename or part.name
    sizes[#sizes + 1] = name
    if name == "skip" then task.yield() elseif name == "keep" then part:save("kept.bin") else part:body("64KB") end
  end
  return sizes
end)
app:put("/pieces", function(req)
  local bytes = 0
  for piece in req:chunks(1000) do
    bytes = bytes + #piece
    if bytes % 3 == 0 then task.sleep(0.001) end
  end
  return tostring(bytes)
end)
app:post("/relay", function(req)
  return res.stream(function(out)
    for piece in req:chunks() do out:write(piece) end
  end)
end)
app:post("/early", function(req)
  req:after(function() neap.store("after"):incr("early") end)
  return "early"
end)

app:get("/stream", function(req)
  return res.stream(function(out)
    for i = 1, math.min(tonumber(req.query.n) or 20, 200) do
      if not out:write(i, " ", ("s"):rep(2000), "\n") then return end
      if i % 10 == 0 then task.sleep(0.001) end
    end
    if req.query.raise then error("in a stream") end
    out:flush()
  end, {type = "text/plain"})
end)
app:get("/flood", function()
  return res.stream(function(out)
    local deadline = task.now() + 2
    while task.now() < deadline and out:write(("f"):rep(10000)) do end
  end)
end)
app:post("/endless", function(req)
  req:after(function() neap.store("after"):incr("endless") end)
  return res.stream(function(out)
    local deadline = task.now() + 5
    while task.now() < deadline and out:write(("e"):rep(50000)) do task.yield() end
  end)
end)
app:post("/larger", function(req)
  req:after(function() neap.store("after"):incr("larger") end)
  return ("larger "):rep(1000):rep(600) -- twice: a sanitizer makes each piece dear
end)
app:get("/sse", function()
  return res.sse(function(ev)
    for i = 1, 50 do
      if not ev:send(tostring(i)) then return end
      task.sleep(0.01)
    end
  end)
end)
app:get("/after", function(req)
  for _ = 1, 3 do req:after(function() task.sleep(0.01) neap.store("after"):incr("all") end) end
  if req.query.raise then req:after(function() error("after the answer") end) end
  return ("after "):rep(100):rep(tonumber(req.query.n) or 1)
end)
app:static("/static", "static")
app:get("/file", function() return res.file("static/file.txt") end)

local room = neap.topic("room")
room:on("subscribe", function(visit)
  if visit.req and visit.req.query.slow then task.sleep(0.02) end
  if visit.req and visit.req.query.refuse then return false, "on purpose" end
end)
room:on("leave", function() neap.store("after"):incr("left") end)
local function names(req) return req.query.t or "news" end
app:get("/poll", function(req) return res.poll(names(req), {timeout = 0.5}) end)
app:get("/events", function(req) return res.events(names(req)) end)
app:get("/serve", function(req) return neap.topic(names(req)):serve(req) end)
app:get("/both", function(req) return neap.topics{"news", "room"}:serve(req, {timeout = 0.5}) end)
app:post("/news", function(req) return {cursor = neap.topic(names(req)):publish((req:body()))} end)
app:get("/wait", function()
  local items, why = neap.topic("news"):wait{timeout = 0.1}
  return {items = items and #items or 0, why = why}
end)

app:ws("/ws/callback", {
  open = function(ws) ws.data.count = 0 ws:subscribe{"news", "room"} end,
  message = function(ws, message, kind)
    ws.data.count = ws.data.count + 1
    if message == "raise" then error("in a message") end
    if message == "sleep" then task.sleep(0.02) end
    if message == "close" then return ws:close(4000, "asked for") end
    ws:send(message, kind)
  end,
  close = function() task.sleep(0.005) end,
})
app:ws("/ws/echo", function(ws)
  for message, kind in ws:messages() do
    if message == "raise" then error("in a socket") end
    if not ws:send(message, kind) then return end
  end
end)
app:ws("/ws/kept", function(ws)
  local count = ws.handoff or 0
  ws:on_handoff(function() return count end)
  ws:subscribe("news", {slow = "latest"})
  while true do
    local message, why = ws:recv("1s")
    if not message and why ~= "timeout" then return end
    count = count + 1
    ws:send(tostring(count))
  end
end)
app:ws("/ws/flood", function(ws)
  for _ = 1, 200 do
    if not ws:send(("w"):rep(5000)) then return end
  end
end)

local db
app:on_startup(function() db = assert(neap.sqlite.open("app.db", {timeout = "5s"})) return db end)
app:on_startup(function() db:exec("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text)") end)
app:get("/db", function() return (assert(db:query("SELECT count(*) AS n FROM note"))) end)
app:post("/db", function(req)
  assert(db:transaction(function(tx)
    tx:exec("INSERT INTO note (text) VALUES (?)", (req:body()))
    tx:exec("DELETE FROM note WHERE id < (SELECT max(id) FROM note) - 100")
    return true
  end))
  return 204
end)

local kept = neap.keep("kept", {reloads = 0})
app:on_ready(function() kept.reloads = kept.reloads + 1 end)
app:on_handoff(function() return {version = version} end)
app:on_adopt(function(data) app.state.before = data.version end)
app:every("300ms", function() neap.topic("news"):publish("tick") end, {name = "tick"})
app:every("500ms", function() error("in a job") end, {name = "fails"})
app:service("listens", function() for _ in neap.topic("news"):messages() do task.yield() end end)
app:on_shutdown(function() task.sleep(0.01) end)
app:on_cleanup(function() task.sleep(0.01) end)

-- The numbered messages that honest subscribers count.
local numbers = neap.topic("numbers", {keep = 100000, bytes = "64MB", ttl = "1h"})
app:get("/numbers/poll", function() return res.poll(numbers, {timeout = "2s"}) end)
app:get("/numbers/events", function() return res.events(numbers) end)
app:get("/numbers/serve", function(req) return numbers:serve(req) end)
app:get("/numbers/cursor", function() return {cursor = numbers:cursor()} end)
app:post("/numbers/:n{int}", function(req)
  return {cursor = assert(numbers:publish(req.params.n, {dedupe = req.params.n}))}
end)

return app
]]

---The files of the application.
---@param version integer
---@param more string? Lua: more routes and the like
---@return table<string, string>
function everything.files(version, more)
  local app = APP:gsub("return app\n$", function() return (more or "") .. "\nreturn app\n" end)
  return {["app.lua"] = app, ["version.lua"] = everything.version(version),
    ["static/file.txt"] = ("a line of a file\n"):rep(20000), ["static/small.css"] = "body { margin: 0 }\n"}
end

---The text of a version that serves.
function everything.version(number)
  return ("return %d\n"):format(number)
end

---Versions with which a reload must fail.
everything.BROKEN = {
  "return +\n",
  "error('on purpose')\n",
  "error(setmetatable({}, {__tostring = function() return 'an object' end}))\n",
  "local neap = require 'neap'\nneap.task.sleep(0.05)\nerror('after a while')\n",
  "return nothing.at.all\n",
}

return everything
