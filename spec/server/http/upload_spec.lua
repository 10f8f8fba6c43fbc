-- Request bodies as handlers read them: whole, in chunks, as forms; their limits, and what becomes of those that
-- do not come whole (core/THREATS.md, B2 and B3).
local ask = require "spec.support.ask"
local command = require "spec.support.command"
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"

local PATIENCE = 60

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local function say(...) io.stdout:write(table.concat({...}, " "), "\n"):flush() end

  app:post("/body", function(req)
    local body, err = req:body()
    say("body", body and #body or err)
    return 200, body or "handler: " .. err
  end)
  app:post("/limit/:n{int}", function(req)
    local body, err = req:body(math.tointeger(req.params.n))
    return 200, body or "handler: " .. err
  end)
  app:post("/route", function(req) return 200, (req:body()) end, {body_limit = "2MB"})
  app:post("/small", function(req) return 200, (req:body()) end, {body_limit = 10})
  app:post("/failing", function(req)
    assert(req:body())
    return "not reached"
  end)
  app:post("/ignored", function() return "ignored" end)
  app:post("/twice", function(req) return tostring(assert(req:body()) == assert(req:body())) end)
  app:post("/mixed", function(req)
    req:read_chunk(2)
    local ok, err = pcall(req.body, req)
    return tostring(ok) .. " " .. tostring(err)
  end)
  app:post("/chunks/:n{int}", function(req)
    local pieces, most = {}, 0
    for chunk in req:chunks(math.tointeger(req.params.n)) do
      pieces[#pieces + 1] = chunk
      most = math.max(most, #chunk)
    end
    return {count = #pieces, most = most, body = table.concat(pieces)}
  end)
  app:post("/count", function(req)
    local bytes = 0
    for chunk in req:chunks() do bytes = bytes + #chunk end
    say("count", bytes)
    return tostring(bytes)
  end)
  app:post("/count/:n{int}", function(req)
    local count = 0
    for _ in req:chunks(math.tointeger(req.params.n)) do count = count + 1 end
    return tostring(count)
  end, {body_limit = "100MB"})
  app:post("/chunk", function(req)
    local seen = {}
    repeat
      local chunk, err = req:read_chunk()
      seen[#seen + 1] = chunk and #chunk or err or "end"
      if chunk then say("got", #chunk) end
    until not chunk
    say("chunk", table.unpack(seen))
    return seen
  end)
  app:post("/two", function(req)
    local neighbour
    local g <close> = neap.task.group()
    g:spawn(function() neighbour = {pcall(req.body, req)} end)
    local body = req:body()
    g:join()
    return {first = body ~= nil, second = neighbour[1], err = tostring(neighbour[2])}
  end)
  app:post("/form", function(req)
    local fields, second, detail = req:form()
    if not fields then return 200, {err = second, detail = detail} end
    local count = 0
    for _, list in pairs(second) do count = count + #list end
    return {fields = fields, count = count}
  end)
  app:post("/json", function(req)
    local value, err, detail = req:json()
    return {value = value, err = err, detail = detail}
  end)
  return app]]

local function chunked(path, chunks)
  local lines = {("POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"):format(path)}
  for _, chunk in ipairs(chunks) do lines[#lines + 1] = ("%x\r\n%s\r\n"):format(#chunk, chunk) end
  return table.concat(lines) .. "0\r\n\r\n"
end

describe("a request body", function()
  local s
  setup(function() s = server.start {app = APP} end)
  teardown(server.stop_all)

  local function post(path, body, headers)
    return ask(s, path, {method = "POST", body = body, headers = headers})
  end

  -- Sends chunked, and gives the answer.
  local function post_chunked(path, chunks)
    local conn = http.open(s):send(chunked(path, chunks))
    local answer = conn:answer()
    conn:close()
    return answer
  end

  it("is what was sent, at any length up to the limit", function()
    for _, len in ipairs {0, 1, 1000, 65535, 65536, 65537, 200000, 1024 * 1024} do
      local body = ("0123456789abcdef"):rep(len // 16 + 1):sub(1, len)
      assert.is_true(post("/body", body).body == body, len)
    end
    local pieces = {}
    for i = 1, 300 do pieces[i] = tostring(i):rep(i) end
    assert.is_true(post_chunked("/body", pieces).body == table.concat(pieces))
  end)

  it("with every byte comes as it was sent", function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local body = table.concat(all):rep(10)
    assert.is_true(post("/body", body).body == body)
  end)

  it("is 413 when Content-Length is beyond the limit, whatever the handler returns", function()
    local conn = http.open(s):send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
    local answer = conn:answer()
    assert.equal(413, answer.status)
    assert.equal("close", answer.headers.connection)
    assert.equal("", conn:rest())
    conn:close()
    assert.truthy(server.poll(PATIENCE, function() return s:output():find("body too_large", 1, true) end))
  end)

  it("is 413 when more comes than the limit, whatever the handler returns", function()
    local conn = http.open(s):send("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ = 1, 16 do conn:send("10000\r\n" .. ("x"):rep(65536) .. "\r\n") end
    conn:send("1\r\nx\r\n")
    local answer = conn:answer()
    assert.equal(413, answer.status)
    assert.equal("", conn:rest())
    conn:close()
  end)

  it("that failed is 413 also for a handler that raises", function()
    assert.equal(413, post("/failing", ("x"):rep(1024 * 1024 + 1)).status)
  end)

  it("has the limit that the handler gives, or the route", function()
    assert.equal("1234567890", post("/limit/10", "1234567890").body)
    assert.equal(413, post("/limit/10", "12345678901").status)
    assert.equal(200, post("/limit/0", "").status)
    assert.equal(413, post("/limit/0", "x").status)
    assert.equal("1234567890", post("/small", "1234567890").body)
    assert.equal(413, post("/small", "12345678901").status)
    assert.equal(413, post_chunked("/small", {"123456", "78901"}).status)
    local two = ("x"):rep(2 * 1024 * 1024)
    assert.is_true(post("/route", two).body == two)
    assert.equal(413, post("/route", two .. "x").status)
  end)

  it("with an absurd length is refused without waiting for it", function()
    for _, length in ipairs {"9223372036854775807", "18446744073709551615", "18446744073709551616",
      "99999999999999999999999"} do
      local conn = http.open(s):send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: " .. length .. "\r\n\r\n")
      local answer = conn:answer()
      assert.is_true(answer.status == 413 or answer.status == 400, length)
      conn:close()
    end
  end)

  it("that nobody reads does not hold up the answer; a long one ends the connection", function()
    local socket <close> = s:connect()
    for _ = 1, 3 do
      local answer = ask(s, "/ignored", {method = "POST", body = ("x"):rep(60000), socket = socket})
      assert.equal("ignored", answer.body)
    end
    local answer = post("/ignored", ("x"):rep(1024 * 1024))
    assert.equal("ignored", answer.body)
    assert.equal("close", answer.headers.connection)
  end)

  it("too long to be read does not cost the answer, though the client sends all before it reads", function()
    for path, status in pairs {["/body"] = 413, ["/failing"] = 413, ["/count"] = 413, ["/ignored"] = 200} do
      assert.equal(status, post(path, ("x"):rep(30000000)).status, path)
      local curl = command.run(("head -c 30000000 /dev/zero | curl -sS -o /dev/null -w '%%{http_code}' -H 'Expect:' "
        .. "--data-binary @- http://127.0.0.1:%d%s"):format(s.port, path))
      assert.equal(tostring(status), curl.out, path)
    end
  end)

  it("can be asked for twice", function()
    assert.equal("true", post("/twice", "abc").body)
    assert.equal("true", post("/twice", ("x"):rep(200000)).body)
  end)

  it("cannot be read whole once it was read in part", function()
    local answer = post("/mixed", "abcdef")
    assert.matches("^false .*already read in chunks", answer.body)
  end)

  it("can only be waited for by one task", function()
    local conn = http.open(s):send("POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    assert.truthy(server.poll(PATIENCE, function() return conn.socket:recv(1, 0.2) == nil end))
    local answer = conn:send("abc"):answer()
    local result = json.decode(answer.body)
    assert.equal(1, (result.first and 1 or 0) + (result.second and 1 or 0))
    conn:close()
  end)

  it("comes in chunks of at most the size asked for", function()
    local body = ("0123456789"):rep(10000)
    for _, n in ipairs {1000, 4096, 65536, 1000000} do
      local result = json.decode(post("/chunks/" .. n, body).body)
      assert.is_true(result.body == body)
      assert.is_true(result.most <= n)
    end
    assert.same({count = 0, most = 0, body = ""}, json.decode(post("/chunks/10", "").body))
    assert.same({count = 3, most = 1, body = "abc"}, json.decode(post_chunked("/chunks/1", {"ab", "c"}).body))
  end)

  it("in chunks beyond the limit raises 413", function()
    assert.equal(413, post("/count", ("x"):rep(1024 * 1024 + 1)).status)
    local pieces = {}
    for i = 1, 17 do pieces[i] = ("x"):rep(65536) end
    assert.equal(413, post_chunked("/count", pieces).status)
  end)

  it("that is malformed on the way is 400 for the client and an error for the handler", function()
    local conn = http.open(s):send("POST /chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX")
    local answer = conn:answer()
    assert.equal(400, answer.status)
    assert.equal("", conn:rest())
    conn:close()
    assert.truthy(server.poll(PATIENCE, function() return s:output():find("chunk [%d ]*invalid") end))
  end)

  it("of a client that leaves is aborted", function()
    for _, leave in ipairs {"close", "reset"} do
      local function says(text)
        local _, before = s:output():gsub(text, "")
        return function()
          return server.poll(PATIENCE, function() return select(2, s:output():gsub(text, "")) > before end)
        end
      end
      local has_begun, is_aborted = says "got 77", says "chunk 77 aborted"
      local conn = http.open(s):send("POST /chunk HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" .. ("x"):rep(77))
      assert.is_true(has_begun())
      conn[leave](conn)
      assert.is_true(is_aborted(), leave)
    end
  end)

  it("goes on to the next request", function()
    local socket <close> = s:connect()
    for i = 1, 5 do
      local body = ("x"):rep(i * 30000)
      assert.equal(body, ask(s, "/body", {method = "POST", body = body, socket = socket}).body)
      assert.equal(tostring(#body), ask(s, "/count", {method = "POST", body = body, socket = socket}).body)
      assert.equal(200, ask(s, "/form", {method = "POST", body = "a=1", socket = socket}).status)
    end
  end)

  it("as JSON is decoded, and refused when it is none", function()
    assert.same({value = {a = {1, 2}}}, json.decode(post("/json", '{"a":[1,2]}').body))
    local result = json.decode(post("/json", '{"a":').body)
    assert.equal("invalid", result.err)
    assert.equal("string", type(result.detail))
    assert.equal("invalid", json.decode(post("/json", ("["):rep(200000)).body).err)
  end)
end)

describe("a slow body", function()
  after_each(server.stop_all)

  it("is 408 when it comes with less than limits.body_rate", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "timeouts.body_window=0.3",
      "--set", "limits.body_rate=1KB"}}
    local conn = http.open(s):send("POST /chunk HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nab")
    local answer = conn:answer()
    assert.equal(408, answer.status)
    assert.equal("", conn:rest())
    conn:close()
    assert.truthy(server.poll(PATIENCE, function() return s:output():find("chunk 2 timeout", 1, true) end))
  end)
end)

describe("a form", function()
  local s
  setup(function() s = server.start {app = APP} end)
  teardown(server.stop_all)

  local function post(body, kind)
    local answer = ask(s, "/form", {method = "POST", body = body,
      headers = {["content-type"] = kind or "application/x-www-form-urlencoded"}})
    return answer.status == 200 and json.decode(answer.body) or answer.status
  end

  it("is decoded", function()
    assert.same({a = "1", ["b c"] = "ä&", d = ""}, post("a=1&b+c=%C3%A4%26&d=&a=2").fields)
    assert.equal(4, post("a=1&b+c=%C3%A4%26&d=&a=2").count)
  end)

  it("may have a thousand fields", function()
    assert.equal(1000, post(("a=1&"):rep(999) .. "b=2").count)
    assert.equal("too_large", post(("a=1&"):rep(1000) .. "b=2").err)
    assert.equal("too_large", post(("a&"):rep(500000)).err)
  end)

  it("is no form when it says something else", function()
    assert.equal("invalid", post("a=1", "text/plain").err)
    assert.equal("invalid", post("a=1", "multipart/form-data").err or "invalid")
  end)

  it("is 413 when it is longer than the limit", function()
    assert.equal(413, post("a=" .. ("x"):rep(1024 * 1024)))
  end)
end)

-- Counts of bytes against processor time of the server: what is linear stays so.
describe("the time for a body", function()
  local s
  before_each(function() s = server.start {app = APP, workers = 1} end)
  after_each(server.stop_all)

  local function cpu_of(fn)
    local before = s:cpu()
    fn()
    return s:cpu() - before
  end

  -- Eight times as much may cost some twenty times as much (the clock is coarse), not sixty-four times.
  local function assert_linear(cost)
    local small = cpu_of(function() cost(1) end)
    local large = cpu_of(function() cost(8) end)
    assert.is_true(large <= 20 * math.max(small, 0.03), ("1: %.2f s, 8: %.2f s"):format(small, large))
  end

  it("is linear in chunks of one byte", function()
    local conn = http.open(s)
    assert_linear(function(times)
      local count = times * 25000
      conn:send(("POST /%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"):format("count"))
      for _ = 1, count // 1000 do conn:send(("1\r\nx\r\n"):rep(1000)) end
      assert.equal(tostring(count), conn:send("0\r\n\r\n"):answer().body)
      conn:send(("POST /%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"):format("body"))
      for _ = 1, count // 1000 do conn:send(("1\r\nx\r\n"):rep(1000)) end
      assert.equal(count, #conn:send("0\r\n\r\n"):answer().body)
    end)
    conn:close()
  end)

  it("is linear for a handler that takes a few bytes at a time", function()
    assert_linear(function(times)
      local count = times * 100000
      local answer = ask(s, "/count/1", {method = "POST", body = ("x"):rep(count)})
      assert.equal(tostring(count), answer.body)
    end)
  end)

  it("is linear in the fields of a form, up to their limit", function()
    assert_linear(function(times)
      local body = ("k=v&"):rep(times * 100)
      local headers = {["content-type"] = "application/x-www-form-urlencoded"}
      for _ = 1, 20 do ask(s, "/form", {method = "POST", body = body, headers = headers}) end
    end)
  end)
end)
