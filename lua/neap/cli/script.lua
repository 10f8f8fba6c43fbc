-- `neap exec FILE`: runs a script as the main task; what it returns becomes the exit code.
local trace = require "neap.base.trace"

local script = {}

local TRACEBACK_LINES = 30

-- nothing or true: 0, false: 1, a number: itself, `nil, err`: 1 and the message.
local function exit_code(file, result, err)
  if result == nil and err ~= nil then return 1, ("neap: %s: %s\n"):format(file, tostring(err)) end
  if result == nil or result == true then return 0 end
  if math.type(result) == "integer" and result >= 0 and result <= 255 then return result end
  if result == false then return 1 end
  return 1, ("neap: %s: a script returns an exit code from 0 to 255, true, false or nothing, not %s\n"):format(
    file, type(result) == "number" and tostring(result) or "a " .. type(result))
end

local function report(err)
  local lines = trace.short(debug.traceback("", 2), TRACEBACK_LINES)
  return "neap: " .. trace.describe(err) .. "\n" .. (lines ~= "" and "stack traceback:\n" .. lines or "")
end

---@param file string
---@param ... string its arguments, which it finds in `arg`
---@return integer exit_code
---@return string? message for stderr
---@async
function script.run(file, ...)
  local chunk, err = loadfile(file, "t")
  if not chunk then return 1, ("neap: %s\n"):format(err) end
  rawset(_G, "arg", {[0] = file, ...})
  local dir = file:match("^(.*)/[^/]*$")
  if dir then package.path = ("%s/?.lua;%s/?/init.lua;%s"):format(dir, dir, package.path) end
  local results = table.pack(xpcall(chunk, report, ...))
  if not results[1] then return 1, results[2] end
  return exit_code(file, results[2], results[3])
end

return script
