-- Which folder of lua/neap/ each internal file goes to: old name = new one, both without "neap." and with slashes. What
-- applications may require stays where it is and is not named here.
local modules = {}

local function folder(name, stems)
  for stem in stems:gmatch("%S+") do
    local new = stem
    if stem:find("=") then stem, new = stem:match("(.*)=(.*)") end
    modules[stem] = name .. "/" .. new
  end
end

folder("base", "options units trace own_log remember=memo")

folder("app", [[
  abort accepts=negotiation action app compile=compiler controllers errorpage errors folder forwarded=proxies globals
  header hooks mime multipart native pages pattern request response route sse static=files status template transport
  view visits websocket]])

folder("task", "child event group mutex queue semaphore single=share together=batch portable=thread")
folder("job", "job schedule due=clock calendar cron zone")
folder("life", "boot lifecycle loader bounded=limit inspect=inquiry")
folder("db", "pg_conn pg_params pg_runner pg_transaction pool redis_conn redis_sub sqlite_call sqlite_transaction subscription")

folder("cli", [[
  annotations columns control new=starter reference routes script types
  testing testing_busted testing_crew testing_files testing_options testing_tally]])

folder("dev", "dev devpage=page watched=watch")

-- What one public module is made of lies in the folder of its name.
folder("http", "http_headers=headers http_response=response")
folder("net", "tls ipaddr")
folder("crypto", "password")
folder("test", "test_events=events test_socket=socket")

return modules
