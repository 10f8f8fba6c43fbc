-- Monitor: a list of tasks in SQLite. A service looks every half second for what has changed, and tells all open pages.
-- The database notes each change by itself, so what other programs do to the file shows as well:
--
--   sqlite3 apps/monitor/data/monitor.db "INSERT INTO task (text) VALUES ('water the plants')"
local neap = require "neap"
local app = ...

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/") or "."
local DIR = neap.config.app.monitor_data or HERE .. "/data" -- config.lua: app = {monitor_data = "/var/lib/monitor"}
local DAY = 24 * 60 * 60

-- `change` has one row for every task that there is or was: its newest version. A task that is gone is only there.
local SCHEMA = {[[
CREATE TABLE task (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL CHECK (trim(text) <> ''), done_at INTEGER);
CREATE TABLE change (version INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL UNIQUE,
  at INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER)));
CREATE TRIGGER task_added AFTER INSERT ON task BEGIN
  REPLACE INTO change (task_id) VALUES (new.id);
END;
CREATE TRIGGER task_changed AFTER UPDATE ON task BEGIN
  REPLACE INTO change (task_id) VALUES (new.id);
END;
CREATE TRIGGER task_removed AFTER DELETE ON task BEGIN
  REPLACE INTO change (task_id) VALUES (old.id);
END;
]]}

local SELECT = [[
SELECT change.version, change.task_id AS id, task.text, task.done_at
FROM change LEFT JOIN task ON task.id = change.task_id ]]

local db
local seen = neap.store("monitor") -- "version": the newest that was published, also by the generation before
app.state.topic = neap.topic("monitor", {keep = 200, ttl = "1h"})

app:on_startup(function()
  assert(os.execute(("mkdir -p '%s'"):format((DIR:gsub("'", "'\\''")))))
  db = assert(neap.sqlite.open(DIR .. "/monitor.db"))
  assert(db:migrate(SCHEMA))
  seen:add("version", assert(db:query("SELECT coalesce(max(version), 0) AS newest FROM change"))[1].newest)
  app.state.db = db
  return db
end)

function app.state.tasks()
  return assert(db:query(SELECT .. "WHERE task.id IS NOT NULL ORDER BY task.id"))
end

---@return table? task nil when there is none
function app.state.task(id)
  return assert(db:query(SELECT .. "WHERE task.id = ?", id))[1]
end

-- What a page is told of a task: its line of the list as it is now; without html it is gone.
function app.state.notice(task)
  local html = task.text and app:view("task/line", {task = task}).body
  return {id = task.id, version = task.version, html = html}
end

local function publish_changes()
  for _, task in ipairs(assert(db:query(SELECT .. "WHERE version > ? ORDER BY version", seen:get("version")))) do
    app.state.topic:publish(app.state.notice(task))
    seen:set("version", task.version)
  end
end

app:service("monitor.sync", function()
  while true do
    publish_changes()
    neap.task.sleep("500ms")
  end
end)

-- What was ticked off for a day goes; what is known of tasks that are gone goes a day later.
app:every("1m", function()
  local day_ago = os.time() - DAY
  local count = assert(db:exec("DELETE FROM task WHERE done_at < ?", day_ago))
  if count > 0 then neap.log.info("tasks purged", {count = count}) end
  assert(db:exec("DELETE FROM change WHERE at < ? AND task_id NOT IN (SELECT id FROM task)", day_ago))
end, {name = "monitor.purge"})

app:on_send(function(_, head)
  head:header("Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'")
end)
