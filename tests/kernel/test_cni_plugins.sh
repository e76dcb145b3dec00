#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpold-cni behind the plugins that clusters use: bridge and ptp with host-local, as Debian has them. The first SYN of a new pod
# is judged; DEL gives the address back, and the next pod that gets it is judged by its own policies.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
# shellcheck source=lib/cni.sh
source "$KERNEL_DIR/lib/cni.sh"
sandbox "$@"
for plugin in bridge ptp host-local; do
    [[ -x $CNI_REAL/$plugin ]] || skip_all "no $CNI_REAL/$plugin: the package containernetworking-plugins is not installed"
done

fabric
node n1
namespace x team=x
pod x/cli n1 routed app=cli
pod x/job n1 routed app=job
state_write
only_with_cli
objects=()
objects_write() { # name=label…: pods without addresses
    local pair
    for pair in "$@"; do
        printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: x, name: %s, uid: uid-%s, labels: {app: %s}}\n' "${pair%%=*}" \
            "${pair%%=*}" "${pair#*=}"
        printf 'spec: {nodeName: n1}\nstatus: {phase: Pending}\n'
    done | state_put new.yaml
}
netpold_start n1
check "ready" wait_ready n1

# The list of plugins, in order for ADD and against it for DEL, as a runtime runs it.
ipam() { # n
    printf '"ipam":{"type":"host-local","dataDir":"%s","ranges":[[{"subnet":"10.24%d.9.0/24"}],[{"subnet":"fd00:10:24%d:9::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}' \
        "$WORK/ipam" "$1" "$1"
}
declare -A FIRST_CONFIG=(
    [bridge]='"type":"bridge","bridge":"cni9","isGateway":true,"hairpinMode":true,'$(ipam 8)
    [ptp]='"type":"ptp",'$(ipam 9)
)
run_add() { # kind version name: leaves the final result in CNI_OUT
    ip netns add "$3"
    ip -n "$3" link set lo up
    machine_start "$3"
    PLUGIN=$CNI_REAL/$1 cni ADD "$3" "x/$3" "uid-$3" <<<"{\"cniVersion\":\"$2\",\"name\":\"net\",${FIRST_CONFIG[$1]}}" || return
    FIRST_RESULT=$CNI_OUT
    cni ADD "$3" "x/$3" "uid-$3" < <(cni_config "$2" "$FIRST_RESULT")
}
run_del() { # kind version name
    cni DEL "$3" "x/$3" "uid-$3" < <(cni_config "$2") &&
        PLUGIN=$CNI_REAL/$1 cni DEL "$3" "x/$3" "uid-$3" <<<"{\"cniVersion\":\"$2\",\"name\":\"net\",${FIRST_CONFIG[$1]}}" &&
        ip netns del "$3"
}
address_of() { # family: from the result
    python3 -c 'import json,sys
ips = [ip["address"].split("/")[0] for ip in json.loads(sys.argv[1])["ips"]]
print([ip for ip in ips if (":" in ip) == (sys.argv[2] == "6")][0])' "$CNI_OUT" "$1"
}
# Exactly one SYN: whether it arrives and is answered.
syn() { # netns address
    ip netns exec "$1" python3 -c 'import socket,sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
sock.settimeout(0.7)
try:
    sock.connect((sys.argv[1], 80))
except OSError:
    sys.exit(1)' "$2"
}
denied() { ! syn "$@"; }

for kind in bridge ptp; do
    for version in 0.3.1 0.4.0 1.0.0; do
        name=$kind-${version//./}
        echo "-- $kind, $version"
        objects_write "$name=new"
        eventually 5 in_sync n1
        check "ADD" run_add "$kind" "$version" "$name" || echo "$CNI_OUT $CNI_ERR"
        check_equal "the result of $kind, byte for byte" "$FIRST_RESULT" "$CNI_OUT"
        ip4=$(address_of 4) ip6=$(address_of 6)
        check "the first SYN out is judged: denied" denied "$name" "${POD_IP4[x/job]}"
        check "the first SYN in is judged: denied" denied x-job "$ip4"
        check "denied in, IPv6" denied x-job "$ip6"
        check "allowed in" syn x-cli "$ip4"
        check "allowed in, IPv6" syn x-cli "$ip6"
        check "allowed out" syn "$name" "${POD_IP4[x/cli]}"
        check "the node's own probes" ip netns exec n1 bash -c "exec 3<>/dev/tcp/$ip4/80"
        check "CHECK" cni CHECK "$name" "x/$name" "uid-$name" < <(cni_config "$version" "$FIRST_RESULT")
        check "DEL" run_del "$kind" "$version" "$name"
    done
done

echo "-- an address that is used again"
objects_write first=new
eventually 5 in_sync n1
FIRST_CONFIG[bridge]=${FIRST_CONFIG[bridge]/10.248.9.0\/24\"/10.248.9.0/24\",\"rangeStart\":\"10.248.9.77\",\"rangeEnd\":\"10.248.9.77\"}
check "a pod that is isolated" run_add bridge 1.0.0 first
first4=$(address_of 4)
check "denied" denied x-job "$first4"
# The daemon is away when the pod goes: nobody is told, but for the folder.
netpold_stop n1
check "DEL without a daemon" run_del bridge 1.0.0 first
check "it left nothing" test -z "$(ls -A "$WORK/run.n1/cni")"
objects_write second=free
netpold_start n1
check "ready" wait_ready n1
check "the next pod" run_add bridge 1.0.0 second
check_equal "has its address" "$first4" "$(address_of 4)"
check "and no policy: open" syn x-job "$first4"
finish
