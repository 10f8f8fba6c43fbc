-- A small JSON API: notes to make, read, change and delete. They live in the memory of one worker, so each answer
-- says which worker gave it: with several workers there are several sets of notes.
--
--   neap run examples/json_api.lua --workers 1
--   curl -i localhost:8080/notes -d '{"text": "buy milk"}'      # -> 201 Created ... Location: /notes/1
--   curl localhost:8080/notes                                   # -> "text":"buy milk"
--   curl -i localhost:8080/notes -d '{"text": ""}'              # -> 422 ... must be a text that is not empty
--   curl -X PATCH localhost:8080/notes/1 -d '{"done": true}'    # -> "done":true
local neap = require "neap"

local app = neap.app()
local notes, last_id = {}, 0

-- The body as a table; anything else ends the request here.
local function read_object(req)
  local input, err = req:json("16KB")
  if err == "too_large" then neap.abort(413, "a note has at most 16 KB") end
  if type(input) ~= "table" then neap.abort(400, "send a JSON object") end
  return input
end

-- Field name -> what is wrong with it; nil when all is well.
local function problems(input)
  local found = {}
  if type(input.text) ~= "string" or not input.text:find("%S") then found.text = "must be a text that is not empty" end
  if type(input.done) ~= "boolean" then found.done = "must be true or false" end
  return next(found) and found
end

local function save(status, note, input)
  local changed = {id = note.id, text = input.text or note.text, done = note.done}
  if input.done ~= nil then changed.done = input.done end
  local errors = problems(changed)
  if errors then return 422, {errors = errors} end
  changed.id = changed.id or last_id + 1
  last_id = math.max(last_id, changed.id)
  notes[changed.id] = changed
  return status, {note = changed, worker = neap.worker}, {Location = app:url("note", {id = changed.id})}
end

local function find(req)
  return notes[math.tointeger(req.params.id)] or neap.abort(404, "no such note")
end

app:get("/notes", function()
  local list = neap.json.array()
  for id = 1, last_id do list[#list + 1] = notes[id] end
  return {notes = list, worker = neap.worker}
end)

app:post("/notes", function(req) return save(201, {done = false}, read_object(req)) end)
app:get("/notes/:id{int}", function(req) return {note = find(req), worker = neap.worker} end):name("note")
app:patch("/notes/:id{int}", function(req) return save(200, find(req), read_object(req)) end)

app:delete("/notes/:id{int}", function(req)
  notes[find(req).id] = nil
  return 204
end)

return app
