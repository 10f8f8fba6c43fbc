-- Digests, randomness, comparing, base64: lua/neap/crypto.lua, core/bind/bind_crypto.c.
local core = require "neap.core"
local crypto = require "neap.crypto"
local task = require "neap.task"

describe("crypto", function()
  it("computes the SHA-256 of the standard's examples", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", crypto.hex(crypto.sha256("")))
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", crypto.hex(crypto.sha256("abc")))
  end)

  it("computes the HMAC-SHA-256 of RFC 4231's examples", function()
    assert.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      crypto.hex(crypto.hmac(("\x0b"):rep(20), "Hi There")))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      crypto.hex(crypto.hmac("Jefe", "what do ya want for nothing?")))
    assert.equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      crypto.hex(crypto.hmac(("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First")))
    assert.equal(32, #crypto.hmac("", ""))
  end)

  it("gives as many random bytes as asked for, never the same", function()
    assert.equal("", crypto.random(0))
    assert.equal(1048576, #crypto.random(1048576))
    assert.not_equal(crypto.random(16), crypto.random(16))
  end)

  it("refuses to give less than nothing or more than 1 MiB of randomness", function()
    assert.has_error(function() crypto.random(-1) end)
    assert.has_error(function() crypto.random(1048577) end)
    assert.has_error(function() crypto.random(1.5) end)
  end)

  it("compares strings of any bytes", function()
    assert.is_true(crypto.equal("", ""))
    assert.is_true(crypto.equal("a\0b", "a\0b"))
    assert.is_false(crypto.equal("a\0b", "a\0c"))
    assert.is_false(crypto.equal("a", "ab"))
  end)

  it("writes hexadecimal", function()
    assert.equal("000aff", crypto.hex("\0\n\xff"))
  end)
end)

describe("base64", function()
  local examples = {[""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
    foobar = "Zm9vYmFy"}

  it("matches RFC 4648's examples both ways", function()
    for data, text in pairs(examples) do
      assert.equal(text, crypto.base64(data))
      assert.equal(data, crypto.unbase64(text))
    end
  end)

  it("has an alphabet for URLs, without padding", function()
    assert.equal("+/+/", crypto.base64("\xfb\xff\xbf"))
    assert.equal("-_-_", crypto.base64("\xfb\xff\xbf", true))
    assert.equal("Zg", crypto.base64("f", true))
    assert.equal("f", crypto.unbase64("Zg", true))
    assert.equal("f", crypto.unbase64("Zg==", true))
  end)

  it("reads back any bytes of any length", function()
    for len = 0, 100 do
      local data = crypto.random(len)
      assert.equal(data, crypto.unbase64(crypto.base64(data)))
      assert.equal(data, crypto.unbase64(crypto.base64(data, true), true))
    end
  end)

  it("refuses foreign characters, wrong padding, and a second text for the same value", function()
    for _, text in ipairs({"Zg", "Zg=", "Z", "Zg==Zg==", "Zm9v=", "====", "=", "Zm 9", "Zm9v\n", "Zh==", "Zm9=", "-_-_",
      "Zg\0=", "Zm9v===="}) do
      assert.is_nil(crypto.unbase64(text), text)
    end
    for _, text in ipairs({"+/+/", "Zg=", "Z", "Zh", "Zg===", "Zm9v="}) do
      assert.is_nil(crypto.unbase64(text, true), text)
    end
  end)

  it("puts digests into the form that is asked for", function()
    local raw = crypto.sha256("abc")
    assert.equal(raw, crypto.sha256("abc", "raw"))
    assert.equal(crypto.hex(raw), crypto.sha256("abc", "hex"))
    assert.equal(crypto.base64(raw), crypto.sha256("abc", "base64"))
    assert.equal(crypto.hex(crypto.hmac("k", "d")), crypto.hmac("k", "d", "hex"))
    local ok, err = pcall(function() crypto.sha256("abc", "octal") end)
    assert.is_false(ok)
    assert.matches('crypto_spec%.lua:%d+: a digest is "raw", "hex" or "base64"', err)
  end)
end)

describe("a password", function()
  it("is known again by what was stored, and no other is", function()
    local stored = crypto.hash_password("correct horse\0battery")
    assert.matches("^%$scrypt%$ln=14,r=8,p=5%$[%w+/]+%$[%w+/]+$", stored)
    assert.same({true, false}, {crypto.verify_password("correct horse\0battery", stored)})
    assert.is_false(crypto.verify_password("correct horse", stored))
    assert.is_false(crypto.verify_password("", stored))
    assert.not_equal(stored, crypto.hash_password("correct horse\0battery"))
  end)

  it("is scrypt's, as RFC 7914 has it", function()
    local key = core.scrypt("pleaseletmein", "SodiumChloride", 14, 8, 1)
    assert.equal("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2", crypto.hex(key))
    local text = "$scrypt$ln=14,r=8,p=1$" .. crypto.base64("SodiumChloride"):gsub("=", "") .. "$"
      .. crypto.base64(key):gsub("=", "")
    assert.same({true, true}, {crypto.verify_password("pleaseletmein", text)}) -- right, but less thorough than ours
  end)

  it("is never right when nothing usable was stored", function()
    for _, stored in ipairs {"", "correct horse", "$scrypt$ln=14,r=8,p=5$$", "$2b$12$abc", 42} do
      assert.is_false(crypto.verify_password("correct horse", stored))
    end
    assert.is_false(crypto.verify_password("correct horse", nil))
  end)

  it("is a string", function()
    local ok, err = pcall(function() crypto.hash_password() end)
    assert.is_false(ok)
    assert.matches("crypto_spec%.lua:%d+: a password is a string", err)
  end)

  it("may be given up at any instant, and then the next has its turn", function()
    for steps = 0, 20 do
      local g <close> = task.group()
      local tasks = {}
      for i = 1, 6 do tasks[i] = g:spawn(core.scrypt, "x", "salt", 10, 8, 1) end
      for _ = 1, steps do task.yield() end
      for _, t in ipairs(tasks) do t:cancel() end
    end
    assert.is_true(crypto.verify_password("x", crypto.hash_password("x")))
  end)
end)
