-- File controllers: which addresses a folder of files has, who answers them, and what answers as if it were not there.
local ask = require "spec.support.ask"
local core = require "neap.core"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local DEFAULT = [[
local function tool() return "local" end
function _private() return "private" end
function __index() return "private" end
function index(req) return "front " .. req.method .. " " .. tool() end
function about() return "about" end
print_it = print
]]

local TASKS = [[
local function say(...)
  local words = {...}
  for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
  return table.concat(words, " ")
end

function index(_, page) return say("index", page) end

function show(req, id, part)
  return say("show", id, part)
end

function post.show(_, id) return say("post", id) end
function put.show(_, id) return say("put", id) end
function patch.show(_, id) return say("patch", id) end
function delete.show(_, id) return say("delete", id) end
function any.every(req, a) return say(req.method, a) end
function post.only() return "only" end
function none() return "none" end
function two_words(_, a_b) return say("two words", a_b) end
function rest(_, first, ...) return say("rest", first, ...) end
function same(_, _, _) return "same" end

seen = 0
function count()
  seen = seen + 1
  return say(seen, tasks_title, app.state.title, neap.version ~= nil, req)
end

function ws.echo(ws, _, name)
  for message in ws:messages() do ws:send(name .. " " .. message) end
end

ws.room = {
  max_message = "1KB",
  open = function(ws, _, name) ws.data.name = name end,
  message = function(ws, message) ws:send(ws.data.name .. ": " .. message) end,
}

function live(_, name) return "page " .. name end
function ws.live(socket, _, name) socket:send("socket " .. name) end
function sse.live(ev, _, name) ev:send("stream " .. name) end

function sse.ticks(ev, _, count)
  for i = 1, tonumber(count or 1) do ev:send(i) end
end
]]

local FILES = {
  ["apps/shop/init.lua"] = [[
    local app = ...
    app.state.title = "from init"
    app:on_send(function(_, head) head:header("X-Shop", "yes") end)]],
  ["apps/shop/controllers/default.lua"] = DEFAULT,
  ["apps/shop/controllers/tasks.lua"] = TASKS,
  ["apps/shop/controllers/user_admin.lua"] = "function drop_all() return 'dropped' end",
  ["apps/shop/controllers/_tools.lua"] = "error 'not to be run'",
  ["apps/shop/controllers/notes.txt"] = "no Lua",
  ["apps/shop/controllers/sub/deep.lua"] = "function index() return 'deep' end",
  ["apps/shop/static/style.css"] = "p {}",
  ["apps/other/controllers/default.lua"] = "function index() return tostring(seen) end",
}

describe("file controllers", function()
  local s

  setup(function() s = server.start {files = FILES, target = "apps", workers = 1} end)
  teardown(server.stop_all)

  local function answers(path, body)
    local status, got = s:get(path)
    assert.equal(200, status, path)
    assert.equal(body, got)
  end

  local function is_absent(path)
    assert.equal(404, (s:get(path)), path)
  end

  local function send(method, path)
    local answer = ask(s, path, {method = method})
    return answer.status, answer.body, answer.headers.allow
  end

  it("answer /app/file/action, and less where the file is default and the action index", function()
    for _, path in ipairs {"/shop", "/shop/", "/shop/default", "/shop/default/index"} do answers(path, "front GET local") end
    answers("/shop/default/about", "about")
    answers("/shop/tasks", "index nil")
    answers("/shop/tasks/index", "index nil")
    answers("/shop/tasks/none", "none")
    for _, path in ipairs {"/shop/about", "/shop/index", "/tasks", "/shop/tasks/nothing"} do is_absent(path) end
  end)

  it("pass what follows in the address as parameters; fewer are nil, more are a 404", function()
    answers("/shop/tasks/index/2", "index 2")
    answers("/shop/tasks/show", "show nil nil")
    answers("/shop/tasks/show/7", "show 7 nil")
    answers("/shop/tasks/show/7/a%20b.txt", "show 7 a b.txt")
    answers("/shop/tasks/same/1/2", "same")
    for _, path in ipairs {"/shop/tasks/show/7/a/b", "/shop/tasks/none/1", "/shop/default/about/x", "/shop/tasks/2"} do
      is_absent(path)
    end
  end)

  it("pass any number to a function that ends with ...", function()
    answers("/shop/tasks/rest", "rest nil")
    answers("/shop/tasks/rest/1", "rest 1")
    answers("/shop/tasks/rest/1/2", "rest 1 2")
    answers("/shop/tasks/rest/1/2/3/4", "rest 1 2 3 4")
  end)

  it("have - for _ in addresses", function()
    answers("/shop/tasks/two-words", "two words nil")
    answers("/shop/tasks/two_words/a-b_c", "two words a-b_c")
    answers("/shop/user-admin/drop-all", "dropped")
    answers("/shop/user_admin/drop_all", "dropped")
  end)

  it("answer GET and HEAD by bare functions, other methods by post. put. patch. delete. and any.", function()
    assert.same({200, "show 7 nil"}, {send("GET", "/shop/tasks/show/7")})
    assert.same({200, ""}, {send("HEAD", "/shop/tasks/show/7")})
    for _, verb in ipairs {"post", "put", "patch", "delete"} do
      assert.same({200, verb .. " 7"}, {send(verb:upper(), "/shop/tasks/show/7")})
    end
    for _, method in ipairs {"GET", "POST", "DELETE"} do
      assert.same({200, method .. " x"}, {send(method, "/shop/tasks/every/x")})
    end
  end)

  it("answer 405 with Allow where only other methods take that many arguments", function()
    local status, _, allow = send("POST", "/shop/tasks/none")
    assert.same({405, "GET, HEAD, OPTIONS"}, {status, allow})
    status, _, allow = send("GET", "/shop/tasks/only")
    assert.same({405, "POST, OPTIONS"}, {status, allow})
    status, _, allow = send("POST", "/shop/tasks/show/7/x")
    assert.same({405, "GET, HEAD, OPTIONS"}, {status, allow})
    assert.equal(404, (send("POST", "/shop/tasks/show/7/x/y")))
  end)

  it("show nobody what is local, begins with _, is C, or lies in another kind of file", function()
    for _, name in ipairs {"tool", "_private", "__index", "print_it", "print-it", "post", "ws"} do
      is_absent("/shop/default/" .. name)
    end
    for _, path in ipairs {"/shop/_tools", "/shop/-tools", "/shop/notes", "/shop/sub/deep", "/shop/tasks/seen",
      "/shop/tasks.lua", "/shop/controllers/tasks.lua", "/shop/init.lua", "/shop/default/-private"} do
      is_absent(path)
    end
  end)

  it("fall for no trick with the path", function()
    for _, path in ipairs {
      "/shop/tasks/show/..", "/shop/tasks/show/%2e%2e", "/shop/tasks/show/.", "/shop/tasks/show/.env",
      "/shop/tasks/../tasks/none", "/shop/./tasks", "/shop/tasks/show/a%2Fb", "/shop/tasks/show/a%2fb",
      "/shop/tasks%2Fnone", "/shop%2Ftasks/none", "/shop//tasks", "/shop/tasks//none", "/shop/tasks/none/",
      "/shop/tasks/", "/shop/tasks/show//7", "/shop/tasks/show/7/", "/shop/tasks/rest//x", "/shop/tasks/rest/1/2//3",
      "/shop/tasks/rest/1/2/", "/shop/tasks/rest/1/../3", "/shop/tasks/rest/1/2/%2e%2e", "/shop/TASKS/none",
      "/shop/tasks/None", "/shop/tasks/echo/..", "/shop/tasks/ticks/..", "/shop/static/../init.lua",
      "/shop/static/%2e%2e/init.lua", "/shop/static/..%2finit.lua", "/shop/static/..%5cinit.lua",
      "/shop/static/%5c..%5cinit.lua", "/shop/tasks/show/..%5c..", "/shop/tasks/show/a%5Cb", "/shop/tasks/rest/1/2/%5c",
      "/shop/tasks%5Cnone", "/shop/tasks.", "/shop/tasks.lua", "/shop/tasks/none.", "/shop/tasks/none.lua",
      "/shop/tasks/__index", "/shop/tasks/__newindex", "/shop/tasks/__name", "/shop/controllers/tasks", "/shop/init",
      "/shop/init.lua", "/shop/views/tasks/none.html", "/_neap/../shop/init.lua",
    } do
      is_absent(path)
    end
    for _, path in ipairs {"/shop/tasks/show/%00", "/shop/tasks%00/none", "/shop/tasks/show/7%00.lua"} do
      assert.equal(400, (s:get(path)), path)
    end
  end)

  it("have globals of their own, the app's and Lua's, and no req", function()
    answers("/shop/tasks/count", "1 nil from init true nil")
    answers("/shop/tasks/count", "2 nil from init true nil")
    answers("/other", "nil")
  end)

  it("talk by WebSockets, as functions and as callbacks with options", function()
    local socket = ws.open(s, "/shop/tasks/echo/ada")
    socket:send("hello")
    assert.equal("ada hello", (socket:message()))
    socket:close()
    socket = ws.open(s, "/shop/tasks/room/tea")
    socket:send("hello")
    assert.equal("tea: hello", (socket:message()))
    socket:send(("x"):rep(2000))
    assert.equal(1009, select(2, socket:message()))
    socket:close()
    assert.equal(426, (s:get("/shop/tasks/echo/ada")))
  end)

  it("send events", function()
    local status, body, head = s:get("/shop/tasks/ticks/2")
    assert.equal(200, status)
    assert.matches("Content%-Type: text/event%-stream", head)
    assert.equal("data: 1\n\ndata: 2\n\n", body:gsub("%x+\r\n(.-)\r\n", "%1"))
  end)

  it("share an address between a page, its socket and its stream", function()
    answers("/shop/tasks/live/7", "page 7")
    local answer = ask(s, "/shop/tasks/live/7", {headers = {Accept = "text/event-stream"}})
    assert.equal("data: stream 7\n\n", answer.body)
    local socket = ws.open(s, "/shop/tasks/live/7")
    assert.equal("socket 7", (socket:message()))
    socket:close()
  end)

  it("are an app with its hooks and static files", function()
    local status, body, head = s:get("/shop/static/style.css")
    assert.same({200, "p {}"}, {status, body})
    assert.matches("X%-Shop: yes", head)
  end)

  it("are in neap routes, each address with its function's line", function()
    local result = server.run({"routes"}, {files = FILES})
    assert.equal("", result.err)
    local function has(method, pattern, place)
      for line in result.out:gmatch("[^\n]+") do
        local got_method, got_pattern, got_place = line:match("^(%u+) +(%S+) +%S+ +(%S+)$")
        if got_method == method and got_pattern == pattern then
          assert.equal(place, got_place)
          return true
        end
      end
      error(("%s %s is missing in:\n%s"):format(method, pattern, result.out))
    end
    local default, tasks = "apps/shop/controllers/default.lua:", "apps/shop/controllers/tasks.lua:"
    for _, pattern in ipairs {"/shop", "/shop/default", "/shop/default/index"} do has("GET", pattern, default .. 4) end
    for _, pattern in ipairs {"/shop/tasks/show", "/shop/tasks/show/:id", "/shop/tasks/show/:id/:part"} do
      has("GET", pattern, tasks .. 9)
    end
    has("POST", "/shop/tasks/show/:id", tasks .. 13)
    has("ANY", "/shop/tasks/every/:a", tasks .. 17)
    has("GET", "/shop/tasks/two-words/:a_b", tasks .. 20)
    has("GET", "/shop/tasks/rest/:first/*more", tasks .. 21)
    has("GET", "/shop/tasks/echo/:name", tasks .. 30)
    has("GET", "/shop/tasks/room/:name", tasks .. 36)
    has("GET", "/shop/tasks/live/:name", ("%s40,%s41,%s42"):format(tasks, tasks, tasks))
    has("GET", "/shop/tasks/ticks/:count", tasks .. 44)
    has("GET", "/shop/static/*path", "apps/shop/static")
    assert.is_nil(result.out:find("private", 1, true))
    assert.is_nil(result.out:find("print", 1, true))
  end)
end)

describe("the view of an action", function()
  local s

  setup(function()
    s = server.start {target = "apps", workers = 1, command = "dev", files = {
      ["apps/shop/controllers/default.lua"] = [[
        function index() return {title = "<All>", items = {"a", "b"}} end
        function plain() return {title = "<Plain>"} end
        function other() return app:view("default/index", {title = "Other", items = {}}, 202) end
        function post.index(req) return 201, {title = "Made", items = {}}, {["X-Made"] = "yes"} end
        function text() return "text" end
        function broken() return {} end
        function gone() return (app:view("nowhere")) end]],
      ["apps/shop/views/default/index.html"] = "{% layout 'base' %}\n<ul>{% for _, one in ipairs(items) do %}"
        .. "<li>{{one}}</li>{% end %}</ul><a href=\"{{url('/default/plain')}}\">x</a>",
      ["apps/shop/views/base.html"] = "<title>{{title}}</title>{{{content}}}",
      ["apps/shop/views/default/text.html"] = "never seen",
      ["apps/shop/views/default/broken.html"] = "one\n{{nobody.name}}",
    }}
  end)
  teardown(server.stop_all)

  it("shows the table that it returns, as a page", function()
    local status, body, head = s:get("/shop")
    assert.equal(200, status)
    assert.equal("<title>&lt;All&gt;</title>\n<ul><li>a</li><li>b</li></ul><a href=\"/shop/default/plain\">x</a>"
      .. '<script src="/_neap/live.js"></script>', body)
    assert.matches("Content%-Type: text/html", head)
    assert.matches("Vary: Accept", head)
  end)

  it("gives way to JSON when the client prefers that, and when there is no view", function()
    local answer = ask(s, "/shop", {headers = {Accept = "application/json"}})
    assert.same({title = "<All>", items = {"a", "b"}}, {title = core.json.decode(answer.body).title,
      items = {"a", "b"}})
    assert.equal("application/json", answer.headers["content-type"])
    assert.equal("Accept", answer.headers.vary)
    answer = ask(s, "/shop/default/plain", {headers = {Accept = "text/html"}})
    assert.equal('{"title":"<Plain>"}', answer.body)
  end)

  it("keeps a status and headers", function()
    local answer = ask(s, "/shop", {method = "POST", headers = {Accept = "text/html"}})
    assert.same({201, "yes"}, {answer.status, answer.headers["x-made"]})
    assert.matches("<title>Made</title>", answer.body)
  end)

  it("can be asked for by name, and is not asked when the result is no table", function()
    assert.equal(202, (s:get("/shop/default/other")))
    assert.equal("text", select(2, s:get("/shop/default/text")))
  end)

  it("shows its own line in errors, in the log and on the page for developers", function()
    local answer = ask(s, "/shop/default/broken", {headers = {Accept = "text/html"}})
    assert.equal(500, answer.status)
    local place = "apps/shop/views/default/broken.html:2: attempt to index a nil value (global 'nobody')"
    s:wait_log(place)
    assert.truthy(answer.body:find("<mark>→   2  {{nobody.name}}</mark>", 1, true), answer.body)
    assert.equal(500, (s:get("/shop/default/gone")))
    s:wait_log("default.lua:7: there is no view")
  end)
end)

describe("an app of files that does not load", function()
  local function check(files)
    local result = server.run({"check"}, {files = files})
    return result.code, result.err
  end

  local function fails(text, message)
    local code, err = check {["apps/shop/controllers/tasks.lua"] = text}
    assert.equal(1, code)
    assert.truthy(err:find(message, 1, true), err)
  end

  it("says where a controller is wrong", function()
    fails("\nfunction x(", "apps/shop/controllers/tasks.lua:2: ")
    fails("\nerror('oops')", "apps/shop/controllers/tasks.lua:2: oops")
    fails("post.save = 7", "apps/shop/controllers/tasks.lua: post.save is a function, not 7")
    fails("put.save = {open = print}", "apps/shop/controllers/tasks.lua: put.save is a function, not table")
    fails("function post() end", 'apps/shop/controllers/tasks.lua: "post" is the table of such actions')
    fails("function x() end\nws.x = {open = function(ws, req, id) end}",
      "apps/shop/controllers/tasks.lua:1 and apps/shop/controllers/tasks.lua:2 share an address, so they take the same")
    fails("ws.x = {open = function() end, max_mesage = 1}", 'did you mean "max_message"')
  end)

  it("says that a file's name cannot be part of an address", function()
    local code, err = check {["apps/shop/controllers/two-words.lua"] = ""}
    assert.equal(1, code)
    assert.matches("two%-words.lua: a controller's name has letters, digits and \"_\"", err)
  end)

  it("says where a view is wrong", function()
    local code, err = check {
      ["apps/shop/controllers/tasks.lua"] = "function list() return {} end",
      ["apps/shop/views/tasks/list.html"] = "<p>\n{% for %}",
    }
    assert.equal(1, code)
    assert.matches("apps/shop/views/tasks/list.html:2: <name> expected", err)
  end)

  it("takes a function from init.lua", function()
    local result = server.run({"routes"}, {files = {
      ["apps/shop/controllers/tasks.lua"] = "",
      ["apps/shop/init.lua"] = "return function(app) app:get('/from-init', function() return 'x' end) end",
    }})
    assert.matches("/shop/from%-init", result.out)
  end)
end)

describe("app:controllers", function()
  after_each(server.stop_all)

  it("adds the files of a folder to an app, below a prefix", function()
    local s = server.start {workers = 1, files = {["parts/tasks.lua"] = "function show(_, id) return 'task ' .. id end"},
      app = [[
        local neap = require "neap"
        return neap.app():controllers("parts", {prefix = "/admin/"}):controllers("parts")]]}
    assert.equal("task 7", select(2, s:get("/admin/tasks/show/7")))
    assert.equal("task 7", select(2, s:get("/tasks/show/7")))
  end)

  it("says at the caller's line that there is no such folder", function()
    local result = server.run({"check", "app.lua"}, {files = {["app.lua"] = [[
      local app = require("neap").app()
      app:controllers("gone")
      return app]]}})
    assert.equal(1, result.code)
    assert.matches("app.lua:2: app:controllers: cannot open %./gone: No such file or directory", result.err)
  end)
end)
