-- Interval polling: the handler looks once a second whether something has changed, and answers when it has. web2py's
-- `while True: ... sleep(1)`, but thousands may wait at once, and a client that leaves ends its loop.
--
--   neap run examples/polling.lua
--   curl localhost:8080/price                             # -> "version":0
--   (sleep 1; curl -s localhost:8080/price -d 12.50) &    # somebody changes it, while ...
--   curl localhost:8080/price?after=0                     # -> "price":12.5 ... "version":1
local neap = require "neap"
local task = require "neap.task"

local app = neap.app()
local prices = neap.store("prices") -- shared by all workers; in your program: the database that cannot call back

local INTERVAL, PATIENCE = 1, 25 -- seconds

local function current()
  return prices:get("bread") or {price = 10.0, version = 0}
end

app:get("/price", function(req)
  local after = math.tointeger(tonumber(req.query.after)) or -1
  local deadline = task.now() + PATIENCE
  while true do
    local now = current()
    if now.version > after then return now end
    if task.now() > deadline then return 204 end -- nothing new: ask again
    task.sleep(INTERVAL)
  end
end)

app:post("/price", function(req)
  local price = tonumber((req:body("1KB")))
  if not price then neap.abort(422, "send a number") end
  local new = {price = price, version = current().version + 1}
  prices:set("bread", new)
  return new
end)

return app
