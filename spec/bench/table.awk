# Medians and tables, for report.awk and live_report.awk. With format=markdown tables are in Markdown.

# Sorts sample[1..count] and gives the value at `part` of the way.
function quantile(part,    i, j, swap, at, low) {
  for (i = 2; i <= count; i++)
    for (j = i; j > 1 && sample[j] < sample[j - 1]; j--) {
      swap = sample[j]; sample[j] = sample[j - 1]; sample[j - 1] = swap
    }
  at = 1 + (count - 1) * part
  low = int(at)
  return low == count ? sample[count] : sample[low] + (at - low) * (sample[low + 1] - sample[low])
}

function cell(text) {
  if (++cells > columns) columns = cells
  table[lines, cells] = text
  if (length(text) > width[cells]) width[cells] = length(text)
}

function line() { lines++; cells = 0 }

# Prints the cells of all lines and forgets them. The first line is the head.
function table_print(    edge, l, c, text, rule) {
  edge = format == "markdown" ? "|" : ""
  for (l = 1; l <= lines; l++) {
    text = edge
    rule = edge
    for (c = 1; c <= columns; c++) {
      text = text sprintf(c == 1 ? " %-" width[c] "s " : " %" width[c] "s ", table[l, c]) edge
      rule = rule (c == 1 ? "---|" : "--:|")
    }
    print text
    if (l == 1 && edge) print rule
  }
  split("", table)
  split("", width)
  lines = cells = columns = 0
}
