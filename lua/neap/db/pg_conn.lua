-- One connection to a PostgreSQL server, with what has to be done between its users. Used by the other pg_*.lua.
local now = require("neap.core").task.now

local pg_conn = {}

local RECOVERY = 5 -- seconds to bring one back to order

---@param deadline number
---@return number seconds until then
function pg_conn.left(deadline)
  return math.max(deadline - now(), 0)
end

---Takes a statement to its end, its rows ignored.
---@async
---@param conn userdata
---@param deadline number
---@return table? done what the server says of it
---@return any err
function pg_conn.finish(conn, deadline)
  while true do
    local rows, err = conn:fetch(pg_conn.left(deadline))
    if rows == false then return err or {affected = 0} end
    if not rows then return nil, err end
  end
end

---Runs a statement without parameters to its end.
---@async
---@param conn userdata
---@param sql string
---@param deadline number
---@return table? done
---@return any err
function pg_conn.run(conn, sql, deadline)
  local ok, err = conn:send(sql)
  if not ok then return nil, err end
  return pg_conn.finish(conn, deadline)
end

---@param conn userdata
---@return boolean # whether somebody else may have it
function pg_conn.is_usable(conn)
  return conn:status() == "idle"
end

-- Stops what runs; whether it has ended.
local function stop(conn, deadline)
  if not conn:cancel(pg_conn.left(deadline)) then return false end
  pg_conn.finish(conn, deadline)
  return conn:status() ~= "busy"
end

---For a transaction, one of whose statements was left in the middle: stops that.
---@async
---@param conn userdata
function pg_conn.stop(conn)
  if conn:status() == "busy" and not stop(conn, now() + RECOVERY) then conn:close() end
end

---After a user left in the middle: stops what runs, rolls back what was begun. The empty statement takes the request to
---cancel that came too late, so that the next user's statement does not.
---@async
---@param conn userdata
---@return boolean # whether it is usable again
function pg_conn.recover(conn)
  local deadline = now() + RECOVERY
  if conn:status() == "busy" then
    if not stop(conn, deadline) then return false end
    pg_conn.run(conn, "", deadline)
  end
  if conn:status() == "inside" then pg_conn.run(conn, "ROLLBACK", deadline) end
  return pg_conn.is_usable(conn)
end

return pg_conn
