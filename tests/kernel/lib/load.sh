# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the harness uses what is set here
# A node under load whose state changes between a, b and c: b differs from a in everything (policies, their rules and sets,
# pods, labels), c from a in the label of one pod elsewhere, and so in members of sets alone. All agree on this: app=ok
# reaches app=web on ports 80 to 90, and app=bad reaches nothing. Allowed flows: not one packet of a new flow may be lost, no
# established flow may break. Denied: not one packet may arrive.

load_topology() {
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
}
load_states() {
    mkdir -p "$WORK/a" "$WORK/b" "$WORK/c"
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
    # A pod elsewhere that is nobody's packets.
    POD_IP4["x/far"]=10.244.9.8 POD_IP6["x/far"]=fd00:10:244:9::8 POD_NODE["x/far"]=n9
    POD_LABELS["x/far"]=app=far POD_PORTS["x/far"]='' POD_PHASE["x/far"]=Running
    PODS+=(x/far)
    state_write
    mv "$STATE/cluster.yaml" "$WORK/a/cluster.yaml"
    POD_LABELS["x/far"]=app=ok
    state_write
    mv "$STATE/cluster.yaml" "$WORK/c/cluster.yaml"
    cp "$WORK/a/policy.yaml" "$WORK/c/policy.yaml"
    POD_LABELS["x/far"]=app=far
    POD_LABELS["x/extra"]=app=other
    POD_IP4["y/late"]=10.244.1.200 POD_IP6["y/late"]=fd00:10:244:1::200 POD_NODE["y/late"]=n1
    POD_LABELS["y/late"]='' POD_PORTS["y/late"]='' POD_PHASE["y/late"]=Running
    PODS+=(y/late)
    state_write
    mv "$STATE/cluster.yaml" "$WORK/b/cluster.yaml"
    unset 'PODS[-1]' 'PODS[-1]'
}

# Swap the state directory to a, b or c; each file is renamed into place.
become() {
    cp "$WORK/$1/policy.yaml" "$WORK/policy.new" && mv "$WORK/policy.new" "$STATE/policy.yaml" &&
        cp "$WORK/$1/cluster.yaml" "$WORK/cluster.new" && mv "$WORK/cluster.new" "$STATE/cluster.yaml"
}

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
nothing_denied_arrived() {
    ! awk '/^bad/ && $2 > 0 { print "     " $0; bad = 1 } END { exit !bad }' "$WORK/sniff.x-web" "$WORK/sniff.x-webr"
}

load_start() {
    local family proto
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

    eventually 5 arrived x-web ok.web.6.udp 20 || die "allowed traffic does not flow"
}

# What was sent and what came.
load_end() {
    local tag pid sent_ok sent_bad lost sent to got unread report line senders=()
    for tag in "${BURSTS[@]}"; do senders+=("$(cat "$WORK/burst.$tag")"); done
    for pid in "$WORK"/flow.*.pid; do senders+=("$(cat "$pid")"); done
    end_senders "${senders[@]}"
    sniff_end x-web
    sniff_end x-webr
    sent_ok=0 sent_bad=0 lost=''
    for tag in "${BURSTS[@]}"; do
        sent=$(sed 's/sent=\([0-9]*\).*/\1/' "$WORK/sent.$tag")
        case $tag in
        ok*)
            sent_ok=$((sent_ok + sent))
            to=${tag#*.}
            got=$(sniffed "x-${to%%.*}" "$tag")
            # What the receiver had no room for, no rule dropped.
            unread=$(sniffed "x-${to%%.*}" unread)
            ((got <= sent && sent - got <= ${unread:-0})) || lost+=" $tag:$sent/$got(unread:${unread:-0})"
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
}
