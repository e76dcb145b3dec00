#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kinds of hosts (docs/HOSTS.md), with the rules that their other programs write and real packets: host ports, node
# ports with both traffic policies, masqueraded pods, NodeLocalDNS, IPVS nodes, a FORWARD chain that drops (docker) or
# rejects (firewalld), and the options that are there for them. Of each: honest traffic passes, denied traffic does not,
# and what is judged is behind the translation.
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
pod x/a n1 bridged app=a
pod x/ar n1 routed app=a
pod x/b n1 bridged app=b
pod x/far n2 bridged app=far
pod x/open n1 bridged app=open  # no policy selects it
state_write

kernel_has nat n1 || skip_all "no nat table here"
# The host's own rules are in the tables that netpold writes to. What is run on legacy alone is asked of the same rule text
# on either backend, behind hooks that other parts ask about: test_hosts_nft.sh names it.
HOST=${NETPOLD_BACKEND:-legacy}
OUT4=192.168.50.100 OUT6=fd00:50::100
EXTRA=()
policy() { # name app types ingress egress
    printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: %s}\n' "$1"
    printf 'spec: {podSelector: {matchLabels: {app: %s}}, policyTypes: [%s], ingress: %s, egress: %s}\n' "$2" "$3" "$4" "$5"
}
ingress() { # app rules
    policy "in-$1" "$1" Ingress "$2" "[]"
}
egress() { # app rules
    policy "out-$1" "$1" Egress "[]" "$2"
}
given() { # what < policies
    local name rc
    policies -
    for name in "${NODES[@]}"; do
        netpold "$name" --once "${EXTRA[@]}" >"$WORK/once.$name.log" 2>&1
        rc=$?
        [[ $rc -eq 0 || $rc -eq 2 ]] || {
            fail "$1: netpold --once on $name: exit $rc"
            sed 's/^/     /' "$WORK/once.$name.log"
        }
    done
}
nat() { # node family arguments…
    local tool=iptables-$HOST
    [[ $2 == 4 ]] || tool=ip6tables-$HOST
    on_node "$1" $tool -w -t nat "${@:3}" || die "nat on $1: ${*:3}"
}
flush_nat() { # node
    on_node "$1" "iptables-$HOST" -w -t nat -F && on_node "$1" "iptables-$HOST" -w -t nat -X
    on_node "$1" "ip6tables-$HOST" -w -t nat -F && on_node "$1" "ip6tables-$HOST" -w -t nat -X
    forget_flows "$1"
}
ip_of() { # pod family
    [[ $2 == 4 ]] && echo "${POD_IP4[$1]}" || echo "${POD_IP6[$1]}"
}
node_of() { # node family
    [[ $2 == 4 ]] && echo "${NODE_IP4[$1]}" || echo "${NODE_IP6[$1]}"
}
to() { # ip port: as --to-destination wants it
    [[ $1 == *:* ]] && echo "[$1]:$2" || echo "$1:$2"
}
from_block() { # ip…
    local ip blocks=
    for ip in "$@"; do
        [[ $ip == *:* ]] && ip="'$ip/128'" || ip=$ip/32
        blocks+="${blocks:+, }{ipBlock: {cidr: $ip}}"
    done
    echo "[$blocks]"
}

echo "-- host ports, as the portmap plugin writes them"
for family in 4 6; do
    nat n1 $family -N CNI-HOSTPORT-DNAT
    nat n1 $family -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
    nat n1 $family -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
    nat n1 $family -A CNI-HOSTPORT-DNAT -p tcp --dport 8888 -j DNAT --to-destination "$(to "$(ip_of x/a $family)" 80)"
    nat n1 $family -A CNI-HOSTPORT-DNAT -p tcp --dport 8889 -j DNAT --to-destination "$(to "$(ip_of x/ar $family)" 80)"
done
host_ports() { # from family: outcomes of the bridged and the routed pod's port
    echo "$(outcome "$1" "$(node_of n1 "$2")" tcp/8888 "$2") $(outcome "$1" "$(node_of n1 "$2")" tcp/8889 "$2")"
}
ingress a "[{from: $(from_block $OUT4 $OUT6), ports: [{port: 80}]}]" | given "host port"
for family in 4 6; do
    check_equal "host port: the client whom the pod allows, by the pod's port, IPv$family" "ok ok" "$(host_ports out $family)"
    check_equal "host port: another one does not pass, IPv$family" "timeout timeout" "$(host_ports x/far $family)"
    check_equal "host port: nor a pod of the node, IPv$family" "timeout timeout" "$(host_ports x/b $family)"
done
ingress a "[{from: $(from_block $OUT4 $OUT6), ports: [{port: 8888}, {port: 8889}]}]" | given "host port"
for family in 4 6; do
    check_equal "host port: its own number is not what is judged, IPv$family" "timeout timeout" "$(host_ports out $family)"
done
{ ingress a "[{from: [{podSelector: {matchLabels: {app: b}}}]}]"; egress b "[{to: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}]"; } |
    given "host port"
for family in 4 6; do
    check_equal "host port: a pod that may reach the pod may by its host port, IPv$family" "ok ok" "$(host_ports x/b $family)"
    check_equal "host port: the node itself reaches it, IPv$family" "ok ok" "$(host_ports n1 $family)"
done
flush_nat n1

if [[ $HOST == legacy ]]; then
    echo "-- node ports as kube-proxy writes them, externalTrafficPolicy Local and Cluster"
    # The service has one backend, x/a on n1. 30001: Cluster, 30002: Local.
    kube_proxy() { # node family
        local pod
        pod=$(ip_of x/a "$2")
        local cidr=10.244.0.0/16
        [[ $2 == 4 ]] || cidr=fd00:10:244::/48
        local chain
        for chain in KUBE-SERVICES KUBE-NODEPORTS KUBE-MARK-MASQ KUBE-POSTROUTING KUBE-SVC-A KUBE-SEP-A KUBE-EXT-A KUBE-EXT-L; do
            nat "$1" "$2" -N $chain
        done
        nat "$1" "$2" -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        nat "$1" "$2" -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        nat "$1" "$2" -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
        nat "$1" "$2" -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
        nat "$1" "$2" -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
        nat "$1" "$2" -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
        nat "$1" "$2" -A KUBE-POSTROUTING -j MASQUERADE
        nat "$1" "$2" -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
        nat "$1" "$2" -A KUBE-NODEPORTS -p tcp --dport 30001 -j KUBE-EXT-A
        nat "$1" "$2" -A KUBE-NODEPORTS -p tcp --dport 30002 -j KUBE-EXT-L
        nat "$1" "$2" -A KUBE-EXT-A -j KUBE-MARK-MASQ
        nat "$1" "$2" -A KUBE-EXT-A -j KUBE-SVC-A
        # Pods and the node itself get the cluster's backends; others only those of this node.
        nat "$1" "$2" -A KUBE-EXT-L -s $cidr -j KUBE-SVC-A
        nat "$1" "$2" -A KUBE-EXT-L -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
        nat "$1" "$2" -A KUBE-EXT-L -m addrtype --src-type LOCAL -j KUBE-SVC-A
        if [[ $1 == n1 ]]; then
            nat "$1" "$2" -A KUBE-EXT-L -j KUBE-SEP-A
        else
            local tool=iptables-$HOST
            [[ $2 == 4 ]] || tool=ip6tables-$HOST
            on_node "$1" $tool -w -A INPUT -p tcp --dport 30002 -j DROP
        fi
        nat "$1" "$2" -A KUBE-SVC-A -m statistic --mode random --probability 1.0 -j KUBE-SEP-A
        nat "$1" "$2" -A KUBE-SEP-A -s "$pod" -j KUBE-MARK-MASQ
        nat "$1" "$2" -A KUBE-SEP-A -p tcp -j DNAT --to-destination "$(to "$pod" 80)"
    }
    for name in n1 n2; do kube_proxy $name 4 && kube_proxy $name 6; done
    node_ports() { # from node family: Cluster and Local
        echo "$(outcome "$1" "$(node_of "$2" "$3")" tcp/30001 "$3") $(outcome "$1" "$(node_of "$2" "$3")" tcp/30002 "$3")"
    }
    ingress a "[{from: $(from_block $OUT4 $OUT6), ports: [{port: 80}]}]" | given "node port"
    for family in 4 6; do
        check_equal "node port: the client is seen on the pod's node with either policy, IPv$family" "ok ok" \
            "$(node_ports out n1 $family)"
        check_equal "node port: by another node, Cluster shows that node and Local leads nowhere, IPv$family" \
            "timeout timeout" "$(node_ports out n2 $family)"
        check_equal "node port: a pod of the node that is not allowed, IPv$family" "timeout timeout" "$(node_ports x/b n1 $family)"
    done
    ingress a "[{from: $(from_block "${NODE_IP4[n2]}" "${NODE_IP6[n2]}"), ports: [{port: 80}]}]" | given "node port"
    for family in 4 6; do
        check_equal "node port: the other node's address lets Cluster in, IPv$family" "ok timeout" "$(node_ports out n2 $family)"
        check_equal "node port: and no longer the client, IPv$family" "timeout timeout" "$(node_ports out n1 $family)"
    done
    ingress a "[{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}]}]" | given "node port"
    for family in 4 6; do
        check_equal "node port: a pod of the node that is allowed, with either policy, IPv$family" "ok ok" "$(node_ports x/b n1 $family)"
        check_equal "node port: the node itself, IPv$family" "ok ok" "$(node_ports n1 n1 $family)"
    done
    ingress a "[{from: [{podSelector: {matchLabels: {app: far}}}], ports: [{port: 80}]}]" | given "node port"
    for family in 4 6; do
        # A Local node port of the pod's own node keeps the pod's address; Cluster makes it the node's.
        check_equal "node port: a pod of another node by that node, IPv$family" "timeout ok" "$(node_ports x/far n2 $family)"
    done
    for tool in "iptables-$HOST" "ip6tables-$HOST"; do on_node n2 $tool -w -D INPUT -p tcp --dport 30002 -j DROP; done
    flush_nat n1
    flush_nat n2
fi

echo "-- masqueraded pods: what is judged has the pod's address, on the way out and on the way back"
nat n1 4 -A POSTROUTING -s 10.244.0.0/15 ! -d 10.244.0.0/15 -j MASQUERADE
nat n1 6 -A POSTROUTING -s fd00:10::/32 ! -d fd00:10::/32 -j MASQUERADE
{ egress a "[{to: $(from_block $OUT4 $OUT6), ports: [{port: 80}, {port: 80, protocol: UDP}]}]"; egress b "[]"; } | given "masquerade"
for family in 4 6; do
    ip=$([[ $family == 4 ]] && echo $OUT4 || echo $OUT6)
    for probe in tcp/80 udp/80; do
        check "masquerade: allowed, bridged, $probe, IPv$family" reaches x/a "$ip" $probe $family
        check "masquerade: allowed, routed, $probe, IPv$family" reaches x/ar "$ip" $probe $family
        check "masquerade: another pod is denied, $probe, IPv$family" blocked x/b "$ip" $probe $family
    done
    check "masquerade: another port is denied, IPv$family" blocked x/a "$ip" tcp/81 $family
    check "masquerade: who is not isolated passes, IPv$family" reaches x/open "$ip" tcp/81 $family
done
# The node's address, which masqueraded packets have, is no way in.
ingress far "[{from: $(from_block "${NODE_IP4[n1]}" "${NODE_IP6[n1]}")}]" | given "masquerade"
check "masquerade: between pods nothing is translated, IPv4" blocked x/a x/far tcp/80 4
check "masquerade: between pods nothing is translated, IPv6" blocked x/a x/far tcp/80 6
check "masquerade: the node as a peer" reaches n1 x/far tcp/80 4
flush_nat n1

echo "-- NodeLocalDNS: an address on a device of the node, and packets that are not tracked"
LOCAL_DNS=169.254.20.10
node_local_dns() { # -A | -D: rules as the node cache writes them
    local rule
    for rule in "raw $1 PREROUTING -d $LOCAL_DNS/32 -p udp -m udp --dport 53 -j NOTRACK" \
        "raw $1 PREROUTING -d $LOCAL_DNS/32 -p tcp -m tcp --dport 53 -j NOTRACK" \
        "filter $1 INPUT -d $LOCAL_DNS/32 -p udp -m udp --dport 53 -j ACCEPT" \
        "filter $1 INPUT -d $LOCAL_DNS/32 -p tcp -m tcp --dport 53 -j ACCEPT" \
        "raw $1 OUTPUT -s $LOCAL_DNS/32 -p udp -m udp --sport 53 -j NOTRACK" \
        "raw $1 OUTPUT -s $LOCAL_DNS/32 -p tcp -m tcp --sport 53 -j NOTRACK" \
        "filter $1 OUTPUT -s $LOCAL_DNS/32 -p udp -m udp --sport 53 -j ACCEPT" \
        "filter $1 OUTPUT -s $LOCAL_DNS/32 -p tcp -m tcp --sport 53 -j ACCEPT"; do
        # shellcheck disable=SC2086 # words of a rule
        on_node n1 "iptables-$HOST" -w -t $rule || return 1
    done
}
on_node n1 ip link add nodelocaldns type bridge && on_node n1 ip link set nodelocaldns up &&
    on_node n1 ip addr add $LOCAL_DNS/32 dev nodelocaldns || die "cannot make nodelocaldns"
check "NodeLocalDNS: its rules" node_local_dns -A
local_dns() { # who is isolated and asks: bridged and routed, UDP and TCP
    local pod
    for pod in x/a x/ar; do printf '%s %s ' "$(outcome $pod $LOCAL_DNS udp/53 4)" "$(outcome $pod $LOCAL_DNS tcp/53 4)"; done
}
local_dns_grid() { # kind of host
    ingress a "[]" | given "NodeLocalDNS"
    check_equal "NodeLocalDNS, $1: a pod that is isolated inbound gets its answers" "ok ok ok ok " "$(local_dns)"
    egress a "[]" | given "NodeLocalDNS"
    check_equal "NodeLocalDNS, $1: a pod that is isolated outbound does not ask" "timeout timeout timeout timeout " "$(local_dns)"
    egress a "[{to: [{podSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]" | given "NodeLocalDNS"
    check_equal "NodeLocalDNS, $1: a selector of pods is no way to it" "timeout timeout timeout timeout " "$(local_dns)"
    egress a "[{to: $(from_block $LOCAL_DNS), ports: [{port: 53, protocol: UDP}]}]" | given "NodeLocalDNS"
    check_equal "NodeLocalDNS, $1: its address as an ipBlock is" "ok timeout ok timeout " "$(local_dns)"
    policy both a "Ingress, Egress" "[]" "[{to: $(from_block $LOCAL_DNS), ports: [{port: 53, protocol: UDP}, {port: 53}]}]" |
        given "NodeLocalDNS"
    check_equal "NodeLocalDNS, $1: and the answers come back to who is isolated both ways" "ok ok ok ok " "$(local_dns)"
    check "NodeLocalDNS, $1: nothing else of the node" blocked x/a $LOCAL_DNS udp/80 4
    egress a "[{ports: [{port: 53, protocol: UDP}]}]" | given "NodeLocalDNS"
    check_equal "NodeLocalDNS, $1: a rule for port 53 alone is" "ok timeout ok timeout " "$(local_dns)"
}
[[ $HOST != legacy ]] || local_dns_grid "iptables node"

echo "-- an IPVS node: virtual addresses on kube-ipvs0, and packets of pods that come out of the node itself"
on_node n1 ip link add kube-ipvs0 type bridge && on_node n1 ip addr add 10.96.0.10/32 dev kube-ipvs0 &&
    on_node n1 ip addr add fd00:96::10/128 dev kube-ipvs0 nodad || die "cannot make kube-ipvs0"
check_contains "IPVS: seen" '"ipvs": true' "$(netpold n1 --print-facts)"
local_dns_grid "IPVS node"
egress a "[]" | given "IPVS"
for family in 4 6; do
    vip=$([[ $family == 4 ]] && echo 10.96.0.10 || echo fd00:96::10)
    # ip_vs takes these packets at the end of INPUT: what they are depends on the backend, which is judged in OUTPUT.
    check "IPVS: a virtual address is not the node's: INPUT lets it pass, IPv$family" reaches x/a "$vip" tcp/80 $family
    check "IPVS: an address of the node's own is judged, IPv$family" blocked x/a "$(node_of n1 $family)" tcp/80 $family
done
# Its ports that are no service's are the node's own. kube-proxy drops them, behind our jump, and is asked.
kube_ipvs_filter() { # -A | -D, tool family address
    on_node n1 "$2" -w "$1" INPUT -m set --match-set "KUBE-CLUSTER-IP$3" dst,dst -j RETURN &&
        on_node n1 "$2" -w "$1" INPUT -m conntrack --ctstate NEW -d "$4" -j DROP
}
for family in 4 6; do
    tool=iptables-$HOST vip=10.96.0.10 inet=inet
    [[ $family == 4 ]] || tool=ip6tables-$HOST vip=fd00:96::10 inet=inet6
    check "IPVS: a port that is no service's, and no kube-proxy, IPv$family" reaches x/a $vip tcp/81 $family
    on_node n1 ipset create KUBE-CLUSTER-IP$family hash:ip,port family $inet &&
        on_node n1 ipset add KUBE-CLUSTER-IP$family "$vip,tcp:80" &&
        kube_ipvs_filter -A $tool $family $vip || die "cannot make kube-proxy's filter"
    for verdict in return accept; do
        EXTRA=(--allowed-verdict "$verdict")
        egress a "[]" | given "IPVS"
        check "IPVS, $verdict: kube-proxy's filter lets the service pass, IPv$family" reaches x/a $vip tcp/80 $family
        check "IPVS, $verdict: and drops the node's own port, IPv$family" blocked x/a $vip tcp/81 $family
    done
    EXTRA=()
    kube_ipvs_filter -D $tool $family $vip && on_node n1 ipset destroy KUBE-CLUSTER-IP$family ||
        die "cannot remove kube-proxy's filter"
done
egress a "[]" | given "IPVS"
# What ip_vs sends on: a packet with the client's address from the node's own OUTPUT, here written by a raw socket.
sent_on() { # from to family tag port
    on_node n1 "$NETPROBE" send --proto udp --from "$(ip_of "$1" "$3")" --to "$(ip_of "$2" "$3")" --port "$5" --sport 4000 \
        --tag "$4" --count 3 --interval-us 2000 >/dev/null 2>&1
}
{ egress b "[{to: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80, protocol: UDP}]}]"; ingress a "[{ports: [{port: 80, protocol: UDP}, {port: 81, protocol: UDP}]}]"; } |
    given "IPVS"
for family in 4 6; do
    for pod in x/a x/ar; do
        sniff_start "${POD_NETNS[$pod]}" good$family bad$family nobody$family
        sent_on x/b $pod $family good$family 80
        sent_on x/b $pod $family bad$family 81
        sent_on x/open $pod $family nobody$family 9000
        check "IPVS: what both ends allow arrives at $pod, IPv$family" eventually 2 arrived "${POD_NETNS[$pod]}" good$family
        check_equal "IPVS: what the sender may not send does not, IPv$family" 0 "$(sniffed "${POD_NETNS[$pod]}" bad$family)"
        check_equal "IPVS: nor what the receiver does not take, IPv$family" 0 "$(sniffed "${POD_NETNS[$pod]}" nobody$family)"
        sniff_stop "${POD_NETNS[$pod]}"
    done
done
ingress a "[]" | given "IPVS"
check_grid "IPVS: the node reaches its own pods, others do not" kernel <<'E2'
probes t=tcp/80 u=udp/80 i=icmp
       x/a x/ar x/open
n1     *   *    *
n2     .   .    *
x/b    .   .    *
out    .   .    *
E2
check_contains "IPVS: OUTPUT is hooked" "-j NETPOL" "$(kernel_text n1 | grep -- '-A OUTPUT.*NETPOL')"
on_node n1 ip link del kube-ipvs0
check "IPVS: its rules go with it" netpold_once n1
check_equal "IPVS: no OUTPUT hook is left" "" "$(kernel_text n1 | grep -- '-A OUTPUT.*NETPOL')"
check "NodeLocalDNS: its rules are removed" node_local_dns -D
on_node n1 ip link del nodelocaldns

echo "-- a FORWARD chain that drops by itself (docker), or rejects at its end (firewalld)"
forward_end() { # none | drop | reject: what the host does to what nobody accepted
    local tool
    for tool in "iptables-$HOST" "ip6tables-$HOST"; do
        on_node n1 $tool -w -P FORWARD ACCEPT
        on_node n1 $tool -w -D FORWARD -m comment --comment host -j REJECT 2>/dev/null
        case $1 in
        drop) on_node n1 $tool -w -P FORWARD DROP ;;
        reject) on_node n1 $tool -w -A FORWARD -m comment --comment host -j REJECT ;;
        esac || die "cannot end FORWARD"
    done
}
# The kernel sends few such errors a second to one address. By UDP: a TCP client does not always hear them.
refused_by_host() {
    eventually 4 told "$@"
}
told() { # from to probe family: an answer, and not that of a server
    local got
    got=$(outcome "$@")
    [[ $got != ok && $got != timeout ]]
}
verdicts() { # what: one policy on x/a and x/ar, from x/b
    { ingress a "[{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}]"; egress far "[]"; } | given "$1"
}
for end in drop reject; do
    forward_end $end
    silent=$([[ $end == drop ]] && echo blocked || echo refused_by_host)
    EXTRA=()
    verdicts "FORWARD $end"
    for family in 4 6; do
        check "FORWARD $end: --allowed-verdict=return leaves the host's verdict, IPv$family" $silent x/b x/ar udp/80 $family
    done
    EXTRA=(--allowed-verdict accept)
    verdicts "FORWARD $end"
    for family in 4 6; do
        check "FORWARD $end: accept: allowed, bridged, IPv$family" reaches x/b x/a tcp/80 $family
        check "FORWARD $end: accept: allowed, routed, IPv$family" reaches x/b x/ar tcp/80 $family
        check "FORWARD $end: accept: denied by us, in silence, bridged, IPv$family" blocked x/open x/a udp/80 $family
        check "FORWARD $end: accept: denied by us, in silence, routed, IPv$family" blocked x/b x/ar udp/81 $family
        check "FORWARD $end: accept: a pod that nobody isolates is served, IPv$family" reaches out x/open tcp/80 $family
        check "FORWARD $end: accept: and speaks, IPv$family" reaches x/open "$([[ $family == 4 ]] && echo $OUT4 || echo $OUT6)" udp/80 $family
        # Nobody's packets: from outside by n1 to a pod of n2.
        ip=$(ip_of x/far $family)
        on_out=(ip -n out)
        [[ $family == 4 ]] || on_out+=(-6)
        "${on_out[@]}" route replace "$ip" via "$(node_of n1 $family)"
        check "FORWARD $end: accept: nobody's packets get the host's verdict, IPv$family" $silent out x/far udp/80 $family
        "${on_out[@]}" route del "$ip"
    done
done
forward_end none
check_contains "accept: the rules say so" "-A NETPOL" "$(kernel_text n1 | grep -- '-j ACCEPT')"
EXTRA=()
given "back to return" <<<""
check_equal "accept: nothing of it is left" "" "$(kernel_text n1 | grep -- '-j ACCEPT')"

echo "-- --denied-verdict=reject: who is denied is told"
EXTRA=(--denied-verdict reject)
{ ingress a "[{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}]}]"; egress b "[{to: [{podSelector: {matchLabels: {app: a}}}]}]"; } |
    given "reject"
for family in 4 6; do
    for pod in x/a x/ar; do
        check "reject: allowed passes, $pod, IPv$family" reaches x/b $pod tcp/80 $family
        check "reject: inbound, of the node, $pod, TCP, IPv$family" eventually 3 told x/open $pod tcp/80 $family
        check "reject: inbound, from outside, $pod, TCP, IPv$family" eventually 3 told out $pod tcp/80 $family
        check "reject: inbound, $pod, UDP, IPv$family" eventually 3 told x/open $pod udp/80 $family
    done
    check "reject: outbound, TCP, IPv$family" eventually 3 told x/b x/far tcp/80 $family
    check "reject: outbound, UDP, IPv$family" eventually 3 told x/b x/far udp/80 $family
    check "reject: outbound, to the own node, IPv$family" eventually 3 told x/b n1 tcp/80 $family
done

if [[ $HOST == legacy ]]; then
    echo "-- --host-egress: a pod and its own node"
    EXTRA=()
    egress a "[{to: [{podSelector: {}}]}]" | given "host egress"
    for family in 4 6; do
        check "host egress: enforced by default, bridged, IPv$family" blocked x/a n1 tcp/80 $family
        check "host egress: enforced by default, routed, IPv$family" blocked x/ar n1 tcp/80 $family
    done
    EXTRA=(--host-egress allow)
    egress a "[{to: [{podSelector: {}}]}]" | given "host egress"
    for family in 4 6; do
        for pod in x/a x/ar; do
            check "host egress: allowed to the own node, $pod, IPv$family" reaches $pod n1 tcp/80 $family
            check "host egress: to its other address too, $pod, IPv$family" reaches $pod \
                "$([[ $family == 4 ]] && echo 10.244.1.1 || echo fd00:10:244:1::1)" udp/80 $family
            check "host egress: not to another node, $pod, IPv$family" blocked $pod n2 tcp/80 $family
            check "host egress: not to the outside, $pod, IPv$family" blocked $pod out tcp/80 $family
            check "host egress: to pods as the policy says, $pod, IPv$family" reaches $pod x/far tcp/80 $family
        done
    done
fi
finish
