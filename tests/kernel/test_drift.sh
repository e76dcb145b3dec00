#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What other programs do to a node's rules behind the back of a running netpold: each kind is repaired within --sync-period
# and reported as what it was; a table that is flushed again and again under load denies again within that time; a jump that
# another agent keeps pushing down is put back three times and then left, and the node says so.
#
# shellcheck disable=SC2034 # the harness uses what is set here
# alone: it measures how long rules are away
source "$(dirname "$0")/lib.sh"
sandbox "$@"

FLUSHES=${FLUSHES:-8}
BACKEND=${NETPOLD_BACKEND:-legacy} # the environment names it to netpold as well
export NETPOLD_BACKEND=$BACKEND
fabric
node n1
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/ok n1 bridged app=ok
pod x/bad n1 bridged app=bad
state_write
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: ok}}}]
    ports: [{port: 80}, {protocol: UDP, port: 80}]
E2
on_node n1 bash -c 'cd /proc/sys/net/netfilter && echo 5 > nf_conntrack_udp_timeout'

metric() { # name with labels: its value
    http_get n1 /metrics | tr -d '\r' | awk -v want="$1" '$1 == want { print $2 }'
}
repaired() { # kind: how often so far
    local n
    n=$(metric "netpold_drift_repaired_total{kind=\"$1\"}")
    echo "${n:-0}"
}
iptables4() { on_node n1 "iptables-$BACKEND" -w "$@"; }
iptables6() { on_node n1 "ip6tables-$BACKEND" -w "$@"; }
# The rules that cut revoked connections are there while there are such: not shown.
text_of() { # node: as kernel_text, of the backend
    ip netns exec "$1" bash -c "iptables-$BACKEND-save -t filter; ip6tables-$BACKEND-save -t filter; ipset -sorted save" |
        sed '/^#/d; /-m connmark .* -j NETPOL-DROP$/d; s/^\(:[^ ]* [^ ]*\) \[.*/\1/; s/ bucketsize [0-9]*//; s/ initval 0x[0-9a-f]*//'
}
ours_of() { sed '/NETPOL-\|NP[46]-/!d'; }
is_first() { # family: our jumps head FORWARD
    [[ $("iptables$1" -S FORWARD | grep -v connmark | sed -n 2,3p | tr '\n' ' ') == *"-j NETPOL-ENCAP -A"*"-j NETPOL-FORWARD " ]]
}
is_whole() { # the kernel holds what was programmed, jumps at the head; rules of others may stand beside
    [[ $(text_of n1 | ours_of) == "$programmed" ]] &&
        is_first 4 && is_first 6
}
log_lines() { wc -l <"$WORK/netpold.n1.log"; }
# Each drift: what it is, the kinds it must be reported as, and a piece of the names in the log.
drift() { # what kinds(,…) names command…
    local what=$1 kinds=$2 names=$3 before kind lines said
    local -A count=()
    shift 3
    for kind in ${kinds//,/ }; do count[$kind]=$(repaired "$kind"); done
    lines=$(log_lines)
    "$@" || { fail "$what: cannot be done here"; return; }
    check "$what: repaired" eventually 4 is_whole
    for kind in ${kinds//,/ }; do
        check "$what: counted as $kind" test "$(repaired "$kind")" -gt "${count[$kind]}"
    done
    said=$(tail -n +"$((lines + 1))" "$WORK/netpold.n1.log" | grep event=drift-repaired)
    check_equal "$what: no other kind is claimed" "$(tr ',' '\n' <<<"$kinds" | sort)" \
        "$(sed 's/.* kind=\([^ ]*\).*/\1/' <<<"$said" | sort -u)"
    check_contains "$what: named" "$names" "$said"
}

netpold_start n1 --sync-period 1s
check "ready" wait_ready n1
programmed=$(text_of n1 | ours_of)
check "it is whole" is_whole
policy_chain=$(iptables4 -S | sed -n 's/^-N \(NETPOL-P-[A-Z0-9]*\)$/\1/p' | head -1)
set4=$(on_node n1 ipset save | sed -n "s/^add \(NP4-[A-Z0-9]*\) ${POD_IP4[x/ok]}$/\1/p" | head -1)
flush_all() {
    iptables4 -F && iptables4 -X && iptables6 -F && iptables6 -X
}

echo "-- each kind"
drift "our jump deleted" jump-missing "IPv4 FORWARD" iptables4 -D FORWARD 2
drift "that of tunnels" jump-missing "IPv4 FORWARD" iptables4 -D FORWARD 1
drift "our jump deleted (IPv6)" jump-missing "IPv6 FORWARD" iptables6 -D FORWARD 1
drift "a built-in chain flushed" jump-missing "IPv4 INPUT" iptables4 -F INPUT
drift "a rule inserted above our jump" jump-moved "IPv4 FORWARD" iptables4 -I FORWARD 1 -p tcp --dport 9999 -j ACCEPT
check_contains "the rule of the other program survives, behind ours" "--dport 9999 -j ACCEPT" "$(iptables4 -S FORWARD | sed -n 4p)"
iptables4 -D FORWARD -p tcp --dport 9999 -j ACCEPT
drift "our jump doubled" jump-duplicate "IPv4 FORWARD" \
    iptables4 -A FORWARD -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
drift "our jump for one protocol only" jump-changed "IPv4 FORWARD" iptables4 -R FORWARD 2 -p tcp -j NETPOL-FORWARD
drift "a chain flushed" chain-changed "$policy_chain" iptables4 -F "$policy_chain"
drift "a rule put into our chain" chain-changed "NETPOL-DROP" iptables6 -I NETPOL-DROP 1 -j ACCEPT
drift "a chain of our name" chain-foreign "NETPOL-ALIEN" iptables4 -N NETPOL-ALIEN
drift "a member deleted" member-missing "$set4 ${POD_IP4[x/ok]}" on_node n1 ipset del "$set4" "${POD_IP4[x/ok]}"
drift "a member added" member-foreign "$set4 ${POD_IP4[x/bad]}" on_node n1 ipset add "$set4" "${POD_IP4[x/bad]}"
swap_in() { # options: a set like ours, of the same type, but for these
    on_node n1 ipset create swapped hash:ip family inet "$@" && on_node n1 ipset add swapped "${POD_IP4[x/ok]}" &&
        on_node n1 ipset swap "$set4" swapped && on_node n1 ipset destroy swapped
}
drift "a set swapped for one that takes whole networks" set-missing,chain-changed "$set4" swap_in netmask 24
drift "a set swapped for one that forgets" set-missing,chain-changed "$set4" swap_in timeout 600
check "it denies, and allows" eval 'blocked x/bad x/web udp/80 4 && reaches x/ok x/web udp/80 4'
drift "a set of our name" set-foreign "NP4-ALIEN" on_node n1 ipset create NP4-ALIEN hash:ip
drift "everything flushed and deleted" jump-missing,chain-missing "NETPOL-FORWARD" flush_all
lose_sets() { flush_all && on_node n1 ipset destroy; }
drift "and the sets with it" jump-missing,chain-missing,set-missing "$set4" lose_sets
firewalld() { # flushes all, and puts its own rules in their place
    flush_all && iptables4 -N FWD_own && iptables4 -A FWD_own -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT &&
        iptables4 -A FORWARD -j FWD_own && iptables4 -A INPUT -j FWD_own && iptables6 -A FORWARD -p icmpv6 -j ACCEPT
}
drift "a firewall restarts and sets up its own rules" jump-missing,chain-missing "IPv4 FORWARD" firewalld
check_contains "whose rules stay" "-A FORWARD -j FWD_own" "$(iptables4 -S FORWARD)"
iptables4 -D FORWARD -j FWD_own
iptables4 -D INPUT -j FWD_own
iptables4 -F FWD_own
iptables4 -X FWD_own
iptables6 -D FORWARD -p icmpv6 -j ACCEPT
check "ready after all this" is_ready n1
netpold_stop n1
netpold_start n1 --sync-period 0
wait_ready n1
before=$(repaired jump-missing)
iptables4 -D FORWARD 1
cp "$STATE/policy.yaml" "$WORK/policy.was"
sed 's/port: 80}/port: 81}/' "$WORK/policy.was" >"$WORK/policy.new" && mv "$WORK/policy.new" "$STATE/policy.yaml"
check "without a period, a change of policy puts the jump back" eventually 3 in_sync n1
check "and that is told as well" test "$(repaired jump-missing)" -gt "$before"
cp "$WORK/policy.was" "$WORK/policy.new" && mv "$WORK/policy.new" "$STATE/policy.yaml"
netpold_stop n1

echo "-- between two periods: who writes to the tables is noticed"
netpold_start n1 --sync-period 1h
check "ready" wait_ready n1
check "whole" eventually 4 is_whole
noticed() { # more often than that
    (($(metric netpold_foreign_changes_total) > $1))
}
flush_all
check "a flush is repaired at once" eventually 4 is_whole
check "it denies" blocked x/bad x/web udp/80 4
check "and that is counted" noticed 0
iptables4 -I FORWARD 1 -p tcp --dport 9999 -j ACCEPT
check "so is a rule inserted above our jump" eventually 10 is_whole
iptables4 -D FORWARD -p tcp --dport 9999 -j ACCEPT
seen=$(metric netpold_foreign_changes_total) lines=$(log_lines) commits=$(metric netpold_table_commits_total)
# Until the look that follows a repair has been, it is what sees this.
meddle() {
    iptables4 -A OUTPUT -p tcp --dport 9999 -j ACCEPT && sleep 1.5 && noticed "$1"
}
check "what is not ours is looked at" eventually 20 meddle "$seen"
sleep 0.5
check_equal "and nothing is claimed" 0 "$(tail -n +"$((lines + 1))" "$WORK/netpold.n1.log" | grep -c event=drift-repaired)"
check_equal "nor written" "$commits" "$(metric netpold_table_commits_total)"
if [[ $NETPOLD_BACKEND == legacy ]]; then
    # It has read the table before a change of policy, and writes its copy behind it: of as many entries, so the kernel
    # takes it, and of the same size. The look that follows a write comes a second after it, so the copy has to be
    # quick: tried again when it was not.
    port_of_policy() {
        sed "s/port: 80}/port: $1}/" "$WORK/policy.was" >"$WORK/policy.new" && mv "$WORK/policy.new" "$STATE/policy.yaml"
    }
    written() { (($(metric netpold_table_commits_total) > commits)); }
    undone_of() { echo "$(repaired chain-changed) $(repaired chain-missing) $(repaired chain-foreign)"; }
    undone() { [[ $claimed != "$(undone_of)" ]]; }
    at=$(iptables4 -S INPUT | grep -n 'NETPOL-INPUT' | head -1 | cut -d: -f1)
    iptables4 -A INPUT -p tcp --dport 7777 -j ACCEPT
    mkfifo "$WORK/older"
    older_copy() { # whether it was put over ours before we looked
        local restoring began took=''
        sleep 4 # the looks that follow what was before are over
        XTABLES_LOCKFILE=$WORK/xtables.other ip netns exec n1 iptables-legacy-restore --noflush <"$WORK/older" &
        restoring=$!
        exec 7>"$WORK/older"
        printf '*filter\n-R INPUT %s -p tcp --dport %s -j ACCEPT\n' "$at" "$1" >&7
        sleep 0.5
        claimed=$(undone_of) commits=$(metric netpold_table_commits_total)
        began=$(date +%s%N)
        port_of_policy 81
        eventually 3 written
        sleep 0.2
        printf 'COMMIT\n' >&7
        exec 7>&-
        wait "$restoring" && took=$((($(date +%s%N) - began) / 1000000)) && ((took < 900)) && return
        echo "     refused, or too slow: ${took:-?} ms"
        port_of_policy 80
        kill -HUP "${DAEMON_PID[n1]}"
        eventually 5 in_sync n1
        return 1
    }
    taken=no
    for try in 1 2 3 4 5; do
        older_copy $((7777 + try)) && taken=yes && break
    done
    check_equal "an older copy is put over a change of policy" yes "$taken"
    check "that it has undone ours is seen" eventually 5 undone
    check "and repaired" eventually 3 in_sync n1
    cp "$WORK/policy.was" "$WORK/policy.new" && mv "$WORK/policy.new" "$STATE/policy.yaml"
    check "and back" eventually 3 in_sync n1
fi
netpold_stop n1
netpold_start n1 --sync-period 1s
check "ready again" wait_ready n1
check "whole" eventually 4 is_whole
check "it denies" blocked x/bad x/web udp/80 4
lines=$(log_lines)
sleep 2.5
check_equal "nothing is claimed when nothing happens" 0 \
    "$(tail -n +"$((lines + 1))" "$WORK/netpold.n1.log" | grep -c event=drift-repaired)"

if [[ $NETPOLD_BACKEND == nft ]]; then
    echo "-- a table that sleeps"
    on_node n1 python3 "$ROOT_DIR/tests/tools/nft_sleep.py" ip on
    check "denied packets pass it" reaches x/bad x/web udp/80 4
    not_ready() { ! is_ready n1; }
    check "not ready" eventually 4 not_ready
    check_contains "why, and what to do" "table ip filter is dormant" "$(http_get n1 '/readyz?verbose')"
    on_node n1 python3 "$ROOT_DIR/tests/tools/nft_sleep.py" ip off
    check "awake: ready" eventually 4 is_ready n1
    check "it denies" blocked x/bad x/web udp/80 4
fi

echo "-- flushed again and again under load"
sniff_start x-web ok.4 bad.4 bad.6
burst() { # from family tag
    local from=${POD_IP4[$1]} to=${POD_IP4[x/web]}
    [[ $2 == 4 ]] || from=${POD_IP6[$1]} to=${POD_IP6[x/web]}
    in_pod "$1" "$NETPROBE" send --proto udp --from "$from" --to "$to" --port 80 --sport 1024 --sport-step 1 --count 0 \
        --interval-us 500 --tag "$3" --report "$WORK/sent.$3" --background "$WORK/burst.$3" || die "no burst $3"
}
burst x/ok 4 ok.4
burst x/bad 4 bad.4
burst x/bad 6 bad.6
check "allowed packets flow" eventually 5 arrived x-web ok.4 20
count() { echo $(($(sniffed x-web bad.4) + $(sniffed x-web bad.6))); }
# The counter may lag behind the packets; it comes to rest only when none comes any more.
rests() {
    local n
    n=$(count)
    sleep 0.4
    [[ $(count) == "$n" ]]
}
# How long denied packets pass is measured by a stream that is denied as well.
STREAM=$BUILD/tests/tools/stream
in_pod x/web "$STREAM" watch "${POD_IP4[x/web]}" 7009 >"$WORK/watched" &
watching=$!
in_pod x/bad "$STREAM" send new "${POD_IP4[x/bad]}" "${POD_IP4[x/web]}" 7009 1000 "$WORK/watched.sent" &
sending=$!
late='' opened=0 before=$(count)
for ((i = 0; i < FLUSHES; i++)); do
    iptables4 -F
    iptables6 -F
    sleep 1.8 # the period, and a moment to write, on a busy machine too
    blocked x/bad x/web udp/80 4 && blocked x/bad x/web udp/80 6 || late+=" flush$i:probe"
    eventually 6 rests || late+=" flush$i:stream"
    opened=$((opened + ($(count) > before)))
    before=$(count)
done
check_equal "of $FLUSHES flushes each is closed within the period" "" "$late"
check "the flushes did open the pods ($opened of $FLUSHES)" test "$opened" -ge $((FLUSHES / 2))
end_of() { # process that another one has exec'd into, or runs
    pkill -TERM -P "$1" 2>/dev/null || kill "$1"
    wait "$1" 2>/dev/null
}
end_of $sending
sleep 0.3
end_of $watching
read -r times worst <<<"$(awk '$1 == "on" { on = $2 } $1 == "off" { n++; ms = ($2 - on) / 1e6; if (ms > worst) worst = ms }
    END { printf "%d %d\n", n, worst }' "$WORK/watched")"
check "open $times times, the longest for $worst ms of a period of 1000" test "$times" -ge $((FLUSHES / 2)) -a "$worst" -le 1500
check "and each is reported" test "$(repaired jump-missing)" -ge "$FLUSHES"
for tag in ok.4 bad.4 bad.6; do kill "$(cat "$WORK/burst.$tag")"; done
check "whole again" eventually 4 is_whole

echo "-- another agent keeps its rule on top"
rival() { # rule…: until $WORK/rival.stop is there
    while [[ ! -e $WORK/rival.stop ]]; do
        if is_first 4; then
            iptables4 -D FORWARD "$@" 2>/dev/null
            iptables4 -I FORWARD 1 "$@"
        fi
        sleep 0.1
    done
    iptables4 -D FORWARD "$@"
}
not_ready_says() { http_get n1 /readyz | grep -q "$1"; }
jumps_left() { [[ $(metric netpold_jumps_left) == "$1" ]]; }
rival -s 10.244.0.0/16 -j ACCEPT 2>/dev/null &
RIVAL=$!
check "it is left after three rounds" eventually 20 jumps_left 1
check_contains "which is logged" 'event=jump-left names="IPv4 FORWARD" rounds=3' "$(cat "$WORK/netpold.n1.log")"
check "not ready: a rule above accepts pod traffic" eventually 3 not_ready_says "filter FORWARD.*: -s 10.244.0.0/16 -j ACCEPT"
commits=$(metric netpold_table_commits_total)
sleep 3
check_equal "the table is not fought over any more" "$commits" "$(metric netpold_table_commits_total)"
check_contains "the heartbeat goes on" " 200 " "$(http_get n1 /livez)"
iptables6 -D FORWARD 1
check "what else drifts is repaired all the same" eventually 4 is_first 6
touch "$WORK/rival.stop"
wait "$RIVAL"
rm "$WORK/rival.stop"
check "when it has gone, ready" eventually 5 is_ready n1
check "and none is left" jumps_left 0
check "whole" eventually 4 is_whole
kill -0 "${DAEMON_PID[n1]}" || die "netpold has ended"
netpold_stop n1

: >"$WORK/netpold.n1.log"
netpold_start n1 --sync-period 1s
wait_ready n1
rival -p tcp --dport 4444 -j DROP 2>/dev/null &
RIVAL=$!
check "one that only denies: left as well" eventually 20 jumps_left 1
check "and ready: it opens nothing" is_ready n1
check "what passes it is judged" blocked x/bad x/web tcp/80 4
check "and what is allowed passes" reaches x/ok x/web tcp/80 4
touch "$WORK/rival.stop"
wait "$RIVAL"
check "its end is logged" eventually 5 grep -q event=jump-back "$WORK/netpold.n1.log"
netpold_stop n1
finish
