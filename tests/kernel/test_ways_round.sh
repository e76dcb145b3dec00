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
pod x/gate n1 bridged app=gate
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
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: gate}
spec:
  podSelector: {matchLabels: {app: gate}}
  policyTypes: [Ingress]
  ingress: [{ports: [{protocol: UDP, port: 80}]}]
E2
}
# Whether what a command sends arrives at a machine: yes or no.
arrives() { # netns tag command…
    sniff_start "$1" "$2"
    "${@:3}" >"$WORK/sent" 2>&1 || {
        cat "$WORK/sent"
        return 1
    }
    sniff_end "$1"
    if arrived "$1" "$2"; then echo yes; else echo no; fi
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
# Whether each of what the lines say arrives: "WHAT: arguments of forge.py"; TAG stands for a tag of its own.
each_arrives() { # yes|no pod netns what [order-of-fragments] < lines
    local name command n=0 tags=() names=() lines=() id=t$RANDOM
    mapfile -t lines
    for name in "${lines[@]}"; do tags+=("$id-$((n++))-"); done
    sniff_start "$3" "${tags[@]}"
    n=0
    for command in "${lines[@]}"; do
        names+=("${command%%: *}")
        # shellcheck disable=SC2086 # words of a command
        craft "$2" ${command#*: } "$id-$((n++))-" ${5:+"$5"} >"$WORK/sent" 2>&1 || fail "$4: ${command%%: *}: $(tail -1 "$WORK/sent")"
    done
    sleep 0.4
    check_equal "$4" "$(printf "%s: $1\n" "${names[@]}")" \
        "$(paste -d' ' <(printf '%s:\n' "${names[@]}") <(awk -v id="$id" 'index($1, id) == 1 { print $2 ? "yes" : "no" }' "$WORK/sniff.$3"))"
    sniff_stop "$3"
}
# What every way below is tried with: from whom, and whether it is to arrive.
ways() { # yes|no pod what
    local target four six to4 to6 headers
    four=${POD_IP4[$2]} six=${POD_IP6[$2]}
    for target in vault vaultr; do
        to4=${POD_IP4[x/$target]} to6=${POD_IP6[x/$target]}
        {
            echo "fragments: fragments $four $to4 80"
            echo "fragments, IPv6: fragments $six $to6 80"
            echo "two extension headers, by a plain socket: ext6 $to6 80"
            for headers in hop dst route frag ah hop,dst,route,frag,ah,dst; do
                echo "behind $headers, UDP: chain $headers $six $to6 udp 80"
                echo "behind $headers, TCP: chain $headers $six $to6 tcp 80"
            done
        } | each_arrives "$1" "$2" "x-$target" "$3: fragments and extension headers to $target"
        {
            echo "fragments: fragments $four $to4 80"
            echo "fragments, IPv6: fragments $six $to6 80"
        } | each_arrives "$1" "$2" "x-$target" "$3: fragments to $target, the last one first" backwards
    done
}
# Where a port decides, and what says the port may come late, twice or behind something.
ports() { # yes|no what: to the port that policy does not allow
    local four=${POD_IP4[x/ok]} six=${POD_IP6[x/ok]} to4=${POD_IP4[x/gate]} to6=${POD_IP6[x/gate]} headers
    {
        echo "fragments: fragments $four $to4 81"
        echo "fragments, IPv6: fragments $six $to6 81"
        for headers in hop dst route frag ah hop,dst,route,frag,ah,dst; do
            echo "behind $headers: chain $headers $six $to6 udp 81"
        done
    } | each_arrives "$1" x/ok x-gate "$2: to another port"
    {
        echo "a fragment over the first one: fragments $four $to4 81"
        echo "the same, IPv6: fragments $six $to6 81"
    } | each_arrives "$1" x/ok x-gate "$2: to another port, written over an allowed one" overlap
}
invalid() { # yes|no pod what: flags that no segment has, and one of a flow that nobody began
    local flags
    # Each in a flow of its own: nothing before it is known.
    for flags in 0x00 0x03 0x29 0x18; do
        forget_flows n1
        {
            echo "IPv4: tcp ${POD_IP4[$2]} ${POD_IP4[x/vault]} 80 $flags"
            echo "IPv6: tcp ${POD_IP6[$2]} ${POD_IP6[x/vault]} 80 $flags"
        } | each_arrives "$1" "$2" x-vault "$3: TCP flags $flags"
    done
    forget_flows n1
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
tagged() { # yes|no what [types]
    local tag=v$RANDOM
    check_equal "$2" "$1" "$(arrives x-vault $tag craft x/bad vlan "${3:-8100}" eth0 "$(mac_of x/vault)" "${POD_IP4[x/bad]}" "${POD_IP4[x/vault]}" 80 $tag)"
}
# What a DHCP client broadcasts, to neighbours: it has no address that a tree could judge.
dhcp() { # yes|no pod what
    local tag=d$RANDOM
    check_equal "$3" "$1" \
        "$(arrives x-ok $tag craft "$2" frame eth0 ff:ff:ff:ff:ff:ff 0.0.0.0 255.255.255.255 68 67 $tag)"
}
# An address that a neighbour, as a router, gives the vault; no object tells it. Each time another one.
PLANTED=0
plant() { # yes|no what
    local prefix
    PLANTED=$((PLANTED + 1))
    prefix=2001:db8:bad:$PLANTED::
    on_pod_setting x/vault accept_ra 1
    craft x/bad router eth0 "$(link_local x-bad eth0)" "$prefix/64"
    check_equal "$2" "$1" "$(if within 3 has_address x/vault "$prefix"; then echo yes; else echo no; fi)"
    on_pod_setting x/vault accept_ra 0
}
on_pod_setting() { # pod name value
    in_pod "$1" bash -c "echo $3 > /proc/sys/net/ipv6/conf/eth0/$2"
}
has_address() { # pod beginning
    in_pod "$1" ip -6 -o addr show dev eth0 | grep -q " ${2%::}:"
}
# A data connection that a helper expects, to a port that policy does not allow: what becomes of it from each pod, each
# with a control connection of its own.
data_connection() { # pod…
    local pod server
    for pod in "$@"; do
        ip netns exec out timeout 20 python3 "$FORGE" ftp-server 192.168.50.100 80 >/dev/null 2>&1 &
        server=$!
        # 0015: port 21; 0A: listening.
        eventually 10 ip netns exec out grep -q ':0015 00000000:0000 0A' /proc/net/tcp
        echo "$pod $(craft "$pod" ftp-client 192.168.50.100)"
        kill $server 2>/dev/null
        wait $server 2>/dev/null
    done
}
helper() { # -A|-D
    ip netns exec n1 iptables-legacy -w -t raw "$1" PREROUTING -p tcp --dport 21 -j CT --helper ftp
}
related_seen() { # since it was asked last
    ip netns exec n1 iptables-legacy -w -t mangle -L FORWARD -nvx -Z | awk '/RELATED/ { print ($1 > 0 ? "yes" : "no") }'
}

echo "-- no rules: every way is open"
many yes "no rules"
ways yes x/bad "no rules"
invalid yes x/bad "no rules"
vlan_filter 0
for types in 8100 88a8 8100,8100 88a8,8100; do tagged yes "no rules: VLAN 0, tags $types" $types; done
plant yes "no rules: a neighbour as a router"
dhcp yes x/client "no rules: a DHCP client's broadcast"
ports yes "no rules"
check "a host rule that lets port 81 be untracked" notrack 1
untracked yes x/bad "no rules"
HELPER=1
if helper -A 2>"$WORK/helper"; then
    check "a host rule that counts RELATED" ip netns exec n1 iptables-legacy -w -t mangle -A FORWARD -p tcp -m conntrack --ctstate RELATED
    check_equal "no rules: the data connections open" $'x/client open\nx/ok open' "$(data_connection x/client x/ok)"
    check_equal "and are RELATED" yes "$(related_seen)"
    check_equal "nothing since" no "$(related_seen)"
    forget_flows n1
else
    HELPER=
    skip "RELATED data connections: no helper for FTP in this kernel ($(head -1 "$WORK/helper"))"
fi

echo "-- policies"
give_policies
check "netpold --once" netpold_once
forget_flows n1
many no "isolated"
check "rules that know the ports" program n1
many no "isolated, port known"
check_equal "multicast to who is not isolated arrives" yes \
    "$(arrives x-ok honest-group to_many x/bad 224.0.0.1 honest-group)"
check_equal "and by IPv6" yes "$(arrives x-ok honest-group6 to_many x/bad ff02::1%eth0 honest-group6)"
plant no "no neighbour is a router"
dhcp no x/client "a DHCP client that is isolated for egress is not heard by neighbours"
dhcp yes x/bad "one that is not isolated is"
ports no "not allowed"
check "the port that is allowed is served" reaches x/ok x/gate udp/80
check "and by IPv6" reaches x/ok x/gate udp/80 6
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
forget_flows n1
tagged no "filter-vlan-tagged on"
forget_flows n1
tagged no "filter-vlan-tagged on, of the other kind" 88a8
if on_node n1 ebtables -A FORWARD -p 802_1Q -j DROP 2>/dev/null && on_node n1 ebtables -A FORWARD -p 0x88a8 -j DROP; then
    # Two tags are no IP to bridge netfilter, whatever the switch: docs/HOSTS.md says what to do.
    for types in 8100,8100 88a8,8100 8100,8100,8100; do
        forget_flows n1
        tagged no "rules of the bridge drop what has tags: $types" $types
    done
else
    skip "two VLAN 0 tags: no ebtables here"
fi
check "untagged traffic goes on" reaches x/ok x/vault tcp/80

if [[ $HELPER ]]; then
    echo "-- RELATED"
    # Silence means nothing of a server that is dead, or of a connection that no helper expected: the same server at the
    # same port serves who is not isolated before and after it, and the kernel knew the packets that were dropped. That
    # the control connection is allowed is in the answer: without it the client has no port to be silent at.
    check_equal "before: RELATED as well for who is not isolated" "x/ok open yes" "$(data_connection x/ok) $(related_seen)"
    check_equal "the data connection is judged, and is RELATED" "x/client silence yes" "$(data_connection x/client) $(related_seen)"
    check_equal "after: the server lives" "x/ok open yes" "$(data_connection x/ok) $(related_seen)"
    check "the data port serves who is not isolated" reaches x/ok out tcp/80
    check "and is not the isolated one's" blocked x/client out tcp/80
fi
finish
