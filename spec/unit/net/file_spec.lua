-- Opening files, core/net/file.c: the tests are in file.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/net", function()
  run_c_tests(it, "unit_file")
end)
