-- Server-sent events: a page that is told. Replaces a page that reloads itself, and django-eventstream. A browser's
-- EventSource comes back by itself and names the last id it has seen, so it misses nothing.
--
--   neap run examples/sse.lua
--   curl -N localhost:8080/countdown                                           # -> data: 3 ... event: end
--   curl localhost:8080/say -d 'hello there'                                   # -> "readers":
--   curl -sN --max-time 1 localhost:8080/events?after=0 || true                # -> data: hello there ... id:
local neap = require "neap"

local app = neap.app()
local words = neap.topic("words", {keep = 100, ttl = "1h"})

local PAGE = [[<!doctype html>
<meta charset="utf-8"><title>Events</title>
<p id="state">connecting</p><ul id="list"></ul>
<button onclick="fetch('/say', {method: 'POST', body: new Date()})">Say</button>
<script>
const events = new EventSource("/events?after=0");
events.onopen = () => state.textContent = "open";
events.onerror = () => state.textContent = events.readyState === 2 ? "over" : "connecting again";
events.onmessage = event => list.appendChild(document.createElement("li")).textContent = event.data;
events.addEventListener("gap", () => list.replaceChildren());
</script>]]

app:get("/", function() return neap.res.html(PAGE) end)

-- From a topic: the core serves each client, however many there are.
app:get("/events", function() return neap.res.events(words, {retry = "1s"}) end)

app:post("/say", function(req)
  local text = req:body("4KB")
  if not text or not utf8.len(text) then neap.abort(422, "send a text") end
  local cursor, readers = words:publish(text)
  return {cursor = cursor, readers = readers}
end)

-- By hand: a task for each client.
app:get("/countdown", function()
  return neap.res.sse(function(ev)
    for i = 3, 1, -1 do
      if not ev:send{data = i, id = i} then return end -- the client has left
      neap.task.sleep(0.3)
    end
    ev:send{event = "end", data = {message = "lift-off"}}
  end)
end)

return app
