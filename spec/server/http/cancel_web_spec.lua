-- Cancelling what has its rows in spec/server, but not in its folder data/: what parks while a request is answered.
local matrix = require "spec.support.matrix"

matrix.run("web", _ENV)
