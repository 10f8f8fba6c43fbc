-- A server in which malloc itself fails, for our own code and for all libraries: preloads malloc_fails.c.
--
--   local s = server.start {env = malloc.env(), files = malloc.FILES, ...}
--   malloc.arm(s, 7)            -- the 7th allocation of the whole process from now fails
--   malloc.arm(s, 7, true)      -- and all after it
--   local left = malloc.arm(s, 0)  -- no more do; how many the one that was armed had still to wait for, 0: it came
-- builds: malloc_fails
local malloc = {}

local PLAN = "malloc.plan" -- two numbers, which the server shares: see malloc_fails.c
local EVER = -1 << 40      -- more than anybody asks for

malloc.FILES = {[PLAN] = ("i8i8"):pack(0, 0)}

---@return boolean # ThreadSanitizer wants malloc for itself
function malloc.is_missing()
  return os.getenv("NEAP_BIN"):find("thread", 1, true) ~= nil
end

---@return table<string, string>
function malloc.env()
  local folder = os.getenv("NEAP_BIN"):match("^(.*)/")
  return {
    LD_PRELOAD = folder .. "/libmalloc_fails.so", NEAP_MALLOC_FAILS = PLAN,
    ASAN_OPTIONS = "verify_asan_link_order=0", -- its own is called by ours
  }
end

---@param s spec.Server
---@param n integer
---@param is_lasting boolean?
---@return integer left
function malloc.arm(s, n, is_lasting)
  local file <close> = assert(io.open(s.dir .. "/" .. PLAN, "r+b"))
  local left = ("i8"):unpack(file:read(8))
  file:seek("set", 0)
  assert(file:write(("i8i8"):pack(n, is_lasting and n > 0 and EVER or 0)))
  return math.max(left, 0)
end

return malloc
