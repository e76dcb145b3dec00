#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What render writes, the stock tools load, and print back byte for byte; what they print, parse reads back as the same
# ruleset. Random rulesets with every match, target and set type, in the legacy and in the nft flavour of iptables.
source "$(dirname "$0")/lib.sh"
sandbox "$@"

TOOL=$BUILD/tests/tools/ruleset_text
[[ -x $TOOL ]] || die "$TOOL is not built"
SEED=${SEED:-$(date +%s)}
N=${N:-25}
echo "SEED=$SEED N=$N"

# Where /etc/protocols is installed the iptables tools print a name for 4, 41 and 47 ("gre"); the text that we write has
# to load where it is not, and is then equal byte for byte. ipset takes even "tcp" from there.
if [[ -e /etc/protocols ]]; then
    printf 'tcp\t6\tTCP\nudp\t17\tUDP\nsctp\t132\tSCTP\n' >"$WORK/protocols"
    mount --bind "$WORK/protocols" /etc/protocols || skip_all "/etc/protocols cannot be replaced"
else
    skip_all "/etc/protocols is not installed: ipset cannot read \"tcp\""
fi

flavours=()
for flavour in legacy nft; do
    if ! command -v "iptables-$flavour-restore" >/dev/null || ! command -v "ip6tables-$flavour-restore" >/dev/null; then
        skip "$flavour: iptables-$flavour-restore is not installed"
    elif ! printf '*filter\nCOMMIT\n' | "iptables-$flavour-restore" --noflush 2>/dev/null; then
        skip "$flavour: this kernel has no $flavour tables"
    else
        flavours+=("$flavour")
    fi
done
for match in addrtype comment conntrack multiport set icmp; do
    iptables-legacy -m "$match" --help >/dev/null 2>&1 || skip_all "iptables has no match $match"
done
printf '*filter\n:X - [0:0]\n-A X -m hl --hl-eq 255\n-A X -m addrtype --src-type LOCAL\n-A X -j REJECT\nCOMMIT\n' |
    ip6tables-legacy-restore 2>/dev/null || skip_all "this kernel lacks xt_hl, xt_addrtype or REJECT for IPv6"
ip6tables-legacy -F && ip6tables-legacy -X

# Foreign rules, a foreign chain and a foreign set, to be left out by parse and kept by the load.
foreign() { # command: iptables-legacy…
    "$1" -N FOREIGN && "$1" -A FOREIGN -m limit --limit 5/min -j LOG --log-prefix 'x NETPOL- "y"' &&
        "$1" -A FORWARD -j FOREIGN && "$1" -A INPUT -i lo -j ACCEPT
}
clear_tables() { # flavour
    local tool
    for tool in "iptables-$1" "ip6tables-$1"; do
        "$tool" -F && "$tool" -X
    done 2>/dev/null
    ipset destroy
}

# The lines of a save that are ours: rules of our chains, and of built-in chains those that lead to ours.
ours() {
    grep -E '^-A NETPOL-|^-A (FORWARD|INPUT|OUTPUT) .*-[jg] NETPOL-'
}
# Our text in the order and the words of a save: built-in chains first, as INPUT, FORWARD, OUTPUT, with -A for -I.
as_saved() { # section file
    local builtin
    for builtin in INPUT FORWARD OUTPUT; do
        sed -n "s/^-I $builtin [0-9]* /-A $builtin /p" "$1"
    done
    grep '^-A NETPOL-' "$1"
}
# ipset prints members in hash order, and what it made up at creation.
sorted_sets() {
    sed -E 's/ bucketsize [0-9]+ initval 0x[0-9a-f]+$//' | grep -E 'NP[46]-' | sort
}

one() { # flavour seed
    local flavour=$1 seed=$2 family section got want bad=0
    for section in ipset iptables ip6tables restore; do
        "$TOOL" "$seed" "$section" >"$WORK/$section" || return 1
    done
    ipset create foreign bitmap:port range 0-100
    foreign "iptables-$flavour" || return 1
    foreign "ip6tables-$flavour" || return 1
    ipset restore <"$WORK/ipset" || { echo "     ipset restore refuses seed $seed"; return 1; }
    for family in iptables ip6tables; do
        "$family-$flavour-restore" --noflush <"$WORK/$family" ||
            { echo "     $family-$flavour-restore refuses seed $seed"; return 1; }
        "$family-$flavour-save" -t filter >"$WORK/$family.saved" 2>/dev/null
        "$family-$flavour-save" -c >"$WORK/$family.counted" 2>/dev/null
        want=$(as_saved "$WORK/$family")
        got=$(ours <"$WORK/$family.saved")
        [[ $want == "$got" ]] ||
            { diff <(echo "$want") <(echo "$got") | sed "s/^/     seed $seed $family: /"; bad=1; }
        grep -q '^-A FOREIGN .*LOG' "$WORK/$family.saved" || { echo "     the foreign rule is gone"; bad=1; }
    done
    ipset save >"$WORK/ipset.saved"
    want=$(sorted_sets <"$WORK/ipset")
    got=$(sorted_sets <"$WORK/ipset.saved")
    [[ $want == "$got" ]] || { diff <(echo "$want") <(echo "$got") | sed "s/^/     seed $seed ipset: /"; bad=1; }
    cat "$WORK/ipset.saved" "$WORK/iptables.saved" "$WORK/ip6tables.saved" >"$WORK/saved"
    "$TOOL" "$seed" equals "$WORK/saved" >"$WORK/differs" 2>&1 || { sed "s/^/     seed $seed: /" "$WORK/differs"; bad=1; }
    cat "$WORK/ipset.saved" "$WORK/iptables.counted" "$WORK/ip6tables.counted" >"$WORK/counted"
    "$TOOL" "$seed" equals "$WORK/counted" >"$WORK/differs" 2>&1 ||
        { sed "s/^/     seed $seed, all tables and counters: /" "$WORK/differs"; bad=1; }
    # The stream as one file, split by its marker lines as render.h says.
    sed -n '/^# iptables-restore/,/^# ip6tables-restore/p' "$WORK/restore" | sed '$d' | cmp -s - "$WORK/iptables" ||
        { echo "     the stream does not split by its marker lines"; bad=1; }
    return $bad
}

for flavour in "${flavours[@]}"; do
    clear_tables "$flavour"
    good=0
    for ((i = 0; i < N; i++)); do
        one "$flavour" $((SEED + i)) && good=$((good + 1))
        clear_tables "$flavour"
    done
    check_equal "$flavour: $N random rulesets load, print back byte for byte and parse back equal" "$N" "$good"
done

# The chains can be loaded again over themselves, and the hooks are then there twice: what the daemon counts as drift.
if [[ ${flavours[0]:-} == legacy ]]; then
    "$TOOL" "$SEED" ipset | ipset restore
    "$TOOL" "$SEED" iptables >"$WORK/iptables"
    iptables-legacy-restore --noflush <"$WORK/iptables"
    once=$(iptables-legacy-save -t filter | grep -c '^-A NETPOL-')
    iptables-legacy-restore --noflush <"$WORK/iptables"
    check_equal "loading twice leaves each chain as it was" "$once" "$(iptables-legacy-save -t filter | grep -c '^-A NETPOL-')"
    # A loaded text judges nothing that it does not hook, and is gone with its chains.
    clear_tables legacy
    check_equal "nothing is left behind" "" "$(ipset list -n)"
fi
finish
