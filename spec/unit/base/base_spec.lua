-- core/base: the tests are in base.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/base", function()
  run_c_tests(it, "unit_base")
end)
