-- ./neap, the launcher: what it installs and builds, and what it says when it cannot. It runs in small checkouts that build
-- in an instant, with stand-ins for apt and its like that write down what they are asked.
local command = require "spec.support.command"
local server = require "spec.support.server"

local NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups "

local CMAKE = [[
cmake_minimum_required(VERSION 3.22)
project(small NONE)
function(add_program name)
  add_custom_command(OUTPUT ${name} COMMAND cp ${PROJECT_SOURCE_DIR}/program ${name} DEPENDS program VERBATIM)
  add_custom_target(all_${name} ${ARGN} DEPENDS ${name})
endfunction()
add_program(neap ALL)
add_program(unit)
add_custom_target(c_tests DEPENDS unit)
]]

-- What stands in for a tool; `$calls` is where it writes down how it was called.
local TOOLS = {
  ["apt-get"] = [[echo "apt-get $*" >>"$calls"
    case $* in *update*) [ ! -e "$calls.offline" ] || { echo "E: nobody there" >&2; exit 100; } ;; esac]],
  ["apt-cache"] = [[case $2 in *unheard*) ;; *) echo "  Candidate: 1.0" ;; esac]],
  ["dpkg-query"] = "exit 1", -- nothing is installed
  dpkg = "exit 1",
  sudo = [[echo "sudo $*" >>"$calls"; echo "sudo: you are not in the sudoers file" >&2; exit 1]],
}

local dir

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

local function read(path)
  local file <close> = io.open(path)
  return file and file:read("a") or ""
end

-- A checkout below `dir`; with `is_equipped`, one that knows already that all packages are here.
local function checkout(name, is_equipped)
  local root = dir .. "/" .. name
  assert(os.execute(("mkdir -p '%s/build/deps' '%s/spec/support' && cp neap '%s/neap' && chmod -R a+rX '%s'"):format(
    root, root, root, dir)))
  write(root .. "/CMakeLists.txt", CMAKE)
  write(root .. "/program", "#!/bin/sh\necho \"ran $*\"\n")
  os.execute(("chmod 755 '%s/program'"):format(root))
  if is_equipped then os.execute(("cd '%s' && mkdir build/.have && touch build/.have/parsers && \
    touch $(sed -n '/^run_packages=/,/\"$/p' neap | tr -d '\"\\\\' | sed s/run_packages=//)"):format(root)
    :gsub("touch %$%(", "cd build/.have && touch $(cd ../.. && ")) end
  return root
end

-- Runs ./neap in a checkout. `options`: `as` stands before it, `tools` are the stand-ins that it sees, default all.
local function start(root, args, options)
  options = options or {}
  local tools = dir .. "/tools"
  local path = options.tools == false and "" or tools .. ":"
  return command.run(("cd '%s' && export calls='%s' PATH='%s'\"$PATH\" && %s./neap %s"):format(root, dir .. "/calls", path,
    options.as or "", args))
end

-- What apt was asked to install: a set of names.
local function asked_for()
  local names = {}
  for line in read(dir .. "/calls"):gmatch("[^\n]+") do
    local list = line:match("^apt%-get .- install (.*)$")
    for name in (list or ""):gmatch("%S+") do names[name] = true end
  end
  return names
end

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

local function is_root()
  local pipe <close> = assert(io.popen("id -u"))
  return pipe:read("n") == 0
end

describe("./neap", function()
  before_each(function()
    local pipe <close> = assert(io.popen("mktemp -d"))
    dir = pipe:read("l")
    os.execute(("mkdir '%s/tools' && chmod 755 '%s' && touch '%s/calls' && chmod 666 '%s/calls'"):format(dir, dir, dir, dir))
    for name, text in pairs(TOOLS) do write(dir .. "/tools/" .. name, "#!/bin/sh\n" .. text .. "\n") end
    os.execute(("chmod 755 '%s'/tools/*"):format(dir))
  end)
  after_each(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  it("builds, runs, and then has nothing to do, whatever its folder is called", function()
    local root = checkout("a folder (of mine), no. 1 $HOME!", true)
    local first = start(root, "run app.lua")
    assert.same({0, "ran run app.lua\n"}, {first.code, first.out}, first.err)
    local second = start(root, "run app.lua")
    assert.same({0, "ran run app.lua\n", ""}, {second.code, second.out, second.err})
  end)

  it("says which letters of its path cannot be", function()
    for _, name in ipairs {"Tom & Jerry", "what?", "a;b"} do
      local result = start(checkout(name, true), "run")
      assert.equal(1, result.code)
      assert.matches("^neap: the path /.*/build has a letter that CMake or ninja do not understand, one of & ' .*"
        .. "Please rename that folder\n$", result.err)
    end
  end)

  it("builds nothing but neap for a start, and what a spec says for a spec", function()
    local root = checkout("small", true)
    write(root .. "/spec/plain_spec.lua", "")
    write(root .. "/spec/c_spec.lua", 'local run = require "spec.support.c"\n')
    write(root .. "/spec/support/c.lua", "-- builds: c_tests\n")
    start(root, "run")
    assert.same({true, false}, {exists(root .. "/build/neap"), exists(root .. "/build/unit")})
    start(root, "test spec/plain_spec.lua")
    assert.is_false(exists(root .. "/build/unit"))
    start(root, "test spec/c_spec.lua")
    assert.is_true(exists(root .. "/build/unit"))
  end)

  it("installs what is asked for needs, and no more", function()
    local root = checkout("small", true)
    write(root .. "/spec/plain_spec.lua", "")
    write(root .. "/spec/page_spec.lua", 'require("spec.support.page")\n')
    write(root .. "/spec/support/page.lua", '-- needs: gold\nlocal other = require "spec.support.base"\n')
    write(root .. "/spec/support/base.lua", "-- needs: silver lead\n")
    write(root .. "/spec/support/unused.lua", "-- needs: tin\n")
    local as = is_root() and "" or "env -u HOME "
    for _, row in ipairs {
      {"run", {}},
      {"test spec/plain_spec.lua", {["lua-busted"] = true}},
      {"test --filter x spec/page_spec.lua", {gold = true, silver = true, lead = true}},
      {"test", {tin = true}}, -- everything below spec/; the rest is known to be here
    } do
      write(dir .. "/calls", "")
      write(dir .. "/tools/sudo", "#!/bin/sh\nexec \"$@\"\n")
      local result = start(root, row[1], {as = as})
      assert.equal(0, result.code, result.err)
      assert.same(row[2], asked_for(), row[1])
    end
  end)

  it("goes on without a package that this system does not have", function()
    local root = checkout("small", true)
    write(root .. "/spec/odd_spec.lua", "-- needs: unheard-of gold\n")
    write(dir .. "/tools/sudo", "#!/bin/sh\nexec \"$@\"\n")
    local result = start(root, "test spec/odd_spec.lua")
    assert.equal(0, result.code, result.err)
    assert.matches("neap: this system has no package unheard%-of: going on without it", result.err)
    assert.same({["lua-busted"] = true, gold = true}, asked_for())
  end)

  it("stops when apt's lists cannot be had, and installs nothing", function()
    local root = checkout("small")
    write(dir .. "/calls.offline", "")
    write(dir .. "/tools/sudo", "#!/bin/sh\nexec \"$@\"\n")
    local result = start(root, "test")
    assert.equal(1, result.code)
    assert.matches("E: nobody there\n.*neap: apt cannot update its lists; see above. Is there a network%? Mend that and try "
      .. "again, or install by hand:  sudo apt%-get install gcc libc6%-dev [%w%-%. ]+\n$", result.err)
    assert.is_nil(result.err:find("no package", 1, true))
    assert.same({}, asked_for())
    assert.equal("0 passed, 1 failed, 0 skipped\n", result.out)
  end)

  it("says what to install when sudo refuses or is not there", function()
    local root = checkout("small")
    os.execute(("chmod -R a+rwX '%s'"):format(root))
    write(dir .. "/tools/id", "#!/bin/sh\necho 1000\n")
    os.execute(("chmod 755 '%s/tools/id'"):format(dir))
    local result = start(root, "run")
    assert.equal(1, result.code)
    assert.matches("neap: sudo refuses. Please install by hand, then try again:  sudo apt%-get install gcc [^\n]+\n$", result.err)
    assert.equal("sudo true\n", read(dir .. "/calls"))
  end)

  it("runs what somebody else has built, and says why it cannot renew it", function()
    local root = checkout("small", true)
    assert.equal(0, start(root, "run").code)
    if is_root() then os.execute(("chmod -R go-w '%s'"):format(root)) else os.execute(("chmod -R a-w '%s'"):format(root)) end
    local as = is_root() and NOBODY or ""
    local result = start(root, "run", {as = as})
    assert.same({0, "ran run\n", ""}, {result.code, result.out, result.err})
    assert.is_true(server.poll(10, function() -- a file system may have coarse times
      os.execute(("chmod u+w '%s/program' && touch '%s/program'"):format(root, root))
      return start(root, "run", {as = as}).code == 1
    end))
    result = start(root, "run", {as = as})
    assert.matches("^neap: something is to be built, but we may not write in /[^\n]*/build. Let its owner do it[^\n]+\n$", result.err)
    os.execute(("chmod -R u+w '%s'"):format(root))
  end)

  it("says so when somebody else has built in one's own checkout", function()
    if not is_root() then return pending("needs root, to be two users") end
    local root = checkout("small", true)
    start(root, "run")
    os.execute(("chown -R 65534 '%s' && touch '%s/build/theirs' '%s/CMakeLists.txt'"):format(root, root, root))
    os.execute(("touch -d '+1 minute' '%s/CMakeLists.txt'"):format(root))
    local result = start(root, "run", {as = NOBODY})
    assert.equal(1, result.code)
    assert.matches("^neap: something is to be built, but /[^\n]*/build/theirs belongs to somebody else, who has built here as "
      .. "well. Remove /[^\n]*/build, and try again\n$", result.err)
  end)
end)
