-- Drives the server of `spec/bench/instructions`: instructions.lua PORT DUMPS [ROW...]
--
-- In each row CONNS connections do the same thing over and over: all of them send, then all read what has to come back.
-- Two requests to /mark make callgrind write what lay between them into a file, DUMPS.<number>-<thread>. A row is
-- printed as its name and the instructions of one unit of work.
local net = require "neap.net"
local task = require "neap.task"

local CONNS, WARM, ROUNDS = 32, 20, 200
local DUMP_SECONDS = 10
local PIECES = 16 -- requests, frames or writes that leave together
local MESSAGE = ("m"):rep(64)

local port, dumps = assert(tonumber(arg[1]), "usage: instructions.lua PORT DUMPS [ROW...]"), assert(arg[2])
local dump_count = 0

-- ---- requests ----

local function request(path, headers, method)
  return ("%s %s HTTP/1.1\r\nHost: bench\r\n%s\r\n"):format(method or "GET", path, headers or "")
end

local PUBLISH = ("POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s"):format(#MESSAGE, MESSAGE)
local UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
  .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
local FRAME = "\x81\x81\0\0\0\0x" -- one letter, masked with zeros

local function connect()
  return assert(net.connect("127.0.0.1", port))
end

-- The head of an answer.
local function read_answer(socket)
  local head = assert(socket:read_until("\r\n\r\n"))
  local size = tonumber(head:lower():match("\ncontent%-length: (%d+)") or 0)
  if size > 0 then assert(socket:read_exact(size)) end
  return head, #head + 4 + size
end

local function ask(socket, bytes)
  assert(socket:send(bytes))
  return read_answer(socket)
end

-- ---- callgrind ----

-- What the worker has executed since the mark before.
local function mark(control)
  ask(control, request "/mark")
  dump_count = dump_count + 1
  local stop = task.now() + DUMP_SECONDS
  repeat
    local pipe <close> = assert(io.popen(("cat %s.%d-* 2>/dev/null"):format(dumps, dump_count)))
    local sum = pipe:read("a"):match("\ntotals: (%d+)")
    if sum then return tonumber(sum) end
    task.sleep(0.01)
  until task.now() > stop
  error("callgrind wrote no " .. dumps .. "." .. dump_count, 0)
end

-- Instructions of one round, without those of the mark.
local function count(round)
  local control <close> = connect()
  for _ = 1, WARM do round() end
  mark(control)
  local empty = mark(control)
  for _ = 1, ROUNDS do round() end
  return (mark(control) - empty) / ROUNDS
end

-- ---- rows ----

local Sockets = {}

function Sockets:__close()
  for _, socket in ipairs(self) do socket:close() end
end

local function open_all(open)
  local sockets = setmetatable({}, Sockets)
  for i = 1, CONNS do sockets[i] = open() end
  return sockets
end

-- Everybody sends `bytes` and gets as much as the first answer has, `times` times.
local function exchange(bytes, times)
  local sockets <close> = open_all(connect)
  local _, size = ask(sockets[1], bytes)
  bytes = bytes:rep(times)
  return count(function()
    for _, socket in ipairs(sockets) do assert(socket:send(bytes)) end
    for _, socket in ipairs(sockets) do assert(socket:read_exact(size * times)) end
  end) / (CONNS * times)
end

local function plain(path)
  return function() return exchange(request(path), 1) end
end

local function stream()
  local sockets <close> = open_all(connect)
  return count(function()
    for _, socket in ipairs(sockets) do assert(socket:send(request "/stream")) end
    for _, socket in ipairs(sockets) do assert(socket:read_until("\r\n0\r\n\r\n")) end
  end) / (CONNS * PIECES)
end

local function websocket(path)
  return function()
    local socket = connect()
    ask(socket, request(path, UPGRADE))
    return socket
  end
end

-- A ping behind the messages says when they were taken.
local function frames()
  local sockets <close> = open_all(websocket "/frames")
  local bytes = FRAME:rep(PIECES) .. "\x89\x80\0\0\0\0"
  return count(function()
    for _, socket in ipairs(sockets) do assert(socket:send(bytes)) end
    for _, socket in ipairs(sockets) do assert(socket:read_exact(2) == "\x8a\0") end
  end) / (CONNS * PIECES)
end

local function delivery()
  local sockets <close> = open_all(websocket "/ws")
  local publisher <close> = connect()
  return count(function()
    ask(publisher, PUBLISH)
    for _, socket in ipairs(sockets) do assert(socket:read_exact(2 + #MESSAGE)) end
  end) / CONNS
end

local function poll()
  local sockets <close> = open_all(connect)
  local publisher <close> = connect()
  local cursors = {}
  local function park()
    for i, socket in ipairs(sockets) do assert(socket:send(request("/poll?after=" .. (cursors[i] or "")))) end
    ask(publisher, request "/") -- it was read after these
  end
  park()
  return count(function()
    ask(publisher, PUBLISH)
    for i, socket in ipairs(sockets) do cursors[i] = read_answer(socket):match("\nTopic%-Cursor: ([^\r]+)") end
    park()
  end) / CONNS
end

local ROWS = {
  {"hello", plain "/"},
  {"json", plain "/short"},
  {"json-list", plain "/json"},
  {"params", plain "/users/1234/posts/5678"},
  {"missing", plain "/nowhere"},
  {"wrong-method", function() return exchange(request("/", nil, "DELETE"), 1) end},
  {"abort", function() return exchange(request("/refuse", "Content-Length: 1\r\n", "POST") .. "{", 1) end},
  {"status", plain "/status"},
  {"pipeline", function() return exchange(request "/", PIECES) end},
  {"stream", stream},
  {"frames", frames},
  {"delivery", delivery},
  {"poll", poll},
}

local wanted = {}
for i = 3, #arg do wanted[arg[i]] = true end
for _, row in ipairs(ROWS) do
  if not next(wanted) or wanted[row[1]] then print(("%s %.0f"):format(row[1], row[2]())) end
end
