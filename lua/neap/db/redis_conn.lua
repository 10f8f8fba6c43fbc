-- One connection to a Redis server: commands go out as Redis wants them, replies are taken apart by hiredis
-- (core/client/redis_reader.c). Used by redis.lua and redis_sub.lua.
local core = require "neap.core"
local text = require "neap.text"
local tls = require "neap.net.tls"

if not core.redis_reader then
  error("neap.redis: this neap was built without hiredis: install libhiredis-dev (Debian's name) and build it again")
end

local now = core.task.now
local RECEIVE = 65536

---What the server answered instead of a reply.
---@class neap.RedisError
---@field code string its first word: "ERR", "WRONGTYPE", "NOAUTH", "EXECABORT", ...
---@field message string the rest
local RedisError = core.redis_error
function RedisError:__tostring() return self.code .. " " .. self.message end

local function word(value)
  local kind = math.type(value)
  if kind == "integer" then return ("%d"):format(value) end
  if kind == "float" then return ("%.17g"):format(value) end
  return value
end

---A command as Redis wants it; raises at `level` of the caller for what is no text and no number.
---@param level integer
---@param ... string|number
---@return string
local function pack(level, ...)
  local count = select("#", ...)
  local parts = {"*" .. count .. "\r\n"}
  for i = 1, count do
    local value = word((select(i, ...)))
    if type(value) ~= "string" then
      error(("redis %s: argument %d is %s; commands take texts and numbers (json.encode makes a text of a table)")
        :format(tostring((...)), i - 1, text.quote(value)), level + 1)
    end
    parts[i + 1] = "$" .. #value .. "\r\n" .. value .. "\r\n"
  end
  return table.concat(parts)
end

local redis_conn = {pack = pack}

-- socket, reader
-- owed: replies that are still to come
-- is_lost: nothing more can be said on it
-- is_marked: it has a state that the next user must not find: another database, ...
-- is_watching: it is in MULTI, or has a WATCH
local Conn = {}
Conn.__index = Conn

local function left(deadline)
  return math.max(deadline - now(), 0)
end

local function lose(conn, why)
  conn.is_lost = true
  return nil, why
end

-- What comes next: true and a value, or true, nil and the server's error; nil and why nothing comes.
function Conn:next(deadline)
  while true do
    local is_whole, value, err = self.reader:next()
    if is_whole ~= false then return is_whole, value, err end
    local data, why = self.socket:recv(RECEIVE, left(deadline))
    if not data then return nil, why end
    self.reader:feed(data)
  end
end

-- The next reply: its value, or nil and the error.
function Conn:reply(deadline)
  local is_whole, value, err = self:next(deadline)
  if not is_whole then return lose(self, value) end
  self.owed = self.owed - 1
  return value, err
end

-- Sends commands, `count` of them, whose replies are to be taken by `reply`.
function Conn:send(commands, count, deadline)
  if self.is_lost then return nil, "closed" end
  self.owed = self.owed + count
  local ok, why = self.socket:send(commands, left(deadline))
  if not ok then return lose(self, why) end
  return true
end

function Conn:is_usable()
  local is_ours = self.is_marked or self.is_watching or self.owed > 0
  return not is_ours and not self.is_lost and self.socket:is_quiet()
end

-- At once: what may still come of a reply is not waited for.
function Conn:close()
  self.is_lost = true
  self.socket:reset()
end

-- Closed unless it has become usable.
local Opening = {}

function Opening:__close()
  if not self.is_open then self.conn:close() end
end

-- The reply "OK" to everything that makes the connection ours.
local function introduce(conn, opts, deadline)
  local first = {}
  if opts.password then
    first[1] = opts.user and pack(1, "AUTH", opts.user, opts.password) or pack(1, "AUTH", opts.password)
  end
  if opts.name then first[#first + 1] = pack(1, "CLIENT", "SETNAME", opts.name) end
  if opts.db ~= 0 then first[#first + 1] = pack(1, "SELECT", opts.db) end
  if #first == 0 then return true end
  local ok, err = conn:send(table.concat(first), #first, deadline)
  for _ = 1, ok and #first or 0 do
    ok, err = conn:reply(deadline)
    if not ok then return nil, err end
  end
  return ok, err
end

local function connect(opts)
  if opts.tls then return tls.connect(opts.host, opts.port, opts.connect_timeout, opts.tls) end
  return core.connect(opts.host, opts.port, opts.connect_timeout)
end

---A connection, or nil and why there is none.
---@async
---@param opts table of redis.connect
---@return table? conn
---@return any err
function redis_conn.open(opts)
  local deadline = now() + opts.connect_timeout
  local socket, err = connect(opts)
  if not socket then return nil, err end
  local conn = setmetatable({
    socket = socket, reader = core.redis_reader(opts.max_reply), owed = 0, is_lost = false, is_marked = false,
    is_watching = false,
  }, Conn)
  local opening <close> = setmetatable({conn = conn, is_open = false}, Opening)
  local ok, why = introduce(conn, opts, deadline)
  if not ok then return nil, why end
  opening.is_open = true
  return conn
end

return redis_conn
