-- A certificate that nobody else trusts, for servers that speak TLS.
--
--   local made = certificate.make(dir)     -- or pending, when certificate.is_missing()
--   made.cert  made.key                    -- files in that folder; for "localhost" and 127.0.0.1
-- needs: openssl
local command = require "spec.support.command"

local certificate = {}

---@return boolean
function certificate.is_missing()
  return not command.exists "openssl"
end

---@param dir string
---@param name string? default "localhost"
---@return {cert: string, key: string}
---@async
function certificate.make(dir, name)
  name = name or "localhost"
  local made = {cert = ("%s/%s.pem"):format(dir, name), key = ("%s/%s.key"):format(dir, name)}
  local result = command.run(([[openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout '%s' -out '%s' -days 2 -subj /CN=%s -addext 'subjectAltName=DNS:%s,IP:127.0.0.1']]):format(
    made.key, made.cert, name, name))
  assert(result.code == 0, result.err)
  return made
end

return certificate
