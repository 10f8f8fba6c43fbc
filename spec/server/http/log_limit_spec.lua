-- What fails with each request is told, and counted, but does not fill the disk.
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"
local task = require "neap.task"

local APP = [[
  local neap = require "neap"
  local task = require "neap.task"
  local app = neap.app()
  app:get("/fails", function(req) error("broken for " .. (req.query.n or "")) end)
  app:get("/also", function() error("elsewhere") end)
  app:get("/table", function(req) error(setmetatable({}, {__tostring = function() return req.query.n end})) end)
  app:get("/after", function(req)
    req:after(function() error("when all is over") end)
    return "ok"
  end)
  app:get("/leak", function()
    task.semaphore(1):acquire()
    collectgarbage()
    return "ok"
  end)
  app:get("/mine", function() neap.log.error("it is mine") return "ok" end)
  return app
]]

local COUNT = 400

-- Asks so often by one connection, in packs.
local function ask(s, path, count)
  local conn = http.open(s)
  local pack = 50
  for first = 1, count, pack do
    local text = {}
    for n = first, first + pack - 1 do text[#text + 1] = ("GET %s?n=%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(path, n) end
    conn:send(table.concat(text))
    for _ = 1, pack do conn:answer() end
  end
  conn:close()
end

-- Fails for as long as nobody stops it, each time with a text of its own: a place of its own in the log.
local function flood(s)
  local conn, word = http.open(s), {97, 97, 97, 97} -- "aaaa"
  while true do
    local text = {}
    for i = 1, 50 do
      local at = 1
      while word[at] == 122 do
        word[at] = 97
        at = at + 1
      end
      word[at] = word[at] + 1
      text[i] = ("GET /table?n=%s HTTP/1.1\r\nHost: x\r\n\r\n"):format(string.char(table.unpack(word)))
    end
    conn:send(table.concat(text))
    for _ = 1, 50 do conn:answer() end
  end
end

-- The entries of the log whose text has `text`: how many, and how many more are told of.
local function entries(s, text)
  local count, more = 0, 0
  for line in s:log():gmatch("[^\n]+") do
    local entry = json.decode(line)
    if entry and entry.msg:find(text, 1, true) then
      if entry.more then more = more + entry.more else count = count + 1 end
    end
  end
  return count, more
end

describe("the log", function()
  after_each(server.stop_all)

  for _, row in ipairs {
    {"errors of a handler", "/fails", "broken for"},
    {"errors whose text differs each time", "/table", ""},
    {"errors when a request is over", "/after", "when all is over"},
    {"what is leaked with each request", "/leak", "a permit was never released"},
  } do
    it("holds back, and counts, " .. row[1], function()
      local s = server.start {app = APP, workers = 1, args = {"--set", "log.format=json"}}
      ask(s, row[2], row[1]:find("differs") and 4 * COUNT or COUNT)
      s:stop("TERM")
      local count, more = entries(s, row[3])
      local all = row[1]:find("differs") and 4 * COUNT or COUNT
      assert.is_true(more > 0 and count < all, ("%d entries, %d more"):format(count, more))
      if row[3] ~= "" then
        assert.equal(all, count + more)
      else
        assert.is_true(count + more >= all)
      end
    end)
  end

  it("tells what fails elsewhere meanwhile", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "log.format=json"}}
    ask(s, "/fails", COUNT)
    s:get("/also")
    s:wait_log("elsewhere")
    local shown = server.run({"errors", "--pid", tostring(s.pid)}).out
    assert.matches("elsewhere", shown, 1, true)
    assert.matches("broken for " .. COUNT, shown, 1, true)
  end)

  it("tells the count while the server goes on", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "log.format=json"}}
    ask(s, "/fails", COUNT)
    assert.is_truthy(server.poll(30, function() return select(2, entries(s, "broken for")) > 0 end))
  end)

  it("never holds back what the application writes, or the access log", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "log.format=json", "--set", "log.access=true"}}
    ask(s, "/mine", COUNT)
    s:stop("TERM")
    assert.equal(COUNT, (entries(s, "it is mine")))
    assert.equal(COUNT, (entries(s, "GET /mine")))
  end)

  it("says what failed when there is no stack left for its fields", function()
    local result = server.run({"exec", "script.lua"}, {env = {NEAP_LOG_FORMAT = "json"}, files = {["script.lua"] = [[
      local log = require "neap.log"
      local function descend(n) return 1 + descend(n + 1) end
      print(xpcall(descend, function() log.error("what had happened", {n = 1}) return "told" end, 1))
    ]]}})
    assert.matches("what had happened", result.err, 1, true)
    assert.matches("told", result.out, 1, true)
  end)

  it("says how a reload ended, whatever else there is to say", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "log.format=json"}}
    local group <close> = task.group()
    group:spawn(flood, s)
    assert(server.poll(30, function() return select(2, entries(s, "")) > 0 end))
    for _ = 1, 10 do assert.is_true((s:reload())) end
    group:cancel()
  end)
end)
