# SPDX-License-Identifier: Apache-2.0
# src/layers → make variables: MODULES (all but cmd) and CLOSURE_<module> (itself and all it stands on, transitively).
/^#/ || !NF { next }
{
    name = $1; sub(/:$/, "", name); order[++n] = name
    for (i = 2; i <= NF; i++) { edge[name, $i] = 1; if (!($i in seen)) { print "unknown module " $i " in src/layers" > "/dev/stderr"; exit 1 } }
    seen[name] = 1
}
END {
    modules = ""
    for (i = 1; i <= n; i++) {
        m = order[i]; closure = (m == "cmd") ? "" : m
        reach[m, m] = 1
        for (j = i - 1; j >= 1; j--) {
            d = order[j]
            for (k = i; k > j; k--) if (reach[m, order[k]] && edge[order[k], d]) reach[m, d] = 1
            if (reach[m, d]) closure = closure " " d
        }
        print "CLOSURE_" m " := " closure
        if (m != "cmd") modules = modules " " m
    }
    print "MODULES :=" modules
}
