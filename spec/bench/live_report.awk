# Turns the results of `live` into tables, with table.awk. First file: the rows; second: one line per run of the
# client, row server round numbers... What the numbers are depends on the mode, see the printf in live_client.c.
# Ratios are taken round by round, from runs that were neighbours in time, then the median of them.

NR == FNR {
  split($0, field, "|")
  row[++rows] = field[1]
  mode[field[1]] = field[2]
  reference[field[1]] = field[4]
  bar[field[1]] = field[5]
  next
}

{
  for (i = 4; i <= NF; i++) number[$1, $2, $3, i - 3] = $i
  if ($3 > rounds) rounds = $3
  has[$2] = has[mode[$1], $2] = 1
  if (mode[$1] == "fan") {
    number[$1, $2, $3, "per_s"] = $4 / $6 * 1e6 # thousands per second of CPU
    on += $6
    waiting += $7
  }
}

# Gathers a number of all rounds in sample[]; how many there are.
function gather(name, server, which,    round) {
  count = 0
  for (round = 1; round <= rounds; round++)
    if ((name, server, round, which) in number) sample[++count] = number[name, server, round, which]
  return count
}

function median(name, server, which, scale, places) {
  if (!gather(name, server, which)) return "-"
  return sprintf("%." places "f", quantile(0.5) / scale)
}

# neap's deliveries per CPU second beside the reference's, with quartiles.
function ratio(name,    round, other_row, other) {
  other_row = name
  other = reference[name]
  if (other ~ /^=/) { other_row = substr(other, 2); other = "neap" }
  count = 0
  for (round = 1; round <= rounds; round++)
    if ((name, "neap", round, "per_s") in number && (other_row, other, round, "per_s") in number)
      sample[++count] = number[name, "neap", round, "per_s"] / number[other_row, other, round, "per_s"]
  return count ? sprintf("%.2f (%.2f-%.2f)", quantile(0.5), quantile(0.25), quantile(0.75)) : "-"
}

# Begins the table of a mode; false when nobody was measured in it.
function begin(which, first,    s) {
  shown = 0
  for (s = 1; s <= servers; s++) if ((which, server[s]) in has) shown++
  if (!shown) return 0
  if (tables++) print ""
  line(); cell(first)
  return 1
}

function cells_of(name, which, scale, places,    s) {
  for (s = 1; s <= servers; s++)
    if ((mode[name], server[s]) in has) cell(median(name, server[s], which, scale, places))
}

# The p99 of deliveries; "-" where there are none: hello.
function cells_p99(name,    s, text) {
  for (s = 1; s <= servers; s++) if (("fan", server[s]) in has) {
    text = median(name, server[s], 6, 1000, 1)
    cell(text + 0 > 0 ? text : "-")
  }
}

function heads(which, what,    s) {
  for (s = 1; s <= servers; s++) if ((which, server[s]) in has) cell(server[s] what)
}

function table_fan(    r, name) {
  if (!begin("fan", "thousands per CPU second")) return
  heads("fan", ""); cell("neap beside"); cell("ratio"); cell("bar"); heads("fan", " p99 ms")
  for (r = 1; r <= rows; r++) {
    name = row[r]
    if (mode[name] != "fan") continue
    line(); cell(name)
    cells_of(name, "per_s", 1, 0)
    cell(reference[name] ~ /^=/ ? substr(reference[name], 2) : reference[name])
    cell(ratio(name))
    cell(bar[name] > 0 ? ">= " bar[name] : "-")
    cells_p99(name)
  }
  table_print()
  printf "\nWhile driven, the servers waited for their core %.1f%% of the time they used it.\n", waiting / on * 100
}

function table_memory(    r, name) {
  if (!begin("memory", "bytes per connection")) return
  heads("memory", ""); cell("bar")
  for (r = 1; r <= rows; r++) {
    name = row[r]
    if (mode[name] != "memory") continue
    line(); cell(name)
    cells_of(name, 1, 1, 0)
    cell(bar[name] > 0 ? "<= " bar[name] : "-")
  }
  table_print()
}

function table_pinged(    name) {
  name = "pinged"
  if (!begin("pinged", "pinged")) return
  cell("% of a core"); cell("bar"); cell("pings of each")
  line(); cell("neap"); cell(median(name, "neap", 1, 1, 2)); cell("< " bar[name]); cell(median(name, "neap", 2, 1, 2))
  table_print()
}

# The difference of the two p99, round by round.
function more_ms(name, who,    round) {
  count = 0
  for (round = 1; round <= rounds; round++)
    if ((name, who, round, 4) in number)
      sample[++count] = (number[name, who, round, 4] - number[name, who, round, 2]) / 1000
  return count ? sprintf("%.1f", quantile(0.5)) : "-"
}

function table_others(    s, name) {
  name = "others"
  if (!begin("others", "others, ms")) return
  cell("idle p50"); cell("idle p99"); cell("published to p50"); cell("p99"); cell("p99 more"); cell("bar")
  cell("delivery p99"); cell("busy")
  for (s = 1; s <= servers; s++) {
    if (!((name, server[s]) in has)) continue
    line(); cell(server[s])
    cell(median(name, server[s], 1, 1000, 2)); cell(median(name, server[s], 2, 1000, 2))
    cell(median(name, server[s], 3, 1000, 2)); cell(median(name, server[s], 4, 1000, 2))
    cell(more_ms(name, server[s])); cell(server[s] == "neap" ? "<= " bar[name] : "-")
    cell(median(name, server[s], 5, 1000, 0)); cell(median(name, server[s], 6, 1, 0) "%")
  }
  table_print()
}

function table_stalled(    s, name) {
  name = "stalled"
  if (!begin("stalled", "a tenth stalled")) return
  cell("memory more, KiB"); cell("bar"); cell("others' p99 ms before"); cell("others' p99 ms then"); cell("they lack")
  for (s = 1; s <= servers; s++) {
    if (!((name, server[s]) in has)) continue
    line(); cell(server[s])
    cell(median(name, server[s], 1, 1024, 0)); cell(server[s] == "neap" ? "<= " bar[name] : "-")
    cell(median(name, server[s], 2, 1000, 1)); cell(median(name, server[s], 3, 1000, 1))
    cell(median(name, server[s], 4, 1, 2) "%")
  }
  table_print()
}

END {
  servers = split("raw uv neap nchan", server, " ")
  table_fan()
  table_memory()
  table_pinged()
  table_others()
  table_stalled()
}
