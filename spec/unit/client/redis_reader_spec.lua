-- Replies of Redis as Lua values, however they are cut into pieces.
local core = require "neap.core"
local json = require "neap.json"

local MEGABYTE = 1024 * 1024

local function reader(most)
  return core.redis_reader(most or MEGABYTE)
end

-- Everything that comes out when `pieces` go in: {value} or {nil, err}.
local function read(pieces, most)
  local r, replies = reader(most), {}
  for _, piece in ipairs(pieces) do
    r:feed(piece)
    while true do
      local is_whole, value, err = r:next()
      if is_whole == nil then return replies, value end
      if not is_whole then break end
      replies[#replies + 1] = {value = value, err = err}
    end
  end
  return replies
end

local function bytes_of(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

local WIRE = "+OK\r\n:9223372036854775807\r\n:-1\r\n$5\r\na\r\nb\0\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
  .. "*3\r\n$1\r\na\r\n$-1\r\n:3\r\n*2\r\n*2\r\n+x\r\n*0\r\n*1\r\n:7\r\n-WRONGTYPE Operation against\r\n*2\r\n-ERR no\r\n:1\r\n"

local function check(replies)
  assert.equal(12, #replies)
  assert.equal("OK", replies[1].value)
  assert.equal(math.maxinteger, replies[2].value)
  assert.equal(-1, replies[3].value)
  assert.equal("a\r\nb\0", replies[4].value)
  assert.equal("", replies[5].value)
  for i = 6, 7 do
    assert.is_nil(replies[i].value)
    assert.is_nil(replies[i].err)
  end
  assert.equal("[]", json.encode(replies[8].value))
  assert.same({"a", nil, 3, n = 3}, replies[9].value)
  assert.same({{"x", {}}, {7}}, replies[10].value)
  assert.is_nil(replies[11].value)
  assert.equal("WRONGTYPE", replies[11].err.code)
  assert.equal("Operation against", replies[11].err.message)
  assert.equal("ERR", replies[12].value[1].code)
  assert.equal(1, replies[12].value[2])
  assert.is_nil(replies[12].err)
end

describe("replies of Redis", function()
  if not core.redis_reader then return pending("built without hiredis") end

  it("become Lua values", function() check(read {WIRE}) end)

  it("may come byte by byte", function() check(read(bytes_of(WIRE))) end)

  it("may be cut anywhere", function()
    for at = 1, #WIRE - 1 do check(read {WIRE:sub(1, at), WIRE:sub(at + 1)}) end
  end)

  it("that are lists are JSON arrays", function()
    assert.equal('["a",[]]', json.encode(read({"*2\r\n$1\r\na\r\n*0\r\n"})[1].value))
  end)

  it("end at the first byte that is none, and stay ended", function()
    for _, garbage in ipairs {"HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0", "$x\r\n", "*-7\r\n", ":1x\r\n",
      "$99999999999999999999\r\n"} do
      local r = reader()
      r:feed("+OK\r\n" .. garbage)
      assert.is_true((r:next()))
      local is_whole, why = r:next()
      assert.is_nil(is_whole, garbage)
      assert.equal("protocol", why)
      r:feed("+OK\r\n")
      assert.is_nil((r:next()))
    end
  end)

  it("are of the protocol that was asked for: no kind of RESP3 takes the place of one", function()
    for _, reply in ipairs {"%1\r\n+a\r\n+b\r\n", "~1\r\n:1\r\n", ">1\r\n:1\r\n", ",1.5\r\n", "#t\r\n", "(1\r\n",
      "=5\r\ntxt:a\r\n", "|1\r\n+a\r\n+b\r\n", "*1\r\n,1.5\r\n"} do
      local replies, why = read {reply .. "+OK\r\n"}
      assert.same({0, "protocol"}, {#replies, why}, reply)
    end
  end)

  it("cannot promise more than they bring", function()
    local before = collectgarbage("count")
    local replies = read {"*2000000000\r\n*2000000000\r\n*2000000000\r\n", ":1\r\n"}
    assert.equal(0, #replies)
    assert.is_true(collectgarbage("count") - before < 1024)
  end)

  it("are refused when they nest too deep", function()
    local _, why = read {("*1\r\n"):rep(64) .. ":1\r\n"}
    assert.equal("protocol", why)
  end)

  it("are refused when one is too large: a text, a list of small items, an endless line", function()
    local _, why = read({"$100000\r\n", ("x"):rep(100000)}, 65536)
    assert.equal("too_large", why)
    _, why = read({"*100000\r\n", (":1\r\n"):rep(100000)}, 65536)
    assert.equal("too_large", why)
    _, why = read({"+" .. ("x"):rep(100000)}, 65536)
    assert.equal("too_large", why)
  end)

  it("are not too large when many small ones come at once", function()
    local pieces = {}
    for i = 1, 200 do pieces[i] = ("$10\r\n0123456789\r\n"):rep(100) end
    local replies = read(pieces, 65536)
    assert.equal(20000, #replies)
  end)
end)
