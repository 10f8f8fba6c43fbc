-- What `neap dev` adds to an application: a script in every page that reloads it when the code has changed, and shows
-- an overlay while the newest code cannot be loaded. The core (develop.c) says what happened by the topic "neap.dev",
-- and keeps the last of it in the store "neap.dev": {serving=, failed=, error=, changed="code"|"views"|"assets"}.
local core = require "neap.core"
local devpage = require "neap.dev.page"
local json = require "neap.json"
local res = require "neap.res"
local store = require "neap.store"
local topic = require "neap.topic"

local dev = {}

local NAME = "neap.dev"
local TAG = '<script src="/_neap/live.js"></script>'
local PAGE_MAX = 2 * 1024 * 1024 -- bytes; larger files are sent as they are

-- It is the first script of a page, so that it sees which WebSockets the others open. A page that has one open is not
-- reloaded for new code, which its socket has gone over to already: it gets a notice. New views and style sheets
-- cannot be shown without reloading. It listens by WebSocket: of event streams a browser has six for all pages of a server,
-- and a page that was left, which it keeps for the button "back", would go on having its own.
local SCRIPT = [[
(function () {
  "use strict";
  var PAUSE = 1000, LONG_PAUSE = 10000, NOTICE = 8000;
  var open = 0, box = null, feed = null, serving = null;
  var Socket = window.WebSocket;
  window.WebSocket = new Proxy(Socket, {
    construct: function (target, args) {
      var socket = Reflect.construct(target, args);
      open += 1;
      socket.addEventListener("close", function () { open -= 1; });
      return socket;
    }
  });

  // --- what is shown, in elements that bring their style along ---

  function element(name, text, style) {
    var made = document.createElement(name);
    made.textContent = text;
    made.style.cssText = style;
    return made;
  }

  function link(text, href) {
    var made = element("a", text, "color:inherit;margin-right:1rem");
    made.href = href;
    return made;
  }

  function button(text, act) {
    var made = element("button", text, "width:auto;min-height:2.2rem;padding:.2rem .8rem;font:inherit;color:inherit;" +
      "background:none;border:1px solid;border-radius:.3rem;cursor:pointer");
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  function hide() {
    if (box) box.remove();
    box = null;
  }

  function show(id, style, parts) {
    hide();
    box = element("div", "", "position:fixed;z-index:2147483647;right:0;bottom:0;box-sizing:border-box;margin:0;" +
      "padding:.8rem 1rem;font:.95rem/1.45 system-ui,sans-serif;text-align:left;color:#fff;max-height:50vh;" +
      "overflow:auto;" + style);
    box.id = id;
    parts.forEach(function (part) { box.append(part); });
    (document.body || document.documentElement).append(box);
  }

  function overlay(state) {
    var text = state.error.replace(/^neap: /, "").split("\n").slice(0, 8).join("\n");
    show("neap-overlay", "left:0;background:#8f1d1d", [
      element("strong", "serving generation " + state.serving + ", generation " + state.failed + " failed",
        "display:block"),
      element("pre", text, "margin:.3rem 0;font-size:.9rem;white-space:pre-wrap;overflow-wrap:anywhere"),
      link("source and traceback", "/_neap/error"), button("hide", hide)
    ]);
    box.setAttribute("role", "alert");
  }

  function notice(state) {
    show("neap-notice", "background:#1d5f3a;border-top-left-radius:.5rem", [
      element("strong", "generation " + state.serving + " serves", "margin-right:1rem"),
      button("reload this page", function () { location.reload(); })
    ]);
    box.setAttribute("role", "status");
    var mine = box;
    setTimeout(function () { if (box === mine) hide(); }, NOTICE);
  }

  // --- what happens ---

  function tell(state) {
    serving = state.serving;
    if (state.error && location.pathname !== "/_neap/error") overlay(state);
    else if (!state.error && open > 0 && state.changed === "code") notice(state);
    else location.reload();
  }

  // The server has gone. When it is back it may be another.
  function lost() {
    fetch("/_neap/state").then(function () { location.reload(); }, function () { setTimeout(lost, PAUSE); });
  }

  function listen(state) {
    feed = new Socket(location.origin.replace(/^http/, "ws") + "/_neap/live?after=" + encodeURIComponent(state.cursor));
    var reached = false;
    feed.onopen = function () { reached = true; };
    feed.onmessage = function (event) {
      var message = JSON.parse(event.data);
      if (message.data) tell(message.data);
    };
    feed.onclose = function () { setTimeout(reached ? lost : begin, reached ? PAUSE : LONG_PAUSE); };
  }

  function begin() {
    fetch("/_neap/state").then(function (answer) { return answer.json(); }).then(function (state) {
      if (serving !== null && serving !== state.serving) location.reload();
      serving = state.serving;
      if (state.error && location.pathname !== "/_neap/error") overlay(state);
      listen(state);
    }, function () { setTimeout(begin, LONG_PAUSE); });
  }

  addEventListener("pagehide", function () {
    if (feed) feed.onclose = null, feed.close();
  });
  addEventListener("pageshow", function (event) { if (event.persisted) begin(); });
  begin();
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

routes["/_neap/live"] = function(req) return topic.open(NAME):serve(req) end

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
