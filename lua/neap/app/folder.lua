-- Where a script lies: what an application names by a relative path is looked for beside the file that names it.
local folder = {}

---The folder of the script `level` levels above our caller; "." when it is no file.
---@param level integer as in `error`, counted from the caller of this function
---@return string
function folder.of_caller(level)
  local info = debug.getinfo(level + 1, "S")
  return info and info.source:match("^@(.*)/[^/]*$") or "."
end

---The path of a folder that a script names.
---@param base string what it is relative to
---@param dir string
---@param what string the function's name, for messages
---@param level integer as in `error`, counted from the caller of this function
---@return string
function folder.resolve(base, dir, what, level)
  if type(dir) ~= "string" or dir == "" or dir:find("\0", 1, true) then
    error(what .. ": the folder is a path", level + 1)
  end
  return dir:sub(1, 1) == "/" and dir or base .. "/" .. dir
end

return folder
