#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command contract of netpold on a real kernel: exit codes of a single pass, the daemon's life, health, metrics, signals,
# drift, one writer per node.
#
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

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

run_once() { # arguments…: OUT and RC of a single pass
    OUT=$(netpold n1 "$@" 2>"$WORK/err")
    RC=$?
}
metric() { # name with labels: its value
    http_get n1 /metrics | tr -d '\r' | awk -v want="$1" '$1 == want { print $2 }'
}
metric_is() { # name value
    [[ $(metric "$1") == "$2" ]]
}
denied() {
    blocked x/api x/web tcp/80 4 && blocked x/api x/webr tcp/80 6
}
spoil() { # what another program may do: our jump, a rule, a set member away
    on_node n1 iptables-legacy -D FORWARD 1
    on_node n1 bash -c 'set -- $(iptables-legacy -S | grep -m1 "^-N NETPOL-P-"); iptables-legacy -F "$2"'
}

echo "-- options"
on_node n1 "$NETPOLD" --state "$STATE" >/dev/null 2>"$WORK/err"
check_equal "without --node-name: exit 3" 3 $?
check_contains "and says what is missing" "--node-name" "$(cat "$WORK/err")"
run_once --dry-rnu
check_equal "an unknown option: exit 3" 3 "$RC"
check_contains "and what may have been meant" "did you mean --dry-run" "$(cat "$WORK/err")"
run_once --facts "$WORK/none"
check_equal "--facts without --dry-run: exit 3" 3 "$RC"
run_once --dry-run --facts "$WORK/none"
check_equal "--facts of a missing file: exit 4" 4 "$RC"
check_equal "every error is one line" 1 "$(wc -l <"$WORK/err")"

echo "-- a single pass"
policies "$DENY"
empty=$(kernel_text n1)
run_once --dry-run
check_equal "dry run on an empty kernel: exit 2" 2 "$RC"
check_contains "it prints the chains" "NETPOL-FORWARD" "$OUT"
check_equal "and writes nothing" "$empty" "$(kernel_text n1)"
run_once --once
check_equal "first programming: exit 0" 0 "$RC"
check_equal "one line of summary" 1 "$(wc -l <<<"$OUT")"
check_contains "that says so" "first time" "$OUT"
check "it denies" denied
programmed=$(kernel_text n1)
run_once --once
check_equal "again: exit 0" 0 "$RC"
check_contains "nothing written" "nothing written" "$OUT"
run_once --dry-run
check_equal "dry run in step: exit 0" 0 "$RC"
check_equal "and prints nothing" "" "$OUT"
spoil
run_once --dry-run
check_equal "dry run after drift: exit 2" 2 "$RC"
run_once --once
check_equal "drift: exit 2" 2 "$RC"
check_contains "and says so" "drift repaired" "$OUT"
check_contains "what it was, by kind and name" "jump-missing    1: IPv4 FORWARD" "$OUT"
check_contains "each kind" "chain-changed   1: IPv4 NETPOL-P-" "$OUT"
check_equal "repaired" "$programmed" "$(kernel_text n1)"
spoil
run_once --once --drift-exit-code 0
check_equal "--drift-exit-code 0" 0 "$RC"
json() { python3 -c 'import json, sys; d = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$OUT" "$1" 2>&1; }
run_once --once -o json
check_equal "JSON, in step" "in-step 0 None {}" "$(json '" ".join(map(str, (d["result"], d["exit_code"], d["error"], d["drift"])))')"
spoil
run_once --once --output json
check_equal "JSON, drift" "repaired 2 ['chain-changed', 'jump-missing']" \
    "$(json '" ".join(map(str, (d["result"], d["exit_code"], sorted(d["drift"]))))')"
check_equal "JSON, names" "1 IPv4 FORWARD" "$(json '" ".join(map(str, d["drift"]["jump-missing"].values()))')"
wipe() { # all of ours, and everything else in filter
    on_node n1 iptables-legacy -w -F && on_node n1 iptables-legacy -w -X && on_node n1 ip6tables-legacy -w -F &&
        on_node n1 ip6tables-legacy -w -X && on_node n1 ipset destroy
}
wipe || fail "cannot wipe"
run_once --once -o json
check_equal "all of it wiped out is drift, not a new node: exit 2" 2 "$RC"
check_equal "and all of it is named" "repaired True True" \
    "$(json '" ".join(map(str, (d["result"], "jump-missing" in d["drift"], "set-missing" in d["drift"])))')"
check_equal "repaired" "$programmed" "$(kernel_text n1)"
# Two passes at once: the second waits.
spoil
on_node n1 flock "$WORK/run.n1/lock" sleep 1 &
holder=$!
sleep 0.3
run_once --once -o json
wait "$holder"
check_equal "beside something that holds the lock and is no daemon: it waits, and repairs" "repaired 2" \
    "$(json '" ".join(map(str, (d["result"], d["exit_code"])))')"
if iptables-nft-save --version >/dev/null 2>&1 && ip netns exec n1 iptables-nft -S >/dev/null 2>&1; then
    on_node n1 bash -c 'iptables-legacy-save -t filter | iptables-nft-restore'
    run_once --once --backend legacy -o json
    check_equal "our rules copied to the other backend: exit 2" 2 "$RC"
    check_equal "and gone" 0 "$(on_node n1 iptables-nft-save 2>/dev/null | grep -c NETPOL-)"
else
    skip "no iptables-nft here"
fi
mv "$STATE" "$STATE.away"
run_once --once -o json
mv "$STATE.away" "$STATE"
check_equal "JSON, failed: exit 4" 4 "$RC"
check_equal "and the reason" "failed 4 True" "$(json '" ".join(map(str, (d["result"], d["exit_code"], "not synced" in d["error"])))')"
on_node n1 "$NETPOLD" --print-facts >"$WORK/facts.json"
check_equal "--print-facts: exit 0" 0 $?
run_once --dry-run --facts "$WORK/facts.json"
check_equal "facts from a file give the same rules" 0 "$RC"
on_node n1 "$NETPOLD" --node-name n1 --once --state - <"$STATE/cluster.yaml" >/dev/null 2>"$WORK/err"
check_equal "state from standard input: exit 2, the policy is gone" 2 $?
run_once --cleanup
check_equal "cleanup: exit 0" 0 "$RC"
check_equal "nothing of ours is left" 0 "$(own_objects n1)"
run_once --cleanup
check_equal "cleanup of nothing: exit 0" 0 "$RC"

echo "-- the steps of a write are listed"
NETPOLD_TEST_STEP_LOG=$WORK/steps run_once --once
check "before and after" grep -qE '^2 after ' "$WORK/steps"
run_once --cleanup

echo "-- the daemon"
# With a period it would look behind each commit of somebody else within a second, and so before it is asked to now and then.
netpold_start n1 --sync-period 0
check "ready" wait_ready n1
check "it denies" denied
check_equal "as --once did" "$programmed" "$(kernel_text n1)"
check_contains "/livez" " 200 " "$(http_get n1 /livez)"
check_contains "/readyz?verbose lists the checks" "[+]sync ok" "$(http_get n1 '/readyz?verbose')"
check_contains "an unknown path" " 404 " "$(http_get n1 /)"
metrics=$(http_get n1 /metrics)
for name in build_info synced objects propagation_seconds apply_duration_seconds table_commits_total set_member_changes_total \
    sets set_members chains rules unenforceable_policies local_pods enforced_pods last_successful_sync_timestamp_seconds \
    bridge_netfilter_ok; do
    check_contains "metric $name" "# TYPE netpold_$name " "$metrics"
done
check_equal "pods counted" 3 "$(metric 'netpold_objects{resource="pods"}')"
check_equal "enforced pods" 2 "$(metric netpold_enforced_pods)"
check_equal "synced" 1 "$(metric netpold_synced)"

echo "-- one writer per node"
run_once --metrics-address off
check_equal "a second daemon: exit 1" 1 "$RC"
check_contains "it names the first" "${DAEMON_PID[n1]}" "$(cat "$WORK/err")"
run_once --cleanup
check_equal "cleanup beside a daemon: exit 1" 1 "$RC"
check_contains "and says what to do" "stop it first" "$(cat "$WORK/err")"
run_once --once
check_equal "--once beside a daemon in step: exit 0" 0 "$RC"
spoil
run_once --once
check_equal "--once beside a daemon, drift: exit 2" 2 "$RC"
check_contains "it asks the daemon" "was asked to repair" "$OUT"
check "which repairs" wait_in_sync n1
check_equal "exactly" "$programmed" "$(kernel_text n1)"
check "and counts" eventually 2 metric_is 'netpold_drift_repaired_total{kind="jump-missing"}' 1
check_contains "and logs" "event=drift-repaired kind=chain-changed" "$(cat "$WORK/netpold.n1.log")"

echo "-- changes"
policies "$ALLOW"
check "a policy replaced by rename" eventually 5 reaches x/api x/web tcp/80
policies "$DENY"
check "and back" wait_in_sync n1
check "it denies" denied
commits=$(metric netpold_table_commits_total)
touch "$STATE/policy.yaml"
sleep 0.3
check_equal "a change without effect commits nothing" "$commits" "$(metric netpold_table_commits_total)"
spoil
kill -HUP "${DAEMON_PID[n1]}"
check "SIGHUP repairs" wait_in_sync n1

echo "-- the end"
before=$(kernel_text n1)
pid=${DAEMON_PID[n1]}
kill -TERM "$pid"
wait "$pid"
check_equal "SIGTERM: exit 0" 0 $?
unset 'DAEMON_PID[n1]'
check_equal "the rules stay" "$before" "$(kernel_text n1)"
check "it still denies" denied

echo "-- drift is found without being asked"
netpold_start n1 --sync-period 200ms --log-format json
check "ready" wait_ready n1
check_equal "a restart changes nothing" "$before" "$(kernel_text n1)"
spoil
check "repaired within the sync period" eventually 3 in_sync n1
check_contains "JSON log" '"event":"drift-repaired"' "$(cat "$WORK/netpold.n1.log")"
pid=${DAEMON_PID[n1]}
kill -INT "$pid"
wait "$pid"
check_equal "SIGINT: exit 0" 0 $?
unset 'DAEMON_PID[n1]'

echo "-- a directory as Kubernetes mounts it: one symlink swaps all files"
mkdir -p "$WORK/mount/..one" "$WORK/mount/..two"
cp "$STATE"/*.yaml "$WORK/mount/..one"
cp "$STATE/cluster.yaml" "$WORK/mount/..two"
policies "$ALLOW"
cp "$STATE/policy.yaml" "$WORK/mount/..two"
ln -s ..one "$WORK/mount/..data"
ln -s ..data/cluster.yaml "$WORK/mount/cluster.yaml"
ln -s ..data/policy.yaml "$WORK/mount/policy.yaml"
STATE=$WORK/mount netpold_start n1 --sync-period 1h
check "ready" wait_ready n1
check "it denies" denied
commits=$(metric 'netpold_table_commits_total')
ln -s ..two "$WORK/mount/..data_tmp"
mv -T "$WORK/mount/..data_tmp" "$WORK/mount/..data"
check "the swap is seen" eventually 5 reaches x/api x/web tcp/80
check "as one change: one commit per family at most" test $(($(metric netpold_table_commits_total) - commits)) -le 2
rm -r "$WORK/mount"
sleep 0.3
check "the mount is gone: still ready" is_ready n1
netpold_stop n1
check "cleanup" purge n1
check_equal "the kernel is as it was" "$empty" "$(kernel_text n1 | sed '/^create\|^add/d')"
finish
