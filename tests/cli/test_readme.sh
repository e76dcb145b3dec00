#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's tour is the programs' real output: every "$ build/…" command of its console block is run and compared.
set -uo pipefail
build=${BUILD:-build}
passed=0 failed=0
block=$(awk '/^```console$/ { on = 1; next } /^```$/ { on = 0 } on' README.md)
command='' want=''
try() {
    [ -n "$command" ] || return 0
    local out
    # The README says build/; the build directory under test may be another.
    out=$(bash -c "${command//build\//$build/}" 2>&1)
    if [ "$out" = "${want%$'\n'}" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL: %s\n' "$command"
        diff <(printf '%s\n' "${want%$'\n'}") <(printf '%s\n' "$out")
    fi
}
while IFS= read -r line; do
    if [[ $line == '$ '* ]]; then
        try
        command=${line#\$ } want=''
    elif [ -n "$line" ]; then
        want+=$line$'\n'
    fi
done <<<"$block"
try
[ $((passed + failed)) -ge 3 ] || {
    echo "FAIL: the README has no tour"
    failed=1
}
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
