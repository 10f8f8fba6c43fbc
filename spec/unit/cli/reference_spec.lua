local neap = require "neap"
local reference = require "neap.cli.reference"

local files = reference.read()

local function read(path)
  local file <close> = assert(io.open(path, "r"))
  return file:read("a")
end

-- What an example sees: the globals, `neap`, a fresh `app`, and the parts of neap by their own names.
local function environment()
  local given = {neap = neap, app = neap.app()}
  return setmetatable(given, {
    __index = function(_, name)
      if _G[name] ~= nil then return _G[name] end
      return neap[name]
    end,
  })
end

describe("lua/README.md", function()
  it("says what the files say (else: neap exec lua/neap/cli/reference.lua)", function()
    local path = debug.getinfo(reference.read, "S").source:match("^@(.*)neap/cli/[^/]*$") .. "README.md"
    assert.is_true(read(path) == reference.generate(files), "it is out of date")
  end)

  it("lacks nothing: every public function has a description, an example and types", function()
    assert.same({}, reference.problems(files))
  end)
end)

describe("the example of", function()
  for _, file in ipairs(files) do
    for _, entry in ipairs(file.entries) do
      for _, example in ipairs(entry.is_public and entry.examples or {}) do
        it(("%s (%s.lua:%d) runs"):format(entry.kind == "function" and reference.signature(entry) or entry.name,
          file.name, example.line), function()
          local chunk = assert(load(example.code, ("=%s.lua:%d"):format(file.name, example.line), "t", environment()))
          chunk()
        end)
      end
    end
  end
end)

describe("a signature", function()
  local function of(source)
    return reference.signature(require("neap.cli.annotations").read(source).entries[2])
  end

  it("shows what may be left out", function()
    assert.equal("app:f(a [, b [, c]])", of("---@class neap.App\nlocal A = {}\n---\n---@param a string\n"
      .. "---@param b (number|string)? seconds\n---@param c? table<string, string>\nfunction A:f(a, b, c)\n"))
    assert.equal("neap.x.g([a])", of("---@class neap.x\nlocal x = {}\n---\n---@param a? string\nfunction x.g(a)\n"))
  end)
end)

describe("an annotation", function()
  local function entry_of(comment)
    local source = "---@class neap.x\nlocal x = {}\n\n" .. comment .. "\nfunction x.f(a)\nend\n"
    return require("neap.cli.annotations").read(source).entries[2]
  end

  it("is taken apart", function()
    local entry = entry_of("---What it does,\n---in two lines.\n---```lua\n---f(1)\n---  g()\n---```\n"
      .. "---@param a async fun(x: string, y: {z: integer}): string?, boolean what it is\n"
      .. "---@return table<string, string>|nil value nil when absent\n---@return string # the text\n---@async")
    assert.equal("What it does,\nin two lines.", entry.description)
    assert.equal("f(1)\n  g()\n", entry.examples[1].code)
    assert.same({{name = "a", type = "async fun(x: string, y: {z: integer}): string?, boolean",
      description = "what it is", is_optional = false}}, entry.params)
    assert.same({{name = "value", type = "table<string, string>|nil", description = "nil when absent"},
      {type = "string", description = "the text"}}, entry.returns)
    assert.is_true(entry.is_async)
  end)
end)
