#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a living daemon knows of its host: which bridge port each pod is behind, with pods that lie about it, that speak
# without end, that go; the node's own addresses as they come and go; the switch for VLAN tags.
#
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
outside
routes
namespace x team=x
pod x/a n1 bridged app=a       # the attacker, known from the beginning
pod x/b n1 bridged app=b       # known too
pod x/late n1 bridged app=late # silent for long
pod x/r n1 routed app=r
state_write
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: all}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}
E2

# The port of an address as the daemon wrote it down; nothing when it knows none.
known_port() { # address
    python3 -c '
import json, sys
book = json.load(open(sys.argv[1]))
print(*[p["port"] for p in book["ports"] if p["address"] == sys.argv[2]])' "$WORK/run.n1/host.json" "$1" 2>/dev/null
}
port_is() { # address port
    [[ $(known_port "$1") == "$2" ]]
}
ports_of_pod() { # pod: both families are known behind its own veth
    port_is "${POD_IP4[$1]}" "${POD_VETH[$1]}" && port_is "${POD_IP6[$1]}" "${POD_VETH[$1]}"
}
metric() { # name
    http_get n1 /metrics | tr -d '\r' | awk -v name="$1" '$1 == name { print $2 }'
}
metric_is() { # name value
    [[ $(metric "$1") == "$2" ]]
}
# A pod asks for its gateway: the node learns who asks. As: an address that it takes for its own meanwhile.
speaks() { # pod [as-address…]
    local pod=$1 address gateway length
    shift
    for address in "${@:-${POD_IP4[$pod]}}"; do
        gateway=10.244.1.1 length=32
        [[ $address != *:* ]] || gateway=fd00:10:244:1::1 length=128
        in_pod "$pod" ip neigh flush dev eth0
        is_own "$pod" "$address" || in_pod "$pod" ip addr add "$address/$length" dev eth0 nodad 2>/dev/null ||
            in_pod "$pod" ip addr add "$address/$length" dev eth0
        in_pod "$pod" "$NETPROBE" connect --proto tcp --to $gateway --port 9 --from "$address" --timeout-ms 150 \
            --attempts 1 >/dev/null 2>&1
        is_own "$pod" "$address" || in_pod "$pod" ip addr del "$address/$length" dev eth0
    done
}
is_own() { # pod address
    [[ $2 == "${POD_IP4[$1]}" || $2 == "${POD_IP6[$1]}" ]]
}
speaks_both() { # pod
    speaks "$1" "${POD_IP4[$1]}" "${POD_IP6[$1]}"
}
node_thinks() { # address mac: whom the node would send to
    [[ $(ip -n n1 neigh show to "$1" dev cni0) == *"$2"* ]]
}
mac_of() { # pod
    in_pod "$1" cat /sys/class/net/eth0/address
}

netpold_start n1 --sync-period 3600s
check "ready" wait_ready n1

echo "-- learnt"
speaks_both x/a
speaks_both x/b
check "x/a: both families behind its port" eventually 5 ports_of_pod x/a
check "x/b: both families behind its port" eventually 5 ports_of_pod x/b
check_equal "x/late has not spoken" "" "$(known_port "${POD_IP4[x/late]}")"
check_equal "a routed pod is behind no port" "" "$(known_port "${POD_IP4[x/r]}")"
check_equal "the gateway's own address is no pod's" "" "$(known_port 10.244.1.1)"
check "what is known is counted" eventually 3 metric_is 'netpold_bridge_ports{source="learnt"}' 4
check "and what is not" eventually 3 metric_is 'netpold_bridge_ports{source="unknown"}' 2
printed=$(netpold n1 --print-facts)
check_contains "--print-facts tells the port" \
    "{\"address\": \"${POD_IP4[x/a]}\", \"port\": \"${POD_VETH[x/a]}\"}" "$printed"
check_contains "--print-facts tells the switch" '"vlan": "on"' "$printed"
check "a pass beside the daemon wants the same rules" wait_in_sync n1

echo "-- a pod takes the address of one that is known"
speaks x/a "${POD_IP4[x/b]}" "${POD_IP6[x/b]}"
check "the node believes it, IPv4" node_thinks "${POD_IP4[x/b]}" "$(mac_of x/a)"
check "the node believes it, IPv6" node_thinks "${POD_IP6[x/b]}" "$(mac_of x/a)"
sleep 1.5
check "the port of x/b stays" ports_of_pod x/b
check "the port of x/a stays" ports_of_pod x/a
check "it is counted" eventually 3 eval '[[ $(metric netpold_bridge_ports_refused_total) -gt 0 ]]'
check "and said" grep -q "bridge-port-refused.*port=${POD_VETH[x/a]}" "$WORK/netpold.n1.log"

echo "-- of one that has been silent"
speaks x/a "${POD_IP4[x/late]}" "${POD_IP6[x/late]}"
check "the node believes it" node_thinks "${POD_IP4[x/late]}" "$(mac_of x/a)"
sleep 1.5
check_equal "x/a does not get it" "" "$(known_port "${POD_IP4[x/late]}")$(known_port "${POD_IP6[x/late]}")"
check "and keeps its own" ports_of_pod x/a

echo "-- the MAC of another"
own_mac=$(mac_of x/a)
in_pod x/a ip link set eth0 address "$(mac_of x/b)"
speaks x/a "${POD_IP4[x/a]}"
speaks x/a "${POD_IP4[x/b]}"
sleep 1.5
check "the port of x/b stays" ports_of_pod x/b
in_pod x/a ip link set eth0 address "$own_mac"
speaks_both x/b
speaks_both x/a

echo "-- speaking without end costs the node little"
cpu_ticks() { # pid
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}
facts_told() {
    metric netpold_apply_duration_seconds_count
}
in_pod x/a bash -c 'for i in {20..250}; do echo "addr add 10.244.1.$i/24 dev eth0"; done | ip -batch -' 2>/dev/null
before_ticks=$(cpu_ticks "${DAEMON_PID[n1]}")
before_told=$(facts_told)
before_reads=$(metric netpold_host_facts_reads_total)
# Entries of the bridge's neighbours and of its table, as fast as they can be made; x/late is unknown all the while.
for _ in 1 2 3 4 5 6; do
    for i in {20..250}; do
        echo "neigh replace 10.244.1.$i lladdr 02:00:00:00:aa:$(printf %02x "$i") dev cni0 nud stale"
    done | ip -n n1 -batch - 2>/dev/null
    for i in {20..250}; do echo "neigh del 10.244.1.$i dev cni0"; done | ip -n n1 -batch - 2>/dev/null
    for i in {1..200}; do
        echo "fdb replace 02:00:00:00:bb:$(printf %02x "$i") dev ${POD_VETH[x/a]} master dynamic"
    done | ip netns exec n1 bridge -batch - 2>/dev/null
    sleep 0.5
done
ticks=$(($(cpu_ticks "${DAEMON_PID[n1]}") - before_ticks))
check "CPU of the daemon meanwhile: $ticks ticks" test "$ticks" -le 30
check_equal "no rules were written for it" "$before_told" "$(facts_told)"
check_equal "and the host was not read again" "$before_reads" "$(metric netpold_host_facts_reads_total)"
check_equal "x/late is still nobody's" "" "$(known_port "${POD_IP4[x/late]}")"
in_pod x/a bash -c 'for i in {20..250}; do echo "addr del 10.244.1.$i/24 dev eth0"; done | ip -batch -' 2>/dev/null

echo "-- the silent one speaks"
speaks_both x/late
check "it is behind its own port" eventually 5 ports_of_pod x/late
check "all are known" eventually 3 metric_is 'netpold_bridge_ports{source="unknown"}' 0

echo "-- a restart does not believe later claims"
netpold_stop n1 KILL
speaks x/a "${POD_IP4[x/b]}" "${POD_IP6[x/b]}"
check "the node believes it" node_thinks "${POD_IP4[x/b]}" "$(mac_of x/a)"
netpold_start n1 --sync-period 3600s
check "ready" wait_ready n1
sleep 1
check "the port of x/b stays" ports_of_pod x/b
check "the port of x/late stays" ports_of_pod x/late

echo "-- a pod goes, and its veth with it"
POD_HIDDEN[x/late]=1
state_write
check "its addresses are behind no port" eventually 5 port_is "${POD_IP4[x/late]}" ""
ip -n n1 link del "${POD_VETH[x/b]}"
check "without a veth, none either" eventually 5 port_is "${POD_IP4[x/b]}" ""
check "others stay" ports_of_pod x/a

echo "-- the node's own addresses"
guarded() { # address: the rules know it as the node's
    kernel_text n1 | grep -qF -- "$1"
}
for address in 192.168.77.7/32 fd00:77::7/128; do
    plain=${address%/*}
    check "$plain is not in the rules" eval "! guarded $plain"
    ip -n n1 addr add "$address" dev eth0
    check "added while the daemon runs: it is" eventually 5 guarded "$plain"
    ip -n n1 addr del "$address" dev eth0
    check "removed: it is not" eventually 5 eval "! guarded $plain"
done

echo "-- the switch for VLAN tags"
vlan_switch() { # value
    on_node n1 bash -c "echo $1 > /proc/sys/net/bridge/bridge-nf-filter-vlan-tagged"
}
check "on: the metric says so" metric_is netpold_bridge_vlan_filter_ok 1
vlan_switch 0
check "off: the metric says so" eventually 8 metric_is netpold_bridge_vlan_filter_ok 0
check "off: the log says what to do" grep -q "bridge-vlan-filter-off.*sysctl -w net.bridge.bridge-nf-filter-vlan-tagged=1" \
    "$WORK/netpold.n1.log"
check "off: the node stays ready" is_ready n1
check_contains "off: /readyz warns" "[+]bridge ok; warning: net.bridge.bridge-nf-filter-vlan-tagged is off" \
    "$(http_get n1 '/readyz?verbose')"
check_contains "off: --print-facts says so" '"vlan": "off"' "$(netpold n1 --print-facts)"
vlan_switch 1
check "on again: the metric says so" eventually 8 metric_is netpold_bridge_vlan_filter_ok 1
check "on again: no warning" eval "[[ \$(http_get n1 '/readyz?verbose') != *warning* ]]"

echo "-- the ports of tunnels"
if ip -n n1 link add vx9 type vxlan id 9 dstport 4790 dev eth0 2>/dev/null; then
    check_contains "a vxlan device's" '"tunnelPorts": [4790]' "$(netpold n1 --print-facts)"
else
    skip "no vxlan devices here"
fi
netpold_stop n1
check "the shipped settings turn on what the daemon looks at" test 3 -eq "$(grep -cE \
    '^net\.bridge\.bridge-nf-(call-iptables|call-ip6tables|filter-vlan-tagged) = 1$' \
    "$ROOT_DIR/manifests/sysctl.d/90-netpold.conf")"
finish
