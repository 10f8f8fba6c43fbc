-- Two ways to upload: a form with files, and a PUT that is counted while it streams. Neither keeps a file in memory.
--
--   neap run examples/upload.lua                                # then open http://localhost:8080/
--   curl -F note=hi -F file=@README.md localhost:8080/upload    # -> "name":"note" ... "filename":"README.md"
--   curl -T README.md localhost:8080/files/readme               # -> "bytes": ... "adler32":
--   curl -i -T README.md -H 'Content-Length: 200000000' localhost:8080/files/huge    # -> 413
local neap = require "neap"

local app = neap.app()

local PAGE = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Upload</title>
<style>:root { color-scheme: light dark; font: 1.1rem/1.6 system-ui } body { margin: 1rem }</style>
<main>
<h1>Upload</h1>
<form method="post" action="/upload" enctype="multipart/form-data">
<p><label>Note<br><input name="note"></label></p>
<p><label>Files<br><input type="file" name="file" multiple></label></p>
<p><button>Send</button></p>
</form>
</main>
]]

-- Size and Adler-32 of what an iterator gives, piece by piece.
local function measure(chunks)
  local bytes, a, b = 0, 1, 0
  for chunk in chunks do
    bytes = bytes + #chunk
    for i = 1, #chunk do
      a = (a + chunk:byte(i)) % 65521
      b = (b + a) % 65521
    end
  end
  return {bytes = bytes, adler32 = ("%08x"):format(b << 16 | a)}
end

app:get("/", function() return neap.res.html(PAGE) end)

app:post("/upload", function(req)
  local parts = neap.json.array()
  for part in req:multipart() do
    parts[#parts + 1] = {name = part.name, filename = part.filename, content = measure(part:chunks())}
  end
  return parts
end, {body_limit = "100MB"})

app:put("/files/:name", function(req)
  return 201, {name = req.params.name, content = measure(req:chunks())}
end, {body_limit = "100MB", timeout = "10m"})

return app
