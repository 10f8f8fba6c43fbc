-- A limit on processes: threads that must exist start with the server, which says why it cannot; the rest is an error to who
-- asked. The limit counts what a user has, so each run is of a user of its own, whom only root can be.
local server = require "spec.support.server"

local APP = [[
  local neap = require "neap"
  local task = require "neap.task"
  local app = neap.app()
  local ways = {}
  function ways.names() return neap.net.connect("localhost", 1) end
  function ways.http() return neap.http.get("http://localhost:1/", {timeout = "5s"}) end
  function ways.thread() return task.thread("work", "double", 21) end
  function ways.password() return neap.crypto.hash_password("secret") end
  function ways.sqlite()
    local db <close> = assert(neap.sqlite.open(":memory:"))
    return db:query("SELECT 1 AS one")
  end
  function ways.tls() return neap.net.connect("localhost", 1, {tls = true}) end
  app:get("/way/:name", function(req)
    local ok, value, why = pcall(ways[req.params.name])
    return ok and (value and "done" or "not done: " .. tostring(why)) or "failed: " .. tostring(value)
  end)
  app:get("/", function() return "alive" end)
  return app
]]

local WAYS = {"names", "http", "thread", "password", "sqlite", "tls"}
local FIRST_USER = 61000

-- Runs what follows as somebody who may have `most` threads.
local function limited(most)
  local id = FIRST_USER + most
  return ("chmod -R a+rwX . && exec setpriv --reuid=%d --regid=%d --clear-groups prlimit --nproc=%d:%d \z
    env NEAP_STATE=\"$PWD\" sh -c '\"$@\"' x"):format(id, id, most, most)
end

local function is_root()
  return os.execute("test $(id -u) = 0 && command -v setpriv prlimit >/dev/null")
end

describe("a limit on processes", function()
  after_each(server.stop_all)

  for most = 1, 10 do
    it(("leaves %d threads: the server says that it cannot start, or serves"):format(most), function()
      if not is_root() then return pending("needs root, setpriv and prlimit") end
      local s = server.spawn({"run", "--port", "0", "--workers", "2", "app.lua"}, {
        files = {["app.lua"] = APP, ["work.lua"] = "return {double = function(n) return 2 * n end}"}, prefix = limited(most),
      })
      local ready = server.poll(30, function() return s:output():match("http://[^%s,]*:(%d+)") or s:code() end)
      if s:code() then
        assert.is_true(s:code() > 0 and s:code() < 128, ("exit code %d: %s"):format(s:code(), s:log()))
        assert.matches("thread", s:log())
        s:stop("TERM") -- it has ended
        return s:remove()
      end
      s.port = tonumber(ready)
      for _, way in ipairs(WAYS) do
        local status, body = s:get("/way/" .. way)
        assert.equal(200, status, way .. ": " .. s:log())
        assert.is_truthy(body:find("^done") or body:find("^not done: .") or body:find("^failed: ."), way .. ": " .. body)
      end
      assert.equal("alive", (select(2, s:get("/"))))
      assert.equal(0, s:stop("TERM"), s:log())
    end)
  end
end)
