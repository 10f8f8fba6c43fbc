-- A to-do list in a SQLite file. Open the page in a browser; each line is a form. The file is made, and its schema
-- brought up to date, when the server starts; all workers use it.
--
--   neap run examples/todo.lua
--   curl localhost:8080/                              # -> <h1>To do</h1>
--   curl -i localhost:8080/items -d text="buy milk"   # -> 303 See Other
--   curl localhost:8080/items                         # -> "text":"buy milk" ... "is_done":0
--   curl -i localhost:8080/items/1 -d done=1          # -> 303 See Other
--   curl localhost:8080/items                         # -> "is_done":1
--   curl -i localhost:8080/items -d text=             # -> 422 ... say what is to be done
local neap = require "neap"
local text = require "neap.text"

local app = neap.app()
local db = assert(neap.sqlite.open("todo.db"))

assert(db:migrate{
  "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (text <> ''), is_done INT NOT NULL DEFAULT 0)",
  -- later changes are added here
})

local PAGE = [[<!doctype html><title>To do</title><h1>To do</h1>
%s<form method="post" action="/items"><input name="text" autofocus> <button>Add</button></form>]]

local ITEM = [[<form method="post" action="/items/%d">%s
<button name="done" value="%d">%s</button></form>
]]

local function items()
  return assert(db:query("SELECT id, text, is_done FROM item ORDER BY id"))
end

app:get("/", function()
  local lines = {}
  for i, item in ipairs(items()) do
    local shown = text.html(item.text)
    lines[i] = item.is_done == 1 and ITEM:format(item.id, "<s>" .. shown .. "</s>", 0, "Again")
      or ITEM:format(item.id, shown, 1, "Done")
  end
  return neap.res.html(PAGE:format(table.concat(lines)))
end)

app:get("/items", items)

app:post("/items", function(req)
  local ok, err = db:exec("INSERT INTO item (text) VALUES (?)", assert(req:form()).text)
  if ok then return neap.res.redirect("/", 303) end
  if err.code == "constraint" then return 422, "say what is to be done" end
  return nil, err
end)

app:post("/items/:id{int}", function(req)
  local form = assert(req:form())
  local changes = assert(db:exec("UPDATE item SET is_done = ? WHERE id = ?", form.done == "1", req.params.id))
  if changes == 0 then neap.abort(404) end
  return neap.res.redirect("/", 303)
end)

return app
