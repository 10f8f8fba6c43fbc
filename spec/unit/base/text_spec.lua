local text = require "neap.text"

describe("neap.text", function()
  it("trims", function()
    assert.equal("a b", text.trim(" \t a b\r\n"))
    assert.equal("", text.trim("   "))
    assert.equal("", text.trim(""))
  end)

  it("escapes HTML", function()
    assert.equal("&lt;a href=&quot;x&quot;&gt;&amp;&#39;", text.html([[<a href="x">&']]))
    assert.equal("nil", text.html(nil))
  end)

  it("quotes for messages", function()
    assert.equal([["a\x0Ab"]], text.quote("a\nb"))
    assert.equal("12", text.quote(12))
    assert.is_true(#text.quote(("x"):rep(1000)) < 70)
  end)

  it("survives a __tostring that fails", function()
    assert.matches("whose __tostring fails", text.safe(setmetatable({}, {__tostring = function() error("x") end})))
  end)

  it("splits outside quotes only", function()
    assert.same({"a", '"b,c"', 'd="\\",e"'}, text.split_quoted(' a, "b,c",, d="\\",e" ,', ","))
    assert.same({"a", "b"}, text.split_quoted("a;b", ";"))
    assert.same({}, text.split_quoted("", ","))
    assert.same({'"open, never closed'}, text.split_quoted('"open, never closed', ","))
  end)
end)
