-- Names that modules had when all lay in one folder. They are inside now: whoever requires one is told what is for
-- applications. A row names what takes its place: something of `neap`, of an app, a request or a response, or a command of
-- neap. Of what has no public counterpart it names the file, to be copied.
local moves = {}

moves.PLACES = {
  abort = "neap.abort", accepts = "req:accepts", action = "app:controllers",
  annotations = "lua/neap/cli/annotations.lua", app = "neap.app", boot = "`neap run`", bounded = "neap.task.timeout",
  calendar = "lua/neap/job/calendar.lua", child = "neap.task.group", columns = "lua/neap/cli/columns.lua",
  compile = "app:compile", control = "`neap ps`", controllers = "app:controllers", cron = "app:cron",
  dev = "`neap dev`", devpage = "app:on_error", due = "app:every", errorpage = "app:on_error",
  errors = "app:on_error", event = "neap.task.event", folder = "lua/neap/app/folder.lua", forwarded = "req.ip",
  globals = "`neap dev`", group = "neap.task.group", header = "response:header", hooks = "app:on_startup",
  http_headers = "neap.http", http_response = "neap.http", inspect = "`neap ps`", ipaddr = "lua/neap/net/ipaddr.lua",
  job = "app:service", lifecycle = "app:lifespan", loader = "neap", mime = "response:type",
  multipart = "req:multipart", mutex = "neap.task.mutex", native = "`neap types`", new = "`neap new`",
  options = "lua/neap/base/options.lua", own_log = "neap.log", pages = "app:controllers",
  password = "neap.crypto.hash_password", pattern = "app:url", pg_conn = "neap.pg", pg_params = "neap.pg",
  pg_runner = "neap.pg", pg_transaction = "neap.pg", pool = "lua/neap/db/pool.lua", portable = "neap.task.thread",
  queue = "neap.task.queue", redis_conn = "neap.redis", redis_sub = "neap.redis",
  reference = "lua/neap/cli/reference.lua", remember = "lua/neap/base/memo.lua", request = "neap.app",
  response = "neap.res", route = "app:route", routes = "app:list", schedule = "app:every", script = "`neap exec`",
  semaphore = "neap.task.semaphore", single = "neap.task.single", sqlite_call = "neap.sqlite",
  sqlite_transaction = "neap.sqlite", sse = "neap.res.sse", static = "app:static", status = "lua/neap/app/status.lua",
  subscription = "neap.topic", template = "app:view", test_events = "neap.test", test_socket = "neap.test",
  testing = "`neap test`", testing_busted = "`neap test`", testing_crew = "`neap test`",
  testing_files = "`neap test`", testing_options = "`neap test`", testing_tally = "`neap test`", tls = "neap.net",
  together = "neap.task.all", trace = "lua/neap/base/trace.lua", transport = "neap.topic", types = "`neap types`",
  units = "lua/neap/base/units.lua", view = "app:view", visits = "neap.topic", watched = "`neap dev`",
  websocket = "app:ws", zone = "app:cron",
}

---What is said to who requires a module by such a name.
---@param name string "neap.group"
---@return string? # nil: it never was one
function moves.message(name)
  local place = moves.PLACES[name:match("^neap%.([%w_]+)$")]
  if not place then return nil end
  local advice = place:find("/", 1, true) and "nothing public does the same, so copy" or "use"
  return ("%s is inside neap now: %s %s"):format(name, advice, place)
end

return moves
