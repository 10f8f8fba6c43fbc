-- What parks until a part of a form comes.
local core = require "neap.core"
local parking = require "spec.support.parking"

local FORM = "multipart/form-data; boundary=b"
local HEAD = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"

-- A form whose first part has begun; `send` ends it, sends another one and begins a third. What was left half read is
-- skipped by the next who wants a part.
local function parts(case, take)
  local req, send = parking.upload(case, FORM, parking.ENDLESS, HEAD .. "it")
  local next_part = req:multipart()
  return {
    park = function() return take(next_part()) end,
    complete = function() send("em\r\n" .. HEAD .. "item\r\n" .. HEAD .. "it") end,
    keeps = true,
  }
end

return {
  {"neap.Request:multipart", function(case)
    local req, send = parking.upload(case, FORM, parking.ENDLESS, "")
    local next_part = req:multipart()
    return {
      park = function() return next_part().name == "a" end, complete = function() send(HEAD .. "x\r\n") end, keeps = true,
    }
  end},
  {"neap.Part:chunks", function(case)
    return parts(case, function(part)
      local pieces = {}
      for piece in part:chunks() do pieces[#pieces + 1] = piece end
      return table.concat(pieces) == "item"
    end)
  end},
  {"neap.Part:body", function(case)
    return parts(case, function(part) return part:body() == "item" end)
  end},
  {"neap.Part:save", function(case)
    local path = os.tmpname()
    local folder, name = path:match("^(.*)/([^/]*)$")
    case:keep {close = function() os.remove(path) end}
    local row = parts(case, function(part) return part:save(path) == 4 end)
    row.whole = function() -- no half of a file is left
      for _, file in ipairs(core.list_dir(folder)) do
        if file:find(name .. ".", 1, true) then return false end
      end
      return true
    end
    return row
  end},
}
