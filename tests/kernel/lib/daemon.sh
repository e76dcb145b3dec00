# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# netpold on the nodes of the topology. Each node has a /run/netpold and an xtables lock of its own, as real nodes have.

declare -A DAEMON_PID

# Run netpold (or any program) as a process of a node, in the foreground.
on_node() { # node command…
    mkdir -p "$WORK/run.$1"
    ip netns exec "$1" env NETPOLD_RUN_DIR="$WORK/run.$1" XTABLES_LOCKFILE="$WORK/xtables.$1" "${@:2}"
}
netpold() { # node arguments…
    local name=$1
    shift
    on_node "$name" "$NETPOLD" --node-name "$name" --state "$STATE" "$@"
}

# One pass on each node: program, verify. Fails when a node fails.
netpold_once() { # [node…]
    local name rc
    for name in "${@:-${NODES[@]}}"; do
        netpold "$name" --once >"$WORK/once.$name.log" 2>&1
        rc=$?
        if [[ $rc -ne 0 && $rc -ne 2 ]]; then
            echo "netpold --once on $name: exit $rc"
            sed 's/^/     /' "$WORK/once.$name.log" | tail -20
            return 1
        fi
    done
}

netpold_start() { # node arguments…
    local name=$1
    shift
    mkdir -p "$WORK/run.$name"
    # ip, env and netpold replace each other, so that the pid is that of netpold.
    NETPOLD_RUN_DIR=$WORK/run.$name XTABLES_LOCKFILE=$WORK/xtables.$name \
        ip netns exec "$name" "$NETPOLD" --node-name "$name" --state "$STATE" "$@" >>"$WORK/netpold.$name.log" 2>&1 &
    DAEMON_PID[$name]=$!
}
netpold_stop() { # node [signal]: and wait until it is gone
    local pid=${DAEMON_PID[$1]:-}
    [[ -n $pid ]] || return 0
    kill -"${2:-TERM}" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    unset "DAEMON_PID[$1]"
}
netpold_log() { # node
    sed 's/^/     /' "$WORK/netpold.$1.log" | tail -"${2:-20}"
}

# GET a path of the daemon's HTTP server; prints status line and body.
http_get() { # node path
    ip netns exec "$1" bash -c 'exec 3<>/dev/tcp/127.0.0.1/9469 || exit 1
        printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3; cat <&3' _ "$2" 2>/dev/null
}
is_ready() { # node
    local answer
    answer=$(http_get "$1" /readyz) && [[ ${answer%%$'\r'*} == *" 200 "* ]]
}
wait_ready() { # [node…]
    local name
    for name in "${@:-${NODES[@]}}"; do
        eventually 10 is_ready "$name" || {
            netpold_log "$name"
            return 1
        }
    done
}
# Whether the kernel of a node holds what the state directory asks for: a dry run finds nothing to do.
in_sync() { # node
    netpold "$1" --once --dry-run >/dev/null 2>&1
}
wait_in_sync() { # [node…]
    local name
    for name in "${@:-${NODES[@]}}"; do
        eventually 10 in_sync "$name" || return 1
    done
}

purge() { # [node…]
    local name
    for name in "${@:-${NODES[@]}}"; do
        netpold "$name" --cleanup >"$WORK/cleanup.$name.log" 2>&1 || {
            sed 's/^/     /' "$WORK/cleanup.$name.log"
            return 1
        }
    done
}

# All that a node's kernel holds in the filter tables and in sets, without counters; members of sets sorted, and without
# what the ipset tool adds by itself. The rules that cut revoked connections are there while there are such: not shown.
kernel_text() { # node
    local tool=${NETPOLD_BACKEND:-legacy}
    ip netns exec "$1" bash -c "iptables-$tool-save -t filter; ip6tables-$tool-save -t filter; ipset -sorted save" |
        sed '/^#/d; /-m connmark .* -j NETPOL-DROP$/d; s/^\(:[^ ]* [^ ]*\) \[.*/\1/; s/ bucketsize [0-9]*//; s/ initval 0x[0-9a-f]*//'
}
# The node's connection table is emptied: what was established by an earlier state opens nothing in the next one.
forget_flows() { # node
    on_node "$1" conntrack -F >/dev/null 2>&1 || die "conntrack -F on $1"
}
# How many objects of netpold a node's kernel holds.
own_objects() { # node
    kernel_text "$1" | grep -cE 'NETPOL-|NP[46]-'
}
