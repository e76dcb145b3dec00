# SPDX-License-Identifier: Apache-2.0
# src/layers first, then sources: every #include "module/…" must be an allowed edge.
FNR == NR {
    if ($0 ~ /^#/ || !NF) next
    name = $1; sub(/:$/, "", name); known[name] = 1; ok[name, name] = 1
    for (i = 2; i <= NF; i++) ok[name, $i] = 1
    next
}
/^#include "/ {
    split(FILENAME, part, "/")
    if (part[1] == "src") from = part[2]; else if (part[1] == "cmd") from = "cmd"; else next
    to = $2; gsub(/"/, "", to)
    if (to !~ /\//) { if (part[1] != "cmd") print "  " FILENAME ":" FNR ": include \"module/file.h\", not " $2; next }
    sub(/\/.*/, "", to)
    if (part[1] == "cmd" && to == part[2]) next
    if (!(from in known)) { print "  " FILENAME ": module " from " is not in src/layers"; nextfile }
    if (!((from, to) in ok)) print "  " FILENAME ":" FNR ": " from " must not include " to
}
