local template = require "neap.app.template"
local view = require "neap.app.view"

local core = require "neap.core"

-- The text of a page with some names.
local function render(source, names)
  local out = {}
  local page = template.compile(source, "views/page.html")
  page(setmetatable(names or {}, {__index = _G}), function(piece) out[#out + 1] = piece end)
  return table.concat(out)
end

local function failure(source, names)
  local ok, err = pcall(render, source, names)
  assert.is_false(ok)
  return err
end

describe("a template", function()
  it("is text, values, statements and notes", function()
    assert.equal("plain", render "plain")
    assert.equal("", render "")
    assert.equal("1 + 2 is 3.", render "1 + 2 is {{1 + 2}}.")
    assert.equal("a;b;", render("{% for _, one in ipairs(list) do %}{{one}};{% end %}", {list = {"a", "b"}}))
    assert.equal("ab", render "a{# a note with }} and %} in it #}b")
  end)

  it("escapes {{values}}, and leaves {{{html}}} as it is", function()
    local hostile = [[<script>alert("1" & '2')</script>]]
    assert.equal("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;", render("{{x}}", {x = hostile}))
    assert.equal(hostile, render("{{{x}}}", {x = hostile}))
  end)

  it("shows nothing for nil and null, numbers and booleans as Lua does, and what has __tostring", function()
    assert.equal("[] [] [7] [1.5] [false]", render("[{{none}}] [{{null}}] [{{7}}] [{{1.5}}] [{{false}}]",
      {null = core.json.null}))
    local object = setmetatable({}, {__tostring = function() return "<me>" end})
    assert.equal("&lt;me&gt;", render("{{object}}", {object = object}))
  end)

  it("keeps every byte of the text", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = (table.concat(bytes) .. "\\\n\r\n\"]]\n"):gsub("{", "")
    assert.equal(all, render(all))
  end)

  it("refuses to show tables and functions, at their line", function()
    assert.equal("views/page.html:2: a table cannot be shown in a page", failure("\n{{x}}", {x = {}}))
    assert.equal("views/page.html:3: a function cannot be shown in a page", failure("\n\n{{{print}}}"))
  end)

  it("names the line of an error, whatever stands before it", function()
    local before = "one\n{{\n1}}{# note\n over lines #}\n{% local x = 1 -- comment %}{% x = x\n + 1 %}\n{{x --[[ y ]] }}\n\\\n"
    assert.equal("views/page.html:9: oops", failure(before .. "{% error('oops') %}"))
    assert.matches("^views/page.html:9: attempt to index a nil value %(global 'nobody'%)", failure(before .. "{{nobody.name}}"))
    assert.matches("^views/page.html:9: ", failure(before .. "{% = %}"))
    assert.equal("views/page.html:9: {{ is never closed by }}", failure(before .. "{{x}\n"))
    assert.equal("views/page.html:9: {% is never closed by %}", failure(before .. "{% if x then }}\n"))
  end)

  it("takes a comment in a statement, which ends with the statement", function()
    assert.equal("seen\nnext", render "{% if true then -- why not %}seen{% end -- of it %}\nnext")
    assert.equal("1\n2", render "{{1 -- one}}\n{{2}}")
  end)

  it("has the page's globals for itself", function()
    render "{% leaked = 1 %}"
    assert.is_nil(rawget(_G, "leaked"))
  end)
end)

describe("a folder of views", function()
  local dir

  local function write(name, text)
    local sub = name:match("^(.*)/")
    if sub then os.execute(("mkdir -p '%s/%s'"):format(dir, sub)) end
    local file <close> = assert(io.open(dir .. "/" .. name, "w"))
    assert(file:write(text))
  end

  local function open()
    return view.folder(dir, setmetatable({site = "The site"}, {__index = _G}))
  end

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
  end)

  after_each(function() os.execute("rm -r " .. dir) end)

  it("renders a page with data, then the globals", function()
    write("tasks/list.html", "{{site}}: {{title}} {{#data.items}}")
    local views = open()
    assert.equal("The site: All 2", views:render("tasks/list", {title = "All", items = {1, 2}}, 1))
    assert.equal("The site:  0", views:render("tasks/list", {items = {}}, 1))
  end)

  it("sees a value that is false", function()
    write("page.html", "{% site = nil %}{{is_done}} {{type(is_done)}}")
    assert.equal("false boolean", open():render("page", {is_done = false}, 1))
  end)

  it("puts a page into its layout, and that into another, which see what the page set", function()
    write("page.html", "{% layout 'inner' %}{% title = 'A & B' %}<p>{{text}}</p>")
    write("inner.html", "{% layout('outer') %}<main>{{{content}}}</main>")
    write("outer.html", "<title>{{title}}</title>{{{content}}}")
    assert.equal("<title>A &amp; B</title><main><p>&lt;</p></main>", open():render("page", {text = "<"}, 1))
  end)

  it("includes pages, with more names if need be", function()
    write("list.html", "{% for i, name in ipairs(names) do %}{% include('row', {name = name, i = i}) %}{% end %}")
    write("row.html", "{{i}}.{% include 'name' %} ")
    write("name.html", "{{name}} of {{#names}}")
    assert.equal("1.ada of 2 2.&lt;b&gt; of 2 ", open():render("list", {names = {"ada", "<b>"}}, 1))
  end)

  it("compiles a page once", function()
    write("page.html", "old")
    local views = open()
    assert.equal("old", views:render("page", nil, 1))
    write("page.html", "new")
    assert.equal("old", views:render("page", nil, 1))
    assert.equal("new", open():render("page", nil, 1))
  end)

  it("knows of pages that are missing when it compiles the one that names them", function()
    write("page.html", "one\n{% layout 'base' %}")
    write("other.html", "{% include(\"gone\") %}")
    local _, err = pcall(function() open():find("page") end)
    assert.equal(('%s/page.html:2: there is no view "base" (%s/base.html)'):format(dir, dir), err)
    _, err = pcall(function() open():find("other") end)
    assert.matches(':1: there is no view "gone"', err)
  end)

  it("says at the page's line when one is missing that only the running page could name", function()
    write("page.html", "\n{% include(which) %}")
    local _, err = pcall(function() open():render("page", {which = "gone"}, 1) end)
    assert.equal(('%s/page.html:2: there is no view "gone" (%s/gone.html)'):format(dir, dir), err)
  end)

  it("never leaves the folder", function()
    write("page.html", "{% include(which) %}")
    local views = open()
    for _, name in ipairs {"../secret", "a/../../b", "/etc/passwd", "", ".hidden", "a\0b"} do
      local ok, err = pcall(function() views:render(name, nil, 1) end)
      assert.is_false(ok)
      assert.matches("is not a name of a view", err)
      assert.is_false(pcall(function() views:render("page", {which = name}, 1) end))
    end
  end)

  it("stops pages that include themselves, and layouts that never end", function()
    write("page.html", "{% include 'page' %}")
    write("turns.html", "{% layout 'turns' %}")
    for _, name in ipairs {"page", "turns"} do
      local ok, err = pcall(function() open():render(name, nil, 1) end)
      assert.is_false(ok)
      assert.equal("these views include each other without end", err)
    end
  end)

  it("lets a page that includes itself end", function()
    write("tree.html", "{{name}}({% for _, one in ipairs(kids) do %}{% include('tree', one) %}{% end %})")
    local tree = {name = "a", kids = {{name = "b", kids = {{name = "c", kids = {}}}}, {name = "d", kids = {}}}}
    assert.equal("a(b(c())d())", open():render("tree", tree, 1))
  end)

  it("shows the caller's line when there is no such view", function()
    local ok, err = pcall(function() open():render("none", nil, 1) end)
    assert.is_false(ok)
    assert.matches("view_spec.lua:%d+: there is no view \"none\"", err)
  end)
end)
