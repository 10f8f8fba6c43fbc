-- `neap dev`: what is saved is live a moment later, and open pages know.
local ask = require "spec.support.ask"
local json = require "neap.json"
local server = require "spec.support.server"
local task = require "neap.task"
local ws = require "spec.support.ws"

local function app(version)
  local text = ([[
    local neap = require "neap"
    local part = require "part"
    local app = neap.app()
    app:get("/", function() return "VERSION " .. part .. " " .. neap.generation end)
    app:get("/page", function() return neap.res.html("<html><head><title>x</title></head><body>VERSION</body></html>") end)
    app:get("/bare", function() return neap.res.html("<p>bare</p>") end)
    app:static("/static", "static")
    return app]]):gsub("VERSION", version)
  return text
end

local function start(more)
  local files = {["app.lua"] = app "one", ["part.lua"] = "return 'a'", ["static/page.html"] = "<body>file</body>",
    ["static/style.css"] = "p {}", ["views/page.html"] = "v"}
  for name, text in pairs(more or {}) do files[name] = text end
  return server.start {files = files, command = "dev"}
end

local function becomes(s, expected, path)
  local body
  local ok = server.poll(20, function()
    body = select(2, s:get(path or "/"))
    return body == expected
  end)
  assert(ok, ("%s, not %s\n%s"):format(body, expected, s:log()))
end

local function state(s)
  return json.decode(select(2, s:get("/_neap/state")))
end

local function fails(s, generation)
  local now
  assert(server.poll(20, function()
    now = state(s)
    return now.failed == generation
  end), s:log())
  return now
end

describe("neap dev", function()
  after_each(server.stop_all)

  it("serves what is saved, however an editor writes it", function()
    local s = start()
    becomes(s, "one a 1")
    s:write("app.lua", app "two") -- written beside it, and renamed
    becomes(s, "two a 2")
    local file = assert(io.open(s.dir .. "/app.lua", "w")) -- written over
    file:write(app "three")
    file:close()
    assert(server.poll(20, function() return select(2, s:get("/")):find("three a", 1, true) end))
    s:write("part.lua", "return 'b'") -- a module
    assert(server.poll(20, function() return select(2, s:get("/")):find("three b", 1, true) end))
  end)

  it("finds new files and folders, and those that are gone", function()
    local s = start()
    s:write("app.lua", (app("two"):gsub('require "part"', 'require "deep.part"')))
    fails(s, 2)
    becomes(s, "one a 1")
    os.execute(("mkdir %s/deep"):format(s.dir))
    s:write("deep/part.lua", "return 'deep'")
    assert(server.poll(20, function() return select(2, s:get("/")):find("two deep", 1, true) end), s:log())
    s:write("deep/part.lua", "return 'deeper'")
    assert(server.poll(20, function() return select(2, s:get("/")):find("two deeper", 1, true) end), s:log())
    s:write("deep/part.lua", false)
    assert(server.poll(20, function() return state(s).error end))
    assert.matches("two deeper", (select(2, s:get("/"))))
  end)

  it("watches what is elsewhere and was loaded: modules, also those that break or are gone, and config.lua", function()
    local s = server.start {command = "dev", target = "site/app.lua", workers = 1, files = {
      ["site/app.lua"] = [[
        package.path = "shared/?.lua;" .. package.path
        local neap = require "neap"
        local app = neap.app()
        local words = require "words"
        app:get("/", function() return words end)
        app:get("/late", function() return require "late" end)
        app:get("/title", function() return require("neap.config").app.title or "none" end)
        return app]],
      ["shared/words.lua"] = "return 'one'", ["shared/late.lua"] = "return 'late one'",
    }}
    becomes(s, "one")
    s:write("shared/words.lua", "return 'two'")
    becomes(s, "two")
    s:write("shared/words.lua", "return '")
    assert(server.poll(20, function() return state(s).error end))
    becomes(s, "two")
    s:write("shared/words.lua", "return 'three'")
    becomes(s, "three")
    s:write("shared/words.lua", false)
    assert(server.poll(20, function() return state(s).error end))
    s:write("shared/words.lua", "return 'three'") -- as it was
    assert(server.poll(20, function() return not state(s).error end), s:log())
    becomes(s, "late one", "/late") -- not loaded before a handler asked for it
    local saved = 0
    assert(server.poll(20, function() -- what it is when the watcher learns of it is no change
      saved = saved + 1
      s:write("shared/late.lua", ("return 'late %d'"):format(saved))
      return select(2, s:get("/late")) ~= "late one"
    end), s:log())
    s:write("config.lua", "return {default = {app = {title = 'set'}}}")
    becomes(s, "set", "/title")
  end)

  it("waits for a folder that is exchanged for another", function()
    local s = server.start {command = "dev", target = "www/site/app.lua", workers = 1, files = {
      ["www/site/app.lua"] = app "one", ["www/site/part.lua"] = "return 'a'",
      ["www/next/app.lua"] = app "two", ["www/next/part.lua"] = "return 'a'",
    }}
    becomes(s, "one a 1")
    assert(os.rename(s.dir .. "/www/site", s.dir .. "/www/before"))
    assert(server.poll(20, function() return state(s).error end))
    assert(os.rename(s.dir .. "/www/next", s.dir .. "/www/site"))
    assert(server.poll(20, function() return not state(s).error end), s:log())
    assert.matches("^two a", select(2, s:get("/")))
    s:write("www/site/part.lua", "return 'b'")
    assert(server.poll(20, function() return select(2, s:get("/")):find("two b") end), s:log())
  end)

  it("minds the content, not the time of a file; and no files that are no sources", function()
    local s = start()
    os.execute(("touch %s/app.lua"):format(s.dir))
    s:write("app.lua", app "one")
    s:write("data.db", "written by the application")
    s:write(".hidden.lua", "syntax error")
    task.sleep(0.3) -- nothing is waited for: this is the time in which it must not happen
    s:write("part.lua", "return 'b'")
    becomes(s, "one b 2")
  end)

  it("goes on with the old code while the new is broken, says why, and recovers by itself", function()
    local s = start()
    s:write("part.lua", "return 'b")
    local now = fails(s, 2)
    assert.equal(1, now.serving)
    assert.matches("part.lua:1: unfinished string", now.error)
    assert.is_nil(now.error:find("was not started", 1, true), now.error)
    local _, page = s:get("/_neap/error")
    assert.matches("serving generation 1, generation 2 failed", page)
    assert.matches("part.lua, line 1", page)
    becomes(s, "one a 1")
    s:write("part.lua", "return 'c'")
    becomes(s, "one c 3")
    assert(server.poll(10, function() return not state(s).error end))
    assert.matches("generation 3 serves", (select(2, s:get("/_neap/error"))))
  end)

  it("gives up a load that hangs when the file is saved again", function()
    local s = start()
    s:write("part.lua", "require('neap').log.info('hanging') require('neap').task.sleep(1000) return 'b'")
    s:wait_log("hanging")
    s:write("part.lua", "return 'c'")
    becomes(s, "one c 3")
  end)

  it("puts its script into pages, files among them, and nothing else", function()
    local s = start()
    local tag = '<script src="/_neap/live.js"></script>'
    assert.equal("<html><head>" .. tag .. "<title>x</title></head><body>one</body></html>", ask(s, "/page").body)
    assert.equal("<p>bare</p>" .. tag, ask(s, "/bare").body)
    assert.equal("<body>file" .. tag .. "</body>", ask(s, "/static/page.html").body)
    assert.equal("p {}", ask(s, "/static/style.css").body)
    assert.equal("one a 1", ask(s, "/").body)
    assert.matches("/_neap/live", ask(s, "/_neap/live.js").body, 1, true)
  end)

  it("tells open pages what has changed", function()
    local s = start()
    local socket = ws.open(s, "/_neap/live?after=" .. state(s).cursor)
    local function next_state()
      return json.decode((socket:message())).data
    end
    s:write("static/style.css", "p { color: red }")
    assert.same({serving = 1, changed = "assets"}, next_state())
    s:write("views/page.html", "w")
    assert.same({serving = 2, changed = "views"}, next_state())
    s:write("part.lua", "return 'b'")
    assert.same({serving = 3, changed = "code"}, next_state())
    s:write("part.lua", "return")
    s:write("part.lua", "broken")
    repeat local now = next_state() until now.error
    socket:close()
  end)

  it("adds nothing to neap run", function()
    local s = server.start {files = {["app.lua"] = app "one", ["part.lua"] = "return 'a'", ["static/x"] = ""}}
    assert.equal(404, (s:get("/_neap/live.js")))
    assert.equal("<p>bare</p>", ask(s, "/bare").body)
    s:write("part.lua", "return 'b'")
    task.sleep(0.2) -- the time in which it must not happen
    becomes(s, "one a 1")
  end)
end)
