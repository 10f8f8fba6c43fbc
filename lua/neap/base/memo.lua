-- Remembers what a function said about a text, for texts that come again and again: the Accept headers of a few kinds
-- of client, the names of headers. What clients may choose has to be forgotten too, so memory and work stay bounded.

local MOST = 256    -- answers; then all are forgotten, which is simpler than to ask which was used last
local LONGEST = 256 -- bytes of a text that is kept

---A function that answers as `fn` does, and calls it only for what it does not remember.
---@generic T
---@param fn fun(text: string): T? its answer depends on the text alone; nil and errors are not remembered
---@return fun(text: string): T?
return function(fn)
  local known, count = {}, 0
  return function(text)
    local answer = known[text]
    if answer ~= nil then return answer end
    answer = fn(text)
    if answer == nil or #text > LONGEST then return answer end
    if count == MOST then known, count = {}, 0 end
    known[text], count = answer, count + 1
    return answer
  end
end
