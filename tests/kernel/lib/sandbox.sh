# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Private namespaces for one test, and the account of what passed.

WORK=/run/work
PASSED=0 FAILED=0 SKIPPED=0

# Run this script again inside its own user, network, mount and pid namespaces, with an empty /run. Needs no root where
# user namespaces are allowed. The pid namespace ends every process of the test with it, however it ends.
sandbox() { # "$@" of the script
    if [[ ${NP_SANDBOX:-} != inside ]]; then
        local flags
        if unshare -Urnmpf --kill-child true 2>/dev/null; then
            flags=-Urnmpf
        elif [[ $EUID -eq 0 ]] && unshare -nmpf --kill-child true 2>/dev/null; then
            flags=-nmpf
        else
            skip_all "network namespaces cannot be made here (user namespaces off, and not root)"
        fi
        # shellcheck disable=SC2093 # only returns when exec fails
        NP_SANDBOX=inside exec unshare "$flags" --kill-child bash "$0" "$@"
        exit 1
    fi
    mount --make-rprivate / 2>/dev/null || true
    mount -t tmpfs -o mode=755 none /run || skip_all "a tmpfs cannot be mounted on /run"
    # A /proc of this pid namespace, where it may be mounted: the leak checker of a sanitizer build needs it.
    mount -t proc none /proc 2>/dev/null || export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}
    mkdir -p "$WORK" /run/netns
    export TMPDIR=$WORK
    trap 'exit 130' INT
    trap 'exit 143' TERM
    sandbox_needs
}

# What every kernel test stands on; without it there is nothing to test.
sandbox_needs() {
    local missing=() tool
    for tool in ip iptables-legacy ip6tables-legacy ipset; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [[ ${#missing[@]} -eq 0 ]] || skip_all "not installed: ${missing[*]}"
    [[ -x $NETPROBE ]] || die "$NETPROBE is not built"
    ip netns add np-feature 2>/dev/null || skip_all "ip netns does not work here"
    local features
    features=$(ip netns exec np-feature bash -c '
        iptables-legacy -S >/dev/null 2>&1 || echo "legacy ip_tables"
        ip6tables-legacy -S >/dev/null 2>&1 || echo "legacy ip6_tables"
        for type in hash:ip hash:net hash:ip,port; do
            ipset create np-feature $type 2>/dev/null || echo "ipset $type"
            ipset destroy np-feature 2>/dev/null
        done
        iptables-legacy -A FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN 2>/dev/null || echo "conntrack match"
        ipset create np-feature hash:ip && iptables-legacy -A FORWARD -m set --match-set np-feature src -j RETURN \
            2>/dev/null || echo "set match"
        [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo "br_netfilter"
        ip link add v0 type veth peer name v1 2>/dev/null || echo "veth"
        ip link add b0 type bridge 2>/dev/null || echo "bridge"' 2>/dev/null)
    ip netns del np-feature
    [[ -z $features ]] || skip_all "this kernel lacks: ${features//$'\n'/, }"
}

# A feature that only a part of a test needs. True when present.
kernel_has() { # feature
    case $1 in
    nat) ip netns exec "$2" iptables-legacy -t nat -S >/dev/null 2>&1 ;;
    *) die "kernel_has: $1: unknown" ;;
    esac
}

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' BOLD=$'\e[1m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
    RED='' GREEN='' YELLOW='' BOLD='' DIM='' PLAIN=''
fi
export RED GREEN YELLOW BOLD DIM PLAIN

die() { # why
    echo "${RED}broken${PLAIN} $*" >&2
    exit 1
}
skip_all() { # why
    echo "${YELLOW}SKIPPED${PLAIN}: $*"
    echo "0 passed, 0 failed, 1 skipped"
    exit 77
}
pass() { # what
    PASSED=$((PASSED + 1))
    echo "${GREEN}ok${PLAIN}   $*"
}
fail() { # what
    FAILED=$((FAILED + 1))
    echo "${RED}FAIL${PLAIN} $*"
}
skip() { # what and why
    SKIPPED=$((SKIPPED + 1))
    echo "${YELLOW}SKIPPED${PLAIN} $*"
}
# Pass when the command succeeds.
check() { # what command…
    local what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what"; fi
}
check_equal() { # what wanted got
    if [[ $2 == "$3" ]]; then
        pass "$1"
    else
        fail "$1"
        diff -u --label wanted --label got <(echo "$2") <(echo "$3") | sed 's/^/     /' | head -"${DIFF_LINES:-40}"
    fi
}
check_contains() { # what needle haystack
    if [[ $3 == *"$2"* ]]; then
        pass "$1"
    else
        fail "$1: '$2' is not in:"
        sed 's/^/     /' <<<"$3" | head -20
    fi
}
# Repeat a command until it succeeds: what must come. The seconds are of a machine at rest; one that is slow or busy has
# several times as many, since a limit only keeps a test from waiting for ever.
PATIENCE=4
eventually() { # seconds command…
    within $(($1 * PATIENCE)) "${@:2}"
}
# … what may come, or must not: as long as it says.
within() { # seconds command…
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < until)) || return 1
        sleep 0.05
    done
}
finish() {
    # What a sanitizer build of netpold said on its way, in a daemon too.
    local reports
    reports=$(grep -laE 'Sanitizer|runtime error:' "$WORK"/*.log 2>/dev/null)
    [[ -z $reports ]] || fail "a sanitizer reports: $(grep -haE -m1 'Sanitizer|runtime error:' $reports | head -3)"
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [[ $FAILED -eq 0 ]]
    exit
}

# Run the whole script once for each value of a variable, each in a sandbox of its own, and add up. Call it before sandbox.
variants() { # name value…
    local name=$1 value out rc=0 sum
    shift
    [[ ${NP_VARIANT:-} != "$name" ]] || return 0
    out=$(mktemp)
    for value in "$@"; do
        echo "$name=$value"
        env "$name=$value" NP_VARIANT="$name" bash "$0" | sed -u 's/^/  /' | tee -a "$out"
        [[ ${PIPESTATUS[0]} -eq 0 ]] || rc=${PIPESTATUS[0]}
    done
    sum=$(awk '/^  [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
        END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$out")
    rm -f "$out"
    echo "$sum"
    exit "$rc"
}
