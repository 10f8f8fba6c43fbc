-- A worker at its memory limit: the application fills its Lua state to the last bytes, frees some, and fills it again, under
-- all kinds of traffic and with reloads in between. Answers may be errors then, but they come; the process goes on, every
-- reload brings the next generation, and when the memory is free again everything works.
local everything = require "spec.support.everything"
local honest = require "spec.support.honest"
local http = require "spec.support.http"
local json = require "neap.json"
local peers = require "spec.support.peers"
local task = require "neap.task"

local memory = {}

local SETTINGS = {"limits.memory=12MB", "timeouts.header=1s", "timeouts.write=1s", "timeouts.drain=1s", "timeouts.grace=1s",
  "timeouts.startup=2m", "watchdog.log=2s"}
local PEERS = {request = 24, websocket = 12, crowd = 1}
local CLIENTS = 4
local RELOAD_SECONDS = 3
local HEALTHY = 20 -- right answers in a row that show it

local HOARD = [[
local hoard, is_full = {}, neap.store("hoard"):get("off") == nil

-- To the last bytes: pieces that become smaller.
local function fill(sizes)
  for _, size in ipairs(sizes) do
    while pcall(function() hoard[#hoard + 1] = ("h"):rep(size) .. #hoard end) do
      if #hoard % 500 == 0 then task.yield() end
    end
  end
end

local function free(part)
  for i = #hoard, 1, -1 do
    if math.random() < part then
      hoard[i] = hoard[#hoard]
      hoard[#hoard] = nil
    end
  end
end

app:service("hoard", function()
  while is_full do
    fill {50000, 5000, 500, 50, 1}
    for _ = 1, math.random(100) do -- what the collector finds meanwhile is taken at once
      task.sleep(0.002)
      fill {500, 50, 1}
    end
    free(math.random() ^ 5)
    task.sleep(math.random(30) / 1000)
  end
end, {workers = "each", restart = "always", backoff = {min = "10ms", max = "50ms"}})

app:get("/free", function()
  neap.store("hoard"):set("off", true)
  hoard, is_full = {}, false
  return "free"
end)
]]

local function reload(run, state)
  state.version = state.version + 1
  run:reload({["version.lua"] = everything.version(state.version)}, true)
end

local function reloads(run, state)
  local deadline = task.now() + RELOAD_SECONDS
  while not run:is_over() do
    task.sleep(0.1)
    if task.now() > deadline then
      reload(run, state)
      deadline = task.now() + RELOAD_SECONDS
    end
  end
end

-- One question: what came as an answer, or "none" when the connection was closed.
local function ask(run, path)
  local conn = http.open(run.server)
  conn:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(path))
  local answer = conn:answer()
  conn:close()
  return answer and answer.is_whole and answer or {status = "none"}
end

local function question(run, some)
  local n = some(1000000)
  local answer = ask(run, ("/honest/%d"):format(n))
  run:count("answers " .. answer.status)
  if answer.status == 200 then
    assert(json.decode(answer.body).twice == 2 * n, answer.body)
    return true
  end
  assert(answer.status == "none" or answer.status == 500 or answer.status == 503, answer.head)
end

-- The memory is free again in the next generation: no answer is an error then.
local function recover(run, state)
  repeat until ask(run, "/free").status == 200 or run.problem
  for _ = 1, 2 do reload(run, state) end -- one of the server's own may have begun before that
  local some = run:chance "recovered"
  for _ = 1, HEALTHY do assert(run.problem or question(run, some), "the memory is free, and an answer is an error") end
end

---@param run spec.SoakRun
---@async
function memory.run(run)
  run:start {files = everything.files(1, HOARD), workers = 2, settings = SETTINGS}
  local state = {version = 1}
  for i = 1, CLIENTS do
    run:beside("client " .. i, function(some)
      while not run:is_over() do question(run, some) end
    end)
  end
  run:beside("operator", function() honest.operator(run) end)
  peers.beside(run, PEERS)
  run:beside("reloads", function()
    reloads(run, state)
    recover(run, state)
  end)
end

return memory
