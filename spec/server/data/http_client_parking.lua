-- What parks in the HTTP client.
local http = require "neap.http"
local task = require "neap.task"
local upstream = require "spec.support.upstream"

-- An answer whose body comes as the function that is returned beside it sends it.
local function streaming(case)
  local server
  local up = case:keep(upstream.start(function(socket)
    upstream.request(socket)
    server = socket
    socket:send("HTTP/1.1 200 OK\r\n\r\n")
    socket:recv()
  end))
  local answer = case:keep(assert(http.get(up.url, {stream = true})))
  return answer, function(piece) server:send(piece) end
end

return {
  {"neap.http.get", function(case)
    local up = case:keep(upstream.start(upstream.answering(upstream.ok("hello"))))
    return {park = function()
      local answer = http.get(up.url)
      return answer and answer.body
    end}
  end},
  {"neap.http.post, of an iterator", function(case)
    local up = case:keep(upstream.start(function(socket)
      socket:read_until("\r\n0\r\n\r\n")
      socket:send(upstream.ok("hello"))
    end))
    return {park = function()
      local pieces = 0
      local answer = http.post(up.url, {body = function()
        pieces = pieces + 1
        task.yield()
        return pieces < 3 and "piece" or nil
      end})
      return answer and answer.body
    end}
  end},
  {"neap.HttpResponse:read_chunk", function(case)
    local answer, send = streaming(case)
    return {park = function() return answer:read_chunk() end, complete = function() send("item") end, keeps = true}
  end},
  {"neap.HttpResponse:chunks", function(case)
    local answer, send = streaming(case)
    return {park = function() return answer:chunks()() end, complete = function() send("item") end, keeps = true}
  end},
}
