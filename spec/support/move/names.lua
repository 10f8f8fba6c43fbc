-- What is called otherwise since then: old name = new one, in C sources and in `code` of the documents. A public
-- function begins with the noun of its header.
local names = {}

local function prefix(new, old, list)
  for name in list:gmatch("%S+") do
    local rest = name
    if name:find("=") then name, rest = name:match("(.*)=(.*)") end
    names[old .. name] = new .. rest
  end
end

prefix("http_setup_", "http_", "shares_trust")
prefix("pg_client_", "pg_", "notice_free=free_notice")
prefix("pg_result_", "pg_", "bytes_read=read_bytes bytes_free=free_bytes")
prefix("sqlite_cell_", "cell_", "write read")
prefix("sqlite_pool_", "sqlite_", "lease_start=start_lease lease_stop=stop_lease lease_release=release_lease")
prefix("sqlite_statements_", "statements_", "init deinit get")
prefix("control_", "", "inquiry_owner=owner_of inquiry_finish=answer")
prefix("inquiry_", "question_", "ask fn")
prefix("conditional_", "etag_", "make=make_etag equal_strong=equal_strong equal_weak=equal_weak")
prefix("gzip_", "", "coding_is_accepted")
prefix("http_server_", "request_", "new=new_request find=find_request free=free_request renew=renew_request")
prefix("session_", "request_", "conn=conn_of is_reachable read_body cut=cut_off done=request_done detach=detach_request")
prefix("ws_deflate_", "ws_", "inflater_new=new_inflater inflater_free=free_inflater inflate")
prefix("ws_", "", "conn_of=link_of pool_of=shared_of")
prefix("channel_", "feed_", "channel=of outlet=outlet_of")
prefix("sendfile_", "file_", "go_on")
prefix("bind_request_", "request_", "push check release")
prefix("bind_router_", "router_", "check")
prefix("bind_stream_", "stream_", "push wake_writer")
prefix("bind_tls_", "tls_config_", "check=check_config")
prefix("bind_topic_", "topic_", "check_name at check push_cursor")
prefix("units_", "", "duration_check=check_duration size_check=check_size")
prefix("events_", "", "reply_events=reply")
prefix("poll_", "", "reply_poll=reply")
prefix("live_reply_", "live_", "choice_read=read_choice raise_full send send_fn")
prefix("pg_value_", "pg_", "params_read=read_params rows_push=push_rows error_push=push_error end_push=push_end")
prefix("reply_head_", "reply_", "field status headers=write push_header")
prefix("request_body_", "request_", "body=read read_chunk wake_reader")
prefix("request_box_", "request_", "push_span push_cache")
prefix("request_headers_", "request_", "push_headers=push make_headers_type=make_type")
prefix("sqlite_value_", "sqlite_", "blob=push_blob read_params push_rows")
prefix("task_", "", [[
  wait_wake=wake_wait wait_is_linked=wait_is_linked wait_task=of_wait wait_init=wait_init wait_end=wait_end
  park_is_marked=park_is_marked park_below=park_below park_innermost=park_innermost park_through=park_through]])
prefix("task_ref_", "task_", "is_spawned")
prefix("wsock_", "", "reply_websocket_again=reply_again")

return names
