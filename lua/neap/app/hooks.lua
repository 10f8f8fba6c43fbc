-- The hooks of an application: what runs when it starts and stops. An app remembers them in the order of their
-- registration, mounted apps at their place among them; lifecycle.lua runs them.
local route = require "neap.app.route"
local text = require "neap.text"

---@class neap.App
local App = {}

---What an app remembers of a hook.
---@class neap.Hook
---@field kind "startup"|"cleanup"|"shutdown"|"ready"|"lifespan"|"mount"|"job"
---@field fn function
---@field app neap.App whose hook it is
---@field where string its registration, "app.lua:12"
---@field job neap.Job? instead of fn

-- Raises when it is too late: what is registered now would never run.
function App:_check_hooks(what, level)
  if not self._life or not self._life:is_past(self) then return end
  error(what .. ": the hooks of this app have run already; register them while its file is loaded", level + 1)
end

-- Callers write `return (add(...))`, which is no tail call: the level counts.
local function add(app, kind, what, fn)
  if type(fn) ~= "function" then
    error(("%s takes a function, not %s"):format(what, text.quote(fn)), 3)
  end
  app:_check_hooks(what, 3)
  app._hooks[#app._hooks + 1] = {kind = kind, fn = fn, app = app, where = route.place(3)}
  return app
end

---Runs a function before the server accepts requests, in each worker, one after the other in the order of their
---registration. It may park, and has to return within `timeouts.startup`; a loop beside the server is an `app:service`.
---What it returns is closed at the end: a function, or something with `:close()`. An error, or `nil, err`, keeps the
---server from starting, and what was started before is undone.
---```lua
---app:on_startup(function(app)
---  app.state.pool = {open = 4}
---  return function() app.state.pool = nil end
---end)
---```
---@param fn async fun(app: neap.App): closer: any
---@return neap.App self
function App:on_startup(fn)
  return (add(self, "startup", "app:on_startup", fn))
end

---Runs a function at the very end, when no request and no job is left. Clean-ups run in the reverse order of their
---registration, together with what `on_startup` returned and `lifespan` left open. All run, whatever fails; each has
---`timeouts.grace`. It is called also when the start failed, if that came this far.
---```lua
---app:on_cleanup(function(app) app.state.cache = nil end)
---```
---@param fn async fun(app: neap.App)
---@return neap.App self
function App:on_cleanup(fn)
  return (add(self, "cleanup", "app:on_cleanup", fn))
end

---Runs a function when the server begins to stop: no new connections come, those that are open still work. The time for
---them and for the requests under way is `timeouts.drain`. The last registered runs first.
---```lua
---app:on_shutdown(function(app, reason) neap.topic("news"):publish("going down: " .. reason) end)
---```
---@param fn async fun(app: neap.App, reason: "shutdown"|"reload")
---@return neap.App self
function App:on_shutdown(fn)
  return (add(self, "shutdown", "app:on_shutdown", fn))
end

---Runs a function as soon as the worker accepts requests. What it raises is logged; the server goes on.
---```lua
---app:on_ready(function() neap.log.info("at your service") end)
---```
---@param fn async fun(app: neap.App)
---@return neap.App self
function App:on_ready(fn)
  return (add(self, "ready", "app:on_ready", fn))
end

---Start and end as one function, so that `<close>` variables hold what is open in between. `ready()` ends the start; it
---parks until the app stops and returns why: `"shutdown"`, `"reload"`, or `"failed"` when a later step of the start
---failed. What follows is a clean-up at this place of the stack.
---```lua
---app:lifespan(function(app, ready)
---  local log <close> = setmetatable({}, {__close = function() neap.log.info("closed") end})
---  app.state.log = log
---  ready()
---end)
---```
---@param fn async fun(app: neap.App, ready: async fun(): "shutdown"|"reload"|"failed")
---@return neap.App self
function App:lifespan(fn)
  return (add(self, "lifespan", "app:lifespan", fn))
end

return App
