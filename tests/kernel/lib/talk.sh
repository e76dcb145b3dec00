# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the harness uses what is set here
# Connections that go on while rules change (tests/tools/talk.py), and when each end heard something last.

TALK=$ROOT_DIR/tests/tools/talk.py
PYTHON=$(command -v python3) || skip_all "python3 is not installed"
KINDS=()
for protocol in tcp udp sctp; do
    for mode in talk push answer idle; do KINDS+=("$protocol-$mode"); done
done
# Long enough that a retry of TCP, and what a late list would miss, would show.
LISTEN_S=${LISTEN_S:-2.5}

# The clock of talk.py's reports.
now_ns() {
    echo "${EPOCHREALTIME/[.,]/}000"
}

TALKERS=()
talker() { # netns report arguments…: waits until it is up
    local netns=$1 report=$2
    shift 2
    ip netns exec "$netns" "$PYTHON" "$TALK" "$@" >"$report.out" 2>"$report.err" &
    TALKERS+=($!)
    eventually 10 grep -qs ready "$report.out" || {
        sed 's/^/     /' "$report.err"
        die "talk.py $1 in $netns does not come up"
    }
}
talk_serve() { # netns address name
    talker "$1" "$WORK/serve.$3" serve "$2" "$WORK/serve.$3"
}
REPORTS=()
talk_open() { # way netns from to kinds…
    local report=$WORK/open.$1.$2
    talker "$2" "$report" open "$3" "$4" "$report" "${@:5}"
    REPORTS+=("$report")
}
talk_end() {
    # Without a name, wait would wait for everything.
    if ((${#TALKERS[@]})); then
        kill "${TALKERS[@]}"
        wait "${TALKERS[@]}"
    fi 2>/dev/null
    TALKERS=() REPORTS=()
}

# What each end has to hear by its mode: the client of "talk" hears nothing, and nobody hears "idle" before it resumes.
heard_since() { # ns: prints those that should have heard something since then, and did not
    local report side
    for report in "${REPORTS[@]}"; do
        side=server
        [[ $report == */open.* ]] && side=client
        awk -v since="$1" -v side=$side -v report="${report##*/}" '
            { split($1, kind, "-"); mode = kind[2]; split($4, last, "=")
              if (mode == "idle" && !resumed) next
              if (mode != "answer" && (side == "server") == (mode == "push")) next
              if (last[2] + 0 < since + 0) print report, $0 }' resumed="${RESUMED:-}" "$report"
    done
}
all_talk() {
    local since
    since=$(($(now_ns) - 200000000))
    sleep 0.15
    [[ -z $(heard_since "$since") && $(talk_lines serve) -eq $(talk_lines open) ]]
}
talk_lines() { # serve|open: how many connections that side knows
    local report n=0
    for report in "${REPORTS[@]}"; do
        [[ ${report##*/} == "$1".* ]] && n=$((n + $(wc -l <"$report")))
    done
    echo "$n"
}
# Bytes that came more than a second after that time.
heard_after() { # ns
    local report
    for report in "${REPORTS[@]}"; do
        awk -v until=$(($1 + 1000000000)) -v from="$1" -v report="${report##*/}" '
            { split($4, last, "="); if (last[2] + 0 > until) print report, $0, (last[2] - from) / 1e6 " ms" }' "$report"
    done
}
resume() {
    kill -USR1 "${TALKERS[@]}" 2>/dev/null
}

# One way in which connections turn denied: all of them talk, the change, and silence.
cut_by() { # way change…
    local way=$1 t0 late
    shift
    check "$way: ${#REPORTS[@]} reports: everything talks" eventually 5 all_talk || heard_since "$(($(now_ns) - 500000000))"
    sleep 0.1
    t0=$(now_ns)
    "$@"
    sleep 1.2
    resume
    sleep "$LISTEN_S"
    late=$(heard_after "$t0")
    check_equal "$way: silent within a second, for good" "" "$late"
    CUT_NS=$t0
}
# … and allowed again: the same connections go on, those that were idle too.
goes_on() { # way change…
    local way=$1
    shift
    "$@"
    RESUMED=1
    check "$way: allowed again, everything goes on" eventually 20 all_talk ||
        heard_since "$(($(now_ns) - 500000000))" | sed 's/^/     /'
    RESUMED=''
}

marked() { # how many connections of the node have the bit
    ip netns exec n1 cat /proc/net/nf_conntrack 2>/dev/null | grep -c "mark=$((1 << 27))"
}
revoke_rules() {
    ip netns exec n1 "iptables-${NETPOLD_BACKEND:-legacy}" -S 2>/dev/null | grep -c 'connmark'
}
