# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Rules for facts that a test completes: with the bridge ports of all pods, as if each had been seen there. In the tables
# of the backend that the test is for.

FILTER=${NETPOLD_BACKEND:-legacy}

# The rules for the facts of the node, with the ports of its pods, loaded by the stock tools.
program() { # node options…
    local name=$1 pod
    shift
    netpold "$name" --print-facts >"$WORK/facts.raw" || return 1
    {
        for pod in "${PODS[@]}"; do
            [[ ${POD_NODE[$pod]} != "$name" || ${POD_KIND[$pod]} != bridged ]] ||
                echo "${POD_IP4[$pod]} ${POD_VETH[$pod]} ${POD_IP6[$pod]}"
        done
    } | python3 -c '
import json, sys
facts = json.load(open(sys.argv[1]))
known = {p["address"] for p in facts.get("ports", [])}
for line in sys.stdin:
    four, port, six = line.split()
    facts.setdefault("ports", []).extend({"address": a, "port": port} for a in (four, six) if a not in known)
json.dump(facts, sys.stdout)' "$WORK/facts.raw" >"$WORK/facts.$name" || return 1
    unload "$name"
    "$NETPOLCTL" render -f "$STATE" --node "$name" --facts "$WORK/facts.$name" "$@" >"$WORK/rules.$name" || return 1
    "$NETPOLCTL" render -f "$STATE" --node "$name" --facts "$WORK/facts.$name" "$@" --section ipset |
        on_node "$name" ipset restore &&
        "$NETPOLCTL" render -f "$STATE" --node "$name" --facts "$WORK/facts.$name" "$@" --section iptables |
        on_node "$name" "iptables-$FILTER-restore" --noflush &&
        "$NETPOLCTL" render -f "$STATE" --node "$name" --facts "$WORK/facts.$name" "$@" --section ip6tables |
        on_node "$name" "ip6tables-$FILTER-restore" --noflush
}
unload() { # node: nothing else is in its filter tables
    local tool
    for tool in "iptables-$FILTER" "ip6tables-$FILTER"; do
        on_node "$1" "$tool" -w -F && on_node "$1" "$tool" -w -X || return 1
    done
    on_node "$1" ipset destroy
    forget_flows "$1"
}
