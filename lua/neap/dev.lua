-- What `neap dev` adds to an application: a script in every page that reloads it when the code has changed, and shows
-- an overlay while the newest code cannot be loaded. The core (develop.c) says what happened by the topic "neap.dev",
-- and keeps the last of it in the store "neap.dev": {serving=, failed=, error=, changed="code"|"views"|"assets"}.
local core = require "neap.core"
local devpage = require "neap.devpage"
local json = require "neap.json"
local res = require "neap.res"
local store = require "neap.store"

local dev = {}

local NAME = "neap.dev"
local TAG = '<script src="/_neap/live.js"></script>'
local PAGE_MAX = 2 * 1024 * 1024 -- bytes; larger files are sent as they are

-- It is the first script of a page, so that it sees which WebSockets the others open. A page that has one open is not
-- reloaded for new code, which its socket has gone over to already: it gets a notice. New views and style sheets
-- cannot be shown without reloading.
local SCRIPT = [[
(function () {
  "use strict";
  var open = 0, box = null;
  var Socket = window.WebSocket;
  window.WebSocket = new Proxy(Socket, {
    construct: function (target, args) {
      var socket = Reflect.construct(target, args);
      open += 1;
      socket.addEventListener("close", function () { open -= 1; });
      return socket;
    }
  });

  function hide() {
    if (box) box.remove();
    box = null;
  }

  function show(id, style, lines, action) {
    hide();
    box = document.createElement("div");
    box.id = id;
    box.setAttribute("role", "alert");
    box.style.cssText = "position:fixed;z-index:2147483647;left:0;right:0;bottom:0;margin:0;padding:.8rem 1rem;" +
      "font:.95rem/1.45 system-ui,sans-serif;color:#fff;max-height:50vh;overflow:auto;" + style;
    lines.forEach(function (line, i) {
      var part = document.createElement(i === 0 ? "strong" : "pre");
      part.style.cssText = "display:block;margin:0 0 .3rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:inherit";
      part.textContent = line;
      box.append(part);
    });
    box.append(action);
    (document.body || document.documentElement).append(box);
  }

  function link(text, href) {
    var a = document.createElement("a");
    a.textContent = text;
    a.href = href;
    a.style.color = "inherit";
    return a;
  }

  function fail(state) {
    if (location.pathname === "/_neap/error") { location.reload(); return; }
    show("neap-overlay", "background:#8f1d1d",
      ["serving generation " + state.serving + ", generation " + state.failed + " failed",
        state.error.replace(/^neap: /, "").split("\n").slice(0, 8).join("\n")],
      link("source and traceback", "/_neap/error"));
  }

  function succeed(state) {
    var had = box && box.id === "neap-overlay";
    hide();
    if (open > 0 && state.changed === "code") {
      var a = link("reload this page", location.href);
      a.addEventListener("click", function (event) { event.preventDefault(); location.reload(); });
      if (!had || open > 0)
        show("neap-notice", "background:#1d5f3a", ["generation " + state.serving + " serves"], a);
      return;
    }
    location.reload();
  }

  function tell(state) { if (state.error) fail(state); else succeed(state); }

  fetch("/_neap/state").then(function (answer) { return answer.json(); }).then(function (state) {
    if (state.error && location.pathname !== "/_neap/error") fail(state);
    var events = new EventSource("/_neap/live?after=" + encodeURIComponent(state.cursor));
    events.onmessage = function (event) { tell(JSON.parse(event.data)); };
  });
})();
]]

local function state()
  local text = store.open(NAME):get("state")
  return text and json.decode(text) or {serving = core.generation, changed = "code"}
end

local routes = {}

routes["/_neap/live.js"] = function()
  return 200, SCRIPT, {["Content-Type"] = "text/javascript; charset=utf-8", ["Cache-Control"] = "no-store"}
end

routes["/_neap/live"] = function() return res.events(NAME) end

-- The cursor is taken first, so that nothing is missed between this and the stream.
routes["/_neap/state"] = function()
  local cursor = core.topic(NAME):cursor()
  local now = state()
  now.cursor = cursor
  return 200, now, {["Cache-Control"] = "no-store"}
end

routes["/_neap/error"] = function()
  return res.html(devpage.render_reload(state())):header("Cache-Control", "no-store")
end

-- The page with the script: at the beginning of its head, or before all.
local function with_script(page)
  local _, stop = page:find("<[hH][eE][aA][dD][^>]*>")
  if stop then return page:sub(1, stop) .. TAG .. page:sub(stop + 1) end
  local at = page:find("</[bB][oO][dD][yY]>")
  if at then return page:sub(1, at - 1) .. TAG .. page:sub(at) end
  return page .. TAG
end

local function read_page(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local page = file:read(PAGE_MAX + 1)
  file:close()
  return page and #page <= PAGE_MAX and page or nil
end

-- A file becomes text, because its length changes; without its tag, which stands for the file alone.
local function inject(response)
  local media = response.headers["content-type"]
  if response.status == 304 or type(media) ~= "string" or not media:find("^text/html") then return end
  if type(response.file) == "string" and not response.file:find("..", 1, true) then
    local page = read_page((response.root and response.root .. "/" or "") .. response.file)
    if page then response.file, response.root, response.body = nil, nil, page end
  end
  if type(response.body) == "string" and response.body ~= "" then response.body = with_script(response.body) end
end

---Adds the routes below `/_neap/` and the script to what `core.serve` takes.
---@param spec table
function dev.add(spec)
  for path, handler in pairs(routes) do
    local id = #spec.routes + 1
    if spec.router:add("GET", path, id, "neap dev") then spec.routes[id] = {handler = handler, pattern = path} end
  end
  local on_send = spec.on_send
  spec.on_send = function(req, ...)
    local response = on_send and on_send(req, ...) or res.from(...)
    inject(response)
    return response
  end
end

return dev
