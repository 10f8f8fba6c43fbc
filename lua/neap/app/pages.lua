-- The parts of an application that are files: controllers, whose functions answer, and views, which show.
local folder = require "neap.app.folder"
local options = require "neap.base.options"
local pattern = require "neap.app.pattern"
local res = require "neap.res"
local view = require "neap.app.view"

---@class neap.App
local App = {}

---What app:controllers may be told.
---@class neap.ControllersOptions
---@field prefix string? before all of their paths; default: none

---Makes routes of the files of a folder: `/<file>/<action>/<argument>/...`. Every global function of a file is an action
---that answers GET: `function show(req, id)` in `tasks.lua` answers `/tasks/show` and `/tasks/show/:id`. In the tables
---`post`, `put`, `patch`, `delete` and `any` are those for other methods (`function post.save(req, id)`), in `ws` and `sse`
---those for sockets (`function ws.room(ws, req, name)`, or a table of callbacks and options as in `app:ws`) and event streams
---(`function sse.news(ev, req)`); a page, its `ws.` and its `sse.` may share a name. More arguments than a function takes are a 404, fewer are nil. The file is `default` and the action `index` when the address does not say;
---`_` is `-` in addresses. Locals and what begins with `_` are private. A file sees `neap`, its `app`, and Lua's globals; its
---own globals are its own.
---
---A table that an action returns is the data of `views/<file>/<action>.html` when there is such a file and the client does
---not prefer JSON; else it is JSON.
---```lua
---local dir = os.tmpname()
---os.remove(dir)
---os.execute("mkdir " .. dir)
---local file <close> = assert(io.open(dir .. "/tasks.lua", "w"))
---file:write("function show(req, id) return {id = id} end")
---file:flush()
---app:controllers(dir, {prefix = "/admin"})
---os.execute("rm -r " .. dir)
---assert(app:list()[2].pattern == "/admin/tasks/show/:id")
---```
---@param dir string relative to the folder of the file that made the app
---@param opts neap.ControllersOptions?
---@return neap.App self
---@async
function App:controllers(dir, opts)
  opts = options.check(opts, {prefix = "string"}, "app:controllers", 2)
  local prefix = pattern.prefix(opts.prefix or "/", "app:controllers", 2)
  dir = folder.resolve(self._dir, dir, "app:controllers", 2)
  local ok, err = require("neap.app.controllers").load(self, dir, prefix)
  if not ok then error(("app:controllers: cannot open %s: %s"):format(dir, err), 2) end
  return self
end

---Answers with a page of the folder `views/` beside the file that made the app: `{{value}}` is escaped, `{{{html}}}` is not,
---`{% lua %}` are statements, `{# note #}` is nothing. `{% layout "base" %}` puts the page into another as its `{{{content}}}`,
---`{% include "row" %}` or `{% include("row", {task = task}) %}` puts another into this one, `{{url("/static/a.css")}}` is
---`app:url`. Besides the names of `data` it sees `neap`, `app`, `data` as a whole, and Lua's globals; what is nil is nothing.
---Errors name the file and the line of the page. A page is compiled once.
---```lua
---app:get("/tasks/:id", function(req)
---  return app:view("tasks/show", {id = req.params.id}) -- views/tasks/show.html: <h1>Task {{id}}</h1>
---end)
---```
---@param name string "tasks/show"
---@param data table? the names that the page sees
---@param status integer? default 200
---@return neap.Response
---@async
function App:view(name, data, status)
  return (res.html(self:_views():render(name, data, 2), status))
end

-- What controllers and views see beside their own names.
function App:_globals()
  return setmetatable({neap = require "neap", app = self}, {__index = _G})
end

function App:_views()
  if not self._pages then
    local globals = self:_globals()
    function globals.url(...) return (self:url(...)) end
    self._pages = view.folder(self._dir .. "/views", globals)
  end
  return self._pages
end

return App
