-- The settings at a reload: config.lua is read again, all of it comes into effect with the new generation or none of it,
-- and what needs a restart says so.
local ask = require "spec.support.ask"
local command = require "spec.support.command"
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local config = require "neap.config"
  local app = neap.app()
  app:get("/", function() return "generation " .. neap.generation end)
  app:get("/long", function() return ("x"):rep(200) end)
  app:get("/config", function()
    return {secret = (config.secrets or {})[1], body = config.limits.body, title = config.app.title,
      listen = config.listen[1], workers = config.workers, drain = config.timeouts.drain}
  end)
  app:post("/", function(req) return #assert(req:body()) end)
  return app
]]

local function start(config, opts)
  opts = opts or {}
  opts.files = {["app.lua"] = opts.app or APP, ["config.lua"] = config}
  return server.start(opts)
end

local function settings(s)
  return json.decode(ask(s, "/config").body)
end

-- From elsewhere: there it would read the same config.lua, to learn where the server's socket is.
local function reload(s)
  return command.run(("cd / && %s reload --pid %d"):format(os.getenv("NEAP_BIN"), s.pid))
end

describe("the settings after a reload", function()
  after_each(server.stop_all)

  it("are those that config.lua has by then", function()
    local s = start [[return {default = {secrets = {"old"}, app = {title = "one"}}}]]
    assert.same({"old", 1048576, "one"}, {settings(s).secret, settings(s).body, settings(s).title})
    assert.is_true((s:reload {["config.lua"] = [[return {
      default = {secrets = {"new", "old"}, limits = {body = 10}, timeouts = {drain = "3s"}, app = {title = "two"}},
    }]]}))
    local now = settings(s)
    assert.same({"new", 10, "two", 3}, {now.secret, now.body, now.title, now.drain})
  end)

  it("hold for what the core does, too", function()
    local s = start(nil, {workers = 1})
    local path = "/long?" .. ("a"):rep(200)
    assert.equal(200, (s:get(path)))
    assert.is_nil(ask(s, "/long", {headers = {["Accept-Encoding"] = "gzip"}}).headers["content-encoding"])
    assert.is_true((s:reload {["config.lua"] = [[return {
      default = {limits = {uri = 100}, compress = {min = 100}, log = {access = true}},
    }]]}))
    assert.equal(414, (s:get(path)))
    assert.equal("gzip", ask(s, "/long", {headers = {["Accept-Encoding"] = "gzip"}}).headers["content-encoding"])
    s:wait_log("/long")
    assert.is_true((s:reload {["config.lua"] = "return {default = {limits = {body = 5}}}"}))
    assert.equal(200, (s:get(path)))
    assert.equal(413, ask(s, "/", {method = "POST", body = "abcdef"}).status)
  end)

  it("change what is logged", function()
    local app = APP:gsub('app:get%("/",', 'app:get("/say", function() neap.log.debug("psst") return 204 end)\n  %0')
    local s = start(nil, {app = app})
    s:get("/say")
    s:reload {["config.lua"] = "return {default = {log = {level = 'debug'}}}"}
    assert.is_nil(s:log():find("psst", 1, true))
    s:get("/say")
    s:wait_log("psst")
  end)

  it("give an idle connection its new time", function()
    local s = start(nil, {workers = 1})
    local conn = http.open(s)
    conn:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("generation 1", conn:answer("GET").body)
    s:reload {["config.lua"] = "return {default = {timeouts = {idle = '100ms'}}}"}
    assert.is_nil(conn:answer("GET")) -- it closes
  end)

  it("stay below the environment and the command line", function()
    local s = start([[return {default = {limits = {body = 1}, timeouts = {drain = 1}}}]],
      {env = {NEAP_LIMITS_BODY = "20"}, args = {"--set", "timeouts.drain=30s"}})
    s:reload {["config.lua"] = [[return {default = {limits = {body = 2}, timeouts = {drain = 2}, workers = 7}}]]}
    local now = settings(s)
    assert.same({20, 30, 2}, {now.body, now.drain, now.workers})
    assert.is_nil(s:log():find("needs a restart", 1, true)) -- the command line has said how many workers
  end)

  it("may allow the very reload more time", function()
    local s = start("return {default = {timeouts = {startup = '2s'}}}", {workers = 1})
    local slow = APP .. "\n"
    slow = slow:gsub("local app", "neap.task.sleep(2.5)\n  local app", 1)
    assert.is_false((s:reload {["app.lua"] = slow}))
    assert.is_true((s:reload {["config.lua"] = "return {default = {timeouts = {startup = '30s'}}}"}))
  end)
end)

describe("a config.lua that is broken", function()
  after_each(server.stop_all)

  local function keeps(text, expected)
    local s = start([[return {default = {limits = {body = 7}}}]])
    local ok, line = s:reload {["config.lua"] = text, ["app.lua"] = APP:gsub('"generation ', '"new ')}
    assert.is_false(ok)
    assert.matches(expected, line)
    assert.equal("generation 1", (select(2, s:get("/"))))
    assert.equal(7, settings(s).body)
    assert.is_true((s:reload {["config.lua"] = [[return {default = {limits = {body = 8}}}]]}))
    assert.same({"new 3", 8}, {select(2, s:get("/")), settings(s).body})
  end

  it("keeps the old generation and the old settings: a syntax error", function()
    keeps("return {\n  default = {limits = {body = 1}}", "config.lua:2: '}' expected")
  end)
  it("keeps them: an error while it runs", function()
    keeps("return {\n  default = {limits = {body = nil + 1}}}", "config.lua:2: attempt to perform arithmetic")
  end)
  it("keeps them: a setting that there is not, beside good ones", function()
    keeps([[return {default = {limits = {body = 1, hedders = 3}}}]], "unknown setting limits.hedders: did you mean limits.headers")
  end)
  it("keeps them: a value that is none", function()
    keeps([[return {default = {limits = {body = 1}, timeouts = {idle = "soon"}}}]], "timeouts.idle cannot be .?\"soon")
  end)
  it("keeps them: a file that does not come to its end", function()
    keeps("while true do end", "config.lua has run for 5 s without an end")
  end)

  it("is what neap reload tells, and who goes on", function()
    local s = start("return {}")
    s:write("config.lua", "return {default = {\n  limits = }}")
    local result = reload(s)
    assert.equal(1, result.code)
    assert.equal("neap: config.lua:2: unexpected symbol near '}'\ngeneration 1 goes on serving\n", result.err)
  end)
end)

describe("settings beside code that is broken", function()
  after_each(server.stop_all)

  it("stay as they were", function()
    local s = start [[return {default = {limits = {uri = 300}}}]]
    assert.is_false((s:reload {["config.lua"] = "return {default = {limits = {uri = 30}}}", ["app.lua"] = "return"}))
    assert.equal(200, (s:get("/?" .. ("a"):rep(100))))
    local result = reload(s)
    assert.equal(1, result.code)
    assert.matches("^neap: app.lua: the file returned nothing.-\ngeneration 1 goes on serving\n$", result.err)
    assert.is_nil((result.err .. s:log()):find("was not started", 1, true))
  end)
end)

describe("a setting that needs a restart", function()
  after_each(server.stop_all)

  local OLD = [[return {default = {listen = "127.0.0.1:0", workers = 1, limits = {body = 7}}}]]
  local NEW = [[return {default = {listen = "127.0.0.1:9", workers = 2, limits = {body = 8}}}]]
  local LINES = {
    "listen: 127.0.0.1:0 -> 127.0.0.1:9 needs a restart; serving on with the old",
    "workers: 1 -> 2 needs a restart; serving on with the old",
  }

  it("says so in the log; the old port serves on, and the rest comes into effect", function()
    local s = start(OLD, {is_configured = true})
    assert.is_true((s:reload {["config.lua"] = NEW}))
    for _, line in ipairs(LINES) do s:wait_log(line) end
    assert.equal("generation 2", (select(2, s:get("/"))))
    local now = settings(s)
    assert.same({"127.0.0.1:0", 1, 8}, {now.listen, now.workers, now.body})
  end)

  it("says so to neap reload, until config.lua is what it was", function()
    local s = start(OLD, {is_configured = true})
    s:write("config.lua", NEW)
    for _ = 1, 2 do
      local result = reload(s)
      assert.equal(0, result.code, result.err)
      assert.equal(table.concat(LINES, "\n") .. "\nreloaded\n", result.out)
    end
    s:write("config.lua", OLD)
    assert.equal("reloaded\n", reload(s).out)
  end)

  it("is for the old one to keep when the reload fails otherwise", function()
    local s = start(OLD, {is_configured = true})
    assert.is_false((s:reload {["config.lua"] = NEW, ["app.lua"] = "return"}))
    assert.is_nil(s:log():find("needs a restart", 1, true))
    assert.equal(7, settings(s).body)
  end)
end)
