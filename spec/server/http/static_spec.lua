-- app:static on a real disk: which files a client can get, and which not (core/THREATS.md, F1, F2 and
-- F4).
local ask = require "spec.support.ask"
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  app:static("/static", "public")
  app:static("/spa", "public", {fallback = "index.html", max_age = "1h"})
  app:static("/dots", "public", {hidden = true})
  app:get("/get/*path", function(req) return neap.res.file(req.params.path, {root = "public"}) end)
  return app]]

local FILES = {
  ["secret.txt"] = "SECRET outside of the root",
  ["public-twin/secret.txt"] = "SECRET beside the root",
  ["public/index.html"] = "<!doctype html><title>home</title>",
  ["public/a.css"] = "body { color: red }",
  ["public/empty.txt"] = "",
  ["public/sub/index.html"] = "<!doctype html><title>sub</title>",
  ["public/sub/b.js"] = "let b",
  ["public/bare/note.txt"] = "a folder without index",
  ["public/bare/<script>alert(1)<.txt"] = "a name that is markup",
  ["public/.env"] = "SECRET in a hidden file",
  ["public/.git/config"] = "SECRET in a hidden folder",
  ["public/.well-known/security.txt"] = "Contact: mailto:a@example.org",
  ["public/with space.txt"] = "space",
  ["public/100%.txt"] = "percent",
  ["public/grün.txt"] = "umlaut",
  ["public/plus+.txt"] = "plus",
}

local function shell(s, command)
  assert(os.execute(("cd '%s' && %s"):format(s.dir, command)), "failed: " .. command)
end

describe("app:static", function()
  local s

  setup(function()
    s = server.start {app = APP, files = FILES, args = {"--listen", "127.0.0.1:0", "--listen", "unix:public/sock"}}
    shell(s, "ln -s ../secret.txt public/out.txt && ln -s a.css public/in.css && ln -s .. public/up"
      .. " && ln -s sub public/sublink && ln -s /etc public/etc && ln -s /etc/hostname public/host"
      .. " && mkfifo public/pipe && ln -s loop public/loop && mkdir public/dir.d")
  end)
  teardown(server.stop_all)

  local function get(path, opts)
    local answer = ask(s, path, opts)
    assert.truthy(answer.status, "no answer to " .. path)
    assert.is_nil(answer.body:find("SECRET", 1, true), path .. " got out")
    assert.is_nil(answer.body:find("root:", 1, true), path .. " got out")
    return answer
  end

  local function status(path)
    return get(path).status
  end

  it("sends a file with its type, length, date and etag", function()
    local answer = get("/static/a.css")
    assert.equal(200, answer.status)
    assert.equal("body { color: red }", answer.body)
    local headers = answer.headers
    assert.equal("text/css; charset=utf-8", headers["content-type"])
    assert.equal("19", headers["content-length"])
    assert.matches('^"[%x-]+"$', headers.etag)
    assert.matches("^%a+, %d%d %a+ %d+ %d%d:%d%d:%d%d GMT$", headers["last-modified"])
    assert.equal("bytes", headers["accept-ranges"])
    assert.equal("no-cache", headers["cache-control"])
    assert.equal("nosniff", headers["x-content-type-options"])
    assert.is_nil(headers["content-encoding"])
  end)

  it("sends an empty file", function()
    local answer = get("/static/empty.txt")
    assert.equal(200, answer.status)
    assert.equal("0", answer.headers["content-length"])
    assert.is_true(answer.is_whole)
    assert.equal("", answer.body)
  end)

  it("answers HEAD with the same head and no body", function()
    local whole, head = get("/static/a.css"), get("/static/a.css", {method = "HEAD"})
    assert.equal(200, head.status)
    assert.equal("", head.extra)
    for _, name in ipairs {"content-type", "content-length", "etag", "last-modified", "accept-ranges"} do
      assert.equal(whole.headers[name], head.headers[name])
    end
  end)

  it("answers other methods with 405", function()
    local answer = get("/static/a.css", {method = "POST", body = ""})
    assert.equal(405, answer.status)
    assert.matches("GET", answer.headers.allow)
  end)

  it("keeps the connection for more files", function()
    local socket <close> = s:connect()
    for _ = 1, 3 do
      assert.equal("body { color: red }", get("/static/a.css", {socket = socket}).body)
      assert.equal("", get("/static/empty.txt", {socket = socket}).body)
      assert.equal(404, get("/static/nothing", {socket = socket}).status)
      assert.equal(200, get("/static/a.css", {socket = socket, method = "HEAD"}).status)
    end
  end)

  it("decodes names once", function()
    assert.equal("space", get("/static/with%20space.txt").body)
    assert.equal("percent", get("/static/100%25.txt").body)
    assert.equal("umlaut", get("/static/gr%C3%BCn.txt").body)
    assert.equal("plus", get("/static/plus+.txt").body)
    assert.equal(404, status("/static/100%2525.txt"))
    assert.equal(404, status("/static/with+space.txt"))
    assert.equal("let b", get("/static/sub%2Fb.js").body)
  end)

  it("serves the index of a folder, after a redirect to the slash", function()
    assert.matches("<title>sub</title>", get("/static/sub/").body)
    local answer = get("/static/sub?x=1")
    assert.equal(308, answer.status)
    assert.equal("/static/sub/?x=1", answer.headers.location)
    assert.equal("/static/", get("/static").headers.location)
    assert.matches("<title>home</title>", get("/static/").body)
    assert.equal(404, status("/static/bare/"))
  end)

  it("lists no folder, and shows no name as markup", function()
    for _, path in ipairs {"/static/bare/", "/static/bare", "/static/sub/none/", "/dots/bare/", "/get/bare", "/get/bare/",
      "/static/bare/%3Cscript%3Ealert(1)%3C", "/static/%3Cscript%3Ealert(1)%3C/", "/spa/bare/"} do
      local answer = ask(s, path, {headers = {accept = "text/html"}})
      local text = answer.head .. answer.body
      assert.is_nil(text:find("<script>alert", 1, true), path)
      assert.is_nil(text:find("note.txt", 1, true), path)
    end
    assert.equal("a name that is markup", get("/static/bare/%3Cscript%3Ealert(1)%3C.txt").body)
  end)

  it("redirects to this host only", function()
    for _, path in ipairs {"//static/sub", "/static//sub", "/static/sub//", "//example.org/static/sub"} do
      local answer = get(path)
      local location = answer.headers.location
      assert.is_true(location == nil or location:find("^/[^/\\]") ~= nil, path .. " -> " .. tostring(location))
    end
  end)

  it("falls back to a page for single-page apps, for names that could be files", function()
    assert.matches("<title>home</title>", get("/spa/any/where").body)
    assert.equal("public, max-age=3600", get("/spa/any/where").headers["cache-control"])
    assert.equal("body { color: red }", get("/spa/a.css").body)
    assert.is_true(status("/spa/%2e%2e/secret.txt") >= 400)
  end)

  it("never leaves the folder, however the dots are written", function()
    local names = {
      "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "%2E%2E%2Fsecret.txt",
      ".%2e/secret.txt", "%2e./secret.txt", "sub/../../secret.txt", "sub/%2e%2e/%2e%2e/secret.txt",
      "sub/..%2f..%2fsecret.txt", "..%5csecret.txt", "..\\secret.txt", "%5c..%5csecret.txt", "..%c0%afsecret.txt",
      "%c0%ae%c0%ae/secret.txt", "%c0%ae%c0%ae%c0%afsecret.txt", "%e0%80%ae%e0%80%ae/secret.txt",
      "%252e%252e/secret.txt", "%252e%252e%252fsecret.txt", "..%252fsecret.txt", "....//secret.txt",
      "..;/secret.txt", "..%00/secret.txt", "a.css%00", "a.css%00.txt", "%00", "../public-twin/secret.txt",
      "%2e%2e/public-twin/secret.txt", "..%2fpublic/../secret.txt", "/etc/passwd", "%2fetc%2fpasswd",
      "//etc/passwd", "%2f%2fetc/passwd", "./../secret.txt", "%ef%bc%8e%ef%bc%8e/secret.txt",
      "sub/%2e%2e%2f%2e%2e%2fsecret.txt", ("../"):rep(30) .. "etc/passwd", ("%2e%2e%2f"):rep(30) .. "etc/passwd",
      "..", "%2e%2e", "%2e%2e/", ".", "%2e", "~root/.profile", "..%0d%0a/secret.txt", "%u002e%u002e/secret.txt",
      "..%ef%bc%8fsecret.txt", "..%u2215secret.txt", "sub/b.js/../../../secret.txt", "a.css/", "a.css/x",
    }
    for _, prefix in ipairs {"/static/", "/dots/", "/get/"} do
      for _, name in ipairs(names) do
        local answer = get(prefix .. name)
        assert.is_true(answer.status == 404 or answer.status == 400,
          ("%s%s -> %d"):format(prefix, name, answer.status))
      end
    end
  end)

  it("does not take another folder whose name begins like the prefix or the root", function()
    for _, path in ipairs {"/static../secret.txt", "/static-twin/secret.txt", "/staticfoo", "/static%2f..%2fsecret.txt",
      "/static..%2fsecret.txt", "/public/a.css", "/static;/a.css"} do
      assert.is_true(status(path) == 404 or status(path) == 400, path)
    end
  end)

  it("follows no symbolic link, inside or out", function()
    for _, name in ipairs {"out.txt", "in.css", "up/secret.txt", "sublink/b.js", "sublink/", "sublink", "etc/passwd",
      "etc/hostname", "host", "loop", "up", "up/public/a.css"} do
      for _, prefix in ipairs {"/static/", "/dots/", "/get/"} do assert.equal(404, status(prefix .. name), name) end
    end
  end)

  it("sends regular files only, and never waits for a pipe", function()
    for _, name in ipairs {"pipe", "sock", "dir.d", "sub", "bare", "."} do
      assert.equal(404, status("/get/" .. name), name)
    end
    assert.equal(404, status("/static/pipe"))
    assert.equal(404, status("/static/sock"))
  end)

  it("hides names that begin with a dot, except .well-known", function()
    for _, name in ipairs {".env", ".git/config", ".git/", "%2eenv", "sub/.%2fx", ".git"} do
      assert.equal(404, status("/static/" .. name), name)
    end
    assert.equal("Contact: mailto:a@example.org", get("/static/.well-known/security.txt").body)
    local shown = ask(s, "/dots/.env")
    assert.equal("SECRET in a hidden file", shown.body)
  end)

  it("takes names that are too long for the disk as not found", function()
    assert.equal(404, status("/static/" .. ("a"):rep(300)))
    assert.equal(404, status("/static/" .. ("a/"):rep(2500)))
    assert.equal(404, status("/get/" .. ("b"):rep(5000)))
  end)

  it("notices files that come, change and go", function()
    shell(s, "printf one >public/new.txt")
    local first = get("/static/new.txt")
    assert.equal("one", first.body)
    shell(s, "printf three >public/new.txt")
    local second = get("/static/new.txt")
    assert.equal("three", second.body)
    assert.are_not.equal(first.headers.etag, second.headers.etag)
    shell(s, "rm public/new.txt")
    assert.equal(404, status("/static/new.txt"))
  end)

  it("says which page is not there without naming the folder", function()
    local answer = get("/static/nothing", {headers = {accept = "text/html"}})
    assert.equal(404, answer.status)
    assert.is_nil(answer.body:find(s.dir, 1, true))
  end)
end)

describe("app:static on devices", function()
  after_each(server.stop_all)

  it("does not send a device, and does not wait for one", function()
    local s = server.start {workers = 1, app = [[
      local neap = require "neap"
      local app = neap.app()
      app:static("/dev", "/dev")
      app:get("/zero", function() return neap.res.file("/dev/zero") end)
      app:get("/file", function() return neap.res.file("app.lua", {type = "text/plain"}) end)
      return app]]}
    for _, name in ipairs {"/dev/zero", "/dev/null", "/dev/tty", "/dev/random", "/dev/stdin", "/zero"} do
      assert.equal(404, ask(s, name).status, name)
    end
    assert.matches("neap.res.file", ask(s, "/file").body)
  end)

  it("says 404 when the folder itself is not there", function()
    local s = server.start {workers = 1, app = [[
      local neap = require "neap"
      local app = neap.app()
      app:static("/x", "nowhere")
      return app]]}
    assert.equal(404, ask(s, "/x/a.css").status)
    assert.equal(404, ask(s, "/x/").status)
  end)
end)
