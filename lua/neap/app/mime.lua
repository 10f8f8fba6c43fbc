-- Media types by file name extension, and the short names that `:type("html")` and `req:accepts("json")` take.
local mime = {}

local TYPES = {
  html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8", css = "text/css; charset=utf-8",
  js = "text/javascript; charset=utf-8", mjs = "text/javascript; charset=utf-8",
  txt = "text/plain; charset=utf-8", text = "text/plain; charset=utf-8", md = "text/markdown; charset=utf-8",
  csv = "text/csv; charset=utf-8", ics = "text/calendar; charset=utf-8", vtt = "text/vtt; charset=utf-8",
  json = "application/json", map = "application/json", webmanifest = "application/manifest+json",
  xml = "application/xml", rss = "application/rss+xml", atom = "application/atom+xml",
  pdf = "application/pdf", zip = "application/zip", gz = "application/gzip", tar = "application/x-tar",
  wasm = "application/wasm", bin = "application/octet-stream",
  form = "application/x-www-form-urlencoded", multipart = "multipart/form-data",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", webp = "image/webp",
  avif = "image/avif", svg = "image/svg+xml", ico = "image/x-icon", bmp = "image/bmp",
  woff = "font/woff", woff2 = "font/woff2", ttf = "font/ttf", otf = "font/otf",
  mp3 = "audio/mpeg", ogg = "audio/ogg", wav = "audio/wav", flac = "audio/flac",
  mp4 = "video/mp4", webm = "video/webm", mov = "video/quicktime",
}

---The type of a short name: "html" -> "text/html; charset=utf-8". What has a slash stays as it is.
---@param name string
---@return string? # nil when the short name is unknown
function mime.of_name(name)
  if name:find("/", 1, true) then return name end
  return TYPES[name:lower()]
end

---The type of a file, by its extension.
---@param path string
---@param extra table<string, string>? extension -> type, looked at first
---@return string # "application/octet-stream" when unknown
function mime.of_path(path, extra)
  local extension = path:match("%.(%w+)$")
  extension = extension and extension:lower() or ""
  return extra and extra[extension] or TYPES[extension] or TYPES.bin
end

return mime
