-- What parks in neap.crypto.
local core = require "neap.core"

return {
  {"core.scrypt", function() -- with little work, for hash_password and verify_password
    return {park = function() return core.scrypt("secret", "salt", 4, 1, 1) end}
  end},
}
