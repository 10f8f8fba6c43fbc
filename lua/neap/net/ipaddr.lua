-- IP addresses and networks (CIDR), to decide whose forwarded headers to believe. An address is its 4 or 16
-- bytes in a string; IPv4 mapped into IPv6 (::ffff:1.2.3.4) is the IPv4 address.
local ipaddr = {}

local MAPPED = ("\0"):rep(10) .. "\255\255"

local function parse4(s)
  local a, b, c, d = s:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
  if not a then return nil end
  local bytes = {tonumber(a), tonumber(b), tonumber(c), tonumber(d)}
  for i, digits in ipairs {a, b, c, d} do
    if bytes[i] > 255 or (#digits > 1 and digits:sub(1, 1) == "0") then return nil end
  end
  return string.char(table.unpack(bytes))
end

-- "1:2:1.2.3.4" -> the bytes of these groups, or nil. An empty string has no groups.
local function parse_groups(s)
  local front, v4 = s:match("^(.-):?([^:]*%.[^:]*)$")
  local last = v4 and parse4(v4) or ""
  if v4 and last == "" then return nil end
  local groups = front or s
  if groups == "" then return last end
  local bytes = {}
  for group in (groups .. ":"):gmatch("([^:]*):") do
    if not group:find("^%x%x?%x?%x?$") then return nil end
    bytes[#bytes + 1] = (">I2"):pack(tonumber(group, 16))
  end
  return table.concat(bytes) .. last
end

local function parse6(s)
  s = s:match("^([^%%]+)%%[%w._-]+$") or s -- without the zone of a link-local address
  local head, tail = s:match("^(.-)::(.*)$")
  if not head then
    local bytes = parse_groups(s)
    return bytes and #bytes == 16 and bytes or nil
  end
  if tail:find("::", 1, true) or head:find(".", 1, true) then return nil end
  local front, back = parse_groups(head), parse_groups(tail)
  if not front or not back or #front + #back > 14 then return nil end
  return front .. ("\0"):rep(16 - #front - #back) .. back
end

---The bytes of an address.
---@param s string "192.0.2.1", "2001:db8::1"
---@return string? # 4 or 16 bytes; nil when it is no address
function ipaddr.parse(s)
  if #s > 64 then return nil end
  if not s:find(":", 1, true) then return parse4(s) end
  local bytes = parse6(s)
  if bytes and bytes:sub(1, 12) == MAPPED then return bytes:sub(13) end
  return bytes
end

---The address in what a proxy wrote: "192.0.2.1:4711", "[2001:db8::1]:80" or just an address.
---@param s string
---@return string? # the text of the address alone; nil when there is none
function ipaddr.strip_port(s)
  local address = s:match("^%[([%x:.]+)%]$") or s:match("^%[([%x:.]+)%]:%d+$") or s:match("^([%d.]+):%d+$") or s
  return ipaddr.parse(address) and address or nil
end

-- Whether the first `bits` of two addresses of equal length agree.
local function shares_prefix(a, b, bits)
  local whole = bits // 8
  if a:sub(1, whole) ~= b:sub(1, whole) then return false end
  local rest = bits % 8
  if rest == 0 then return true end
  return a:byte(whole + 1) >> (8 - rest) == b:byte(whole + 1) >> (8 - rest)
end

---A network.
---@param s string "10.0.0.0/8", "fd00::/8", or a single address
---@return {bytes: string, bits: integer}? network
---@return string? err what is wrong with it
function ipaddr.network(s)
  local address, bits_text = s:match("^([^/]+)/(%d%d?%d?)$")
  local bytes = ipaddr.parse(address or s)
  if not bytes then return nil, ('"%s" is not an address, nor a network such as "10.0.0.0/8"'):format(s) end
  local bits = tonumber(bits_text) or #bytes * 8
  if #bytes == 4 and bits_text and s:find(":", 1, true) then bits = bits - 96 end -- ::ffff:0:0/96
  if bits < 0 or bits > #bytes * 8 then
    return nil, ('"%s": a prefix has at most %d bits here'):format(s, #bytes * 8)
  end
  return {bytes = bytes, bits = bits}
end

---A function that says whether an address is in one of the networks. "unix" stands for peers without an
---address (unix sockets). Raises when an entry cannot be understood.
---@param list string[] networks, addresses, "unix"
---@param what string names the setting in the message
---@return fun(address: string?): boolean
function ipaddr.matcher(list, what)
  local networks, has_unix = {}, false
  for i, entry in ipairs(list) do
    if entry == "unix" then
      has_unix = true
    else
      local network, err = ipaddr.network(entry)
      if not network then error(("%s[%d]: %s"):format(what, i, err), 0) end
      networks[#networks + 1] = network
    end
  end
  return function(address)
    local bytes = address and ipaddr.parse(address)
    if not bytes then return has_unix and (address == nil or address == "" or address == "unix") end
    for _, network in ipairs(networks) do
      if #bytes == #network.bytes and shares_prefix(bytes, network.bytes, network.bits) then return true end
    end
    return false
  end
end

return ipaddr
