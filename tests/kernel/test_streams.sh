#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 200 changes of policies, labels and sets under 20,000 packets a second that visit the rules: not one packet of the flows
# that are allowed before and after is lost, not one of a flow that is denied before and after passes.
#
# Three flows of each end are allowed all the while, to ports of their own: a fresh source port for each packet (each is
# the first of its flow), one way without answers, and established. Beside them the same kinds are denied all the while.
# Loss is told by gaps in the numbers, less what the receiver itself did not read (SO_RXQ_OVFL); a run without changes comes
# first, so that what the machine loses anyway is known. Each change is seen to be in force before the next.
# Sets outgrow their room and are exchanged meanwhile: again and again such as were made with little of it behind netpold's
# back, and one that gets more members than any set has room for at first.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here, and sets what is used
# alone: it sends at a rate
UDP_PORTS=53
source "$(dirname "$0")/lib.sh"
CHANGES=${CHANGES:-200} RATE=${RATE:-20000}
# How many members a set has to have to outgrow what every set is made for (65536).
GROWN=${GROWN:-66000}
sandbox "$@"
export NETPOLD_BACKEND=${NETPOLD_BACKEND:-legacy}

STREAM=$BUILD/tests/tools/stream
fabric
node n1
node n2
outside
routes
namespace x team=x
namespace y team=y
pod x/web n1 bridged app=web
pod x/web2 n1 routed app=web
pod x/near n1 bridged role=good
pod x/bad n1 bridged role=bad
pod y/far n2 routed role=good
pod y/evil n2 routed role=bad
pod y/other n2 bridged role=other
state_write

# What does not change: role=good reaches UDP 7001 to 7003 of app=web; role=bad reaches nothing. What changes is all else.
kept='{podSelector: {matchLabels: {role: good}}, namespaceSelector: {}}'
kept_ports='{protocol: UDP, port: 7001, endPort: 7003}'
policy() { # name from ports
    cat <<YAML
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: $1}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [$2], ports: [$3]}]
YAML
}
blocks() { # n: that many single addresses
    local i
    for ((i = 0; i < $1; i++)); do
        printf ', {ipBlock: {cidr: 100.%d.%d.%d/32}}' $((64 + i / 65536)) $((i / 256 % 256)) $((i % 256))
    done
}
# The n-th state of the policies: each kind of change comes in turn.
change() { # n
    local n=$1
    case $((n % 8)) in
    0) policy web "$kept" "$kept_ports" ;;
    1) policy web "$kept, {podSelector: {matchLabels: {n: \"$n\"}}}" "$kept_ports" ;;
    2) policy web "$kept" "$kept_ports, {protocol: TCP, port: $((1000 + n))}" ;;
    3) policy web "$kept" "$kept_ports"; policy "more$n" "{ipBlock: {cidr: 198.51.100.$n/32}}" '{protocol: TCP}' ;;
    # The set of blocks has another size each time, and outgrows what it was made for.
    4) policy web "$kept$(blocks $((n * 40)))" "$kept_ports" ;;
    5) policy renamed "$kept, {ipBlock: {cidr: 10.0.0.0/8, except: [10.240.0.0/12]}}" "$kept_ports" ;;
    6) policy web "$kept" "{protocol: UDP, port: 7001}, {protocol: UDP, port: 7002, endPort: $((7003 + n))}" ;;
    7) policy web "$kept" "$kept_ports"
       printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: out}\n'
       printf 'spec: {podSelector: {matchLabels: {role: good}}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP}]}]}\n' ;;
    esac | state_put policy.yaml
    # And labels: a pod elsewhere comes and goes in a selector, and one here.
    # In every twentieth change as one more member of a set that has no room for it.
    POD_LABELS[y/other]="role=other,n=$n"
    ((n % 20)) || POD_LABELS[y/other]="role=good,n=$n"
    POD_LABELS[x/near]="role=good,n=$((n / 2))"
    state_write
}
# Each set of addresses in a copy that is full, as if it had been made so.
tighten() {
    on_node n1 bash -c '
        for set in $(ipset list -n | grep "^NP[46]-"); do
            text=$(ipset save "$set")
            [[ $text == "create $set hash:ip "* && $text == *"add $set "* ]] || continue
            members=$(grep -c "^add " <<<"$text")
            sed "s/$set/tight/; s/maxelem [0-9]*/maxelem $members/" <<<"$text" | ipset restore &&
                ipset swap tight "$set" && ipset destroy tight || exit 1
        done'
}
swaps() { grep -c 'after set-swap' "$WORK/steps"; }
# Pods elsewhere, as many as no set has room for at first, all of them allowed.
grow() {
    awk -v n="$GROWN" 'BEGIN {
        print "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":["
        for (i = 0; i < n; i++)
            printf "%s{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"namespace\":\"y\",\"name\":\"g%d\",\"labels\":{\"role\":\"good\"}},\"spec\":{\"nodeName\":\"n2\"},\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"100.%d.%d.%d\"}]}}\n",
                i ? "," : "", i, 64 + int(i / 65536), int(i / 256) % 256, i % 256
        print "]}"
    }' | state_put grown.json
}
has_grown() {
    on_node n1 ipset list -t | awk '/^Header:/ { for (i = 1; i < NF; i++) if ($i == "maxelem") room = $(i + 1) }
        /^Number of entries:/ && $4 > 65536 && room > 65536 { found = 1 } END { exit !found }'
}
pids=()
start() { # pod arguments…
    local key=$1
    shift
    ip netns exec "${POD_NETNS[$key]}" "$STREAM" "$@" &
    pids+=($!)
}
# One run of the streams while "$@" runs.
streams() { # name command…
    local name=$1 key kind port i=0
    shift
    pids=()
    for key in x/web x/web2; do
        for port in 7001 7002 7003; do
            start "$key" count "${POD_IP4[$key]}" "$port" "$WORK/$name.${key/\//-}.$port.v4"
            start "$key" count "${POD_IP6[$key]}" "$port" "$WORK/$name.${key/\//-}.$port.v6"
        done
    done
    sleep 0.3
    local counters=("${pids[@]}")
    pids=()
    for key in x/near x/bad y/far y/evil; do
        for kind in new:7001 one-way:7002 established:7003; do
            port=${kind#*:}
            # near and bad to the bridged one (IPv6 to the routed one), far and evil the other way round.
            local to4=x/web to6=x/web2
            [[ $key == y/* ]] && to4=x/web2 to6=x/web
            start "$key" send "${kind%:*}" "${POD_IP4[$key]}" "${POD_IP4[$to4]}" "$port" $((RATE / 24)) "$WORK/$name.sent.$i"
            start "$key" send "${kind%:*}" "${POD_IP6[$key]}" "${POD_IP6[$to6]}" "$port" $((RATE / 24)) "$WORK/$name.sent.$((i + 1))"
            i=$((i + 2))
        done
    done
    sleep 0.5
    local began=$EPOCHREALTIME
    "$@"
    local ended=$EPOCHREALTIME
    SECONDS_TAKEN=$(awk -v a="$began" -v b="$ended" 'BEGIN {printf "%.1f", b - a}')
    kill "${pids[@]}"
    wait "${pids[@]}"
    sleep 0.5
    kill "${counters[@]}"
    wait "${counters[@]}"
    cat "$WORK/$name".sent.* >"$WORK/$name.sent"
    cat "$WORK/$name".x-*.v? >"$WORK/$name.counted"
}
sum() { # file field [from-pattern]
    awk -v field="$2" -v from="${3:-}" '{
        delete v
        for (i = 1; i <= NF; i++) {split($i, p, "="); v[p[1]] = p[2]}
        if (v["from"] ~ from) s += v[field]
    } END {printf "%d\n", s}' "$1"
}
good="^(${POD_IP4[x/near]}|${POD_IP6[x/near]}|${POD_IP4[y/far]}|${POD_IP6[y/far]})\$"
bad="^(${POD_IP4[x/bad]}|${POD_IP6[x/bad]}|${POD_IP4[y/evil]}|${POD_IP6[y/evil]})\$"
judge() { # name
    local name=$1 lost unread
    lost=$(sum "$WORK/$name.counted" lost "$good")
    unread=$(sum "$WORK/$name.counted" unread "$good")
    echo "    $name: $(sum "$WORK/$name.sent" sent) sent in $SECONDS_TAKEN s, $(sum "$WORK/$name.counted" received "$good") of the allowed counted, $lost lost, of them $unread by the receiver"
    check_equal "$name: every allowed flow was counted" 12 "$(awk '{print $1}' "$WORK/$name.counted" | grep -cE "${good//^/from=}")"
    check "$name: no allowed packet was lost: $lost, unread $unread" test "$lost" -le "$unread"
    check_equal "$name: the last of each sender came" "" "$(awk -v good="$good" '{
        delete v
        for (i = 1; i <= NF; i++) {split($i, p, "="); v[p[1]] = p[2]}
        key = v["from"] " " v["port"]
        if (v["from"] !~ good) next
        if ("sent" in v) sent[key] = v["sent"] - 1
        else if (v["last"] != sent[key]) printf "%s: %d of %d; ", key, v["last"], sent[key]
    }' "$WORK/$name.sent" "$WORK/$name.counted")"
    [[ $name == open ]] || check_equal "$name: no denied packet passed" 0 "$(sum "$WORK/$name.counted" received "$bad")"
}

# With nobody who enforces, the denied ones arrive too: else that none passes later would say nothing.
streams open sleep 0.5
judge open
check_equal "open: all of those that will be denied were counted" 12 \
    "$(awk '{print $1}' "$WORK/open.counted" | grep -cE "${bad//^/from=}")"

change 0
NETPOLD_TEST_STEP_LOG=$WORK/steps netpold_start n1 --sync-period 1h --log-level info
netpold_start n2 --sync-period 1h
wait_ready
check "in step before" wait_in_sync n1
streams quiet sleep 3
judge quiet

DONE=0 TIGHT=0 GREW=no
change_all() {
    local n
    for ((n = 1; n <= CHANGES; n++)); do
        # A change of netpold's own meanwhile would be lost with the copy.
        ((n % 20)) || { wait_in_sync n1 && tighten && TIGHT=$((TIGHT + 1)); }
        change "$n"
        # The next one comes when this is in force, or a second later at the latest.
        eventually 5 in_force "$n" || return 0
        ((n % 20)) || wait_in_sync n1
        DONE=$n
    done
    grow
    eventually 20 has_grown && GREW=yes
}
in_force() { # n: the pod elsewhere has its new label where that can be told, else the state has been read
    local reads
    reads=$(http_get n1 /metrics | awk '/^netpold_state_reads_total/ {s += $2} END {print s}')
    [[ $reads != "${READS:-}" ]] || return 1
    READS=$reads
}
streams changing change_all
check_equal "all changes were made" "$CHANGES" "$DONE"
check "sets without room were exchanged: $TIGHT times made so, $(swaps) exchanges" test "$TIGHT" -ge $((CHANGES / 20)) -a "$(swaps)" -ge $((2 * TIGHT))
check_equal "a set outgrew the room that all have at first" yes "$GREW"
judge changing
check "in step behind them" wait_in_sync n1
commits=$(http_get n1 /metrics | awk '/^netpold_table_commits_total/ {print $2}')
check "tables were committed all the while: ${commits:-none}" test "${commits:-0}" -ge "$CHANGES"

finish
