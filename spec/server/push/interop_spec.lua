-- Clients that others wrote: python3-websockets, Node's ws, curl, and a browser's WebSocket and EventSource.
-- needs: python3-websockets node-ws
local chromium = require "spec.support.chromium"
local command = require "spec.support.command"
local live = require "spec.support.live"
local server = require "spec.support.server"

local APP = live.app [[
  app:ws("/echo", function(ws)
    for message, kind in ws:messages() do ws:send(message, kind) end
  end, {protocols = {"v1.echo"}})
  app:ws("/bye", function(ws) ws:close(4000, "grüß") end)
  app:get("/page", function() return neap.res.file("page.html") end)
  -- Two events, then the stream ends: the browser has to come back for more.
  app:get("/flaky/:topic", function(req)
    return neap.res.sse(function(ev)
      ev:send{retry = 20}
      local after = ev.last_id or "0"
      for item, cursor in neap.topic(req.params.topic):messages{after = after} do
        ev:send{id = cursor, data = item}
        neap.store("visits"):incr("flaky")
        if neap.store("visits"):get("flaky") % 2 == 0 then return end
      end
    end)
  end)]]

local PYTHON = [[
import asyncio, os, sys, websockets
url = "ws://127.0.0.1:%d" % int(sys.argv[1])

async def talk(compression):
    async with websockets.connect(url + "/echo", compression=compression, subprotocols=["v2.echo", "v1.echo"],
                                  max_size=None) as ws:
        assert ws.subprotocol == "v1.echo"
        for text in ["", "hello", "grüß " * 1000, "x" * 70000, "\0", "y" * 1000000]:
            await ws.send(text)
            assert await ws.recv() == text
        for size in [0, 1, 125, 126, 65535, 65536, 900000]:
            data = os.urandom(size)
            await ws.send(data)
            assert await ws.recv() == data
        await ws.send(["frag", "ment", "ed " * 100])
        assert await ws.recv() == "fragmented " + "ed " * 99
        await (await ws.ping(b"payload"))
        for i in range(500):
            await ws.send(("message %d " % i) * 20)
        for i in range(500):
            assert await ws.recv() == ("message %d " % i) * 20
    assert ws.close_code == 1000

async def ends():
    async with websockets.connect(url + "/bye") as ws:
        try:
            await ws.recv()
            assert False
        except websockets.ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4000, "grüß")
    async with websockets.connect(url + "/echo") as ws:
        await ws.send("x" * 1500000)
        try:
            await ws.recv()
            assert False
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == 1009, closed
    try:
        async with websockets.connect(url + "/echo", origin="http://evil.example"):
            assert False
    except websockets.InvalidHandshake as refused: # what it has in it depends on the version
        response = getattr(refused, "response", refused)
        assert response.status_code == 403

async def main():
    await talk("deflate")
    await talk(None)
    await ends()
    print("python is content")

asyncio.run(main())
]]

local NODE = [[
const WebSocket = require("ws");
const url = "ws://127.0.0.1:" + process.argv[2] + "/echo";
const ws = new WebSocket(url, "v1.echo");
const texts = ["", "hello", "grüß ".repeat(1000), "x".repeat(900000)];
let at = 0;
ws.on("open", () => ws.send(texts[0]));
ws.on("message", data => {
  if (data.toString() !== texts[at]) process.exit(3);
  if (++at < texts.length) ws.send(texts[at]); else ws.close(4321, "done");
});
ws.on("close", code => { console.log("node is content"); process.exit(code === 4321 ? 0 : 4); });
ws.on("error", error => { console.error(error); process.exit(5); });
]]

local PAGE = [[<!doctype html><meta charset="utf-8"><title>t</title><link rel="icon" href="data:,"><p id="result">nothing yet</p>
<script>
const said = [];
function say(text) { said.push(text); result.textContent = said.join("; "); }
function socket() {
  return new Promise(done => {
    const ws = new WebSocket(location.origin.replace("http", "ws") + "/echo", ["v1.echo"]);
    const sent = ["hello", "grüß ".repeat(2000)];
    let at = 0;
    ws.onopen = () => { say("open " + ws.protocol + " " + ws.extensions.split(";")[0]); ws.send(sent[0]); };
    ws.onmessage = event => {
      say("echo " + (event.data === sent[at]));
      if (++at < sent.length) ws.send(sent[at]); else ws.close(3000, "bye");
    };
    ws.onclose = event => { say("close " + event.code + " " + event.wasClean); done(); };
  });
}
function feed() {
  return new Promise(done => {
    const ws = new WebSocket(location.origin.replace("http", "ws") + "/serve/numbers?after=0");
    const got = [];
    ws.onmessage = event => {
      got.push(JSON.parse(event.data).data);
      if (got.length === 6) { say("feed " + got.join("")); ws.close(); }
    };
    ws.onclose = done;
  });
}
function events() {
  return new Promise(done => {
    const source = new EventSource("/flaky/numbers"), got = [];
    let opened = 0;
    source.onopen = () => opened++;
    source.onmessage = event => {
      got.push(event.data);
      if (got.length === 6) { say("events " + got.join("") + " " + (opened >= 3)); source.close(); done(); }
    };
  });
}
function closed() {
  return new Promise(done => {
    const source = new EventSource("/events/closed?after=0&retry=0.02s");
    source.onmessage = event => say("last " + event.data);
    source.onerror = () => { if (source.readyState === 2) { say("over"); done(); } };
  });
}
async function poll() {
  const answer = await fetch("/poll/numbers?after=0");
  const body = await answer.json();
  say("poll " + body.items.join("") + " " + (answer.headers.get("topic-cursor") === body.cursor));
}
// The clock of a browser in a test runs ahead while only sockets wait; it stands while a fetch does.
let over = false;
(async function () { while (!over) await fetch("/poll/never?timeout=0.03"); })();
(async function () {
  await socket(); await feed(); await events(); await poll(); await closed();
  over = true;
  say("end");
})();
</script>]]

local NODE_ENV = "NODE_PATH=/usr/share/nodejs " -- where Debian puts node-ws

describe("clients of others", function()
  local s

  before_each(function()
    s = server.start {app = APP, workers = 2, files = {["client.py"] = PYTHON, ["client.js"] = NODE, ["page.html"] = PAGE},
      args = {"--set", "timeouts.drain=2"}}
  end)
  after_each(server.stop_all)

  local function runs(tool, expected)
    local result = command.run(tool, 60)
    assert(result.code == 0, result.out .. result.err)
    assert.matches(expected, result.out, 1, true)
  end

  it("python3-websockets", function()
    if not os.execute("/usr/bin/python3 -c 'import websockets' 2>/dev/null") then return pending("python3-websockets is missing") end
    runs(("/usr/bin/python3 '%s/client.py' %d"):format(s.dir, s.port), "python is content")
  end)

  it("Node's ws", function()
    if not os.execute(NODE_ENV .. "node -e 'require(\"ws\")' >/dev/null 2>&1") then return pending("node or its package ws is missing") end
    runs((NODE_ENV .. "node '%s/client.js' %d"):format(s.dir, s.port), "node is content")
  end)

  it("curl", function()
    if not command.exists "curl" then return pending("curl is missing") end
    local admin = live.open(s)
    local cursor = admin:publish("news", "one")
    admin:publish("news", "two")
    local url = "http://127.0.0.1:" .. s.port
    runs(("curl -s '%s/poll/news?after=%s'"):format(url, cursor), '"items":["two"]')
    runs(("curl -s -H 'If-None-Match: \"%s\"' '%s/poll/news'"):format(cursor, url), '"items":["two"]')
    local stream <close> = command.start(("exec curl -sN -H 'Last-Event-ID: %s' %s/events/news"):format(cursor, url))
    assert(server.poll(10, function() return stream:output():find("data: two\n", 1, true) end))
    runs(("curl -s -o /dev/null -w '%%{http_code}' -m 60 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' "
      .. "-H 'Sec-WebSocket-Key: x' %s/echo"):format(url), "400")
    admin:close_topic("news")
    runs(("curl -s -o /dev/null -w '%%{http_code}' %s/poll/news"):format(url), "410")
    admin:close()
  end)

  it("a browser's WebSocket, EventSource and fetch", function()
    if not chromium.exists() then return pending("chromium is missing") end
    local admin = live.open(s)
    admin:publish_many("numbers", 1, 6)
    admin:publish("closed", "words")
    admin:close_topic("closed")
    local dom = chromium.dom(("http://127.0.0.1:%d/page"):format(s.port), 5)
    assert.equal("open v1.echo permessage-deflate; echo true; echo true; close 3000 true; feed 123456; events 123456 true; "
      .. "poll 123456 true; last words; over; end", dom:match('<p id="result">(.-)</p>'))
    admin:close()
  end)
end)
