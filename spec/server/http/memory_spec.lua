-- What connections cost: little while they are idle (decision 66), nothing once they are gone (decision 61).
local core = require "neap.core"
local memory = require "spec.support.memory"
local server = require "spec.support.server"
local task = require "neap.task"

local IDLE = 10000
local MOST_PER_CONNECTION = 600     -- bytes of user-space memory
local ROUNDS, PER_ROUND = 20, 5000  -- connections that come and go
local ALLOWANCE = 512 * 1024        -- bytes that may stay after those
local AT_ONCE = 100
local PATIENCE = 60
local REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:get("/", function() return "hello" end)
  app:get("/collect", function()
    collectgarbage()
    return "collected"
  end)
  return app]]

-- Opens `count` connections, each with one request done.
local function open(s, count)
  local sockets = {}
  do
    local g <close> = task.group()
    for worker = 1, AT_ONCE do
      g:spawn(function()
        for i = worker, count, AT_ONCE do
          local socket = assert(core.connect("127.0.0.1", s.port))
          socket:send(REQUEST)
          assert(socket:recv(1000, PATIENCE))
          sockets[i] = socket
        end
      end)
    end
  end
  return sockets
end

-- A reset leaves no address in TIME_WAIT, so there are always free ones.
local function close(s, sockets, before)
  for _, socket in ipairs(sockets) do socket:reset() end
  assert.truthy(server.poll(PATIENCE, function() return s:fds() <= before end), "connections are still open")
end

local function fd_limit()
  local limits = assert(io.open("/proc/self/limits")):read("a")
  return tonumber(limits:match("Max open files%s+(%d+)"))
end

describe("connections", function()
  local s, before

  before_each(function()
    if not memory.is_measurable() then return end
    s = server.start {app = APP, workers = 1}
    close(s, open(s, AT_ONCE), s:fds() + 1) -- warm-up; one spare file comes with the first connection
    s:get("/collect")
    before = s:fds()
  end)
  after_each(server.stop_all)

  local function it_measured(name, need_fds, fn)
    it(name, function()
      if not memory.is_measurable() then return pending("memory is not measured with " .. memory.sanitizer()) end
      local most = fd_limit()
      if most < need_fds then return pending(("needs %d open files; ulimit -n says %d"):format(need_fds, most)) end
      fn()
    end)
  end

  it_measured("that are idle cost little", IDLE + 200, function()
    local empty = s:rss()
    local sockets = open(s, IDLE)
    s:get("/collect")
    local each = (s:rss() - empty) / IDLE
    print(("      %.0f bytes for each of %d idle connections"):format(each, IDLE))
    close(s, sockets, before)
    assert.is_true(each <= MOST_PER_CONNECTION, ("%.0f bytes each"):format(each))
  end)

  it_measured("that have gone cost nothing", PER_ROUND + 200, function()
    close(s, open(s, PER_ROUND), before)
    s:get("/collect")
    local first = s:rss()
    for _ = 1, ROUNDS do close(s, open(s, PER_ROUND), before) end
    s:get("/collect")
    local growth = s:rss() - first
    print(("      %+.0f KB after %d connections"):format(growth / 1024, ROUNDS * PER_ROUND))
    assert.is_true(growth <= ALLOWANCE, ("%.0f KB"):format(growth / 1024))
  end)

  it_measured("give their memory back to the system", IDLE + 200, function()
    local empty = s:rss()
    close(s, open(s, IDLE), before)
    s:get("/collect")
    server.poll(PATIENCE, function() return s:rss() - empty < ALLOWANCE end)
    local kept = s:rss() - empty
    print(("      %.0f KB kept of %d connections"):format(kept / 1024, IDLE))
    assert.is_true(kept <= ALLOWANCE, ("%.0f KB"):format(kept / 1024))
  end)
end)
