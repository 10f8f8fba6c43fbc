-- Clients without manners: they send what mischief.lua makes in all kinds of pieces, read as they like, and leave as
-- they like. Each gives itself a short time, so that the next one can come.
local core = require "neap.core"
local mischief = require "spec.support.mischief"
local task = require "neap.task"

local peers = {}

local READ_SECONDS = 0.3

-- ---- How they send ------------------------------------------------------------------------------

local send = {}

function send.whole(socket, bytes)
  return socket:send(bytes, 1)
end

-- In pieces, with or without time between them.
function send.pieces(socket, bytes, some)
  local from = 1
  while from <= #bytes do
    local to = from + some(some(3) == 1 and 3 or 2000)
    if not socket:send(bytes:sub(from, to), 1) then return end
    from = to + 1
    if some(4) == 1 then task.sleep(some(20) / 1000) else task.yield() end
  end
end

-- All but the end, which never comes.
function send.begun(socket, bytes, some)
  return socket:send(bytes:sub(1, some(#bytes)), 1)
end

-- ---- How they read ------------------------------------------------------------------------------

local read = {}

function read.all(socket)
  local deadline = task.now() + READ_SECONDS
  while task.now() < deadline and socket:recv(65536, READ_SECONDS) do task.yield() end
end

function read.little(socket, some)
  for _ = 1, some(5) do
    if not socket:recv(some(100), 0.05) then return end
    task.sleep(some(30) / 1000)
  end
end

function read.nothing(_, some)
  task.sleep(some(100) / 1000)
end

function read.never(_, some) -- until the server's deadlines are over
  task.sleep(some(250) / 100)
end

function read.at_once() end -- leaves in the turn in which it sent

-- ---- How they leave -----------------------------------------------------------------------------

local leave = {}

function leave.close(socket) socket:close() end
function leave.reset(socket) socket:reset() end
function leave.half_closed(socket, some)
  socket:shutdown()
  read[some(2) == 1 and "all" or "little"](socket, some)
  if some(2) == 1 then socket:reset() else socket:close() end
end

local SEND, READ = {"whole", "whole", "pieces", "begun"}, {"all", "all", "little", "nothing", "at_once", "never"}
local LEAVE = {"close", "reset", "reset", "half_closed"}

local function pick(some, list)
  return list[some(#list)]
end

local function socket_open(port, some)
  local socket = core.connect("127.0.0.1", port)
  if socket and some(3) == 1 then socket:receive_buffer(4096) end
  if socket and some(8) == 1 then socket:pause() end
  return socket
end

---One connection, from its begin to its end.
---@param run spec.SoakRun
---@param some fun(most: integer): integer
---@async
function peers.request(run, some)
  local socket <close> = socket_open(run.server.port, some)
  if not socket then return task.sleep(0.01) end
  for _ = 1, some(3) do
    local bytes, kind = mischief.bytes(some)
    send[pick(some, SEND)](socket, bytes, some)
    run:count(kind)
    read[pick(some, READ)](socket, some)
  end
  leave[pick(some, LEAVE)](socket, some)
end

---One WebSocket.
---@param run spec.SoakRun
---@param some fun(most: integer): integer
---@async
function peers.websocket(run, some)
  local socket <close> = socket_open(run.server.port, some)
  if not socket then return task.sleep(0.01) end
  local bytes = mischief.handshake(some)
  if some(3) == 1 then
    socket:send(bytes .. mischief.frames(some), 1) -- it does not wait for the answer
  else
    socket:send(bytes, 1)
    socket:recv(65536, READ_SECONDS)
  end
  for _ = 1, some(6) do
    send[pick(some, SEND)](socket, mischief.frames(some), some)
    read[pick(some, READ)](socket, some)
  end
  run:count "websockets"
  leave[pick(some, LEAVE)](socket, some)
end

---A crowd that asks for the same, each leaving by a reset in the turn in which it asked.
---@param run spec.SoakRun
---@param some fun(most: integer): integer
---@async
function peers.crowd(run, some)
  local bytes = some(2) == 1 and mischief.handshake(some) or mischief.bytes(some)
  local function one()
    local socket <close> = core.connect("127.0.0.1", run.server.port)
    if not socket then return end
    socket:send(bytes, 1)
    socket:reset()
    run:count "resets of a crowd"
  end
  local crowd <close> = task.group()
  for _ = 1, some(20) do crowd:spawn(one) end
  task.sleep(some(100) / 1000)
end

---Lets so many of each kind come until the run is over.
---@param run spec.SoakRun
---@param counts table<string, integer> e.g. {request = 40}
function peers.beside(run, counts)
  for kind, count in pairs(counts) do
    for i = 1, count do
      run:beside(("peer %s %d"):format(kind, i), function(some)
        while not run:is_over() do peers[kind](run, some) end
      end)
    end
  end
end

return peers
