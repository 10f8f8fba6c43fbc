-- Long-poll: the request is answered the moment there is something, and waits without costing a coroutine. Instead
-- of a comet server (Tornado's chat demo, Juggernaut) beside the application.
--
--   neap run examples/long_poll.lua
--   curl localhost:8080/news -d hello             # -> "cursor":
--   curl localhost:8080/news?after=0              # -> "items":["hello"]
--   (sleep 1; curl -s localhost:8080/news -d again) &
--   curl localhost:8080/news                      # -> "items":["again"]
local neap = require "neap"

local app = neap.app()
local news = neap.topic("news", {keep = 100, ttl = "1h"})

-- The cursor of an answer is where the next question goes on, so nothing is missed in between. 204: nothing new.
local PAGE = [[<!doctype html>
<meta charset="utf-8"><title>News</title>
<form id="form"><input id="text" autofocus autocomplete="off"><button>Publish</button></form><ul id="list"></ul>
<script>
async function read(cursor) {
  for (;;) try {
    const answer = await fetch("/news?after=" + cursor);
    if (answer.status === 410) return;
    cursor = JSON.parse(answer.headers.get("etag")) || cursor;
    if (answer.status !== 200) { if (answer.status >= 400) throw answer; continue; }
    for (const item of (await answer.json()).items) list.appendChild(document.createElement("li")).textContent = item;
  } catch (error) { await new Promise(done => setTimeout(done, 1000)); }
}
form.onsubmit = () => { fetch("/news", {method: "POST", body: text.value}); text.value = ""; return false; };
read("0");
</script>]]

app:get("/", function() return neap.res.html(PAGE) end)

app:get("/news", function() return neap.res.poll(news, {timeout = "20s"}) end)

app:post("/news", function(req)
  local text = req:body("4KB")
  if not text or text == "" or not utf8.len(text) then neap.abort(422, "send a text") end
  local cursor, readers = news:publish(text)
  return {cursor = cursor, readers = readers}
end)

return app
