#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What belongs to others survives start, update, drift repair and cleanup: chains, rules, counters and sets byte for byte.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
namespace x team=x
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/api n1 bridged app=api,role=client
state_write

on_node n1 iptables-legacy-restore -c <<'E2' || die "cannot load foreign rules"
*filter
:INPUT ACCEPT [11:1100]
:FORWARD ACCEPT [22:2200]
:OUTPUT ACCEPT [33:3300]
:FOREIGN - [0:0]
:NETPOLICE - [0:0]
:KUBE-FORWARD - [0:0]
[7:700] -A INPUT -s 198.51.100.66/32 -p tcp -m tcp --dport 22 -j FOREIGN
[5:500] -A FORWARD -s 198.51.100.77/32 -m comment --comment "not netpold's" -j FOREIGN
[4:400] -A FORWARD -m conntrack --ctstate INVALID -j KUBE-FORWARD
[3:300] -A FOREIGN -p udp -m multiport --dports 53,5353 -m limit --limit 3/sec -j LOG --log-prefix "foreign "
[2:200] -A FOREIGN -j RETURN
[1:100] -A NETPOLICE -d 198.51.100.88/32 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[9:900] -A POSTROUTING -s 198.51.100.0/24 -o eth0 -j MASQUERADE
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[8:800] -A PREROUTING -s 198.51.100.99/32 -j MARK --set-xmark 0x1/0x1
COMMIT
E2
on_node n1 ip6tables-legacy-restore -c <<'E2' || die "cannot load foreign IPv6 rules"
*filter
:INPUT ACCEPT [11:1100]
:FORWARD ACCEPT [22:2200]
:OUTPUT ACCEPT [33:3300]
:FOREIGN - [0:0]
[6:600] -A FORWARD -s 2001:db8:66::/64 -j FOREIGN
[5:500] -A FOREIGN -p tcp -m tcp --dport 1:1024 -j REJECT --reject-with tcp-reset
COMMIT
E2
on_node n1 ipset restore <<'E2' || die "cannot load foreign sets"
create foreign hash:net family inet hashsize 1024 maxelem 65536 counters comment bucketsize 12 initval 0x12345678
add foreign 198.51.100.0/24 packets 12 bytes 3456 comment "not netpold's"
create NP-foreign hash:ip family inet6 hashsize 64 maxelem 100 bucketsize 12 initval 0x87654321
add NP-foreign 2001:db8:66::1
E2
on_node n1 iptables-legacy -A FOREIGN -m set --match-set foreign src -j RETURN

# The foreign part of everything, counters included. The counters of built-in chains move with every packet: apart.
foreign() {
    on_node n1 bash -c 'for tool in iptables-legacy-save ip6tables-legacy-save; do $tool -c; done; ipset save' |
        grep -vE '^#|NETPOL-|NP[46]-|^:(INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) '
}
builtin_packets() {
    on_node n1 iptables-legacy-save -c -t filter | sed -n 's/^:FORWARD [A-Z]* \[\([0-9]*\):.*/\1/p'
}
before=$(foreign)
packets=$(builtin_packets)
same() { # when
    check_equal "$1: foreign rules, counters and sets are byte-identical" "$before" "$(foreign)"
    local now
    now=$(builtin_packets)
    check "$1: the counter of FORWARD was not reset" test "$now" -ge "$packets"
    packets=$now
}

policies "$KERNEL_DIR/recipes/01-deny-all-to-an-application.yaml"
netpold_start n1 --sync-period 1s
check "start" wait_ready n1
check "in sync" wait_in_sync n1
check "it enforces" blocked x/api x/web tcp/80
same "after start"

policies "$KERNEL_DIR/recipes/02-limit-by-label.yaml" "$KERNEL_DIR/recipes/13-default-deny-egress.yaml" \
    "$KERNEL_DIR/recipes/09-external-traffic.yaml"
check "update in force" wait_in_sync n1
check "it enforces the update" blocked x/webr x/web tcp/81
same "after update"
POD_LABELS["x/api"]=app=other
state_write
check "relabel in force" wait_in_sync n1
same "after a relabel"

on_node n1 iptables-legacy -w -F NETPOL-FORWARD
check "drift repaired" eventually 5 in_sync n1
same "after drift repair"

# Foreign rules behind our jump see what policy allows: allowed traffic goes on to them.
on_node n1 iptables-legacy -w -A FORWARD -p tcp --dport 81 -m comment --comment watch -j RETURN
policies
check "no policy" wait_in_sync n1
check "allowed traffic" reaches x/api x/webr tcp/81
seen=$(on_node n1 iptables-legacy-save -c -t filter | sed -n 's/^\[\([0-9]*\):.*--comment watch.*/\1/p')
check "a foreign rule in FORWARD sees allowed pod traffic" test "${seen:-0}" -ge 1
policies "$KERNEL_DIR/recipes/02-limit-by-label.yaml"
check "policy again" wait_in_sync n1
after=$(on_node n1 iptables-legacy-save -c -t filter | sed -n 's/^\[\([0-9]*\):.*--comment watch.*/\1/p')
check "its counter is kept over an update" test "${after:-0}" -ge "${seen:-1}"
on_node n1 iptables-legacy -w -D FORWARD -p tcp --dport 81 -m comment --comment watch -j RETURN

# What a foreign rule uses stays when it is not needed any more; it is said, and disturbs nothing else.
leftovers() { http_get n1 /metrics | sed -n 's/^netpold_leftovers //p'; }
leftovers_are() { [[ $(leftovers) == "$1" ]]; }
set=$(on_node n1 iptables-legacy -w -S | sed -n 's/^-A NETPOL-P-.* --match-set \(NP4-[A-Z0-9]*\) .*/\1/p' | head -1)
on_node n1 iptables-legacy -w -A FOREIGN -m set --match-set "$set" src -j RETURN
policies
check "a set that a foreign rule uses is counted as left over" eventually 5 leftovers_are 1
check "the daemon is ready all the same" is_ready n1
check "all but the set is gone" eventually 5 reaches x/webr x/web tcp/80
check_contains "it says which" "event=leftovers-pinned count=1 names=\"set $set\"" "$(cat "$WORK/netpold.n1.log")"
policies "$KERNEL_DIR/recipes/02-limit-by-label.yaml"
check "needed again, it is used again" wait_in_sync n1
check "it enforces" blocked x/webr x/web tcp/80
check "nothing is left over" eventually 5 leftovers_are 0
policies
check "and again it stays" eventually 5 leftovers_are 1
check "ready" is_ready n1
check_equal "nothing of all that was a failure" 0 "$(grep -c apply-failed "$WORK/netpold.n1.log")"
netpold_stop n1
said=$(netpold n1 --once)
check_equal "netpold --once beside a leftover: nothing to do" 0 $?
check_contains "and it is named" "1 leftover kept, which rules of other programs use: set $set" "$said"
said=$(netpold n1 --cleanup 2>&1)
check_equal "cleanup is not complete" 1 $?
check_contains "and says why" "rules of other programs use what is left: set $set" "$said"
on_node n1 iptables-legacy -w -D FOREIGN -m set --match-set "$set" src -j RETURN
policies "$KERNEL_DIR/recipes/02-limit-by-label.yaml"
netpold_start n1 --sync-period 1s
check "start again" wait_ready n1

netpold_stop n1
same "after SIGTERM"
check "cleanup" purge n1
same "after cleanup"
check_equal "nothing of netpold left" 0 "$(own_objects n1)"
check "open again" reaches x/webr x/web tcp/80
finish
