-- A page with its style, scripts and pictures in a real browser, over connections that are used again.
local chromium = require "spec.support.chromium"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:use(function(req, next)
    neap.log.info("asked", {path = req.path, client = req.peer_port, agent = req.headers["user-agent"]})
    return next(req)
  end)
  app:static("/", "public", {max_age = 0})
  app:get("/api/numbers", function() return {1, 2, 3} end)
  return app]]

local LOGGED = {"--set", "timeouts.drain=1", "--set", "log.access=true"}
local PICTURES = 12

local PAGE = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Assets</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<h1>Grüße</h1>
<p id="result">nothing yet</p>
<div id="pictures">{pictures}</div>
<script src="first.js"></script>
<script src="sub/second.js" defer></script>
]]

local FIRST = [[window.first = "first";]]

-- Looks at everything once all is loaded, and fetches: JSON, a range, and a file that has not changed.
local SECOND = [[
window.second = "second";
addEventListener("load", async function () {
  const said = [];
  const color = getComputedStyle(document.querySelector("h1")).color;
  said.push("style " + (color === "rgb(1, 2, 3)"));
  said.push("scripts " + window.first + " " + window.second);
  const pictures = [...document.images];
  said.push("pictures " + pictures.filter(one => one.complete && one.naturalWidth === 3).length);
  said.push("text " + document.querySelector("h1").textContent);
  const numbers = await (await fetch("/api/numbers")).json();
  said.push("json " + numbers.join("+"));
  const part = await fetch("style.css", {headers: {Range: "bytes=0-1"}});
  said.push("range " + part.status + " " + await part.text());
  const whole = await fetch("large.txt");
  said.push("large " + (await whole.text()).length + " " + whole.headers.get("content-encoding"));
  const packed = await fetch("packed.txt");
  said.push("packed " + await packed.text() + " " + packed.headers.get("content-encoding"));
  const missing = await fetch("nothing.txt");
  said.push("missing " + missing.status);
  document.getElementById("result").textContent = said.join("; ");
});
]]

local SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="3" height="3"><rect width="3" height="3" fill="red"/></svg>'

local function files()
  local list, tags = {}, {}
  for i = 1, PICTURES do
    tags[i] = ('<img alt="" src="pictures/%d.svg">'):format(i)
    list[("public/pictures/%d.svg"):format(i)] = SVG
  end
  list["public/index.html"] = PAGE:gsub("{pictures}", table.concat(tags))
  list["public/style.css"] = "h1 { color: rgb(1, 2, 3) }"
  list["public/first.js"] = FIRST
  list["public/sub/second.js"] = SECOND
  list["public/large.txt"] = ("x"):rep(3000000)
  list["public/packed.txt"] = "plain"
  return list
end

describe("a browser", function()
  after_each(server.stop_all)

  it("loads a page with all that belongs to it, and uses its connections again", function()
    if not chromium.exists() then return pending("chromium is missing") end
    local s = server.start {app = APP, files = files(), args = LOGGED}
    assert(os.execute(("cd '%s/public' && printf 'from gzip' | gzip >packed.txt.gz"):format(s.dir)))
    local dom = chromium.dom(("http://127.0.0.1:%d/"):format(s.port))
    local said = dom:match('<p id="result">(.-)</p>')
    assert.equal(("style true; scripts first second; pictures %d; text Grüße; json 1+2+3; range 206 h1; "
      .. "large 3000000 null; packed from gzip gzip; missing 404"):format(PICTURES), said)

    s:stop() -- the log is complete
    local clients, requests = {}, 0
    for client in s:log():gmatch('"msg":"asked"[^\n]-"client":(%d+)') do
      requests = requests + 1
      clients[client] = (clients[client] or 0) + 1
    end
    local connections = 0
    for _ in pairs(clients) do connections = connections + 1 end
    assert.is_true(requests >= PICTURES + 8, requests .. " requests")
    assert.is_true(connections <= 6, ("%d connections for %d requests"):format(connections, requests))
    print(("      %d requests over %d connections"):format(requests, connections))
    local _, lines = s:log():gsub('"msg":"GET /', "")
    assert.equal(requests, lines)
  end)

  it("asks again for what may have changed, and is told that it has not", function()
    if not chromium.exists() then return pending("chromium is missing") end
    local s = server.start {app = APP, args = LOGGED, files = {
      ["public/a.txt"] = "first",
      ["public/index.html"] = [[<!doctype html><title>t</title><link rel="icon" href="data:,"><p id="result">no</p>
        <script>
        (async function () {
          const one = await (await fetch("a.txt")).text();
          const two = await (await fetch("a.txt")).text();
          document.getElementById("result").textContent = one + " " + two;
        })();
      </script>]]}}
    local dom = chromium.dom(("http://127.0.0.1:%d/"):format(s.port))
    assert.equal("first first", dom:match('<p id="result">(.-)</p>'))
    for _, status in ipairs {200, 304} do
      local pattern = ('"msg":"GET /a.txt"[^\n]*"status":%d'):format(status)
      assert.truthy(server.poll(10, function() return s:log():find(pattern) end), s:log())
    end
  end)
end)
