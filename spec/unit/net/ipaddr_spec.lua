local ipaddr = require "neap.net.ipaddr"

describe("neap.net.ipaddr.parse", function()
  local function hex(address)
    local bytes = ipaddr.parse(address)
    return bytes and (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
  end

  it("reads IPv4", function()
    assert.equal("c0000201", hex "192.0.2.1")
    for _, wrong in ipairs {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "a.b.c.d", "-1.2.3.4"} do
      assert.is_nil(ipaddr.parse(wrong), wrong)
    end
  end)

  it("reads IPv6", function()
    assert.equal("20010db8000000000000000000000001", hex "2001:db8::1")
    assert.equal("00010002000300040005000600070008", hex "1:2:3:4:5:6:7:8")
    assert.equal(("0"):rep(32), hex "::")
    assert.equal("fe80" .. ("0"):rep(24) .. "0001", hex "fe80::1%eth0")
    assert.equal("00010002000300040005000601020304", hex "1:2:3:4:5:6:1.2.3.4")
    assert.equal("00010000000000000000000001020304", hex "1::1.2.3.4")
    for _, wrong in ipairs {":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::",
      "1:2:3:4:5:6:7::8",      "1.2.3.4::", "::1.2.3", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7:8", "::%", ("1:"):rep(100)} do
      assert.is_nil(ipaddr.parse(wrong), wrong)
    end
  end)

  it("takes IPv4 in IPv6 for IPv4", function()
    assert.equal("c0000201", hex "::ffff:192.0.2.1")
    assert.equal("c0000201", hex "::ffff:c000:201")
  end)
end)

describe("neap.net.ipaddr.strip_port", function()
  it("leaves the address", function()
    assert.equal("192.0.2.1", ipaddr.strip_port "192.0.2.1:80")
    assert.equal("192.0.2.1", ipaddr.strip_port "192.0.2.1")
    assert.equal("2001:db8::1", ipaddr.strip_port "[2001:db8::1]:80")
    assert.equal("2001:db8::1", ipaddr.strip_port "[2001:db8::1]")
    assert.equal("2001:db8::1", ipaddr.strip_port "2001:db8::1")
  end)

  it("refuses what is no address", function()
    for _, wrong in ipairs {"unknown", "_hidden", "[", "[::1", "example.com:80", ""} do
      assert.is_nil(ipaddr.strip_port(wrong), wrong)
    end
  end)
end)

describe("neap.net.ipaddr.matcher", function()
  it("knows networks and single addresses", function()
    local is_in = ipaddr.matcher({"10.0.0.0/8", "192.0.2.7", "fd00::/8", "172.16.0.0/12", "0::1"}, "x")
    for _, inside in ipairs {"10.0.0.0", "10.255.255.255", "192.0.2.7", "fd12::1", "172.31.0.1", "::1",
      "::ffff:10.1.2.3"} do
      assert.is_true(is_in(inside), inside)
    end
    for _, outside in ipairs {"11.0.0.0", "192.0.2.8", "fe00::1", "172.32.0.1", "::2", "a::1", "nonsense", ""} do
      assert.is_false(is_in(outside), outside)
    end
    assert.is_false(is_in(nil))
  end)

  it("knows prefixes that are no whole bytes, and all of them", function()
    assert.is_true(ipaddr.matcher({"128.0.0.0/1"}, "x")("255.0.0.1"))
    assert.is_false(ipaddr.matcher({"128.0.0.0/1"}, "x")("127.0.0.1"))
    assert.is_true(ipaddr.matcher({"0.0.0.0/0"}, "x")("1.2.3.4"))
    assert.is_false(ipaddr.matcher({"0.0.0.0/0"}, "x")("::1"))
    assert.is_true(ipaddr.matcher({"::ffff:10.0.0.0/104"}, "x")("10.1.2.3"))
  end)

  it("has a word for unix sockets", function()
    assert.is_true(ipaddr.matcher({"unix"}, "x")(nil))
    assert.is_false(ipaddr.matcher({"unix"}, "x")("1.2.3.4"))
  end)

  it("names the entry that it cannot read", function()
    assert.error_matches(function() ipaddr.matcher({"::1", "10.0.0.0/33"}, "some") end, "some%[2%]")
    assert.error_matches(function() ipaddr.matcher({"localhost"}, "trusted_proxies") end, '"localhost" is not an address')
  end)
end)
