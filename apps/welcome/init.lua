-- The page that a fresh server shows at /: what is running, and what to do next.
--
--   neap run
--   curl localhost:8080/                        # -> <h1>neap is running</h1>
--   curl localhost:8080/default/example/hello   # -> app:get
local app = ...

-- The examples of the checkout, beside apps/.
app.state.examples = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") .. "/../../examples"

app:on_send(function(_, head)
  head:header("Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'")
end)
