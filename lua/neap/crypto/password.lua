-- Passwords as they are stored: "$scrypt$ln=14,r=8,p=5$salt$key", the form of the Password Hashing Competition. The
-- work is core/bind/bind_scrypt.c's. Applications call `crypto.hash_password` and `crypto.verify_password`.
local core = require "neap.core"

local password = {}

-- One of the settings that OWASP recommends: 16 MB, about a tenth of a second.
local COST = {ln = 14, r = 8, p = 5}
local SALT_BYTES = 16
local AT_A_TIME = 4 -- per worker: a flood of logins must not take all threads of the pool from others

local turns -- a semaphore, made when first needed

local function derive(text, salt, cost)
  local task = require "neap.task" -- not at the top: task.thread has crypto, but cannot wait
  turns = turns or task.semaphore(AT_A_TIME)
  local _ <close> = turns:acquire()
  return core.scrypt(text, salt, cost.ln, cost.r, cost.p)
end

local function encode(bytes)
  return (core.base64(bytes):gsub("=+$", ""))
end

local function decode(text)
  return core.unbase64(text .. ("="):rep(-#text % 4))
end

---@param text string
---@return string
---@async
function password.make(text)
  local salt = core.random(SALT_BYTES)
  local key = derive(text, salt, COST)
  return ("$scrypt$ln=%d,r=%d,p=%d$%s$%s"):format(COST.ln, COST.r, COST.p, encode(salt), encode(key))
end

-- {ln, r, p}, salt, key; nil when it is none of ours.
local function parse(stored)
  if type(stored) ~= "string" then return nil end
  local ln, r, p, salt, key = stored:match("^%$scrypt%$ln=(%d%d?),r=(%d%d?),p=(%d%d?)%$([%w+/]+)%$([%w+/]+)$")
  salt, key = salt and decode(salt), key and decode(key)
  if not salt or not key then return nil end
  return {ln = tonumber(ln), r = tonumber(r), p = tonumber(p)}, salt, key
end

---@param text string
---@param stored string?
---@return boolean is_right
---@return boolean? is_outdated
---@async
function password.verify(text, stored)
  local cost, salt, key = parse(stored)
  if not cost then
    derive(text, core.random(SALT_BYTES), COST) -- takes as long as a wrong password
    return false
  end
  if not core.equal(derive(text, salt, cost), key) then return false end
  return true, cost.ln ~= COST.ln or cost.r ~= COST.r or cost.p ~= COST.p
end

return password
