-- Reads a log that somebody else writes, each line once, and keeps it from filling the disk.
local task = require "neap.task"

local follow = {}

local PIECE = 65536
local KEEP = 64 * 1024 * 1024 -- bytes of the log that stay on the disk

---@class spec.Follow
---@field path string
---@field file file*
---@field part string the beginning of a line whose end has not come
---@field size integer bytes read
---@field freed integer bytes given back to the disk
local Follow = {}
Follow.__index = Follow

---@param path string
---@return spec.Follow
function follow.open(path)
  return setmetatable({path = path, file = assert(io.open(path, "rb")), part = "", size = 0, freed = 0}, Follow)
end

-- The file keeps its length, because its writer keeps its place: what was read becomes a hole in it.
local function give_back(self)
  if self.size - self.freed < 2 * KEEP then return end
  self.freed = self.size - KEEP
  os.execute(("fallocate -p -o 0 -l %d '%s' 2>/dev/null"):format(self.freed, self.path))
end

---Gives each line that has come since the last call to `see`.
---@param see fun(line: string)
---@async
function Follow:lines(see)
  while true do
    local piece = self.file:read(PIECE)
    if not piece then break end
    self.size = self.size + #piece
    local text, from = self.part .. piece, 1
    for line, after in text:gmatch("([^\n]*)\n()") do
      see(line)
      from = after
    end
    self.part = text:sub(from)
    task.yield()
  end
  give_back(self)
end

function Follow:close()
  self.file:close()
end

return follow
