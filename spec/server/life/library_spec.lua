-- Our own Lua files, which are compiled once for all states of a server.
local server = require "spec.support.server"

-- The library with one more module, whose text is `text`. Its folder, and a function that writes that module again.
local function copy(text)
  local pipe = assert(io.popen("d=$(mktemp -d) && cp -r lua/neap $d && echo $d"))
  local dir = pipe:read("l")
  pipe:close()
  local function write(new)
    local file <close> = assert(io.open(dir .. "/neap/probe.lua", "w"))
    assert(file:write(new))
  end
  write(text)
  return dir, write
end

local APP = [[
  local neap = require "neap"
  local probe = require "neap.probe"
  local app = neap.app()
  app:get("/", function() return neap.generation .. " " .. probe.value end)
  app:get("/where", function() return select(2, pcall(probe.fail)) end)
  return app]]

local PROBE = [[
local secret = "%s"
return {
  value = secret,
  fail = function() error("from " .. secret) end,
}]]

describe("a library file", function()
  local dir, write

  before_each(function() dir, write = copy(PROBE:format("one")) end)
  after_each(function()
    server.stop_all()
    os.execute("rm -rf " .. dir)
  end)

  it("is the same in every generation, with its lines", function()
    local s = server.start {app = APP, workers = 1, env = {NEAP_LUA_DIR = dir}}
    for generation = 1, 3 do
      assert.equal(generation .. " one", select(2, s:get("/")))
      assert.equal(dir .. "/neap/probe.lua:4: from one", select(2, s:get("/where")))
      assert.is_true((s:reload()))
    end
  end)

  it("is compiled again when it has changed", function()
    local s = server.start {app = APP, workers = 2, env = {NEAP_LUA_DIR = dir}}
    write(PROBE:format("another"))
    assert.is_true((s:reload()))
    assert.equal("2 another", select(2, s:get("/")))
    write("return {value = ")
    local ok, line = s:reload()
    assert.is_false(ok)
    assert.matches("neap/probe.lua:1: unexpected symbol near <eof>", line, 1, true)
    write(PROBE:format("a third"))
    assert.is_true((s:reload()))
    assert.equal("4 a third", select(2, s:get("/")))
  end)
end)
