-- JSON: Lua data to text and back, with 64-bit integers kept exact. The work is done in C (core/value/json.c).
local core = require("neap.core").json

---@class neap.json
local json = {}

---JSON's `null`, which a table can hold while `nil` cannot. `tostring(json.null)` is `"null"`. It is true in a
---condition: compare with `== json.null`.
---```lua
---local json = require "neap.json"
---assert(json.decode('{"a":null}').a == json.null)
---```
---@type userdata
json.null = core.null

---Encodes a value. A table with the keys 1..n is an array; any other is an object, whose keys must be strings; an
---empty one is `{}` unless `json.array` marked it. Metamethods are not used. Raises, naming the place, for what
---JSON cannot say: functions and the like, strings that are not UTF-8, nan and infinities, lists with holes, mixed
---keys, more than 128 levels (or a table that contains itself).
---```lua
---local json = require "neap.json"
---assert(json.encode({1, 2.5, "three"}) == '[1,2.5,"three"]')
---```
---@param value any
---@param options? {pretty?: boolean} pretty: one item a line, indented by two spaces
---@return string
json.encode = core.encode

---Decodes a text. Integers that fit 64 bits stay integers, other numbers become floats; of equal keys the last
---one counts; arrays are marked as by `json.array`, so that `[]` is written as `[]` again.
---```lua
---local json = require "neap.json"
---local value, err = json.decode('{"id": 12345678901234567')
---assert(value == nil and err == "unexpected end of data at byte 25 (line 1)")
---```
---@param text string
---@return any value nil when the text is not JSON; JSON's own null is `json.null`
---@return string? err what is wrong and at which byte, counted from 1; or that it has more than 128 levels
json.decode = core.decode

---Marks a table as an array, so that it is written as `[]` even when it is empty. The mark is the metatable; a
---table that has another one raises.
---```lua
---local json = require "neap.json"
---assert(json.encode({items = json.array()}) == '{"items":[]}')
---```
---@generic T: table
---@param list? T default: a new table
---@return T # the same table
json.array = core.array

return json
