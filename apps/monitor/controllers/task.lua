-- What is done to tasks: by forms, after which the browser wants a page, or by the script of the list.
local state = app.state

local MOST_TASKS = 500
local MOST_LETTERS = 200

-- Whoever shows the list hears of changes here, by WebSocket, events or long-polls, and comes back with a cursor.
function live(req)
  return state.topic:serve(req)
end

local function form_of(req)
  local form, err = req:form()
  return form or neap.abort(err == "too_large" and 413 or 400, "send a form")
end

local function text_of(req)
  local text = form_of(req).text
  if type(text) ~= "string" or not text:find("%S") then neap.abort(422, "say what is to be done") end
  local letters = utf8.len(text)
  if not letters then neap.abort(422, "the text is not UTF-8") end
  if letters > MOST_LETTERS then neap.abort(422, ("at most %d letters"):format(MOST_LETTERS)) end
  return text
end

local function find(id)
  return state.task(math.tointeger(tonumber(id))) or neap.abort(404, "there is no such task")
end

-- The script shows the line that it is given; it need not wait for the next look of the service.
local function answer(req, id)
  if req:accepts("html", "json") == "json" then return state.notice(find(id)) end
  return neap.res.redirect(app:url("/"), 303)
end

function post.add(req)
  local count, id = state.db:exec("INSERT INTO task (text) SELECT ? WHERE (SELECT count(*) FROM task) < ?",
    text_of(req), MOST_TASKS)
  assert(count, id)
  if count == 0 then neap.abort(409, "there are too many tasks") end
  return answer(req, id)
end

function edit(_, id)
  return {title = "Change a task", task = find(id)}
end

function post.rename(req, id)
  assert(state.db:exec("UPDATE task SET text = ? WHERE id = ?", text_of(req), find(id).id))
  return answer(req, id)
end

-- With done=1 it is done, else open. What is done already keeps its time.
function post.tick(req, id)
  local done_at = form_of(req).done == "1" and os.time() or nil
  assert(state.db:exec("UPDATE task SET done_at = iif(:at IS NULL, NULL, coalesce(done_at, :at)) WHERE id = :id",
    {at = done_at or neap.json.null, id = find(id).id}))
  return answer(req, id)
end

function post.delete(_, id)
  assert(state.db:exec("DELETE FROM task WHERE id = ?", find(id).id))
  return neap.res.redirect(app:url("/"), 303)
end
