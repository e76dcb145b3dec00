#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first packets (2,000 here; PODS_TOLD=1000 sends 8,000) of new pods, whose objects have no address yet: sent as soon as the CNI plugin has answered, allowed and
# denied, in and out, both families. Beside it the same without the plugin: the gap that it closes.
#
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
PODS_TOLD=${PODS_TOLD:-250} PODS_UNTOLD=50
source "$(dirname "$0")/lib.sh"
# shellcheck source=lib/cni.sh
source "$KERNEL_DIR/lib/cni.sh"
sandbox "$@"
FIRST=$ROOT_DIR/tests/tools/first_packets.py

fabric
node n1
namespace x team=x
pod x/friend n1 routed app=friend
pod x/other n1 bridged app=other
pod x/many n1 routed app=none
POD_HIDDEN[x/many]=1
# One machine stands for all of them: what tells them apart is the address.
for ((i = 0; i < PODS_TOLD + PODS_UNTOLD; i++)); do
    echo "addr add 10.246.$((i / 250)).$((i % 250 + 1))/32 dev eth0"
    printf 'addr add fd00:10:246::%x/128 dev eth0 nodad\n' $((i + 1))
done | ip -n x-many -batch - || die "cannot address x/many"
ip -n n1 route add 10.246.0.0/16 dev "${POD_VETH[x/many]}"
ip -n n1 -6 route add fd00:10:246::/64 dev "${POD_VETH[x/many]}"
state_write
for ((i = 0; i < PODS_TOLD + PODS_UNTOLD; i++)); do
    printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: x, name: many-%d, uid: uid-%d, labels: {app: many}}\n' $i $i
    printf 'spec: {nodeName: n1}\nstatus: {phase: Pending}\n'
done | state_put many.yaml
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: many}
spec:
  podSelector: {matchLabels: {app: many}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: friend}}}]}]
E2
netpold_start n1
wait_ready n1 || die "netpold is not ready"
cni_config 1.0.0 "$(cni_result 1.0.0 "${POD_VETH[x/many]}" ADDRESS4/32 ADDRESS6/128)" >"$WORK/config"
first() { # plugin count first
    FRIEND4=${POD_IP4[x/friend]} FRIEND6=${POD_IP6[x/friend]} OTHER4=${POD_IP4[x/other]} OTHER6=${POD_IP6[x/other]} \
        python3 "$FIRST" "$1" "$WORK/config" "$2" "$3"
}
all=$((PODS_UNTOLD * 4))
check_equal "without the plugin: what is denied passes" "allowed=$all/$all denied=$all/$all" "$(first - "$PODS_UNTOLD" "$PODS_TOLD" 2>/dev/null)"
all=$((PODS_TOLD * 4))
begun=$EPOCHREALTIME
got=$(first "$CNI_PLUGIN" "$PODS_TOLD" 0)
took=$(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
check_equal "$PODS_TOLD pods, $((2 * all)) first packets, none misjudged ($((took / PODS_TOLD)).$((took * 10 / PODS_TOLD % 10)) ms a pod)" \
    "allowed=$all/$all denied=0/$all" "$got"
# A pod that is away for the daemon only: what was told lives on.
netpold_stop n1 KILL
netpold_start n1
check "ready again" wait_ready n1
check_equal "after a kill of the daemon, without telling anything again" "allowed=$all/$all denied=0/$all" "$(first - "$PODS_TOLD" 0)"
finish
