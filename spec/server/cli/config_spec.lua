-- Where settings come from, and what is said about wrong ones.
local server = require "spec.support.server"

-- The lines of `neap config` as key -> {value, source}.
local function settings(words, opts)
  local result = server.run({"config", table.unpack(words or {})}, opts)
  assert.equal("", result.err)
  assert.equal(0, result.code)
  local all = {}
  for key, value, source in result.out:gmatch("([%w_.]+) +([^\n]-) +# ([^\n]*)\n") do
    all[key] = {value = value, source = source}
  end
  return all, result.out
end

local function refusal(opts, ...)
  local result = server.run({"config", ...}, opts)
  assert.equal(1, result.code)
  return result.err
end

describe("settings", function()
  it("have defaults", function()
    local all = settings({}, {env = {NEAP_WATCHDOG_LOG = false}})
    assert.same({value = "127.0.0.1:8080", source = "default"}, all.listen)
    assert.same({value = "1MB", source = "default"}, all["limits.body"])
    assert.same({value = "10s", source = "default"}, all["timeouts.header"])
    assert.same({value = "100ms", source = "default"}, all["watchdog.log"])
    assert.same({value = "false", source = "default"}, all["log.access"])
    assert.truthy(tonumber(all.workers.value) >= 1)
    assert.truthy(tonumber(all["limits.connections"].value) >= 1)
  end)

  it("come from the command line over the environment over config.lua", function()
    local opts = {
      env = {NEAP_TIMEOUTS_DRAIN = "7s", NEAP_TIMEOUTS_IDLE = "8s"},
      files = {["config.lua"] = [[return {
        default = {timeouts = {drain = 1, idle = 2, write = "3s", header = 4}, limits = {body = "2MB"}},
        production = {timeouts = {header = 0.5}},
        development = {workers = 3},
      }]]},
    }
    local all = settings({"--set", "timeouts.drain=9", "--workers", "2"}, opts)
    assert.same({value = "9s", source = "--set"}, all["timeouts.drain"])
    assert.same({value = "2", source = "--workers"}, all.workers)
    assert.same({value = "8s", source = "NEAP_TIMEOUTS_IDLE"}, all["timeouts.idle"])
    assert.same({value = "3s", source = "config.lua (default)"}, all["timeouts.write"])
    assert.same({value = "500ms", source = "config.lua (production)"}, all["timeouts.header"])
    assert.same({value = "2MB", source = "config.lua (default)"}, all["limits.body"])
  end)

  it("take the block that NEAP_ENV names", function()
    local files = {["config.lua"] = "return {development = {workers = 3}, staging = {workers = 5}}"}
    assert.equal("3", settings({}, {files = files, env = {NEAP_ENV = "development"}}).workers.value)
    assert.equal("5", settings({}, {files = files, env = {NEAP_ENV = "staging"}}).workers.value)
    assert.matches("did you mean production", refusal {files = files, env = {NEAP_ENV = "prodution"}})
  end)

  it("may be lists", function()
    local files = {["config.lua"] = [[return {default = {listen = {"127.0.0.1:1", "unix:/tmp/a.sock"}}}]]}
    assert.equal("127.0.0.1:1, unix:/tmp/a.sock", settings({}, {files = files}).listen.value)
    assert.equal("127.0.0.1:2", settings({"--port", "2"}, {files = files}).listen.value)
    assert.equal(":3, :4", settings({"--listen", ":3", "--listen=:4"}, {files = files}).listen.value)
    assert.equal(":5, :6", settings({}, {env = {NEAP_LISTEN = ":5, :6"}}).listen.value)
  end)

  it("never show secrets", function()
    local files = {["config.lua"] = [[return {default = {secrets = {"hush-hush", "older"}}}]]}
    local all, text = settings({}, {files = files})
    assert.equal("(2, not shown)", all.secrets.value)
    assert.is_nil(text:find("hush", 1, true))
  end)

  it("are read from the file that --config names", function()
    local files = {["other.lua"] = "return {default = {workers = 4}}"}
    assert.equal("4", settings({"--config", "other.lua"}, {files = files}).workers.value)
    assert.matches("nowhere.lua", refusal({}, "--config", "nowhere.lua"))
  end)
end)

describe("wrong settings", function()
  local function file(text)
    return refusal {files = {["config.lua"] = text}}
  end

  it("are refused with what was meant", function()
    assert.equal("neap: config.lua (default): unknown setting limits.bodi: did you mean limits.body?\n",
      file "return {default = {limits = {bodi = 1}}}")
    assert.matches("unknown block prodction: did you mean production", file "return {prodction = {}}")
    assert.matches("NEAP_TIMEOUTS_STARTPU: did you mean NEAP_TIMEOUTS_STARTUP",
      refusal {env = {NEAP_TIMEOUTS_STARTPU = "1s"}})
  end)

  it("outside a block are explained", function()
    assert.matches("config.lua: workers must be inside a block", file "return {workers = 2}")
    assert.matches("config.lua: limits must be inside a block", file "return {limits = {body = 1}}")
  end)

  it("of the wrong kind are explained", function()
    assert.matches("timeouts.drain cannot be \"soon\": expected a time in seconds",
      file "return {default = {timeouts = {drain = 'soon'}}}")
    assert.matches("log.access cannot be \"perhaps\": expected true or false",
      file "return {default = {log = {access = 'perhaps'}}}")
    assert.matches("log.level cannot be \"loud\": expected debug, info, warn or error",
      file "return {default = {log = {level = 'loud'}}}")
    assert.matches("limits.headers cannot be 1000: it must be between 1 and 128",
      file "return {default = {limits = {headers = 1000}}}")
    assert.matches("workers takes one value, not a list", file "return {default = {workers = {1, 2}}}")
    assert.matches("trusted_proxies: \"nonsense\" is not an address",
      file "return {default = {trusted_proxies = 'nonsense'}}")
  end)

  it("in a broken file are shown with their line", function()
    assert.matches("config.lua:2: ", file "return {\n  default = = 1}")
    assert.matches("config.lua:1: boom", file "error 'boom'")
    assert.matches("config.lua must return a table", file "local x = 1")
  end)
end)

describe("neap.config", function()
  it("has the effective settings, and the free block app", function()
    local result = server.run({"exec", "--set", "timeouts.drain=1.5", "script.lua"}, {files = {
      ["config.lua"] = [[return {
        default = {app = {title = "A", mail = {from = "me", port = 25}, list = {1, 2}}},
        production = {app = {mail = {port = 26}, list = {3}}},
      }]],
      ["script.lua"] = [[
        local config = require "neap.config"
        print(config.timeouts.drain, config.limits.body, config.log.level, config.listen[1])
        local app = config.app
        print(app.title, app.mail.from, app.mail.port, #app.list, app.list[1])]],
    }})
    assert.equal("", result.err)
    assert.equal("1.5\t1048576\tinfo\t127.0.0.1:8080\nA\tme\t26\t1\t3\n", result.out)
  end)
end)
