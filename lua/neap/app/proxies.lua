-- Who the client is when proxies stand between: reads X-Forwarded-* and Forwarded, but only when the peer is a
-- trusted proxy, and only as far back as the chain of trusted proxies goes. The rest could be invented.
local ipaddr = require "neap.net.ipaddr"
local text = require "neap.text"

local proxies = {}

local MAX_HOPS = 64

-- All values of a list header, in order; nil when there is none.
local function list_of(headers, name)
  local values = headers:all(name)
  if not values or #values == 0 then return nil end
  local list = text.split_quoted(table.concat(values, ","), ",")
  return #list > 0 and #list <= MAX_HOPS and list or nil
end

-- for=192.0.2.1;proto=https;host="example.com" -> {for_=, proto=, host=}
local function parse_element(element)
  local fields = {}
  for _, pair in ipairs(text.split_quoted(element, ";")) do
    local name, value = pair:match("^(%w+)%s*=%s*(.+)$")
    if name then
      value = value:match('^"(.*)"$') or value
      fields[name:lower()] = value:gsub("\\(.)", "%1")
    end
  end
  return fields
end

-- The lists of both families of headers, each from the farthest hop to the nearest.
local function read_x(headers)
  return {
    addresses = list_of(headers, "x-forwarded-for"),
    protos = list_of(headers, "x-forwarded-proto"),
    hosts = list_of(headers, "x-forwarded-host"),
  }
end

local function read_standard(headers)
  local elements = list_of(headers, "forwarded")
  if not elements then return {} end
  local lists = {addresses = {}, protos = {}, hosts = {}}
  for i, element in ipairs(elements) do
    local fields = parse_element(element)
    lists.addresses[i] = fields["for"] or "unknown"
    lists.protos[i] = fields.proto or ""
    lists.hosts[i] = fields.host or ""
  end
  return lists
end

-- Walks from the nearest hop outwards. Returns the client's address and how many hops away it is.
local function walk(addresses, peer, is_trusted)
  local ip, hops = peer, 0
  for i = #addresses, 1, -1 do
    local address = ipaddr.strip_port(addresses[i])
    if not address then break end -- "unknown" or nonsense: what we have is the best that is known
    ip, hops = address, hops + 1
    if not is_trusted(address) then break end
  end
  return ip, hops
end

-- What the proxy `hops` away said; a shorter list was written by fewer proxies.
local function element_at(list, hops)
  return list and list[math.max(1, #list - math.max(hops, 1) + 1)]
end

local function usable_proto(proto)
  proto = proto and proto:lower()
  return (proto == "http" or proto == "https") and proto or nil
end

local function usable_host(host)
  return host and host:find("^[%w._-]+:?%d*$") and host or host and host:find("^%[[%x:.]+%]:?%d*$") and host or nil
end

---What the trusted proxies say about the client. When both families of headers are there and disagree about the
---address, one of them was sent by the client itself, and neither is believed.
---@param peer string? the address of the peer
---@param headers {all: fun(self, name: string): string[]?}
---@param is_trusted fun(address: string?): boolean
---@return {ip: string?, scheme: string?, host: string?} # nil where nothing is known
function proxies.client(peer, headers, is_trusted)
  if not is_trusted(peer) then return {} end
  local x, standard = read_x(headers), read_standard(headers)
  local chosen = x.addresses and x or standard.addresses and standard or x
  local ip, hops = walk(chosen.addresses or {}, peer, is_trusted)
  if x.addresses and standard.addresses and walk(standard.addresses, peer, is_trusted) ~= ip then return {} end
  return {
    ip = ip,
    scheme = usable_proto(element_at(chosen.protos, hops)),
    host = usable_host(element_at(chosen.hosts, hops)),
  }
end

return proxies
