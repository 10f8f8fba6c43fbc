-- Multipart forms in a real server: streamed, saved, limited, cut short (core/THREATS.md, B2).
local ask = require "spec.support.ask"
local command = require "spec.support.command"
local core = require "neap.core"
local http = require "spec.support.http"
local json = require "neap.json"
local server = require "spec.support.server"

local PATIENCE = 60
local BOUNDARY = "XbOuNdArYX"
local TYPE = "multipart/form-data; boundary=" .. BOUNDARY

local APP = [[
  local neap = require "neap"
  local app = neap.app()
  local function say(text) io.stdout:write(text, "\n"):flush() end

  app:post("/parts", function(req)
    local list = neap.json.array()
    for part in req:multipart() do
      local bytes, first = 0, nil
      for chunk in part:chunks() do
        first = first or chunk:sub(1, 20)
        bytes = bytes + #chunk
      end
      list[#list + 1] = {name = part.name, filename = part.filename, type = part.content_type, bytes = bytes,
        first = not part.filename and first or nil}
    end
    return list
  end, {body_limit = "20MB"})
  app:post("/bodies", function(req)
    local list = {}
    for part in req:multipart() do
      local body, err = part:body(tonumber(req.query.limit))
      list[#list + 1] = body or err
    end
    return list
  end)
  app:post("/skip", function(req)
    local names, kept = {}, nil
    for part in req:multipart() do
      names[#names + 1] = part.name
      if kept then
        local ok, err = pcall(kept.body, kept)
        say(tostring(ok) .. " " .. tostring(err))
      end
      kept = part
    end
    return names
  end)
  app:post("/first", function(req)
    for part in req:multipart() do return part.name end
  end)
  app:post("/few", function(req)
    local count = 0
    for _ in req:multipart {max_parts = 3} do count = count + 1 end
    return {count = count}
  end)
  app:post("/save", function(req)
    for part in req:multipart() do
      local bytes, err = part:save("saved.bin")
      say(("saved %s %s"):format(bytes, err))
      if not bytes then neap.abort(507, "no room") end
      return {bytes = bytes}
    end
  end, {body_limit = "20MB"})
  app:post("/form", function(req)
    local fields, second, detail = req:form()
    return {fields = fields, lists = fields and second, err = not fields and second or nil, detail = detail}
  end)
  app:post("/count", function(req)
    local count = 0
    for _ in req:multipart() do count = count + 1 end
    return {count = count}
  end, {body_limit = "20MB"})
  return app]]

local function part(name, content, extra)
  local head = ('Content-Disposition: form-data; name="%s"%s'):format(name, extra or "")
  return ("--%s\r\n%s\r\n\r\n%s\r\n"):format(BOUNDARY, head, content)
end
local CLOSE = "--" .. BOUNDARY .. "--\r\n"

describe("a multipart form", function()
  local s
  before_each(function() s = server.start {app = APP, workers = 1} end)
  after_each(server.stop_all)

  local function post(path, body, kind)
    return ask(s, path, {method = "POST", body = body, headers = {["content-type"] = kind or TYPE}})
  end

  local function result(path, body, kind)
    local answer = post(path, body, kind)
    assert.equal(200, answer.status, answer.body)
    return json.decode(answer.body)
  end

  it("has fields and files", function()
    local body = part("note", "hello")
      .. part("file", ("x"):rep(100000), '; filename="a b.txt"\r\nContent-Type: text/plain') .. part("empty", "")
      .. part("nl", "\r\n--" .. BOUNDARY:sub(1, 5) .. "\r\n") .. CLOSE
    assert.same({
      {name = "note", bytes = 5, first = "hello"},
      {name = "file", filename = "a b.txt", type = "text/plain", bytes = 100000},
      {name = "empty", bytes = 0},
      {name = "nl", bytes = 11, first = "\r\n--XbOuN\r\n"},
    }, result("/parts", body))
  end)

  it("is understood however it is cut", function()
    local body = part("a", "1\r\n-") .. part("b", "\r\n--XbOuNdArY") .. CLOSE
    local head = ("POST /parts HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n")
      :format(TYPE, #body)
    local seen = {}
    http.each_way(s, head .. body .. http.END, function(answers)
      seen[#seen + 1] = answers[1].body
      assert.equal(200, answers[1].status)
    end)
    assert.equal(3, #seen)
    assert.equal(seen[1], seen[3])
  end)

  it("of curl arrives byte for byte", function()
    if not command.exists "curl" then return pending("curl is missing") end
    assert(os.execute(("head -c 3000000 /dev/urandom >'%s/up.bin'"):format(s.dir)))
    local name = [["x \"y\".bin"]]
    local sent = command.run(("curl -sS -F note=hi -F 'file=@%s/up.bin;filename=%s' http://127.0.0.1:%d/parts")
      :format(s.dir, name, s.port))
    local parts = json.decode(sent.out)
    assert.equal("hi", parts[1].first)
    assert.equal(3000000, parts[2].bytes)
    assert.equal('x "y".bin', parts[2].filename)
    local saved = command.run(("curl -sS -F 'file=@%s/up.bin' http://127.0.0.1:%d/save"):format(s.dir, s.port))
    assert.equal('{"bytes":3000000}', saved.out)
    assert.truthy(os.execute(("cmp '%s/up.bin' '%s/saved.bin'"):format(s.dir, s.dir)))
  end)

  it("gives small parts whole, and refuses large ones", function()
    local body = part("a", "short") .. part("b", ("x"):rep(2000)) .. part("c", "end") .. CLOSE
    assert.same({"short", ("x"):rep(2000), "end"}, result("/bodies", body))
    assert.same({"short", "too_large", "end"}, result("/bodies?limit=1999", body))
  end)

  it("skips what is not read, and says so to who reads too late", function()
    local body = part("a", ("x"):rep(100000)) .. part("b", "2") .. part("c", "3") .. CLOSE
    assert.same({"a", "b", "c"}, result("/skip", body))
    assert.matches('false .*part "a" is over: read it before going on to the next one', s:output())
  end)

  it("need not be read to its end", function()
    local body = part("a", "1") .. part("b", ("x"):rep(500000)) .. CLOSE
    assert.equal("a", post("/first", body).body)
    local socket <close> = s:connect()
    for _ = 1, 3 do
      local answer = ask(s, "/first", {method = "POST", body = part("a", "1") .. CLOSE, socket = socket,
        headers = {["content-type"] = TYPE}})
      assert.equal("a", answer.body)
    end
  end)

  it("has at most limits.parts parts: a thousand", function()
    assert.equal(1000, result("/count", part("a", ""):rep(1000) .. CLOSE).count)
    assert.equal(413, post("/count", part("a", ""):rep(1001) .. CLOSE).status)
    assert.equal(3, result("/few", part("a", ""):rep(3) .. CLOSE).count)
    assert.equal(413, post("/few", part("a", ""):rep(4) .. CLOSE).status)
  end)

  it("has at most 8 KiB of headers in a part", function()
    assert.equal(200, post("/count", part("a", "", "\r\nX-Long: " .. ("x"):rep(7900)) .. CLOSE).status)
    assert.equal(413, post("/count", part("a", "", "\r\nX-Long: " .. ("x"):rep(8200)) .. CLOSE).status)
    assert.equal(413, post("/count", part("a", "", "\r\nX-Long: " .. ("x"):rep(5000000)) .. CLOSE).status)
    local answer = post("/count", part("a", "", ("\r\nA: b"):rep(1000)) .. CLOSE)
    assert.is_true(answer.status == 413 or answer.status == 400)
  end)

  it("that is malformed is 400, and told once", function()
    for name, body in pairs {
      ["nothing"] = "", ["no boundary"] = "hello",
      ["another boundary"] = (part("a", "1") .. CLOSE):gsub(BOUNDARY, "other"),
      ["no end"] = part("a", "1"), ["no end of headers"] = "--" .. BOUNDARY .. "\r\nContent-Disposition: form-data",
      ["no name"] = ("--%s\r\nContent-Disposition: form-data\r\n\r\nx\r\n%s"):format(BOUNDARY, CLOSE),
      ["no disposition"] = ("--%s\r\nX-A: b\r\n\r\nx\r\n%s"):format(BOUNDARY, CLOSE),
      ["no colon"] = ("--%s\r\nnonsense\r\n\r\nx\r\n%s"):format(BOUNDARY, CLOSE),
      ["a NUL"] = part("a\0b", "1") .. CLOSE,
    } do
      local answer = post("/count", body)
      assert.equal(400, answer.status, name)
    end
    local _, lines = s:log():gsub("\n", "")
    assert.equal(0, lines, s:log())
  end)

  it("is 415 when it is another type, or has no boundary", function()
    for _, kind in ipairs {"text/plain", "multipart/form-data", "multipart/form-data; boundary=",
      "multipart/form-data; boundary=" .. ("x"):rep(71), "multipart/mixed; boundary=a"} do
      assert.equal(415, post("/count", part("a", "1") .. CLOSE, kind).status, kind)
    end
  end)

  it("is 413 when it is longer than the body may be", function()
    assert.equal(413, post("/few", part("a", ("x"):rep(1024 * 1024)) .. CLOSE).status)
  end)

  it("gives its fields to req:form, files to nobody else", function()
    local form = result("/form", part("a", "1") .. part("b", "2") .. part("a", "3") .. CLOSE)
    assert.same({a = "1", b = "2"}, form.fields)
    assert.same({a = {"1", "3"}, b = {"2"}}, form.lists)
    assert.equal("invalid", result("/form", part("a", "1", '; filename="x"') .. CLOSE).err)
    assert.equal("too_large", result("/form", part("a", ""):rep(1001) .. CLOSE).err)
  end)

  it("that is broken off leaves no file behind", function()
    for _, leave in ipairs {"close", "reset"} do
      local conn = http.open(s)
      conn:send(("POST /save HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 1000000\r\n\r\n"):format(TYPE))
      conn:send(part("file", ("x"):rep(200000), '; filename="a"'))
      local function has_part()
        for _, name in ipairs(core.list_dir(s.dir)) do
          if name:find("%.part$") then return true end
        end
      end
      assert.truthy(server.poll(PATIENCE, has_part))
      conn[leave](conn)
      assert.truthy(server.poll(PATIENCE, function() return not has_part() end), leave)
    end
    assert.is_nil(io.open(s.dir .. "/saved.bin"))
  end)

  it("takes time in proportion to its bytes, also when everything looks like a boundary", function()
    local function cpu_of(body)
      local before = s:cpu()
      for _ = 1, 5 do post("/count", body) end
      return s:cpu() - before
    end
    local near = "\r\n--" .. BOUNDARY:sub(1, -2)
    for name, piece in pairs {near = near, dashes = "\r\n-", lines = "\r\n", returns = "\r"} do
      local small = cpu_of(part("a", piece:rep(300000 // #piece)) .. CLOSE)
      local large = cpu_of(part("a", piece:rep(2400000 // #piece)) .. CLOSE)
      assert.is_true(large <= 20 * math.max(small, 0.03), ("%s: %.2f s, 8 times: %.2f s"):format(name, small, large))
    end
  end)
end)

describe("part:save", function()
  after_each(server.stop_all)

  it("says that there is no room, and leaves nothing behind", function()
    local s = server.start {app = APP, workers = 1, prefix = "ulimit -f 200; trap '' XFSZ;"}
    local body = part("file", ("x"):rep(1000000), '; filename="a"') .. CLOSE
    local answer = ask(s, "/save", {method = "POST", body = body, headers = {["content-type"] = TYPE}})
    assert.equal(507, answer.status)
    assert.matches("saved nil .*File too large", s:output())
    for _, name in ipairs(core.list_dir(s.dir)) do assert.is_nil(name:find("saved", 1, true), name) end
    body = part("file", ("x"):rep(1000), '; filename="a"') .. CLOSE
    answer = ask(s, "/save", {method = "POST", body = body, headers = {["content-type"] = TYPE}})
    assert.equal(200, answer.status)
  end)
end)
