-- The little of cryptography that web programs need, on OpenSSL, and base64. Digests and random values are raw
-- bytes: `crypto.hex` and `crypto.base64` make text of them.
local core = require "neap.core"

---@class neap.crypto
local crypto = {}

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
---local signature = crypto.hmac("secret", "user=42")
---assert(crypto.equal(signature, crypto.hmac("secret", "user=42")))
---```
---@param key string
---@param data string
---@return string # 32 bytes
crypto.hmac = core.hmac

---The SHA-256 of `data`.
---```lua
---local crypto = require "neap.crypto"
---assert(crypto.hex(crypto.sha256("abc")):sub(1, 8) == "ba7816bf")
---```
---@param data string
---@return string # 32 bytes
crypto.sha256 = core.sha256

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
  return (data:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

return crypto
