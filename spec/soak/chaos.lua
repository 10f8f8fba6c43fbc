-- Everything at once: peers that send right and broken bytes to every kind of route and leave as they like, reloads with
-- good and broken files, small limits and short deadlines. Meanwhile honest clients get the right answers, and honest
-- subscribers each message once.
local everything = require "spec.support.everything"
local honest = require "spec.support.honest"
local json = require "neap.json"
local peers = require "spec.support.peers"
local subscribers = require "spec.support.subscribers"
local task = require "neap.task"

local chaos = {}

local PEERS = {request = 60, websocket = 20, crowd = 2}
local HONEST = 3
local RELOAD_SECONDS = 3
local PAUSE_SECONDS = 0.005 -- between two numbers that are published

local SETTINGS = {"limits.connections=110", "limits.memory=32MB", "limits.body=100KB", "limits.output=8MB", "limits.input=8MB",
  "limits.stores=256KB", "limits.topic_count=200", "limits.topics=64MB", "limits.header_bytes=4KB", "limits.header_line=2KB",
  "limits.headers=40", "limits.fields=20", "limits.parts=4",
  "timeouts.header=400ms", "timeouts.idle=1s", "timeouts.write=1s", "timeouts.body_window=1s", "timeouts.linger=500ms",
  "timeouts.drain=1s", "timeouts.grace=1s", "timeouts.startup=2m", "watchdog.log=1s"}
local PATHS = {poll = "/numbers/poll", events = "/numbers/events", serve = "/numbers/serve"}

local function reloads(run, some)
  local number = 1
  while true do
    local deadline = task.now() + RELOAD_SECONDS
    while task.now() < deadline do
      if run:is_over() then return end
      task.sleep(0.1)
    end
    if some(3) == 1 then
      run:reload({["version.lua"] = everything.BROKEN[some(#everything.BROKEN)]}, false)
    else
      number = number + 1
      run:reload({["version.lua"] = everything.version(number)}, true)
    end
  end
end

local function no_gaps(one)
  assert(one.gaps == 0, ("%d gaps, %d lost"):format(one.gaps, one.lost))
end

local function subscribe(run)
  local client = honest.new(run)
  subscribers.beside(run, "numbers", {
    paths = PATHS, cursor = json.decode(client:ask("GET", "/numbers/cursor").body).cursor,
    ways = {"poll", "poll", "events", "events", "serve", "serve", "any", "any"}, check = no_gaps,
    publish = function(number)
      client:publish(number)
      task.sleep(PAUSE_SECONDS)
      return number
    end,
  })
end

---@param run spec.SoakRun
---@async
function chaos.run(run)
  run:start {files = everything.files(1), workers = 2, settings = SETTINGS}
  subscribe(run)
  run:beside("reloads", function(some) reloads(run, some) end)
  for i = 1, HONEST do
    run:beside("honest client " .. i, function(some)
      local one = honest.new(run)
      while not run:is_over() do
        one:question(some)
        task.sleep(0.005)
      end
      one:close()
    end)
  end
  run:beside("operator", function() honest.operator(run) end)
  peers.beside(run, PEERS)
end

return chaos
