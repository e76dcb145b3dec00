#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpold-cni by its protocol, and a pod's packets around it: nothing of a pod is open before the plugin has answered, nothing
# is denied after it that is allowed, over restarts of the daemon, and with nobody to ask.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
# shellcheck source=lib/cni.sh
source "$KERNEL_DIR/lib/cni.sh"
sandbox "$@"

fabric
node n1
namespace x team=x
pod x/cli n1 routed app=cli
pod x/job n1 bridged app=job
pod x/new n1 bridged app=new
pod x/newr n1 routed app=new
pod x/host n1 routed app=new
# Machines that run; their objects come as a cluster's do: first without addresses.
POD_HIDDEN[x/new]=1 POD_HIDDEN[x/newr]=1 POD_HIDDEN[x/host]=1
state_write
only_with_cli
object() { # name uid [addresses as YAML list items] [more of the spec]
    printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: x, name: %s, uid: %s, labels: {app: new}}\n' "$1" "$2"
    printf 'spec: {nodeName: n1%s}\nstatus: {phase: Running, podIPs: [%s]}\n' "${4:-}" "${3:-}"
}
result_new() { # cniVersion
    cni_result "$1" "${POD_VETH[x/new]}" "${POD_IP4[x/new]}/24" "${POD_IP6[x/new]}/64"
}
result_newr() {
    cni_result "$1" "${POD_VETH[x/newr]}" "${POD_IP4[x/newr]}/32" "${POD_IP6[x/newr]}/128"
}
judged() { # what pod
    check "$1: allowed in" reaches x/cli "$2" tcp/80
    check "$1: denied in" blocked x/job "$2" tcp/80
    check "$1: allowed in, IPv6" reaches x/cli "$2" tcp/80 6
    check "$1: denied in, IPv6" blocked x/job "$2" tcp/80 6
    check "$1: allowed out" reaches "$2" x/cli udp/80
    check "$1: denied out" blocked "$2" x/job udp/80
}
open() { # what pod: no policy is in force for it
    check "$1: open" reaches x/job "$2" tcp/80
}

echo "-- with nobody to ask"
for version in 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0; do
    cni VERSION "" <<<"{\"cniVersion\":\"$version\"}"
    check_equal "VERSION, $version" \
        "{\"cniVersion\":\"$version\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}" "$CNI_OUT"
done
refused() { # what code part-of-the-message
    check_equal "$1: code" "$2" "$(cni_code)"
    check_equal "$1: exit code" 1 "$CNI_RC"
    check_contains "$1" "$3" "$CNI_OUT"
    check "$1: JSON" python3 -c 'import json,sys; got = json.loads(sys.argv[1]); assert got["cniVersion"] and got["code"] and got["msg"]' "$CNI_OUT"
}
cni ADD a x/new <<<'{"cniVersion":"2.0.0"}'
refused "a version of tomorrow" 1 'incompatible CNI version \"2.0.0\"'
cni ADD a x/new <<<'{"cniVersion":'
refused "half a configuration" 6 "it is no JSON"
cni ADD a x/new < <(cni_config 1.0.0)
refused "first in its chain" 7 'there is no \"prevResult\"'
for address in 0.0.0.0/0 127.0.0.1/8 224.0.0.1/32 255.255.255.255/32 ::/0 ::1/128 ff02::1/128; do
    cni ADD a x/new < <(cni_config 1.0.0 "$(cni_result 1.0.0 veth9 "$address")")
    refused "$address" 7 "an address is none that a pod can have"
done
for address in 10.244.1.11 10.244.1.11/33 10.244.1.11/ 10.244.1.11/2x /24 fd00::1/129 10.244.1/24; do
    cni ADD a x/new < <(cni_config 1.0.0 "$(cni_result 1.0.0 veth9 "$address")")
    refused "$address" 7 "an address is none"
done
cni ADD a x/new < <(cni_config 1.0.0 "$(cni_result 1.0.0 veth9 fe80::1/64)")
refused "link-local alone" 7 "it gives the pod no address"
cni ADD '../a' x/new < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "an id that is a path" 4 "CNI_CONTAINERID"
TIMEOUT=5m cni ADD a x/new < <(TIMEOUT=5m cni_config 1.0.0 "$(result_new 1.0.0)")
refused "a timeout beyond the kubelet's" 7 "timeout"
cni NONSENSE a x/new < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "an unknown command" 4 "CNI_COMMAND is"
TIMEOUT=1s
cni ADD a x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "no daemon" 11 "netpold does not answer on $WORK/run.n1/netpold.sock"
cni CHECK a x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "no daemon: CHECK" 11 "does not answer"
cni STATUS "" < <(cni_config 1.1.0)
refused "no daemon: STATUS" 50 "does not answer"
check "no daemon: DEL works" cni DEL a x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
check_equal "and says nothing" "" "$CNI_OUT"
check "no daemon: GC works" cni GC "" < <(cni_config 1.1.0)
EXTRA='"failOpen":true,' cni ADD a x/new uid-1 < <(EXTRA='"failOpen":true,' cni_config 1.0.0 "$(result_new 1.0.0)")
check_equal "failOpen lets it through" 0 "$CNI_RC"
check_equal "with the result as it came" "$(result_new 1.0.0)" "$CNI_OUT"
check_contains "and says so" "failOpen lets pod x/new through" "$CNI_ERR"
cni ADD a "" < <(cni_config 1.0.0 "$(result_new 1.0.0)")
check_equal "what is no pod is none of ours" "$(result_new 1.0.0)" "$CNI_OUT"
open "before all" x/new

echo "-- an ADD waits for the object, then for the rules"
netpold_start n1
check "ready" wait_ready n1
check "STATUS" cni STATUS "" < <(cni_config 1.1.0)
cni ADD sandbox-1 x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "no object in time" 11 "the object of pod x/new has not been seen"
check "what was refused is not kept" test ! -e "$WORK/run.n1/cni/sandbox-1@eth0.json"
TIMEOUT=20s
cni_config 1.0.0 "$(result_new 1.0.0)" >"$WORK/add.json"
(cni ADD sandbox-1 x/new uid-1 <"$WORK/add.json"; echo "$CNI_RC" >"$WORK/add.rc"; echo "$CNI_OUT" >"$WORK/add.out") &
adder=$!
sleep 0.7
check "it waits" test ! -e "$WORK/add.rc"
open "meanwhile (a runtime has not started it yet)" x/new
object new uid-1 | state_put new.yaml
wait "$adder"
check_equal "with the object it is answered" 0 "$(<"$WORK/add.rc")"
check_equal "with the result, byte for byte" "$(result_new 1.0.0)" "$(<"$WORK/add.out")"
judged "before podIP" x/new
for version in 0.3.0 0.3.1 0.4.0 1.1.0; do
    cni ADD sandbox-1 x/new uid-1 < <(cni_config "$version" "$(result_new "$version")")
    check_equal "again, $version: the result" "$(result_new "$version")" "$CNI_OUT"
done
cni ADD sandbox-1 x/new uid-1 < <(cni_config 0.4.0 "$(result_new 1.0.0)")
check_equal "a result of another version is given in ours" "0.4.0 3" \
    "$(python3 -c 'import json,sys; got = json.loads(sys.argv[1]); print(got["cniVersion"], len(got["x-order"]))' "$CNI_OUT")"
check "CHECK" cni CHECK sandbox-1 x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
check_equal "says nothing" "" "$CNI_OUT"
TIMEOUT=1s
cni CHECK sandbox-1 x/new uid-1 < <(cni_config 1.0.0 "$(cni_result 1.0.0 veth9 10.244.1.99/24)")
refused "CHECK of an address that is not the pod's" 11 "10.244.1.99 is the address of no pod that is alive"
cni ADD sandbox-9 x/new uid-2 < <(cni_config 1.0.0 "$(result_newr 1.0.0)")
refused "another pod of that name" 11 "with uid uid-2 has not been seen, that of uid-1 is there"
judged "a refused ADD changes nothing" x/new
{ object new uid-1; object host uid-h "" ", hostNetwork: true"; object newr uid-r; object away uid-a "" | sed 's/n1/n2/'; } | state_put new.yaml
eventually 5 in_sync n1
TIMEOUT=20s
check "a pod on the host's network needs nothing" cni ADD sandbox-h x/host uid-h < <(cni_config 1.0.0 "$(cni_result 1.0.0 lo 192.168.50.1/24)")
TIMEOUT=1s
cni ADD sandbox-a x/away uid-a < <(cni_config 1.0.0 "$(result_newr 1.0.0)")
refused "a pod of another node" 11 'is of node \"n2\", not of n1'

echo "-- a restart between ADD and podIP"
TIMEOUT=10s
check "the routed one" cni ADD sandbox-2 x/newr uid-r < <(cni_config 1.0.0 "$(result_newr 1.0.0)")
judged "routed" x/newr
for signal in TERM KILL; do
    netpold_stop n1 "$signal"
    judged "stopped by $signal" x/newr
    netpold_start n1
    check "ready again" wait_ready n1
    judged "after a restart by $signal" x/new
    judged "after a restart by $signal" x/newr
done
check "CHECK after a restart" cni CHECK sandbox-2 x/newr uid-r < <(cni_config 1.0.0 "$(result_newr 1.0.0)")
check "a single pass beside it changes nothing" on_node n1 "$NETPOLD" --node-name n1 --state "$STATE" --once
netpold_stop n1
on_node n1 "$NETPOLD" --node-name n1 --state "$STATE" --once >/dev/null
judged "after a single pass without a daemon" x/new
check_equal "--dry-run of it sees no difference" 0 "$(on_node n1 "$NETPOLD" --node-name n1 --state "$STATE" --once --dry-run >/dev/null; echo $?)"

echo "-- after a reboot: no rules, an empty /run, and pods that start first"
purge n1
rm -rf "${WORK:?}/run.n1"
TIMEOUT=1s
cni ADD sandbox-3 x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "before the daemon: refused" 11 "does not answer"
mv "$STATE" "$WORK/state.away"
netpold_start n1
eventually 5 test -S "$WORK/run.n1/netpold.sock"
cni ADD sandbox-3 x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
refused "before it has read the cluster: refused" 11 "the cluster has not been read yet"
cni STATUS "" < <(cni_config 1.1.0)
refused "and STATUS says so" 50 "not ready"
mv "$WORK/state.away" "$STATE"
TIMEOUT=10s
check "then it goes" cni ADD sandbox-3 x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
judged "after the reboot" x/new

echo "-- status, and the end"
ips="{ip: ${POD_IP4[x/new]}}, {ip: \"${POD_IP6[x/new]}\"}"
{ object new uid-1 "$ips"; object newr uid-r; } | state_put new.yaml
check "the status says the same" eventually 5 in_sync n1
judged "by status" x/new
check "DEL" cni DEL sandbox-3 x/new uid-1 < <(cni_config 1.0.0)
check "DEL again" cni DEL sandbox-3 x/new uid-1 < <(cni_config 1.0.0)
check "nothing of it is kept" test ! -e "$WORK/run.n1/cni/sandbox-3@eth0.json"
judged "the status still says it" x/new
check "the other" cni ADD sandbox-4 x/newr uid-r < <(cni_config 1.0.0 "$(result_newr 1.0.0)")
# The address goes to another pod: the plugin's word, and the status of a pod that is gone.
check "DEL of a pod whose object stays" cni DEL sandbox-4 x/newr uid-r < <(cni_config 1.0.0)
check "it has no address any more" eventually 5 reaches x/job x/newr tcp/80
check "STATUS" cni STATUS "" < <(cni_config 1.1.0)
check_contains "netpolctl status counts them" '"cni"' "$(on_node n1 "$NETPOLCTL" status --socket "$WORK/run.n1/netpold.sock" -o json)"

echo "-- an address that went on without a DEL"
{ object new uid-1; object newr uid-r; } | state_put new.yaml
check "the one that had it" cni ADD sandbox-5 x/newr uid-r < <(cni_config 1.0.0 "$(cni_result 1.0.0 "${POD_VETH[x/new]}" "${POD_IP4[x/new]}/24")")
check "the one that has it now" cni ADD sandbox-6 x/new uid-1 < <(cni_config 1.0.0 "$(result_new 1.0.0)")
check "the older word is gone" test ! -e "$WORK/run.n1/cni/sandbox-5@eth0.json"
check "and said so" grep -q "event=cni-superseded pod=x/newr" "$WORK/netpold.n1.log"
judged "the address of the newer" x/new

echo "-- who may ask"
check_equal "the socket is root's" "600 0" "$(stat -c '%a %u' "$WORK/run.n1/netpold.sock")"
finish
