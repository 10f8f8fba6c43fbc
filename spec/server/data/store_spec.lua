-- neap.store: plain data shared by all workers.
local neap = require "neap"
local server = require "spec.support.server"
local task = require "neap.task"

local count = 0
local function fresh()
  count = count + 1
  return neap.store(("store spec %d"):format(count))
end

describe("a store", function()
  it("keeps texts, numbers, booleans and tables of them, as they are", function()
    local store = fresh()
    local values = {"", "a\0b", ("x"):rep(100000), 0, -1, math.maxinteger, math.mininteger, 1.5, -0.0, math.huge, true, false,
      {}, {1, 2, {3, {a = "b"}}}, {[1.5] = 1, [true] = 2, [-3] = "x", ["\0"] = {}}}
    for i, value in ipairs(values) do
      assert.is_true(store:set("key" .. i, value))
      assert.same(value, store:get("key" .. i))
      assert.equal(math.type(value), math.type(store:get("key" .. i)))
    end
    assert.is_nil(store:get("nothing"))
    assert.equal(1, select("#", store:get("nothing")))
  end)

  it("gives copies: a change of the table changes nothing", function()
    local store = fresh()
    local data = {list = {1}}
    store:set("k", data)
    data.list[1] = 2
    assert.same({list = {1}}, store:get("k"))
    store:get("k").list[1] = 3
    assert.same({list = {1}}, store:get("k"))
  end)

  it("refuses what is no data, with its place", function()
    local store = fresh()
    local deep = {}
    deep.self = deep
    for _, case in ipairs {{print, "a function cannot"}, {{a = {b = {print}}}, "a function at .a.b.1"},
        {{[print] = 1}, "a function"}, {coroutine.create(print), "a thread"}, {io.stdout, "a userdata"},
        {{x = setmetatable({}, {})}, "a table with a metatable at .x"}, {deep, "contains itself"}} do
      local ok, err = pcall(store.set, store, "k", case[1])
      assert.is_false(ok)
      assert.matches(case[2], err, 1, true)
    end
    assert.is_nil(store:get("k"))
    assert.is_false((pcall(store.set, store, "k")))
    assert.is_false((pcall(store.set, store, nil, 1)))
  end)

  it("forgets what is set to nil", function()
    local store = fresh()
    store:set("k", 1)
    assert.is_true(store:set("k", nil))
    assert.is_nil(store:get("k"))
    assert.same({}, store:keys())
  end)

  it("adds only what is absent", function()
    local store = fresh()
    assert.is_true(store:add("k", 1))
    assert.same({nil, "exists"}, {store:add("k", 2)})
    assert.equal(1, store:get("k"))
  end)

  it("counts", function()
    local store = fresh()
    assert.equal(1, store:incr("n"))
    assert.equal(6, store:incr("n", 5))
    assert.equal(4, store:incr("n", -2))
    assert.equal("integer", math.type(store:get("n")))
    assert.equal(4.5, store:incr("n", 0.5))
    store:set("t", "text")
    assert.same({nil, "no number"}, {store:incr("t")})
    store:set("max", math.maxinteger)
    assert.equal(math.mininteger, store:incr("max"))
  end)

  it("changes only what is as expected", function()
    local store = fresh()
    assert.is_true(store:cas("k", nil, {v = 1}))
    assert.same({nil, "changed"}, {store:cas("k", nil, {v = 2})})
    assert.is_true(store:cas("k", {v = 1}, {v = 2}))
    assert.same({nil, "changed"}, {store:cas("k", {v = 1}, {v = 3})})
    assert.same({v = 2}, store:get("k"))
  end)

  it("compares tables by content, in whatever order they were made", function()
    local store = fresh()
    local one, other = {}, {}
    for i = 1, 50 do one["key" .. i] = i end
    for i = 50, 1, -1 do other["key" .. i] = i end
    store:set("k", one)
    assert.is_true(store:cas("k", other, "same"))
    store:set("k", store:get("k"))
    assert.is_true(store:cas("k", "same", 1))
  end)

  it("deletes, lists and clears", function()
    local store, other = fresh(), fresh()
    for i = 1, 5 do store:set("k" .. i, i) end
    other:set("k", 1)
    assert.is_true(store:delete("k3"))
    assert.same({nil, "absent"}, {store:delete("k3")})
    local keys = store:keys()
    table.sort(keys)
    assert.same({"k1", "k2", "k4", "k5"}, keys)
    store:clear()
    assert.same({}, store:keys())
    assert.equal(1, other:get("k"))
  end)

  it("forgets after ttl", function()
    local store = fresh()
    store:set("short", 1, {ttl = 1})
    store:set("long", 1, {ttl = "1h"})
    store:incr("n", 1, {ttl = 1})
    store:add("a", 1, {ttl = 1})
    assert.equal(1, store:get("short"))
    task.sleep(1.1)
    assert.is_nil(store:get("short"))
    assert.is_nil(store:get("n"))
    assert.is_true(store:add("a", 2))
    assert.equal(1, store:get("long"))
    local keys = store:keys()
    table.sort(keys)
    assert.same({"a", "long"}, keys)
  end)

  it("is the same by the same name", function()
    local store = fresh()
    store:set("k", 1)
    assert.equal(1, neap.store(("store spec %d"):format(count)):get("k"))
  end)
end)

describe("stores of a server", function()
  after_each(server.stop_all)

  local APP = [[
    local neap = require "neap"
    local app = neap.app()
    local store = neap.store("shared")
    app:post("/incr", function() return tostring(store:incr("n")) end)
    app:get("/worker", function()
      store:incr("worker " .. neap.worker)
      local keys = store:keys()
      table.sort(keys)
      return table.concat(keys, ",")
    end)
    app:get("/n", function() return tostring(store:get("n")) end)
    app:get("/fill", function()
      local many = neap.store("many")
      for i = 1, 1000 do
        local ok, err = many:set("k" .. i, ("x"):rep(1000))
        if not ok then return err .. " " .. i end
      end
      return "never full"
    end)
    app:get("/empty", function()
      neap.store("many"):clear()
      return tostring(neap.store("many"):set("k", ("x"):rep(50000)))
    end)
    return app]]

  it("are shared by all workers, and count right", function()
    local s = server.start {app = APP, workers = 2}
    assert(server.poll(10, function()
      local _, body = s:get("/worker")
      return body == "worker 1,worker 2"
    end))
    local g <close> = task.group()
    for _ = 1, 8 do
      g:spawn(function()
        local socket = s:connect()
        for _ = 1, 25 do
          socket:send("POST /incr HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
          local text = ""
          repeat text = text .. (socket:recv() or error("closed")) until text:find("\r\n\r\n%d+$")
        end
        socket:close()
      end)
    end
    g:join()
    local _, body = s:get("/n")
    assert.equal("200", body)
  end)

  it("say when they are full, and go on when there is room", function()
    local s = server.start {app = APP, workers = 1, args = {"--set", "limits.stores=100KB"}}
    local _, body = s:get("/fill")
    local at = tonumber(body:match("^full (%d+)$"))
    assert.is_true(at and at > 50 and at <= 100, body)
    _, body = s:get("/empty")
    assert.equal("true", body)
  end)
end)
