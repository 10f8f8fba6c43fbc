-- Lets the n-th allocation of a running server fail, for n = 1, 2, 3 ... until an act gets by with fewer. Needs a build
-- with -DTESTING=ON (core/base/scarce.h). Or the n-th malloc, and whoever makes it: any build will do (malloc.lua).
--
--   local walk = scarce.walk("lua", "request", {stride = 7})     -- or another kind
--   walk.count        how many allocations the act makes
--   walk.outcomes     {["200"] = 31, ["500"] = 12, ...}: what the client saw, and how often
--   walk.problems     {"request lua 7: left: 1 requests", ...}: should be empty
local acts = require "spec.support.scarce_acts"
local core = require "neap.core"
local malloc = require "spec.support.malloc"
local server = require "spec.support.server"

local scarce = {can_run = core.task.fail_alloc ~= nil}

local QUIET_SECONDS = 10   -- until nothing of an act is left
local END_SECONDS = 0.2    -- until one that is dying is dead
local UNCLEAN_CODE = 2     -- the exit code when a hook of the application has failed
local MUST_CODE = 71       -- the exit code when a need of the server's own is not met
local TRIES_MAX = 300      -- of one server: then another is started, because logs and generations grow
local MANY = 1 << 30       -- more than any act makes
local THROUGH_MIN = 3      -- until a walk is at its end
local PROBLEMS_MAX = 20    -- of one walk
local JOB = "app.lua:11"   -- where the task of the application's job waits, always

-- "lua": Lua's; "try", "must": ours, see alloc.h; "malloc": anybody's; "mallocs": that and all after it.
local function is_malloc(kind)
  return kind:find("^malloc") ~= nil
end

local function add(to, from)
  for name, value in pairs(from or {}) do to[name] = value end
  return to
end

---@param opts {args: string[]?, env: table<string, string>?}?
---@param kind string? what is to fail
---@async
function scarce.start(opts, kind)
  opts = opts or {}
  local is_plain = not kind or is_malloc(kind)
  local env = add({NEAP_STATE = acts.STATE}, opts.env)
  local files = add({}, acts.FILES)
  if kind and is_plain then add(env, malloc.env()) add(files, malloc.FILES) end
  return server.start {app = acts.APP, files = files, workers = 1, env = env, args = opts.args, has_hooks = not is_plain}
end

-- The n-th allocation of that kind from now fails; 0: none does. How many the one that was armed before had still to
-- wait for; nil: the server is gone.
local function arm(s, kind, n)
  if is_malloc(kind) then
    local left = malloc.arm(s, n, kind == "mallocs")
    return (n > 0 or acts.ask(s, "hello")) and left or nil
  end
  local answer = acts.ask(s, ("scarce %s %d"):format(kind, n))
  return answer and answer.answers[1]
end

local function note(walk, n, text)
  walk.problems[#walk.problems + 1] = ("%s %s %s: %s"):format(walk.name, walk.kind, n, text)
end

-- What an act has left behind, in words; nil: nothing.
local function leftovers(s)
  local ps, topics = acts.ask(s, "ps"), acts.ask(s, "topics")
  if not ps or not topics then return "no answer" end
  local found = {}
  for _, one in ipairs(ps.answers) do
    found[#found + 1] = one.requests > 0 and one.requests .. " requests" or nil
    found[#found + 1] = one.websockets > 0 and one.websockets .. " websockets" or nil
    for _, t in ipairs(one.tasks) do
      if not t.name:find(JOB, 1, true) then found[#found + 1] = ("task %s at %s"):format(t.name, t.where) end
    end
  end
  found[#found + 1] = #ps.answers ~= 1 and #ps.answers .. " generations" or nil
  for _, topic in ipairs(topics.answers[1] and topics.answers[1].topics or {}) do
    found[#found + 1] = topic.subscribers > 0 and topic.subscribers .. " subscribers of " .. topic.name or nil
  end
  return found[1] and table.concat(found, ", ")
end

-- What is left of it after a while.
local function lasting(s)
  local what
  server.poll(QUIET_SECONDS, function()
    what = leftovers(s)
    return not what or s:code()
  end)
  return what
end

---It has to reload and to stop as it should.
---@async
function scarce.finish(walk, s)
  local has_outcome, serves = pcall(s.reload, s)
  if not has_outcome or not serves then note(walk, "reload", s:log():sub(-2000)) end
  local has_ended, code = pcall(s.stop, s)
  if not has_ended or code ~= 0 then note(walk, "stop", ("exit code %s: %s"):format(code, s:log():sub(-3000))) end
  s:remove()
end

-- The server is dead: of "must" that is right, if it said why.
local function bury(walk, s, n)
  local log, code = s:log(), s:code()
  local may_end = walk.kind == "must" or is_malloc(walk.kind)
  local is_right = may_end and code == MUST_CODE and log:find("neap: out of memory (", 1, true)
  if not is_right then note(walk, n, ("exit code %d: %s"):format(code, log:sub(-3000))) end
  s:forget()
  return is_right and "ended" or "died"
end

-- One try: what came of it, and whether the act makes fewer than n allocations. Without an outcome: the server is dead.
local function try(walk, s, n)
  if not arm(s, walk.kind, n) then return nil, false end
  local ok, outcome = pcall(acts.list[walk.name], s)
  local left = arm(s, walk.kind, 0)
  if not left and server.poll(END_SECONDS, function() return s:code() end) then return nil, false end
  outcome = ok and outcome or "error: " .. tostring(type(outcome) == "table" and outcome.message or outcome)
  if outcome:find("hangs") or not ok then note(walk, n, outcome) end
  local what = lasting(s)
  if s:code() then return nil, false end
  if what then note(walk, n, "left: " .. what) end
  return outcome, left and left > 0 or what == "no answer"
end

---About how many allocations of that kind an act makes, when none fails.
---@async
function scarce.count(kind, name, opts)
  local s = scarce.start(opts, kind)
  acts.list[name](s)
  arm(s, kind, MANY)
  acts.list[name](s)
  local left = arm(s, kind, 0)
  s:stop()
  s:remove()
  return MANY - left
end

---@param kind "lua"|"try"|"must"|"malloc"|"mallocs"
---@param name string of an act
---@param opts {stride: integer?, first: integer?, last: integer?, env: table<string, string>?, is_cold: boolean?}? is_cold: each time a server that has done nothing yet
---@return {name: string, kind: string, count: integer, outcomes: table<string, integer>, problems: string[]}
---@async
function scarce.walk(kind, name, opts)
  opts = opts or {}
  local walk = {name = name, kind = kind, count = 0, outcomes = {}, problems = {}}
  local s, tries
  local through = 0 -- tries in a row that made fewer: what an act leaves to the server may come a little later
  for n = opts.first or 1, opts.last or math.maxinteger, opts.stride or 1 do
    if not s then
      s, tries = scarce.start({env = opts.env}, kind), 0
      if not opts.is_cold then acts.list[name](s) end -- what is made once is made
    end
    local outcome, is_through = try(walk, s, n)
    if not outcome then
      outcome, s = bury(walk, s, n), nil
    end
    walk.count, walk.outcomes[outcome] = n, (walk.outcomes[outcome] or 0) + 1
    through = is_through and through + 1 or 0
    walk.is_through = through == THROUGH_MIN
    if walk.is_through or walk.problems[PROBLEMS_MAX] then break end
    tries = tries + 1
    if s and (opts.is_cold or tries == TRIES_MAX) then s = scarce.finish(walk, s) end
  end
  if s then scarce.finish(walk, s) end
  return walk
end

local function free(s)
  return server.poll(QUIET_SECONDS, function() return acts.free(s) == "204" end)
end

---What comes of an act when there is room for so many bytes more, and no garbage.
---@param lefts integer[]
---@return {name: string, kind: string, count: integer, outcomes: table<string, integer>, problems: string[]}
---@async
function scarce.squeeze(name, lefts, s)
  local walk = {name = name, kind = "left", count = 0, outcomes = {}, problems = {}}
  for _, left in ipairs(lefts) do
    acts.fill(left)(s)
    local ok, outcome = pcall(acts.list[name], s)
    if s:code() then return walk, note(walk, left, ("exit code %d: %s"):format(s:code(), s:log():sub(-3000))) end
    if not ok or outcome == "hangs" then note(walk, left, tostring(outcome)) end
    walk.outcomes[outcome] = (walk.outcomes[outcome] or 0) + 1
    if not free(s) then note(walk, left, "nothing can be freed any more") end
    local what = lasting(s)
    if what then note(walk, left, "left: " .. what) end
  end
  return walk
end

---The same for the end of a server, which needs a new one each time.
---@param opts {stride: integer?, first: integer, last: integer}
---@async
function scarce.walk_stop(kind, opts)
  local walk = {name = "stop", kind = kind, count = 0, outcomes = {}, problems = {}}
  for n = opts.first, opts.last, opts.stride or 1 do
    local s = scarce.start({}, kind)
    acts.list.request(s)
    arm(s, kind, n)
    local ok, code = pcall(s.stop, s)
    local is_told = code == UNCLEAN_CODE and s:log():find("not enough memory", 1, true) -- a hook could not run
    local outcome = not ok and "hangs" or code == 0 and "clean" or is_told and "told"
      or (kind == "must" or is_malloc(kind)) and code == MUST_CODE and "ended" or "exit code " .. code
    if not ok or outcome:find("code") then note(walk, n, outcome .. ": " .. s:log():sub(-3000)) end
    walk.count, walk.outcomes[outcome] = n, (walk.outcomes[outcome] or 0) + 1
    s:remove()
  end
  return walk
end

return scarce
