-- The little of cryptography that web programs need, on OpenSSL, and base64. Random values, and digests unless asked
-- otherwise, are raw bytes: `crypto.hex` and `crypto.base64` make text of them.
local core = require "neap.core"
local password_hash = require "neap.crypto.password"
local text = require "neap.text"

---@class neap.crypto
local crypto = {}

local function in_form(bytes, form, level)
  if form == nil or form == "raw" then return bytes end
  if form == "hex" then return text.hex(bytes) end
  if form == "base64" then return core.base64(bytes) end
  error(('a digest is "raw", "hex" or "base64", not %s'):format(text.quote(form)), level + 1)
end

local function check_password(password, level)
  if type(password) ~= "string" then error("a password is a string, not a " .. type(password), level + 1) end
end

---Unpredictable bytes, good for keys and tokens.
---```lua
---local crypto = require "neap.crypto"
---local token = crypto.base64(crypto.random(32), true)
---assert(#token == 43)
---```
---@param count integer bytes, 0 to 1048576
---@return string
crypto.random = core.random

---The HMAC-SHA-256 of `data`: proof that whoever made it knows `key`. Compare with `crypto.equal`.
---```lua
---local crypto = require "neap.crypto"
---local signature = crypto.hmac("secret", "user=42", "hex")
---assert(crypto.equal(signature, crypto.hmac("secret", "user=42", "hex")))
---```
---@param key string
---@param data string
---@param form ("raw"|"hex"|"base64")? default "raw": 32 bytes
---@return string
function crypto.hmac(key, data, form)
  return (in_form(core.hmac(key, data), form, 2))
end

---The SHA-256 of `data`.
---```lua
---local crypto = require "neap.crypto"
---assert(crypto.sha256("abc", "hex"):sub(1, 8) == "ba7816bf")
---```
---@param data string
---@param form ("raw"|"hex"|"base64")? default "raw": 32 bytes
---@return string
function crypto.sha256(data, form)
  return (in_form(core.sha256(data), form, 2))
end

---Whether two strings are equal, in a time that tells nothing about where they differ (but may about their length).
---```lua
---assert(not require("neap.crypto").equal("secret", "guess"))
---```
---@param a string
---@param b string
---@return boolean
crypto.equal = core.equal

---Base64.
---```lua
---assert(require("neap.crypto").base64("hi?>") == "aGk/Pg==")
---```
---@param data string
---@param url? boolean the alphabet that is safe in URLs and cookies (`-` and `_`), without padding
---@return string
crypto.base64 = core.base64

---Decodes base64. Strict: each value has one text only.
---```lua
---assert(require("neap.crypto").unbase64("aGk_Pg", true) == "hi?>")
---```
---@param text string
---@param url? boolean the URL alphabet; padding may be there or not
---@return string? # nil when the text is not base64
crypto.unbase64 = core.unbase64

---Bytes as hexadecimal text, in lower case.
---```lua
---assert(require("neap.crypto").hex("\1\255") == "01ff")
---```
---@param data string
---@return string
function crypto.hex(data)
  return text.hex(data)
end

---A password made unrecognisable, to be stored: scrypt with a random salt, as text that names its parameters. It takes a
---tenth of a second and 16 MB on purpose, on a thread of its own.
---```lua
---local crypto = require "neap.crypto"
---local stored = crypto.hash_password("correct horse")
---assert(stored:find("^%$scrypt%$ln=14,r=8,p=5%$"))
---assert(crypto.verify_password("correct horse", stored))
---```
---@param password string
---@return string stored
---@async
function crypto.hash_password(password)
  check_password(password, 2)
  return (password_hash.make(password))
end

---Whether a password is the one that was stored. For a user who does not exist pass nil: it takes as long, and so does
---not tell who exists.
---```lua
---local crypto = require "neap.crypto"
---local users = {ada = crypto.hash_password("correct horse")}
---local is_right, is_outdated = crypto.verify_password("correct horse", users.ada)
---assert(is_right and not is_outdated)
---assert(not crypto.verify_password("a guess", users.nobody))
---```
---@param password string
---@param stored string? what `hash_password` gave; anything else is never right
---@return boolean is_right
---@return boolean? is_outdated it is right, but `hash_password` is more thorough now: store it again
---@async
function crypto.verify_password(password, stored)
  check_password(password, 2)
  return password_hash.verify(password, stored)
end

return crypto
