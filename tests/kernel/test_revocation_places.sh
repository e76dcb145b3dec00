#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Established connections are cut (test_revocation.sh) wherever their ends are: a pod and its own node, whose server
# pushes; a client on another node; behind a service, judged by the port that it was translated to. And not with
# --no-revoke. On both backends.
# long: connections of each kind, cut and let go again, in six places, on both backends
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here, and sets what is used
source "$(dirname "$0")/lib.sh"
variants BACKEND legacy nft
sandbox "$@"
source "$(dirname "$0")/lib/talk.sh"

fabric
node n1
node n2
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/out n1 bridged app=out
pod x/outr n1 routed app=out
pod x/far n2 bridged app=far
pod x/farr n2 routed app=far
service 10.96.0.10 fd00:10:96::10 tcp 7001 x/web 7003
state_write

np() { # name spec
    printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n'
    printf 'metadata: {namespace: x, name: %s}\nspec: %s\n' "$1" "$2"
}
start() { # options…
    netpold_start n1 --sync-period 3s --backend "$BACKEND" "$@"
}
policies - <<<""
start
wait_ready n1

# What a node says to its own pod is no connection of the pod's, whatever it answers: kubelet reaches every pod. But what
# the pod began with the node is, and the node may go on speaking where nothing has to be acknowledged.
serve_node() {
    talk_end
    talk_serve n1 "${NODE_IP4[n1]}" "$1.4"
    talk_serve n1 "${NODE_IP6[n1]}" "$1.6"
    REPORTS=("$WORK/serve.$1.4" "$WORK/serve.$1.6")
    talk_open "$1" x-out "${POD_IP4[x/out]}" "${NODE_IP4[n1]}" "${KINDS[@]}"
    talk_open "$1" x-outr "${POD_IP6[x/outr]}" "${NODE_IP6[n1]}" "${KINDS[@]}"
}
OUT="$(np out "{podSelector: {matchLabels: {app: out}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}")"
serve_node node
cut_by "pod to its own node" policies - <<<"$OUT"
goes_on "pod to its own node" policies - <<<""

serve_web() {
    talk_end
    talk_serve x-web "${POD_IP4[x/web]}" "$1.4"
    talk_serve x-webr "${POD_IP6[x/webr]}" "$1.6"
    REPORTS=("$WORK/serve.$1.4" "$WORK/serve.$1.6")
}
far() {
    POD_LABELS["x/far"]=$1 POD_LABELS["x/farr"]=$1
    state_write
}
policies - <<<"$(np web "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress],
  ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}")"
wait_ready n1
serve_web far
talk_open far x-far "${POD_IP4[x/far]}" "${POD_IP4[x/web]}" "${KINDS[@]}"
talk_open far x-farr "${POD_IP6[x/farr]}" "${POD_IP6[x/webr]}" "${KINDS[@]}"
cut_by "a client on another node loses its label" far app=other
goes_on "a client on another node" far app=far

# The client asks for port 7001 of the service; the server hears it on 7003.
policies - <<<""
sleep 0.3
serve_service() {
    talk_end
    talk_serve x-web "${POD_IP4[x/web]}" service.4
    talk_serve x-web "${POD_IP6[x/web]}" service.6
    REPORTS=("$WORK/serve.service.4" "$WORK/serve.service.6")
    talk_open service x-out "${POD_IP4[x/out]}" 10.96.0.10 tcp-talk
    talk_open service x-outr "${POD_IP6[x/outr]}" fd00:10:96::10 tcp-talk
}
ports() { # ports
    policies - <<<"$(np web "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [$1]}]}")"
}
if kernel_has nat n1; then
    serve_service
    cut_by "a service: its own port does not count" ports '{port: 7001}'
    goes_on "a service: the port behind it does" ports '{port: 7003}'
else
    skip "this kernel has no nat: services"
fi

# Another program's rule writes the whole mark of each packet's connection: what has lost the bit is deleted instead, and
# what the client goes on saying is judged as new. Half of the time an answer is on its way then, a connection of the
# server's own, which the client would go on with.
if ip netns exec n1 "iptables-$BACKEND" -t mangle -A PREROUTING -p udp -j CONNMARK --set-mark 5 2>/dev/null; then
    policies - <<<""
    wait_in_sync
    TALK_LATE_MS=5 serve_web marks
    talk_open marks x-out "${POD_IP4[x/out]}" "${POD_IP4[x/web]}" udp-talk udp-answer
    REPORTS=("${REPORTS[@]:0:1}" "${REPORTS[@]:2}")
    cut_by "though a rule takes the mark away" policies - <<<"$(np web "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}")"
    check_contains "and the log says so" "event=revoke-mark-lost" "$(grep revoke-mark-lost "$WORK/netpold.n1.log")"
    ip netns exec n1 "iptables-$BACKEND" -t mangle -F PREROUTING
else
    skip "this kernel has no CONNMARK target"
fi

# Between link-local addresses, which no policy names: of two pods on a bridge, and of a pod and its node's end of it. What
# the node talks with its own neighbours is nobody's business.
link_local() { # netns device
    ip -n "$1" -6 addr show dev "$2" scope link | awk '/inet6/ { sub("/.*", "", $2); print $2; exit }'
}
ll_web="$(link_local x-web eth0)%eth0"
ll_out="$(link_local x-out eth0)%eth0"
ll_node="$(link_local n1 cni0)%cni0"
ll_out_node="${ll_node%%%*}%eth0"
LINK_KINDS=(tcp-talk tcp-push tcp-answer udp-push udp-answer)
serve_link() {
    talk_end
    talk_serve x-web "$ll_web" link.pod
    talk_serve n1 "$ll_node" link.node
    REPORTS=("$WORK/serve.link.pod" "$WORK/serve.link.node")
}
policies - <<<""
wait_in_sync
serve_link
talk_open link.pod x-out "$ll_out" "${ll_web%%%*}%eth0" "${LINK_KINDS[@]}"
talk_open link.node x-out "$ll_out" "$ll_out_node" "${LINK_KINDS[@]}"
cut_by "between link-local addresses" policies - <<<"$OUT"
goes_on "between link-local addresses" policies - <<<""

# --no-revoke.
policies - <<<""
netpold_stop n1
start --no-revoke
wait_ready n1
serve_web keeps
talk_open keeps x-out "${POD_IP4[x/out]}" "${POD_IP4[x/web]}" tcp-talk tcp-push udp-answer sctp-push
talk_open keeps x-outr "${POD_IP6[x/outr]}" "${POD_IP6[x/webr]}" tcp-talk tcp-push udp-answer sctp-push
check "--no-revoke: everything talks" eventually 5 all_talk
policies - <<<"$(np web "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}")"
check "--no-revoke: a new connection is refused" eventually 5 blocked x/out x/web tcp/80
sleep 2
check "--no-revoke: established ones live on" all_talk
netpold_stop n1
with_revocation() {
    start
}
cut_by "started again without it" with_revocation
netpold_stop n1
start --no-revoke
RESUMED=1
check "and with it again: what was cut goes on" eventually 20 all_talk ||
    heard_since "$(($(now_ns) - 500000000))" | sed 's/^/     /'
RESUMED=''
netpold_stop n1

# A single pass, no daemon.
policies - <<<""
netpold n1 --once --backend "$BACKEND" >"$WORK/once.n1.log" 2>&1
serve_web once
talk_open once x-out "${POD_IP4[x/out]}" "${POD_IP4[x/web]}" "${KINDS[@]}"
talk_open once x-outr "${POD_IP6[x/outr]}" "${POD_IP6[x/webr]}" "${KINDS[@]}"
once_with() { # < policies
    policies -
    netpold n1 --once --backend "$BACKEND" >"$WORK/once.n1.log" 2>&1
}
cut_by "a single pass" once_with <<<"$(np web "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}")"
check "a second pass finds nothing to do" eval 'netpold n1 --once --backend "$BACKEND" >"$WORK/once.n1.log" 2>&1 && grep -q "in step" "$WORK/once.n1.log"'
goes_on "a single pass" once_with <<<""
check_equal "nothing failed" "" "$(grep -E 'revoke-failed|Sanitizer' "$WORK/netpold.n1.log")"
talk_end
netpold_stop n1
finish
