#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ways round a policy other than forging who sends (test_forged.sh) and link-local addresses (test_link_local.sh): many at
# once by multicast and broadcast, a VLAN 0 tag, a helper's data connection, packets that connection tracking does not
# follow, fragments, IPv6 extension headers. Each gets through without rules, fails with them, and the honest traffic
# beside it passes.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
source "$KERNEL_DIR/lib/facts.sh"
FAMILIES=46
sandbox "$@"
FORGE=$ROOT_DIR/tests/tools/forge.py
command -v python3 >/dev/null || skip_all "python3 is not installed"

fabric
node n1
outside
routes
namespace x team=x
pod x/bad n1 bridged app=bad
pod x/badr n1 routed app=bad
pod x/ok n1 bridged app=ok
pod x/vault n1 bridged app=vault
pod x/vaultr n1 routed app=vault
pod x/client n1 bridged app=client
state_write

give_policies() {
    policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: vault}
spec:
  podSelector: {matchLabels: {app: vault}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: ok}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: client}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{ports: [{protocol: TCP, port: 21}]}]
E2
}
forget_flows() {
    ip netns exec n1 conntrack -F >/dev/null 2>&1
    return 0
}
# Whether what a command sends arrives at a machine: yes or no.
arrives() { # netns tag command…
    sniff_start "$1" "$2"
    "${@:3}" >"$WORK/sent" 2>&1 || {
        cat "$WORK/sent"
        return 1
    }
    sleep 0.4
    if arrived "$1" "$2"; then echo yes; else echo no; fi
    sniff_stop "$1"
}
to_many() { # pod destination tag
    local from=${POD_IP4[$1]}
    [[ $2 != *:* ]] || from=${POD_IP6[$1]}
    in_pod "$1" "$NETPROBE" send --proto udp --from "$from" --to "$2" --port 80 --sport-step 1 --count 3 --tag "$3" --iface eth0
}
craft() { # pod arguments of forge.py
    in_pod "$1" python3 "$FORGE" "${@:2}"
}
mac_of() { # pod
    in_pod "$1" cat /sys/class/net/eth0/address
}
vlan_filter() { # 0|1
    ip netns exec n1 bash -c "echo $1 > /proc/sys/net/bridge/bridge-nf-filter-vlan-tagged" || die "no such setting"
}

GROUPS_AND_ALL=(224.0.0.1 239.1.2.3 255.255.255.255 10.244.1.255 ff02::1%eth0 ff05::1:3%eth0)
many() { # yes|no what
    local group tag
    for group in "${GROUPS_AND_ALL[@]}"; do
        tag=m$((RANDOM))$RANDOM
        check_equal "$2: $group from a neighbour" "$1" "$(arrives x-vault $tag to_many x/bad "$group" $tag)"
    done
}
# What every way below is tried with: from whom, and whether it is to arrive.
ways() { # yes|no pod what
    local from=$2 tag proto
    tag=t$RANDOM
    for target in vault vaultr; do
        check_equal "$3: fragments to $target" "$1" \
            "$(arrives x-$target $tag-f-$target craft "$from" fragments "${POD_IP4[$from]}" "${POD_IP4[x/$target]}" 80 $tag-f-$target)"
        check_equal "$3: behind extension headers to $target" "$1" \
            "$(arrives x-$target $tag-e-$target craft "$from" ext6 "${POD_IP6[x/$target]}" 80 $tag-e-$target)"
    done
}
invalid() { # yes|no pod what: flags that no segment has, and one of a flow that nobody began
    local tag=i$RANDOM flags
    for flags in 0x00 0x03 0x29; do
        check_equal "$3: TCP flags $flags" "$1" \
            "$(arrives x-vault $tag-$flags craft "$2" tcp "${POD_IP4[$2]}" "${POD_IP4[x/vault]}" 80 $flags $tag-$flags)"
        forget_flows
    done
    check_equal "$3: in the middle of a flow" "$1" \
        "$(arrives x-vault $tag-ack craft "$2" tcp "${POD_IP4[$2]}" "${POD_IP4[x/vault]}" 80 0x18 $tag-ack)"
    forget_flows
}
notrack() { # 1|0
    local tool
    for tool in iptables-legacy ip6tables-legacy; do
        ip netns exec n1 "$tool" -w -t raw "$([[ $1 == 1 ]] && echo -A || echo -D)" PREROUTING -p udp --dport 81 -j CT --notrack ||
            return 1
    done
}
untracked() { # yes|no pod what
    local tag=u$RANDOM
    check_equal "$3: untracked" "$1" "$(arrives x-vault $tag-4 to_81 "$2" "${POD_IP4[x/vault]}" "${POD_IP4[$2]}" $tag-4)"
    check_equal "$3: untracked, IPv6" "$1" "$(arrives x-vault $tag-6 to_81 "$2" "${POD_IP6[x/vault]}" "${POD_IP6[$2]}" $tag-6)"
}
to_81() { # pod to from tag
    in_pod "$1" "$NETPROBE" send --proto udp --from "$3" --to "$2" --port 81 --sport-step 1 --count 3 --tag "$4"
}
tagged() { # yes|no what
    local tag=v$RANDOM
    check_equal "$2" "$1" "$(arrives x-vault $tag craft x/bad vlan0 eth0 "$(mac_of x/vault)" "${POD_IP4[x/bad]}" "${POD_IP4[x/vault]}" 80 $tag)"
}
# A data connection that a helper expects, to a port that policy does not allow.
data_connection() {
    ip netns exec out timeout 20 python3 "$FORGE" ftp-server 192.168.50.100 80 >/dev/null 2>&1 &
    local server=$!
    sleep 0.5
    craft x/client ftp-client 192.168.50.100
    kill $server 2>/dev/null
    wait $server 2>/dev/null
}
helper() { # -A|-D
    ip netns exec n1 iptables-legacy -w -t raw "$1" PREROUTING -p tcp --dport 21 -j CT --helper ftp
}
related_seen() {
    ip netns exec n1 iptables-legacy -w -t mangle -L FORWARD -nvx | awk '/RELATED/ { print ($1 > 0 ? "yes" : "no") }'
}

echo "-- no rules: every way is open"
many yes "no rules"
ways yes x/bad "no rules"
invalid yes x/bad "no rules"
vlan_filter 0
tagged yes "no rules: VLAN 0"
check "a host rule that lets port 81 be untracked" notrack 1
untracked yes x/bad "no rules"
HELPER=1
if helper -A 2>"$WORK/helper"; then
    check "a host rule that counts RELATED" ip netns exec n1 iptables-legacy -w -t mangle -A FORWARD -p tcp -m conntrack --ctstate RELATED
    check_equal "no rules: the data connection opens" open "$(data_connection)"
    check_equal "and is RELATED" yes "$(related_seen)"
    forget_flows
else
    HELPER=
    skip "RELATED data connections: no helper for FTP in this kernel ($(head -1 "$WORK/helper"))"
fi

echo "-- policies"
give_policies
check "netpold --once" netpold_once
forget_flows
many no "isolated"
check "rules that know the ports" program n1
many no "isolated, port known"
check_equal "multicast to who is not isolated arrives" yes \
    "$(arrives x-ok honest-group to_many x/bad 224.0.0.1 honest-group)"
check_equal "and by IPv6" yes "$(arrives x-ok honest-group6 to_many x/bad ff02::1%eth0 honest-group6)"
ways no x/bad "not allowed"
ways no x/badr "not allowed, routed"
ways yes x/ok "allowed"
invalid no x/bad "not allowed"
untracked no x/bad "not allowed"
untracked yes x/ok "allowed"
check "a server in reach answers" reaches x/ok x/vault tcp/80
check "and by IPv6" reaches x/ok x/vault tcp/80 6
check "neighbours are found again" ip -n x-ok neigh flush all
check "after that too" reaches x/ok x/vault tcp/80
check "who is not isolated is reached" reaches x/bad x/ok udp/80
check "the node reaches its pod" reaches n1 x/vault tcp/80

echo "-- a VLAN 0 tag goes round bridge netfilter unless it is told to look"
tagged yes "filter-vlan-tagged off"
vlan_filter 1
# Or the answer, which no rule denies, would have opened the flow from its other end.
forget_flows
tagged no "filter-vlan-tagged on"
check "untagged traffic goes on" reaches x/ok x/vault tcp/80

if [[ $HELPER ]]; then
    echo "-- RELATED"
    check_equal "the data connection is judged" silence "$(data_connection)"
    check "the control connection is allowed" in_pod x/client python3 -c 'import socket, sys
server = sys.argv[1]
try:
    socket.create_connection((server, 21), timeout=1)
except ConnectionRefusedError:
    pass' 192.168.50.100
fi
finish
