-- A real browser that stays open: goes to pages, waits for what shows there, types and clicks. It is told what to do by
-- Chromium's DevTools protocol, over the WebSocket client of these specs.
--
--   local page <close> = browser.open()
--   page:go("http://127.0.0.1:1234/")
--   page:run('document.querySelector("button").click()')
--   page:wait('document.title === "Done"')
local chromium = require "spec.support.chromium"
local command = require "spec.support.command"
local core = require "neap.core"
local server = require "spec.support.server"
local ws = require "spec.support.ws"

local browser = {}

local PATIENCE = 60

---@class spec.Page
local Page = {}
Page.__index = Page

local function read(path)
  local file <close> = io.open(path, "r")
  return file and file:read("a")
end

-- Makes an empty page, of which `self` is to be the handle.
local function attach(self)
  local target = self:ask("Target.createTarget", {url = "about:blank"}).targetId
  self.session = self:ask("Target.attachToTarget", {targetId = target, flatten = true}).sessionId
  return self
end

---Opens a browser; keep it in a `<close>` variable, or call :close().
---@param width integer? pixels; default 1200
---@param height integer? default 800
---@async
function browser.open(width, height)
  local run = command.start(("home=$PWD/home\nmkdir $home\nHOME=$home exec %s --remote-debugging-port=0 "
    .. "--user-data-dir=$home --window-size=%d,%d about:blank"):format(chromium.command(), width or 1200, height or 800))
  local self = setmetatable({process = run, number = 0}, Page)
  local place = server.poll(PATIENCE, function()
    return (read(run.dir .. "/home/DevToolsActivePort") or ""):match("^%d+\n/%S+$")
  end)
  assert(place, "chromium did not start: " .. (read(run.dir .. "/err") or ""))
  local port, path = place:match("(%d+)\n(.*)")
  self.socket = ws.open({port = tonumber(port)}, path, {Host = "localhost:" .. port})
  return attach(self)
end

---Another page in the same browser, as long as that is open.
---@return spec.Page
---@async
function Page:another()
  return attach(setmetatable({process = self.process, socket = self.socket, number = 0}, Page))
end

-- A command of the protocol and its result; what else comes meanwhile is news that nobody asked for.
function Page:ask(method, params)
  self.number = self.number + 1
  self.socket:send(core.json.encode({id = self.number, method = method, params = params,
    sessionId = self.session}))
  while true do
    local message = assert(self.socket:message(), "chromium has left")
    local answer = core.json.decode(message)
    if answer.id == self.number then
      assert(not answer.error, answer.error and answer.error.message)
      return answer.result
    end
  end
end

---Goes to an address and waits until the page is loaded.
---@param url string
---@async
function Page:go(url)
  self:run("window.isLeft = true") -- or the old page would pass for the new one
  self:ask("Page.navigate", {url = url})
  self:wait('!window.isLeft && document.readyState === "complete"')
end

---Runs a script in the page and gives its value, if that is plain data; nil for null.
---@param script string
---@return any
---@async
function Page:run(script)
  local result = self:ask("Runtime.evaluate", {expression = script, returnByValue = true, awaitPromise = true,
    userGesture = true})
  assert(not result.exceptionDetails, script .. ": " .. core.json.encode(result.exceptionDetails or 0))
  local value = result.result.value
  if value == core.json.null then return nil end
  return value
end

---Waits until a script's value is true, and gives it. While the page goes elsewhere there is no value.
---@param script string
---@return any
---@async
function Page:wait(script)
  local value
  local found = server.poll(PATIENCE, function()
    local ok, result = pcall(self.run, self, script)
    value = ok and result
    return value
  end)
  return found or error(("the page never came to: %s\n%s"):format(script, self:run("document.body.innerText")), 2)
end

---A picture of the page as a PNG file.
---@param path string
---@async
function Page:screenshot(path)
  local data = self:ask("Page.captureScreenshot", {format = "png"}).data
  local file <close> = assert(io.open(path .. ".base64", "w"))
  file:write(data)
  file:flush()
  assert(os.execute(("base64 -d '%s.base64' >'%s' && rm '%s.base64'"):format(path, path, path)))
end

function Page:close()
  self.socket.conn:close()
  self.process:__close()
end

Page.__close = Page.close

return browser
