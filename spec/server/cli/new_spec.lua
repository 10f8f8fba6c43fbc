local core = require "neap.core"
local server = require "spec.support.server"

describe("neap new", function()
  after_each(server.stop_all)

  it("makes an application that is served, and whose spec passes", function()
    local made = server.run({"new", "demo"}, {keep = true})
    assert.equal(0, made.code, made.err)
    assert.matches("made apps/demo", made.out)
    assert.matches("neap test apps/demo", made.out)
    local s = server.start {target = made.dir .. "/apps"}
    local status, page = s:get("/demo")
    assert.equal(200, status)
    assert.truthy(page:find("was seen 1 time.", 1, true), page)
    assert.equal(200, (s:get(page:match('stylesheet" href="([^"]+)"'))))
    assert.equal("Hello, ada!\n", select(2, s:get("/demo/default/hello/ada")))

    local files = {}
    for _, name in ipairs {"init.lua", "controllers/default.lua", "views/base.html", "views/default/index.html",
      "spec/demo_spec.lua"} do
      local file <close> = assert(io.open(made.dir .. "/apps/demo/" .. name))
      files["apps/demo/" .. name] = file:read("a")
    end
    local tested = server.run({"test"}, {files = files})
    assert.equal(0, tested.code, tested.out .. tested.err)
    assert.matches("2 passed, 0 failed, 0 skipped", tested.out)
    os.execute(("rm -r '%s'"):format(made.dir))
  end)

  it("leaves alone what exists", function()
    local result = server.run({"new", "demo"}, {files = {["apps/demo/app.lua"] = "mine"}, keep = true})
    assert.equal(1, result.code)
    assert.matches("apps/demo exists already", result.err)
    assert.same({"app.lua"}, core.list_dir(result.dir .. "/apps/demo"))
    os.execute(("rm -r '%s'"):format(result.dir))
  end)

  it("refuses names that can be no folder and no address", function()
    for _, name in ipairs {"../x", "a/b", "", "_x", ".x", "7up", "a b", "a'b", ("x"):rep(41)} do
      local result = server.run({"new", name})
      assert.equal(64, result.code, name)
      assert.matches("name", result.err)
    end
    assert.equal(64, server.run({"new"}).code)
    assert.equal(64, server.run({"new", "a", "b"}).code)
  end)
end)
