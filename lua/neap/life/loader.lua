-- `require` for tasks. The stock one is a C function, so nothing could wait at the top level of a module; this one
-- is Lua. A module is loaded once: a second task that asks for it meanwhile waits for the first.
local core = require "neap.core"
local task = core.task

local loaded = package.loaded

-- What is being loaded now: name -> {owner = id of the loading task, waiters = who wants it, too}.
local loading = {}
-- Who waits for what: id of a task -> name of a module.
local awaited = {}

-- Searches package.path; source text only. A loader and the path, or why there is none.
local function search_source(name)
  local path, reason = package.searchpath(name, package.path)
  if not path then return reason end
  local chunk, message = core.load_file(path)
  if not chunk then
    error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, message), 0)
  end
  if name ~= "neap" and not name:find("^neap%.") then
    require("neap.dev.watch").add(path)
    require("neap.app.globals").watch(chunk)
  end
  return chunk, path
end

local function find_loader(name)
  local reasons = {}
  for _, search in ipairs(package.searchers) do
    local loader, data = search(name)
    if type(loader) == "function" then return loader, data end
    if type(loader) == "string" then reasons[#reasons + 1] = loader end
  end
  if name:find("^neap%.") then
    local moved = require("neap.life.moves").message(name)
    if moved then error(moved, 3) end -- where `require` was called, which has left its frame to load_module
  end
  error(("module '%s' not found:\n\t%s"):format(name, table.concat(reasons, "\n\t")), 0)
end

local Latch = {__name = "neap.latch"}

function Latch:__close()
  loading[self.name] = nil
  self.waiters:wake_all()
end

local function load_module(name)
  local latch <close> = setmetatable({name = name, owner = task.id(), waiters = task.waiters()}, Latch)
  loading[name] = latch
  local loader, data = find_loader(name)
  local value = loader(name, data)
  if value ~= nil then
    loaded[name] = value
  elseif loaded[name] == nil then
    loaded[name] = true
  end
  return loaded[name], data
end

-- The modules from `name` on, each loaded by a task that waits for the next, when that leads back to task `id`.
local function find_cycle(name, id)
  local chain = {name}
  local owner = loading[name].owner
  while owner ~= id do
    name = awaited[owner]
    if not name or not loading[name] then return nil end
    chain[#chain + 1] = name
    owner = loading[name].owner
  end
  chain[#chain + 1] = chain[1]
  return chain
end

local Waiting = {__name = "neap.waiting"}

function Waiting:__close()
  awaited[self.id] = nil
end

-- Waits until another task has loaded the module, or failed to.
local function await(name)
  local latch, id = loading[name], task.id()
  if latch.owner == id or not id then -- without a task there is nothing that could wait
    error(("loop or previous error loading module '%s'"):format(name), 3)
  end
  local chain = find_cycle(name, id)
  if chain then
    error(("modules require each other in a circle: %s"):format(table.concat(chain, " -> ")), 3)
  end
  awaited[id] = name
  local _ <close> = setmetatable({id = id}, Waiting)
  latch.waiters:wait()
end

---Loads a module, as Lua's own `require` does, and may wait while doing so: the top level of a module can read
---files, query databases and sleep. Two tasks that require the same module share one load.
---
---```lua
---local res = require "neap.res"
---```
---@async
---@param name string
---@return any module what the module returned, or true
---@return any data usually the path of its file
function require(name) -- luacheck: ignore 121
  if type(name) ~= "string" then
    error(("bad argument #1 to 'require' (string expected, got %s)"):format(type(name)), 2)
  end
  while true do
    local value = loaded[name]
    if value then return value end
    if not loading[name] then return load_module(name) end
    await(name)
  end
end

_G.require = require -- for all others
package.searchers[2] = search_source

return {require = require}
