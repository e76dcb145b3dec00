#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A host that can program one family only (here: nft, without the programs of ip6tables): IPv4 is enforced and follows
# changes at once, established connections included; what is missing is said, and the daemon is not ready.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/lib.sh"
sandbox "$@"
[[ $(realpath /sbin) == $(realpath /usr/sbin) ]] || skip_all "/sbin and /usr/sbin are two directories here"

# /usr/sbin is another one from here on, with links to the first one's programs but these.
real=$(realpath /usr/sbin)
mkdir "$WORK/sbin" "$WORK/real"
for name in "$real"/*; do ln -s "$WORK/real/${name##*/}" "$WORK/sbin/${name##*/}"; done
rm "$WORK/sbin/ip6tables-nft-restore" "$WORK/sbin/ip6tables-nft-save"
mount --bind "$real" "$WORK/real"
mount --bind "$WORK/sbin" "$real"

# shellcheck source=lib/talk.sh
source "$KERNEL_DIR/lib/talk.sh"
fabric
node n1
namespace x team=x
pod x/web n1 bridged app=web
pod x/cli n1 routed app=cli
pod x/job n1 routed app=job
state_write
allow() { # app
    policies - <<E2
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: $1}}}]}]}
E2
}
allow cli
netpold_start n1 --sync-period 1s
check "IPv4 is enforced" eventually 10 blocked x/job x/web tcp/80
check "what is allowed passes" reaches x/cli x/web tcp/80
answer=$(http_get n1 '/readyz?verbose')
check_contains "not ready" "503" "$answer"
check_contains "what is missing, and what to do" "table filter (IPv6): ip6tables-nft-restore is neither in /usr/sbin nor in /sbin: install iptables" "$answer"
check_contains "the heartbeat goes on" "200 OK" "$(http_get n1 /livez)"

REPORTS=("$WORK/serve.web")
talk_serve x-web "${POD_IP4[x/web]}" web
talk_open family x-cli "${POD_IP4[x/cli]}" "${POD_IP4[x/web]}" tcp-push udp-talk
# Long enough that the next try is seconds away.
sleep 7
cut_by "a change" allow job
check "follows at once" blocked x/cli x/web tcp/80
check "both ways" reaches x/job x/web tcp/80
goes_on "a change" allow cli

netpold_stop n1
said=$(netpold n1 --once 2>&1)
check_equal "a single pass: exit code" 1 $?
check_contains "says the same" "ip6tables-nft-restore is neither" "$said"
check "and IPv4 stays enforced" blocked x/job x/web tcp/80
finish
