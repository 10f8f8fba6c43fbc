-- core/net: the tests are in net.c and net_*.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/net", function()
  run_c_tests(it, "unit_net")
end)
