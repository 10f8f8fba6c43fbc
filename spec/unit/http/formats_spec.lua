-- Dates, status codes and gzip of core/http: the tests are in formats.c.
local run_c_tests = require "spec.support.c_tests"

describe("core/http", function()
  run_c_tests(it, "unit_formats")
end)
