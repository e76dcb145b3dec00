#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpolctl status against a real daemon: what it says in each of its states, as text and as JSON, and by its exit code.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
namespace x team=x
pod x/web n1 bridged app=web
pod x/cli n1 routed app=cli
limit='apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]'
SOCKET=$WORK/run.n1/netpold.sock
status() { # arguments…: text into $said, exit code into $rc
    said=$(on_node n1 "$NETPOLCTL" status --socket "$SOCKET" "$@" 2>"$WORK/status.err")
    rc=$?
    wrong=$(<"$WORK/status.err")
}
# A value of the JSON form, by an expression over it.
field() { # expression
    on_node n1 "$NETPOLCTL" status --socket "$SOCKET" -o json |
        python3 -c 'import json,sys
s = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$1" 2>&1
}
is() { # expression wanted
    [[ $(field "$1") == "$2" ]]
}

echo "-- no daemon"
status
check_equal "exit code" 1 "$rc"
check_contains "says where nobody is" "$SOCKET: there is no such socket" "$wrong"
check_contains "and what to look at" "is netpold running on this node" "$wrong"
check_equal "nothing on standard output" "" "$said"
status word
check_equal "a word too much: exit code" 3 "$rc"
status --timeout nonsense
check_equal "a timeout that is none: exit code" 3 "$rc"
on_node n1 "$NETPOLCTL" status --help >/dev/null
check_equal "--help" 0 "$?"

echo "-- not synced: no object at all"
mkdir -p "$STATE"
netpold_start n1 --sync-period 1s
check "the socket is there" eventually 5 test -S "$SOCKET"
status
check_equal "exit code" 2 "$rc"
check_contains "head" "on node n1: NOT READY" "$said"
check_contains "source" "files, NOT SYNCED" "$said"
check_contains "kernel" "NOT IN STEP" "$said"
check_contains "last apply" "none since the start" "$said"
check "JSON says so" is 's["ready"], s["synced"], s["in_step"], s["last_apply"]' "(False, False, False, None)"

echo "-- in step"
state_write
policies <<<"$limit" -
check "ready" wait_ready n1
status
check_equal "exit code" 0 "$rc"
check_contains "head" "on node n1: ready" "$said"
check "no problem is listed" test "${said/problems/}" = "$said"
check_contains "backend and why" "backend       legacy: " "$said"
check_contains "objects" "holds 2 pods, 1 namespaces, 1 policies, 1 nodes" "$said"
check_contains "drift" "drift         none since the start" "$said"
check "JSON: in step" is 's["ready"], s["synced"], s["in_step"]' "(True, True, True)"
check "JSON: numbers of the kernel" is 's["kernel"]["chains"] > 5 and s["kernel"]["rules"] > 10' True
check "JSON: times" is 's["apply_duration"]["count"] >= 1 and s["apply_duration"]["p50_ms"] > 0' True
check "NETPOLD_SOCKET" test ready = "$(NETPOLD_SOCKET=$SOCKET "$NETPOLCTL" status | sed -n '1s/.*: //p')"
check_equal "the JSON form is one line" 1 "$("$NETPOLCTL" status --socket "$SOCKET" -o json | wc -l)"

echo "-- drift"
on_node n1 iptables-legacy -w -F FORWARD
set=$(on_node n1 ipset list -n | grep '^NP4-' | head -1)
member=$(on_node n1 ipset list "$set" | sed '1,/^Members/d' | head -1)
on_node n1 ipset del "$set" "$member"
check "both kinds are counted" eventually 10 is 's["drift"]["repaired"].get("jump-missing", 0) >= 1 and s["drift"]["repaired"].get("member-missing", 0) == 1' True
status
check_equal "repaired: exit code" 0 "$rc"
check_contains "the set is named" "$set" "$said"
check "the metric is the same" test "$(field 's["drift"]["repaired"]["member-missing"]')" = \
    "$(http_get n1 /metrics | sed -n 's/^netpold_drift_repaired_total{kind="member-missing"} //p')"

echo "-- a policy that cannot be enforced"
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: odd}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/99}}]}]
E2
check "counted" eventually 5 is 's["unenforceable"]["count"]' 1
status
check_equal "exit code" 2 "$rc"
check_contains "head" "ready, with problems" "$said"
check_contains "it is named" "x/odd" "$said"
policies <<<"$limit" -
check "gone with it" eventually 5 is 's["unenforceable"]["count"]' 0

echo "-- a rule of another program uses a set that is not needed any more"
set=$(on_node n1 iptables-legacy -w -S | sed -n 's/^-A NETPOL-P-.* --match-set \(NP4-[A-Z0-9]*\) .*/\1/p' | head -1)
on_node n1 iptables-legacy -w -N FOREIGN
on_node n1 iptables-legacy -w -A FOREIGN -m set --match-set "$set" src -j RETURN
policies
check "counted" eventually 5 is 's["leftovers"]["count"]' 1
status
check_equal "exit code" 2 "$rc"
check_contains "it is named" "$set" "$said"
on_node n1 iptables-legacy -w -F FOREIGN
policies <<<"$limit" -
check "over" eventually 5 is 's["leftovers"]["count"]' 0

echo "-- a write that fails"
netpold_stop n1
export NETPOLD_TEST_FAIL=$WORK/fail
: >"$WORK/fail"
netpold_start n1 --sync-period 1s
check "ready" wait_ready n1
# EBUSY, at every step, without end.
echo "* 16 1 0" >"$WORK/fail"
policies
check "it is told" eventually 5 is 's["failing"] is not None' True
status
check_equal "exit code" 2 "$rc"
check_contains "head" "NOT READY" "$said"
check_contains "what fails" "FAILING       since" "$said"
check_contains "the heartbeat goes on" "200 OK" "$(http_get n1 /livez)"
: >"$WORK/fail"
check "over" eventually 10 is 's["failing"]' None
status
check_equal "exit code" 0 "$rc"
unset NETPOLD_TEST_FAIL

echo "-- a daemon that hangs"
kill -STOP "${DAEMON_PID[n1]}"
status --timeout 300ms
check_equal "exit code" 1 "$rc"
check_contains "says so" "no answer in time" "$wrong"
kill -CONT "${DAEMON_PID[n1]}"
netpold_stop n1
netpold_start n1 --socket none
check "ready" wait_ready n1
status
check_equal "--socket none: nobody to ask" 1 "$rc"
finish
