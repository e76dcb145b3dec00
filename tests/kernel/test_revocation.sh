#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Established connections that a change denies are cut within a second, in both directions and for good: every kind of
# connection, in every way in which one can turn denied. Allowed again, the same connections work again. Connections that
# stay allowed lose not one packet meanwhile.
#
# Kinds: TCP, UDP and SCTP; the client speaks, or the server does (so that its packets could begin the flow anew), or both
# answer each other, or nobody speaks until long after the cut. IPv4 on bridged pods, IPv6 on routed ones.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here, and sets what is used
source "$(dirname "$0")/lib.sh"
sandbox "$@"

source "$(dirname "$0")/lib/talk.sh"
STREAM=$BUILD/tests/tools/stream

fabric
node n1
outside
routes
namespace x team=x
namespace y team=y
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/cli n1 bridged app=cli
pod x/clir n1 routed app=cli
pod y/cli n1 bridged app=cli
pod y/clir n1 routed app=cli
pod x/keep n1 bridged app=keep
state_write

# app=keep reaches everything, whatever else is said.
KEEP='{podSelector: {matchLabels: {app: keep}}}'
np() { # name spec
    printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n'
    printf 'metadata: {namespace: x, name: %s}\nspec: %s\n' "$1" "$2"
}
ingress() { # name subject-label peers
    np "$1" "{podSelector: {matchLabels: {app: $2}}, policyTypes: [Ingress], ingress: [{from: [$KEEP$3]}]}"
}

# The servers run anew for each way, so that none remembers connections of another.
begin() { # way client-namespace
    talk_end
    REPORTS=()
    talk_serve x-web "${POD_IP4[x/web]}" "$1.web"
    talk_serve x-webr "${POD_IP6[x/webr]}" "$1.webr"
    REPORTS=("$WORK/serve.$1.web" "$WORK/serve.$1.webr")
    talk_open "$1" "$2-cli" "${POD_IP4[$2/cli]}" "${POD_IP4[x/web]}" "${KINDS[@]}"
    talk_open "$1" "$2-clir" "${POD_IP6[$2/clir]}" "${POD_IP6[x/webr]}" "${KINDS[@]}"
}

# ---- what stays allowed --------------------------------------------------------------------------------------------

kept=()
keep_start() {
    ip netns exec x-web "$STREAM" count "${POD_IP4[x/web]}" 7100 "$WORK/kept.4" &
    kept+=($!)
    ip netns exec x-webr "$STREAM" count "${POD_IP6[x/webr]}" 7100 "$WORK/kept.6" &
    kept+=($!)
    sleep 0.3
    ip netns exec x-keep "$STREAM" send established "${POD_IP4[x/keep]}" "${POD_IP4[x/web]}" 7100 2000 "$WORK/sent.4" &
    kept+=($!)
    ip netns exec x-keep "$STREAM" send established "${POD_IP6[x/keep]}" "${POD_IP6[x/webr]}" 7100 2000 "$WORK/sent.6" &
    kept+=($!)
}
keep_end() {
    kill "${kept[2]}" "${kept[3]}"
    wait "${kept[2]}" "${kept[3]}"
    sleep 0.3
    kill "${kept[0]}" "${kept[1]}"
    wait "${kept[@]}" 2>/dev/null
    local family
    for family in 4 6; do
        check "what stays allowed lost nothing, IPv$family ($(cat "$WORK/kept.$family"))" \
            awk -F'[= ]' '{ for (i = 1; i < NF; i += 2) v[$i] = $(i + 1) }
                END { exit !(v["received"] > 1000 && v["lost"] - v["unread"] <= 0) }' "$WORK/kept.$family"
    done
}

# ---- the ways ------------------------------------------------------------------------------------------------------

ONLY_KEEP="$(ingress web web '')"
policies -  </dev/null
netpold_start n1 --sync-period 3s
wait_ready
keep_start

begin added x
cut_by "policy added" policies - <<<"$ONLY_KEEP"
check "the rule that cuts is there" eventually 1 eval '[[ $(revoke_rules) -gt 0 ]]'
check "entries are marked, not deleted" test "$(marked)" -ge ${#KINDS[@]}
goes_on "policy added" policies - <<<""
check "no entry is marked any more" eventually 8 eval '[[ $(marked) -eq 0 ]]'
check "and the rule is gone" eventually 10 eval '[[ $(revoke_rules) -eq 0 ]]'

policies - <<<"$(ingress web web ', {podSelector: {}}')"
wait_in_sync
begin narrowed x
cut_by "policy narrowed to other ports" policies - <<<"$(np web "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress],
  ingress: [{from: [$KEEP]}, {from: [{podSelector: {}}], ports: [{port: 80}]}]}")"

policies - <<<"$(ingress locked locked '')"
wait_in_sync
begin relabelled x
relabel() { # labels pods…
    local pod
    for pod in "${@:2}"; do POD_LABELS[$pod]=$1; done
    state_write
}
cut_by "server relabelled" relabel app=locked x/web x/webr
relabel app=web x/web x/webr

policies - <<<"$(ingress web web ', {namespaceSelector: {matchLabels: {team: y}}}')"
wait_in_sync
begin namespace y
relabel_namespace() {
    namespace y "$1"
    state_write
}
cut_by "namespace relabelled" relabel_namespace team=z
goes_on "namespace relabelled" relabel_namespace team=y

policies - <<<"$(ingress web web ', {podSelector: {matchLabels: {app: cli}}}')"
wait_in_sync
begin peer x
cut_by "peer's label lost" relabel app=other x/cli x/clir
goes_on "peer's label lost" relabel app=cli x/cli x/clir

policies - <<<""
wait_in_sync
begin egress x
cut_by "client's egress closed" policies - <<<"$(np cli "{podSelector: {matchLabels: {app: cli}}, policyTypes: [Egress]}")"

policies - <<<"$(ingress new new '')"
wait_in_sync
begin reused x
reuse() {
    POD_HIDDEN["x/web"]=1 POD_HIDDEN["x/webr"]=1
    state_write
    sleep 0.3
    PODS+=(x/new x/newr)
    POD_IP4["x/new"]=${POD_IP4[x/web]} POD_IP6["x/new"]=${POD_IP6[x/web]} POD_NODE["x/new"]=n1
    POD_IP4["x/newr"]=${POD_IP4[x/webr]} POD_IP6["x/newr"]=${POD_IP6[x/webr]} POD_NODE["x/newr"]=n1
    POD_LABELS["x/new"]=app=new POD_PORTS["x/new"]='' POD_PHASE["x/new"]=Running
    POD_LABELS["x/newr"]=app=new POD_PORTS["x/newr"]='' POD_PHASE["x/newr"]=Running
    state_write
}
cut_by "pod gone, its address another's" reuse
unset 'PODS[-1]' 'PODS[-1]' 'POD_HIDDEN[x/web]' 'POD_HIDDEN[x/webr]'
policies - <<<""
state_write
wait_in_sync

begin down x
change_while_down() {
    policies - <<<"$ONLY_KEEP"
    netpold_start n1 --sync-period 3s
}
check "down: everything talks" eventually 5 all_talk
netpold_stop n1
cut_by "changed while netpold was down" change_while_down
restart() {
    netpold_stop n1 KILL 2>/dev/null
    netpold_start n1 --sync-period 3s
}
stays_cut_by() { # what change…
    local way=$1 t0
    shift
    t0=$(($(now_ns) - 1000000000))
    "$@"
    sleep "$LISTEN_S"
    check_equal "$way" "" "$(heard_after "$t0")"
}
check_contains "the metric counts" "netpold_revoked_flows_total" \
    "$(http_get n1 /metrics | grep -E 'revoked_flows_total [1-9]')"
stays_cut_by "what is cut stays so over a restart" restart
check_contains "and is counted again" 'netpold_cut_flows{family="6"}' \
    "$(http_get n1 /metrics | grep -E 'cut_flows.family="6". [1-9]')"
goes_on "changed while netpold was down" policies - <<<""

keep_end
log=$(cat "$WORK/netpold.n1.log")
check_contains "the log says what was cut" " cut=" "$log"
check_equal "and nothing failed" "" "$(grep -E 'revoke-failed|panic|Sanitizer' <<<"$log")"
talk_end
netpold_stop n1
finish
