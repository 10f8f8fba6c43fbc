-- Files of a folder. The core opens them beneath the folder and does ranges, conditions and compressed siblings;
-- here it is only decided which path may be asked for.
local abort = require "neap.app.abort"
local core = require "neap.core"
local options = require "neap.base.options"
local res = require "neap.res"

local files = {}

---How a folder is served.
---@class neap.StaticOptions
---@field name string? for `app:url(name, {path = "style.css"})`
---@field index (string|false)? answers for a folder; default "index.html"
---@field max_age (number|string)? seconds or "1h" that a client may keep a file unasked; default 0: it asks each time
---@field fallback string? file of the folder that answers where there is none, for single-page apps
---@field hidden boolean? also serve names that start with a dot; default false (`.well-known` always is)
---@field types table<string, string>? extension -> media type, for files that are unusual

local OPTIONS = {name = "string", index = "string|boolean", max_age = "duration", fallback = "string",
  hidden = "boolean", types = "table"}

-- Whether a path, decoded once, may name a file at all. The core checks again when it opens.
local function is_allowed(path, hidden)
  if path:find("[%c\\\127]") or path:find("//", 1, true) or path:sub(1, 1) == "/" then return false end
  for segment in path:gmatch("[^/]+") do
    if segment == "." or segment == ".." then return false end
    if segment:byte() == 46 and not hidden and segment ~= ".well-known" then return false end
  end
  return true
end

local function respond(dir, path, opts)
  local response = res.file(path, {root = dir, precompressed = true, types = opts.types})
  response.headers["cache-control"] = opts.max_age and ("public, max-age=%d"):format(opts.max_age // 1) or "no-cache"
  response.headers["x-content-type-options"] = "nosniff"
  return response
end

-- The folder's page; without a slash at the end its relative links would be wrong, so the client is sent there.
local function folder(req, dir, path, opts)
  if not opts.index then abort.raise(404, nil, nil, 1) end
  if req.path:sub(-1) ~= "/" then
    local query = req.raw_query ~= "" and "?" .. req.raw_query or ""
    return res.redirect(req.raw_path:gsub("^/+", "/") .. "/" .. query, 308)
  end
  return respond(dir, path == "" and opts.index or path .. opts.index, opts)
end

---A handler for the routes `prefix` and `prefix/*path`.
---@param prefix string for messages
---@param root string path of the folder
---@param opts neap.StaticOptions?
---@param level integer of the caller, as in `error`, for wrong options
---@return neap.Handler
function files.handler(prefix, root, opts, level)
  opts = options.check(opts, OPTIONS, "app:static " .. prefix, level + 1)
  if opts.index == nil or opts.index == true then opts.index = "index.html" end
  return function(req)
    local path = req.params.path or ""
    if not is_allowed(path, opts.hidden) then abort.raise(404, nil, nil, 1) end
    local kind, err = core.file_type(root, path == "" and "." or path)
    if kind == "directory" then return folder(req, root, path, opts) end
    if kind == "file" then return respond(root, path, opts) end
    if err == "busy" then abort.raise(503, "too many open files", nil, 1) end
    if opts.fallback then return respond(root, opts.fallback, opts) end
    abort.raise(404, nil, nil, 1)
  end
end

return files
