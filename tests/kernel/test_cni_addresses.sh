#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What netpold-cni told of a pod's addresses holds whatever its status says of them, before and after a restart; an address
# that is dealt anew brings nothing along, neither the old pod's connections nor its name.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here, and sets what is used
source "$(dirname "$0")/lib.sh"
source "$KERNEL_DIR/lib/cni.sh"
sandbox "$@"

PYTHON=$(command -v python3) || skip_all "python3 is not installed"
TIMEOUT=20s
fabric
node n1
namespace x team=x
pod x/cli n1 routed app=cli
pod x/job n1 bridged app=job
pod x/new n1 bridged app=new
pod x/newr n1 routed app=new
POD_HIDDEN["x/new"]=1 POD_HIDDEN["x/newr"]=1
state_write
only_with_cli
object() { # name uid podIPs [label [created]]
    printf -- '---\napiVersion: v1\nkind: Pod\n'
    printf 'metadata: {namespace: x, name: %s, uid: %s, creationTimestamp: "%s", labels: {app: %s}}\n' "$1" "$2" \
        "${5:-2026-01-01T00:00:00Z}" "${4:-new}"
    printf 'spec: {nodeName: n1}\nstatus: {phase: Running, podIPs: [%s]}\n' "$3"
}
ip_of() { # pod family…: as podIPs
    local family list=''
    for family in "${@:2}"; do
        [[ $family == 4 ]] && list+="{ip: ${POD_IP4[$1]}}, " || list+="{ip: ${POD_IP6[$1]}}, "
    done
    echo "${list%, }"
}
new_both() { cni_result 1.0.0 "${POD_VETH[x/new]}" "${POD_IP4[x/new]}/24" "${POD_IP6[x/new]}/64"; }
new_4() { cni_result 1.0.0 "${POD_VETH[x/new]}" "${POD_IP4[x/new]}/24"; }
newr_4() { cni_result 1.0.0 "${POD_VETH[x/newr]}" "${POD_IP4[x/newr]}/32"; }
add() { # id pod uid result
    cni ADD "$1" "$2" "$3" < <(cni_config 1.0.0 "$4")
    check "ADD of $1: ${5:-answered}" test "$CNI_RC" -eq 0 || echo "     $CNI_OUT"
}
del() { # id pod uid
    cni DEL "$1" "$2" "$3" < <(cni_config 1.0.0)
    check "DEL of $1" test "$CNI_RC" -eq 0
}
netpold_start n1
wait_ready n1 || die "netpold is not ready"

# ---- a status that names less ----------------------------------------------------------------------------------------

object new u1 "" | state_put new.yaml
add s1 x/new u1 "$(new_both)"
object new u1 "$(ip_of x/new 4)" | state_put new.yaml
check "the status is seen" wait_in_sync n1
check "it names IPv4 alone: IPv4 is judged" blocked x/job x/new tcp/80
check "and so is IPv6" blocked x/job x/new tcp/80 6
check "whom the policy lets in comes in" reaches x/cli x/new tcp/80 6
netpold_stop n1 KILL
netpold_start n1
wait_ready n1
check "after a restart IPv6 is judged" blocked x/job x/new tcp/80 6
check "and a single pass has nothing to do" in_sync n1
del s1 x/new u1
check "DEL gives it back" eventually 5 reaches x/job x/new tcp/80 6

object new u1 "" | state_put new.yaml
add s2 x/new u1 "$(new_4)"
IFNAME=net1 add s2 x/new u1 "$(newr_4)" "of a second interface"
object new u1 "$(ip_of x/new 4)" | state_put new.yaml
check "the status is seen" wait_in_sync n1
check "it names eth0's: that is judged" blocked x/job x/new tcp/80
check "and so is net1's" blocked x/job x/newr tcp/80
IFNAME=net1 cni CHECK s2 x/new u1 < <(cni_config 1.0.0 "$(newr_4)")
check "CHECK of net1" test "$CNI_RC" -eq 0
IFNAME=net1 del s2 x/new u1
check "DEL of net1 gives back its own" eventually 5 reaches x/job x/newr tcp/80
check "and no more" blocked x/job x/new tcp/80
del s2 x/new u1

# ---- addresses are dealt anew after a reboot -------------------------------------------------------------------------

# Each status names what the other has now; the younger one's would have it otherwise.
{
    object new u1 "$(ip_of x/newr 4)" new 2026-01-01T00:00:00Z
    object newr u2 "$(ip_of x/new 4)" free 2026-01-02T00:00:00Z
} | state_put new.yaml
check "the objects are seen" wait_in_sync n1
add s3 x/new u1 "$(new_4)" "its address is still in a younger pod's status"
check "it has its rules" blocked x/job x/new tcp/80
add s4 x/newr u2 "$(newr_4)" "its address is still in the first one's status"
check "it is open, as its labels are" reaches x/job x/newr tcp/80
check "the first keeps its rules" blocked x/job x/new tcp/80
{
    object new u1 "$(ip_of x/new 4)" new 2026-01-01T00:00:00Z
    object newr u2 "$(ip_of x/new 4)" free 2026-01-02T00:00:00Z
} | state_put new.yaml
check "one status is right" wait_in_sync n1
check "nothing changes hands" blocked x/job x/new tcp/80
check "nor the other" reaches x/job x/newr tcp/80
del s3 x/new u1
del s4 x/newr u2
object new u1 "" | state_put new.yaml

# ---- the connections of the pod that had the address -----------------------------------------------------------------

cat >"$WORK/udp.py" <<'E2'
import socket, struct, sys, time
SO_TIMESTAMPNS = 35
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
if sys.argv[1] == "answer":
    s.bind((sys.argv[2], 7777))
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    out = open(sys.argv[3], "a", buffering=1)
    while True:
        _, control, _, peer = s.recvmsg(2000, 64)
        # When the kernel got it: this program may have its turn late.
        at = [struct.unpack("@ll", value[:16]) for _, kind, value in control if kind == SO_TIMESTAMPNS]
        out.write("%d\n" % (at[0][0] * 1000000000 + at[0][1] if at else time.time_ns()))
        try:
            s.sendto(b"a", peer)
        except OSError:
            pass
s.bind((sys.argv[2], 5555))
s.connect((sys.argv[3], 7777))
s.setblocking(False)
while True:
    try:
        s.send(b"x" * 20)
        while True:
            s.recv(100)
    except OSError:
        pass
    time.sleep(0.001)
E2
talkers=()
: >"$WORK/heard.IP4"
: >"$WORK/heard.IP6"
for ip in IP4 IP6; do
    declare -n of=POD_$ip
    ip netns exec x-new "$PYTHON" "$WORK/udp.py" answer "${of[x/new]}" "$WORK/heard.$ip" &
    talkers+=($!)
    ip netns exec x-job "$PYTHON" "$WORK/udp.py" send "${of[x/job]}" "${of[x/new]}" &
    talkers+=($!)
done
now_ns() {
    echo "${EPOCHREALTIME/[.,]/}000"
}
talks() {
    local ip before=()
    for ip in IP4 IP6; do before+=("$(wc -l <"$WORK/heard.$ip")"); done
    sleep 0.1
    [[ $(wc -l <"$WORK/heard.IP4") -gt ${before[0]} && $(wc -l <"$WORK/heard.IP6") -gt ${before[1]} ]]
}
heard=0
for round in 1 2 3 4 5 6; do
    eventually 10 talks || die "round $round: the old connection does not live"
    cni ADD "r$round" x/new u1 < <(cni_config 1.0.0 "$(new_both)")
    [[ $CNI_RC -eq 0 ]] || die "ADD r$round: $CNI_OUT"
    # The plugin has answered: from here on the pod would run.
    since=$(now_ns)
    sleep 0.4
    heard=$((heard + $(cat "$WORK/heard.IP4" "$WORK/heard.IP6" | awk -v since="$since" '$1 > since' | wc -l)))
    cni DEL "r$round" x/new u1 < <(cni_config 1.0.0)
done
check_equal "a new pod hears nothing of connections that its address had ($round rounds)" 0 "$heard"
check_contains "the log says so" "event=cni-connections-ended" "$(grep cni-connections-ended "$WORK/netpold.n1.log")"
kill "${talkers[@]}"
wait "${talkers[@]}" 2>/dev/null
# ---- the book --------------------------------------------------------------------------------------------------------

BOOK=$WORK/run.n1/cni
object new u1 "" | state_put new.yaml
check_equal "nothing failed" "" "$(grep -E 'level=error|connections-kept|Sanitizer' "$WORK/netpold.n1.log")"

# An ADD that waits for its object, and its DEL.
rm -f "$STATE/new.yaml"
wait_in_sync n1
TIMEOUT=60s cni_config 1.0.0 "$(new_4)" >"$WORK/late"
(cni ADD late x/new u1 <"$WORK/late"; echo "$CNI_RC $CNI_OUT" >"$WORK/late.out") &
late=$!
waiting() { # how many: ADDs that wait, as the daemon says
    on_node n1 "$NETPOLCTL" status -o json --socket "$WORK/run.n1/netpold.sock" | grep -q "\"waiting\":$1[,}]"
}
check "an ADD without an object waits" eventually 5 waiting 1
del late x/new u1
wait "$late"
check_contains "an ADD whose DEL comes ends at once, refused" "deleted" "$(cat "$WORK/late.out")"
object new u1 "" | state_put new.yaml
wait_in_sync n1
check_equal "and leaves nothing behind" "" "$(ls "$BOOK")"

# A clock that was set back since.
cat >"$BOOK/b2@eth0.json" <<E2
{"id":"b2","ifname":"eth0","ns":"x","name":"new","uid":"u0","port":"","addresses":["${POD_IP4[x/newr]}"],"added_ms":99999999999999}
E2
netpold_stop n1
netpold_start n1
wait_ready n1
add b3 x/new u1 "$(new_4)" "though the book has a later one of that name"
check "it has its rules" blocked x/job x/new tcp/80
cni DEL b2 x/new u0 < <(cni_config 1.0.0)

# A later plugin adds interfaces of its own to the list; one address is there often; a link-local one says nothing.
many=''
for _ in {1..40}; do many+="{\"interface\":2,\"address\":\"${POD_IP4[x/new]}/24\"},"; done
add b3 x/new u1 "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"cni0\"},{\"name\":\"${POD_VETH[x/new]}\"},{\"name\":\"eth0\",\"sandbox\":\"/x\"},{\"name\":\"bwp1234567890\"}],\"ips\":[$many{\"interface\":2,\"address\":\"fe80::7/64\"}]}" "with a bandwidth plugin's device"
check_contains "the port is the veth" "\"port\":\"${POD_VETH[x/new]}\"" "$(cat "$BOOK/b3@eth0.json")"
check_contains "and the address one" "\"addresses\":[\"${POD_IP4[x/new]}\"]" "$(cat "$BOOK/b3@eth0.json")"

# The file is removed under a living daemon, as the plugin does when it thinks that nobody is there.
rm "$BOOK/b3@eth0.json"
cni DEL other x/new u9 < <(cni_config 1.0.0)
check "a file that was removed is a DEL" eventually 5 reaches x/job x/new tcp/80

# A file that cannot be read.
add b4 x/new u1 "$(new_4)"
netpold_stop n1
: >"$BOOK/b4@eth0.json"
netpold_start n1
check "not ready: what the plugin told cannot be read" eventually 5 eval '[[ $(http_get n1 /readyz) == *"[-]cni failed: 1 files"*"b4@eth0.json"* ]]'
check_contains "status says so" "b4@eth0.json" "$(on_node n1 "$NETPOLCTL" status --socket "$WORK/run.n1/netpold.sock")"
check_contains "a metric too" "netpold_cni_unreadable_files 1" "$(http_get n1 /metrics)"
del b4 x/new u1
check "its DEL removes it" test ! -e "$BOOK/b4@eth0.json"
check "ready again" wait_ready n1

check_equal "nothing else failed" "" "$(grep -E 'level=error|connections-kept|Sanitizer' "$WORK/netpold.n1.log" | grep -v cni-file-unreadable)"
netpold_stop n1
finish
