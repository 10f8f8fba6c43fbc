local core = require "neap.core"
local neap = require "neap"
local fake_request = require "spec.support.fake_request"

describe("app:static", function()
  local folder, app, original

  before_each(function()
    -- What is there, without a disk: the core looks at the real one in the server's specs.
    local there = {["."] = "directory", ["a.css"] = "file", ["sub"] = "directory", ["sub/"] = "directory",
      ["sub/index.html"] = "file", [".env"] = "file", [".well-known/x"] = "file", ["x.own"] = "file"}
    original = core.file_type
    core.file_type = function(root, path)
      folder = root
      return there[path]
    end
    app = neap.app()
  end)
  after_each(function() core.file_type = original end)

  local function get(path, raw_query)
    local spec = app:compile()
    local id, params = spec.router:find("GET", path)
    if not id then return nil end
    return spec.routes[id].handler(fake_request {path = path, params = params, raw_query = raw_query or ""})
  end

  local function status_of(path)
    local ok, result = pcall(get, path)
    assert(ok or type(result) == "table", result)
    return result and result.status
  end

  it("answers with files beneath a folder beside the script", function()
    app:static("/s", "files", {types = {own = "text/own"}})
    local response = get("/s/a.css")
    assert.same({"a.css", folder, true, "text/css; charset=utf-8", "no-cache", "nosniff"}, {
      response.file, response.root, response.precompressed,
      response.headers["content-type"], response.headers["cache-control"],
      response.headers["x-content-type-options"]})
    assert.matches("spec/unit/app/files$", folder)
    assert.equal("text/own", get("/s/x.own").headers["content-type"])
  end)

  it("answers for folders with their index, after a redirect to the slash", function()
    app:static("/s", "/srv", {max_age = "1h"})
    assert.equal("sub/index.html", get("/s/sub/").file)
    assert.equal("index.html", get("/s/").file)
    assert.equal("public, max-age=3600", get("/s/").headers["cache-control"])
    local response = get("/s/sub", "a=1")
    assert.same({308, "/s/sub/?a=1"}, {response.status, response.headers.location})
    assert.equal("/s/", get("/s").headers.location)
    app = neap.app()
    app:static("/s", "/srv", {index = false})
    assert.equal(404, status_of("/s/sub/"))
  end)

  it("hides what starts with a dot, unless told otherwise", function()
    app:static("/s", "/srv")
    assert.equal(404, status_of("/s/.env"))
    assert.equal(200, status_of("/s/.well-known/x"))
    app = neap.app()
    app:static("/s", "/srv", {hidden = true})
    assert.equal(200, status_of("/s/.env"))
  end)

  it("does not leave the folder", function()
    app:static("/s", "/srv", {hidden = true, fallback = "index.html"})
    for _, path in ipairs {"../x", "a/../../x", "..", "./a.css", "a\0.css", "..\\x", "//etc/passwd", "a//b", "\127"} do
      assert.equal(404, status_of("/s/" .. path), path)
    end
    assert.is_nil(get("/s../a.css"))
    assert.is_nil(get("/sfoo"))
  end)

  it("falls back to a page for single-page apps", function()
    app:static("/", "/srv", {fallback = "index.html"})
    assert.equal("index.html", get("/any/where").file)
    assert.equal("a.css", get("/a.css").file)
  end)

  it("does not send anybody to another host", function()
    app:static("/", "/srv")
    local ok, response = pcall(get, "//sub")
    assert.is_true(not ok or response.status == 404 or response.headers.location:find("^/[^/]") ~= nil)
  end)
end)
