-- Which room each file of core/ goes to: old path without its ending = new one. Folders first, then single files.
local files = {}

local function room(name, from, stems)
  for stem in stems:gmatch("%S+") do
    local new = stem
    if stem:find("=") then stem, new = stem:match("(.*)=(.*)") end
    files[from .. stem] = name .. "/" .. new
  end
end

room("base", "base/", "alloc=mem")
room("net", "net/", "error=net")
room("http", "http/", "server=http_server")

room("ws", "http/", [[websocket=ws ws_deflate ws_frame ws_handshake ws_message ws_offer ws_pool ws_send ws_state]])

room("value", "script/", "binding json json_read json_write value place duration=units owned scratch")

room("task", "script/", [[
  state watch vm call task wait coroutine errand crew guard fault stop watchdog library own_env stdlib task_ref origin core shortage
  bind_task bind_thread bind_crew bind_roster bind_waiters]])

room("config", "", "config config_effective config_schema config_value renewal")
room("config", "script/", "settings")

room("web", "script/", [[
  app handler reply reply_file reply_head packing request_body request_box request_headers
  bind_request bind_stream bind_router bind_multipart bind_uri lua_matcher lua_pattern bind_port]])

room("bind", "script/", [[
  bind_socket socket bind_listener bind_net bind_tls bind_trust bind_sqlite sqlite_value bind_pg pg_value bind_redis
  bind_http bind_crypto bind_scrypt bind_store bind_log bind_tally bind_dir]])

room("push", "script/", [[
  push poll events wsock wsock_travel wsub visit encoding live_reply reply_websocket bind_websocket bind_topic topic_choice
  bind_reader]])

room("life", "script/", "generation phase handover kept question=inquiry remains")
room("life", "", "lineage ending")

room("dev", "", "develop sources")

room("top", "", "cli control deaf main relief reload server sockets stand_in worker")

return files
