#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What TAB offers for netpolctl and netpold, as bash asks scripts/completion.bash.
set -uo pipefail
build=$(realpath "${BUILD:-build}")
# shellcheck source=../../scripts/completion.bash
source "$(dirname "$0")/../../scripts/completion.bash"
passed=0 failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
touch "$dir/state.yaml"

# offers "WORDS" FUNCTION COMMAND WORD…: what is offered for the last word, sorted
offers() {
    local want=$1 function=$2 got
    shift 2
    COMP_WORDS=("$build/$1" "${@:2}") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "$function"
    got=$(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | paste -sd ' ')
    if [ "$got" = "$want" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL: %s: offers "%s", not "%s"\n' "$*" "$got" "$want"
    fi
}

offers "verify" _netpolctl netpolctl v
offers "--help --version check explain render snapshot status verify" _netpolctl netpolctl ''
offers "--max-counterexamples" _netpolctl netpolctl verify --max
offers "json restore" _netpolctl netpolctl render -o ''
offers "json" _netpolctl netpolctl verify -o j
offers "json text" _netpolctl netpolctl explain --output ''
offers "text" _netpolctl netpolctl explain --output = t
offers "json text" _netpolctl netpolctl explain --output =
offers "all ip6tables ipset iptables" _netpolctl netpolctl render --section ''
offers "drop" _netpolctl netpolctl check --denied-verdict d
offers "$dir/state.yaml" _netpolctl netpolctl verify --rules "$dir/"
offers "$dir/state.yaml" _netpolctl netpolctl verify -f "$dir/"
offers "" _netpolctl netpolctl verify --node ''
offers "$dir/state.yaml" _netpolctl netpolctl check -q "$dir/"
offers "--port" _netpolctl netpolctl explain --rules --por
offers "--metrics-address" _netpold netpold --met
offers "auto legacy nft" _netpold netpold --backend ''
offers "debug error info warn" _netpold netpold --log-level = ''
offers "$dir/state.yaml" _netpold netpold --state "$dir/"
offers "1.1 2 auto" _netpold netpold --http-version ''
offers "--api-server" _netpold netpold --api
offers "json yaml" _netpolctl netpolctl snapshot --format ''
offers "$dir/state.yaml" _netpolctl netpolctl snapshot -o "$dir/"
offers "--request-timeout" _netpolctl netpolctl check --req

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
