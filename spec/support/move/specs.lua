-- Which folder each spec goes to: old path in spec/ = new one. spec/unit has the rooms of core/ and the folders of lua/neap/,
-- spec/server has subjects.
local specs = {}

local function folder(name, ending, stems)
  local parent = name:match("^(.*)/")
  for stem in stems:gmatch("%S+") do
    local new = stem
    if stem:find("=") then stem, new = stem:match("(.*)=(.*)") end
    specs[parent .. "/" .. stem .. ending] = name .. "/" .. new .. ending
  end
end

local SPEC = "_spec.lua"

folder("unit/base", "", "base.c")
folder("unit/base", SPEC, "base options remember=memo text")
folder("unit/net", "", "file.c net.c net.h net_end.c net_file.c net_listener.c net_support.c net_work.c net_write.c")
folder("unit/net", SPEC, "file net ipaddr")
folder("unit/http", "", "formats.c http_leaf.c")
folder("unit/http", SPEC, "formats http_leaf")
folder("unit/ws", "", [[
  websocket.c ws_deflate.c ws_floods.c ws_frames.c ws_handshake.c ws_life.c ws_support.c ws_support.h]])
folder("unit/ws", SPEC, "websocket")
folder("unit/live", "", [[
  live.c live.h live_bench.c live_callbacks.c live_delivery.c live_model.c live_parts.c live_several.c live_slicing.c
  live_store.c live_threads.c live_topic.c]])
folder("unit/live", SPEC, "live")
folder("unit/client", SPEC, "redis_reader")
folder("unit/value", SPEC, "json")
folder("unit/task", SPEC, [[
  cancel_matrix coroutine pcall queue sync task thread together=batch watchdog]])
folder("unit/config", SPEC, "config")
folder("unit/web", SPEC, "lua_matcher multipart router uri")
folder("unit/bind", SPEC, "crypto log sockets tls")
folder("unit/app", SPEC, [[
  accepts=negotiation app cookie errors forwarded=proxies pattern request res static=files view]])
folder("unit/job", SPEC, "cron jobs zone")
folder("unit/life", SPEC, "lifecycle require")
folder("unit/db", SPEC, "pool sqlite")
folder("unit/cli", SPEC, "reference")
folder("unit/test", SPEC, "test")

folder("server/http", SPEC, [[
  backpressure browser bulk cancel_web compress compress_slices controllers deadlines disconnect ended eviction expect files
  flood framing gone growth host keepalive limits log_limit lost memory multipart overload parsing pipelining ranges refusals
  response_head session slices static trailers underscores upload web]])
folder("server/push", SPEC, "events interop poll reconnect topic visits websocket workers")
folder("server/life", SPEC, [[
  allocation deaf endings globals hooks jobs library lifecycle listen relief reload renewal threads_limit]])
folder("server/data", SPEC, [[
  cancel_data http_client http_client_faults http_client_pause outage pg redis sqlite store trust]])
folder("server/cli", SPEC, "cli config control new testing testing_jobs")
folder("server/dev", SPEC, "dev devpage")

return specs
