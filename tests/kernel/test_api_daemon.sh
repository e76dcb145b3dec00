#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpold against an API server (of tests, but real HTTP): the same rules as from files, events become rules, and what an
# outage, a cut connection, a lost history or a server that is not there yet must not change.
#
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
# shellcheck source=lib/api.sh
source "$KERNEL_DIR/lib/api.sh"
sandbox "$@"
[[ -x $FAKE_API ]] || die "$FAKE_API is not built"

fabric
node n1
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/api n1 bridged app=api
state_write
DENY=$KERNEL_DIR/recipes/01-deny-all-to-an-application.yaml
ALLOW=$KERNEL_DIR/recipes/06-allow-all.yaml
policies "$DENY"
CONFIG=$WORK/kubeconfig

netpold_api() { # arguments…
    on_node n1 "$NETPOLD" --node-name n1 --kubeconfig "$CONFIG" "$@"
}
daemon_start() {
    NETPOLD_RUN_DIR=$WORK/run.n1 XTABLES_LOCKFILE=$WORK/xtables.n1 \
        ip netns exec n1 "$NETPOLD" --node-name n1 --kubeconfig "$CONFIG" --sync-period 1h >>"$WORK/netpold.n1.log" 2>&1 &
    DAEMON_PID[n1]=$!
}
denied() {
    blocked x/api x/web tcp/80 4 && blocked x/api x/webr tcp/80 6
}
allowed() {
    reaches x/api x/web tcp/80 4 && reaches x/api x/webr tcp/80 6
}
metric() { # name with labels: its value
    http_get n1 /metrics | tr -d '\r' | awk -v want="$1" '$1 == want { print $2 }'
}
lists() { # resource: how many of its lists were answered
    http_get n1 /metrics | tr -d '\r' |
        awk -v want="netpold_lists_total{resource=\"$1\"," 'index($1, want) == 1 && /code="200"/ { n += $2 } END { print n + 0 }'
}
log_has() { # text
    grep -q -- "$1" "$WORK/netpold.n1.log"
}
answers() { # path status
    local answer
    answer=$(http_get n1 "$1") && [[ ${answer%%$'\r'*} == *" $2 "* ]]
}
requests() { # pattern: how many
    grep -c -- "$1" "$WORK/api.log"
}

echo "-- one pass"
empty=$(kernel_text n1)
api_start n1 --bookmark-ms 300 --log
kubeconfig "$CONFIG" "server: 'http://127.0.0.1:$API_PORT'" ""
netpold_api --dry-run >"$WORK/dry" 2>"$WORK/err"
check_equal "dry run on an empty kernel: exit 2" 2 $?
check_equal "and writes nothing" "$empty" "$(kernel_text n1)"
check_equal "the same plan as from the files" "$(netpold n1 --dry-run 2>/dev/null)" "$(cat "$WORK/dry")"
netpold_api --once >/dev/null 2>"$WORK/err"
check_equal "--once: exit 0" 0 $?
programmed=$(kernel_text n1)
check "it denies" denied
check "a pass from the files finds nothing to do" in_sync n1
check_equal "all four kinds listed, pods without the finished ones" 2 \
    "$(requests '^GET /api/v1/pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed')"

echo "-- the daemon follows events"
daemon_start
check "ready" wait_ready n1
check_equal "a restart changes nothing" "$programmed" "$(kernel_text n1)"
policies "$ALLOW"
check "a policy added" eventually 5 allowed
policies "$DENY"
check "and removed" eventually 5 denied
POD_LABELS[x/web]=app=other POD_LABELS[x/webr]=app=other
state_write
check "pods relabelled" eventually 5 allowed
POD_LABELS[x/web]=app=web POD_LABELS[x/webr]=app=web
state_write
check "and back" eventually 5 denied
check "the kernel is in step" wait_in_sync n1
check "events counted" test "$(metric 'netpold_watch_events_total{resource="pods",type="MODIFIED"}')" -ge 4
check_equal "one list of each kind" 1 "$(lists pods)"

echo "-- connections cut in the middle"
kill -USR1 "$API_PID"
policies "$ALLOW"
check "the next change arrives" eventually 8 allowed
check "said" log_has "event=watch-failed kind=networkpolicies"
check "and the recovery" eventually 5 log_has "event=watch-recovered kind=networkpolicies"
check_equal "resumed, not listed again" 1 "$(lists networkpolicies)"
policies "$DENY"
check "denied again" eventually 5 denied

echo "-- the server goes away"
before=$(kernel_text n1)
api_stop
policies "$ALLOW"
sleep 1.5
check_equal "the rules stay" "$before" "$(kernel_text n1)"
check "still ready" is_ready n1
check "still denied" denied
# It comes back with another history: the old version is unknown to it.
api_start n1 --first-version 5000 --bookmark-ms 300 --log
check "it comes back: what changed meanwhile is in force" eventually 20 allowed
check "by a list" test "$(lists networkpolicies)" -ge 2
POD_HIDDEN[x/webr]=1
state_write
check "an object deleted" wait_in_sync n1
unset 'POD_HIDDEN[x/webr]'
state_write
policies "$DENY"
check "and all as before" eventually 10 denied
check "in step" wait_in_sync n1

echo "-- SIGHUP lists again"
before_lists=$(lists pods)
kill -HUP "${DAEMON_PID[n1]}"
listed_again() { test "$(lists pods)" -gt "$before_lists"; }
check "all kinds" eventually 5 listed_again
check "in step" wait_in_sync n1
netpold_stop n1
check_equal "SIGTERM leaves the rules" "$before" "$(kernel_text n1)"

echo "-- a start without a server"
api_stop
daemon_start
check "it says why it is not synced" eventually 10 log_has "cannot list [a-z]*: "
check "it is alive" eventually 5 answers /livez 200
check "not ready" answers /readyz 503
check_equal "the rules of the last run stay" "$before" "$(kernel_text n1)"
check "denied" denied
api_start n1 --first-version 9000
check "the server comes: ready" eventually 40 is_ready n1
check_equal "and nothing to write" "$before" "$(kernel_text n1)"
netpold_stop n1

echo "-- half a cluster"
api_stop
mv "$STATE/cluster.yaml" "$WORK/cluster.yaml"
api_start n1 --first-version 20000
daemon_start
sleep 1
check_equal "no objects at all: the rules stay" "$before" "$(kernel_text n1)"
mv "$WORK/cluster.yaml" "$STATE/cluster.yaml"
check "objects come: ready" eventually 20 is_ready n1
check "in step" wait_in_sync n1
netpold_stop n1
api_stop
check "cleanup" purge n1
check_equal "nothing of ours is left" 0 "$(own_objects n1)"
finish
