#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ways round a policy by forging who sends: another pod's address (routed and bridged pods, to pods and to the node), and
# tunnel packets to another node, whose inner source the policy there allows. Each gets through without the guard, fails
# with it, and the honest traffic beside it passes.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
source "$KERNEL_DIR/lib/facts.sh"
FAMILIES=46
sandbox "$@"
FORGE=$ROOT_DIR/tests/tools/forge.py
command -v python3 >/dev/null || skip_all "python3 is not installed"

fabric
node n1
node n2
outside
routes
namespace x team=x
pod x/jail n1 bridged app=jail
pod x/jailr n1 routed app=jail
pod x/friend n1 bridged app=friend
pod x/vault n1 bridged app=vault
pod x/vaultr n1 routed app=vault
pod x/free n1 bridged app=free
pod x/freer n1 routed app=free
pod x/far n2 bridged app=vault
state_write

# An overlay as flannel makes one, beside the routes: 10.250.0.N is node N.
overlay() { # node other
    local index=${NODE_INDEX[$1]} other=${NODE_INDEX[$2]}
    ip -n "$1" -batch - <<BATCH || die "cannot make the tunnel of $1"
link add vxlan1 address 02:00:00:00:01:0$index type vxlan id 1 dstport 8472 local ${NODE_IP4[$1]} nolearning
addr add 10.250.0.$index/24 dev vxlan1
link set vxlan1 up
neigh add 10.250.0.$other lladdr 02:00:00:00:01:0$other dev vxlan1 nud permanent
BATCH
    bridge -n "$1" fdb append 02:00:00:00:01:0"$other" dev vxlan1 dst "${NODE_IP4[$2]}" || die "no fdb on $1"
}
overlay n1 n2
overlay n2 n1

policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: jail}
spec:
  podSelector: {matchLabels: {app: jail}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: free}}}], ports: [{protocol: UDP, port: 80}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: vault}
spec:
  podSelector: {matchLabels: {app: vault}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]
E2

address() { # pod family
    [[ $2 == 4 ]] && echo "${POD_IP4[$1]}" || echo "${POD_IP6[$1]}"
}
address_of() { # node family
    [[ $2 == 4 ]] && echo "${NODE_IP4[$1]}" || echo "${NODE_IP6[$1]}"
}
forge() { # pod family source-pod target-pod tag
    in_pod "$1" "$NETPROBE" send --proto udp --from "$(address "$3" "$2")" --to "$(address "$4" "$2")" --port 80 \
        --sport-step 1 --count 3 --tag "$5" --iface eth0 >/dev/null
}
# Datagrams from the pod with a source that nobody has, at a socket of its node.
reach_node() { # pod source tag wanted
    local to=${NODE_IP4[n1]}
    ip netns exec n1 python3 "$FORGE" count 7777 "$4" "$3" >"$WORK/count" &
    local counter=$!
    # 1E61: port 7777.
    eventually 10 ip netns exec n1 grep -q ':1E61 ' /proc/net/udp
    in_pod "$1" "$NETPROBE" send --proto udp --from "$2" --to "$to" --port 7777 --sport-step 1 --count 3 --tag "$3" \
        --iface eth0 >/dev/null
    # What must come is waited for.
    (($4)) || kill "$counter"
    wait "$counter"
    cat "$WORK/count"
}
forgeries() { # yes|no what
    local family from
    local tags=()
    for family in 4 6; do
        for from in jail jailr; do tags+=("$from-as-friend-$family"); done
    done
    sniff_start x-vault "${tags[@]}"
    for family in 4 6; do
        for from in jail jailr; do
            check "$2: $from sends as a friend, IPv$family" forge "x/$from" $family x/friend x/vault "$from-as-friend-$family"
        done
    done
    sniff_end x-vault
    local want=3
    [[ $1 == yes ]] || want=0
    # Answers to what arrives carry the tag as well, so only whether there is any counts.
    check_equal "$2: does it arrive" "$(printf "%s $1\n" "${tags[@]}")" \
        "$(awk '{ print $1, $2 ? "yes" : "no" }' "$WORK/sniff.x-vault")"
    check_equal "$2: to the node from nobody's address, bridged" $want "$(reach_node x/jail 10.244.1.99 nobody-bridged "$want")"
    check_equal "$2: to the node from nobody's address, routed" $want "$(reach_node x/jailr 10.245.1.99 nobody-routed "$want")"
}
# A datagram that pretends to come from the victim and goes to its forger makes a flow; the forger "answers" in it.
FLOW_PORT=4100
answer() { # forger victim family tag
    local mac device=cni0
    [[ ${POD_KIND[$1]} == bridged ]] || device=${POD_VETH[$1]}
    mac=$(ip netns exec n1 cat "/sys/class/net/$device/address")
    FLOW_PORT=$((FLOW_PORT + 1))
    in_pod "$1" python3 "$FORGE" frame eth0 "$mac" "$(address "$2" "$3")" "$(address "$1" "$3")" 80 $FLOW_PORT begun || return 1
    sleep 0.1
    in_pod "$1" python3 "$FORGE" frame eth0 "$mac" "$(address "$1" "$3")" "$(address "$2" "$3")" $FLOW_PORT 80 "$4"
}
answers() { # yes|no what
    local pair family tag netns
    for pair in free:vault free:vaultr freer:vault freer:vaultr; do
        for family in 4 6; do
            tag=a$RANDOM
            netns=x-${pair#*:}
            sniff_start "$netns" $tag
            check "$2: ${pair%:*} answers what ${pair#*:} never said, IPv$family" answer "x/${pair%:*}" "x/${pair#*:}" $family $tag
            sniff_end "$netns"
            check_equal "$2: does it arrive" "$1" "$(if arrived "$netns" $tag; then echo yes; else echo no; fi)"
        done
    done
}
honest() { # what
    check "$1: the friend reaches the vault" reaches x/friend x/vault udp/80
    check "$1: the friend reaches the vault, IPv6" reaches x/friend x/vault tcp/80 6
    check "$1: the jail reaches what it may" reaches x/jail x/free udp/80
    check "$1: the routed jail reaches what it may, IPv6" reaches x/jailr x/free udp/80 6
    check "$1: the jail reaches nothing else" blocked x/jail x/free tcp/80
    check "$1: who is not isolated reaches all" reaches x/free out tcp/80
    check "$1: who is isolated for ingress asks and is answered" reaches x/vault x/free udp/80
    check "$1: routed, IPv6" reaches x/vaultr x/free tcp/80 6
    check "$1: and by another node" reaches x/vaultr out tcp/80
    check "$1: nobody asks it" blocked x/free x/vault udp/80
}

echo "-- forged sources"
forgeries yes "no rules"
check "rules without the guard" program n1 --source-guard=off
honest "guard off"
forgeries yes "guard off"
answers yes "guard off"
check "rules with the guard" program n1
check "physdev rules are in the kernel" grep -q 'physdev-in' <(on_node n1 "iptables-$FILTER-save" -t filter)
forgeries no "guard"
answers no "guard"
honest "guard"
sniff_start x-vault free-as-friend
check "a pod that is not isolated sends as a friend" forge x/free 4 x/friend x/vault free-as-friend
check "and passes for it, as long as not all are guarded" eventually 2 arrived x-vault free-as-friend 3
check "rules that guard all" program n1 --source-guard=all
sniff_start x-vault free-as-friend
check "a pod that is not isolated sends as a friend" forge x/free 4 x/friend x/vault free-as-friend
sniff_end x-vault
check_equal "it does not arrive" 0 "$(sniffed x-vault free-as-friend)"
honest "all guarded"

echo "-- forged tunnel packets"
tunnel() { # pod tag [to]
    in_pod "$1" python3 "$FORGE" vxlan "${3:-${NODE_IP4[n2]}}" 8472 1 02:00:00:00:01:02 "${POD_IP4[x/friend]}" \
        "${POD_IP4[x/far]}" 80 "$2"
}
# To where no object says that the node is, and to its own node.
more_tunnels() { # yes|no what
    local to tag=g$RANDOM
    sniff_start x-far $tag
    check "$2: a tunnel packet to the gateway of the other node's pods is sent" tunnel x/free $tag 10.244.2.1
    sniff_end x-far
    check_equal "$2: does it arrive" "$1" "$(if arrived x-far $tag; then echo yes; else echo no; fi)"
    # The fourth: everybody where the node's uplink is; then what table local says alone; the last: a virtual address of
    # IPVS that no service takes it from.
    for to in 255.255.255.255 10.244.1.255 224.0.0.1 192.168.50.255 198.18.5.5 198.18.6.7 198.18.7.99 ${VIP:-}; do
        tag=g$RANDOM
        sniff_start x-vault $tag
        check "$2: one to all of $to is sent" in_pod x/free python3 "$FORGE" vxlan $to 8472 1 02:00:00:00:01:01 \
            "${POD_IP4[x/friend]}" "${POD_IP4[x/vault]}" 80 $tag
        sniff_end x-vault
        check_equal "$2: does it arrive" "$1" "$(if arrived x-vault $tag; then echo yes; else echo no; fi)"
    done
}
# IPv6: a router answers to the first address of each of its networks.
anycast() { # yes|no what
    local to got
    for to in "${NODE_IP6[n1]}" fd00:50:: fd00:10:244:1::; do
        ip netns exec n1 python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::", 4789))
s.settimeout(20 if sys.argv[1] == "yes" else 2)
print("ready", flush=True)
try:
    print("yes" if s.recv(99) else "no")
except TimeoutError:
    print("no")' "$1" >"$WORK/anycast" &
        got=$!
        eventually 5 grep -qs ready "$WORK/anycast"
        check "$2: a tunnel packet to $to is sent" in_pod x/free python3 -c '
import socket, sys
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", (sys.argv[1], 4789))' "$to"
        wait "$got"
        check_equal "$2: does it arrive" "$1" "$(tail -1 "$WORK/anycast")"
    done
}
protocols() { # yes|no what
    local number want
    sniff_start n2 raw-4 raw-41 raw-47
    for number in 4 41 47; do
        check "$2: protocol $number is sent to the other node" in_pod x/free python3 "$FORGE" proto $number "${NODE_IP4[n2]}" raw-$number
    done
    sniff_end n2
    for number in 4 41 47; do
        check_equal "$2: protocol $number: does it leave" "$1" "$(if arrived n2 raw-$number; then echo yes; else echo no; fi)"
    done
}
# Tunnels that talk both ways are ESTABLISHED to conntrack, and protocols without ports (or a tunnel with one port at both
# ends) are told by their addresses alone: so a pod's forgery is too. To its own node as the other one; to the other one
# as its own node (IPv6; IPv4 takes no address of its own from elsewhere).
FLOWS=(4 41 47 17)
established() { # yes|no what
    local number family pod tags=() from=() back=() forged=() a b
    for family in 4 6; do
        a=$(address_of n1 $family) b=$(address_of n2 $family)
        for number in "${FLOWS[@]}"; do
            from+=("$number,$b,$a,8472,begun") back+=("$number,$a,$b,8472,begun")
        done
    done
    for _ in 1 2; do
        on_node n2 python3 "$FORGE" raw "${from[@]}" || return 1
        on_node n1 python3 "$FORGE" raw "${back[@]}" || return 1
    done
    for pod in free freer; do
        forged=() tags=()
        for family in 4 6; do
            for number in "${FLOWS[@]}"; do
                forged+=("$number,$(address_of n2 $family),$(address_of n1 $family),8472,in-$number-$family")
                tags+=("in-$number-$family")
            done
        done
        for number in "${FLOWS[@]}"; do
            forged+=("$number,${NODE_IP6[n1]},${NODE_IP6[n2]},8472,by-$number")
        done
        rm -f "$WORK/heard"
        ip netns exec n1 python3 "$FORGE" hear "$([[ $1 == yes ]] && echo ${#tags[@]} || echo 0)" "${tags[@]}" >"$WORK/heard" &
        local listener=$!
        eventually 10 grep -qs ready "$WORK/heard"
        sniff_start n2 "${FLOWS[@]/#/by-}"
        check "$2: $pod forges what the nodes' tunnels send" in_pod "x/$pod" python3 "$FORGE" raw "${forged[@]}"
        [[ $1 == yes ]] || kill "$listener"
        wait "$listener"
        sniff_end n2
        check_equal "$2: $pod: does it reach the node" "$(printf "%s $1\n" "${tags[@]}")" "$(grep -v ready "$WORK/heard")"
        for number in "${FLOWS[@]}"; do
            check_equal "$2: $pod: does protocol $number reach the other node" "$1" \
                "$(if arrived n2 "by-$number"; then echo yes; else echo no; fi)"
        done
    done
}
# A node asks a pod from a port that tunnels use: the pod's answer is none of a tunnel.
answers_to_a_tunnel_port() { # what
    check_equal "$1: a pod answers a node's port 4789" ok \
        "$(on_node n2 python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 4789))
s.settimeout(10)
s.sendto(b"question", (sys.argv[1], 80))
s.recv(99)
print("ok")' "${POD_IP4[x/free]}")"
}
arrives_by_tunnel() { # pod tag: yes or no
    sniff_start x-far "$2"
    tunnel "$1" "$2" || return 1
    sniff_end x-far
    if arrived x-far "$2"; then echo yes; else echo no; fi
}
unload n1
check "rules of the other node" program n2
on_node n1 ip route add local 198.18.5.5/32 dev eth0 table local && on_node n1 ip route add local 198.18.6.0/24 dev lo &&
    on_node n1 ip addr add 198.18.7.1/24 brd 198.18.7.99 dev eth0 || die "no more addresses on n1"
check_equal "no rules: a pod without a policy passes for a friend on the other node" yes "$(arrives_by_tunnel x/free tunnel-open)"
more_tunnels yes "no rules"
anycast yes "no rules"
protocols yes "no rules"
established yes "no rules"
check "rules that let tunnels pass" program n1 --no-drop-encap
more_tunnels yes "tunnels pass"
established yes "tunnels pass"
check_equal "guard off: so it does" yes "$(arrives_by_tunnel x/free tunnel-allowed)"
check "rules" program n1
check_equal "guard: it does not arrive" no "$(arrives_by_tunnel x/free tunnel-free)"
more_tunnels no "guard"
anycast no "guard"
check_equal "guard: nor what an isolated pod sends" no "$(arrives_by_tunnel x/jail tunnel-jail)"
protocols no "guard"
established no "guard"
answers_to_a_tunnel_port "guard"
sniff_start out raw-47
check "the same to who is no node is sent" in_pod x/free python3 "$FORGE" proto 47 192.168.50.100 raw-47
check "and arrives" eventually 2 arrived out raw-47
check_equal "the nodes' own tunnel works" ok \
    "$(ip netns exec n1 "$NETPROBE" connect --proto tcp --to 10.250.0.2 --port 80)"
honest "tunnels"
# An IPVS node: its virtual addresses are on a device of that name.
on_node n1 ip link add kube-ipvs0 type bridge && on_node n1 ip addr add 10.96.0.99/32 dev kube-ipvs0 || die "cannot make kube-ipvs0"
VIP=10.96.0.99
unload n1
more_tunnels yes "no rules, IPVS"
check "rules of an IPVS node" program n1
more_tunnels no "guard, IPVS"
honest "tunnels, IPVS"
finish
