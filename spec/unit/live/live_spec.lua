-- core/live: the tests are in live.c and live_*.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/live", function()
  run_c_tests(it, "unit_live")
end)
