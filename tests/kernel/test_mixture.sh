#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A relabel that rewrites rules and members of a set at once: x/c may never reach x/web (as r1 its own egress policy denies
# it, as r2 x/web's ingress policy does), neither while a living daemon changes from one to the other and back, nor behind
# a kill before or after any kernel write.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here, and sets what is used
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/c n1 bridged role=r1
state_write
policies - <<'E'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {role: r1}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: r1}
spec: {podSelector: {matchLabels: {role: r1}}, policyTypes: [Egress]}
E

relabel() {
    POD_LABELS[x/c]=role=$1
    state_write
}

netpold_once
check_equal "denied as r1" timeout "$(outcome x/c x/web tcp/80)"
relabel r2
NETPOLD_TEST_STEP_LOG=$WORK/steps netpold n1 --once >/dev/null 2>&1
check_equal "denied as r2" timeout "$(outcome x/c x/web tcp/80)"
steps=$(wc -l <"$WORK/steps")
check "the change has steps to be killed at" test "$steps" -ge 8

for ((n = 1; n <= steps; n++)); do
    relabel r1
    netpold_once
    relabel r2
    NETPOLD_TEST_KILL_AT=$n netpold n1 --once >/dev/null 2>&1
    check_equal "denied behind a kill at step $n" "timeout timeout" \
        "$(outcome x/c x/web tcp/80) $(outcome x/c x/web tcp/80 6)"
done
netpold_once
check_equal "and in step afterwards" 0 "$(netpold n1 --once --dry-run >/dev/null 2>&1; echo $?)"

netpold_start n1 --sync-period 1h
wait_ready n1
sniff_start x-web MIX4
in_pod x/c "$NETPROBE" send --proto udp --from "${POD_IP4[x/c]}" --to "${POD_IP4[x/web]}" --port 80 --sport 1024 \
    --sport-step 1 --count 0 --interval-us 50 --tag MIX4 --report "$WORK/report" --background "$WORK/sender"
for ((i = 1; i <= 60; i++)); do
    relabel "r$((i % 2 + 1))"
    sleep 0.03
done
sleep 0.3
end_senders "$(cat "$WORK/sender")"
sniff_end x-web
sent=$(sed -n 's/.*sent=\([0-9]*\).*/\1/p' "$WORK/report")
check "packets were sent all the while: ${sent:-none}" test "${sent:-0}" -gt 5000
check_equal "none arrived over 60 relabels" 0 "$(sniffed x-web MIX4)"

finish
