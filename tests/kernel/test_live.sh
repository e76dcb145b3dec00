#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is read back from a kernel is what the kernel walks: flags that no tool prints, jumps for gotos, doubled jumps, and
# whose rules come before ours: legacy raw, mangle and nat, nf_tables. Reading makes no table, takes no lock, and finds
# one state of a kernel that changes all the time. Each is broken by hand and named; then the same by a proof.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

UNFLAG=$BUILD/tests/tools/xt_unflag
LIVE=$BUILD/tests/tools/live_text
CONTRACT=$BUILD/tests/tools/backend_contract
NFT_CHAIN=$ROOT_DIR/tests/tools/nft_chain.py
fabric
node n1
outside
routes
namespace x
pod x/a n1 bridged pod=a
pod x/b n1 routed pod=b
state_write
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: a}
spec:
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {pod: b}}}]
    ports: [{port: 80}]
  egress:
  - to: [{podSelector: {matchLabels: {pod: b}}}, {ipBlock: {cidr: 203.0.113.0/24}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: b}
spec: {podSelector: {matchLabels: {pod: b}}}
E2

prove() { # what was said in $said, how it ended in $code
    said=$(on_node n1 "$NETPOLCTL" verify -f "$STATE" --node n1 --kernel 2>&1)
    code=$?
}
legacy() { # family arguments…
    local tool=iptables-legacy
    [[ $1 == 4 ]] || tool=ip6tables-legacy
    on_node n1 $tool -w "${@:2}"
}
expect() { # what code words…
    local what=$1 want=$2 word
    shift 2
    prove
    if [[ $code -ne $want ]]; then
        fail "$what: exit $code, wanted $want"
        sed 's/^/     /' <<<"$said" | head -20
        return
    fi
    pass "$what: exit $code"
    for word in "$@"; do check_contains "$what: says $word" "$word" "$said"; done
}

echo "-- reading makes no table"
before=$(ip netns exec n1 cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null)
prove
check_equal "the tables are those that were there" "$before" \
    "$(ip netns exec n1 cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null)"

netpold_once || die "netpold does not program n1"
expect "as programmed" 0 "proven: "

echo "-- the same text, another meaning"
chain=$(legacy 6 -S | sed -n 's/^-A \(NETPOL-P-[A-Z0-9]*\) .*--dport 80 .*/\1/p' | head -1)
text=$(legacy 6 -S "$chain")
check "the flag is taken" on_node n1 "$UNFLAG" "$chain" 1
check_equal "ip6tables prints the rule as before" "$text" "$(legacy 6 -S "$chain")"
expect "a rule that matches no protocol any more" 2 "$chain rule 1"
netpold n1 --once >/dev/null
expect "repaired" 0 "proven: "

echo "-- all that is read, and nothing else"
netpold n1 --print-facts >"$WORK/facts"
"$NETPOLCTL" render -f "$STATE" --node n1 --facts "$WORK/facts" >"$WORK/rules"
found() { on_node n1 "$LIVE" findings; }
same() { # what
    check_equal "$1" "" "$(on_node n1 "$LIVE" equals "$WORK/rules")"
}
finds() { # what wanted…
    check_equal "$1: named" "$(printf '%s\n' "${@:2}")" "$(found)"
}
differs() { # what words
    check_contains "$1" "$2" "$(on_node n1 "$LIVE" equals "$WORK/rules")"
}
repair() { netpold n1 --once >/dev/null; }
same "as programmed: the ruleset is the compiled one"
check_equal "as programmed: nothing to say" "" "$(found)"
check_equal "the compiled text names nobody" "" "$(on_node n1 "$LIVE" foreign "$WORK/rules")"
# --no-fork: the process that is ended is the one that holds the lock.
flock --no-fork "$WORK/xtables.lock" sleep 20 &
holder=$!
is_held() { ! flock --nonblock "$WORK/xtables.lock" true; }
check "the lock is held" eventually 5 is_held
check_equal "a lock that somebody holds is no hindrance" "" \
    "$(XTABLES_LOCKFILE=$WORK/xtables.lock timeout 10 ip netns exec n1 "$LIVE" equals "$WORK/rules" 2>&1)"
check "the lock is still held then" is_held
kill $holder
wait $holder 2>/dev/null

echo "-- without rights"
for right in net_admin net_raw; do
    said=$(on_node n1 setpriv --bounding-set=-$right --inh-caps=-all "$LIVE" findings 2>&1)
    check_equal "without $right: refused" 1 $?
    check_contains "without $right: says so" "denied: read the rules of this kernel: CAP_${right^^} is missing" "$said"
done

echo "-- sets"
set=$(on_node n1 ipset save | sed -n "s/^add \(NP4-[A-Z0-9]*\) ${POD_IP4[x/b]}$/\1/p" | head -1)
on_node n1 ipset del "$set" "${POD_IP4[x/b]}"
differs "a member less" "${POD_IP4[x/b]}"
check_equal "a member less: nothing to say" "" "$(found)"
on_node n1 ipset add "$set" "${POD_IP4[x/b]}"
same "put back"
on_node n1 ipset create NP4-ALIEN bitmap:port range 0-9
check_equal "a set of our name that no rule uses" "" "$(found)"
legacy 4 -I NETPOL-FORWARD 1 -p tcp -m set --match-set NP4-ALIEN dst -j RETURN
finds "a set of our name and another kind" \
    "unprovable set NP4-ALIEN: a set of another type or with options of IPv4: none of netpold's kinds under a name of netpold's; 1 rule uses it" \
    "unprovable IPv4 filter NETPOL-FORWARD rule 1: -p tcp -m set … -j RETURN: set NP4-ALIEN: not netpold's, or of another kind or family than the rule asks for"
legacy 4 -D NETPOL-FORWARD 1
on_node n1 ipset destroy NP4-ALIEN
if on_node n1 ipset create NP4-MASKED hash:ip bitmask 255.255.0.255 2>/dev/null; then
    legacy 4 -I NETPOL-FORWARD 1 -m set --match-set NP4-MASKED dst -j RETURN
    check_contains "a set that masks its members" \
        "unprovable set NP4-MASKED: a set of another type or with options of IPv4" "$(found)"
    legacy 4 -D NETPOL-FORWARD 1
    on_node n1 ipset destroy NP4-MASKED
else
    skip "ipset or the kernel knows no bitmask"
fi
same "taken out"

echo "-- rules of ours that say what no rule of ours says"
odd() { # family what-is-described reason words-of-the-rule…
    legacy "$1" -I NETPOL-FORWARD 2 "${@:4}" || die "cannot write: ${*:4}"
    finds "IPv$1 ${*:4}" "unprovable IPv$1 filter NETPOL-FORWARD rule 2: $2: $3"
    legacy "$1" -D NETPOL-FORWARD 2
}
unused="which netpold does not use"
option="with an option or an inversion that netpold does not use"
odd 4 "-m statistic … -j RETURN" "-m statistic, revision 0, $unused" \
    -m statistic --mode nth --every 2 --packet 0 -j RETURN
odd 4 "! -s 10.0.0.0/8 -j RETURN" "! -s: an inversion that netpold does not use" ! -s 10.0.0.0/8 -j RETURN
odd 6 "! -p tcp -j RETURN" "! -p: an inversion that netpold does not use" ! -p tcp -j RETURN
odd 4 "-i eth+ -j RETURN" "an interface by a part of its name" -i eth+ -j RETURN
odd 6 "! -o br0 -j RETURN" "! -o: an inversion that netpold does not use" ! -o br0 -j RETURN
odd 4 "-s 10.0.0.1/255.0.0.255 -j RETURN" "-s with a mask that is no prefix" -s 10.0.0.1/255.0.0.255 -j RETURN
odd 4 "-f -j RETURN" "-f: fragments only" -f -j RETURN
odd 4 "-p tcp -m tcp --dport 80 … -j RETURN" "-m tcp $option" -p tcp --dport 80 --syn -j RETURN
odd 4 "-p tcp -m tcp ! --sport 80 -j RETURN" "-m tcp $option" -p tcp ! --sport 80 -j RETURN
odd 6 "-p udp -m multiport … -j RETURN" "-m multiport $option" -p udp -m multiport --sports 53,54 -j RETURN
odd 4 "-p tcp -m tcp --dport 80 -m multiport … -j RETURN" "-m multiport, and another of its kind before" \
    -p tcp --dport 80 -m multiport --dports 80,81 -j RETURN
odd 4 "-p icmp -m icmp … -j RETURN" "-m icmp $option" -p icmp --icmp-type 3/1 -j RETURN
odd 6 "-m hl … -j RETURN" "-m hl $option" -m hl --hl-gt 4 -j RETURN
odd 4 "-m conntrack … -j RETURN" "-m conntrack $option" -m conntrack --ctdir REPLY -j RETURN
odd 4 "-m set … -j RETURN" "-m set $option" -m set ! --match-set "$set" src -j RETURN
odd 4 "-m addrtype … -j RETURN" "-m addrtype $option" -m addrtype --dst-type LOCAL -j RETURN
odd 4 "-j LOG" "-j LOG, in a form that netpold does not use" -j LOG
odd 4 "-j NFQUEUE" "-j NFQUEUE, in a form that netpold does not use" -j NFQUEUE
odd 4 "-j REJECT" "-j REJECT, in a form that netpold does not use" -j REJECT --reject-with icmp-host-prohibited
odd 4 "-p sctp -m multiport … -m set … -j RETURN" \
    "set $set: not netpold's, or of another kind or family than the rule asks for" \
    -p sctp -m multiport --dports 1,2 -m set --match-set "$set" dst,dst -j RETURN
odd 4 "-p 136 -m multiport … -j RETURN" "ports of a protocol other than TCP, UDP and SCTP" \
    -p udplite -m multiport --dports 1,2 -j RETURN
legacy 4 -N OTHER
odd 4 "-j OTHER" "it leads to a chain that is not netpold's" -j OTHER
same "all taken out"
legacy 4 -I NETPOL-FORWARD 2 -m comment --comment why -p tcp -m conntrack --ctstate NEW -m multiport --dports 22 -j RETURN
check_equal "another order of matches: nothing to say" "" "$(found)"
differs "another order of matches: read by what it means" \
    "-p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m comment --comment why -j RETURN"
legacy 4 -D NETPOL-FORWARD 2
text=$(legacy 6 -S NETPOL-FORWARD | sed -n 2p)
legacy 6 -I NETPOL-FORWARD 1 -p tcp -d 2001:db8::/32 -j DROP
check "the flag is taken from a rule without ports" on_node n1 "$UNFLAG" NETPOL-FORWARD 1
check_equal "no flag, no ports: nothing to say" "" "$(found)"
check_contains "no flag, no ports: every protocol, as the kernel takes it" \
    "-A NETPOL-FORWARD -d 2001:db8::/32 -j DROP" "$(on_node n1 "$LIVE" rules)"
check_contains "though ip6tables prints" "-A NETPOL-FORWARD -d 2001:db8::/32 -p tcp -j DROP" "$(legacy 6 -S NETPOL-FORWARD)"
legacy 6 -D NETPOL-FORWARD 1
check_equal "taken out" "$text" "$(legacy 6 -S NETPOL-FORWARD | sed -n 2p)"
entry=$(legacy 4 -S NETPOL-FORWARD | grep -n -- '-j NETPOL-FE' | head -1)
# shellcheck disable=SC2046 # the words of a rule
legacy 4 -R NETPOL-FORWARD $((${entry%%:*} - 1)) $(sed 's/^[0-9]*:-A NETPOL-FORWARD //; s/-j NETPOL-FE/-g NETPOL-FE/' <<<"$entry")
differs "a goto where a jump was" "-g NETPOL-FE"
check_equal "a goto where a jump was: nothing to say" "" "$(found)"
repair

echo "-- our jumps"
jump=$(legacy 4 -S FORWARD | sed -n 's/^-A FORWARD \(.*NETPOL-FORWARD\)$/\1/p')
# shellcheck disable=SC2086 # the words of a rule
legacy 4 -A FORWARD $jump
finds "doubled" "jump IPv4 filter FORWARD: the jump to NETPOL-FORWARD stands there 2 times"
legacy 4 -D FORWARD 3
legacy 6 -D INPUT 2
finds "missing" "jump IPv6 filter INPUT: no rule leads to NETPOL-INPUT"
legacy 6 -D INPUT 1
finds "missing for tunnels too" "jump IPv6 filter INPUT: no rule leads to NETPOL-INPUT" \
    "jump IPv6 filter INPUT: no rule leads to NETPOL-ENCAP"
differs "missing in the ruleset too" "INPUT"
repair
same "repaired"

echo "-- rules of others"
restore() { # the tables of others in IPv4
    on_node n1 iptables-legacy-restore -w --noflush
}
restore <<'E2'
*raw
-A PREROUTING -p udp -m udp --dport 53 -j NOTRACK
-A PREROUTING -j ACCEPT
COMMIT
*mangle
:FORWARD DROP [0:0]
:CANARY - [0:0]
:CHECKS - [0:0]
:DEEPER - [0:0]
-A PREROUTING -j CANARY
-A PREROUTING -p tcp -m tcp --syn -j TCPMSS --set-mss 1400
-A PREROUTING -j MARK --set-mark 4
-A INPUT -s 10.0.0.0/8 -m mark --mark 1 -j CHECKS
-A CHECKS -j DEEPER
-A DEEPER -p tcp -j RETURN
-A DEEPER -m statistic --mode random --probability 0.5 -j DROP
-A CANARY -j RETURN
-A POSTROUTING -j DROP
COMMIT
*nat
:KUBE - [0:0]
-A PREROUTING -j KUBE
-A KUBE -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1
-A POSTROUTING -j MASQUERADE
COMMIT
*filter
-A FORWARD -j DROP
-I FORWARD 1 -g OTHER
-I FORWARD 1 -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -m mark --mark 2 -j ACCEPT
-I FORWARD 1 -p tcp -m tcp --dport 23 -j ACCEPT
-I FORWARD 1 -j LOG
-I FORWARD 1 -j OTHER
-I INPUT 1 -i lo -j ACCEPT
COMMIT
E2
others=(
    "foreign IPv4 raw PREROUTING rule 1: -p udp -m udp --dport 53 -j CT"
    "foreign IPv4 mangle INPUT rule 1: -s 10.0.0.0/8 -m mark … -j CHECKS (DEEPER: -j DROP)"
    "foreign IPv4 mangle FORWARD: policy DROP"
    "foreign IPv4 filter FORWARD rule 3: -p tcp -m tcp --dport 23 -j ACCEPT"
    "foreign IPv4 filter FORWARD rule 4: -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -m mark … -j ACCEPT"
    "foreign IPv4 filter FORWARD rule 5: -g OTHER"
    "foreign IPv4 filter INPUT rule 1: -i lo -j ACCEPT"
)
finds "legacy tables" "${others[@]}"
check_equal "legacy tables: a text of them names as many" "${#others[@]}" \
    "$(on_node n1 bash -c "ipset save; iptables-legacy-save -c; ip6tables-legacy-save -c" >"$WORK/saved" &&
        on_node n1 "$LIVE" foreign "$WORK/saved" | wc -l)"
check "legacy tables: and the same ruleset" on_node n1 "$LIVE" equals "$WORK/saved" >/dev/null
for table in raw mangle nat; do on_node n1 iptables-legacy -w -t $table -F; done
on_node n1 iptables-legacy -w -t mangle -P FORWARD ACCEPT
for _ in 1 2 3 4 5; do legacy 4 -D FORWARD 1; done
legacy 4 -D FORWARD -j DROP
legacy 4 -D INPUT 1
check_equal "taken out: nothing to say" "" "$(found)"

echo "-- nf_tables"
nft() { on_node n1 python3 "$NFT_CHAIN" "$@"; }
if nft add ip early fwd filter forward -10 drop 2>"$WORK/nft"; then
    nft add ip early late filter forward 10 drop
    nft add ip early out filter postrouting -10 drop
    nft add inet both pre filter prerouting 100 accept
    nft add ip6 shut in filter input -1 none drop
    nft add ip6 empty in filter input -1 none
    nft add bridge br fwd filter forward -200 drop
    nft add netdev dev ing filter ingress 0 drop accept lo
    nft add ip dnat pre nat prerouting -100 accept
    nft add ip odd pre nat prerouting -100 drop
    check_equal "base chains ahead of us or beside us" "foreign nf_tables bridge br fwd: hook forward, priority -200: 1 rule
foreign nf_tables inet both pre: hook prerouting, priority 100: 1 rule
foreign nf_tables ip early fwd: hook forward, priority -10: 1 rule
foreign nf_tables ip odd pre: hook prerouting, priority -100: 1 rule
foreign nf_tables ip6 shut in: hook input, priority -1: 0 rules, policy drop
foreign nf_tables netdev dev ing: hook ingress, priority 0: 1 rule" "$(found | sort)"
    for table in "ip early" "inet both" "ip6 shut" "ip6 empty" "bridge br" "netdev dev" "ip dnat" "ip odd"; do
        # shellcheck disable=SC2086 # family and name
        nft del $table
    done
    check_equal "taken out: nothing to say" "" "$(found)"
else
    skip "nf_tables does not work here: $(tail -1 "$WORK/nft")"
fi

echo "-- read while it changes"
sed 's/\(NP[46]-\)[A-Z0-9]/\1Z/; s/--dport 80 /--dport 81 /' "$WORK/rules" >"$WORK/other"
on_node n1 bash -c "until [[ -e '$WORK/enough' ]]; do
    '$CONTRACT' apply '$WORK/other'; '$CONTRACT' apply '$WORK/rules'; done" >/dev/null 2>&1 &
writer=$!
settled=0 odd=0
for _ in {1..60}; do
    said=$(found 2>&1)
    case $said in
    "") settled=$((settled + 1)) ;;
    *": the kernel's rules changed in each of "*) ;;
    *)
        odd=$((odd + 1))
        sed 's/^/     /' <<<"$said"
        ;;
    esac
done
touch "$WORK/enough"
wait $writer
check_equal "60 readings: none sees a rule beside another's sets" 0 $odd
check "most of them found the kernel at rest ($settled)" test $settled -ge 30
same "afterwards"

echo "-- jumps"
for family in 4 6; do
    entry=$(legacy $family -S NETPOL-FORWARD | grep -n -- '-j NETPOL-FE' | head -1)
    number=$((${entry%%:*} - 1))
    rule=$(sed 's/^[0-9]*:-A NETPOL-FORWARD //; s/-j NETPOL-FE/-g NETPOL-FE/' <<<"$entry")
    # shellcheck disable=SC2086 # the words of a rule
    legacy $family -R NETPOL-FORWARD $number $rule
    expect "IPv$family: a goto where a jump belongs" 2 "-> x/b"
    netpold n1 --once >/dev/null
    # shellcheck disable=SC2046 # the words of a rule
    legacy $family -I FORWARD 2 $(legacy $family -S FORWARD | sed -n 's/^-A FORWARD \(.*NETPOL-FORWARD\)$/\1/p' | head -1)
    expect "IPv$family: our jump twice means the same" 0 "proven: "
    netpold n1 --once >/dev/null
    legacy $family -D INPUT 1
    expect "IPv$family: no jump in INPUT" 2 "x/a"
    netpold n1 --once >/dev/null
    expect "IPv$family: repaired" 0 "proven: "
done

echo "-- others that come before us"
on_node n1 iptables-legacy -w -t mangle -A FORWARD -p udp -j DROP
on_node n1 ip6tables-legacy -w -t raw -A PREROUTING -p udp -j NOTRACK
legacy 4 -I FORWARD 1 -p tcp --dport 22 -j ACCEPT
legacy 4 -I INPUT 1 -p tcp
expect "legacy rules of others" 0 "IPv4 mangle FORWARD rule 1" "IPv6 raw PREROUTING rule 1" "IPv4 filter FORWARD rule 1" \
    "--dport 22"
check "a rule that only counts is not named" test "$(grep -c 'filter INPUT' <<<"$said")" -eq 0
on_node n1 iptables-legacy -w -t mangle -F
on_node n1 ip6tables-legacy -w -t raw -F
legacy 4 -D FORWARD 1
legacy 4 -D INPUT 1
if command -v iptables-nft >/dev/null && on_node n1 iptables-nft -A FORWARD -p udp -j DROP 2>/dev/null; then
    expect "nf_tables beside us" 0 "nf_tables ip filter FORWARD" "hook forward, priority 0: 1 rule"
    on_node n1 iptables-nft -F FORWARD
    expect "its empty chains" 0
    check "are not named" test "$(grep -c nf_tables <<<"$said")" -eq 0
else
    skip "iptables-nft does not work here: base chains of nf_tables are not read"
fi
finish
