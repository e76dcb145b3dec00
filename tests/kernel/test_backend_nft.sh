#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The nft backend against its contract, the choice between the backends, and the way from one to the other. What the
# legacy backend is tested for is in test_backend_contract.sh.
source "$(dirname "$0")/lib.sh"
sandbox "$@"

CONTRACT=$BUILD/tests/tools/backend_contract
SEED=${SEED:-$RANDOM}
[[ -x $CONTRACT ]] || die "$CONTRACT is not built"
for tool in iptables-nft ip6tables-nft; do command -v $tool >/dev/null || skip_all "not installed: $tool"; done
"$CONTRACT" -b nft probe >"$WORK/probe" 2>&1 || skip_all "$(tail -1 "$WORK/probe")"
echo "SEED=$SEED"
nft() { "$CONTRACT" -b nft "$@" 2>&1; }
legacy() { "$CONTRACT" -b legacy "$@" 2>&1; }
legacy_tables() { cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null; }
# Tables of nf_tables, without a program that would make them.
nft_chains() { "$BUILD/tests/tools/nft_chains"; }

# ---- looking makes nothing -----------------------------------------------------------------------------------------
check_contains "an empty host is told as such" "legacy: the host says nothing" "$(nft choose)"
printf '# ipset restore\n# iptables-restore --noflush\n*filter\nCOMMIT\n# ip6tables-restore --noflush\n*filter\nCOMMIT\n' \
    >"$WORK/empty"
nft snapshot >/dev/null
nft purge >/dev/null
legacy clean-other >/dev/null
nft clean-other >/dev/null
check_contains "nothing wanted, nothing written" "writes=0" "$(nft apply "$WORK/empty")"
check_equal "choice, snapshot, purge, clean-other and an empty ruleset make no nf_tables table" "" "$(nft_chains)"
check_equal "nor a legacy one" "" "$(legacy_tables)"

# ---- cases ---------------------------------------------------------------------------------------------------------
SEED=$SEED unshare -n bash -c "'$CONTRACT' -b nft && ! ipset list -n | grep . && ! iptables-nft-save | grep NETPOL" >"$WORK/cases" 2>&1
case $? in
0) pass "and leaves nothing: $(sed -n 's/^\[  PASSED  \] //p' "$WORK/cases" | head -1) of the contract, nft" ;;
*)
    fail "cases of the contract"
    grep -vE '^\[ (RUN|      OK)' "$WORK/cases" | tail -60 | sed 's/^/     /'
    ;;
esac

# ---- what iptables says is what was rendered -----------------------------------------------------------------------
saved() { "$1" -t filter | grep -E '^(:NETPOL-|-A)' | sed 's/ \[[0-9]*:[0-9]*\]$//' | sort; }
rendered() { # file marker
    sed -n "/^# $2/,/^COMMIT/p" "$1" | grep -E '^(:NETPOL-|-[AI])' |
        sed -E 's/ \[0:0\]$//; s/^-I ([A-Z]*) [0-9]+ /-A \1 /' | sort
}
names_of_protocols() { sed -E 's/ -p 4( |$)/ -p ipencap\1/; s/ -p 41( |$)/ -p ipv6\1/; s/ -p 47( |$)/ -p gre\1/' | sort; }
for i in $(seq "${ROUNDS:-6}"); do
    "$CONTRACT" random $((SEED + i)) >"$WORK/rules"
    check "random $((SEED + i)): applied" nft apply "$WORK/rules" >/dev/null
    for tool in iptables ip6tables; do
        check_equal "random $((SEED + i)): $tool-nft-save prints the rendered rules" \
            "$(rendered "$WORK/rules" $tool-restore | names_of_protocols)" \
            "$(saved $tool-nft-save | names_of_protocols)"
    done
    check_contains "random $((SEED + i)): then nothing to do" "writes=0 " "$(nft apply "$WORK/rules")"
    nft purge >/dev/null
done

# ---- foreign things and drift --------------------------------------------------------------------------------------
cat >"$WORK/rules" <<'E'
# ipset restore
create NP4-PODS hash:ip family inet hashsize 64 maxelem 65536
add NP4-PODS 10.0.0.1
add NP4-PODS 10.0.0.2
create NP6-PORTS hash:ip,port family inet6 hashsize 64 maxelem 65536
add NP6-PORTS fd00::1,sctp:80
# iptables-restore --noflush
*filter
:NETPOL-FORWARD - [0:0]
:NETPOL-I-WEB - [0:0]
-A NETPOL-FORWARD -d 10.0.0.0/24 -g NETPOL-I-WEB
-A NETPOL-I-WEB -p tcp -m tcp --dport 80 -m set --match-set NP4-PODS src -j RETURN
-A NETPOL-I-WEB -m physdev --physdev-in veth0 -m connmark --mark 0x8000000/0x8000000 -j RETURN
-A NETPOL-I-WEB -p tcp -m comment --comment "x/web" -j REJECT --reject-with tcp-reset
-A NETPOL-I-WEB -j DROP
-I FORWARD 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
-I INPUT 1 -m connmark --mark 0x8000000/0x8000000 -j NETPOL-FORWARD
-I INPUT 2 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
COMMIT
# ip6tables-restore --noflush
*filter
:NETPOL-FORWARD - [0:0]
-A NETPOL-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN
-A NETPOL-FORWARD -m set --match-set NP6-PORTS dst,dst -j RETURN
-I FORWARD 1 -j NETPOL-FORWARD
COMMIT
E
iptables-nft-restore -c <<'E' || die "cannot load foreign rules"
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:FOREIGN - [0:0]
:NETPOLICE - [0:0]
[5:500] -A FORWARD -s 198.51.100.77/32 -m comment --comment "not ours" -j FOREIGN
[4:400] -A FORWARD -m conntrack --ctstate INVALID -j NETPOLICE
[3:300] -A FOREIGN -p udp -m multiport --dports 53,5353 -m limit --limit 3/sec -j LOG --log-prefix "foreign "
COMMIT
E
foreign() { iptables-nft-save -c -t filter | grep -vE '^#|NETPOL-'; }
before=$(foreign)
check "apply beside foreign rules" nft apply "$WORK/rules" >/dev/null
check_equal "foreign rules and counters after apply" "$before" "$(foreign)"
ours() { iptables-nft-save -t filter | grep NETPOL-; ip6tables-nft-save -t filter | grep NETPOL-; ipset save | grep -E '^add NP[46]-' | sort; }
wanted=$(ours)
drift() { # what report-part command…
    local what=$1 part=$2
    shift 2
    "$@" || die "$what: $*"
    before=$(foreign)
    check_contains "$what is repaired" "$part" "$(nft apply "$WORK/rules")"
    check_equal "$what: all as wanted" "$wanted" "$(ours)"
    check_equal "$what: foreign things are the same" "$before" "$(foreign)"
    check_contains "$what: then nothing to do" "writes=0 " "$(nft apply "$WORK/rules")"
}
ipt=iptables-nft
drift "a flushed chain" "writes=1 commits=1 sets+0-0 members+0-0 chains+0~1-0 hooks=0" $ipt -F NETPOL-I-WEB
drift "a rule that is none of ours" "chains+0~1-0" $ipt -I NETPOL-I-WEB 2 -m mark --mark 7 -j ACCEPT
drift "a negated set" "chains+0~1-0" $ipt -R NETPOL-I-WEB 1 -p tcp --dport 80 -m set ! --match-set NP4-PODS src -j RETURN
drift "a deleted jump" "hooks=1" $ipt -D FORWARD 1
drift "a jump doubled at the end" "hooks=1" $ipt -A FORWARD -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
drift "a jump doubled at the head" "hooks=1" $ipt -I FORWARD 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD
drift "a jump doubled twice" "hooks=2" bash -c "$ipt -I FORWARD 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD; $ipt -A FORWARD -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD"
drift "another jump of ours" "hooks=1" $ipt -A OUTPUT -p tcp -j NETPOL-FORWARD
drift "a jump of ours in other words" "hooks=1" $ipt -A FORWARD -m mark --mark 9 -m comment --comment 'a "b" c' -j NETPOL-FORWARD
drift "a jump moved down" "hooks=1" bash -c "$ipt -D FORWARD 1; $ipt -I FORWARD 2 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD"
drift "two jumps in the wrong order" "hooks=2" bash -c "$ipt -D INPUT 1; $ipt -A INPUT -m connmark --mark 0x8000000/0x8000000 -j NETPOL-FORWARD"
drift "stale chains" "chains+0~0-2" bash -c "$ipt -N NETPOL-OLD; $ipt -N NETPOL-OLDER; $ipt -A NETPOL-OLD -j NETPOL-OLDER"
drift "IPv6: a deleted rule" "chains+0~1-0" ip6tables-nft -D NETPOL-FORWARD 2
drift "a deleted member" "members+1-0" ipset del NP4-PODS 10.0.0.2
drift "all of it gone" "chains+2~0-0 hooks=3" bash -c "$ipt -D FORWARD 1; $ipt -D INPUT 1; $ipt -D INPUT 1; $ipt -F NETPOL-FORWARD;
    $ipt -F NETPOL-I-WEB; $ipt -X NETPOL-FORWARD; $ipt -X NETPOL-I-WEB"
$ipt -A FOREIGN -j NETPOL-I-WEB
check_contains "a foreign jump to our chain is named" \
    "pinned=1: chain NETPOL-I-WEB of IPv4 (a rule of FOREIGN jumps to it)" "$(nft purge)"
check_equal "all but the emptied chain is gone" ":NETPOL-I-WEB - [0:0]
-A FOREIGN -j NETPOL-I-WEB" "$(iptables-nft-save -t filter | grep NETPOL-)"
$ipt -D FOREIGN -j NETPOL-I-WEB
check_contains "then it goes" "chains+0~0-1" "$(nft purge)"

# ---- what is read for a proof --------------------------------------------------------------------------------------
LIVE=$BUILD/tests/tools/live_text
nft apply "$WORK/rules" >/dev/null
check "what is read for a proof is what was applied" "$LIVE" equals "$WORK/rules"
check_equal "with what others have ahead of it: nothing" "" "$("$LIVE" findings)"
$ipt -I FORWARD 1 -s 192.0.2.7 -j DROP
$ipt -t raw -A PREROUTING -s 192.0.2.8 -j DROP
check_contains "a foreign rule ahead of ours is named" "foreign IPv4" "$("$LIVE" findings | grep 'FORWARD: -s 192.0.2.7')"
check_contains "and one of an earlier table" "foreign IPv4" "$("$LIVE" findings | grep 'raw PREROUTING: -s 192.0.2.8')"
$ipt -D FORWARD 1
$ipt -t raw -F
iptables-legacy -A FORWARD -s 192.0.2.6 -j DROP
check_contains "and one of the legacy tables beside" "foreign IPv4" "$("$LIVE" findings | grep 'FORWARD.*192.0.2.6')"
iptables-legacy -F
$ipt -I NETPOL-I-WEB 2 -m mark --mark 7 -j ACCEPT
check_contains "a rule of ours that cannot be told is named" "unprovable IPv4 filter NETPOL-I-WEB rule 2: -m mark --mark 0x7 -j ACCEPT" "$("$LIVE" findings)"
$ipt -D NETPOL-I-WEB 2
legacy apply "$WORK/rules" >/dev/null
check_contains "ours on both sides prove nothing" "unprovable legacy tables beside nf_tables" "$("$LIVE" findings)"
nft clean-other >/dev/null
check "then they do again" "$LIVE" equals "$WORK/rules"
nft purge >/dev/null

# ---- others write at the same time ---------------------------------------------------------------------------------
"$CONTRACT" -b nft apply "$WORK/rules" >/dev/null
sed 's/--dport 80 /--dport 81 /' "$WORK/rules" >"$WORK/other"
(
    for _ in $(seq 150); do
        $ipt -I FORWARD 1 -s 192.0.2.9 -j FOREIGN
        $ipt -D FORWARD -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD 2>/dev/null
        $ipt -D FORWARD -s 192.0.2.9 -j FOREIGN
    done
) &
busy=$!
refused=0 applied=0
while kill -0 $busy 2>/dev/null; do
    for file in other rules; do
        if nft apply "$WORK/$file" >"$WORK/said"; then ((applied++)); else
            ((refused++))
            grep -q RETRY "$WORK/said" || grep -q retry "$WORK/said" || cat "$WORK/said"
        fi
    done
done
wait $busy
echo "beside another writer: $applied applied, $refused refused"
check "most of them were applied" test $applied -gt $refused
check "and one more" nft apply "$WORK/rules" >/dev/null
check_equal "beside another writer: all as wanted" "$wanted" "$(ours)"
check_equal "beside another writer: its rules are the same" "$(grep -v '^:' <<<"$before" | sed 's/^\[[0-9:]*\] //')" \
    "$(foreign | grep -v '^:' | sed 's/^\[[0-9:]*\] //')"

# ---- from one backend to the other ---------------------------------------------------------------------------------
check_contains "our own rules decide where there is no hint" "nft: rules of netpold are there already" "$(nft choose)"
check "legacy beside nft" legacy apply "$WORK/rules" >/dev/null
check_contains "nft is cleaned out" "writes=2 commits=2 sets+0-0 members+0-0 chains+0~0-3 hooks=4" "$(legacy clean-other)"
check_equal "nothing of ours is left in nft" "" "$(iptables-nft-save -t filter | grep NETPOL-; ip6tables-nft-save -t filter | grep NETPOL-)"
check_contains "and legacy is whole" "writes=0 " "$(legacy apply "$WORK/rules")"
check_contains "cleaned again, nothing is written" "writes=0 " "$(legacy clean-other)"
check_contains "now legacy has ours" "legacy: rules of netpold are there already" "$(nft choose)"
$ipt -t mangle -N KUBE-IPTABLES-HINT
check_contains "the host's hint goes before ours" "nft: the host's KUBE-IPTABLES-HINT (mangle) is there" "$(nft choose)"
check "nft beside legacy" nft apply "$WORK/rules" >/dev/null
check_contains "legacy is cleaned out" "chains+0~0-3 hooks=4" "$(nft clean-other)"
check_equal "nothing of ours is left in legacy" "" "$(iptables-legacy-save | grep NETPOL-; ip6tables-legacy-save | grep NETPOL-)"
check_contains "and nft is whole" "writes=0 " "$(nft apply "$WORK/rules")"
iptables-legacy -t nat -N KUBE-KUBELET-CANARY
check_contains "hints on both sides: where ours are" "nft: rules of netpold are there already, and hints on both sides" "$(nft choose)"
$ipt -t mangle -X KUBE-IPTABLES-HINT
check_contains "a hint in legacy alone" "legacy: the host's KUBE-KUBELET-CANARY (nat) is there" "$(nft choose)"
iptables-legacy -t nat -X KUBE-KUBELET-CANARY
nft purge >/dev/null

# ---- hosts that lack something -------------------------------------------------------------------------------------
# A /usr/sbin without some of the programs; the rest of this test has its own copies of what it needs.
without() { # names…
    local real name
    real=$(realpath /usr/sbin)
    rm -rf "$WORK/sbin"
    mkdir "$WORK/sbin"
    for name in "$real"/*; do ln -s "$WORK/real/${name##*/}" "$WORK/sbin/${name##*/}"; done
    for name in "$@"; do rm -f "$WORK/sbin/$name"; done
    mkdir -p "$WORK/real"
    mount --bind "$real" "$WORK/real" && mount --bind "$WORK/sbin" "$real"
}
with() { umount "$(realpath /usr/sbin)" "$WORK/real"; }
if [[ $(realpath /sbin) == $(realpath /usr/sbin) ]]; then
    without iptables-nft-restore
    got=$(nft apply "$WORK/rules")
    choice=$(legacy choose)
    with
    check_contains "a missing program is named" "iptables-nft-restore is neither in /usr/sbin nor in /sbin: install iptables" "$got"
    check_contains "and the choice goes by it" "legacy: " "$choice"

    without ip6tables-nft-restore ip6tables-nft-save
    got=$(nft apply "$WORK/rules")
    with
    check_contains "without ip6tables that is said" "ip6tables-nft-restore is neither in /usr/sbin" "$got"
    check_equal "and IPv4 is whole" "$(grep -v '^add NP6' <<<"$wanted" | grep -v 'ip6\|NP6-\|icmp6' | grep -c I-WEB)" "$(iptables-nft-save -t filter | grep -c I-WEB)"
    check "with it, both" nft apply "$WORK/rules" >/dev/null
    check_equal "as wanted" "$wanted" "$(ours)"
    nft purge >/dev/null
else
    skip "hosts without programs: /sbin and /usr/sbin are two directories here"
fi
got=$(setpriv --bounding-set=-net_admin,-net_raw --inh-caps=-all bash -c "'$CONTRACT' -b nft apply '$WORK/rules'" 2>&1)
check_contains "a missing right is named" "CAP_NET_ADMIN" "$got"
check_equal "nothing of ours is left" "" "$(ours)"
finish
