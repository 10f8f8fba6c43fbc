-- An application with topics, and the questions that specs ask it.
--
--   local s = server.start {app = live.APP}         -- or live.app [[ app:get(...) ]]
--   local admin = live.open(s)
--   local cursor, subscribers = admin:publish("news", "hello", {key = "k"})
--   admin:stats("news").polls   admin:cursor()   admin:close_topic("news")
local core = require "neap.core"
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"

local live = {}

live.APP = [[
  local neap = require "neap"
  local app = neap.app()

  local function names(req)
    local list = {}
    for name in req.params.topics:gmatch("[^,]+") do list[#list + 1] = name end
    return #list == 1 and list[1] or list
  end
  local function options(req)
    return {after = req.query.from, timeout = tonumber(req.query.timeout), limit = math.tointeger(tonumber(req.query.limit))}
  end

  app:get("/poll/:topics", function(req) return neap.res.poll(names(req), options(req)) end)
  app:get("/events/:topics", function(req) return neap.res.events(names(req), {retry = req.query.retry}) end)
  app:get("/serve/:topics", function(req)
    local list = names(req)
    if type(list) == "table" then return neap.topics(list):serve(req) end
    return neap.topic(list):serve(req)
  end)
  app:ws("/raw/:topic", function(ws, req)
    ws:subscribe(req.params.topic, {slow = req.query.slow, after = req.query.after})
    ws:send("ready")
    for message in ws:messages() do ws:send("got " .. message) end
  end)

  app:post("/topic/:name", function(req)
    local query = req.query
    neap.topic(req.params.name, {keep = math.tointeger(tonumber(query.keep)), ttl = query.ttl, slow = query.slow,
      binary = query.binary == "1" or nil, bytes = query.bytes})
    return 204
  end)
  app:post("/publish/:name", function(req)
    local query = req.query
    local value = assert(req:body())
    if query.json then value = neap.json.decode(value) end
    local ok, cursor, count = pcall(function()
      return neap.topic(req.params.name):publish(value, {key = query.key, event = query.event, dedupe = query.dedupe})
    end)
    if not ok then return 422, {error = tostring(cursor)} end
    if not cursor then return 409, {error = count} end
    return {cursor = cursor, subscribers = count, worker = neap.worker}
  end)
  app:post("/many/:name", function(req)
    local topic, cursor = neap.topic(req.params.name), nil
    for i = tonumber(req.query.from), tonumber(req.query.to) do
      cursor = topic:publish(req.query.size and ("%d "):format(i) .. ("x"):rep(tonumber(req.query.size)) or tostring(i))
    end
    return {cursor = cursor}
  end)
  app:post("/close/:name", function(req) neap.topic(req.params.name):close() return 204 end)
  app:get("/stats/:name", function(req) return neap.topic(req.params.name):stats() end)
  app:get("/cursor", function() return {cursor = neap.topic("any"):cursor(), worker = neap.worker} end)
  app:get("/end", function() return "end" end)
  return app]]

---The application with more routes.
---@param more string Lua
---@return string
function live.app(more)
  return (live.APP:gsub("return app$", function() return more .. "\n  return app" end))
end

---@class spec.Admin
---@field conn spec.Connection
---@field worker integer? which worker has the connection
local Admin = {}
Admin.__index = Admin

---@param s spec.Server
---@return spec.Admin
---@async
function live.open(s)
  return setmetatable({server = s, conn = http.open(s)}, Admin)
end

---One for each worker.
---@param s spec.Server
---@param count integer of workers
---@return spec.Admin[]
---@async
function live.open_each(s, count)
  local each, found = {}, 0
  for _ = 1, 400 do
    local admin = live.open(s)
    admin.worker = json.decode(admin:ask("GET", "/cursor").body).worker
    if each[admin.worker] then
      admin:close()
    else
      each[admin.worker], found = admin, found + 1
      if found == count then return each end
    end
  end
  error("not every worker takes connections")
end

---A request without waiting for its answer.
---@async
function Admin:send(method, path, body, lines)
  self.conn:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s"):format(method, path, lines or "",
    body and ("Content-Length: %d\r\n"):format(#body) or "", body or ""))
end

---@return spec.Reply
---@async
function Admin:ask(method, path, body, lines)
  self:send(method, path, body, lines)
  return assert(self.conn:answer(method), "no answer to " .. path)
end

local function query(fields)
  local parts = {}
  for name, value in pairs(fields or {}) do parts[#parts + 1] = ("%s=%s"):format(name, core.uri_encode(tostring(value))) end
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

---@return string? cursor nil: refused
---@return integer|string subscribers or why
---@async
function Admin:publish(topic, text, fields)
  local answer = self:ask("POST", ("/publish/%s%s"):format(topic, query(fields)), text)
  local result = json.decode(answer.body)
  if answer.status ~= 200 then return nil, result.error end
  return result.cursor, result.subscribers
end

---Publishes the numbers from `from` to `to`, padded to `size` bytes.
---@async
function Admin:publish_many(topic, from, to, size)
  local answer = self:ask("POST", ("/many/%s%s"):format(topic, query {from = from, to = to, size = size}), "")
  assert(answer.status == 200, answer.body)
  return json.decode(answer.body).cursor
end

---@async
function Admin:set(topic, fields)
  local answer = self:ask("POST", ("/topic/%s%s"):format(topic, query(fields)), "")
  assert(answer.status == 204, answer.body)
end

---@async
function Admin:close_topic(topic)
  assert(self:ask("POST", "/close/" .. topic, "").status == 204)
end

---@async
function Admin:stats(topic)
  return json.decode(self:ask("GET", "/stats/" .. topic).body)
end

---Waits until so many clients of a kind ("polls", "sse", "websockets", "readers") read the topic.
---@async
function Admin:wait_for(topic, kind, count)
  local stats
  local is_so = server.poll(10, function()
    stats = self:stats(topic)
    return stats[kind] == count
  end)
  assert(is_so, ("%d %s, not %d"):format(stats[kind], kind, count))
end

---@async
function Admin:cursor()
  return json.decode(self:ask("GET", "/cursor").body).cursor
end

function Admin:close()
  self.conn:close()
end

return live
