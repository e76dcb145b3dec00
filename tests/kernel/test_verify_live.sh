#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `netpolctl verify --kernel` on living nodes: what netpold programs is proven for every packet, bridged and routed pods,
# both families; what is changed by hand is found and named, and what netpold repairs is proven again.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
namespace y team=y
pod x/web n1 bridged app=web http:80/TCP
pod x/webr n1 routed app=web http:81/TCP,dns:53/UDP
pod x/jail n1 bridged app=jail
pod y/cli n1 routed app=cli
pod y/far n2 bridged app=cli http:81/TCP
pod y/farr n2 routed app=far
state_write
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: y}}
      podSelector: {matchLabels: {app: cli}}
    ports: [{port: http}, {port: 9000, endPort: 9005}]
  - from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.20/32]}}, {ipBlock: {cidr: "2001:db8::/32"}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: jail}
spec:
  podSelector: {matchLabels: {app: jail}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {team: y}}}]
    ports: [{port: http}, {port: 53, protocol: UDP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: y, name: shut}
spec: {podSelector: {}, policyTypes: [Ingress]}
E2

# Proves a node's kernel; says in $said what netpolctl said, in $code how it ended.
prove() { # node arguments…
    said=$(on_node "$1" "$NETPOLCTL" verify -f "$STATE" --node "$1" "${@:2}" 2>&1)
    code=$?
}
proven() { # node arguments…
    prove "$@"
    [[ $code -eq 0 && $said == "proven: "* ]] && return
    sed 's/^/     /' <<<"$said" | head -40
    return 1
}
proves() { # the same, saying nothing
    prove "$@"
    [[ $code -eq 0 ]]
}
not_proven() { # node arguments…
    prove "$@"
    [[ $code -eq 2 && $said == "NOT proven: "* ]] && return
    echo "     exit $code"
    sed 's/^/     /' <<<"$said" | head -40
    return 1
}
legacy() { # node family arguments…
    local tool=iptables-legacy
    [[ $2 == 4 ]] || tool=ip6tables-legacy
    on_node "$1" $tool -w "${@:3}"
}
# What the stock tools print of a node.
saved() { # node
    on_node "$1" bash -c 'ipset save; iptables-legacy-save; ip6tables-legacy-save'
}
# The set of a node that holds a member.
set_with() { # node member
    on_node "$1" ipset save | sed -n "s/^add \(NP[46]-[A-Z0-9]*\) ${2//./\\.}$/\1/p" | head -1
}

echo "-- nothing is programmed"
check "an empty kernel is not what the policies ask for" not_proven n1 --kernel
check_contains "an empty kernel: the pod is named" "x/web" "$said"

echo "-- as netpold programs it"
check "netpold --once" netpold_once
for name in n1 n2; do
    check "$name: proven, facts read from the node" proven $name --kernel
    check "$name: proven of the host's facts too: nothing left to say" test "$(wc -l <<<"$said")" -eq 1
    netpold $name --print-facts >"$WORK/facts.$name"
    check "$name: proven, facts from a file" proven $name --kernel --facts "$WORK/facts.$name"
    saved $name >"$WORK/saved.$name"
    check "$name: proven, what the stock tools save" proven $name --rules "$WORK/saved.$name" --facts "$WORK/facts.$name"
    check "$name: proven, as compiled" proven $name --facts "$WORK/facts.$name"
done
check "the rules of one node are not those of another" not_proven n1 --rules "$WORK/saved.n2" --facts "$WORK/facts.n1"
prove n1 --kernel -o json
check_contains "JSON: proven" '"verdict":"proven"' "$said"
check_contains "JSON: facts" '"facts":"live"' "$said"

echo "-- a member of a set is deleted by hand"
for far in "${POD_IP4[y/far]}" "${POD_IP6[y/far]}"; do
    set=$(set_with n1 "$far")
    check "the set of $far" test -n "$set"
    on_node n1 ipset del "$set" "$far"
    check "without $far: not proven" not_proven n1 --kernel
    check_contains "named: the pod whose packets change, and to whom" "y/far ($far) -> x/web" "$said"
    check_contains "named: what the policies say" "x/web, ingress rule 0, from[0] allows it" "$said"
    check_contains "named: the rule that drops" "NETPOL-DROP: -j DROP" "$said"
    on_node n1 ipset add "$set" "$far"
    check "put back: proven" proven n1 --kernel
done
set=$(set_with n1 "${POD_IP4[y/far]}")
on_node n1 ipset add "$set" 198.51.100.7
check "a member too many: not proven" not_proven n1 --kernel
check_contains "named: who may now" "198.51.100.7 -> x/web" "$said"
netpold n1 --once >/dev/null
check_equal "netpold --once repairs it" 2 $?
check "repaired: proven" proven n1 --kernel

echo "-- rules are changed by hand"
for family in 4 6; do
    chain=$(legacy n1 $family -S | sed -n 's/^-A \(NETPOL-P-[A-Z0-9]*\) .* 80,9000:9005 .*/\1/p' | head -1)
    check "IPv$family: the chain of x/web" test -n "$chain"
    legacy n1 $family -I "$chain" 1 -p tcp -m tcp --dport 22 -j RETURN
    check "IPv$family: one port more: not proven" not_proven n1 --kernel
    check_contains "IPv$family: the port is named" "TCP port 22," "$said"
    legacy n1 $family -D "$chain" 1
    check "IPv$family: taken out: proven" proven n1 --kernel
    legacy n1 $family -I "$chain" 1 -m statistic --mode nth --every 2 --packet 0 -j RETURN
    check "IPv$family: a rule of ours that cannot be judged: not proven" not_proven n1 --kernel
    check_contains "IPv$family: it is named" "$chain" "$said"
    legacy n1 $family -D "$chain" 1
    legacy n1 $family -D FORWARD 1
    check "IPv$family: our jump is gone: not proven" not_proven n1 --kernel
    netpold n1 --once >/dev/null
    check "IPv$family: repaired: proven" proven n1 --kernel
done

echo "-- rules of others"
legacy n1 4 -N DOCKER-LIKE
legacy n1 4 -A DOCKER-LIKE -j ACCEPT
legacy n1 4 -I FORWARD 1 -j DOCKER-LIKE
legacy n1 6 -A FORWARD -p tcp -j ACCEPT
check "ahead of ours: proven all the same, what is ours" proven n1 --kernel
check_contains "and named as outside of the proof" "DOCKER-LIKE" "$said"
check "behind ours: not named" test "$(grep -c -- '-p tcp' <<<"$said")" -eq 0
check "in a text: the same" proven n1 --rules <(saved n1) --facts "$WORK/facts.n1"
check_contains "in a text: named" "DOCKER-LIKE" "$said"
legacy n1 4 -D FORWARD -j DOCKER-LIKE
legacy n1 6 -D FORWARD -p tcp -j ACCEPT

echo "-- the daemon repairs, and a proof does not disturb it"
netpold_start n1 --sync-period 1s
check "the daemon is ready" wait_ready n1
set=$(set_with n1 "${POD_IP4[y/far]}")
on_node n1 ipset del "$set" "${POD_IP4[y/far]}"
check "proven again within 10 s" eventually 10 proves n1 --kernel
netpold_stop n1
check "cleanup" purge
check "after it: not proven" not_proven n1 --kernel
finish
