-- What parks until something is published.
local neap = require "neap"
local topic = require "neap.topic"

return {
  {"neap.Topic:wait", function()
    local t = topic("cancel." .. tostring({}))
    local cursor = t:cursor()
    return {
      park = function() return (t:wait {after = cursor}) end, complete = function() t:publish("item") end, keeps = true,
    }
  end},
  {"neap.Topic:messages", function()
    local t = topic("cancel." .. tostring({}))
    local cursor = t:cursor()
    return {
      park = function()
        return (t:messages {after = cursor}())
      end,
      complete = function() t:publish("item") end, keeps = true,
    }
  end},
  {"neap.Topics:wait", function()
    local a, b = topic("cancel.a." .. tostring({})), topic("cancel.b." .. tostring({}))
    local both = neap.topics {a, b}
    local cursor = select(3, both:wait {timeout = 0})
    return {
      park = function() return (both:wait {after = cursor}) end, complete = function() b:publish("item") end, keeps = true,
    }
  end},
  {"neap.Topics:messages", function()
    local a, b = topic("cancel.a." .. tostring({})), topic("cancel.b." .. tostring({}))
    local next_item = neap.topics({a, b}):messages()
    return {park = function() return (next_item()) end, complete = function() b:publish("item") end, keeps = true}
  end},
}
