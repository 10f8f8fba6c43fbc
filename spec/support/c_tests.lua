-- Tests written in C: runs a test program of the build folder and makes a busted test of each line "ok sentence"
-- or "not ok sentence" it prints.
-- builds: c_tests
local assert = require "luassert"
local server = require "spec.support.server"

local PATIENCE_SECONDS = 300

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

-- Runs a program in the background, as waiting for a pipe would hold up this loop. Its output and exit code.
local function run(path)
  local out = os.tmpname()
  local code_file = out .. ".code"
  os.execute(("{ '%s' >'%s' 2>&1 </dev/null; echo $? >'%s.new'; mv '%s.new' '%s'; } &"):format(
    path, out, code_file, code_file, code_file))
  local code = server.poll(PATIENCE_SECONDS, function() return read(code_file) end)
  local output = read(out)
  os.remove(out)
  os.remove(code_file)
  return output, tonumber(code)
end

---@param it function busted's, which only spec files can see
---@param name string the program, e.g. "unit_base"; it stands beside neap (NEAP_BIN)
---@async
return function(it, name)
  local neap = assert(os.getenv("NEAP_BIN"), "NEAP_BIN is not set: run the specs with `neap test`")
  local path = (neap:match("^(.*)/") or ".") .. "/" .. name
  if not read(path) then
    it("is built", function() error(path .. " is not there") end)
    return
  end

  local output, code = run(path)
  for verdict, sentence in ("\n" .. output):gmatch("\n(n?o?t? ?ok) [- ]*([^\n]+)") do
    it(sentence, function() assert.equal("ok", verdict) end)
  end

  it("runs to its end", function()
    if code ~= 0 then error(("%s: exit code %s:\n%s"):format(name, tostring(code), output)) end
  end)
end
