local proxies = require "neap.app.proxies"
local ipaddr = require "neap.net.ipaddr"

local is_trusted = ipaddr.matcher({"10.0.0.0/8", "fd00::/8"}, "trusted_proxies")

local function client(peer, headers)
  return proxies.client(peer, {
    all = function(_, name)
      local value = headers[name]
      return type(value) == "table" and value or {value}
    end,
  }, is_trusted)
end

describe("forwarded headers", function()
  it("are not believed when the peer is nobody we trust", function()
    assert.same({}, client("192.0.2.9", {["x-forwarded-for"] = "1.2.3.4", ["x-forwarded-proto"] = "https",
      forwarded = "for=1.2.3.4"}))
    assert.same({}, client(nil, {["x-forwarded-for"] = "1.2.3.4"}))
  end)

  it("tell the client's address, scheme and host", function()
    assert.same({ip = "1.2.3.4", scheme = "https", host = "example.com"}, client("10.0.0.1", {
      ["x-forwarded-for"] = "1.2.3.4", ["x-forwarded-proto"] = "https", ["x-forwarded-host"] = "example.com"}))
  end)

  it("are believed only as far as the chain of trusted proxies goes", function()
    assert.equal("5.6.7.8", client("10.0.0.1", {["x-forwarded-for"] = "6.6.6.6, 5.6.7.8, 10.0.0.2"}).ip)
    assert.equal("10.0.0.3", client("10.0.0.1", {["x-forwarded-for"] = "10.0.0.3, 10.0.0.2"}).ip)
    assert.equal("10.0.0.2", client("10.0.0.1", {["x-forwarded-for"] = "1.2.3.4, unknown, 10.0.0.2"}).ip)
    assert.equal("10.0.0.1", client("10.0.0.1", {["x-forwarded-for"] = "nonsense"}).ip)
  end)

  it("may come in several lines and with ports", function()
    assert.equal("1.2.3.4", client("10.0.0.1", {["x-forwarded-for"] = {"1.2.3.4:99", "10.0.0.2"}}).ip)
    assert.equal("2001:db8::1", client("fd00::1", {["x-forwarded-for"] = "[2001:db8::1]:99"}).ip)
  end)

  it("are taken from the hop that saw the client", function()
    local seen = client("10.0.0.1", {["x-forwarded-for"] = "6.6.6.6, 1.2.3.4, 10.0.0.2",
      ["x-forwarded-proto"] = "http, https, http", ["x-forwarded-host"] = "evil.example, good.example, inner"})
    assert.same({ip = "1.2.3.4", scheme = "https", host = "good.example"}, seen)
  end)

  it("are dropped when they are malformed", function()
    assert.same({ip = "1.2.3.4"}, client("10.0.0.1", {["x-forwarded-for"] = "1.2.3.4", ["x-forwarded-proto"] = "gopher",
      ["x-forwarded-host"] = "a b/<script>"}))
  end)

  it("may be the standard ones", function()
    assert.same({ip = "2001:db8::17", scheme = "https", host = "example.com:8443"}, client("10.0.0.1", {
      forwarded = 'for=6.6.6.6, For="[2001:db8::17]:4711";Proto=https;host="example.com:8443", for=10.0.0.2'}))
    assert.equal("10.0.0.1", client("10.0.0.1", {forwarded = "for=_hidden"}).ip)
  end)

  it("are not believed when both families disagree", function()
    assert.same({}, client("10.0.0.1", {["x-forwarded-for"] = "1.2.3.4", forwarded = "for=6.6.6.6"}))
    assert.equal("1.2.3.4", client("10.0.0.1", {["x-forwarded-for"] = "1.2.3.4", forwarded = "for=1.2.3.4"}).ip)
  end)

  it("take time that grows with their length only", function()
    local started = os.clock()
    client("10.0.0.1", {["x-forwarded-for"] = (" ,"):rep(50000) .. ('"'):rep(50001), forwarded = ("for= "):rep(20000)})
    assert.is_true(os.clock() - started < 1)
  end)
end)
