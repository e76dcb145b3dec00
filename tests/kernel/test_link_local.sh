#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ways round a policy that a pod has by IPv6 link-local addresses (which exist in IPv4-only clusters too), by neighbour
# discovery as a carrier, and by packets that pretend to come from their own destination; closed, and the honest traffic
# beside them goes on.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
variants FAMILIES 4 46
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
pod x/jail n1 bridged app=jail
pod x/jailr n1 routed app=jail
pod x/vault n1 bridged app=vault
pod x/free n1 bridged app=free
pod x/freer n1 routed app=free
pod x/far n2 bridged app=far
state_write
DUAL=
[[ $FAMILIES == *6* ]] && DUAL=1

VAULT_LL=$(link_local x-vault eth0)
JAIL_LL=$(link_local x-jail eth0)
BRIDGE_LL=$(link_local n1 cni0)
VETH_LL=$(link_local n1 "${POD_VETH[x/jailr]}")

# A process without any capability, in the pod.
attempt() { # pod protocol address port [source]
    in_pod "$1" "$NETPROBE" connect --unprivileged --proto "$2" --to "$3" --port "$4" ${5:+--from "$5"}
}
reached() {
    [[ $(attempt "$@") == ok ]]
}
dropped() {
    [[ $(attempt "$@") == timeout ]]
}
each_protocol() { # reached|dropped pod address what [source]
    check "$4: TCP" "$1" "$2" tcp "$3" 80 ${5:+"$5"}
    check "$4: UDP" "$1" "$2" udp "$3" 80 ${5:+"$5"}
}
# Neighbour tables forget everything, so that what follows has to ask again.
forget_neighbours() {
    local name
    for name in n1 n2 "${POD_NETNS[@]}"; do
        ip -n "$name" neigh flush all >/dev/null 2>&1
    done
}

to_group() { # tag
    in_pod x/jail "$NETPROBE" send --proto udp --from "$JAIL_LL" --to ff02::1%eth0 --port 80 --tag "$1" --count 3 >/dev/null
}

echo "-- no policy: the paths are there"
each_protocol reached x/jail "$VAULT_LL%eth0" "neighbour by fe80::, no policy"
each_protocol reached x/jail "$BRIDGE_LL%eth0" "node by fe80:: of the bridge, no policy"
each_protocol reached x/jailr "$VETH_LL%eth0" "node by fe80:: of the veth, no policy"
sniff_start x-vault to-group
check "a datagram to all nodes of the link is sent, no policy" to_group to-group
check "a datagram to all nodes of the link arrives, no policy" eventually 2 arrived x-vault to-group 3

echo "-- isolated for egress"
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: jail}
spec:
  podSelector: {matchLabels: {app: jail}}
  policyTypes: [Egress]
E2
check "netpold --once" netpold_once
each_protocol dropped x/jail "$VAULT_LL%eth0" "neighbour by fe80::"
each_protocol dropped x/jail "$BRIDGE_LL%eth0" "node by fe80:: of the bridge"
each_protocol dropped x/jailr "$VETH_LL%eth0" "node by fe80:: of the veth"
sniff_start x-vault to-group
check "a datagram to all nodes of the link is sent" to_group to-group
sniff_end x-vault
check_equal "a datagram to all nodes of the link does not arrive" 0 "$(sniffed x-vault to-group)"
if [[ $DUAL ]]; then
    each_protocol dropped x/jail "${POD_IP6[x/vault]}" "neighbour's global address from fe80::" "$JAIL_LL%eth0"
    each_protocol dropped x/jail "$VAULT_LL%eth0" "neighbour's fe80:: from a global address" "${POD_IP6[x/jail]}"
    each_protocol dropped x/jail "fd00:10:244:1::1" "node's global address from fe80::" "$JAIL_LL%eth0"
    each_protocol dropped x/jail "$BRIDGE_LL%eth0" "node's fe80:: from a global address" "${POD_IP6[x/jail]}"
    each_protocol dropped x/jailr "$VETH_LL%eth0" "node's fe80:: of the veth from a global address" "${POD_IP6[x/jailr]}"
    each_protocol dropped x/jail "${POD_IP6[x/vault]}" "neighbour by its global address"
fi
check "neighbour by IPv4" blocked x/jail x/vault tcp/80

echo "-- honest neighbour discovery goes on"
forget_neighbours
for family in 4 6; do
    [[ $family == 4 || $DUAL ]] || continue
    check "a pod resolves a neighbour, IPv$family" reaches x/free x/vault tcp/80 $family
    check "an isolated pod is resolved and answers, IPv$family" reaches x/free x/jail tcp/80 $family
    check "an isolated routed pod is resolved and answers, IPv$family" reaches x/far x/jailr tcp/80 $family
    check "the node resolves an isolated pod, IPv$family" reaches n1 x/jail tcp/80 $family
    check "a pod resolves its node, IPv$family" reaches x/free n1 tcp/80 $family
done

echo "-- neighbour discovery is no carrier"
solicit() { # pod source destination hop-limit tag
    in_pod "$1" "$NETPROBE" send --proto nd --from "$2" --to "$3" --hop-limit "$4" --target "${3%\%*}" --tag "$5" \
        --count 3 >/dev/null
}
# What policy allows, to the receiver of what it does not: that one listens.
heard() { # from source to tag
    ip netns exec "$1" "$NETPROBE" send --proto udp --from "$2" --to "$3" --port 80 --count 3 --tag "$4" >/dev/null
}
not_arrived() { # netns tag
    sleep 0.2
    ! arrived "$1" "$2"
}
sniff_start x-vault nd-honest nd-64 nd-254 nd-global-64 nd-far
sniff_start x-far nd-far heard-far
check "solicitation with hop limit 255 is sent" solicit x/jail "$JAIL_LL" "$VAULT_LL%eth0" 255 nd-honest
check "solicitation with hop limit 255 arrives" eventually 2 arrived x-vault nd-honest
check "solicitation with hop limit 64 is sent" solicit x/jail "$JAIL_LL" "$VAULT_LL%eth0" 64 nd-64
check "solicitation with hop limit 64 does not arrive" not_arrived x-vault nd-64
check "solicitation with hop limit 254 is sent" solicit x/jail "$JAIL_LL" "$VAULT_LL%eth0" 254 nd-254
check "solicitation with hop limit 254 does not arrive" not_arrived x-vault nd-254
if [[ $DUAL ]]; then
    check "solicitation between global addresses, hop limit 64, is sent" \
        solicit x/jail "${POD_IP6[x/jail]}" "${POD_IP6[x/vault]}" 64 nd-global-64
    check "solicitation between global addresses, hop limit 64, does not arrive" not_arrived x-vault nd-global-64
    for hops in 64 255; do
        check "solicitation to another node, hop limit $hops, is sent" \
            solicit x/jail "${POD_IP6[x/jail]}" "${POD_IP6[x/far]}" $hops nd-far
        check "routed pod's solicitation to another node, hop limit $hops, is sent" \
            solicit x/jailr "${POD_IP6[x/jailr]}" "${POD_IP6[x/far]}" $hops nd-far
    done
    check "a datagram of who is not isolated is sent there" heard x-free "${POD_IP6[x/free]}" "${POD_IP6[x/far]}" heard-far
    check "and arrives" eventually 2 arrived x-far heard-far
    check "solicitations are not forwarded to another node" not_arrived x-far nd-far
fi

echo "-- isolated for ingress"
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: vault}
spec:
  podSelector: {matchLabels: {app: vault}}
  policyTypes: [Ingress]
E2
check "netpold --once" netpold_once
each_protocol dropped x/free "$VAULT_LL%eth0" "isolated neighbour by fe80::"
forget_neighbours
check "the node resolves and reaches it" reaches n1 x/vault tcp/80 4
[[ ! $DUAL ]] || check "the node resolves and reaches it, IPv6" reaches n1 x/vault tcp/80 6
check "it reaches others" reaches x/vault x/free tcp/80 4

echo "-- forged: from the victim to itself"
forge() { # netns victim-address tag
    local proto
    for proto in tcp udp icmp; do
        ip netns exec "$1" "$NETPROBE" send --proto $proto --from "$2" --to "$2" --port 80 --sport-step 1 --count 3 \
            --tag "$3-$proto" ${4:+--iface "$4"} >/dev/null || return 1
    done
}
service 10.96.0.10 fd00:96::10 tcp 80 x/vault 8080
for family in 4 6; do
    [[ $family == 4 || $DUAL ]] || continue
    victim=${POD_IP4[x/vault]} node=${NODE_IP4[n1]} vip=10.96.0.10
    [[ $family == 4 ]] || victim=${POD_IP6[x/vault]} node=${NODE_IP6[n1]} vip=fd00:96::10
    tags=()
    for from in x-free x-freer x-far out; do
        for proto in tcp udp icmp; do tags+=("self$family-$from-$proto"); done
    done
    sniff_start x-vault "${tags[@]}" heard$family
    for from in x-free x-freer x-far out; do
        check "IPv$family packets from the victim to itself are sent by $from" forge "$from" "$victim" "self$family-$from" eth0
    done
    check "IPv$family packets of the node to the victim are sent" heard n1 "$node" "$victim" heard$family
    check "IPv$family packets of the node to the victim arrive" eventually 2 arrived x-vault heard$family
    sniff_end x-vault
    check_equal "IPv$family packets from the victim to itself do not arrive" "$(printf '%s 0\n' "${tags[@]}")" \
        "$(grep '^self' "$WORK/sniff.x-vault")"
    check "IPv$family: the victim reaches itself by its service" reaches x/vault $vip tcp/80 $family
    check "IPv$family: nobody else reaches it by its service" blocked x/free $vip tcp/80 $family
done

echo "-- no policy again: what was closed is open, and the forged packets were real"
policies
check "netpold --once" netpold_once
each_protocol reached x/jail "$VAULT_LL%eth0" "neighbour by fe80::, no policy"
for family in 4 6; do
    [[ $family == 4 || $DUAL ]] || continue
    victim=${POD_IP4[x/vault]}
    [[ $family == 4 ]] || victim=${POD_IP6[x/vault]}
    tags=()
    for from in x-free x-freer x-far out; do
        for proto in tcp udp icmp; do tags+=("open$family-$from-$proto"); done
    done
    sniff_start x-vault "${tags[@]}"
    for from in x-free x-freer x-far out; do
        check "forged IPv$family packets of $from are sent, without policy" forge "$from" "$victim" "open$family-$from" eth0
        for proto in tcp udp icmp; do
            check "forged IPv$family packets of $from arrive without policy, $proto" \
                eventually 2 arrived x-vault "open$family-$from-$proto" 3
        done
    done
done
sniff_start x-vault nd-64 nd-254 nd-global-64
sniff_start x-far nd-far-64 nd-far-255 nd-farr-64 nd-farr-255
for hops in 64 254; do
    solicit x/jail "$JAIL_LL" "$VAULT_LL%eth0" $hops nd-$hops
    check "solicitation with hop limit $hops arrives without policy" eventually 2 arrived x-vault nd-$hops
done
if [[ $DUAL ]]; then
    solicit x/jail "${POD_IP6[x/jail]}" "${POD_IP6[x/vault]}" 64 nd-global-64
    check "solicitation between global addresses, hop limit 64, arrives without policy" eventually 2 arrived x-vault nd-global-64
    for hops in 64 255; do
        solicit x/jail "${POD_IP6[x/jail]}" "${POD_IP6[x/far]}" $hops nd-far-$hops
        solicit x/jailr "${POD_IP6[x/jailr]}" "${POD_IP6[x/far]}" $hops nd-farr-$hops
        check "solicitation to another node, hop limit $hops, arrives without policy" eventually 2 arrived x-far nd-far-$hops
        check "routed pod's, hop limit $hops, too" eventually 2 arrived x-far nd-farr-$hops
    done
fi
finish
