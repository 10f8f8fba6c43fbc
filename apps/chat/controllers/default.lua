-- The list of rooms.
local rooms = app.state.rooms

function index()
  local list = {}
  for _, name in ipairs(rooms:keys()) do
    list[#list + 1] = {name = name, here = app.state.topics(name):stats().subscribers}
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return {title = "Chat", rooms = neap.json.array(list)}
end

-- Where the form of the list leads: "Tea & Cake" is the room tea-cake.
function go(req)
  local name = (req.query.room or ""):lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):gsub("%-+$", "")
  if name == "" then return neap.res.redirect(app:url("/"), 303) end
  return neap.res.redirect(app:url("/room/show/:name", {name = name:sub(1, 40)}), 303)
end
