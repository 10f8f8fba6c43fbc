-- Memory runs out at any moment of any act: a worker that is left with a few bytes, and allocations that fail one after
-- the other (Lua's and ours with -DTESTING=ON, malloc in every build). Nothing hangs, nothing is left, each server reloads
-- and stops as it should. By chance first; given the time, every allocation of every act, and then it ends.
-- SOAK_ONLY="lua reload,malloc tls" is only about these.
local acts = require "spec.support.scarce_acts"
local malloc = require "spec.support.malloc"
local scarce = require "spec.support.scarce"
local scarce_peers = require "spec.support.scarce_peers"

local allocation = {}

local ONLY = os.getenv "SOAK_ONLY"
local LEFT_MAX = 8000 -- bytes
local LEFT_TRIES = 20 -- of one act, one after the other
local PIECE = 100     -- allocations of one act that are tried on one server
local LANES = 3       -- at the same time
local STRIDES = {mallocs = 7} -- it mostly ends the server

-- What can fail in this build, and what can be asked of it.
local function kinds()
  local list = scarce.can_run and {"lua", "try", "must"} or {}
  if not malloc.is_missing() then
    list[#list + 1] = "malloc"
    list[#list + 1] = "mallocs"
  end
  return list
end

-- Every pair of a kind and an act; how many allocations it makes is counted when its turn comes.
local function make_walks(names)
  local walks = {}
  for _, kind in ipairs(kinds()) do
    for _, name in ipairs(names) do
      if not ONLY or ("," .. ONLY .. ","):find((",%s %s,"):format(kind, name), 1, true) then
        walks[#walks + 1] = {kind = kind, name = name, tried = 0, outcomes = {}}
      end
    end
  end
  return walks
end

-- What comes of `walk` is written down in `whole`.
local function note(run, whole, walk)
  for outcome, count in pairs(walk.outcomes) do
    whole.outcomes[outcome] = (whole.outcomes[outcome] or 0) + count
    whole.tried = whole.tried + count
    run:count(("%s: %s"):format(walk.kind, outcome), count)
  end
  if walk.problems[1] then run:fail(table.concat(walk.problems, "\n")) end
end

-- The pieces of a walk, in the order in which they are to be tried.
local function cut(walk, env)
  local stride = STRIDES[walk.kind] or 1
  walk.count = scarce.count(walk.kind, walk.name, {env = env})
  walk.pieces = {}
  for first = 1, math.max(walk.count, 1), PIECE * stride do
    walk.pieces[#walk.pieces + 1] = {first = first, last = first + PIECE * stride - 1, stride = stride, env = env}
  end
  walk.pieces[#walk.pieces].last = nil -- goes on until there are no more
end

-- Tries one piece of a walk that is chosen by chance.
local function try(run, walks, some, env)
  local walk = table.remove(walks, some(#walks))
  if not walk.pieces then cut(walk, env) end
  local piece = walk.pieces[1] and table.remove(walk.pieces, some(#walk.pieces))
  if walk.pieces[1] then walks[#walks + 1] = walk end
  if piece then note(run, walk, scarce.walk(walk.kind, walk.name, piece)) end
end

local function squeeze(run, name, some)
  local lefts = {}
  for i = 1, LEFT_TRIES do lefts[i] = some(LEFT_MAX) end
  local s = scarce.start {args = {"--set", "limits.memory=5MB"}}
  local walk = scarce.squeeze(name, lefts, s)
  if not s:code() then scarce.finish(walk, s) end
  note(run, {outcomes = {}, tried = 0}, walk)
end

local function squeeze_all(run, names, open)
  local some = run:chance "squeeze"
  repeat
    local name = names[some(#names)]
    if not acts.wants[name] then squeeze(run, name, some) end
  until run:is_over() or not open[1]
end

-- A line for each act: "lua reload: 9200 of 9223 tried: serves 9100, failed 100".
local function tell(walks)
  for _, walk in ipairs(walks) do
    local parts = {}
    for outcome, count in pairs(walk.outcomes) do parts[#parts + 1] = ("%s %d"):format(outcome, count) end
    table.sort(parts)
    if walk.count then
      print(("%s %s: %d of %d tried: %s"):format(walk.kind, walk.name, walk.tried, walk.count, table.concat(parts, ", ")))
    end
  end
end

---@param run spec.SoakRun
---@async
function allocation.run(run)
  local peers <close> = scarce_peers.start()
  local names = peers:names()
  local all = make_walks(names)
  local open = table.move(all, 1, #all, 1, {})
  local lanes <close> = require("neap.task").group()
  local function lane(some)
    while not run:is_over() and open[1] do try(run, open, some, peers.env) end
  end
  for i = 1, LANES do lanes:spawn("lane " .. i, lane, run:chance("lane " .. i)) end
  if not ONLY then lanes:spawn("squeeze", squeeze_all, run, names, open) end
  lanes:join()
  tell(all)
end

return allocation
