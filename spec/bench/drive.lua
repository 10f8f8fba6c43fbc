-- luacheck: globals wrk init done
-- What wrk sends, chosen by the first argument after `--`, and one line of numbers for `run` at the end.
-- The request is built once: while measuring, wrk runs no Lua.
local shapes = {
  plain = function() end,
  close = function() wrk.headers["Connection"] = "close" end,
  echo = function()
    wrk.method = "POST"
    wrk.body = ("0123456789abcdef"):rep(64) -- 1 KiB
    wrk.headers["Content-Type"] = "text/plain"
  end,
  pipeline = function()
    local format = wrk.format
    wrk.format = function() return format():rep(16) end
  end,
}

function init(args) shapes[args[1]]() end

function done(summary)
  local e = summary.errors
  print(("numbers %d %d %d"):format(summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
