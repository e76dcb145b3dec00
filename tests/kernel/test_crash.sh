#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 before and after every write of a change to the kernel, and at 200 random moments of a running daemon, with
# packets under way all the time. Allowed flows: not one packet of a new flow is lost, no established flow breaks. Denied:
# not one packet arrives. The two states that are changed between agree on exactly these.
#
# long: a kill around every write
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

SEED=${SEED:-$RANDOM}
KILLS=${KILLS:-200}
BUDGET=${BUDGET:-60}  # seconds of random kills; a slow machine does fewer and says so
echo "SEED=$SEED KILLS=$KILLS"
RANDOM=$SEED

# shellcheck source=lib/load.sh
source "$KERNEL_DIR/lib/load.sh"
load_topology
load_states
become a
check "first programming" netpold_once
load_start

# 1. Each step of a change from a to b and back.
steps_of() { # state: how many steps the change to it has
    rm -f "$WORK/steps"
    become "$1"
    NETPOLD_TEST_STEP_LOG=$WORK/steps netpold_once n1 >/dev/null || return 1
    wc -l <"$WORK/steps"
}
declare -A STEPS
STEPS[b]=$(steps_of b)
STEPS[a]=$(steps_of a)
check "a change has steps (to b ${STEPS[b]}, to a ${STEPS[a]})" test "${STEPS[a]:-0}" -ge 4 -a "${STEPS[b]:-0}" -ge 4
killed=0 unkilled=0 recovered=0 broken_at=''
for ((n = 1; n <= (STEPS[a] > STEPS[b] ? STEPS[a] : STEPS[b]); n++)); do
    for to in b a; do
        become $to
        { NETPOLD_TEST_KILL_AT=$n netpold n1 --once >/dev/null; rc=$?; } 2>/dev/null
        if ((rc == 137)); then killed=$((killed + 1)); else unkilled=$((unkilled + (n <= STEPS[$to]))); fi
        if netpold_once n1 && in_sync n1; then recovered=$((recovered + 1)); else broken_at+=" $to/$n"; fi
        nothing_denied_arrived || broken_at+=" leak:$to/$n"
    done
done
check_equal "killed at each of its steps" $((STEPS[a] + STEPS[b])) "$killed"
check_equal "no step was passed alive" 0 "$unkilled"
check_equal "after each, the next pass brings the kernel in step" "" "$broken_at"
check "denied packets: none arrived through $killed kills" nothing_denied_arrived

# 2. A running daemon, killed at each step of what it writes when it knows the kernel: members alone (a to c and back), and
# rules (a to b and back). Started again, it brings the kernel in step.
daemon_steps() { # from to: how many steps
    become "$1"
    netpold_once || return 1
    rm -f "$WORK/steps"
    NETPOLD_TEST_STEP_LOG=$WORK/steps netpold_start n1 --sync-period 1h
    wait_ready n1 || return 1
    become "$2"
    wait_in_sync n1
    sleep 0.2
    netpold_stop n1
    wc -l <"$WORK/steps"
}
dies() { # node: within some seconds
    local pid=${DAEMON_PID[$1]}
    within 5 eval "! kill -0 $pid 2>/dev/null"
}
[[ -n ${PAIRS:-} ]] || PAIRS='a-c c-a a-b b-a'
for change in $PAIRS; do
    change=${change/-/ }
    read -r from to <<<"$change"
    steps=$(daemon_steps "$from" "$to")
    case $change in
    *c*) check_equal "$from to $to writes members alone" "" "$(grep -v 'set-add\|set-del' "$WORK/steps")" ;;
    *) check "$from to $to commits" grep -q commit "$WORK/steps" ;;
    esac
    broken_at='' killed=0
    for ((n = 1; n <= steps; n++)); do
        become "$from"
        netpold_once || broken_at+=" $n:not-programmed"
        NETPOLD_TEST_KILL_AT=$n netpold_start n1 --sync-period 1h
        wait_ready n1 || broken_at+=" $n:not-ready"
        become "$to"
        # Files that are seen one by one make two writes of one, of other lengths: the last steps may not come.
        { dies n1 && killed=$((killed + 1)); netpold_stop n1 KILL; } 2>/dev/null
        netpold_start n1 --sync-period 1h
        wait_in_sync n1 || broken_at+=" $n:not-in-step"
        { netpold_stop n1 KILL; } 2>/dev/null
        nothing_denied_arrived || broken_at+=" $n:leak"
    done
    check_equal "$from to $to: killed at $killed of $steps steps, started again, in step" "" "$broken_at"
    check "as good as all of them" test "$steps" -ge 2 -a "$killed" -ge $((steps - steps / 5))
done

# 3. A running daemon, killed at random while the state changes.
kills=0 states=(a b)
BUDGET=$((SECONDS + BUDGET))
while ((kills < KILLS && SECONDS < BUDGET)); do
    netpold_start n1
    become "${states[RANDOM % 2]}"
    sleep "0.0$((RANDOM % 60 + 10))"
    become "${states[RANDOM % 2]}"
    sleep "0.0$((RANDOM % 20 + 10))"
    { netpold_stop n1 KILL; } 2>/dev/null
    kills=$((kills + 1))
done
if ((kills >= KILLS)); then
    pass "$kills random kills"
else
    skip "only $kills of $KILLS random kills in the time given: this machine is slow or busy"
fi
become b
check "after them, the next pass brings the kernel in step" netpold_once n1
check "in sync" in_sync n1

load_end
finish
