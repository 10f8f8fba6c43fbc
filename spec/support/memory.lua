-- Whether memory can be measured in this build: a sanitizer needs several times what the program itself does.
local memory = {}

local SANITIZERS = {libasan = "AddressSanitizer", libtsan = "ThreadSanitizer"}

---@return string? # the sanitizer that this build has
function memory.sanitizer()
  local file = assert(io.open("/proc/self/maps"))
  local maps = file:read("a")
  file:close()
  for library, name in pairs(SANITIZERS) do
    if maps:find(library, 1, true) then return name end
  end
end

---@return boolean
function memory.is_measurable()
  return memory.sanitizer() == nil
end

return memory
