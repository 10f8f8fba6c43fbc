-- What is running, the other applications, and the source of the examples.
local apps = require "neap.apps"

local server = neap.store("welcome") -- it outlives reloads, and so does what it knows
server:add("started", os.time())

local EXAMPLES = {
  {"hello", "the smallest application"},
  {"json_api", "a JSON API with validation"},
  {"long_poll", "news by long-polls, with a page"},
  {"sse", "news by server-sent events, with a page"},
  {"chat", "rooms by WebSocket"},
  {"notify", "a loop in the background that tells every client"},
  {"upload", "forms with files"},
  {"todo", "a list in a SQLite file"},
  {"login", "accounts and sessions"},
}

-- The text of an example; nil when it is not there.
local function source_of(name)
  local file <close> = io.open(("%s/%s.lua"):format(app.state.examples, name), "r")
  return file and file:read("a")
end

local function examples()
  local list = {}
  for _, example in ipairs(EXAMPLES) do
    if source_of(example[1]) then list[#list + 1] = {name = example[1], shows = example[2]} end
  end
  return neap.json.array(list)
end

local function others()
  local list = {}
  for _, name in ipairs(apps.served) do
    if name ~= "welcome" then list[#list + 1] = name end
  end
  return neap.json.array(list)
end

-- "3 minutes", of some seconds.
local function in_words(seconds)
  for _, unit in ipairs {{"day", 86400}, {"hour", 3600}, {"minute", 60}} do
    local count = seconds // unit[2]
    if count > 0 then return ("%d %s%s"):format(count, unit[1], count == 1 and "" or "s") end
  end
  return ("%d second%s"):format(seconds, seconds == 1 and "" or "s")
end

function index()
  return {
    title = "neap is running", version = neap.version, lua = _VERSION, mode = neap.mode, generation = neap.generation,
    worker = neap.worker, workers = neap.workers, uptime = in_words(os.time() - server:get("started")),
    apps = others(), examples = examples(),
  }
end

function example(_, name)
  local source = name:find("^[%w_]+$") and source_of(name) or neap.abort(404, "there is no such example")
  return {title = "examples/" .. name .. ".lua", source = source}
end
