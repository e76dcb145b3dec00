#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --unknown-pods=drop: an address of the node's pod range that no pod is known to have is closed in both directions, until its
# pod is known; the range from --pod-cidr or from the Node. The node's own addresses in the range are the node's.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"
FORGE=$ROOT_DIR/tests/tools/forge.py
command -v python3 >/dev/null || skip_all "python3 is not installed"

fabric
node n1
node n2
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/late n1 bridged app=late
pod x/later n1 routed app=late
pod x/far n2 bridged app=far
POD_HIDDEN[x/late]=1 POD_HIDDEN[x/later]=1
state_write
# No policy is about them: what closes is that they are not known.
everyone=(x/web x/far)
closed() { # what pod
    local from
    for from in "${everyone[@]}" out; do
        check "$1: $from cannot reach it" blocked "$from" "$2" tcp/80
        check "$1: it cannot reach $from" blocked "$2" "$from" tcp/80
        check "$1: IPv6: $from cannot reach it" blocked "$from" "$2" tcp/80 6
        check "$1: IPv6: it cannot reach $from" blocked "$2" "$from" tcp/80 6
    done
    check "$1: it cannot reach its node" blocked "$2" n1 tcp/80
}
opened() { # what pod
    local from
    for from in "${everyone[@]}" out; do
        check "$1: $from reaches it" reaches "$from" "$2" tcp/80
        check "$1: it reaches $from" reaches "$2" "$from" tcp/80
        check "$1: IPv6: $from reaches it" reaches "$from" "$2" tcp/80 6
    done
    check "$1: it reaches its node" reaches "$2" n1 tcp/80
}

# Link-local addresses are in no range, and a new pod has one first of all.
link_local() { # netns device
    ip -n "$1" -6 addr show dev "$2" scope link | awk '/inet6/ { sub("/.*", "", $2); print $2; exit }'
}
says() { # from address: by TCP, to a neighbour on its link
    ip netns exec "${POD_NETNS[$1]}" timeout 2 bash -c "exec 3<>/dev/tcp/$2%eth0/80" 2>/dev/null
}
# Which tunnel packets come to the node, from no address of the range.
tunnels() { # how many come
    local listener
    ip netns exec n1 python3 "$FORGE" hear "$1" bridged routed >"$WORK/heard" &
    listener=$!
    eventually 10 grep -qs ready "$WORK/heard"
    in_pod x/late python3 "$FORGE" raw 47,192.0.2.77,10.244.1.1,0,bridged
    in_pod x/later python3 "$FORGE" raw 47,192.0.2.77,10.244.1.1,0,routed
    (($1)) || kill "$listener"
    wait "$listener"
    grep -v ready "$WORK/heard" | paste -sd' '
}
LL_WEB=$(link_local "${POD_NETNS[x/web]}" eth0)
LL_NODE=$(link_local n1 cni0)
LL_VETH=$(link_local n1 "${POD_VETH[x/later]}")
[[ -n $LL_WEB && -n $LL_NODE && -n $LL_VETH ]] || die "no link-local addresses"

echo "-- the control: without the option"
netpold_start n1
wait_ready n1 || die "netpold is not ready"
opened "allow" x/late
check "allow: a neighbour by link-local addresses" says x/late "$LL_WEB"
check "allow: and the node" says x/late "$LL_NODE"
check "allow: and routed" says x/later "$LL_VETH"
# Behind the bridge there is a known pod as well, so nothing comes by it.
check_equal "allow: tunnel packets from nobody's address" "bridged no routed yes" "$(tunnels 1)"
netpold_stop n1

echo "-- the range of the Node"
netpold_start n1 --unknown-pods=drop
wait_ready n1 || die "netpold is not ready"
# The Node of the harness has the IPv4 range of bridged pods alone.
check "in the range: closed" blocked x/web x/late tcp/80
check "in the range: closed outbound" blocked x/late out udp/80
check "out of the range: open" reaches x/web x/later tcp/80
check "IPv6, no range of it: open" reaches x/web x/late tcp/80 6
check "a known pod is not touched" reaches x/far x/web tcp/80
check "nor one of another node" reaches x/web x/far tcp/80
says_nothing() { ! says "$@"; }
check "a neighbour by link-local addresses: closed" says_nothing x/late "$LL_WEB"
check "and the node" says_nothing x/late "$LL_NODE"
netpold_stop n1

echo "-- the range of the option"
netpold_start n1 --unknown-pods=drop --pod-cidr=10.244.1.0/24,10.245.1.0/24,fd00:10:244:1::/64,fd00:10:245:1::/64
wait_ready n1 || die "netpold is not ready"
closed "bridged" x/late
closed "routed" x/later
check "routed: the node by link-local addresses: closed" says_nothing x/later "$LL_VETH"
check_equal "tunnel packets from nobody's address: closed" "bridged no routed no" "$(tunnels 0)"
check "the node's address in the range: pods reach it" bash -c \
    "ip netns exec ${POD_NETNS[x/web]} timeout 2 bash -c 'exec 3<>/dev/tcp/10.244.1.1/80'"
check "the node reaches what nobody knows" reaches n1 x/late tcp/80
check "verify proves it" test proven = "$(on_node n1 "$NETPOLCTL" verify -f "$STATE" --node n1 --kernel --unknown-pods=drop \
    --pod-cidr=10.244.1.0/24,10.245.1.0/24,fd00:10:244:1::/64,fd00:10:245:1::/64 -o json |
    sed -n 's/.*"verdict":"\([a-z-]*\)".*/\1/p')"
unset 'POD_HIDDEN[x/late]' 'POD_HIDDEN[x/later]'
state_write
check "known" eventually 5 reaches x/web x/late tcp/80
opened "known" x/late
opened "known" x/later
check "known: the node by link-local addresses" says x/later "$LL_VETH"
POD_HIDDEN[x/late]=1
state_write
check "gone again: closed again" eventually 5 blocked x/web x/late tcp/80
finish
