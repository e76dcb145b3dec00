#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `netpolctl render` loaded by the stock tools (ipset, iptables-legacy-restore --noflush) gives the same verdict for every
# probe as `netpold --once`, and the same text in the kernel.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
namespace y purpose=production
namespace z purpose=monitoring
pod x/web n1 bridged app=web http:80/TCP
pod x/webr n1 routed app=web http:81/TCP,dns:53/UDP
pod x/api n1 bridged app=api,role=client
pod y/cli n1 routed app=cli,role=client
pod x/apir n2 routed app=api,role=client
pod x/db n2 bridged app=db http:80/TCP
pod y/job n2 bridged app=job,type=monitoring http:81/TCP
pod z/prom n2 routed app=prom,type=monitoring
state_write

# Every pair, every protocol: what is seen, whatever it is.
all_pairs() {
    local names=("${PODS[@]}" "${NODES[@]}" out) row column
    {
        echo "probes t=tcp/80 T=tcp/81 u=udp/80 U=udp/53 s=sctp/80 i=icmp"
        echo "${names[@]}"
        for row in "${names[@]}"; do
            printf '%s' "$row"
            for column in "${names[@]}"; do
                if [[ $row == "$column" ]]; then printf ' -'; else printf ' *'; fi
            done
            echo
        done
    } | grid_read
    "$NETPROBE" matrix --sequence "$WORK/sequence" <"$WORK/ask" | sed 's/timeout$/silent/; s/refused$/silent/' >"$1"
}

load() { # node
    local facts=$WORK/facts.$1
    netpold "$1" --print-facts >"$facts" || return 1
    "$NETPOLCTL" render -f "$STATE" --node "$1" --facts "$facts" --section ipset | on_node "$1" ipset restore &&
        "$NETPOLCTL" render -f "$STATE" --node "$1" --facts "$facts" --section iptables |
        on_node "$1" iptables-legacy-restore --noflush &&
        "$NETPOLCTL" render -f "$STATE" --node "$1" --facts "$facts" --section ip6tables |
        on_node "$1" ip6tables-legacy-restore --noflush
}
load_all() {
    load n1 && load n2
}

cat >"$WORK/names.yaml" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: by-name}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{namespaceSelector: {}}]
    ports: [{port: http}, {port: dns, protocol: UDP}, {port: 9000, endPort: 9005}]
  egress:
  - ports: [{port: http}, {protocol: UDP}]
  - to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}, {ipBlock: {cidr: "::/0", except: ["fd00::/8"]}}]
E2
recipes=("$KERNEL_DIR/recipes"/*.yaml)
# Which port of the bridge a pod sits behind shows once it has spoken: before that the guards stand for the whole bridge.
all_pairs "$WORK/warm"
round=0
for group in "${recipes[*]:2:1} ${recipes[*]:8:1} ${recipes[*]:10:1}" "${recipes[*]:11:3}" "${recipes[*]}" "$WORK/names.yaml"; do
    round=$((round + 1))
    # shellcheck disable=SC2086 # a list of files
    policies $group
    if ! netpold_once; then
        fail "state $round: netpold --once"
        continue
    fi
    all_pairs "$WORK/seen.netpold"
    for name in n1 n2; do kernel_text $name >"$WORK/text.$name"; done
    check "state $round: cleanup" purge
    check "state $round: the stock tools load it" load_all
    all_pairs "$WORK/seen.stock"
    denied=$(grep -c silent "$WORK/seen.netpold")
    check_equal "state $round: same verdicts for $(wc -l <"$WORK/seen.stock") probes, $denied of them denied" \
        "$(cat "$WORK/seen.netpold")" "$(cat "$WORK/seen.stock")"
    for name in n1 n2; do
        check_equal "state $round: same text in the kernel of $name" "$(cat "$WORK/text.$name")" "$(kernel_text $name)"
    done
    check "state $round: netpold finds nothing to do" in_sync n1
    check "state $round: cleanup of what the stock tools loaded" purge
    check_equal "state $round: nothing left" "0 0" "$(own_objects n1) $(own_objects n2)"
done
finish
