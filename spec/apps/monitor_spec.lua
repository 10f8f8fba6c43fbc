local ask = require "spec.support.ask"
local browser = require "spec.support.browser"
local chromium = require "spec.support.chromium"
local server = require "spec.support.server"

local APPS = assert(os.getenv("PWD"), "PWD is not set") .. "/apps"

-- Its data in the folder of the server, which goes with it.
local CONFIG = [[return {default = {app = {monitor_data = "data"}}}]]

local REMEMBER_SOCKETS = [[
  window.sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      sockets.push(this);
    }
  };
]]

describe("the page of apps/monitor", function()
  local s, page
  setup(function() page = chromium.exists() and browser.open() end)
  before_each(function() s = server.start {target = APPS, files = {["config.lua"] = CONFIG}} end)
  after_each(server.stop_all)
  teardown(function() return page and page:close() end)

  local function url(path) return ("http://127.0.0.1:%d/monitor%s"):format(s.port, path or "") end

  local function post(path, body)
    local answer = ask(s, "/monitor/task/" .. path, {method = "POST", body = body, headers = {
      ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "text/html"}})
    assert.same({303, "/monitor"}, {answer.status, answer.headers.location})
  end

  local LIVE = 'document.getElementById("state").textContent === "live"'
  local SHOWN = 'document.querySelector("#tasks span")?.textContent === "%s"'

  it("shows what another page does", function()
    if not page then return pending("chromium is missing") end
    local other = page:another()
    for _, one in ipairs {page, other} do
      one:go(url())
      one:wait(LIVE)
    end
    page:run('text.value = "buy <milk>"; document.querySelector("#add button").click()')
    page:wait(SHOWN:format("buy <milk>"))
    page:wait('text.value === ""')
    other:wait(SHOWN:format("buy <milk>"))

    other:run('document.querySelector("#tasks button").focus(); document.activeElement.click()')
    other:wait('document.querySelector("#tasks .done")')
    assert.equal("Open again: buy <milk>", other:run("document.activeElement.ariaLabel"))
    page:wait('document.querySelector("#tasks .done")')
    page:wait('document.getElementById("count").textContent === "0 open"')

    other:go(url("/task/edit/1"))
    other:run('text.value = "buy bread"; document.querySelector(".line button").click()')
    page:wait(SHOWN:format("buy bread"))
    other:wait(SHOWN:format("buy bread"))
    other:run('document.querySelector("#tasks a").click()')
    other:wait('document.querySelector(".delete button")')
    other:run('document.querySelector(".delete button").click()')
    page:wait('document.querySelectorAll("#tasks li").length === 0')
    assert.is_true(page:run('getComputedStyle(document.querySelector(".none")).display !== "none"'))
  end)

  it("has missed nothing when its connection comes back", function()
    if not page then return pending("chromium is missing") end
    page:ask("Page.enable")
    page:ask("Page.addScriptToEvaluateOnNewDocument", {source = REMEMBER_SOCKETS})
    page:go(url())
    page:wait(LIVE)
    page:run("sockets[0].close()")
    post("add", "text=meanwhile")
    page:wait(SHOWN:format("meanwhile"))
    page:wait("sockets.length === 2 && sockets[1].url.includes('after=')")
  end)

  it("shows what has changed while another page was there", function()
    if not page then return pending("chromium is missing") end
    page:go(url())
    page:wait(LIVE)
    page:go(("http://127.0.0.1:%d/"):format(s.port))
    post("add", "text=meanwhile")
    page:run("history.back()")
    page:wait(SHOWN:format("meanwhile"))
    post("rename/1", "text=afterwards")
    page:wait(SHOWN:format("afterwards"))
  end)

  it("works by forms alone", function()
    post("add", "text=buy+milk")
    post("tick/1", "done=1")
    post("rename/1", "text=buy+bread")
    local body = ask(s, "/monitor", {headers = {Accept = "text/html"}}).body
    assert.truthy(body:find('class="done"', 1, true))
    assert.truthy(body:find("<span>buy bread</span>", 1, true))
    post("delete/1")
  end)
end)
