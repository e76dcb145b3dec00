#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 before and after every write of a change to the kernel, and at 200 random moments of a running daemon, with
# packets under way all the time. Allowed flows: not one packet of a new flow is lost, no established flow breaks. Denied:
# not one packet arrives. The two states that are changed between agree on exactly these.
#
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

SEED=${SEED:-$RANDOM}
KILLS=${KILLS:-200}
BUDGET=${BUDGET:-75}  # seconds; a slow machine does fewer kills and says so
echo "SEED=$SEED KILLS=$KILLS"
RANDOM=$SEED

fabric
node n1
outside
routes
namespace x team=x
namespace y team=y
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/ok n1 bridged app=ok
pod x/okr n1 routed app=ok
pod x/bad n1 bridged app=bad
pod x/badr n1 routed app=bad
pod x/extra n1 bridged app=extra
# Connection tracking forgets the many short flows soon, so that its table does not fill up.
on_node n1 bash -c 'cd /proc/sys/net/netfilter && echo 5 > nf_conntrack_udp_timeout && echo 5 > nf_conntrack_icmp_timeout'

# Two states. In both, app=ok reaches app=web on ports 80 to 90 and app=bad reaches nothing; everything else differs:
# the policies, their rules and sets, the pods, and labels.
mkdir -p "$WORK/a" "$WORK/b"
cat >"$WORK/a/policy.yaml" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: ok}}}]
    ports: [{port: 80, endPort: 90}, {protocol: UDP, port: 80, endPort: 90}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: bad}
spec:
  podSelector: {matchLabels: {app: bad}}
  policyTypes: [Ingress, Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: extra}}}], ports: [{port: 443}]}]
E2
cat >"$WORK/b/policy.yaml" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [ok, extra]}]}}]
    ports: [{port: 80, endPort: 90}]
  - from: [{podSelector: {matchLabels: {app: ok}}}, {namespaceSelector: {matchLabels: {team: y}}}]
    ports: [{protocol: UDP, port: 80, endPort: 90}, {port: 9000}]
  - from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.10/32]}}, {ipBlock: {cidr: "2001:db8:77::/64"}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: ok-egress}
spec:
  podSelector: {matchLabels: {app: ok}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: web}}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: all-of-x}
spec:
  podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [ok, web]}]}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: ok}}}], ports: [{port: 443}]}]
E2
state_write
mv "$STATE/cluster.yaml" "$WORK/a/cluster.yaml"
POD_LABELS["x/extra"]=app=other
POD_IP4["y/late"]=10.244.1.200 POD_IP6["y/late"]=fd00:10:244:1::200 POD_NODE["y/late"]=n1
POD_LABELS["y/late"]='' POD_PORTS["y/late"]='' POD_PHASE["y/late"]=Running
PODS+=(y/late)
state_write
mv "$STATE/cluster.yaml" "$WORK/b/cluster.yaml"
unset 'PODS[-1]'

# Swap the state directory to a or b; each file is renamed into place.
become() {
    cp "$WORK/$1/policy.yaml" "$WORK/policy.new" && mv "$WORK/policy.new" "$STATE/policy.yaml" &&
        cp "$WORK/$1/cluster.yaml" "$WORK/cluster.new" && mv "$WORK/cluster.new" "$STATE/cluster.yaml"
}
become a
check "first programming" netpold_once

# Traffic. Each burst sends a new flow every 2 ms; the tag in its payload is counted where it arrives.
BURSTS=()
burst() { # from-pod to-pod family protocol tag
    local from to
    from=${POD_IP4[$1]} to=${POD_IP4[$2]}
    [[ $3 == 4 ]] || from=${POD_IP6[$1]} to=${POD_IP6[$2]}
    in_pod "$1" "$NETPROBE" send --proto "$4" --from "$from" --to "$to" --port 85 --sport 1024 --sport-step 1 --count 0 \
        --interval-us 2000 --tag "$5" --report "$WORK/sent.$5" --background "$WORK/burst.$5" || die "no burst $5"
    BURSTS+=("$5")
}
web_tags=() webr_tags=()
for family in 4 6; do
    for proto in tcp udp; do
        web_tags+=("ok.web.$family.$proto" "bad.web.$family.$proto" "badr.web.$family.$proto")
        webr_tags+=("okr.webr.$family.$proto" "bad.webr.$family.$proto")
    done
done
sniff_start x-web "${web_tags[@]}"
sniff_start x-webr "${webr_tags[@]}"
for family in 4 6; do
    for proto in tcp udp; do
        burst x/ok x/web $family $proto "ok.web.$family.$proto"
        burst x/okr x/webr $family $proto "okr.webr.$family.$proto"
        burst x/bad x/web $family $proto "bad.web.$family.$proto"
        burst x/badr x/web $family $proto "badr.web.$family.$proto"
        burst x/bad x/webr $family $proto "bad.webr.$family.$proto"
    done
done
for proto in tcp udp; do
    in_pod x/ok "$NETPROBE" flow --proto $proto --to "${POD_IP4[x/web]}" --port 80 --report "$WORK/flow.4.$proto" \
        --background "$WORK/flow.4.$proto.pid"
    in_pod x/okr "$NETPROBE" flow --proto $proto --to "${POD_IP6[x/webr]}" --port 80 --report "$WORK/flow.6.$proto" \
        --background "$WORK/flow.6.$proto.pid"
done

nothing_denied_arrived() {
    ! awk '/^bad/ && $2 > 0 { print "     " $0; bad = 1 } END { exit !bad }' "$WORK/sniff.x-web" "$WORK/sniff.x-webr"
}
eventually 5 arrived x-web ok.web.6.udp 20 || die "allowed traffic does not flow"

# 1. Each step of a change from a to b and back.
steps_of() { # state: how many steps the change to it has
    rm -f "$WORK/steps"
    become "$1"
    NETPOLD_TEST_STEP_LOG=$WORK/steps netpold_once n1 >/dev/null || return 1
    wc -l <"$WORK/steps"
}
declare -A STEPS
STEPS[b]=$(steps_of b)
STEPS[a]=$(steps_of a)
check "a change has steps (to b ${STEPS[b]}, to a ${STEPS[a]})" test "${STEPS[a]:-0}" -ge 4 -a "${STEPS[b]:-0}" -ge 4
killed=0 unkilled=0 recovered=0 broken_at=''
for ((n = 1; n <= (STEPS[a] > STEPS[b] ? STEPS[a] : STEPS[b]); n++)); do
    for to in b a; do
        become $to
        { NETPOLD_TEST_KILL_AT=$n netpold n1 --once >/dev/null; rc=$?; } 2>/dev/null
        if ((rc == 137)); then killed=$((killed + 1)); else unkilled=$((unkilled + (n <= STEPS[$to]))); fi
        if netpold_once n1 && in_sync n1; then recovered=$((recovered + 1)); else broken_at+=" $to/$n"; fi
        nothing_denied_arrived || broken_at+=" leak:$to/$n"
    done
done
check_equal "killed at each of its steps" $((STEPS[a] + STEPS[b])) "$killed"
check_equal "no step was passed alive" 0 "$unkilled"
check_equal "after each, the next pass brings the kernel in step" "" "$broken_at"
check "denied packets: none arrived through $killed kills" nothing_denied_arrived

# 2. A running daemon, killed at random while the state changes.
kills=0 states=(a b)
while ((kills < KILLS && SECONDS < BUDGET)); do
    netpold_start n1
    become "${states[RANDOM % 2]}"
    sleep "0.0$((RANDOM % 60 + 10))"
    become "${states[RANDOM % 2]}"
    sleep "0.0$((RANDOM % 20 + 10))"
    { netpold_stop n1 KILL; } 2>/dev/null
    kills=$((kills + 1))
done
if ((kills >= KILLS)); then
    pass "$kills random kills"
else
    skip "only $kills of $KILLS random kills within ${BUDGET} s: this machine is slow or busy"
fi
become b
check "after them, the next pass brings the kernel in step" netpold_once n1
check "in sync" in_sync n1

# The bill.
for tag in "${BURSTS[@]}"; do kill "$(cat "$WORK/burst.$tag")"; done
for pid in "$WORK"/flow.*.pid; do kill "$(cat "$pid")"; done
sleep 0.5
sent_ok=0 sent_bad=0 lost=''
for tag in "${BURSTS[@]}"; do
    sent=$(sed 's/sent=\([0-9]*\).*/\1/' "$WORK/sent.$tag")
    case $tag in
    ok*)
        sent_ok=$((sent_ok + sent))
        to=${tag#*.}
        got=$(sniffed "x-${to%%.*}" "$tag")
        [[ $got == "$sent" ]] || lost+=" $tag:$sent/$got"
        ;;
    *) sent_bad=$((sent_bad + sent)) ;;
    esac
done
check_equal "allowed: all $sent_ok new flows arrived" "" "$lost"
check "denied: $sent_bad packets sent, none arrived" nothing_denied_arrived
for report in flow.4.tcp flow.4.udp flow.6.tcp flow.6.udp; do
    line=$(cat "$WORK/$report")
    check "established ${report#flow.} flow never broke ($line)" awk -F'[= ]' '
        { exit !($2 > 100 && $4 >= $2 - 5 && $6 < 1000 && $8 == 0) }' "$WORK/$report"
done
finish
