#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpolctl verify proves the guards (DESIGN 11): of a ruleset with all of them, each rule of theirs is taken away in turn,
# and without it there is a counterexample. No privileges needed.
set -uo pipefail
build=$(realpath "${BUILD:-build}")
ctl=$build/netpolctl
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
from=tests/golden/ways-round
passed=0 failed=0

# Pods that are isolated for egress may send all the same, or what guards drop would be denied anyway.
cat >"$dir/open.yaml" <<'Y'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: out}
spec:
  podSelector: {matchLabels: {out: "1"}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}]}]
Y
# Rules that stand there for speed, or whose work another rule does as well in this state.
spare() { # line
    case $1 in
    # What a bridge's packets meet at once, others meet at the end.
    '-A NETPOL-GUARD -i '*) return 0 ;;
    # Its pod is guarded, so all that it forges is dropped behind this.
    '-A NETPOL-GX -i vethr -g NETPOL-DROP' | '-A NETPOL-GX -g NETPOL-GL') return 0 ;;
    # No pod's address here is a DHCP client's.
    '-A NETPOL-GX -s 0.0.0.0/32 '*) return 0 ;;
    esac
    return 1
}
# One family's rules of each guard: the other's are made alike.
guards='-A NETPOL-(GUARD|GX|GL|GD|ENCAP|ENCAP-NODES|MCF|MCI|LLF|LLI|US|UD|GB-[A-Z2-7]*) '
jumps='-A NETPOL-(FORWARD|INPUT) .*-j NETPOL-(GUARD|ENCAP|MCF|MCI|LLF|LLI|US|UD)$'
rules_to_leave_out() {
    awk -v guards="^$guards" -v jumps="^$jumps" '
        /^# ip6tables/ { v6 = 1 }
        ($0 ~ guards || $0 ~ jumps) && (!v6 || /NETPOL-LL[FI]/) { print NR ":" $0 }' "$dir/rules"
}
leave_out_each() { # options
    local args=(-f "$from/in.yaml" --with "$dir/open.yaml" --node n1 --facts "$from/facts.json" "$@") line number rc
    "$ctl" render "${args[@]}" >"$dir/rules" || exit 1
    "$ctl" verify "${args[@]}" --rules "$dir/rules" >"$dir/out" 2>&1 || {
        echo "FAIL: $*: not proven as it is"
        cat "$dir/out"
        failed=$((failed + 1))
        return
    }
    while IFS=: read -r number line; do
        sed "${number}d" "$dir/rules" >"$dir/less"
        "$ctl" verify "${args[@]}" --rules "$dir/less" >"$dir/out" 2>&1
        rc=$?
        if [ $rc -eq 2 ] || { [ $rc -eq 0 ] && spare "$line"; }; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAIL: $*: without line $number, exit $rc: $line"
        fi
    done < <(rules_to_leave_out)
}

leave_out_each --source-guard=all --unknown-pods=drop
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
