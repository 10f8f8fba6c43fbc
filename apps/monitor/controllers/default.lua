-- The list. The cursor is taken first: what changes between the two is told to the page once more.
function index()
  local cursor = app.state.topic:cursor()
  local tasks = app.state.tasks()
  return {title = "Tasks", tasks = tasks, cursor = cursor}
end
