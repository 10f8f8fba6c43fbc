# Turns the results of `run` into the table, with table.awk. First file: the rows; second: one line per run of wrk,
# row server round requests microseconds on_cpu_before waiting_before on_cpu_after waiting_after (nanoseconds).
# Ratios are taken round by round, from runs that were neighbours in time, then the median of them.

NR == FNR {
  split($0, field, "|")
  row[++rows] = field[1]
  bar[rows] = field[5]
  next
}

{
  key = $1 SUBSEP $2
  runs[key]++
  run = key SUBSEP runs[key]
  cpu_us[run] = ($8 - $6) / 1000 / $4
  per_s[run] = $4 / $5 * 1e6
  busy[run] = ($8 - $6) / 10 / $5
  has[$2] = 1
  on += $8 - $6
  waiting += $9 - $7
}

function median(values, name, server, places,    i) {
  count = runs[name, server]
  for (i = 1; i <= count; i++) sample[i] = values[name, server, i]
  return sprintf("%." places "f", quantile(0.5))
}

function ratio(values, name, over, under, spread,    i, text) {
  count = runs[name, over]
  for (i = 1; i <= count; i++) sample[i] = values[name, over, i] / values[name, under, i]
  text = sprintf("%.2f", quantile(0.5))
  return spread ? text sprintf(" (%.2f-%.2f)", quantile(0.25), quantile(0.75)) : text
}

END {
  servers = split("ceiling neap nginx", server, " ")
  line(); cell("row")
  for (s = 1; s <= servers; s++) if (has[server[s]]) cell(server[s] " us")
  if (has["neap"] && has["ceiling"]) { cell("ceiling/neap us"); cell("bar") }
  if (has["neap"] && has["nginx"]) cell("nginx/neap us")
  if (has["neap"] && has["ceiling"]) cell("neap/ceiling req/s")
  if (has["neap"] && has["nginx"]) cell("neap/nginx req/s")
  for (s = 1; s <= servers; s++) if (has[server[s]]) cell(server[s] " busy")

  for (r = 1; r <= rows; r++) {
    line(); cell(row[r])
    for (s = 1; s <= servers; s++) if (has[server[s]]) cell(median(cpu_us, row[r], server[s], 2))
    if (has["neap"] && has["ceiling"]) {
      cell(ratio(cpu_us, row[r], "ceiling", "neap", 1))
      cell(bar[r] > 0 ? bar[r] : "-")
    }
    if (has["neap"] && has["nginx"]) cell(ratio(cpu_us, row[r], "nginx", "neap", 1))
    if (has["neap"] && has["ceiling"]) cell(ratio(per_s, row[r], "neap", "ceiling", 0))
    if (has["neap"] && has["nginx"]) cell(ratio(per_s, row[r], "neap", "nginx", 0))
    for (s = 1; s <= servers; s++) if (has[server[s]]) cell(median(busy, row[r], server[s], 0) "%")
  }

  table_print()
  printf "\nWhile driven, the servers waited for their core %.1f%% of the time they used it.\n", waiting / on * 100
}
