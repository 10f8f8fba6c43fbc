-- Cancelling what has its rows in spec/unit; data/cancel_data_spec.lua and http/cancel_web_spec.lua of spec/server run the
-- others. And that no function of the API which may park is missing from all of these.
local matrix = require "spec.support.matrix"
local reference = require "neap.cli.reference"

-- What has no row of its own, and why.
local PARKS_AS_OTHERS_DO = {
  ["neap.keep"] = "in the function that it is given",
  ["neap.App:controllers"] = "in the files that it loads",
  ["neap.App:view"] = "in the template that it renders",
  ["neap.WebSocket:subscribe"] = "in what t:on was given",
  ["neap.crypto.hash_password"] = "in core.scrypt, which has a row",
  ["neap.crypto.verify_password"] = "in core.scrypt, too",
}
for _, name in ipairs {"request", "head", "put", "patch", "delete"} do
  PARKS_AS_OTHERS_DO["neap.http." .. name] = "as http.get"
end

-- The API for tests is made of neap.http, neap.net and sleeping.
local function is_for_tests(name)
  return name:find("^neap%.test%.") or name:find("^neap%.Test%u")
end

local function parks(entry)
  if entry.is_async then return true end
  for _, result in ipairs(entry.returns) do
    if result.type:find("^%(?async fun") then return true end -- an iterator
  end
  return false
end

-- Calls `fn` with the name of each function of the API that may park.
local function each_that_parks(fn)
  for _, file in ipairs(reference.read()) do
    for _, entry in ipairs(file.entries) do
      if entry.kind == "function" and entry.is_public and parks(entry) then fn(entry.class .. entry.separator .. entry.name) end
      for _, field in ipairs(entry.kind == "class" and entry.is_public and entry.fields or {}) do
        if field.type:find("^async fun%(self") then fn(entry.name .. ":" .. field.name) end
      end
    end
  end
end

-- The names of all rows, without what stands behind a comma.
local function covered()
  local names = {}
  for _, rows in ipairs(matrix.files()) do
    for _, row in ipairs(rows) do names[row[1]:match("^[^,]+")] = true end
  end
  return names
end

describe("the cancellation matrix", function()
  it("has a row for every function of the API that parks", function()
    local names, missing, count = covered(), {}, 0
    each_that_parks(function(name)
      count = count + 1
      if not names[name] and not PARKS_AS_OTHERS_DO[name] and not is_for_tests(name) then missing[#missing + 1] = name end
    end)
    assert.same({}, missing)
    assert.is_true(count > 90, "the reference is not read as it should be")
  end)
end)

matrix.run("unit", _ENV)
