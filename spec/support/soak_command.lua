-- What spec/soak/run starts: one soak by its name.
local soak = require "spec.support.soak"

local name, seconds, seed = ...
return soak.run(name, assert(tonumber(seconds), "seconds: a number"), math.tointeger(tonumber(seed or os.time())), print)
