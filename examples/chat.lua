-- Chat rooms over WebSocket: history and reconnecting by cursors, and without WebSocket the same by events or polling.
-- Replaces Django Channels with Redis, socket.io with its adapter.
--
--   neap run examples/chat.lua
--   curl localhost:8080/                                                       # -> <title>Chat
--   curl localhost:8080/room/tea -d hello                                      # -> "readers":0
--   curl localhost:8080/room/tea?after=0                                       # -> "items":[{ ... "text":"hello"
--   curl -sN --max-time 1 -H 'Accept: text/event-stream' localhost:8080/room/tea?after=0 || true   # -> data: {
local neap = require "neap"

local app = neap.app()
local PAGE = [[<!doctype html>
<meta charset="utf-8"><title>Chat</title>
<ul id="list"></ul><form id="form"><input id="text" autofocus autocomplete="off"><button>Send</button></form>
<p id="state"></p>
<script>
let cursor = "0", socket, failures = 0;
function show(from) { list.appendChild(document.createElement("li")).textContent = from.text; }
function connect() {
  socket = new WebSocket(location.origin.replace("http", "ws") + "/room/tea/live?after=" + cursor);
  socket.onopen = () => { failures = 0; state.textContent = "live"; };
  socket.onmessage = event => {
    const message = JSON.parse(event.data);
    if (!message.gap) show(message.data);
    cursor = message.cursor;
  };
  socket.onclose = () => ++failures < 3 ? setTimeout(connect, 1000) : listen();
}
function listen() { // something on the way does not let WebSockets through
  socket = null, state.textContent = "by events";
  new EventSource("/room/tea?after=" + cursor).onmessage = event => show(JSON.parse(event.data));
}
form.onsubmit = () => {
  if (socket) socket.send(text.value); else fetch("/room/tea", {method: "POST", body: text.value});
  return text.value = "", false;
};
connect();
</script>]]

local function room(req) return neap.topic("room:" .. req.params.name, {keep = 200, ttl = "1h"}) end

app:get("/", function() return neap.res.html(PAGE) end)
app:get("/room/:name", function(req) return room(req):serve(req) end)

app:ws("/room/:name/live", function(ws, req)
  local here = room(req)
  ws:subscribe(here, {envelope = true, after = req.query.after})
  for text, kind in ws:messages() do
    if kind == "text" then here:publish({text = text}) end
  end
end, {max_message = "4KB"})

app:post("/room/:name", function(req)
  local text = req:body("4KB")
  if not text or not utf8.len(text) then neap.abort(422, "send a text") end
  local cursor, readers = room(req):publish({text = text})
  return {cursor = cursor, readers = readers}
end)

return app
