# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # test_cases.sh sets what is used here, and uses what is set
# networkpolicy-v1.md section 7: the life of pods, labels and policies, and a living daemon (cases 55 to 69).

# ---- the life of pods and labels
live() { # what: the state as it is now is in force
    state_write
    netpold_once || fail "$1: netpold --once"
}
FROM_B="[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"
{ ingress x p "$A" "$FROM_B"; ingress x q "{matchLabels: {job: 'yes'}}" "[]"; } | given "case 55"
heir() { # phase of x/job, which had the address that x/b has now
    state_put job.yaml <<E
apiVersion: v1
kind: Pod
metadata: {namespace: x, name: job, uid: "1", labels: {pod: b, job: "yes"}}
spec: {nodeName: n1}
status: {phase: $1, podIP: ${POD_IP4[x/b]}, podIPs: [{ip: ${POD_IP4[x/b]}}, {ip: "${POD_IP6[x/b]}"}]}
E
}
POD_LABELS["x/b"]=''
heir Succeeded
live "case 55"
check_grid "case 55: a finished job owns no address any more" <<E
$T
      x/a x/ar x/b
x/b   .   .    -
y/a   .   .    *
E
# x/job lives again, older than x/b; both claim the address; then it goes.
sed -i 's/uid: "1"/uid: "1", creationTimestamp: "2024-01-01T00:00:00Z"/' "$STATE/job.yaml"
POD_LABELS["x/b"]=pod=b
heir Running
{ ingress x p "$A" "$FROM_B"; ingress x q "{matchLabels: {pod: b}}" "[]"; } | given "case 56"
live "case 56"
rm "$STATE/job.yaml"
netpold_once || fail "case 56: netpold --once"
check_grid "case 56: the heir of an address keeps it when its predecessor is deleted" <<E
$T
      x/a x/ar x/b
x/b   *   *    -
y/a   .   .    .
E
sed 's/^  uid: uid-x-b$/&\n  deletionTimestamp: "2025-01-01T00:00:00Z"/' "$STATE/cluster.yaml" >"$WORK/terminating"
check "case 57: x/b terminates" grep -q deletionTimestamp "$WORK/terminating"
state_put cluster.yaml <"$WORK/terminating"
netpold_once || fail "case 57: netpold --once"
check_grid "case 57: a terminating pod is isolated and a peer" <<E
$T
      x/a x/ar x/b
x/b   *   *    -
y/a   .   .    .
E
POD_PHASE["x/b"]=Succeeded
live "case 57"
check_grid "case 57: a finished one is neither" kernel <<E
$T
      x/a x/ar
x/b   .   .
E
check "case 57: nothing isolates its address" reaches y/a x/b tcp/80
POD_PHASE["x/b"]=Pending
live "case 58"
check_grid "case 58: a pending pod with an address is isolated and a peer" <<E
$T
      x/a x/ar x/b
x/b   *   *    -
y/a   .   .    .
E
POD_PHASE["x/b"]=Running
live "case 59"
check_grid "case 59: both families of a dual-stack pod" <<E
$T
family 4
      x/a x/ar x/b
x/b   *   *    -
x/c   .   .    .
family 6
      x/a x/ar x/b
x/b   *   *    -
x/c   .   .    .
E
sed '/podIPs:/d; /^  - ip:/d' "$STATE/cluster.yaml" >"$WORK/single"
state_put cluster.yaml <"$WORK/single"
netpold_once || fail "case 60: netpold --once"
check_grid "case 60: podIP counts where podIPs is missing" <<E
$T
family 4
      x/a x/ar x/b
x/b   *   *    -
x/c   .   .    .
E
ingress x p "$A" "[{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn,
    values: [x]}]}}]}]" | given "case 61"
unset 'NAMESPACE_LABELS[y]'
live "case 61"
check_grid "case 61: a namespace that was not seen matches no NotIn" <<E
$T
      x/a x/ar
y/a   .   .
z/b   *   *
E
namespace y ns=y
live "case 61"
check_grid "case 61: once seen it does" <<E
$T
      x/a x/ar
y/a   *   *
z/b   *   *
x/b   .   .
E
ingress x p "$A" "[{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]" | given "case 62"
namespace y other=y
live "case 62"
check_grid "case 62: the namespace loses its label" <<E
$T
      x/a x/ar
y/a   .   .
E
namespace y ns=y
live "case 62"
check_grid "case 62: and gets it back" <<E
$T
      x/a x/ar
y/a   *   *
z/b   .   .
E
ingress x p "$A" "[]" | given "case 63"
POD_LABELS["x/a"]=pod=open
POD_LABELS["x/b"]=pod=a
live "case 63"
check_grid "case 63: relabelled out of a policy and into it" <<E
$T
      x/a x/ar x/b
y/a   *   .    .
E
POD_LABELS["x/a"]=pod=a
POD_LABELS["x/b"]=pod=b
live "case 63"

# ---- a living daemon
for name in n1 n2; do netpold_start "$name" --sync-period 1h; done
check "the daemons are ready" wait_ready
# The same three files in every order of their coming.
mkdir "$WORK/parts"
printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: w, labels: {team: w}}\n' >"$WORK/parts/n"
{ np w p "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: w}}}]}]}"
  ingress x p "$A" "[{from: [{namespaceSelector: {matchLabels: {team: w}}}]}]"; } >"$WORK/parts/p"
cat >"$WORK/parts/q" <<E
apiVersion: v1
kind: Pod
metadata: {namespace: w, name: far, labels: {app: far}}
spec: {nodeName: n1}
status: {phase: Running, podIP: ${POD_IP4[z/far]}, podIPs: [{ip: ${POD_IP4[z/far]}}, {ip: "${POD_IP6[z/far]}"}]}
E
policies
wanted=''
for order in "n p q" "n q p" "p n q" "p q n" "q n p" "q p n"; do
    for part in $order; do
        state_put "part-$part.yaml" <"$WORK/parts/$part"
        sleep 0.03
    done
    wait_in_sync n1
    got=$(kernel_text n1)
    check_equal "case 64: namespace, policy and pod in the order $order: the same rules" "${wanted:-$got}" "$got"
    wanted=$got
    check "case 64: the pod is a peer, $order" reaches stranger x/a tcp/80
    check "case 64: and isolated, $order" blocked y/a stranger tcp/80
    rm "$STATE"/part-*.yaml
    wait_in_sync n1
done
np x p "{podSelector: {}, ingress: [{}]}" | policies -
check "case 65: open" eventually 5 reaches y/a x/a tcp/80 4
for family in 4 6; do
    to=${POD_IP4[x/ar]}
    [[ $family == 4 ]] || to=${POD_IP6[x/ar]}
    in_pod y/a "$NETPROBE" flow --proto tcp --to "$to" --port 80 --report "$WORK/flow.$family" \
        --background "$WORK/flow.$family.pid"
done
np x p "{podSelector: {}}" | policies -
check "case 65: updated, new connections are closed, bridged" eventually 5 blocked y/a x/a tcp/80 4
check "case 65: updated, new connections are closed, routed" blocked y/a x/ar tcp/80 6
# Nothing that a dropped first packet leaves behind could pass the next one.
tracked=$(on_node n1 cat /proc/net/nf_conntrack 2>/dev/null)
if [[ $tracked == *"dst=${POD_IP4[x/ar]}"* ]]; then
    sniff_start x-ar again
    for i in 1 2 3; do
        ip netns exec y-a "$NETPROBE" send --proto udp --from "${POD_IP4[y/a]}" --to "${POD_IP4[x/ar]}" --port 82 \
            --sport 4000 --tag again >/dev/null
    done
    check_equal "case 65: a dropped first packet is not tracked" "" \
        "$(on_node n1 grep "dst=${POD_IP4[x/ar]} .*dport=82" /proc/net/nf_conntrack)"
    check_equal "case 65: and those after it are dropped too" 0 "$(sniffed x-ar again)"
    sniff_stop x-ar
else
    skip "case 65: /proc/net/nf_conntrack does not tell what is tracked"
fi
flow_number() { # family key
    sed "s/.*$2=\([0-9]*\).*/\1/" "$WORK/flow.$1"
}
flow_is_silent() { # family
    (($(flow_number "$1" gap_ms) >= 1000))
}
for family in 4 6; do
    check "case 65: an established flow is cut, IPv$family" eventually 3 flow_is_silent $family
done
np x p "{podSelector: {}, ingress: [{}]}" | policies -
check "case 65: and open again" eventually 5 reaches y/a x/ar tcp/80 6
flow_goes_on() { # family answered-before
    (($(flow_number "$1" answered) > $2 + 10))
}
for family in 4 6; do
    check "case 65: and goes on, IPv$family" eventually 10 flow_goes_on $family "$(flow_number $family answered)"
    kill "$(cat "$WORK/flow.$family.pid")"
    eventually 2 grep -q broken "$WORK/flow.$family"
    check "case 65: the same connection, IPv$family" grep -q 'broken=0' "$WORK/flow.$family"
done

{ ingress x p "{}" "$FROM_B"; ingress y gone "{}" "[]"; } | policies -
check "case 66: in force" eventually 5 blocked x/a y/b tcp/80 4
wait_in_sync
before=$(kernel_text n1)
# To a port that nobody serves: an answer's answer would bring the tag back.
sniff_start x-a denied
sniff_start x-ar allowed
ip netns exec x-c "$NETPROBE" send --proto udp --from "${POD_IP4[x/c]}" --to "${POD_IP4[x/a]}" --port 82 --sport 1024 \
    --sport-step 1 --count 0 --interval-us 500 --tag denied --report "$WORK/denied.sent" --background "$WORK/denied.pid"
ip netns exec x-b "$NETPROBE" send --proto udp --from "${POD_IP4[x/b]}" --to "${POD_IP4[x/ar]}" --port 82 --sport 1024 \
    --sport-step 1 --count 0 --interval-us 500 --tag allowed --report "$WORK/allowed.sent" \
    --background "$WORK/allowed.pid"
for ((i = 0; i < 3; i++)); do
    { netpold_stop n1 KILL; } 2>/dev/null
    netpold_start n1 --sync-period 1h
    eventually 5 is_ready n1
done
end_senders "$(cat "$WORK/denied.pid")" "$(cat "$WORK/allowed.pid")"
sniff_end x-a
sniff_end x-ar
check_equal "case 66: restarts leave the rules as they are" "$before" "$(kernel_text n1)"
check_equal "case 66: no denied packet arrived meanwhile" 0 "$(sniffed x-a denied)"
check_equal "case 66: every allowed packet did" "$(sed 's/sent=\([0-9]*\).*/\1/' "$WORK/allowed.sent")" \
    "$(sniffed x-ar allowed)"
{ netpold_stop n1 KILL; } 2>/dev/null
mv "$STATE" "$WORK/away"
mkdir "$STATE"
netpold_start n1 --sync-period 1h
eventually 5 http_get n1 /livez >/dev/null
sleep 0.2
check_equal "case 66: nothing is removed before everything was read" "$before" "$(kernel_text n1)"
ingress x p "{}" "$FROM_B" >"$WORK/away/policy.yaml"
for name in policy cluster; do state_put $name.yaml <"$WORK/away/$name.yaml"; done
check "case 66: afterwards what a deleted policy left goes" wait_in_sync n1
check "case 66: its pods are open" eventually 5 reaches x/a y/b tcp/80
rm "$STATE/policy.yaml"
check "case 67: a policy that vanished is deleted" eventually 5 reaches y/a x/a tcp/80
{ ingress x p "$A" "$FROM_B"
  egress x q "{matchLabels: {late: 'yes'}}" "[]"
  ingress x r "{matchLabels: {late: 'yes'}}" "[]"; } |
    policies -
check "case 68: in force" eventually 5 blocked y/a x/a tcp/80
check "case 68: x/b is a peer" reaches x/b x/ar tcp/80
# Under the name x/b there is another pod: another uid, the address of the machine that was nobody's, no label.
POD_HIDDEN["x/b"]=1
state_write
state_put anew.yaml <<E
apiVersion: v1
kind: Pod
metadata: {namespace: x, name: b, uid: anew, labels: {pod: other}}
spec: {nodeName: n1}
status: {phase: Running, podIP: ${POD_IP4[z/far]}, podIPs: [{ip: ${POD_IP4[z/far]}}, {ip: "${POD_IP6[z/far]}"}]}
E
check "case 68: the old address is in no set, IPv4" eventually 5 blocked x/b x/a tcp/80 4
check "case 68: the old address is in no set, IPv6" blocked x/b x/ar tcp/80 6
check "case 68: the new one is judged by its labels" blocked stranger x/a tcp/80 4
sed -i 's/pod: other/pod: b/' "$STATE/anew.yaml" && state_put anew.yaml <"$STATE/anew.yaml"
check "case 68: and relabelled it is a peer, IPv4" eventually 5 reaches stranger x/a tcp/80 4
check "case 68: and relabelled it is a peer, IPv6" reaches stranger x/ar tcp/80 6
# What holds without a hook at the start of pods: rules follow the pod's object at once.
check "case 69: the address is nobody's yet" reaches x/b out tcp/80
start=$(date +%s%N)
sed -i 's/pod: b/late: "yes"/' "$STATE/anew.yaml" && state_put anew.yaml <"$STATE/anew.yaml"
until blocked stranger out tcp/80 4; do (($(date +%s%N) - start < 5000000000)) || break; done
check "case 69: isolated within $((($(date +%s%N) - start) / 1000000)) ms of its object, outbound" \
    blocked stranger out tcp/80 4
check "case 69: outbound, IPv6" blocked stranger out tcp/80 6
check "case 69: inbound" blocked y/a stranger tcp/80 4
check "case 69: the node reaches it" reaches n1 stranger tcp/80 4
rm "$STATE/anew.yaml"
unset 'POD_HIDDEN[x/b]'
for name in n1 n2; do netpold_stop "$name"; done
live "case 70"
