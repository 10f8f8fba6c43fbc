-- Ranges, conditions and media types of core/http: the tests are in http_leaf.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/http", function()
  run_c_tests(it, "unit_http_leaf")
end)
