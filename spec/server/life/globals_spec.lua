-- What an application does to the globals of Lua breaks nothing of neap.
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

-- Its own code has all that it uses as locals.
local APP = [[
  local neap = require "neap"
  local task = require "neap.task"
  local globals, standard, rawset, pairs, table_type, load = _G, {}, rawset, pairs, type, load
  for name, value in pairs(globals) do
    standard[name] = {value = value, fields = {}}
    if table_type(value) == "table" and name ~= "_G" and name ~= "package" then
      for field, inner in pairs(value) do standard[name].fields[field] = inner end
    end
  end
  local find, error, pcall = string.find, error, pcall
  local app = neap.app()
  neap.config.app.greeting = "hello"

  app:get("/break", function(req)
    load(req.query.code)()
    return "ok"
  end)
  app:get("/mend", function()
    for name, kept in pairs(standard) do
      rawset(globals, name, kept.value)
      for field, inner in pairs(kept.fields) do kept.value[field] = inner end
    end
    return "ok"
  end)
  app:get("/names", function()
    local list = {}
    for name, kept in pairs(standard) do
      list[#list + 1] = name
      for field, inner in pairs(kept.fields) do
        if table_type(inner) == "function" then list[#list + 1] = name .. "." .. field end
      end
    end
    return list
  end)

  app:get("/json", function(req) return {{1, 2.5, "x"}, req.query.q, req.ip} end)
  app:get("/fails", function() error("broken") end)
  app:get("/item/:id{int}", function(req) return req.params.id .. app:url("item", {id = 7}) end, {name = "item"})
  app:get("/away", function() return neap.res.redirect("/json") end)
  app:post("/form", function(req)
    local form = req:form()
    return form.a
  end)
  app:get("/cookie", function(req)
    local response = neap.res.text(req.cookies.a or "none")
    return response:cookie("b", "c", {max_age = "1h"})
  end)
  app:get("/tasks", function()
    local sum = 0
    local g = task.group()
    for i = 1, 3 do g:spawn(function() task.sleep("1ms") sum = sum + i end) end
    g:join()
    return sum .. ""
  end)
  app:get("/topic", function()
    local t = neap.topic("t")
    local start = t:cursor()
    t:publish({x = 1})
    return t:wait{after = start}[1].x .. ""
  end)
  app:get("/store", function()
    neap.store("s"):set("k", {1, 2})
    return neap.json.encode(neap.store("s"):get("k"))
  end)
  app:get("/single", function() return task.single("k", function() return "one" end) end)
  app:get("/method", function() return ("a-b"):gsub("-", "+") .. ("x"):rep(3) .. ("%d"):format(4) end)
  app:ws("/echo", function(ws)
    for message in ws:messages() do ws:send(message) end
  end)
  return app
]]

local PATHS = {"/json?q=%20", "/nothing", "/item/5", "/item/x", "/away", "/cookie", "/tasks", "/topic", "/store", "/single",
  "/method", "/fails"}

-- All answers as one text, without what differs each time.
local function answers(s)
  local list = {}
  for _, path in ipairs(PATHS) do
    local conn = http.open(s)
    conn:send(("GET %s HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nAccept: application/json\r\n\r\n"):format(path))
    local answer = conn:answer()
    conn:close()
    list[#list + 1] = ("%s %s %s"):format(path, answer.status, (answer.body:match("error\":\"[^\"]*") or answer.body))
  end
  local conn = http.open(s)
  conn:send("POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\na=b%20")
  list[#list + 1] = conn:answer().body
  conn:close()
  local socket = ws.open(s, "/echo")
  socket:send("hi")
  list[#list + 1] = socket:message()
  socket:close()
  return table.concat(list, "\n")
end

local function encode(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function run(s, code)
  assert.equal("ok", (select(2, s:get("/break?code=" .. encode(code)))))
end

describe("an application that spoils the globals of Lua", function()
  after_each(server.stop_all)

  it("gets the answers that it would have got, whichever one it is", function()
    local s = server.start {app = APP, workers = 1}
    local before = answers(s)
    local names = json.decode((select(2, s:get("/names"))))
    assert.is_true(#names > 120)
    table.sort(names, function(a, b) -- string.format before string
      local a_is_inner, b_is_inner = a:find(".", 1, true) ~= nil, b:find(".", 1, true) ~= nil
      if a_is_inner ~= b_is_inner then return a_is_inner end
      return a < b
    end)
    local groups = {{}, {}, {}, {}}
    for i, name in ipairs(names) do table.insert(groups[i % #groups + 1], name) end
    for _, group in ipairs(groups) do
      for i, name in ipairs(group) do run(s, ("%s = %s"):format(name, i % 2 == 0 and "nil" or "'x'")) end
      assert.equal(before, answers(s))
      assert.equal("ok", (select(2, s:get("/mend"))))
    end
  end)

  for _, code in ipairs {"type = 'news'", "math = 1", "os = 'linux'", "tostring = 'x'", "pairs = nil", "require = 'x'",
      "string.format = nil", "table.insert = nil", "string.gsub = function() return 'mine' end", "error = print",
      "setmetatable(_G, {__index = function(_, name) error('undefined: ' .. name) end})"} do
    it("can be reloaded, and asked: " .. code, function()
      local s = server.start {app = APP, workers = 1}
      local before = answers(s)
      run(s, code)
      assert.equal(before, answers(s))
      local shown = server.run({"errors", "--pid", tostring(s.pid)})
      assert.equal(0, shown.code, shown.err)
      assert.matches("broken", shown.out, 1, true)
      assert.is_true((s:reload()))
      assert.equal(before, answers(s))
    end)
  end

  it("may add methods to strings, and replace functions for itself", function()
    local s = server.start {app = APP, workers = 1}
    run(s, "function string.shout(s) return s:upper() .. '!' end")
    run(s, "function string.upper() return 'mine' end")
    run(s, "assert(('a'):shout() == 'A!' and string.upper('a') == 'mine')")
  end)

  it("is told where by `neap dev`, once for each name and place", function()
    local s = server.start {
      command = "dev", workers = 1, files = {["other.lua"] = "return function(v)\n  math = v\nend"},
      app = [[
        local neap = require "neap"
        local app = neap.app()
        local other = require "other"
        app:get("/type", function(req)
          type = req.query.v
          mine = req.query.v
          return "ok"
        end)
        app:get("/math", function(req)
          other(req.query.v)
          return "ok"
        end)
        return app]],
    }
    for _ = 1, 3 do
      assert.equal("ok", (select(2, s:get("/type?v=1"))))
      assert.equal("ok", (select(2, s:get("/math?v=1"))))
    end
    s:wait_log("app.lua:5: `type = ...` replaces a global of Lua")
    s:wait_log("other.lua:2: `math = ...` replaces a global of Lua")
    assert.equal(2, select(2, s:log():gsub("replaces a global", "")))
  end)
end)
