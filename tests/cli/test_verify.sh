#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpolctl verify as its user runs it: compiled rules and rules of a text, whole and damaged. No privileges needed.
set -uo pipefail
build=$(realpath "${BUILD:-build}")
ctl=$build/netpolctl
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
shop=examples/shop.yaml
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    printf 'FAIL: %s\n' "$1"
}
# expect CODE PATTERN ARG…: exit code, and a regular expression that a line of stdout+stderr must match
expect() {
    local code=$1 pattern=$2 out rc
    shift 2
    out=$("$ctl" verify "$@" 2>&1 </dev/null)
    rc=$?
    if [ "$rc" -ne "$code" ]; then
        bad "verify $*: exit $rc, not $code: $out"
    elif ! grep -qE -- "$pattern" <<<"$out"; then
        bad "verify $*: does not say /$pattern/: $out"
    else
        ok
    fi
}
# damaged NAME SED-SCRIPT: worker-1's rules with a change, which must be one, in $dir/NAME
damaged() {
    sed -E "$2" "$dir/rules" >"$dir/$1"
    if cmp -s "$dir/rules" "$dir/$1"; then
        bad "$1: the damage changes nothing"
    else
        ok
    fi
}

# The compiled rules, and the same as text
for node in worker-1 worker-2; do
    expect 0 '^proven: [1-9][0-9]+ packet classes \([1-9]' -f "$shop" --node $node
    for option in --denied-verdict=reject --allowed-verdict=accept --host-egress=allow; do
        expect 0 '^proven: ' -f "$shop" --node $node $option
        "$ctl" render -f "$shop" --node $node $option >"$dir/text"
        expect 0 '^proven: ' -f "$shop" --node $node $option --rules "$dir/text"
    done
done
"$ctl" render -f "$shop" --node worker-1 >"$dir/rules"
expect 0 '^note: without host facts' -f "$shop" --node worker-1 --rules "$dir/rules"
if "$ctl" verify -f "$shop" --node worker-1 --rules - <"$dir/rules" | grep -q '^proven: '; then
    ok
else
    bad "rules on standard input"
fi

# Rules of another state: one node's for another, other options
expect 2 'shop/db \(10.244.2.20\)' -f "$shop" --node worker-2 --rules "$dir/rules"
"$ctl" render -f "$shop" --node worker-1 --host-egress=allow >"$dir/text"
expect 0 '^proven: ' -f "$shop" --node worker-1 --rules "$dir/text" # no policy of the shop is for egress

# Deliberate damage: found, with the pod, what the policies say and what the rules do
damaged port '/^\*filter/,/^COMMIT/ s/--dport 8080/--dport 8081/'
expect 2 '^NOT proven: .* counterexample' -f "$shop" --node worker-1 --rules "$dir/port"
expect 2 '-> shop/web \(10.244.1.10\), TCP port 8080, forwarded' -f "$shop" --node worker-1 --rules "$dir/port"
expect 2 'ingress allow   shop/web-from-outside, ingress rule 0, from\[0\] allows it \(.*shop.yaml:[0-9]+\)$' -f "$shop" --node worker-1 --rules "$dir/port"
expect 2 'NETPOL-DROP: -j DROP' -f "$shop" --node worker-1 --rules "$dir/port"
damaged drop 's/^-A NETPOL-DROP -j DROP$/-A NETPOL-DROP -j ACCEPT/'
expect 2 'ingress deny    isolated by shop/deny-all, shop/web-from-outside' -f "$shop" --node worker-1 --rules "$dir/drop"
expect 2 '   rules: allow' -f "$shop" --node worker-1 --rules "$dir/drop"
damaged member '/^add NP4-.* 10\.0\.0\.0\/8 nomatch$/d'
expect 2 'shop/web' -f "$shop" --node worker-1 --rules "$dir/member"
expect 2 '^   policies: deny' -f "$shop" --node worker-1 --rules "$dir/member"
damaged jump '/^-I FORWARD 1 /d'
expect 2 'no rule of ours matches it' -f "$shop" --node worker-1 --rules "$dir/jump"
damaged goto 's/^-A (NETPOL-I-.*) -g (NETPOL-P-.*)$/-A \1 -j \2/'
expect 0 '^proven: ' -f "$shop" --node worker-1 --rules "$dir/goto" # the policy chain always decides
echo >"$dir/empty"
expect 2 '^NOT proven: ' -f "$shop" --node worker-1 --rules "$dir/empty"

# Rules of others: named when they are asked before ours, and no part of the proof
damaged ahead 's/^-I FORWARD 1 (.*)$/-A FORWARD -s 10.0.0.0\/8 -j ACCEPT\n-A FORWARD \1/'
expect 0 '^proven: ' -f "$shop" --node worker-1 --rules "$dir/ahead"
expect 0 '^outside of this proof, rules of others' -f "$shop" --node worker-1 --rules "$dir/ahead"
expect 0 'FORWARD.*-s 10.0.0.0/8 -j ACCEPT' -f "$shop" --node worker-1 --rules "$dir/ahead"
damaged behind 's/^-I FORWARD 1 (.*)$/-A FORWARD \1\n-A FORWARD -s 10.0.0.0\/8 -j ACCEPT/'
if "$ctl" verify -f "$shop" --node worker-1 --rules "$dir/behind" | grep -q '^outside'; then
    bad "a rule behind ours is not outside of the proof"
else
    ok
fi

# How many are printed; all are counted
[ "$("$ctl" verify -f "$shop" --node worker-1 --rules "$dir/drop" --max-counterexamples 2 | grep -cE '^[0-9]+\. ')" -eq 2 ] && ok || bad "--max-counterexamples 2"
expect 2 'classes differ in all; above stand 1, ' -f "$shop" --node worker-1 --rules "$dir/drop" --max-counterexamples 1
[ "$("$ctl" verify -f "$shop" --node worker-1 --rules "$dir/drop" --max-counterexamples 0 | grep -cE '^[0-9]+\. ')" -eq 0 ] && ok || bad "--max-counterexamples 0"

# Text that is none: file and line
sed '3s/.*/frobnicate NP4-X/' "$dir/rules" >"$dir/broken"
expect 4 'broken, line 3: ' -f "$shop" --node worker-1 --rules "$dir/broken"
damaged match 's/--dport 8080/--dport 8080 -m string --algo bm --string x/'
expect 4 "match, line $(grep -n -- '--algo bm' "$dir/match" | head -1 | cut -d: -f1): " -f "$shop" --node worker-1 --rules "$dir/match"
damaged chain 's/-g NETPOL-P-[A-Z0-9]+$/-g NETPOL-P-NOTHERE/'
expect 4 'NETPOL-P-NOTHERE' -f "$shop" --node worker-1 --rules "$dir/chain"
expect 4 'nothere: cannot be read' -f "$shop" --node worker-1 --rules "$dir/nothere"

# What a packet of the model cannot say is named, and nothing is proven of it
{
    echo "create NP4-ODD hash:ip,port family inet"
    echo "add NP4-ODD 10.244.1.10,gre:0"
    cat "$dir/rules"
} >"$dir/gre"
expect 2 'IPv4 set NP4-ODD: 10.244.1.10,[^ ]*:0: no port of TCP, UDP or SCTP' -f "$shop" --node worker-1 --rules "$dir/gre"
{
    cat "$dir/rules"
    printf '# ip6tables-restore --noflush\n*filter\n:NETPOL-X - [0:0]\n-A NETPOL-X -m hl --hl-eq 0 -j DROP\nCOMMIT\n'
} >"$dir/hl"
expect 2 'IPv6 filter NETPOL-X rule 1: a hop limit of 0' -f "$shop" --node worker-1 --rules "$dir/hl"
# Ways into our chains that are not ours, tables that come first, jumps that are missing
damaged detour 's/^-I FORWARD 1 .*/:KUBE-X - [0:0]\n-A KUBE-X -j NETPOL-DROP\n-A FORWARD -j KUBE-X/'
expect 2 'FORWARD, line [0-9]+: -j KUBE-X \(KUBE-X: -j NETPOL-DROP\)' -f "$shop" --node worker-1 --rules "$dir/detour"
expect 2 'NETPOL-FORWARD' -f "$shop" --node worker-1 --rules "$dir/detour"
{
    printf '*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -j DROP\nCOMMIT\n'
    cat "$dir/rules"
} >"$dir/mangle"
expect 0 'IPv4 mangle FORWARD, line 3: -p udp -j DROP' -f "$shop" --node worker-1 --rules "$dir/mangle"

# Words
expect 3 '--node NAME is required' -f "$shop"
expect 3 '--rules and --kernel do not go together' -f "$shop" --node worker-1 --rules "$dir/rules" --kernel
expect 3 '-f - and --rules - cannot both' -f - --node worker-1 --rules -
expect 3 '--rules - and --facts - cannot both' -f "$shop" --node worker-1 --rules - --facts -
expect 3 'unexpected word' -f "$shop" --node worker-1 shop/web
expect 4 'names the node "worker-3"' -f "$shop" --node worker-3
expect 4 'nothere: cannot be read' -f "$shop" --node worker-1 --facts "$dir/nothere"
expect 4 'README.md, line 1: invalid JSON' -f "$shop" --node worker-1 --facts README.md
expect 0 'max-counterexamples' --help

# A state that could be read in part only: judged, and exit 4
{
    cat "$shop"
    printf -- '---\n%s\n' '{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: odd, namespace: lab}, spec: {podSelector: {}, ingress: [{ports: [{port: 99999}]}]}}'
} >"$dir/odd.yaml"
expect 4 '^proven: ' -f "$dir/odd.yaml" --node worker-1
expect 4 'odd.yaml:[0-9]+: NetworkPolicy lab/odd' -f "$dir/odd.yaml" --node worker-1

# Progress goes to a terminal only, and is wiped away there
said=$("$ctl" verify -f "$shop" --node worker-1 2>&1 >/dev/null)
[ -z "$said" ] && ok || bad "progress without a terminal: $said"
said=$(script -qec "$ctl verify -f $shop --node worker-1 >/dev/null" /dev/null </dev/null)
grep -q " 100 % of the local pods' addresses" <<<"$said" && [[ $said == *$'\r\e[K' ]] && ok || bad "progress on a terminal: $said"

# JSON
"$ctl" verify -f "$shop" --node worker-1 --rules "$dir/drop" --max-counterexamples 3 -o json >"$dir/json"
[ $? -eq 2 ] && ok || bad "-o json must exit 2 when not proven"
if python3 - "$dir/json" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    lines = file.read().splitlines()
assert len(lines) == 1, "one object on one line"
report = json.loads(lines[0])
assert list(report) == ["node", "verdict", "classes", "differing", "pods", "pairs", "cells", "seconds", "facts",
                        "counterexamples", "outside", "unprovable", "jumps"], list(report)
assert report["node"] == "worker-1" and report["verdict"] == "not-proven", report
assert report["classes"] > report["differing"] >= len(report["counterexamples"]) == 3, report
for example in report["counterexamples"]:
    assert list(example) == ["packet", "policies", "rules", "answer", "walk"], list(example)
    assert (example["policies"], example["rules"]) == ("deny", "allow"), example
    assert example["packet"]["to"] == "shop/web", example["packet"]
    assert example["answer"]["ingress"]["policies"] == ["shop/deny-all", "shop/web-from-outside"], example["answer"]
    assert example["walk"][-1] == "NETPOL-DROP: -j ACCEPT", example["walk"]
PYTHON
then ok; else bad "-o json: $(cat "$dir/json")"; fi
"$ctl" verify -f "$shop" --node worker-1 -o json | grep -q '"verdict":"proven",.*"counterexamples":\[\],' && ok || bad "-o json of a proof"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
