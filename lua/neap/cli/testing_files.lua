-- Which spec files `neap test` runs, and in which order.
local core = require "neap.core"
local json = require "neap.json"

local testing_files = {}

local SPEC_DIR, APPS_DIR = "spec", "apps"
local TIMES = "build/test-times.json" -- how long each took last time; only where there is a folder build/
local HEAD_LINES = 5                  -- where a file may say how it wants to run

-- What is run when no path is given: the folder spec/, and that of each app.
local function default_paths()
  local paths = {SPEC_DIR}
  for _, name in ipairs(core.list_dir(APPS_DIR) or {}) do
    local dir = APPS_DIR .. "/" .. name .. SPEC_DIR
    if name:sub(-1) == "/" and core.list_dir(dir) then paths[#paths + 1] = dir end
  end
  if #paths > 1 and not core.list_dir(SPEC_DIR) then table.remove(paths, 1) end
  return paths
end

local function add(files, path)
  if not files[path] then files[#files + 1], files[path] = path, true end
end

local function add_folder(files, dir)
  for _, name in ipairs(core.list_dir(dir)) do
    if name:sub(-1) == "/" then
      add_folder(files, dir .. "/" .. name:sub(1, -2))
    elseif name:find("_spec%.lua$") then
      add(files, dir .. "/" .. name)
    end
  end
end

---@param paths string[] files and folders; none: the usual ones
---@return string[]? files nil when there is nothing to run
---@return string? message
function testing_files.find(paths)
  if #paths == 0 then paths = default_paths() end
  local files = {}
  for _, path in ipairs(paths) do
    if core.list_dir(path) then
      add_folder(files, (path:gsub("(.)/+$", "%1")))
    elseif io.open(path) then
      add(files, path)
    else
      return nil, ("neap: %s: there is no such file or folder\n"):format(path)
    end
  end
  if #files > 0 then return files end
  return nil, ("neap: no files *_spec.lua in %s\n"):format(table.concat(paths, ", "))
end

---Whether a file has a line at its top such as `-- alone: measures memory`.
---@param path string
---@param word "alone"|"first" alone: it must not share the machine; first: the others would wait for it at the end
---@return boolean
function testing_files.says(path, word)
  local file <close> = assert(io.open(path))
  for _ = 1, HEAD_LINES do
    if (file:read("l") or ""):find("^%-%- " .. word .. ": ") then return true end
  end
  return false
end

---How long each file took when it ran last, as far as that is known.
---@return table<string, number> seconds
function testing_files.times()
  local file <close> = io.open(TIMES)
  return file and json.decode(file:read("a")) or {}
end

---@param times table<string, number> seconds
function testing_files.remember(times)
  local all = testing_files.times()
  for path, seconds in pairs(times) do all[path] = seconds end
  local file <close> = core.list_dir("build") and io.open(TIMES, "w")
  if file then file:write(json.encode(all), "\n") end
end

local function size(path)
  local file <close> = assert(io.open(path))
  return file:seek("end")
end

---Puts those that take longest first, so that none of them is what everybody waits for at the end. One that has not run
---yet comes before those that have; of several such the larger one.
---@param files string[]
function testing_files.sort(files)
  local times, ranks = testing_files.times(), {}
  for _, path in ipairs(files) do
    local first = testing_files.says(path, "first") and 1 or 0
    ranks[path] = {first, times[path] or math.huge, size(path)}
  end
  table.sort(files, function(a, b)
    for i, rank in ipairs(ranks[a]) do
      if rank ~= ranks[b][i] then return rank > ranks[b][i] end
    end
    return a < b
  end)
end

return testing_files
