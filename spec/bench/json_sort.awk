# Brings the keys of a flat JSON object in a line into order: {"b":1,"a":[2]} -> {"a":[2],"b":1}
match($0, /[{]".*[}]/) {
  head = substr($0, 1, RSTART + 1)
  tail = substr($0, RSTART + RLENGTH - 1)
  count = split(substr($0, RSTART + 2, RLENGTH - 3), member, /,"/)
  for (i = 2; i <= count; i++)
    for (j = i; j > 1 && member[j] < member[j - 1]; j--) {
      swap = member[j]; member[j] = member[j - 1]; member[j - 1] = swap
    }
  $0 = head member[1]
  for (i = 2; i <= count; i++) $0 = $0 ",\"" member[i]
  $0 = $0 tail
}
{ print }
