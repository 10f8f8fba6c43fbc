-- `neap ps`, `neap topics`, `neap jobs`, `neap errors` and `neap reload`: asks a running server through its control
-- socket (core/top/control.c) and prints what it says. What is asked for is gathered by life/inquiry.lua, over there.
local columns = require "neap.cli.columns"
local core = require "neap.core"
local json = require "neap.json"
local net = require "neap.net"

local control = {}

local USAGE = 64
local ASK_SECONDS = 5
local RELOAD_SECONDS = 120 -- the server's own limit, timeouts.startup, is what counts

-- ---- finding and asking a server ----

local function socket_of(pid)
  return ("%s/%d.sock"):format(core.config.state, pid)
end

local function is_alive(pid)
  return core.list_dir(("/proc/%d"):format(pid)) ~= nil
end

-- What the server says to a line; nil and the reason.
local function ask(pid, line, seconds)
  local socket <close>, err = net.connect("unix:" .. socket_of(pid), nil, {timeout = ASK_SECONDS})
  if not socket then return nil, err end
  socket:send(line .. "\n")
  local pieces = {}
  repeat
    local piece, why = socket:recv(65536, seconds or ASK_SECONDS)
    pieces[#pieces + 1] = piece
    if why == "timeout" then return nil, "it does not answer" end
  until not piece
  local answer = json.decode(table.concat(pieces))
  if not answer then return nil, "it ended while it answered" end
  return answer
end

-- All servers of ours that run, by pid. The socket of one that was killed is removed.
local function running()
  local list = {}
  for _, name in ipairs(core.list_dir(core.config.state) or {}) do
    local pid = math.tointeger(tonumber(name:match("^(%d+)%.sock$")))
    local server = pid and ask(pid, "hello")
    if server then
      list[#list + 1] = server
    elseif pid and not is_alive(pid) then
      os.remove(socket_of(pid))
    end
  end
  return list
end

local function none_of(servers)
  local lines = {"neap: several servers run here; say which with --pid:\n"}
  for _, server in ipairs(servers) do
    lines[#lines + 1] = ("  --pid %d   %s   %s\n"):format(server.pid, server.listening, server.cwd)
  end
  return table.concat(lines)
end

-- The pid of the server that is meant: the one that was named, the only one, or the only one of this folder.
local function choose(pid)
  if pid then return pid end
  local servers, here = running(), {}
  if #servers == 0 then
    return nil, ("neap: no server of yours runs here (looked in %s)\n"):format(core.config.state)
  end
  for _, server in ipairs(servers) do
    if server.cwd == os.getenv("PWD") then here[#here + 1] = server end
  end
  if #servers == 1 then return servers[1].pid end
  if #here == 1 then return here[1].pid end
  return nil, none_of(servers)
end

-- The answers of all workers in one list.
local function gather(answer, field)
  local all = {}
  for _, one in ipairs(answer.answers) do
    for _, entry in ipairs(one[field] or {}) do
      entry.worker, entry.generation = one.worker, one.generation
      all[#all + 1] = entry
    end
  end
  return all
end

-- ---- showing ----

local function age(seconds)
  if not seconds then return "-" end
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  if seconds < 3600 then return ("%d min"):format(seconds // 60) end
  return ("%.1f h"):format(seconds / 3600)
end

local function one_line(text)
  return (tostring(text or "-"):match("^[^\n]*"))
end

-- A row for each entry, below a head.
local function show(entries, head, row)
  local rows = {head}
  for _, entry in ipairs(entries) do rows[#rows + 1] = row(entry) end
  columns.print(rows)
  return 0
end

local function upper(words)
  local list = {}
  for i, word in ipairs(words) do list[i] = word:upper() end
  return list
end

local shows = {}

-- While an old generation has not ended: what it still has to do.
local function show_generations(answers)
  local newest, is_alone = {}, true
  for _, one in ipairs(answers) do
    local before = newest[one.worker]
    if before then is_alone = false end
    newest[one.worker] = math.max(before or 0, one.generation)
  end
  if is_alone then return end
  show(answers, {"WORKER", "GENERATION", "STATE", "REQUESTS", "WEBSOCKETS", "TASKS"}, function(one)
    return {tostring(one.worker), tostring(one.generation),
      one.generation == newest[one.worker] and "serving" or "draining", tostring(one.requests),
      tostring(one.websockets), tostring(#one.tasks)}
  end)
  print()
end

function shows.ps(answer)
  table.sort(answer.answers, function(a, b)
    if a.worker ~= b.worker then return a.worker < b.worker end
    return a.generation < b.generation
  end)
  show_generations(answer.answers)
  show(gather(answer, "tasks"), {"WORKER", "GENERATION", "STATUS", "AGE", "NAME", "OWNER", "WHERE"},
    function(task)
      return {tostring(task.worker), tostring(task.generation), task.status, age(task.age), task.name,
        task.owner or "-", task.where}
    end)
  if answer.notes then io.stdout:write("\n", answer.notes) end
  return 0
end

local function megabytes(bytes)
  return ("%.1f MB"):format(bytes / 2 ^ 20)
end

-- How near all topics together are to their limits.
local function show_use(use)
  print(("%d of %d topics (limits.topic_count), %s of %s (limits.topics)"):format(use.topics, use.topics_most,
    megabytes(use.bytes), megabytes(use.bytes_most)))
end

function shows.topics(answer)
  for _, one in ipairs(answer.answers) do
    if one.use then show_use(one.use) end
  end
  local fields = {"websockets", "sse", "polls", "readers", "head", "messages", "bytes", "published", "dropped"}
  return show(gather(answer, "topics"), {"TOPIC", table.unpack(upper(fields))}, function(topic)
    local row = {topic.name}
    for _, field in ipairs(fields) do row[#row + 1] = tostring(topic[field]) end
    return row
  end)
end

-- "in 3.2 s", "-".
local function time_until(moment)
  return moment and "in " .. age(math.max(0, moment - os.time())) or "-"
end

local function show_jobs(jobs)
  return show(jobs, {"WORKER", "NAME", "SCHEDULE", "STATUS", "RUNS", "FAILED", "SKIPPED", "TOOK", "NEXT", "LAST ERROR"},
    function(job)
      return {tostring(job.worker), job.name, job.schedule, job.status, tostring(job.runs), tostring(job.failures),
        tostring(job.skipped), age(job.last_duration), time_until(job.next_run), one_line(job.last_error)}
    end)
end

function shows.jobs(answer, verb, name)
  if not verb then return show_jobs(gather(answer, "jobs")) end
  local done = gather(answer, "done")
  if not done[1] then return 1, ("neap: there is no job %s; `neap jobs` lists them\n"):format(name) end
  for _, one in ipairs(done) do
    if not one.ok then return 1, ("neap: cannot %s %s: %s\n"):format(verb, name, one.err) end
  end
  return 0
end

local function show_error(entry)
  print(("%s  %s %s  worker %d\n%s\n%s"):format(entry.time, entry.method, entry.path, entry.worker, entry.message,
    entry.traceback or ""))
  return 0
end

function shows.errors(answer, id)
  local entries = gather(answer, "errors")
  if id and not entries[1] then return 1, ("neap: no error %s is remembered; the log has all\n"):format(id) end
  if id then return show_error(entries[1]) end
  table.sort(entries, function(a, b) return a.time < b.time end)
  return show(entries, {"TIME", "ID", "WORKER", "REQUEST", "ERROR"}, function(entry)
    return {entry.time, entry.id, tostring(entry.worker), entry.method .. " " .. entry.path, one_line(entry.message)}
  end)
end

function shows.reload(answer)
  if answer.notes then io.stdout:write(answer.notes) end
  print("reloaded")
  return 0
end

-- ---- the commands ----

-- The arguments without --pid, and its value; nil and a message when they are wrong.
local function parse(...)
  local args, rest = {...}, {}
  local pid
  local i = 1
  while args[i] do
    local value = args[i]:match("^%-%-pid=(.*)$")
    if args[i] == "--pid" then
      i = i + 1
      value = args[i] or ""
    end
    if value then
      pid = math.tointeger(tonumber(value))
      if not pid then return nil, ("neap: --pid %s: expected the number of a process\n"):format(value) end
    elseif args[i]:sub(1, 1) == "-" then
      return nil, ("neap: unknown option %s; there is --pid\n"):format(args[i])
    else
      rest[#rest + 1] = args[i]
    end
    i = i + 1
  end
  return rest, pid
end

local VERBS = {run = true, pause = true, resume = true}

-- What is wrong with the arguments of a command.
local function mistake(command, args)
  if command ~= "jobs" or #args == 0 or #args == 2 and VERBS[args[1]] then return nil end
  return "neap: usage: neap jobs, or neap jobs run|pause|resume NAME\n"
end

---Asks the server that runs here and prints the answer.
---@param command "ps"|"topics"|"jobs"|"errors"|"reload"
---@param ... string the arguments of the command line
---@return integer exit_code
---@return string? message for stderr
---@async
function control.run(command, ...)
  local args, pid = parse(...)
  if not args then return USAGE, pid end
  local wrong = mistake(command, args)
  if wrong then return USAGE, wrong end
  local server, message = choose(pid)
  if not server then return 1, message end
  local line = table.concat({command, table.unpack(args)}, " ")
  local answer, err = ask(server, line, command == "reload" and RELOAD_SECONDS or nil)
  if not answer then return 1, ("neap: cannot ask the server with pid %d: %s\n"):format(server, err) end
  if answer.error then
    local reason = ("neap: %s\n"):format(answer.error:gsub("^neap: ", ""):gsub("%s+$", ""))
    if command == "ps" and answer.answers[1] then
      shows.ps(answer) -- what the others do, and the notes
      return 1, reason
    end
    return 1, reason .. (answer.notes or "")
  end
  return shows[command](answer, table.unpack(args))
end

return control
