-- neap test apps/monitor
local neap = require "neap"
local test = require "neap.test"

local APP = debug.getinfo(1, "S").source:match("^@(.*)/spec/")

describe("monitor", function()
  local dir, client, db

  before_each(function()
    dir = os.tmpname()
    assert(os.remove(dir))
    neap.config.app.monitor_data = dir
    neap.store("monitor"):clear()
    client = test.client(APP)
    db = client.app.state.db
  end)

  after_each(function()
    client:close()
    neap.config.app.monitor_data = nil
    os.execute(("rm -r '%s'"):format(dir))
  end)

  local function texts()
    local list = {}
    for i, task in ipairs(client.app.state.tasks()) do list[i] = task.text end
    return list
  end

  it("adds, renames, ticks off, opens again and deletes", function()
    local answer = client:post("/task/add", {form = {text = "buy <milk>"}})
    assert.same({303, "/"}, {answer.status, answer.headers.location})
    assert.truthy(client:get("/").body:find("<span>buy &lt;milk&gt;</span>", 1, true))
    assert.truthy(client:get("/task/edit/1").body:find('value="buy &lt;milk&gt;"', 1, true))

    assert.equal(303, client:post("/task/rename/1", {form = {text = "buy bread"}}).status)
    assert.same({"buy bread"}, texts())
    client:post("/task/tick/1", {form = {done = "1"}})
    assert.truthy(client.app.state.task(1).done_at)
    client:post("/task/tick/1", {form = {done = "0"}})
    assert.is_nil(client.app.state.task(1).done_at)

    assert.equal(303, client:post("/task/delete/1").status)
    assert.same({}, texts())
  end)

  it("refuses what is no task", function()
    assert.equal(422, client:post("/task/add", {form = {text = " "}}).status)
    assert.equal(422, client:post("/task/add", {form = {other = "x"}}).status)
    assert.equal(422, client:post("/task/add", {form = {text = "\xff"}}).status)
    assert.equal(422, client:post("/task/add", {form = {text = ("x"):rep(201)}}).status)
    assert.equal(400, client:post("/task/add", {body = "text"}).status)
    assert.equal(404, client:get("/task/edit/7").status)
    assert.equal(404, client:post("/task/tick/x", {form = {done = "1"}}).status)
    db:exec("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 500) "
      .. "INSERT INTO task (text) SELECT 'task' FROM n")
    assert.equal(409, client:post("/task/add", {form = {text = "one too many"}}).status)
  end)

  it("tells who listens, also of what another program does to the file", function()
    local cursor = client:get("/").body:match('data%-cursor="([^"]+)"')
    local socket <close> = client:ws("/task/live?after=" .. cursor)
    db:exec("INSERT INTO task (text) VALUES ('water the plants')")
    test.advance("500ms")
    local message = neap.json.decode((socket:recv("5s")))
    assert.equal(1, message.data.id)
    assert.truthy(message.data.html:find("<span>water the plants</span>", 1, true))

    socket:close()
    db:exec("DELETE FROM task")
    test.advance("1s")
    local again <close> = client:ws("/task/live?after=" .. message.cursor)
    message = neap.json.decode((again:recv("5s")))
    assert.same({id = 1, version = 2}, message.data)
  end)

  it("purges what was ticked off for a day, every minute", function()
    local now = os.time()
    for text, done_at in pairs {yesterday = now - 25 * 3600, today = now - 23 * 3600} do
      db:exec("INSERT INTO task (text, done_at) VALUES (?, ?)", text, done_at)
    end
    db:exec("INSERT INTO task (text) VALUES ('open')")
    test.advance("59s")
    assert.equal(3, #texts())
    test.advance("1s")
    assert.truthy(test.eventually(function() return #texts() == 2 end))
    local left = texts()
    table.sort(left)
    assert.same({"open", "today"}, left)
  end)

  it("keeps its tasks when it starts again", function()
    client:post("/task/add", {form = {text = "stay"}})
    client:close()
    client = test.client(APP)
    db = client.app.state.db
    assert.same({"stay"}, texts())
  end)
end)
