-- Moves files of core/, lua/neap/ and spec/, and renames what is in them, by the tables beside this script:
--
--   build/neap exec spec/support/move/run.lua      in the root of a checkout without uncommitted changes; lua does it as well
--
-- What has been moved already stays as it is.
--
-- A branch from before the moves is brought over it like this: rebase it to the commit before them, run this
-- script on it, commit, and rebase that commit's work on main (git rebase --strategy-option=theirs helps with
-- lines that only the script changed).
package.path = "spec/support/move/?.lua;" .. package.path
local files = require "files"
local modules = require "modules"
local names = require "names"
local specs = require "specs"
local statics = require "statics"

-- A pause between two files, for the watchdog of neap.
local in_neap, task = pcall(require, "neap.task")

local function pause()
  if in_neap then task.sleep(0) end
end

local function lines_of(command)
  local list = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  assert(pipe:close(), command)
  return list
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- ---- files ----

local function move(path, target)
  os.execute("mkdir -p " .. target:match("^(.*)/"))
  assert(os.execute(("git mv %s %s"):format(path, target)))
end

-- The new path of a file, nil when it stays.
local function target_of(path)
  local stem, ending = path:match("^core/(.*)(%.[ch])$")
  if files[stem] then return "core/" .. files[stem] .. ending end
  local module = modules[path:match("^lua/neap/([%w_]+)%.lua$")]
  if module then return "lua/neap/" .. module .. ".lua" end
  local spec = specs[path:match("^spec/(.*)$")]
  return spec and "spec/" .. spec
end

local function move_files()
  for _, path in ipairs(lines_of("git ls-files core lua/neap spec")) do
    local target = target_of(path)
    if target then move(path, target) end
    pause()
  end
end

-- ---- text ----

local function new_path(stem, ending)
  return files[stem] and files[stem] .. ending
end

-- "script/task.h" wherever it stands, with "core/" before it or not; what lies in core/ itself only with it.
local function rewrite_paths(text)
  return (text:gsub("()([%w_/]*)(%.[ch])%f[^%w_]", function(_, stem, ending)
    local inner = stem:match("^core/(.*)$")
    local new = new_path(inner or stem, ending)
    if new and (inner or stem:find("/")) then return (inner and "core/" or "") .. new end
  end))
end

local function rewrite_includes(text)
  return (text:gsub('(#include ")([%w_/]+)(%.h")', function(head, stem, tail)
    return head .. (files[stem] or stem) .. tail
  end))
end

local function sort_includes(text)
  local out, block = {}, {}
  local function flush()
    table.sort(block)
    table.move(block, 1, #block, #out + 1, out)
    block = {}
  end
  for line in text:gmatch("([^\n]*)\n") do
    if line:find('^#include "') then
      block[#block + 1] = line
    else
      flush()
      out[#out + 1] = line
    end
  end
  flush()
  return table.concat(out, "\n") .. "\n"
end

local function rewrite_guard(path, text)
  local guard = path:match("^core/(.*%.h)$")
  local old = guard and text:match("\n#ifndef ([%w_]+_H)\n#define")
  if not old then return text end
  return (text:gsub("%f[%w_]" .. old .. "%f[^%w_]", (guard:upper():gsub("[/.]", "_"))))
end

-- Names of functions, but not those of files: "request_body" and not "request_body.c".
local function rewrite_names(text)
  return (text:gsub("()%f[%w_]([%a_][%w_]*)%f[^%w_]()", function(from, name, to)
    if names[name] and not text:find("^%.[ch]%f[^%w]", to) and text:sub(from - 1, from - 1) ~= "/" then
      return names[name]
    end
  end))
end

-- Functions of one file: where they are called, defined or handed over, and not members or variables of that name.
-- A new name that ends in "()" is for calls only.
local function rewrite_statics(text, map)
  return (text:gsub("()%f[%w_]([%a_][%w_]*)%f[^%w_]()", function(from, name, to)
    local new = map[name]
    if not new then return nil end
    local before = text:sub(math.max(from - 200, 1), from - 1)
    if before:find("%.$") or before:find("%->$") then return nil end
    if text:find("^%(", to) then return (new:gsub("%(%)$", "")) end
    local is_given = text:find("^[,;)}]", to) and before:find("[=,({&?:]%s*$") and not new:find("%(%)$")
    return is_given and new or nil
  end))
end

-- ---- modules of Lua, and specs ----

-- What C names of them without `require`.
local IN_C = {loader = true, portable = true}

local function module_name(name)
  return modules[name] and "neap." .. modules[name]:gsub("/", ".")
end

-- `require "neap.x"` in all its forms, also inside texts; not the same name elsewhere, which may be a topic or a type.
local function rewrite_requires(text)
  for _, head in ipairs {"%f[%w_]require%s*%(?%s*", "%f[%w_]require%s*,%s*"} do
    text = text:gsub("(" .. head .. "\\?[\"'])neap%.([%w_]+)(\\?[\"'])", function(before, name, after)
      local new = module_name(name)
      return new and before .. new .. after
    end)
  end
  return text
end

local function rewrite_modules_in_c(text)
  return (text:gsub('"neap%.([%w_]+)"', function(name)
    return IN_C[name] and '"' .. module_name(name) .. '"'
  end))
end

-- "lua/neap/x.lua", "%s/neap/x.lua", "neap/x.lua"
local function rewrite_module_paths(text)
  return (text:gsub("(%f[%w_]neap/)([%w_]+)(%.lua)%f[^%w_]", function(before, name, after)
    return modules[name] and before .. modules[name] .. after
  end))
end

local function rewrite_spec_paths(text)
  return (text:gsub("(%f[%w_]spec/)([%w_/]+%.%w+)", function(before, path)
    return specs[path] and before .. specs[path]
  end))
end

-- A header that lay beside a test in C, and does not any more.
local function rewrite_spec_includes(path, text)
  local mine = path:match("^spec/(unit/%w+)/")
  if not mine then return text end
  return (text:gsub('(#include ")([%w_]+%.h)(")', function(head, name, tail)
    local new = specs["unit/" .. name]
    local folder = new and new:match("^(.*)/")
    if folder and folder ~= mine then return head .. "../" .. new:gsub("^unit/", "") .. tail end
  end))
end

local function rewrite(path)
  local old = read(path)
  local is_c = path:find("%.[ch]$")
  local text = rewrite_spec_paths(rewrite_module_paths(rewrite_requires(old)))
  if is_c then text = rewrite_includes(rewrite_spec_includes(path, rewrite_modules_in_c(text))) end
  text = rewrite_paths(text)
  if is_c then
    text = rewrite_guard(path, rewrite_names(sort_includes(text)))
    text = rewrite_statics(text, statics[path:match("^core/(.*)$")] or {})
  elseif path:find("%.md$") then
    text = text:gsub("`([^`\n]+)`", function(code) return "`" .. rewrite_names(code) .. "`" end)
  end
  if text ~= old then write(path, text) end
end

move_files()
for _, path in ipairs(lines_of("git ls-files")) do
  if not path:find("^spec/support/move/") and not path:find("^core/DECISIONS") and
    not path:find("^core/decisions/") then rewrite(path) end
  pause()
end
