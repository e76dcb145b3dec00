#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Evaluator ≡ simulator ≡ kernel on samples: random states, their rules in a real kernel, random packets as real ones
# (tests/tools/ksample.c). SEED and N repeat or widen a run; PACKETS is the number of packets of a state.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

KSAMPLE=$BUILD/tests/tools/ksample
[[ -x $KSAMPLE ]] || die "$KSAMPLE is not built"

# The interfaces that random packets name; "other0" stands for one that they do not name.
FACES=(other0 cni0 eth0 veth1 br0)
LOCAL=99

settings() { # netns KEY=VALUE…
    ip netns exec "$1" bash -c 'cd /proc/sys/net || exit 1
        for setting in "${@:2}"; do echo "${setting#*=}" >"${setting%%=*}" || exit 1; done' _ "$@" || die "cannot set up $1"
}
ip netns add node
ip netns add peer
settings peer ipv4/ip_forward=0 ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1
# Whatever a kernel can be told to route, it shall: the rules are asked, not the kernel's own taste.
settings node ipv4/ip_forward=1 ipv6/conf/all/forwarding=1 bridge/bridge-nf-call-iptables=1 \
    bridge/bridge-nf-call-ip6tables=1 ipv4/conf/{all,default}/{rp_filter,send_redirects,accept_redirects}=0 \
    ipv4/conf/all/{accept_local,route_localnet}=1 ipv6/conf/default/{accept_dad,accept_ra,accept_redirects}=0 \
    ipv6/conf/default/{dad_transmits,router_solicitations}=0 ipv6/conf/default/addr_gen_mode=1

# A bridge for each name, whose two ports end in the peer. Mark K+1 leaves by the K-th, to its receiving end; what is
# marked $LOCAL is the node's own, whatever its address.
mac() { printf '02:00:00:00:%02x:%02x' "$1" "$2"; } # 1 bridge, 2 sender, 3 receiver; index
topology() {
    local i name
    echo "link set lo up"
    for i in "${!FACES[@]}"; do
        name=${FACES[i]}
        echo "link add $name address $(mac 1 "$i") type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        echo "link add $name-s type veth peer name s-$name address $(mac 2 "$i") netns peer"
        echo "link add $name-r type veth peer name r-$name address $(mac 3 "$i") netns peer"
        echo "link set $name-s master $name up"
        echo "link set $name-r master $name up"
        echo "link set $name up"
        echo "neigh add 169.254.1.1 lladdr $(mac 3 "$i") dev $name nud permanent"
        echo "neigh add fe80::ff lladdr $(mac 3 "$i") dev $name nud permanent"
        echo "route add default via 169.254.1.1 dev $name onlink table $((101 + i))"
        # Without one the kernel sends nothing to link-local addresses.
        echo "addr add fe80::f$i/128 dev $name nodad"
        echo "-6 route add default via fe80::ff dev $name onlink table $((101 + i))"
        echo "rule add pref $((i + 1)) fwmark $((i + 1))/0xff lookup $((101 + i))"
        echo "-6 rule add pref $((i + 1)) fwmark $((i + 1))/0xff lookup $((101 + i))"
        # A link-local destination needs a route by the interface that it came from.
        echo "-6 route add local default dev $name metric $((i + 1)) table $LOCAL"
    done
    echo "route add local default dev lo table $LOCAL"
    for name in "" "-6 "; do
        echo "${name}rule add pref 50 fwmark $LOCAL/0xff lookup $LOCAL"
        echo "${name}rule add pref 100 lookup local"
        echo "${name}rule del pref 0"
    done
    # The addresses that random states and facts give a node.
    echo "addr add 192.168.0.1/32 dev eth0"
    echo "addr add fd00:168::1/128 dev eth0 nodad"
    echo "addr add 10.244.1.254/32 dev cni0"
    echo "addr add fd00:244:1::fe/128 dev cni0 nodad"
    echo "addr add fe80::1/128 dev cni0 nodad"
}
topology | sed -E 's/^-6 (route|rule|neigh)/-family inet6 \1/' | while read -r line; do
    # shellcheck disable=SC2086 # words of an ip command
    ip -n node $line || die "ip $line"
done || exit 1
for name in "${FACES[@]}"; do
    ip -n peer link set "s-$name" up && ip -n peer link set "r-$name" up || die "cannot set up the peer"
done

# The sender's link-layer address says where to and whether tracked; the traffic class tells what tracking says.
tables() {
    local i
    echo '*raw'
    for i in "${!FACES[@]}" $((LOCAL - 1)); do
        printf -- '-A PREROUTING -m mac --mac-source 02:4e:50:00:01:%02x -j NOTRACK\n' $((i + 1))
    done
    echo '-A OUTPUT -m mark --mark 0x100/0x100 -j NOTRACK'
    echo 'COMMIT'
    echo '*mangle'
    for i in "${!FACES[@]}" $((LOCAL - 1)); do
        printf -- '-A PREROUTING -m mac --mac-source 02:4e:50:00:%02x:%02x -j MARK --set-mark %d\n' \
            0 $((i + 1)) $((i + 1)) 1 $((i + 1)) $((i + 1))
    done
    local chain state
    for chain in INPUT POSTROUTING; do
        i=0
        for state in NEW ESTABLISHED RELATED INVALID UNTRACKED; do
            i=$((i + 1))
            printf -- '-A %s -m conntrack --ctstate %s -j TOS --set-tos 0x%02x/0x1c\n' "$chain" "$state" $((i * 4))
        done
        echo "-A $chain -m conntrack --ctstate DNAT -j TOS --set-tos 0x80/0x80"
    done
    echo 'COMMIT'
    echo '*nat'
    echo 'COMMIT'
}
for tool in iptables ip6tables; do
    tables | ip netns exec node "$tool-legacy-restore" || skip_all "this kernel lacks what the test's own rules need"
done

sample() { # arguments of ksample
    "$KSAMPLE" --node node --peer peer --lock "$WORK/xtables.lock" --interfaces "$(IFS=, && echo "${FACES[*]}")" "$@"
}

echo "-- samples"
sample ${PACKETS:+--packets "$PACKETS"} >"$WORK/samples" 2>&1
rc=$?
sed 's/^/     /' "$WORK/samples"
check_equal "evaluator, simulator and kernel agree: $(tail -1 "$WORK/samples")" 0 "$rc"
check_equal "nothing is left in the kernel" 0 "$(own_objects node)"

# The seed is fixed: whether a fault shows in few states is a matter of luck.
echo "-- the test can fail"
planted() { # fault what
    local out
    out=$(SEED=1 N=60 sample --plant "$1" 2>&1)
    check_equal "$2: found" 1 $?
    check_contains "$2: shown with its seed and all three verdicts" "mismatch: SEED=" "$out"
    [[ $(grep -c '^evaluator: [a-z]*, simulator: [a-z]*, kernel: [a-z]*$' <<<"$out") -eq 2 ]]
    check_equal "$2: as found, and made small" 0 $?
}
planted member "a member missing in a set"
planted rule "a rule missing in a policy chain"
planted leak "the drop missing in a policy chain"

ip netns exec node iptables-legacy -A FORWARD -p udp -m udp --dport 80 -j DROP
out=$(SEED=1 N=60 sample 2>&1)
check_equal "packets that another rule drops: the test says that it is broken" 4 $?
check_contains "packets that another rule drops: named" "does not arrive without any rules" "$out"

finish
