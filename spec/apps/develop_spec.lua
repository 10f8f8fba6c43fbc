-- The apps of apps/ in `neap dev`, with a page open while their files are changed.
local ask = require "spec.support.ask"
local browser = require "spec.support.browser"
local chromium = require "spec.support.chromium"
local core = require "neap.core"
local server = require "spec.support.server"

local APPS = assert(os.getenv("PWD"), "PWD is not set") .. "/apps"
local ROOM = "apps/chat/controllers/room.lua"
local PROBE = "function index() return tostring(neap.topic('neap.dev'):stats().subscribers) end"

-- Every socket that a page has opened since it was loaded, but for that of neap dev itself.
local REMEMBER_SOCKETS = [[
  window.sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      if (!url.includes("/_neap/")) sockets.push(this);
    }
  };
]]

-- The files of a folder and of those in it: name -> text.
local function read_folder(path, name, files)
  for _, entry in ipairs(assert(core.list_dir(path))) do
    local is_folder = entry:sub(-1) == "/"
    if is_folder then
      read_folder(path .. "/" .. entry:sub(1, -2), name .. "/" .. entry:sub(1, -2), files)
    else
      local file <close> = assert(io.open(path .. "/" .. entry, "rb"))
      files[name .. "/" .. entry] = file:read("a")
    end
  end
  return files
end

describe("a page in neap dev", function()
  local s, page, files
  setup(function()
    page = chromium.exists() and browser.open()
    if not page then return end
    page:ask("Page.enable")
    page:ask("Page.addScriptToEvaluateOnNewDocument", {source = REMEMBER_SOCKETS})
  end)
  before_each(function()
    files = read_folder(APPS, "apps", {["apps/probe/controllers/default.lua"] = PROBE})
    s = server.start {files = files, command = "dev", target = "apps"}
  end)
  after_each(server.stop_all)
  teardown(function() return page and page:close() end)

  local function go(path) page:go(("http://127.0.0.1:%d%s"):format(s.port, path)) end

  -- Saves a file with something in it exchanged, as an editor does.
  local function edit(name, old, new)
    local from, to = assert(files[name]:find(old, 1, true))
    s:write(name, files[name]:sub(1, from - 1) .. new .. files[name]:sub(to + 1))
  end

  local function say(text)
    local answer = ask(s, "/chat/room/say/tea", {method = "POST", body = "from=Ada&text=" .. text, headers = {
      ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json"}})
    assert.equal(200, answer.status)
  end

  local function hears(text)
    page:wait(('document.querySelector("#messages li:last-child span")?.textContent === "%s"'):format(text))
  end

  local STATE = 'document.getElementById("state").textContent === "live: connection 1, generation %d"'
  local OVERLAY = '(document.getElementById("neap-overlay")?.innerText || "").includes(%q)'
  local NO_OVERLAY = '!document.getElementById("neap-overlay")'
  local ONE_SOCKET = "sockets.length === 1 && sockets[0].readyState === WebSocket.OPEN"

  it("keeps its WebSocket when a controller is changed, and talks to the new one", function()
    if not page then return pending("chromium is missing") end
    go("/chat/room/show/tea")
    page:wait(STATE:format(1))
    edit(ROOM, 'text = field(sent, "text")', 'text = field(sent, "text"):upper()')
    page:wait('document.getElementById("neap-notice").innerText.includes("generation 2 serves")')
    say("hello")
    hears("HELLO")
    page:wait(STATE:format(2)) -- the connection's number, as the new code says it
    assert.is_true(page:run(ONE_SOCKET))
  end)

  it("has an overlay while the code is broken, works on, and loses it when that is mended", function()
    if not page then return pending("chromium is missing") end
    go("/chat/room/show/tea")
    page:wait(STATE:format(1))
    edit(ROOM, "function post.say(req, name)", "function post.say(req, name")
    page:wait(OVERLAY:format("serving generation 1, generation 2 failed"))
    page:wait(OVERLAY:format(ROOM .. ":"))
    say("still-here")
    hears("still-here")
    assert.is_false(page:run(NO_OVERLAY))
    edit(ROOM, "at = os.time()", "at = os.time() + 1")
    page:wait(NO_OVERLAY)
    page:wait(STATE:format(3))
    assert.is_true(page:run(ONE_SOCKET))
    say("mended")
    hears("mended")
  end)

  it("comes again by itself where it has no socket, also from the page of the error", function()
    if not page then return pending("chromium is missing") end
    go("/chat")
    page:wait('document.querySelector("h1").textContent === "Rooms"')
    edit("apps/chat/controllers/default.lua", "function index()", "function index(")
    page:wait(OVERLAY:format("apps/chat/controllers/default.lua:"))
    page:run('document.querySelector("#neap-overlay a").click()')
    page:wait('document.querySelector("h2").textContent.startsWith("apps/chat/controllers/default.lua, line ")')
    edit("apps/chat/views/default/index.html", "<h1>Rooms</h1>", "<h1>All the rooms</h1>")
    edit("apps/chat/controllers/default.lua", "", "")
    page:wait('document.querySelector("h1").textContent === "All is well"')
    page:run("history.back()")
    page:wait('document.querySelector("h1").textContent === "All the rooms"')
    assert.is_true(page:run(NO_OVERLAY))
    edit("apps/chat/views/default/index.html", "<h1>Rooms</h1>", "<h1>Every room</h1>")
    page:wait('document.querySelector("h1").textContent === "Every room"')
  end)

  it("leaves no connection behind when it is left, though the browser may keep it", function()
    if not page then return pending("chromium is missing") end
    for _ = 1, 4 do
      for _, path in ipairs {"/chat", "/"} do
        go(path)
        assert(server.poll(10, function() return select(2, s:get("/probe")) == "1" end), (select(2, s:get("/probe"))))
      end
    end
    page:run("history.back()")
    page:wait('document.querySelector("h1").textContent === "Rooms"')
    edit("apps/chat/views/default/index.html", "<h1>Rooms</h1>", "<h1>All the rooms</h1>")
    page:wait('document.querySelector("h1").textContent === "All the rooms"')
  end)
end)
