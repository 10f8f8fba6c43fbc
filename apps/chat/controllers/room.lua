-- One room: its page, what is said in it, and one address for all who listen.
local json = neap.json
local rooms = app.state.rooms
local connections = neap.store("chat.connections")

local MOST_ROOMS = 100
local MOST_LETTERS = {text = 1000, from = 40}

-- The topics of a room. It is on the list from the first visit on.
local function enter(name)
  local is_name = name and #name <= 40 and name:find("^[%w-]+$")
  if not is_name then neap.abort(404, "a room's name has letters, digits and -") end
  if not rooms:get(name) and #rooms:keys() >= MOST_ROOMS then neap.abort(503, "there are too many rooms") end
  rooms:set(name, os.time(), {ttl = "24h"})
  return app.state.topics(name)
end

-- What was said so far, and the cursor behind it, from where the page's script goes on.
local function history(room)
  local list, cursor = {}, "0"
  while true do
    local items, next_cursor, behind = room:wait {after = cursor, timeout = 0}
    cursor = behind or next_cursor
    if not items and next_cursor ~= "gap" then return json.array(list), cursor end
    table.move(items or {}, 1, #(items or {}), #list + 1, list)
  end
end

function show(_, name)
  local room, here = enter(name)
  local messages, cursor = history(room)
  local counts = history(here) -- after the cursor was taken: what changes from now on the page will hear
  local last = counts[1]
  return {title = "# " .. name, room = name, messages = messages, cursor = cursor, here = last and last.here or 0}
end

-- For those without WebSocket: events and long-polls, whichever the request asks for. Both come back with their cursor.
function live(req, name)
  return neap.topics {enter(name)}:serve(req)
end

-- The number of the connection stays with the socket, also when the code is reloaded; the generation does not.
local function introduce(socket)
  socket:send(json.encode {connection = socket.data.number, generation = neap.generation})
end

ws.live = {
  max_message = "1KB",
  open = function(socket, req, name)
    socket.data.number = connections:incr("count")
    introduce(socket)
    local ok, err = pcall(socket.subscribe, socket, {enter(name)}, {envelope = true, after = req.query.after or "0"})
    if not ok then socket:close(1008, "the cursor is none that this server gave out") return nil, err end
  end,
  message = introduce, -- whatever the client says: it only wants to know whether we are there
}

-- One field of what was sent, as far as it may be published.
local function field(sent, name)
  local value = sent[name]
  if type(value) ~= "string" or not value:find("%S") then neap.abort(422, name .. " is missing") end
  local letters = utf8.len(value)
  if not letters then neap.abort(422, name .. " is not UTF-8") end
  if letters > MOST_LETTERS[name] then neap.abort(422, ("%s: at most %d letters"):format(name, MOST_LETTERS[name])) end
  return value
end

-- By a form, after which the browser wants a page, or by the page's script.
function post.say(req, name)
  local room = enter(name)
  local sent, err = req:form()
  if not sent then neap.abort(err == "too_large" and 413 or 400, "send a form") end
  local cursor = room:publish {from = field(sent, "from"), text = field(sent, "text"), at = os.time()}
  if req:accepts("html", "json") == "json" then return {cursor = cursor} end
  return neap.res.redirect(app:url("/room/show/:name", {name = name}), 303)
end
