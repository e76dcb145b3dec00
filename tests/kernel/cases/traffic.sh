# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # test_cases.sh sets what is used here, and uses what is set
# networkpolicy-v1.md section 7: nodes, the pod itself, replies, services, other protocols (cases 28, 29, 39 to 54).

# ---- nodes, the pod itself, replies, both ends
{ ingress x p "$A" "[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}]"
  egress x q "{matchLabels: {pod: b}}" "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}]"; } |
    given "case 39"
check_grid "case 39: a hostNetwork pod is no peer by its labels" <<E
$T
      x/a x/ar y/b n2
n2    .   .    *   -
y/b   *   *    -   *
x/b   .   .    *   .
E
ingress x p "$A" "[{from: [{ipBlock: {cidr: ${NODE_IP4[n2]}/32}},
    {ipBlock: {cidr: '${NODE_IP6[n2]}/128'}}]}]" | given "case 39"
check_grid "case 39: its node's address in an ipBlock is" <<E
$T
      x/a x/ar
n2    *   *
y/b   .   .
E
np y p "{podSelector: {}, policyTypes: [Ingress, Egress]}" | given "case 40"
check_grid "case 40: a node with a hostNetwork pod of an isolated namespace stays open" <<E
$T
      n2 out x/a y/a
n2    -  *   *   *
out   *  -   *   .
x/a   *  *   -   .
z/b   *  *   *   .
E
rm "$STATE/host.yaml"
DENY=$(np x deny-all "{podSelector: {}, policyTypes: [Ingress, Egress]}")
given "case 41" <<<"$DENY"
check_grid "case 41: the own node reaches isolated pods, another node does not" <<E
$T
      x/a x/ar x/b x/c
n1    *   *    *   .
n2    .   .    .   *
E
check_grid "case 42: kubelet's probes are answered" <<E
probes t=tcp/80 p=tcp/8080 g=tcp/20000
      x/a x/ar x/b
n1    *   *    *
E
service 10.96.0.1 fd00:96::1 tcp 80 x/a 8080
service 10.96.0.2 fd00:96::2 tcp 80 x/ar 8080
for family in 4 6; do
    vip=10.96.0.
    [[ $family == 4 ]] || vip=fd00:96::
    check "case 43: an isolated pod reaches itself, IPv$family" reaches x/a x/a tcp/80 $family
    check "case 43: by its own service, bridged, IPv$family" reaches x/a ${vip}1 tcp/80 $family
    check "case 43: by its own service, routed, IPv$family" reaches x/ar ${vip}2 tcp/80 $family
    check "case 43: a service that lands on an isolated sibling stays closed, IPv$family" \
        blocked x/a ${vip}2 tcp/80 $family
done
check "case 43: 127.0.0.1" reaches x/a 127.0.0.1 tcp/80 4
check "case 43: ::1" reaches x/a ::1 tcp/80 6
egress x p "{}" "[]" | given "case 44"
check_grid "case 44: an egress-isolated pod answers and opens nothing" <<E
$T
      x/a x/ar y/a out
y/a   *   *    -   *
out   *   *    *   -
x/a   -   .    .   .
x/ar  .   -    .   .
E
ingress x p "{}" "[]" | given "case 45"
check_grid "case 45: an ingress-isolated pod dials out and gets its answers" <<E
$T
      y/a out x/a x/ar
x/a   *   *   -   .
x/ar  *   *   .   -
y/a   -   *   .   .
E
{ egress x out "{matchLabels: {pod: b}}" "[{}]"; ingress x in "$A" "[]"
  egress y out "{matchLabels: {pod: b}}" "[]"; ingress x in-c "{matchLabels: {pod: c}}" "[{}]"; } | given "case 46"
check_grid "case 46: one end that allows is not enough, on one node and across" <<E
$T
      x/a x/ar x/c z/b
x/b   .   .    *   *
y/b   .   .    .   .
y/a   .   .    *   *
E
egress x p "{}" "[{to: [{ipBlock: {cidr: ${NODE_IP4[n2]}/32}},
    {ipBlock: {cidr: '${NODE_IP6[n2]}/128'}}]}]" | given "case 47"
check_grid "case 47: a node is an address like any other for egress, the own node too" <<E
$T
      n1 n2 out
x/a   .  *  .
x/ar  .  *  .
x/c   .  *  .
E

# ---- services: what is judged is behind the translation
vip=10.96.0.3 vip6=fd00:96::3
service $vip $vip6 tcp 80 y/b 8080
egress x p "{}" "[{to: [{ipBlock: {cidr: $vip/32}}, {ipBlock: {cidr: '$vip6/128'}}]}]" | given "case 28"
check "case 28: a cluster address in an ipBlock matches no pod behind it, IPv4" blocked x/a $vip tcp/80 4
check "case 28: a cluster address in an ipBlock matches no pod behind it, IPv6" blocked x/ar $vip6 tcp/80 6
egress x p "{}" "[{to: [{ipBlock: {cidr: ${POD_IP4[y/b]}/32}},
    {ipBlock: {cidr: '${POD_IP6[y/b]}/128'}}]}]" | given "case 28"
check "case 28: the pod's address does, IPv4" reaches x/a $vip tcp/80 4
check "case 28: the pod's address does, IPv6" reaches x/ar $vip6 tcp/80 6
egress x p "{}" "[{ports: [{port: 80}]}]" | given "case 29"
check "case 29: the service's port is not judged, IPv4" blocked x/a $vip tcp/80 4
check "case 29: the service's port is not judged, IPv6" blocked x/ar $vip6 tcp/80 6
egress x p "{}" "[{ports: [{port: 8080}]}]" | given "case 29"
check "case 29: the pod's port is, IPv4" reaches x/a $vip tcp/80 4
check "case 29: the pod's port is, IPv6" reaches x/ar $vip6 tcp/80 6

# A node port as kube-proxy translates it: masqueraded where the pod is on another node, and everywhere behind FORWARD.
node_port() { # node port pod
    local tool ip
    for tool in iptables-legacy ip6tables-legacy; do
        ip=${POD_IP4[$3]}:80
        [[ $tool == iptables-legacy ]] || ip=[${POD_IP6[$3]}]:80
        on_node "$1" $tool -w -t nat -A PREROUTING -p tcp --dport "$2" -j DNAT --to-destination "$ip" &&
            on_node "$1" $tool -w -t nat -A POSTROUTING -p tcp --dport 80 -m conntrack --ctstate DNAT -j MASQUERADE ||
            die "cannot make a node port"
    done
}
for name in n1 n2; do
    node_port $name 30001 x/a
    node_port $name 30002 x/ar
done
node_port_outcomes() { # node family: of the bridged and of the routed pod
    local ip=${NODE_IP4[$1]}
    [[ $2 == 4 ]] || ip=${NODE_IP6[$1]}
    echo "$(outcome out "$ip" tcp/30001 "$2") $(outcome out "$ip" tcp/30002 "$2")"
}
client=192.168.50.100/32 client6=fd00:50::100/128
for family in 4 6; do
    ingress x p "$A" "[{from: [{ipBlock: {cidr: $client}}, {ipBlock: {cidr: '$client6'}}]}]" | given "case 48"
    check_equal "case 48: a node port of another node shows that node, not the client, IPv$family" "timeout timeout" \
        "$(node_port_outcomes n2 $family)"
    check_equal "case 48: a node port of the own node shows the client, IPv$family" "ok ok" \
        "$(PROBE_TIMEOUT=800 node_port_outcomes n1 $family)"
    ingress x p "$A" "[{from: [{ipBlock: {cidr: ${NODE_IP4[n2]}/32}}, {ipBlock: {cidr: '${NODE_IP6[n2]}/128'}}]}]" |
        given "case 48"
    check_equal "case 48: that other node's address allows it, IPv$family" "ok ok" \
        "$(PROBE_TIMEOUT=800 node_port_outcomes n2 $family)"
    ingress x p "$A" "[]" | given "case 48"
    check_equal "case 48: under deny-all the own node's port is closed, IPv$family" "timeout timeout" \
        "$(node_port_outcomes n1 $family)"
done

service_family n1 iptables-legacy 10.96.0.4 tcp 443 "${NODE_IP4[n2]}" "${NODE_IP4[n2]}:6443" 6443
service_family n1 ip6tables-legacy fd00:96::4 tcp 443 "${NODE_IP6[n2]}" "[${NODE_IP6[n2]}]:6443" 6443
state_put host.yaml <<E
apiVersion: v1
kind: Pod
metadata: {namespace: z, name: api, labels: {component: kube-apiserver}}
spec: {nodeName: n2, hostNetwork: true, containers: []}
status: {phase: Running, podIP: ${NODE_IP4[n2]}, podIPs: [{ip: ${NODE_IP4[n2]}}, {ip: "${NODE_IP6[n2]}"}]}
E
egress x p "{}" "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {component: kube-apiserver}}}],
    ports: [{port: 443}, {port: 6443}]}]" |
    given "case 49"
check "case 49: the API server is no pod to a selector, IPv4" blocked x/a 10.96.0.4 tcp/443 4
check "case 49: the API server is no pod to a selector, IPv6" blocked x/ar fd00:96::4 tcp/443 6
for port in 443 6443; do
    egress x p "{}" "[{to: [{ipBlock: {cidr: ${NODE_IP4[n2]}/32}},
    {ipBlock: {cidr: '${NODE_IP6[n2]}/128'}}], ports: [{port: $port}]}]" |
        given "case 49"
    verdict=reaches
    [[ $port == 6443 ]] || verdict=blocked
    check "case 49: an ipBlock with port $port: $verdict, IPv4" $verdict x/a 10.96.0.4 tcp/443 4
    check "case 49: an ipBlock with port $port: $verdict, IPv6" $verdict x/ar fd00:96::4 tcp/443 6
done
rm "$STATE/host.yaml"
egress x p "{}" "[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]" | given "case 50"
check_grid "case 50: all of IPv4 but the metadata server, nothing of IPv6" <<E
$T
family 4
      meta out y/a n1
x/a   .    *   *   *
x/ar  .    *   *   *
y/b   *    *   *   *
family 6
      out y/a n1
x/a   .   .   .
x/ar  .   .   .
E

# ---- ICMP, SCTP, what is no plain packet
{ cat <<<"$DENY"; egress x p "{}" "[{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]"; } | given "case 51"
for name in n1 n2 "${POD_NETNS[@]}"; do ip -n "$name" neigh flush all >/dev/null 2>&1; done
check_grid "case 51: neighbours are found under deny-all, echo is not answered" <<E
probes i=icmp t=tcp/80
      x/a x/ar x/b
n1    *   *    *
y/b   .   .    .
out   .   .    .
x/a   -   .    .
E
# y/a's way gets narrow: n2 tells the sender so, through the FORWARD of n1. (Not from x/a in IPv6: br_netfilter puts its
# fragments together and sends them on whole, policy or not.)
ip -n n2 link set "${POD_VETH[y/a]}" mtu 1280
ip -n y-a link set eth0 mtu 1280
related() { # tool: packets that the rule for errors of living flows let pass
    on_node n1 "$1" -w -vxnL NETPOL-FORWARD | awk '/RELATED/ { n += $1 } END { print n + 0 }'
}
for row in "x/a 4 iptables" "x/ar 4 iptables" "x/ar 6 ip6tables"; do
    read -r from family tool <<<"$row"
    tool+=-${NETPOLD_BACKEND:-legacy}
    to=${POD_IP4[y/a]}
    [[ $family == 4 ]] || to=${POD_IP6[y/a]}
    before=$(related "$tool")
    # The first goes unanswered but for the error, which the sender's kernel remembers.
    in_pod "$from" "$NETPROBE" connect --proto udp --to "$to" --port 80 --size 1400 >/dev/null
    check "case 51: a datagram that is too big for the way arrives, $from, IPv$family" \
        test "$(in_pod "$from" "$NETPROBE" connect --proto udp --to "$to" --port 80 --size 1400)" = ok
    check "case 51: because its sender was told, $from, IPv$family" test "$(related "$tool")" -gt "$before"
done
ip -n n2 link set "${POD_VETH[y/a]}" mtu 1500
ip -n y-a link set eth0 mtu 1500
{ ingress x p "$A" "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"
  ingress y p "$A" "[{from: [{namespaceSelector: {matchLabels: {ns: x}}}], ports: [{protocol: TCP, port: 80}]}]"; } |
    given "case 52"
check_grid "case 52: ping passes by a rule without ports, not by a TCP rule" <<E
probes i=icmp t=tcp/80 T=tcp/81
      x/a x/ar y/a
x/b   *   *    t
x/c   .   .    t
out   .   .    .
E
modules=$(grep -c '^sctp ' /proc/modules)
ingress x p "$A" "[{ports: [{protocol: SCTP, port: 81}]}]" | given "case 53"
check_equal "case 53: the rule loads no sctp module" "$modules" "$(grep -c '^sctp ' /proc/modules)"
check_grid "case 53: SCTP is not TCP" <<E
probes s=sctp/80 S=sctp/81 t=tcp/80 T=tcp/81 U=udp/81 i=icmp
      x/a x/ar
x/b   S   S
y/a   S   S
out   S   S
E
ingress x p "$A" "[{ports: [{protocol: UDP, port: 80}]}]" | given "case 54"
datagram() { # wanted pod family port
    local to=${POD_IP4[$2]}
    [[ $3 == 4 ]] || to=${POD_IP6[$2]}
    [[ $(in_pod y/a "$NETPROBE" connect --proto udp --to "$to" --port "$4" --size 5000) == "$1" ]]
}
for family in 4 6; do
    for name in x/a x/ar; do
        check "case 54: an allowed datagram in fragments arrives whole, $name, IPv$family" datagram ok $name $family 80
        check "case 54: of a denied one nothing arrives, $name, IPv$family" datagram timeout $name $family 81
    done
done
