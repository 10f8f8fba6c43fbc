std = "lua54"
max_code_line_length = 120
max_comment_line_length = false -- an annotation is one line, however much it says
max_string_line_length = 140
self = false -- a method need not use its object

exclude_files = {"build"}

files["spec"].std = "lua54+busted"
files["spec"].max_code_line_length = 140 -- tables of cases
files["spec"].ignore = {"211/.*"} -- a `<close>` variable works by being there

-- The global functions of a file controller are its actions, and these tables hold those of other verbs.
files["apps/*/controllers"] = {
  allow_defined_top = true,
  ignore = {"131"}, -- "unused global": URLs use them
  read_globals = {"neap", "app"},
  globals = {"post", "put", "patch", "delete", "any", "ws", "sse"},
}
