-- A loop in the background looks for tasks that were modified and tells every client that listens, once. The Django
-- management command with `while True: ... time.sleep(0.5)`, without a second process and a broker.
--
--   neap run examples/notify.lua
--   curl -X PUT localhost:8080/tasks/7 -d 'paint the door'            # -> "version":1
--   curl localhost:8080/changes?after=0                               # -> "id":"7" ... paint the door
--   curl -sN --max-time 2 -H 'Accept: text/event-stream' localhost:8080/changes?after=0 || true   # -> data: {
local neap = require "neap"

local app = neap.app()
local tasks = neap.store("tasks") -- instead of the table of a database
local changes = neap.topic("changes", {keep = 1000, ttl = "1h"})

local told = {} -- id -> the version that clients know

local function tell_modified()
  for _, id in ipairs(tasks:keys()) do
    local one = tasks:get(id)
    if one and one.version ~= told[id] then
      told[id] = one.version
      changes:publish({id = id, title = one.title, version = one.version})
    end
  end
end

-- In one worker only; the topic reaches the clients of all. A failure is logged, and the next run comes.
app:every(0.5, tell_modified, {immediate = true})

-- Clients register by asking: as WebSocket, event stream or long-poll.
app:get("/changes", function(req) return changes:serve(req) end)

app:put("/tasks/:id", function(req)
  local title = req:body("4KB")
  if not title or not utf8.len(title) then neap.abort(422, "send a title") end
  local old = tasks:get(req.params.id)
  local new = {title = title, version = (old and old.version or 0) + 1}
  tasks:set(req.params.id, new)
  return new
end)

return app
