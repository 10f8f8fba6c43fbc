-- Multipart forms: core/http/multipart.c, disposition.c, params.c, core/web/bind_multipart.c,
-- lua/neap/app/multipart.lua. Every case is fed whole, byte by byte, and cut at random places.
local core = require "neap.core"
local multipart = require "neap.app.multipart"

local function generator(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) % 0x80000000
    return (seed >> 16) % n + 1
  end
end

-- Ways to cut a text: each gives a list of pieces.
local function whole(text) return {text} end

local function bytes(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

local function random_cuts(seed)
  return function(text)
    local random, pieces, at = generator(seed), {}, 1
    while at <= #text do
      local size = random(random(4) == 1 and 40 or 4)
      pieces[#pieces + 1] = text:sub(at, at + size - 1)
      at = at + size
    end
    return pieces
  end
end

local CUTS = {whole, bytes}
for seed = 1, 8 do CUTS[#CUTS + 1] = random_cuts(seed) end

-- All events of a piece, or nil and the error.
local function feed(parser, piece)
  local all, from = {}, 1
  while from do
    local events
    events, from = parser:feed(piece, from)
    if not events then return nil, from end
    table.move(events, 1, #events, #all + 1, all)
  end
  return all
end

-- Feeds the pieces. The parts, with their data joined; or nil and the error.
local function parse(pieces, boundary, opts)
  local parser, parts = core.multipart(boundary or "x", opts), {}
  local part
  for _, piece in ipairs(pieces) do
    local events, err = feed(parser, piece)
    if not events then
      assert.same({nil, err}, {parser:feed("--x")}) -- an error stays
      assert.same({nil, err}, {parser:finish()})
      return nil, err
    end
    for _, event in ipairs(events) do
      if event.type == "part" then
        part = {name = event.name, filename = event.filename, type = event.content_type, headers = event.headers,
          data = ""}
      elseif event.type == "data" then
        assert.is_true(#event.data > 0)
        part.data = part.data .. event.data
      else
        assert.equal("end", event.type)
        parts[#parts + 1], part = part, nil
      end
    end
  end
  local ok, err = parser:finish()
  if not ok then return nil, err end
  assert.is_nil(part)
  return parts
end

-- The result of a text, which must not depend on how it is cut.
local function parse_all(text, boundary, opts)
  local parts, err = parse(whole(text), boundary, opts)
  for _, cut in ipairs(CUTS) do
    assert.same({parts, err}, {parse(cut(text), boundary, opts)})
  end
  return parts, err
end

local function part_text(headers, data, boundary)
  return ("--%s\r\n%s\r\n\r\n%s\r\n"):format(boundary or "x", headers, data)
end

-- A form with one field whose Content-Disposition ends in `params`; gives the part.
local function disposition(params)
  local parts, err = parse_all(part_text("Content-Disposition: form-data" .. params, "v") .. "--x--")
  return parts and parts[1], err
end

local function assert_invalid(text, expected)
  local parts, err = parse_all(text)
  assert.is_nil(parts, ("%q"):format(text))
  assert.equal(expected or "invalid", err, ("%q"):format(text))
end

local NAME_A = 'Content-Disposition: form-data; name="a"'

describe("core.multipart", function()
  it("reads what a browser sends", function()
    local boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    local text = part_text('Content-Disposition: form-data; name="title"', "hello", boundary)
      .. part_text('Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain',
        "line\r\n--not\r\n", boundary)
      .. "--" .. boundary .. "--\r\n"
    local parts = parse_all(text, boundary)
    assert.same({
      {name = "title", data = "hello", headers = {["content-disposition"] = 'form-data; name="title"'}},
      {name = "file", filename = "a.txt", type = "text/plain", data = "line\r\n--not\r\n", headers = {
        ["content-disposition"] = 'form-data; name="file"; filename="a.txt"', ["content-type"] = "text/plain"}},
    }, parts)
  end)

  it("keeps content that looks almost like a boundary", function()
    for _, data in ipairs {"", "\r", "\n", "\r\n", "\r\n-", "\r\n--", "\r\n--\r\n--", "\r\n--y", "\r\r\n--", "--", "-x",
      "\r\r\r\n", "x--x\r\n-x", "\n--x", "\r--x", "\0\xff", "\r\n\r\n", "\r\n --x"} do
      for _, ending in ipairs {"", "z", "\r"} do
        local parts = parse_all(part_text(NAME_A, data .. ending) .. "--x--")
        assert.equal(data .. ending, parts[1].data)
      end
    end
  end)

  it("finds boundaries that begin like themselves", function()
    local data = "\r\n--aab\r\n--a\r\n--aa\r\n--aaa"
    local parts = parse_all(part_text(NAME_A, data, "aaaab") .. "--aaaab--", "aaaab")
    assert.equal(data, parts[1].data)
  end)

  it("takes a part that has no content at all", function()
    local parts = parse_all("--x\r\n" .. NAME_A .. "\r\n\r\n--x--")
    assert.equal("", parts[1].data)
    parts = parse_all("--x\r\n" .. NAME_A .. "\r\n\r\n\r\n--x--")
    assert.equal("", parts[1].data)
    parts = parse_all("--x\r\n" .. NAME_A .. "\r\n\r\n-\r\n--x--")
    assert.equal("-", parts[1].data)
  end)

  it("takes a form without parts", function()
    assert.same({}, parse_all("--x--"))
    assert.same({}, parse_all("--x--\r\n"))
  end)

  it("ignores what stands behind the end, and empty lines before the start", function()
    assert.same({}, parse_all("--x--\r\n--x\r\nwhatever"))
    assert.same({}, parse_all("\r\n--x--"))
    assert.equal(1, #parse_all("\r\n" .. part_text(NAME_A, "v") .. "--x--"))
  end)

  it("is strict about everything else", function()
    for _, text in ipairs {
      "", "-", "--", "--x", "--x\r\n", "--x-", "--y--", "hello\r\n--x--", "\n--x--", "\r--x--", "x", "--X--",
      "--x\n" .. NAME_A .. "\n\nv\n--x--",
      "--x \r\n" .. NAME_A .. "\r\n\r\nv\r\n--x--",
      "--xy\r\n" .. NAME_A .. "\r\n\r\nv\r\n--x--",
      "--x\r\n\r\nv\r\n--x--", -- no headers
      "--x\r\nContent-Type: text/plain\r\n\r\nv\r\n--x--",
      part_text(NAME_A, "v"), -- no end
      part_text(NAME_A, "v") .. "--x", part_text(NAME_A, "v") .. "--x-",
      part_text(NAME_A, "v") .. "--x-\r\n", part_text(NAME_A, "v\r\n--xz") .. "--x--",
      part_text(NAME_A .. "\r\n " .. "folded", "v") .. "--x--",
      part_text(" " .. NAME_A, "v") .. "--x--",
      part_text(NAME_A .. "\nX: y", "v") .. "--x--", part_text(NAME_A .. "\rX: y", "v") .. "--x--",
      part_text("X : y\r\n" .. NAME_A, "v") .. "--x--", part_text(": y\r\n" .. NAME_A, "v") .. "--x--",
      part_text("no colon\r\n" .. NAME_A, "v") .. "--x--", part_text("X: a\0b\r\n" .. NAME_A, "v") .. "--x--",
      part_text("X: a\x7f\r\n" .. NAME_A, "v") .. "--x--", part_text("ü: a\r\n" .. NAME_A, "v") .. "--x--",
      part_text(NAME_A .. "\r\n" .. NAME_A, "v") .. "--x--",
      part_text(NAME_A .. "\r\nX: 1\r\nx: 2", "v") .. "--x--",
    } do assert_invalid(text) end
  end)

  it("gives header names in lower case and values without the blanks around them", function()
    local parts = parse_all(part_text(NAME_A .. "\r\nX-THING:\t a\tb \r\nEmpty:", "v") .. "--x--")
    assert.equal("a\tb", parts[1].headers["x-thing"])
    assert.equal("", parts[1].headers.empty)
  end)

  it("limits the parts", function()
    local two = part_text(NAME_A, "1") .. part_text(NAME_A, "2")
    assert.equal(2, #parse_all(two .. "--x--", "x", {max_parts = 2}))
    local parts, err = parse_all(two .. part_text(NAME_A, "3") .. "--x--", "x", {max_parts = 2})
    assert.is_nil(parts)
    assert.equal("too_many", err)
    assert.same({nil, "too_many"}, {parse({part_text(NAME_A, ""):rep(1001)})})
    assert.equal(1000, #parse {part_text(NAME_A, ""):rep(1000) .. "--x--"})
  end)

  it("limits the headers of a part", function()
    local room = 8192 - #NAME_A - #"\r\nX: \r\n\r\n"
    assert.is_table(parse_all(part_text(NAME_A .. "\r\nX: " .. ("y"):rep(room), "v") .. "--x--"))
    assert_invalid(part_text(NAME_A .. "\r\nX: " .. ("y"):rep(room + 1), "v") .. "--x--", "too_large")
    assert.same({nil, "too_large"}, {parse {"--x\r\n" .. ("y"):rep(9000)}})
    local list = {NAME_A}
    for i = 2, 32 do list[i] = "X" .. i .. ": y" end
    assert.is_table(parse_all(part_text(table.concat(list, "\r\n"), "v") .. "--x--"))
    list[33] = "X: y"
    assert_invalid(part_text(table.concat(list, "\r\n"), "v") .. "--x--", "too_large")
  end)

  it("survives any bytes", function()
    local random = generator(99)
    local pieces = {"--x", "\r\n", "--", "\r", "\n", NAME_A, "\r\n\r\n", ": ", ";", "=", '"', "\\", "name=", "x", "\0",
      " "}
    for _ = 1, 2000 do
      local list = {"--x\r\n"}
      for i = 2, random(20) do list[i] = pieces[random(#pieces)] end
      local text = table.concat(list)
      local parts, err = parse(whole(text))
      assert.same({parts, err}, {parse(bytes(text))})
      assert.same({parts, err}, {parse(random_cuts(random(1000))(text))})
    end
  end)

  it("takes time in proportion to its input", function()
    local function seconds(data)
      local text = part_text(NAME_A, data, ("-"):rep(70))
      local best = math.huge
      for _ = 1, 3 do
        local parser, start = core.multipart(("-"):rep(70)), os.clock()
        for at = 1, #text, 4096 do parser:feed(text:sub(at, at + 4095)) end
        best = math.min(best, os.clock() - start)
      end
      return best
    end
    for _, unit in ipairs {"\r\n" .. ("-"):rep(71), "\r", "\r\n--", "a"} do
      local n = 300000 // #unit
      local small, large = seconds(unit:rep(n)), seconds(unit:rep(10 * n))
      assert.is_true(large < 0.02 + 60 * small, ("%q: %f s, ten times as long: %f s"):format(unit, small, large))
    end
  end)

  it("checks its arguments", function()
    for _, boundary in ipairs {"", ("x"):rep(71), "a\r", "a ", "ü", 'a"', "a\0", "a;b"} do
      assert.has_error(function() core.multipart(boundary) end)
    end
    assert.has_error(function() core.multipart("x", {max_parts = -1}) end)
    assert.has_error(function() core.multipart("x", {max_parts = "many"}) end)
    assert.has_error(function() core.multipart("x", 7) end)
    local parser = core.multipart(("x"):rep(70))
    assert.has_error(function() parser:feed() end)
    assert.has_error(function() getmetatable(parser).__gc(parser) parser:feed("") end)
  end)
end)

describe("the names of a part", function()
  local function name(params)
    local part, err = disposition(params)
    return part and part.name or err
  end
  local function filename(params)
    local part, err = disposition('; name="a"; ' .. params)
    if not part then return nil, err end
    return part.filename
  end

  it("are quoted or plain, in any order and case", function()
    assert.equal("a b", name('; name="a b"'))
    assert.equal("ab", name("; name=ab"))
    assert.equal("a", name(';filename="f";NAME="a"'))
    assert.equal("a", name(' ; name="a" ; other="1" ;'))
    assert.equal("", name('; name=""'))
    assert.equal("ü", name('; name="ü"'))
  end)

  it("must be there, once, in a form-data disposition", function()
    for _, params in ipairs {"", ";", '; filename="f"', '; name="a"; name="b"', "; name=", '; name="a', "; name",
      '; name="a"b', "; name=a b", "; name=ü", '; name = "a"', '; "a"', '; name="a"; =b', '; name="a\\"',
      '; name="a"; filename="f"; filename="g"', "s; name=a"} do
      local part, err = disposition(params)
      assert.is_nil(part, params)
      assert.equal("invalid", err)
    end
    assert_invalid(part_text('Content-Disposition: attachment; name="a"', "v") .. "--x--")
  end)

  it("are unescaped as clients escape", function()
    assert.equal('a"b', name('; name="a%22b"')) -- browsers
    assert.equal("a\r\nb", name('; name="a%0D%0Ab"'))
    assert.equal('a"b\\c', name('; name="a\\"b\\\\c"')) -- curl before 7.81, Python
    assert.equal("100% %41", name('; name="100% %41"'))
    assert.equal("C:\\dir\\f", filename('filename="C:\\dir\\f"'))
    assert.equal("a;b=c", filename('filename="a;b=c"'))
    assert.equal("", filename('filename=""'))
    assert.is_nil(filename("other=1"))
  end)

  it("may be in UTF-8 by filename*, which beats filename", function()
    assert.equal("ü €.txt", filename("filename*=UTF-8''%C3%BC%20%e2%82%ac.txt"))
    assert.equal("ü", filename("filename*=utf-8'de'%C3%BC; filename=\"u\""))
    assert.equal("ü", filename("filename=\"u\"; filename*=utf-8''%C3%BC"))
    assert.equal("u", filename("filename=u; filename*=iso-8859-1''%FC"))
    for _, params in ipairs {"filename*=\"utf-8''a\"", "filename*=a", "filename*=utf-8'a", "filename*=utf-8''%4",
      "filename*=utf-8''%FC", "filename*=utf-8''%00", "filename*=utf-8''a; filename*=utf-8''b"} do
      assert.same({nil, "invalid"}, {filename(params)}, params)
    end
  end)
end)

describe("core.boundary", function()
  it("takes the boundary out of a Content-Type", function()
    assert.equal("abc", core.boundary("multipart/form-data; boundary=abc"))
    assert.equal("a b:c", core.boundary('Multipart/Form-Data;charset=utf-8 ; BOUNDARY="a b:c"'))
    assert.equal(("x"):rep(70), core.boundary("multipart/form-data; boundary=" .. ("x"):rep(70)))
  end)

  it("gives nil when there is none that is valid", function()
    for _, value in ipairs {"", "text/plain", "multipart/form-data", "multipart/mixed; boundary=a",
      "multipart/form-data; boundary=", 'multipart/form-data; boundary=""', 'multipart/form-data; boundary="a',
      "multipart/form-data; boundary=" .. ("x"):rep(71), 'multipart/form-data; boundary="a "',
      "multipart/form-data; boundary=a; boundary=b", "multipart/form-data; boundary=ü",
      "multipart/form-data boundary=a",
      "multipart/form-data; boundary=a b", 'multipart/form-data; boundary="a\\"b"'} do
      assert.is_nil(core.boundary(value), value)
    end
  end)
end)

describe("neap.multipart", function()
  -- A request whose body arrives in pieces; `err` comes instead of its end.
  local function request(pieces, err)
    local at = 0
    return {
      headers = {["content-type"] = "multipart/form-data; boundary=x"},
      read_chunk = function()
        at = at + 1
        if pieces[at] then return pieces[at] end
        return nil, err
      end,
      has_ended = function() return at > #pieces end,
    }
  end

  local FORM = part_text(NAME_A, "1\r\n2") .. part_text('Content-Disposition: form-data; name=f; filename="F"\r\n'
    .. "Content-Type: a/b", ("z"):rep(1000)) .. part_text('Content-Disposition: form-data; name="b"', "") .. "--x--\r\n"

  local function status_of(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    return err.status
  end

  local function walk(req, opts)
    local list = {}
    for part in multipart.parts(req, opts) do list[#list + 1] = part end
    return list
  end

  it("gives part after part", function()
    for _, cut in ipairs(CUTS) do
      local seen, req = {}, request(cut(FORM))
      for part in multipart.parts(req) do
        seen[#seen + 1] = {part.name, part.filename or false, part.content_type or false, part:body()}
      end
      assert.same({{"a", false, false, "1\r\n2"}, {"f", "F", "a/b", ("z"):rep(1000)}, {"b", false, false, ""}}, seen)
      assert.is_true(req.has_ended())
    end
  end)

  it("skips what is not read, wholly or in part", function()
    for _, cut in ipairs(CUTS) do
      local names = {}
      for part in multipart.parts(request(cut(FORM))) do
        names[#names + 1] = part.name
        if part.name == "f" then part:chunks()() end
      end
      assert.same({"a", "f", "b"}, names)
    end
  end)

  it("refuses to read a part that is over, or twice", function()
    local first
    for part in multipart.parts(request {FORM}) do
      if first then
        assert.has_error(function() first:body() end, 'part "a" is over: read it before going on to the next one')
        assert.has_error(function() first:chunks()() end, 'part "a" is over: read it before going on to the next one')
        part:body()
        assert.has_error(function() part:body() end, ('part:body: part "%s" was already read'):format(part.name))
        assert.has_error(function() part:save("/nowhere") end)
      end
      first = first or part
    end
  end)

  it("limits what body() collects", function()
    for part in multipart.parts(request(bytes(FORM))) do
      if part.name == "f" then
        assert.same({nil, "too_large"}, {part:body(999)})
      else
        assert.is_string(part:body("1KB"))
      end
    end
    for part in multipart.parts(request {FORM}) do
      assert.has_error(function() part:body("much") end)
    end
  end)

  it("raises an error with a status when the form is broken", function()
    assert.equal(415, status_of(walk, {headers = {}}))
    assert.equal(415, status_of(walk, {headers = {["content-type"] = "text/plain"}}))
    assert.equal(400, status_of(walk, request {"hello"}))
    assert.equal(400, status_of(walk, request {part_text(NAME_A, "v")})) -- no end
    assert.equal(413, status_of(walk, request {FORM}, {max_parts = 2}))
    assert.equal(413, status_of(walk, request {"--x\r\n" .. ("y"):rep(9000)}))
    assert.equal(413, status_of(walk, request({part_text(NAME_A, "v")}, "too_large")))
    assert.equal(408, status_of(walk, request({part_text(NAME_A, "v")}, "timeout")))
    assert.equal(400, status_of(walk, request({}, "aborted")))
    assert.has_error(function() multipart.parts(request {FORM}, {max_part = 2}) end)
  end)

  describe("part:save", function()
    local folder
    before_each(function()
      folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir '" .. folder .. "'"))
    end)
    after_each(function() os.execute("rm -r '" .. folder .. "'") end)

    local function files()
      local list = {}
      local pipe <close> = assert(io.popen("ls -A '" .. folder .. "'"))
      for line in pipe:lines() do list[#list + 1] = line end
      return list
    end

    local function content(path)
      local file <close> = assert(io.open(path, "rb"))
      return file:read("a")
    end

    it("writes the content to a file", function()
      for part in multipart.parts(request(bytes(FORM))) do
        assert.equal(part.name == "a" and 4 or part.name == "f" and 1000 or 0, part:save(folder .. "/" .. part.name))
      end
      assert.same({"a", "b", "f"}, files())
      assert.equal("1\r\n2", content(folder .. "/a"))
      assert.equal(("z"):rep(1000), content(folder .. "/f"))
    end)

    it("leaves nothing behind when the form breaks off", function()
      local path = folder .. "/a"
      assert.equal(400, status_of(function()
        for part in multipart.parts(request {part_text(NAME_A, ("v"):rep(10000))}) do part:save(path) end
      end))
      assert.same({}, files())
    end)

    it("says what the system says when it cannot write", function()
      local part = multipart.parts(request {FORM})()
      local saved, err = part:save(folder .. "/missing/a")
      assert.is_nil(saved)
      assert.matches("No such file", err)
    end)
  end)
end)
