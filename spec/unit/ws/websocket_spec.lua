-- core/http, WebSockets: the tests are in websocket.c and ws_*.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/http WebSockets", function()
  run_c_tests(it, "unit_websocket")
end)
