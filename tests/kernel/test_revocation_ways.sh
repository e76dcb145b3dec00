#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# More ways in which established connections turn denied (test_revocation.sh): a block of addresses narrowed, a named port
# moved. What must never be cut goes on meanwhile: what the node says to its own pod (the probes of kubelet), and another
# client of the same server. And with --no-revoke all of it goes on. On both backends.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here, and sets what is used
source "$(dirname "$0")/lib.sh"
variants BACKEND legacy nft
sandbox "$@"
source "$(dirname "$0")/lib/talk.sh"

fabric
node n1
outside
routes
namespace x team=x
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/cli n1 bridged app=cli
pod x/clir n1 routed app=cli
pod x/keep n1 bridged app=keep
pod x/keepr n1 routed app=keep

np() { # ingress rules
    printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: web}\n'
    printf 'spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [%s]}\n' "$1"
}
KEEP='{from: [{podSelector: {matchLabels: {app: keep}}}]}'
blocks() { # except4 except6
    np "$KEEP, {from: [{ipBlock: {cidr: 0.0.0.0/0, except: [$1]}}, {ipBlock: {cidr: '::/0', except: ['$2']}}]}"
}
WIDE=$(blocks 198.51.100.0/24 2001:db8:ffff::/48)
NARROW=$(blocks "${POD_IP4[x/cli]}/32" "${POD_IP6[x/clir]}/128")
NAMES='' NAMED=''
for mode in 1 2 3 4; do
    for protocol in TCP UDP SCTP; do
        NAMES+=",${protocol,,}$mode:700$mode/$protocol"
        NAMED+=",{port: ${protocol,,}$mode, protocol: $protocol}"
    done
done
NAMES=${NAMES#,} NAMED=${NAMED#,}
ports() { # names
    POD_PORTS["x/web"]=$1 POD_PORTS["x/webr"]=$1
    state_write
}

# Those that stay: servers of their own report, for a report tells every connection of its server.
STAY=()
stay() { # way kinds…
    local kinds=("${@:2}")
    talk_end
    talk_serve x-web "${POD_IP4[x/web]}" "$1.web"
    talk_serve x-webr "${POD_IP6[x/webr]}" "$1.webr"
    STAY=()
    local from
    for from in n1 x-keep; do
        REPORTS=()
        local ip4=${NODE_IP4[n1]} ip6=${NODE_IP6[n1]} routed=n1
        [[ $from == n1 ]] || ip4=${POD_IP4[x/keep]} ip6=${POD_IP6[x/keepr]} routed=x-keepr
        talk_open "$1.$from.4" "$from" "$ip4" "${POD_IP4[x/web]}" tcp-push tcp-answer udp-answer
        talk_open "$1.$from.6" "$routed" "$ip6" "${POD_IP6[x/webr]}" tcp-push tcp-answer udp-answer
        STAY+=("${REPORTS[@]}")
    done
    REPORTS=()
    talk_open "$1" x-cli "${POD_IP4[x/cli]}" "${POD_IP4[x/web]}" "${kinds[@]}"
    talk_open "$1" x-clir "${POD_IP6[x/clir]}" "${POD_IP6[x/webr]}" "${kinds[@]}"
    CUT=("${REPORTS[@]}")
    ALL=("$WORK/serve.$1.web" "$WORK/serve.$1.webr" "${CUT[@]}" "${STAY[@]}")
}
heard_by() { # reports…: those of them that heard nothing in the last 0.3 s and should have
    local -a REPORTS=("$@")
    heard_since "$(($(now_ns) - 300000000))"
}
talking() { # reports…
    [[ -z $(heard_by "$@") ]]
}
# The servers hear those that stay too, so what they hear of the others is picked by the address.
late_at_servers() { # ns
    awk -v until=$(($1 + 1000000000)) -v c4="${POD_IP4[x/cli]}" -v c6="${POD_IP6[x/clir]}" '
        index($2, c4 ":") == 1 || index($2, c6) || index($2, "[" c6 "]") || $2 == c4 {
            n++; split($4, last, "="); if (last[2] + 0 > until) print }
        END { if (!n) print "the servers know no such client" }' "$WORK/serve.$2.web" "$WORK/serve.$2.webr"
}
one_way() { # name title change…
    local way=$1 title=$2 t0 end
    shift 2
    REPORTS=("${ALL[@]}")
    check "$title: everything talks" eventually 10 all_talk
    t0=$(now_ns)
    "$@"
    sleep 1.2
    resume
    sleep "$LISTEN_S"
    REPORTS=("${CUT[@]}")
    check_equal "$title: clients hear nothing after a second" "" "$(heard_after "$t0")"
    check_equal "$title: servers neither" "" "$(late_at_servers "$t0" "$way")"
    check "$title: the node's own and the other client's go on" eventually 3 talking "${STAY[@]}"
    end=$(awk -v t0="$t0" '{ split($4, l, "="); if (l[2] + 0 > m) m = l[2] + 0 } END { printf "%d", (m - t0) / 1e6 }' \
        "${CUT[@]}")
    echo "     the last byte came $end ms after the change"
}
again() { # title change…
    local title=$1
    shift
    "$@"
    REPORTS=("${ALL[@]}") RESUMED=1
    check "$title: allowed again, everything goes on" eventually 20 all_talk ||
        heard_since "$(($(now_ns) - 500000000))" | sed 's/^/     /'
    RESUMED=''
}

start() { # options…
    netpold_start n1 --sync-period 3s --backend "$BACKEND" "$@"
    wait_ready n1
}
ports "$NAMES"
policies - <<<"$WIDE"
start
wait_in_sync
stay block "${KINDS[@]}"
one_way block "block narrowed" policies - <<<"$NARROW"
again "block narrowed" policies - <<<"$WIDE"

policies - <<<"$(np "$KEEP, {ports: [$NAMED]}")"
wait_in_sync
stay named "${KINDS[@]}"
one_way named "named ports moved" ports "${NAMES//:70/:71}"
again "named ports moved" ports "$NAMES"

# The control: the same changes, and nothing is cut that is established. What nobody answers never is: each packet of it
# meets the rules as a first one.
netpold_stop n1
start --no-revoke
stay control tcp-talk tcp-push udp-answer sctp-push
REPORTS=("${ALL[@]}")
check "--no-revoke: everything talks" eventually 10 all_talk
ports "${NAMES//:70/:71}"
check "--no-revoke: named ports moved: a new connection is refused" eventually 5 blocked x/cli x/web tcp/80
sleep 2
check "--no-revoke: named ports moved: all go on" eventually 2 all_talk || heard_since "$(($(now_ns) - 500000000))"
policies - <<<"$NARROW"
sleep 2
check "--no-revoke: block narrowed: all go on" eventually 2 all_talk || heard_since "$(($(now_ns) - 500000000))"
netpold_stop n1

# Cleanup takes the rule away; what was cut goes on, for a mark without a rule does nothing.
start
check "started again: it is cut" eventually 5 eval '! talking "${CUT[@]}"'
netpold_stop n1
netpold n1 --cleanup >"$WORK/cleanup.log" 2>&1
check_equal "cleanup succeeds" 0 "$?"
RESUMED=''
check "after cleanup all go on" eventually 20 talking "${ALL[@]}"
check_equal "nothing failed" "" "$(grep -E 'revoke-failed|panic|Sanitizer' "$WORK/netpold.n1.log")"
talk_end
finish
