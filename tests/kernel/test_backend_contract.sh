#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The legacy backend against its contract (src/dataplane/backend.h), without a daemon: the cases of
# tests/tools/backend_contract.c, and here what the stock tools see of it. Speed is printed, not judged.
source "$(dirname "$0")/lib.sh"
sandbox "$@"

CONTRACT=$BUILD/tests/tools/backend_contract
SEED=${SEED:-$RANDOM}
[[ -x $CONTRACT ]] || die "$CONTRACT is not built"
echo "SEED=$SEED"

# ---- a table that nobody has asked for stays away ------------------------------------------------------------------
tables() { cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; }
printf '# ipset restore\n# iptables-restore --noflush\n*filter\nCOMMIT\n# ip6tables-restore --noflush\n*filter\nCOMMIT\n' \
    >"$WORK/empty"
"$CONTRACT" snapshot >/dev/null
"$CONTRACT" purge >/dev/null
check_equal "nothing wanted, nothing written" "writes=0" "$("$CONTRACT" apply "$WORK/empty" | cut -d' ' -f1)"
check_equal "snapshot, purge and an empty ruleset make no table" "" "$(tables)"

# ---- cases ---------------------------------------------------------------------------------------------------------
SEED=$SEED "$CONTRACT" >"$WORK/cases" 2>&1
case $? in
0) pass "$(sed -n 's/^\[  PASSED  \] //p' "$WORK/cases" | paste -sd ' ') of the contract" ;;
77) skip_all "$(tail -1 "$WORK/cases")" ;;
*)
    fail "cases of the contract"
    grep -vE '^\[ (RUN|      OK)' "$WORK/cases" | tail -60 | sed 's/^/     /'
    ;;
esac
check_equal "the cases leave nothing" "" "$(iptables-legacy -S | grep NETPOL; ipset list -n)"

# ---- what the kernel says is what was rendered ---------------------------------------------------------------------
# Chains, rules and hooks as iptables-save prints them, from either source, in one order.
saved() { # tool
    "$1" | grep -E '^(:NETPOL-|-A)' | sed 's/ \[[0-9]*:[0-9]*\]$//' | sort
}
rendered() { # file marker
    sed -n "/^# $2/,/^COMMIT/p" "$1" | grep -E '^(:NETPOL-|-[AI])' |
        sed -E 's/ \[0:0\]$//; s/^-I ([A-Z]*) [0-9]+ /-A \1 /' | sort
}
# Protocols that iptables knows by number only come back by name where the C library has one.
names_of_protocols() { sed -E 's/ -p 4( |$)/ -p ipencap\1/; s/ -p 41( |$)/ -p ipv6\1/; s/ -p 47( |$)/ -p gre\1/' | sort; }
same_rules() { # what file
    check_equal "$1: iptables-legacy-save prints the rendered rules" \
        "$(rendered "$2" iptables-restore | names_of_protocols)" "$(saved iptables-legacy-save | names_of_protocols)"
    check_equal "$1: ip6tables-legacy-save prints the rendered rules" \
        "$(rendered "$2" ip6tables-restore | names_of_protocols)" "$(saved ip6tables-legacy-save | names_of_protocols)"
}
same_sets() { # what file
    check_equal "$1: ipset lists the rendered members" "$(grep '^add ' "$2" | sort)" "$(ipset save | grep '^add ' | sort)"
}
load_by_tools() { # file
    sed -n '/^# ipset/,/^# iptables/p' "$1" | grep -v '^#' | ipset restore &&
        sed -n '/^# iptables/,/^COMMIT/p' "$1" | iptables-legacy-restore --noflush &&
        sed -n '/^# ip6tables/,/^COMMIT/p' "$1" | ip6tables-legacy-restore --noflush
}
report() { "$CONTRACT" apply "$1" 2>&1; }
for i in $(seq "${ROUNDS:-12}"); do
    "$CONTRACT" random $((SEED + i)) >"$WORK/rules"
    check "random $((SEED + i)): applied" "$CONTRACT" apply "$WORK/rules" >/dev/null
    same_rules "random $((SEED + i))" "$WORK/rules"
    same_sets "random $((SEED + i))" "$WORK/rules"
    "$CONTRACT" purge >/dev/null
    check "random $((SEED + i)): loads by the stock tools" load_by_tools "$WORK/rules"
    check_contains "random $((SEED + i)): what the stock tools loaded is known as ours" "writes=0 " "$(report "$WORK/rules")"
    "$CONTRACT" purge >/dev/null
done

# ---- foreign things and drift --------------------------------------------------------------------------------------
cat >"$WORK/rules" <<'E2'
# ipset restore
create NP4-PODS hash:ip family inet hashsize 64 maxelem 65536
add NP4-PODS 10.0.0.1
add NP4-PODS 10.0.0.2
create NP4-NETS hash:net family inet hashsize 64 maxelem 65536
add NP4-NETS 10.1.0.0/16
add NP4-NETS 10.1.2.0/24 nomatch
create NP6-PORTS hash:ip,port family inet6 hashsize 64 maxelem 65536
add NP6-PORTS fd00::1,sctp:80
# iptables-restore --noflush
*filter
:NETPOL-FORWARD - [0:0]
:NETPOL-I-WEB - [0:0]
-A NETPOL-FORWARD -d 10.0.0.0/24 -g NETPOL-I-WEB
-A NETPOL-I-WEB -p tcp -m tcp --dport 80 -m set --match-set NP4-PODS src -j RETURN
-A NETPOL-I-WEB -p tcp -m multiport --dports 1:5,9 -m set --match-set NP4-NETS src -j RETURN
-A NETPOL-I-WEB -p tcp -m comment --comment "x/web" -j REJECT --reject-with tcp-reset
-A NETPOL-I-WEB -j DROP
-I FORWARD 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
-I INPUT 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
COMMIT
# ip6tables-restore --noflush
*filter
:NETPOL-FORWARD - [0:0]
-A NETPOL-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN
-A NETPOL-FORWARD -m set --match-set NP6-PORTS dst,dst -j RETURN
-I FORWARD 1 -j NETPOL-FORWARD
COMMIT
E2
iptables-legacy-restore -c <<'E2' || die "cannot load foreign rules"
*filter
:INPUT ACCEPT [11:1100]
:FORWARD DROP [22:2200]
:OUTPUT ACCEPT [33:3300]
:FOREIGN - [0:0]
:NETPOLICE - [0:0]
[5:500] -A FORWARD -s 198.51.100.77/32 -m comment --comment "not ours" -j FOREIGN
[4:400] -A FORWARD -m conntrack --ctstate INVALID -j NETPOLICE
[3:300] -A FOREIGN -p udp -m multiport --dports 53,5353 -m limit --limit 3/sec -j LOG --log-prefix "foreign "
COMMIT
E2
ipset create NP4foreign hash:net counters comment
ipset add NP4foreign 198.51.100.0/24 packets 12 bytes 3456 comment "not ours"
foreign() {
    iptables-legacy-save -c | grep -vE '^#|NETPOL-'
    ipset save | grep -vE 'NP[46]-'
}
before=$(foreign)
check "apply beside foreign rules" "$CONTRACT" apply "$WORK/rules" >/dev/null
check_equal "foreign rules, counters and sets after apply" "$before" "$(foreign)"
# What is wanted, from the tools that are not ours.
wanted=$(iptables-legacy-save | grep NETPOL-; ip6tables-legacy-save | grep NETPOL-; ipset save | grep -E '^add NP[46]-' | sort)
sed 's/--dport 80 /--dport 81 /; /^add NP4-PODS 10.0.0.2/d' "$WORK/rules" >"$WORK/other"
check "update" "$CONTRACT" apply "$WORK/other" >/dev/null
check_equal "foreign rules, counters and sets after an update" "$before" "$(foreign)"
check "update back" "$CONTRACT" apply "$WORK/rules" >/dev/null

drift() { # what report-part command…
    local what=$1 part=$2 got now
    shift 2
    "$@" || die "$what: $*"
    before=$(foreign) # the stock tools themselves reset the counters of the built-in chains' policies
    got=$(report "$WORK/rules")
    check_contains "$what is repaired" "$part" "$got"
    now=$(iptables-legacy-save | grep NETPOL-; ip6tables-legacy-save | grep NETPOL-; ipset save | grep -E '^add NP[46]-' | sort)
    check_equal "$what: all as wanted" "$wanted" "$now"
    check_equal "$what: foreign things are the same" "$before" "$(foreign)"
    check_contains "$what: then nothing to do" "writes=0 " "$(report "$WORK/rules")"
}
ipt=iptables-legacy
drift "a flushed chain" "writes=1 commits=1 sets+0-0 members+0-0 chains+0~1-0 hooks=0" $ipt -F NETPOL-I-WEB
drift "a rule added to our chain" "chains+0~1-0" $ipt -I NETPOL-I-WEB 2 -m mark --mark 7 -j ACCEPT
drift "a rule changed in our chain" "chains+0~1-0" $ipt -R NETPOL-I-WEB 1 -p tcp --dport 80 -m set ! --match-set NP4-PODS src -j RETURN
drift "a rule for fragments" "chains+0~1-0" $ipt -R NETPOL-I-WEB 4 -f -j DROP
drift "rules in another order" "chains+0~1-0" bash -c "$ipt -D NETPOL-I-WEB 4; $ipt -I NETPOL-I-WEB 1 -j DROP"
drift "a deleted jump" "hooks=1" $ipt -D FORWARD 1
drift "a jump doubled at the end" "hooks=1" $ipt -A FORWARD -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
drift "a jump doubled at the head" "hooks=1" $ipt -I INPUT 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
drift "another jump of ours" "hooks=1" $ipt -A OUTPUT -p tcp -j NETPOL-FORWARD
drift "a jump moved down" "hooks=1" bash -c "$ipt -D FORWARD 1; $ipt -I FORWARD 2 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD"
drift "a stale chain" "chains+0~0-2" bash -c "$ipt -N NETPOL-OLD; $ipt -N NETPOL-OLDER; $ipt -A NETPOL-OLD -j NETPOL-OLDER"
drift "IPv6: a deleted rule" "chains+0~1-0" ip6tables-legacy -D NETPOL-FORWARD 2
drift "a deleted member" "members+1-0" ipset del NP4-PODS 10.0.0.2
drift "an added member" "members+0-1" ipset add NP4-PODS 10.0.0.3
drift "an exception turned" "members+1-0" bash -c "ipset del NP4-NETS 10.1.2.0/24; ipset add NP4-NETS 10.1.2.0/24"
drift "a flushed set" "members+2-0" ipset flush NP4-NETS
drift "a stale set" "sets+0-1" ipset create NP4-OLD list:set
drift "all of it gone" "chains+2~0-0 hooks=2" bash -c "$ipt -D FORWARD 1; $ipt -D INPUT 1; $ipt -F NETPOL-FORWARD;
    $ipt -F NETPOL-I-WEB; $ipt -X NETPOL-FORWARD; $ipt -X NETPOL-I-WEB; ipset destroy NP4-PODS"

# A packet counted by a foreign rule between two applies is counted behind them.
ip link set lo up
$ipt -I OUTPUT 1 -d 127.0.0.9/32 -j RETURN
"$CONTRACT" apply "$WORK/other" >/dev/null
echo hello >/dev/udp/127.0.0.9/9
"$CONTRACT" apply "$WORK/rules" >/dev/null
check_equal "a foreign counter is kept over a commit" 1 \
    "$($ipt -nvxL OUTPUT | awk '/127\.0\.0\.9/ { print $1 }')"
$ipt -D OUTPUT 1

# A set that a foreign rule uses, a chain that a foreign rule jumps to.
$ipt -A FOREIGN -j NETPOL-I-WEB
got=$("$CONTRACT" purge 2>&1)
check_contains "a foreign jump to our chain is named" \
    "pinned=1: chain NETPOL-I-WEB of IPv4 (a rule of FOREIGN jumps to it)" "$got"
check_equal "all but the emptied chain is gone" ":NETPOL-I-WEB - [0:0]
-A FOREIGN -j NETPOL-I-WEB" "$(iptables-legacy-save | grep NETPOL-; ipset save | grep -E ' NP[46]-')"
$ipt -D FOREIGN -j NETPOL-I-WEB
check_contains "then it goes" "chains+0~0-1" "$("$CONTRACT" purge 2>&1)"
check "apply again" "$CONTRACT" apply "$WORK/rules" >/dev/null
$ipt -A FOREIGN -m set --match-set NP4-PODS src -j RETURN
check_contains "a foreign rule that uses our set is said" "pinned=1: set NP4-PODS" "$("$CONTRACT" purge 2>&1)"
check_equal "asked again, nothing is written" "writes=0 commits=0 pinned=1: set NP4-PODS" \
    "$("$CONTRACT" purge 2>&1 | sed 's/ sets+.* hooks=0//')"
check "needed again by who believes that it is gone" "$CONTRACT" apply-known "$WORK/rules" >/dev/null
check_equal "with its members" "add NP4-PODS 10.0.0.1
add NP4-PODS 10.0.0.2" "$(ipset save NP4-PODS | grep ^add | sort)"
check_contains "and is the same to who reads it back" "writes=0 " "$(report "$WORK/rules")"
check_contains "purged again" "pinned=1: set NP4-PODS" "$("$CONTRACT" purge 2>&1)"
$ipt -D FOREIGN 2
check "then it goes" "$CONTRACT" purge >/dev/null
check_equal "foreign rules, counters and sets after purge" "$before" "$(foreign)"
check_equal "nothing of ours is left" "" "$(iptables-legacy-save | grep NETPOL-; ip6tables-legacy-save | grep NETPOL-; ipset save | grep -E ' NP[46]-')"

# ---- the lock ------------------------------------------------------------------------------------------------------
flock "$WORK/lock" sleep 5 &
holder=$!
sleep 0.2
started=$SECONDS
check "waits for another program's lock" env XTABLES_LOCKFILE="$WORK/lock" "$CONTRACT" apply "$WORK/rules" >/dev/null
check "it did wait" test $((SECONDS - started)) -ge 1
wait $holder
check "purge" "$CONTRACT" purge >/dev/null

# ---- without rights ------------------------------------------------------------------------------------------------
got=$(setpriv --bounding-set=-net_admin,-net_raw --inh-caps=-all bash -c "'$CONTRACT' apply '$WORK/rules'" 2>&1)
check_contains "a missing right is named" "CAP_NET" "$got"

# ---- speed ---------------------------------------------------------------------------------------------------------
"$CONTRACT" speed 10000 | head -1
"$CONTRACT" speed 100000 | head -1
check_equal "nothing of ours is left" "" "$(iptables-legacy-save | grep NETPOL-; ipset save | grep -E ' NP[46]-')"
finish
