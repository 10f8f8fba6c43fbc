-- Cancelling what parks while a request is answered.
local matrix = require "spec.support.matrix"

describe("cancelling", function()
  for _, test in ipairs(matrix.tests(require "spec.support.parking_web")) do it(test.name, test.run) end
end)
