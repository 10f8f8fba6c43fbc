-- Cancelling what has its rows in this folder: it parks in a database or for another server.
-- needs: redis-server openssl postgresql
local matrix = require "spec.support.matrix"

matrix.run("data", _ENV)
