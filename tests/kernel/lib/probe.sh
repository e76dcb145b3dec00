# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Who reaches whom: what a person wrote down, what the evaluator says (netpolctl check), what packets do.
#
# A grid is text. "probes" names a letter for each protocol/port; the first other line names the columns; then one line a row:
#   probes t=tcp/80 T=tcp/81 u=udp/80 s=sctp/80 i=icmp
#           x/a   x/b   out
#   x/a     -     tu    *
#   n1      *     .     *
# A cell holds the letters that reach; * all of them, . none, - not asked. Names: pods, nodes, out, and any name of
# ENDPOINT (name → "netns ip4 ip6"). "family 4" or "family 6" in front of a grid asks in that family only.

declare -A ENDPOINT
PROBE_TIMEOUT=${PROBE_TIMEOUT:-400}

# name netns ip4 ip6 name-for-netpolctl
endpoints() {
    local name
    for name in "${PODS[@]}"; do
        echo "$name ${POD_NETNS[$name]} ${POD_IP4[$name]} ${POD_IP6[$name]:--} $name"
    done
    for name in "${NODES[@]}"; do
        echo "$name $name ${NODE_IP4[$name]} ${NODE_IP6[$name]} node:$name"
    done
    [[ -e /run/netns/out ]] && echo "out out $OUT_IP4 $OUT_IP6 -"
    for name in "${!ENDPOINT[@]}"; do
        echo "$name ${ENDPOINT[$name]} -"
    done
}

# From a grid: $WORK/ask (lines for netprobe), $WORK/want (FROM|TO|PROTO/PORT|FAMILY allow|deny), $WORK/query (JSON).
grid_read() { # < grid
    endpoints >"$WORK/endpoints"
    awk -v ask="$WORK/ask" -v want="$WORK/want" -v query="$WORK/query" -v families="$FAMILIES" '
        function stop(why) { printf "grid line %d: %s\n", FNR, why > "/dev/stderr"; bad = 1; exit 2 }
        function emit(from, to, letter, yes, family,    p, id, src, dst, a, b) {
            src = address[from, family]; dst = address[to, family]
            if (src == "-" || dst == "-") return
            split(probe[letter], p, "/")
            id = from "|" to "|" probe[letter] "|" family
            print id, netns[from], p[1], dst, p[2] + 0, src > ask
            print id, (yes ? "allow" : "deny") > want
            a = label[from] == "-" ? src : label[from]; b = label[to] == "-" ? dst : label[to]
            printf "{\"from\":\"%s\",\"to\":\"%s\",\"protocol\":\"%s\",%s\"family\":%d}\n", a, b, toupper(p[1]),
                p[1] == "icmp" ? "" : "\"port\":" p[2] ",", family > query
        }
        BEGIN { printf "" > ask; printf "" > want; printf "" > query; both = families; family = both }
        NR == FNR { netns[$1] = $2; address[$1, 4] = $3; address[$1, 6] = $4; label[$1] = $5; next }
        /^#/ || NF == 0 { next }
        $1 == "probes" {
            delete probe
            for (i = 2; i <= NF; i++) probe[substr($i, 1, 1)] = substr($i, 3)
            columns = 0
            next
        }
        $1 == "family" { family = $2; columns = 0; next }
        !columns {
            columns = NF
            for (i = 1; i <= NF; i++) {
                if (!($i in netns)) stop("unknown column " $i)
                column[i] = $i
            }
            next
        }
        {
            if (!($1 in netns)) stop("unknown row " $1)
            if (NF != columns + 1) stop("wanted " columns " cells, got " NF - 1)
            for (i = 1; i <= columns; i++) {
                cell = $(i + 1)
                if (cell == "-") continue
                if (cell != "*" && cell != ".")
                    for (j = 1; j <= length(cell); j++)
                        if (!(substr(cell, j, 1) in probe)) stop("unknown letter in " cell)
                for (letter in probe)
                    for (f = 4; f <= 6; f += 2)
                        if (index(family, f) && index(both, f))
                            emit($1, column[i], letter, cell == "*" || (cell != "." && index(cell, letter)), f)
            }
        }
        END { if (bad) exit 2 }' "$WORK/endpoints" - || die "a grid cannot be read"
}

# Send what $WORK/ask holds; outcomes to $WORK/saw, in the same order. Silence where an answer is wanted is asked once more,
# with patience: a busy machine may be slow, but nothing that is denied gets a second look.
grid_probe() {
    "$NETPROBE" matrix --sequence "$WORK/sequence" --timeout-ms "$PROBE_TIMEOUT" <"$WORK/ask" >"$WORK/saw" ||
        die "netprobe failed"
    paste -d' ' "$WORK/want" "$WORK/saw" "$WORK/ask" |
        awk '$2 == "allow" && $4 == "timeout" { $1 = $2 = $3 = $4 = ""; sub("^ +", ""); print }' >"$WORK/ask.again"
    [[ -s $WORK/ask.again ]] || return 0
    "$NETPROBE" matrix --sequence "$WORK/sequence" --timeout-ms 1500 <"$WORK/ask.again" >"$WORK/saw.again" ||
        die "netprobe failed"
    awk 'NR == FNR { again[$1] = $2; next } $1 in again { $2 = again[$1] } { print }' "$WORK/saw.again" "$WORK/saw" \
        >"$WORK/saw.all" && mv "$WORK/saw.all" "$WORK/saw"
}

# What differs from the grid, as sentences, then as a grid of what was seen with the wrong cells marked.
grid_differences() { # file-with-(id outcome)
    paste -d' ' "$WORK/want" "$1" | awk -v red="$RED" -v plain="$PLAIN" '
        NR == FNR { order[++n_order] = $1; next }
        {
            # netpold drops, so a denied probe meets silence; anything else says that the probe itself is wrong.
            got = $4 == "ok" || $4 == "allow" ? "allow" : $4 == "timeout" || $4 == "deny" ? "deny" : "neither"
            split($1, id, "|")
            key = id[3] " IPv" id[4]
            wrong = got != $2
            if (!(key in keys)) { keys[key] = ++n_keys; name[n_keys] = key }
            rows[id[1]] = cols[id[2]] = 1
            cell[key, id[1], id[2]] = (got == "allow" ? "X" : got == "deny" ? "." : "?") (wrong ? "!" : " ")
            if (wrong) {
                bad[key] = 1
                if (++count <= 30)
                    printf "     %s%s -> %s %s: wanted %s, got %s%s\n", red, id[1], id[2], key, $2, $4, plain
            }
        }
        END {
            if (count > 30) printf "     … and %d more\n", count - 30
            for (i = 1; i <= n_order; i++) {
                if (order[i] in rows) row[++n_rows] = order[i]
                if (order[i] in cols) col[++n_cols] = order[i]
            }
            for (k = 1; k <= n_keys; k++) {
                key = name[k]
                if (!(key in bad) || ++shown > 4) continue
                printf "     %s (X reaches, . does not, ! wrong)\n     %-12s", key, ""
                for (j = 1; j <= n_cols; j++) printf " %10s", substr(col[j], 1, 10)
                print ""
                for (i = 1; i <= n_rows; i++) {
                    printf "     %-12s", row[i]
                    for (j = 1; j <= n_cols; j++) {
                        c = cell[key, row[i], col[j]]
                        printf " %s%10s%s", c ~ /!/ ? red : "", c == "" ? "- " : c, c ~ /!/ ? plain : ""
                    }
                    print ""
                }
            }
            exit count > 0
        }' "$WORK/endpoints" -
}

# What netpolctl says to the same questions.
grid_evaluate() {
    local rc
    "$NETPOLCTL" check -f "$STATE" --queries - <"$WORK/query" >"$WORK/answers" 2>"$WORK/check.log"
    rc=$?
    # 4: a part of the state could not be read, and all the same every question was answered.
    if [[ $rc -ne 0 && $rc -ne 4 ]]; then
        sed 's/^/     /' "$WORK/check.log" | head >"$WORK/differences"
        return 1
    fi
    paste -d' ' <(cut -d' ' -f1 "$WORK/want") <(awk '{
        print match($0, /"verdict":"[a-z]+"/) ? substr($0, RSTART + 11, RLENGTH - 12) : "error"
    }' "$WORK/answers") >"$WORK/evaluated"
}

# The whole proof for a grid: hand-written ≡ evaluator ≡ kernel.
check_grid() { # what [kernel|both] < grid
    local what=$1 count
    grid_read
    count=$(wc -l <"$WORK/want")
    if [[ ${2:-both} == both && -x $NETPOLCTL ]]; then
        if grid_evaluate && grid_differences "$WORK/evaluated" >"$WORK/differences"; then
            pass "$what: evaluator, $count verdicts"
        else
            fail "$what: evaluator differs from what was written down"
            cat "$WORK/differences"
        fi
    fi
    grid_probe
    if grid_differences "$WORK/saw" >"$WORK/differences"; then
        pass "$what: kernel, $count probes"
    else
        fail "$what: packets differ from what was written down"
        cat "$WORK/differences"
    fi
}

# One question. FROM and TO are names of endpoints; TO may be an address.
outcome() { # from to protocol/port [4|6]
    local family=${4:-4} from to
    endpoints >"$WORK/endpoints"
    from=$(awk -v n="$1" '$1 == n { print $2 }' "$WORK/endpoints")
    to=$(awk -v n="$2" -v f="$family" '$1 == n { print f == 4 ? $3 : $4 }' "$WORK/endpoints")
    local port=0
    [[ $3 != */* ]] || port=${3#*/}
    echo "1 $from ${3%/*} ${to:-$2} $port" |
        "$NETPROBE" matrix --sequence "$WORK/sequence" --timeout-ms "$PROBE_TIMEOUT" | cut -d' ' -f2
}
reaches() {
    [[ $(outcome "$@") == ok ]]
}
blocked() {
    [[ $(outcome "$@") == timeout ]]
}

# Count tagged frames that arrive at a machine, on eth0, from now on.
sniff_start() { # netns tag…
    local netns=$1 tags=() tag
    shift
    for tag in "$@"; do tags+=(--tag "$tag"); done
    sniff_stop "$netns"
    ip netns exec "$netns" "$NETPROBE" sniff "${tags[@]}" --iface eth0 --file "$WORK/sniff.$netns" \
        --background "$WORK/sniff.$netns.pid" || die "cannot sniff in $netns"
}
# Those that send in the background write what they sent when they are told to end; until then there is no such number.
end_senders() { # pids…
    kill "$@"
    local pid
    for pid in "$@"; do
        eventually 10 eval "! kill -0 $pid 2>/dev/null" || die "a sender does not end"
    done
}
# Behind it all is counted that had come, however late the sniffer had its turn: it reads what is queued before it ends.
sniff_stop() { # netns
    local pid
    [[ -e $WORK/sniff.$1.pid ]] || return 0
    pid=$(cat "$WORK/sniff.$1.pid")
    rm -f "$WORK/sniff.$1.pid"
    kill "$pid" 2>/dev/null || return 0
    eventually 10 eval "! kill -0 $pid 2>/dev/null" || die "the sniffer in $1 does not end"
}
# What is on its way comes, and is counted.
sniff_end() { # netns
    sleep 0.2
    sniff_stop "$1"
}
sniffed() { # netns tag: how many so far
    awk -v tag="$2" '$1 == tag { print $2 }' "$WORK/sniff.$1"
}
arrived() { # netns tag [at-least]
    (($(sniffed "$1" "$2") >= ${3:-1}))
}
