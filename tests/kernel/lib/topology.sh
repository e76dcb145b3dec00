# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Machines as network namespaces: nodes that forward, pods behind a bridge or behind a routed veth, a host outside.
# shellcheck disable=SC2034 # the other files of the harness use what is declared here
#
#   n1, n2      nodes: 192.168.50.N, fd00:50::N on the fabric; pods in 10.244.N.0/24 (bridge cni0), 10.245.N.0/24 (routed)
#   out         an outside host: 192.168.50.100, and the addresses of OUT_EXTRA on its loopback
#   NS-POD      a pod
#
# Every machine runs netprobe's servers on TCP_PORTS, UDP_PORTS and SCTP_PORTS.

TCP_PORTS=${TCP_PORTS:-53,80,81,82,8080,8081,9000-9005}
UDP_PORTS=${UDP_PORTS:-53,80,81,8080,9000}
SCTP_PORTS=${SCTP_PORTS:-80,81}
FAMILIES=${FAMILIES:-46}  # 4: no IPv6 but what the kernel does by itself, link-local

NODES=()
PODS=()
declare -A POD_NODE POD_NETNS POD_KIND POD_IP4 POD_IP6 POD_LABELS POD_PORTS POD_PHASE POD_VETH NODE_INDEX NODE_IP4 NODE_IP6
declare -A POD_HIDDEN
OUT_IP4=203.0.113.10 OUT_IP6=2001:db8:99::10
OUT_EXTRA=(203.0.113.10 203.0.113.20 198.51.100.7 2001:db8:99::10 2001:db8:99::20 fc00:99::10 64:ff9b::cb00:710a)
POD_NEXT=10

# Settings of a namespace, and its servers.
machine_start() { # netns settings(KEY=VALUE…)
    local netns=$1
    shift
    ip netns exec "$netns" bash -c '
        cd /proc/sys/net || exit 1
        for setting in "${@:2}"; do
            echo "${setting#*=}" > "${setting%%=*}" || exit 1
        done 2>/dev/null
        exec $1' _ "$NETPROBE serve --tcp $TCP_PORTS --udp $UDP_PORTS --sctp $SCTP_PORTS --background $WORK/serve.$netns" \
        ipv6/conf/all/accept_dad=0 ipv6/conf/default/accept_dad=0 ipv6/conf/default/dad_transmits=0 \
        ipv4/conf/all/rp_filter=0 ipv4/conf/default/rp_filter=0 "$@" || die "cannot set up $netns"
}

fabric() {
    ip netns add fabric
    ip -n fabric -batch - <<'BATCH' || die "cannot make the fabric"
link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link set br0 up
link set lo up
BATCH
    # The wire between machines filters nothing.
    ip netns exec fabric bash -c 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables
        echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables' || die "cannot set up the fabric"
}

plug() { # netns ip4 ip6: eth0 on the fabric
    local netns=$1
    ip -n fabric link add "p-$netns" type veth peer name eth0 netns "$netns" || die "cannot plug $netns"
    ip -n fabric link set "p-$netns" master br0 up
    ip -n "$netns" -batch - <<BATCH || die "cannot address $netns"
link set lo up
addr add $2/24 dev eth0
$([[ $FAMILIES == *6* ]] && echo "addr add $3/64 dev eth0 nodad")
link set eth0 up
BATCH
}

node() { # name
    local name=$1 index=$((${#NODES[@]} + 1))
    NODES+=("$name")
    NODE_INDEX[$name]=$index
    NODE_IP4[$name]=192.168.50.$index
    NODE_IP6[$name]=fd00:50::$index
    ip netns add "$name"
    machine_start "$name" ipv4/ip_forward=1 ipv6/conf/all/forwarding=1 bridge/bridge-nf-call-iptables=1 \
        bridge/bridge-nf-call-ip6tables=1 bridge/bridge-nf-filter-vlan-tagged=1
    plug "$name" "${NODE_IP4[$name]}" "${NODE_IP6[$name]}"
    # An address of its own: else the bridge takes the lowest of its ports', and changes it as pods come and go.
    ip -n "$name" -batch - <<BATCH || die "cannot make the bridge of $name"
link add cni0 address 02:00:00:00:00:0$index type bridge stp_state 0 forward_delay 0 mcast_snooping 0
addr add 10.244.$index.1/24 dev cni0
$([[ $FAMILIES == *6* ]] && echo "addr add fd00:10:244:$index::1/64 dev cni0 nodad")
link set cni0 up
BATCH
}

outside() {
    local address
    ip netns add out
    machine_start out ipv4/ip_forward=0
    plug out 192.168.50.100 fd00:50::100
    for address in "${OUT_EXTRA[@]}"; do
        if [[ $address == *:* ]]; then
            [[ $FAMILIES == *6* ]] && echo "addr add $address/128 dev lo nodad"
        else
            echo "addr add $address/32 dev lo"
        fi
    done | ip -n out -batch - || die "cannot address the outside host"
}

# Routes of every machine to every pod network and to the outside; after all nodes are there.
routes() {
    local name other index
    for name in "${NODES[@]}" out; do
        [[ $name == out && ! -e /run/netns/out ]] && continue
        {
            for other in "${NODES[@]}"; do
                index=${NODE_INDEX[$other]}
                [[ $other == "$name" ]] && continue
                echo "route add 10.244.$index.0/24 via ${NODE_IP4[$other]}"
                echo "route add 10.245.$index.0/24 via ${NODE_IP4[$other]}"
                if [[ $FAMILIES == *6* ]]; then
                    echo "-6 route add fd00:10:244:$index::/64 via ${NODE_IP6[$other]}"
                    echo "-6 route add fd00:10:245:$index::/64 via ${NODE_IP6[$other]}"
                fi
            done
            if [[ $name != out ]]; then
                echo "route add default via 192.168.50.100"
                [[ $FAMILIES == *6* ]] && echo "-6 route add default via fd00:50::100"
            fi
        } | sed 's/^-6 route add/-family inet6 route add/' | while read -r line; do
            # shellcheck disable=SC2086 # words of an ip command
            ip -n "$name" $line || exit 1
        done || die "cannot route $name"
    done
}

# A pod: bridged (port of cni0, hairpin on, as the bridge CNI does) or routed (a veth with a host route, as ptp does).
pod() { # namespace/name node bridged|routed labels(k=v,…) [ports(name:number/PROTO,…)]
    local key=$1 node=$2 kind=$3
    local netns=${key/\//-} index=${NODE_INDEX[$2]} host=$POD_NEXT third=244 gateway4 gateway6
    [[ $kind == routed ]] && third=245
    POD_NEXT=$((POD_NEXT + 1))
    PODS+=("$key")
    POD_NODE[$key]=$node
    POD_NETNS[$key]=$netns
    POD_KIND[$key]=$kind
    POD_LABELS[$key]=${4:-}
    POD_PORTS[$key]=${5:-}
    POD_PHASE[$key]=Running
    POD_VETH[$key]=veth$host
    POD_IP4[$key]=10.$third.$index.$host
    POD_IP6[$key]=
    [[ $FAMILIES == *6* ]] && POD_IP6[$key]=fd00:10:$third:$index::$host
    gateway4=10.$third.$index.1
    gateway6=fd00:10:$third:$index::1
    ip netns add "$netns"
    machine_start "$netns"
    ip -n "$node" link add "veth$host" type veth peer name eth0 netns "$netns" || die "cannot plug $key"
    if [[ $kind == bridged ]]; then
        ip -n "$node" link set "veth$host" master cni0 up
        ip -n "$node" link set "veth$host" type bridge_slave hairpin on
        ip -n "$netns" -batch - <<BATCH || die "cannot address $key"
link set lo up
addr add ${POD_IP4[$key]}/24 dev eth0
$([[ $FAMILIES == *6* ]] && echo "addr add ${POD_IP6[$key]}/64 dev eth0 nodad")
link set eth0 up
route add default via $gateway4
$([[ $FAMILIES == *6* ]] && echo "route add default via $gateway6")
BATCH
    else
        ip -n "$node" -batch - <<BATCH || die "cannot route to $key"
addr add $gateway4/32 dev veth$host
$([[ $FAMILIES == *6* ]] && echo "addr add $gateway6/128 dev veth$host nodad")
link set veth$host up
route add ${POD_IP4[$key]}/32 dev veth$host
$([[ $FAMILIES == *6* ]] && echo "route add ${POD_IP6[$key]}/128 dev veth$host")
BATCH
        ip -n "$netns" -batch - <<BATCH || die "cannot address $key"
link set lo up
addr add ${POD_IP4[$key]}/32 dev eth0
$([[ $FAMILIES == *6* ]] && echo "addr add ${POD_IP6[$key]}/128 dev eth0 nodad")
link set eth0 up
route add $gateway4/32 dev eth0 scope link
route add default via $gateway4
$([[ $FAMILIES == *6* ]] && echo "route add $gateway6/128 dev eth0")
$([[ $FAMILIES == *6* ]] && echo "route add default via $gateway6")
BATCH
    fi
}

# A ClusterIP by DNAT on every node, with the hairpin masquerade of kube-proxy. One backend: it is chosen every time.
service() { # vip4 vip6 protocol port backend-pod target-port
    local name
    for name in "${NODES[@]}"; do
        service_family "$name" iptables-legacy "$1" "$3" "$4" "${POD_IP4[$5]}" "${POD_IP4[$5]}:$6" "$6"
        [[ $FAMILIES != *6* ]] ||
            service_family "$name" ip6tables-legacy "$2" "$3" "$4" "${POD_IP6[$5]}" "[${POD_IP6[$5]}]:$6" "$6"
    done
}
service_family() { # node tool vip protocol port backend target target-port
    local run=(ip netns exec "$1" "$2" -w -t nat)
    "${run[@]}" -A PREROUTING -d "$3" -p "$4" --dport "$5" -j DNAT --to-destination "$7" &&
        "${run[@]}" -A OUTPUT -d "$3" -p "$4" --dport "$5" -j DNAT --to-destination "$7" &&
        "${run[@]}" -A POSTROUTING -s "$6" -d "$6" -p "$4" --dport "$8" -j MASQUERADE ||
        die "cannot make the service $3"
}

in_pod() { # pod command…
    local netns=${POD_NETNS[$1]}
    shift
    ip netns exec "$netns" "$@"
}

# The link-local address of an interface.
link_local() { # netns interface
    ip -n "$1" -6 -o addr show dev "$2" scope link | awk '{sub("/.*", "", $4); print $4; exit}'
}
