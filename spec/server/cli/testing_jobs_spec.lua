-- `neap test` with several processes, and what it says at the end.
local server = require "spec.support.server"

-- What the specs of a folder have for their use: marks are files that all of them see.
local HEAD = [[
  local task = require "neap.task"
  local function mark(name) io.open(name, "w"):close() end
  local function is_marked(name) return io.open(name) ~= nil end
  local function wait_for(name) while not is_marked(name) do task.sleep(0.01) end end
]]

local function tested(specs, ...)
  local files = {}
  for name, text in pairs(specs) do files["spec/" .. name .. "_spec.lua"] = text:gsub("HEAD", (HEAD:gsub("\n", " "))) end
  return server.run({"test", ...}, {files = files})
end

local MEETS = [[HEAD it("%s", function() mark "%s" wait_for "%s" end)]]
local PASSES = [[it("passes", function() end)]]

describe("neap test --jobs", function()
  it("runs files side by side", function()
    local result = tested({a = MEETS:format("meets b", "a", "b"), b = MEETS:format("meets a", "b", "a")}, "--jobs=2")
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("\n2 passed, 0 failed, 0 skipped\n$", result.out)
    assert.matches("spec/a_spec.lua: 1 in", result.out)
    assert.matches("spec/b_spec.lua: 1 in", result.out)
  end)

  it("shows the failures of each file in one piece, with what it printed", function()
    local fails = [[it("%s", function() print("said by %s") task.sleep(0.01) error("no %s") end) task = require "neap.task"]]
    local result = tested({a = fails:gsub("%%s", "A"), b = fails:gsub("%%s", "B"), c = PASSES}, "--jobs=3")
    assert.equal(1, result.code)
    for _, name in ipairs {"A", "B"} do
      assert.matches(("said by %s\n  ERROR %s\n[^\n]*no %s\n"):format(name, name, name), result.out)
    end
    assert.matches("\n1 passed, 2 failed, 0 skipped\n$", result.out)
  end)

  it("counts a process that crashes as one failure, says where, and goes on", function()
    local result = tested({
      a = [[it("passes first", function() end) it("crashes", function() os.execute "kill -KILL $PPID" end)]], b = PASSES,
    }, "--jobs=2")
    assert.equal(1, result.code)
    assert.matches("ERROR spec/a_spec.lua: ended by signal 9 in: crashes", result.out)
    assert.matches("\n2 passed, 1 failed, 0 skipped\n$", result.out)
  end)

  it("ends a process that gives no sign of life", function()
    local result = tested({
      a = [[it("stops", function() os.execute "kill -STOP $PPID" end)]], b = PASSES,
    }, "--jobs=2", "--timeout=1s")
    assert.equal(1, result.code)
    assert.matches("ERROR spec/a_spec.lua: no sign of life for 6 s in: stops", result.out)
    assert.matches("\n1 passed, 1 failed, 0 skipped\n$", result.out)
  end)

  it("ends a test that waits for ever, with its place", function()
    local result = tested({a = [[HEAD it("waits", function() wait_for "never" end)]], b = PASSES}, "--jobs=2", "--timeout=1s")
    assert.equal(1, result.code)
    assert.matches("ERROR waits: still waiting after 1 s\n.*spec/a_spec.lua:1", result.out)
    assert.matches("\n1 passed, 1 failed, 0 skipped\n$", result.out)
  end)

  it("takes a bad exit for a failure though all tests passed", function()
    local result = tested({
      a = [[it("passes", function() end) teardown(function() os.execute "kill -KILL $PPID" end)]], b = PASSES,
    }, "--jobs=2")
    assert.equal(1, result.code)
    assert.matches("ERROR spec/a_spec.lua: ended by signal 9\n", result.out)
    assert.matches("\n2 passed, 1 failed, 0 skipped\n$", result.out)
  end)

  it("runs files that want to be alone after the others, one by one", function()
    local alone = "-- alone: to see whether it is\nHEAD\n" .. [[it("is alone", function()
      assert.is_true(is_marked "done")
      assert.is_false(is_marked "here")
      mark "here"
      task.sleep(0.05)
      os.remove "here"
    end)]]
    local result = tested({a = alone, b = alone, c = [[HEAD it("ends", function() task.sleep(0.1) mark "done" end)]]}, "--jobs=3")
    assert.equal(0, result.code, result.out .. result.err)
  end)

  it("tells files and tests apart, whatever their names", function()
    local named = [[it("is called \xff", function() pending "why \xff" end)]]
    local result = tested({["a_b"] = named, ["a/b"] = named, ["a b"] = PASSES, ["a'b"] = PASSES}, "--jobs=4")
    assert.matches("a_b_spec.lua\n    is called ?: why ?\n", result.out, 1, true)
    assert.matches("\n2 passed, 0 failed, 2 skipped\n$", result.out)
  end)

  it("gives its options to all", function()
    local two = [[it("apple", function() end) it("pear #late", function() end)]]
    assert.matches("\n2 passed, 0 failed, 0 skipped\n$", tested({a = two, b = two}, "--jobs=2", "--filter", "pear").out)
    assert.matches("\n2 passed, 0 failed, 0 skipped\n$", tested({a = two, b = two}, "--jobs", "2", "--exclude-tags=late").out)
  end)

  it("takes all that it has started along when it is stopped", function()
    local waits = [[HEAD it("waits", function()
      os.execute "sleep 1000 & echo $! >sleeping; echo $PPID >%s.new; mv %s.new %s"
      wait_for "never"
    end)]]
    local s = server.spawn({"test", "--jobs=2"}, {files = {
      ["spec/a_spec.lua"] = waits:gsub("%%s", "a"):gsub("HEAD", HEAD), ["spec/b_spec.lua"] = waits:gsub("%%s", "b"):gsub("HEAD", HEAD),
    }})
    local pids = {}
    for _, name in ipairs {"a", "b", "sleeping"} do
      pids[#pids + 1] = assert(server.poll(30, function()
        local file <close> = io.open(s.dir .. "/" .. name)
        return file and file:read("n")
      end))
    end
    s:stop "TERM"
    for _, pid in ipairs(pids) do
      assert.is_true(server.poll(30, function() return not os.execute(("kill -0 %d 2>/dev/null"):format(pid)) end), s:output())
    end
    s:remove()
  end)
end)

describe("neap test says at the end", function()
  it("what was skipped, and why", function()
    local skips = [[it("one", function() pending "no browser" end) it("two", function() pending "no browser" end)
      describe("all of this", function() pending "no network" end)]]
    for _, jobs in ipairs {"--jobs=1", "--jobs=2"} do
      local out = tested({a = skips, b = PASSES}, jobs).out
      assert.matches("skipped:\n  spec/a_spec.lua\n    2 tests: no browser\n    all of this: no network\n", out)
      assert.matches("\n1 passed, 0 failed, 3 skipped\n$", out)
    end
  end)

  it("which files took longest", function()
    local specs = {}
    for i = 1, 7 do specs["n" .. i] = PASSES end
    specs.slow = [[it("sleeps", function() require("neap.task").sleep(0.5) end)]]
    local out = tested(specs, "--jobs=2").out
    assert.matches("slowest:\n +0%.%d s  spec/slow_spec.lua\n", out)
  end)

  it("that there is nothing to run", function()
    local result = server.run({"test", "spec/none_spec.lua"})
    assert.equal(1, result.code)
    assert.matches("spec/none_spec.lua: there is no such file or folder", result.err)
    assert.matches("0 passed, 1 failed, 0 skipped\n$", result.out)
  end)
end)

