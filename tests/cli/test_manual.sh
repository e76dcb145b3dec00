#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every option that --help knows has its entry in the manual page, and every option of the manual page is known.
set -uo pipefail
build=$(realpath "${BUILD:-build}")
man=$(realpath "$(dirname "$0")/../../docs/man")
passed=0 failed=0

check() { # what wanted got
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL: %s\n' "$1"
        diff --label help --label manual <(echo "$2") <(echo "$3")
    fi
}
# Six blanks: what other programs take stands further right.
help_options() { sed -n 's/^ \{2,6\}\(-[a-zA-Z], *\)\{0,1\}--\([a-z0-9-]*\).*/\2/p' | grep -vx noflush | sort -u; }
# A pair like --revoke, --no-revoke has one entry that names both.
man_options() { # page
    sed -n 's/^\.It .*/&/p' "$1" | grep -oE 'Fl -[a-z0-9-]+' | sed 's/^Fl -//' | sort -u
}

check "netpold" "$("$build/netpold" --help | help_options)" "$(man_options "$man/netpold.8")"
verbs=$("$build/netpolctl" --help | sed -n '/^  netpolctl /d; s/^  \([a-z]*\)  *[^ ].*/\1/p')
[ -n "$verbs" ] || { echo "FAIL: netpolctl --help names no verb"; failed=$((failed + 1)); }
# The page lists options of all verbs together.
check "netpolctl" "$({ "$build/netpolctl" --help; for verb in $verbs; do "$build/netpolctl" "$verb" --help; done; } | help_options)" \
    "$(man_options "$man/netpolctl.1" | grep -vx version)"
for verb in $verbs; do
    check "netpolctl $verb has a section" "$verb" "$(grep -oE "^\.(Ss|It|Nm) .*\b$verb\b" "$man/netpolctl.1" | grep -oE "\b$verb\b" | head -1)"
done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
