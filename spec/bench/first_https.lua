-- How long the first request to https, and the first socket with TLS, keep the loop from anything else: what they need of
-- libraries and certificates is made then. The peer speaks no TLS: it is the beginning that counts.
--
--   neap exec spec/bench/first_https.lua
package.path = "./?.lua;" .. package.path
local http = require "neap.http"
local net = require "neap.net"
local stall = require "spec.bench.stall"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

local AROUND = 0.01 -- seconds before and after, so that the watch is there

local function measure(title, call)
  local worst, is_over = {longest = 0, own = 0}, false
  local g <close> = task.group()
  g:spawn(stall.watch, worst, function() return is_over end)
  task.sleep(AROUND)
  call()
  task.sleep(AROUND)
  is_over = true
  g:join()
  print(("%-24s longest stall %.1f ms (with waiting for a core: %.1f)"):format(title, worst.own * 1000, worst.longest * 1000))
end

local up <close> = upstream.start(function(socket)
  socket:recv()
  socket:send("this is no TLS\r\n")
end)
for _, count in ipairs {"first", "second"} do
  measure(count .. " request to https", function() http.get("https://127.0.0.1:" .. up.port) end)
  measure(count .. " TLS socket", function() net.connect("127.0.0.1", up.port, {tls = true}) end)
end
