#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is read back from a kernel is what the kernel walks: flags that no tool prints, jumps for gotos, doubled jumps, and
# whose rules come before ours: legacy raw and mangle, nf_tables. Reading makes no table.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

UNFLAG=$BUILD/tests/tools/xt_unflag
fabric
node n1
outside
routes
namespace x
pod x/a n1 bridged pod=a
pod x/b n1 routed pod=b
state_write
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: a}
spec:
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {pod: b}}}]
    ports: [{port: 80}]
  egress:
  - to: [{podSelector: {matchLabels: {pod: b}}}, {ipBlock: {cidr: 203.0.113.0/24}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: b}
spec: {podSelector: {matchLabels: {pod: b}}}
E2

prove() { # what was said in $said, how it ended in $code
    said=$(on_node n1 "$NETPOLCTL" verify -f "$STATE" --node n1 --kernel 2>&1)
    code=$?
}
legacy() { # family arguments…
    local tool=iptables-legacy
    [[ $1 == 4 ]] || tool=ip6tables-legacy
    on_node n1 $tool -w "${@:2}"
}
expect() { # what code words…
    local what=$1 want=$2 word
    shift 2
    prove
    if [[ $code -ne $want ]]; then
        fail "$what: exit $code, wanted $want"
        sed 's/^/     /' <<<"$said" | head -20
        return
    fi
    pass "$what: exit $code"
    for word in "$@"; do check_contains "$what: says $word" "$word" "$said"; done
}

echo "-- reading makes no table"
before=$(ip netns exec n1 cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null)
prove
check_equal "the tables are those that were there" "$before" \
    "$(ip netns exec n1 cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null)"

netpold_once || die "netpold does not program n1"
expect "as programmed" 0 "proven: "

echo "-- the same text, another meaning"
chain=$(legacy 6 -S | sed -n 's/^-A \(NETPOL-P-[A-Z0-9]*\) .*--dport 80 .*/\1/p' | head -1)
text=$(legacy 6 -S "$chain")
check "the flag is taken" on_node n1 "$UNFLAG" "$chain" 1
check_equal "ip6tables prints the rule as before" "$text" "$(legacy 6 -S "$chain")"
expect "a rule that matches no protocol any more" 2 "$chain rule 1"
netpold n1 --once >/dev/null
expect "repaired" 0 "proven: "

echo "-- jumps"
for family in 4 6; do
    entry=$(legacy $family -S NETPOL-FORWARD | grep -n -- '-j NETPOL-FE' | head -1)
    number=$((${entry%%:*} - 1))
    rule=$(sed 's/^[0-9]*:-A NETPOL-FORWARD //; s/-j NETPOL-FE/-g NETPOL-FE/' <<<"$entry")
    # shellcheck disable=SC2086 # the words of a rule
    legacy $family -R NETPOL-FORWARD $number $rule
    expect "IPv$family: a goto where a jump belongs" 2 "-> x/b"
    netpold n1 --once >/dev/null
    # shellcheck disable=SC2046 # the words of a rule
    legacy $family -I FORWARD 2 $(legacy $family -S FORWARD | sed -n 's/^-A FORWARD \(.*NETPOL-FORWARD\)$/\1/p' | head -1)
    expect "IPv$family: our jump twice means the same" 0 "proven: "
    netpold n1 --once >/dev/null
    legacy $family -D INPUT 1
    expect "IPv$family: no jump in INPUT" 2 "x/a"
    netpold n1 --once >/dev/null
    expect "IPv$family: repaired" 0 "proven: "
done

echo "-- others that come before us"
on_node n1 iptables-legacy -w -t mangle -A FORWARD -p udp -j DROP
on_node n1 ip6tables-legacy -w -t raw -A PREROUTING -p udp -j NOTRACK
legacy 4 -I FORWARD 1 -p tcp --dport 22 -j ACCEPT
legacy 4 -I INPUT 1 -p tcp
expect "legacy rules of others" 0 "IPv4 mangle FORWARD rule 1" "IPv6 raw PREROUTING rule 1" "IPv4 filter FORWARD rule 1" \
    "--dport 22"
check "a rule that only counts is not named" test "$(grep -c 'filter INPUT' <<<"$said")" -eq 0
on_node n1 iptables-legacy -w -t mangle -F
on_node n1 ip6tables-legacy -w -t raw -F
legacy 4 -D FORWARD 1
legacy 4 -D INPUT 1
if command -v iptables-nft >/dev/null && on_node n1 iptables-nft -A FORWARD -p udp -j DROP 2>/dev/null; then
    expect "nf_tables beside us" 0 "nf_tables ip filter FORWARD" "hook forward, priority 0: 1 rule"
    on_node n1 iptables-nft -F FORWARD
    expect "its empty chains" 0
    check "are not named" test "$(grep -c nf_tables <<<"$said")" -eq 0
else
    skip "iptables-nft does not work here: base chains of nf_tables are not read"
fi
finish
