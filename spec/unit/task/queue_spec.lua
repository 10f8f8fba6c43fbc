-- Queues: what is put in comes out once, in order, whoever gives up meanwhile.
local task = require "neap.task"

-- Until `t` waits, or has ended.
local function settled(t)
  repeat task.yield() until t.status ~= "ready" and t.status ~= "running"
  return t
end

local function drain(q)
  local values = {}
  while #q > 0 do values[#values + 1] = q:get() end
  return values
end

describe("a queue", function()
  it("gives values in the order in which they were put in", function()
    local q = task.queue(3)
    for i = 1, 3 do assert.is_true(q:put(i)) end
    assert.equal(3, #q)
    assert.same({1, 2, 3}, drain(q))
  end)

  it("serves those who wait in the order of their coming", function()
    local q, got = task.queue(), {}
    local g <close> = task.group()
    for i = 1, 3 do g:spawn(function() got[i] = q:get() end) end
    task.yield()
    for _, value in ipairs {"a", "b", "c"} do q:put(value) end
    g:join()
    assert.same({"a", "b", "c"}, got)
  end)

  it("lets nobody pass those who wait already", function()
    local q, got = task.queue(), nil
    local g <close> = task.group()
    g:spawn(function() got = q:get() end)
    task.yield()
    q:put("first")
    assert.same({n = 2, nil, "timeout"}, table.pack(q:get(0)))
    g:join()
    assert.equal("first", got)
  end)

  it("holds no more than its limit: who puts in more waits, and keeps the order", function()
    local q, order = task.queue(2), {}
    local g <close> = task.group()
    for i = 1, 5 do
      g:spawn(function()
        q:put(i)
        order[#order + 1] = i
      end)
    end
    task.yield()
    assert.same({1, 2}, order)
    for i = 1, 5 do
      assert.equal(i, q:get())
      task.yield()
    end
    assert.same({1, 2, 3, 4, 5}, order)
  end)

  it("of size 0 hands every value from task to task", function()
    local q = task.queue(0)
    local g <close> = task.group()
    local putting = settled(g:spawn(function() return q:put("x") end))
    assert.equal("waiting", putting.status)
    assert.equal("x", q:get())
    assert.same({true, true}, {putting:join()})
    local getting = settled(g:spawn(q.get, q))
    assert.is_true(q:put("y"))
    assert.same({true, "y"}, {getting:join()})
  end)

  it("gives up after a timeout, and has taken nothing then", function()
    local q = task.queue(1)
    assert.same({n = 2, nil, "timeout"}, table.pack(q:get("1ms")))
    q:put(1)
    assert.same({n = 2, nil, "timeout"}, table.pack(q:put(2, "1ms")))
    assert.same({1}, drain(q))
    assert.is_true(q:put(3))
    assert.same({3}, drain(q))
  end)

  it("holds false, and refuses nil at the caller's line", function()
    local q = task.queue()
    q:put(false)
    assert.is_false(q:get())
    local _, err = pcall(function() q:put(nil) end)
    assert.matches("queue_spec.lua:%d+: q:put: a queue cannot hold nil", err)
    assert.has_error(function() task.queue(-1) end)
  end)

  it("ends a loop when it is closed and empty", function()
    local q, seen = task.queue(), {}
    local g <close> = task.group()
    g:spawn(function()
      for value in q:iter() do seen[#seen + 1] = value end
    end)
    for i = 1, 3 do q:put(i) task.yield() end
    q:put(4)
    q:close()
    g:join()
    assert.same({1, 2, 3, 4}, seen)
  end)

  it("wakes everybody when it is closed, and keeps what it holds", function()
    local getting, putting
    local empty, full = task.queue(), task.queue(1)
    full:put("kept")
    do
      local g <close> = task.group()
      g:spawn(function() getting = table.pack(empty:get()) end)
      g:spawn(function() putting = table.pack(full:put("lost")) end)
      task.yield()
      empty:close()
      full:close()
    end
    assert.same({n = 2, nil, "closed"}, getting)
    assert.same({n = 2, nil, "closed"}, putting)
    assert.same({n = 2, nil, "closed"}, table.pack(full:put("more")))
    assert.equal("kept", full:get())
    assert.same({n = 2, nil, "closed"}, table.pack(full:get()))
  end)

  it("closes at the end of a block", function()
    local outside
    do
      local q <close> = task.queue()
      outside = q
    end
    assert.same({nil, "closed"}, {outside:get()})
  end)

  it("loses nothing and doubles nothing while tasks come, are cancelled and time out", function()
    local q, put, got = task.queue(3), {}, {}
    local rounds, tasks = 300, {}
    local g <close> = task.group()
    math.randomseed(4)
    for i = 1, rounds do
      local timeout = math.random(3) == 1 and 0 or nil
      if math.random(2) == 1 then
        tasks[#tasks + 1] = g:spawn(function()
          if q:put(i, timeout) then put[#put + 1] = i end
        end)
      else
        tasks[#tasks + 1] = g:spawn(function()
          local value = q:get(timeout)
          if value then got[#got + 1] = value end
        end)
      end
      if math.random(4) == 1 then tasks[math.random(#tasks)]:cancel() end
      if math.random(5) == 1 then task.yield() end
    end
    q:close()
    g:join()
    for _, value in ipairs(drain(q)) do got[#got + 1] = value end
    table.sort(put)
    table.sort(got)
    assert.same(put, got)
  end)
end)
