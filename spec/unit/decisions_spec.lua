local decisions = require "spec.support.decisions"

describe("core/DECISIONS.md", function()
  it("lists what is in core/decisions (else: build/neap exec spec/support/decisions.lua)", function()
    local list = decisions.read()
    assert.is_true(#list >= 86)
    assert.is_true(decisions.index() == decisions.generate(list), "it is out of date")
  end)
end)
