#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What netpold does with input it cannot trust: it isolates, or leaves the kernel as it is; it is not ready and says why.
#
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/api n1 bridged app=api
pod x/far n2 routed app=far
state_write

refuses() { # what node text… : --once fails, says each text, writes nothing
    local what=$1 node=$2 before out rc text
    shift 2
    before=$(kernel_text "$node")
    out=$(netpold "$node" --once "${EXTRA[@]}" 2>&1)
    rc=$?
    check "$what: --once fails (exit $rc)" test "$rc" -ne 0 -a "$rc" -ne 2 -a "$rc" -lt 128
    for text in "$@"; do check_contains "$what: says '$text'" "$text" "$out"; done
    check_equal "$what: the kernel is as it was" "$before" "$(kernel_text "$node")"
}
EXTRA=()
unready_because() { # node text
    local answer
    answer=$(http_get "$1" /readyz)
    [[ ${answer%%$'\r'*} == *" 503 "* && $answer == *"$2"* ]]
}
not_ready() { # what node text…: the daemon runs, is not ready, says each text
    local what=$1 node=$2 text answer
    eventually 5 http_get "$node" /livez >/dev/null || fail "$what: the daemon does not answer"
    eventually 5 unready_because "$node" "$3"
    answer=$(http_get "$node" /readyz)
    check_contains "$what: not ready" " 503 " "${answer%%$'\r'*}"
    for text in "${@:3}"; do check_contains "$what: /readyz says '$text'" "$text" "$answer"; done
}
denies() {
    blocked x/api x/web tcp/80 4 && blocked x/api x/webr tcp/80 6
}

echo "-- one bad port: its pods are isolated, the good part is granted"
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: bad-port}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - ports: [{port: 80}, {port: 70000}, {protocol: ICMP, port: 81}]
  - from: [{podSelector: {matchLabels: {app: api}}, futureField: {}}]
E2
check "bad port: netpold --once" netpold_once
check_grid "bad port" <<'E2'
probes t=tcp/80 T=tcp/81 u=udp/80 i=icmp
        x/web x/webr x/api
x/api   t     t      -
x/web   -     t      *
x/far   t     t      *
n1      *     *      *
out     t     t      *
E2
netpold_start n1
check "bad port: the daemon is ready all the same" wait_ready n1
check_contains "bad port: it is counted" "netpold_unenforceable_policies 1" "$(http_get n1 /metrics)"
netpold_stop n1

echo "-- rules in force, then a start with nothing to trust"
policies "$KERNEL_DIR/recipes/01-deny-all-to-an-application.yaml"
check "deny in force" netpold_once
check "it denies" denies
mv "$STATE" "$WORK/kept"
refuses "missing state directory" n1 "$STATE"
mkdir "$STATE"
refuses "emptied state directory" n1 "no object"
netpold_start n1
not_ready "emptied state directory" n1 "no object"
check "emptied state directory: still denied" denies
echo "-- and the state comes"
cp "$WORK"/kept/* "$WORK/kept.tmp" 2>/dev/null
for file in cluster.yaml policy.yaml; do state_put "$file" <"$WORK/kept/$file"; done
check "ready when the state is there" wait_ready n1
check "still denied" denies
echo "-- emptied while it runs"
rm -f "$STATE"/*
not_ready "emptied while running" n1 "no object"
check "emptied while running: still denied" denies
for file in cluster.yaml policy.yaml; do state_put "$file" <"$WORK/kept/$file"; done
check "ready again" wait_ready n1
echo "-- a file breaks while it runs: what it held stays"
state_put policy.yaml <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web-deny-all
spec: [
E2
sleep 0.5
check "broken while running: still denied" denies
policies "$KERNEL_DIR/recipes/06-allow-all.yaml"
check "mended: the new policy is in force" eventually 5 reaches x/api x/web tcp/80
netpold_stop n1

echo "-- a broken file at start"
policies "$KERNEL_DIR/recipes/01-deny-all-to-an-application.yaml"
check "deny in force" netpold_once n1
state_put broken.yaml <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: [unclosed
E2
refuses "broken file" n1 "broken.yaml"
netpold_start n1
not_ready "broken file" n1 "broken.yaml"
check "broken file: still denied" denies
rm "$STATE/broken.yaml"
check "broken file removed: ready" wait_ready n1
netpold_stop n1

echo "-- a node name that nothing knows"
EXTRA=(--node-name n11)
refuses "mistyped node name" n1 "n11"
EXTRA=()
netpold_start n1 --node-name n11
not_ready "mistyped node name" n1 "n11"
check "mistyped node name: still denied" denies
netpold_stop n1

echo "-- a node that never had rules: not even a table is made"
node n3
EXTRA=(--node-name n33)
netpold n3 --once "${EXTRA[@]}" >/dev/null 2>&1
EXTRA=()
check_equal "no legacy table was made" "" "$(on_node n3 cat /proc/net/ip_tables_names /proc/net/ip6_tables_names)"
check_equal "no set was made" "" "$(on_node n3 ipset list -n)"

echo "-- bridged packets that go round the rules"
bridge_nf() { # node file value
    on_node "$1" bash -c "echo $3 > /proc/sys/net/bridge/$2"
}
for file in bridge-nf-call-iptables bridge-nf-call-ip6tables; do
    bridge_nf n1 $file 0
    out=$(netpold n1 --once 2>&1)
    rc=$?
    check "$file off: --once fails (exit $rc)" test "$rc" -ne 0 -a "$rc" -ne 2
    check_contains "$file off: says what to set" "$file" "$out"
    netpold_start n1 --sync-period 1s
    not_ready "$file off" n1 "$file"
    check_contains "$file off: a metric says it" " 0" "$(http_get n1 /metrics | grep '^netpold_bridge_netfilter_ok')"
    bridge_nf n1 $file 1
    check "$file on again: ready" eventually 10 is_ready n1
    netpold_stop n1
done
# Pods with IPv4 alone still have link-local addresses.
sed '/^  - ip: "fd/d' "$STATE/cluster.yaml" >"$WORK/ipv4.yaml" && state_put cluster.yaml <"$WORK/ipv4.yaml"
check "the pods have IPv4 addresses only" test "$(grep -c 'ip: "' "$STATE/cluster.yaml")" -eq 0
bridge_nf n1 bridge-nf-call-ip6tables 0
out=$(netpold n1 --once 2>&1)
check_equal "IPv4 pods only, bridge-nf-call-ip6tables off: --once fails" 1 "$?"
check_contains "and says what to set" bridge-nf-call-ip6tables "$out"
bridge_nf n1 bridge-nf-call-ip6tables 1
state_write
netpold_start n1 --sync-period 1h
check "a long sync period: ready" wait_ready n1
bridge_nf n1 bridge-nf-call-ip6tables 0
is_unready() { ! is_ready n1; }
check "a switch turned off is seen all the same" eventually 8 is_unready
bridge_nf n1 bridge-nf-call-ip6tables 1
check "and on again" eventually 8 is_ready n1
netpold_stop n1
bridge_nf n2 bridge-nf-call-iptables 0
check "routed pods only: bridge-nf-call-iptables does not matter" netpold_once n2
check "cleanup" purge n1 n2
finish
