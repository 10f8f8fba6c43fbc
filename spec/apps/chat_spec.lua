local ask = require "spec.support.ask"
local browser = require "spec.support.browser"
local chromium = require "spec.support.chromium"
local core = require "neap.core"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local APPS = assert(os.getenv("PWD"), "PWD is not set") .. "/apps"

describe("apps/chat", function()
  local s
  before_each(function() s = server.start {target = APPS} end)
  after_each(server.stop_all)

  local function say(room, form, accept)
    return ask(s, "/chat/room/say/" .. room, {method = "POST", body = form, headers = {
      ["Content-Type"] = "application/x-www-form-urlencoded", Accept = accept or "application/json"}})
  end

  local function get(path, accept)
    return ask(s, path, {headers = {Accept = accept or "text/html"}})
  end

  it("lists its rooms, and leads to a new one", function()
    assert.truthy(get("/chat").body:find("There is none yet", 1, true))
    assert.equal("/chat/room/show/tea-cake", get("/chat/default/go?room=Tea+%26+Cake%21").headers.location)
    assert.equal("/chat", get("/chat/default/go?room=%2F%2F").headers.location)
    assert.equal(200, get("/chat/room/show/tea-cake").status)
    local list = core.json.decode(get("/chat", "application/json").body)
    assert.same({{name = "tea-cake", here = 0}}, {{name = list.rooms[1].name, here = list.rooms[1].here}})
  end)

  it("shows what was said, escaped, also to a browser without scripts", function()
    local answer = say("tea", "from=Ada&text=%3Cscript%3E", "text/html")
    assert.same({303, "/chat/room/show/tea"}, {answer.status, answer.headers.location})
    local page = get("/chat/room/show/tea").body
    assert.truthy(page:find("<b>Ada</b>", 1, true))
    assert.truthy(page:find("<span>&lt;script&gt;</span>", 1, true), page)
  end)

  it("keeps more of a room than one answer can hold", function()
    for i = 1, 150 do say("tea", "from=Ada&text=message-" .. i) end
    local _, count = get("/chat/room/show/tea").body:gsub("<span>message%-", "")
    assert.equal(150, count)
  end)

  it("refuses what is no message and no room", function()
    assert.equal(422, say("tea", "from=Ada").status)
    assert.equal(422, say("tea", "from=Ada&text=++").status)
    assert.equal(422, say("tea", "from=Ada&text=%ff").status)
    assert.equal(422, say("tea", "from=Ada&text=" .. ("x"):rep(1001)).status)
    assert.equal(404, say("t_a", "from=Ada&text=x").status)
    assert.equal(404, get("/chat/room/show").status)
    assert.equal(400, ask(s, "/chat/room/say/tea", {method = "POST", body = "text"}).status)
    for i = 1, 100 do get("/chat/room/show/room" .. i) end
    assert.equal(503, get("/chat/room/show/one-too-many").status)
  end)

  it("tells everybody at one address: by WebSocket, events and long-polls", function()
    local socket = ws.open(s, "/chat/room/live/tea")
    local hello = core.json.decode((socket:message()))
    assert.same({1, 1}, {hello.connection, hello.generation})
    say("tea", "from=Ada&text=hello")
    local message
    repeat message = core.json.decode((socket:message())) until message.data.text
    assert.same({"Ada", "hello"}, {message.data.from, message.data.text})
    socket:send("?")
    repeat message = core.json.decode((socket:message())) until message.connection
    assert.equal(1, message.connection)
    socket:close()

    local poll = core.json.decode(get("/chat/room/live/tea?after=0", "application/json").body)
    assert.truthy(poll.cursor)
    local texts = {}
    for _, item in ipairs(poll.items) do texts[#texts + 1] = item.text end
    assert.same({"hello"}, texts)
    local stream = core.connect("127.0.0.1", s.port)
    stream:send("GET /chat/room/live/tea?after=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    local got = ""
    while not got:find('"text":"hello"', 1, true) do got = got .. assert(stream:recv(65536, 20)) end
    assert.matches("id: %S+", got)
    stream:close()
  end)

  it("closes a socket whose cursor is nonsense", function()
    local socket = ws.open(s, "/chat/room/live/tea?after=nonsense")
    socket:message()
    assert.equal(1008, select(2, socket:message()))
    socket:close()
    assert.is_nil(s:log():find('"level":"error"', 1, true), s:log())
  end)

end)

describe("the page of apps/chat", function()
  local s, page
  setup(function() page = chromium.exists() and browser.open() end)
  before_each(function() s = server.start {target = APPS} end)
  after_each(server.stop_all)
  teardown(function() return page and page:close() end)

  local function say(text)
    assert.equal(200, ask(s, "/chat/room/say/tea", {method = "POST", body = "from=Ada&text=" .. text, headers = {
      ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json"}}).status)
  end

  local function go(query)
    page:go(("http://127.0.0.1:%d/chat/room/show/tea%s"):format(s.port, query))
  end

  it("says, hears, counts who is here", function()
    if not page then return pending("chromium is missing") end
    go("")
    page:wait('document.getElementById("state").textContent.startsWith("live: connection 1,")')
    page:wait('document.getElementById("here").textContent === "1 here"')
    say("%3Cb%3Ehello")
    page:wait('document.querySelector("#messages li:last-child span")?.textContent === "<b>hello"')
    page:run('from.value = "Ben"; text.value = "and from here"; document.querySelector("#say button").click()')
    page:wait('document.querySelector("#messages li:last-child span").textContent === "and from here"')
    page:wait('text.value === ""')
    local socket = ws.open(s, "/chat/room/live/tea")
    page:wait('document.getElementById("here").textContent === "2 here"')
    socket:close()
    page:wait('document.getElementById("here").textContent === "1 here"')
    page:run('text.value = "x".repeat(1001); document.getElementById("say").requestSubmit()')
    page:wait('document.getElementById("state").textContent.startsWith("not sent: text: at most")')
  end)

  for _, way in ipairs {"socket", "events", "polls"} do
    it("is away while another page shows, and then hears what it has missed, by " .. way, function()
      if not page then return pending("chromium is missing") end
      go("?by=" .. way)
      page:wait('document.getElementById("here").textContent === "1 here"')
      page:go(("http://127.0.0.1:%d/"):format(s.port))
      assert(server.poll(20, function()
        local list = ask(s, "/chat", {headers = {Accept = "application/json"}}).body
        return core.json.decode(list).rooms[1].here == 0
      end), "it is still there")
      say("meanwhile")
      page:run("history.back()")
      page:wait('document.querySelector("#messages li:last-child span")?.textContent === "meanwhile"')
      say("afterwards")
      page:wait('document.querySelector("#messages li:last-child span")?.textContent === "afterwards"')
      assert.equal(2, page:run('document.querySelectorAll("#messages li").length'))
    end)
  end

  for _, way in ipairs {"events", "polls"} do
    it("is live by " .. way .. " where WebSockets do not get through", function()
      if not page then return pending("chromium is missing") end
      go("?by=" .. way)
      page:wait('document.getElementById("here").textContent === "1 here"')
      for i = 1, 3 do
        say(tostring(i))
        page:wait(('document.querySelector("#messages li:last-child span")?.textContent === "%d"'):format(i))
      end
      assert.equal(3, page:run('document.querySelectorAll("#messages li").length'))
    end)
  end
end)
