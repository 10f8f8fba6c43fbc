local ask = require "spec.support.ask"
local browser = require "spec.support.browser"
local chromium = require "spec.support.chromium"
local json = require "neap.json"
local server = require "spec.support.server"

local APPS = assert(os.getenv("PWD"), "PWD is not set") .. "/apps"

describe("apps/welcome", function()
  local s
  before_each(function() s = server.start {target = APPS} end)
  after_each(server.stop_all)

  local function get(path, accept)
    return ask(s, path, {headers = {Accept = accept or "text/html"}})
  end

  local function facts()
    return json.decode(get("/", "application/json").body)
  end

  it("is at / and at its own address, with its style", function()
    for _, path in ipairs {"/", "/welcome"} do
      local page = get(path)
      assert.equal(200, page.status)
      assert.truthy(page.body:find("<h1>neap is running</h1>", 1, true))
      local style = get(assert(page.body:match('<link rel="stylesheet" href="([^"]+)">')))
      assert.matches("^text/css", style.headers["content-type"])
    end
  end)

  it("tells what is running, also after a reload", function()
    local before = facts()
    assert.same({1, 2, "run"}, {before.generation, before.workers, before.mode})
    assert.matches("^%d+ seconds?$", before.uptime)
    s:reload()
    assert.equal(2, facts().generation)
    assert.matches("<dt>Generation</dt><dd>2", get("/").body)
  end)

  it("leads to all that is served beside it, and to the source of examples", function()
    assert.same({"chat", "monitor"}, facts().apps)
    local count = 0
    for path in get("/").body:gmatch('<a href="(/[^"]*)"') do
      assert.equal(200, get(path).status, path)
      count = count + 1
    end
    assert.equal(#facts().apps + #facts().examples, count)
    assert.is_true(#facts().examples >= 9)
    assert.truthy(get("/default/example/hello").body:find("app:get(&quot;/hello/:name&quot;", 1, true))
  end)

  it("shows no other files", function()
    for _, name in ipairs {"nowhere", "..%2f..%2fREADME", "%2fetc%2fpasswd", "hello.lua", ""} do
      assert.equal(404, get("/default/example/" .. name).status, name)
    end
  end)

  it("fits on a phone and on a screen, and has names for what is on it", function()
    if not chromium.exists() then return pending("chromium is missing") end
    for _, width in ipairs {360, 1200} do
      local page <close> = browser.open(width, 800)
      page:go(("http://127.0.0.1:%d/"):format(s.port))
      assert.is_true(page:run "document.documentElement.scrollWidth <= innerWidth", "it is wider than the screen")
      assert.equal("neap is running", page:run "document.querySelector('h1').textContent")
      assert.equal("en", page:run "document.documentElement.lang")
      assert.is_true(page:run "getComputedStyle(document.querySelector('dl')).display === 'grid'", "the style is missing")
      if os.getenv("WELCOME_SHOT") then page:screenshot(os.getenv("WELCOME_SHOT") .. width .. ".png") end
      page:run "document.querySelector('a[href$=\"example/hello\"]').click()"
      page:wait "document.querySelector('h1').textContent === 'examples/hello.lua'"
      assert.is_true(page:run "document.documentElement.scrollWidth <= innerWidth", "the source is wider than the screen")
    end
  end)
end)
