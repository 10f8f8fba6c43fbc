-- A real browser without a screen.
--
--   local chromium = require "spec.support.chromium"
--   if not chromium.exists() then return pending("chromium is missing") end
--   local dom = chromium.dom("http://127.0.0.1:1234/")
-- needs: chromium
local command = require "spec.support.command"

local chromium = {}

local PATIENCE = 150
local NAMES = {"chromium", "chromium-browser", "google-chrome"}
local OPTIONS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
  .. " --disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage --hide-scrollbars"

local function name()
  for _, one in ipairs(NAMES) do
    if command.exists(one) then return one end
  end
end

function chromium.exists()
  return name() ~= nil
end

---How it is started, without an address.
---@return string
function chromium.command()
  return name() .. " " .. OPTIONS
end

-- With the command's folder as its home, which is removed when all its processes are gone.
local function run(options, url)
  return command.run(('HOME=$PWD exec %s --user-data-dir=data %s "%s"'):format(chromium.command(), options, url), PATIENCE)
end

---The page's elements as text, once it is loaded and its scripts have had `seconds` of their own clock, which stands
---still while an answer is awaited: a page that listens to events for ever can only have 0.
---@param url string
---@param seconds number? default 5
---@return string
---@async
function chromium.dom(url, seconds)
  local clock = seconds == 0 and "" or ("--virtual-time-budget=%d"):format((seconds or 5) * 1000)
  local result = run(clock .. " --dump-dom", url)
  assert(result.code == 0, "chromium failed: " .. result.err)
  return result.out
end

---A picture of the page.
---@param url string
---@param path string a PNG file
---@param width integer pixels
---@param height integer
---@async
function chromium.screenshot(url, path, width, height)
  local result = run(("--screenshot='%s' --window-size=%d,%d"):format(path, width, height), url)
  assert(result.code == 0, "chromium failed: " .. result.err)
end

return chromium
