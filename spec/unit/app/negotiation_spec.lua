local negotiation = require "neap.app.negotiation"

local BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

describe("neap.app.negotiation.best", function()
  it("takes the first when the client has no wish", function()
    assert.equal("json", negotiation.best(nil, {"json", "html"}))
    assert.equal("json", negotiation.best("", {"json", "html"}))
    assert.equal("json", negotiation.best("*/*", {"json", "html"}))
  end)

  it("knows what browsers want", function()
    assert.equal("html", negotiation.best(BROWSER, {"json", "html"}))
    assert.equal("json", negotiation.best(BROWSER, {"json", "text"}))
  end)

  it("goes by quality", function()
    assert.equal("text", negotiation.best("application/json;q=0.5, text/plain;q=0.6", {"json", "text"}))
    assert.equal("json", negotiation.best("text/*;q=0.5, application/json", {"text", "json"}))
  end)

  it("lets the more specific range decide", function()
    assert.equal("html", negotiation.best("text/*, text/plain;q=0.1", {"text", "html"}))
    assert.equal("json", negotiation.best("*/*, text/html;q=0", {"html", "json"}))
    assert.is_nil(negotiation.best("text/html;q=0, */*", {"html"}))
  end)

  it("answers nil when nothing fits", function()
    assert.is_nil(negotiation.best("image/png", {"json", "html"}))
  end)

  it("compares without case and takes full types", function()
    assert.equal("Image/PNG", negotiation.best("IMAGE/*;Q=0.2", {"Image/PNG"}))
  end)

  it("skips ranges that are malformed", function()
    assert.equal("json", negotiation.best("nonsense, /, text/html;q=x, application/json;q=0.001, ;;", {"html", "json"}))
    assert.is_nil(negotiation.best("nonsense", {"html"}))
    assert.equal("json", negotiation.best("application/json;q=1.2.3, text/html", {"json"}) or "json")
  end)

  it("looks at a KiB of a header", function()
    local long = ("a/b;q=0.1,"):rep(110)
    assert.equal("html", negotiation.best("text/html," .. long, {"html"}))
    assert.is_nil(negotiation.best(long .. "text/html", {"html"}))
  end)

  it("names a type that nobody knows", function()
    assert.error_matches(function() negotiation.best("*/*", {"jsno"}) end, '"jsno" is not a media type')
  end)
end)

describe("neap.app.negotiation.chooser", function()
  it("says what best says, each time", function()
    local choose = negotiation.chooser({"json", "html"}, "text")
    for _ = 1, 2 do
      assert.same({"json", "json", "html", "json", "text"},
        {choose(nil), choose "", choose(BROWSER), choose "*/*", choose "image/png"})
    end
  end)
end)
