#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The short selection of the conformance suite (`make conformance` runs all of it), and that the suite can fail.
source "$(dirname "$0")/lib.sh"
SUITE=$ROOT_DIR/tests/conformance/run
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

"$SUITE" --short --junit "$OUT/short.xml" --markdown "$OUT/short.md" >"$OUT/short" 2>&1
rc=$?
[[ $rc -ne 77 ]] || skip_all "$(grep -m1 SKIPPED "$OUT/short" | sed 's/.*SKIPPED[^:]*: //')"
while IFS= read -r line; do
    case $line in
    'ok '*) pass "${line#ok }" ;;
    'FAIL '*) fail "${line#FAIL }" ;;
    *) echo "$line" ;;
    esac
done <"$OUT/short"
check_equal "the short selection: exit 0" 0 "$rc"
check_contains "it says how many probes there were" " probes, 0 mismatches; " "$(tail -1 "$OUT/short")"
check_equal "JUnit: no failure" 0 "$(grep -cE '<(failure|error)' "$OUT/short.xml")"
check "Markdown: the summary table" grep -qE '^\| upstream \| routed \| IPv6 \|' "$OUT/short.md"
check "bridged pods too" grep -qE '^\| upstream \| bridged \| IPv4 \|' "$OUT/short.md"

# Without enforcement what must be denied is allowed; were that not found, the suite would prove nothing.
"$SUITE" --plant no-enforcement --pods routed --junit "$OUT/planted.xml" upstream/01-default-deny-ingress \
    >"$OUT/planted" 2>&1
check_equal "without enforcement: exit 1" 1 $?
# 6 pods of y and z and 2 of x to each of 3 pods of x, on 2 ports.
check_contains "each packet that came through is counted, in both families" "576 probes, 96 mismatches" \
    "$(tail -1 "$OUT/planted")"
check "with a truth table of what was wanted and what was got" grep -qE '^ +y/b +\.>X! +\.>X! +\.>X! +X ' "$OUT/planted"
check "and as a failure in JUnit" grep -q '<failure message="x/a -&gt; x/b tcp/80' "$OUT/planted.xml"
"$SUITE" no-such-case >/dev/null 2>&1
check_equal "an unknown case: exit 3" 3 $?
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
[[ $FAILED -eq 0 ]]
