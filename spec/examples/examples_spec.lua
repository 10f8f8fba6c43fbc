-- Every example is started and tried exactly as its first comment says (examples/README.md has the convention).
local command = require "spec.support.command"
local core = require "neap.core"
local server = require "spec.support.server"
local task = require "neap.task"

local MOST_LINES = 60
local MOST_COLUMNS = 120
local PATIENCE = 60
local ROOT = assert(os.getenv("PWD"), "PWD is not set")

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

-- The lines of the first comment that are indented: commands.
local function commands_of(text)
  local commands = {}
  for line in text:gmatch("([^\n]*)\n") do
    if line:sub(1, 2) ~= "--" then break end
    commands[#commands + 1] = line:match("^%-%-   (%S.*)$")
  end
  return commands
end

-- {run = {args}, tries = {{command=, expected={pieces}}}}
local function parse(text)
  local found = {tries = {}}
  for _, line in ipairs(commands_of(text)) do
    local words, expected = line:match("^(.-)%s*# %->%s*(.-)%s*$")
    words = words or line:match("^(.-)%s*#") or line
    if words:find("^neap run") then
      found.run = words:match("^neap run%s*(.*)$")
    else
      local try = {command = words, expected = {}}
      for piece in ((expected or "") .. " ... "):gmatch("(.-) %.%.%. ") do
        if piece ~= "" then try.expected[#try.expected + 1] = piece end
      end
      found.tries[#found.tries + 1] = try
    end
  end
  return found
end

local function start(run)
  local args, target, workers = {}, nil, nil
  for word in run:gmatch("%S+") do
    if word:find("%.lua$") or word == "apps" then target = ROOT .. "/" .. word else args[#args + 1] = word end
  end
  for i, word in ipairs(args) do
    if word == "--workers" then
      workers = tonumber(args[i + 1])
      table.remove(args, i)
      table.remove(args, i)
      break
    end
  end
  return server.start {target = target or ROOT .. "/apps", workers = workers, args = args}
end

local function missing(output, expected)
  for _, piece in ipairs(expected) do
    if not output:find(piece, 1, true) then return piece end
  end
end

-- Runs one line. A line that only asks is asked again until the answer is right: what runs behind it with "&" needs
-- a moment.
local function try(s, line, expected)
  local text = ("cd '%s' && %s"):format(ROOT, line:gsub("localhost:8080", "127.0.0.1:" .. s.port))
  if line:find("&$") then return command.start(text:gsub("&$", "")) end
  local only_asks = not line:find("%s%-[dFTX]")
  local deadline = task.now() + (only_asks and PATIENCE or 0)
  local result, lacking
  repeat
    result = command.run(text, PATIENCE)
    lacking = missing(result.out, expected)
  until not lacking or task.now() > deadline
  assert(result.code == 0, ("%s\nexited with %d: %s"):format(line, result.code, result.err))
  assert(not lacking, ("%s\nthe output lacks %q:\n%s"):format(line, lacking, result.out))
end

local function try_all(path)
  if not command.exists "curl" then return pending("curl is missing") end
  local example = parse(read(path))
  for _, one in ipairs(example.tries) do
    local tool = one.command:match("^([%w-]+)")
    if tool and not command.exists(tool) then return pending(tool .. " is missing") end
  end
  local s = start(example.run)
  local behind = {}
  local _ <close> = setmetatable({}, {__close = function()
    for _, one in ipairs(behind) do one:__close() end
  end})
  for _, one in ipairs(example.tries) do behind[#behind + 1] = try(s, one.command, one.expected) end
end

describe("examples/", function()
  after_each(server.stop_all)

  for _, name in ipairs(assert(core.list_dir("examples"))) do
    local path = "examples/" .. name
    if name:find("%.lua$") then
      it(name .. " is short, and says how to try it", function()
        local text = read(path)
        local _, lines = text:gsub("\n", "")
        assert.is_true(lines <= MOST_LINES, lines .. " lines")
        for line in text:gmatch("[^\n]+") do assert.is_true(utf8.len(line) <= MOST_COLUMNS, line) end
        local example = parse(text)
        assert.truthy(example.run and example.run:find(path, 1, true), "it does not say: neap run " .. path)
        local count = 0
        for _, one in ipairs(example.tries) do
          if one.command:find("curl ", 1, true) and #one.expected > 0 then count = count + 1 end
        end
        assert.is_true(count > 0, "no curl line says what comes: # -> ...")
      end)

      it(name .. " does what it says", function() try_all(path) end)
    end
  end

  it("README.md names every one of them", function()
    local text = read("examples/README.md")
    for _, name in ipairs(core.list_dir("examples")) do
      if name:find("%.lua$") then assert.truthy(text:find("`" .. name .. "`", 1, true), name) end
    end
  end)
end)
