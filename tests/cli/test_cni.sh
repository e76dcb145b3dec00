#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpold-cni where the other end of the socket is no netpold, or one that hangs or is busy: each command ends in time, with the
# code and the reason; only failOpen lets a pod through. And which addresses it tells. Packets and netpold itself:
# tests/kernel/test_cni*.sh.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
set -uo pipefail
# shellcheck source=../kernel/lib.sh
source "$(dirname "$0")/../kernel/lib.sh"
# shellcheck source=../kernel/lib/cni.sh
source "$KERNEL_DIR/lib/cni.sh"

[[ -x $CNI_PLUGIN ]] || die "$CNI_PLUGIN is not built"
PYTHON=$(command -v python3) || skip_all "python3 is not installed"
CNI_IN=()
# On a path that another user may go along.
WORK=$(mktemp -d /tmp/netpold-cni.XXXXXX)
chmod 755 "$WORK"
trap 'fake_stop; rm -rf "$WORK"' EXIT
RUN=$WORK
BOOK=$RUN/cni
SOCKET=$RUN/netpold.sock
mkdir "$BOOK"
install -m 755 "$ROOT_DIR/tests/tools/fake_control.py" "$CNI_PLUGIN" "$RUN"
FAKE=''
fake_stop() {
    [[ -z $FAKE ]] || { kill "$FAKE" && wait "$FAKE"; } 2>/dev/null
    FAKE=
    rm -f "$SOCKET"
}
fake() { # mode [command…]: run by it
    fake_stop
    rm -f "$RUN/asked"
    : >"$RUN/asked"
    chmod 666 "$RUN/asked"
    "${@:2}" "$PYTHON" "$RUN/fake_control.py" "$SOCKET" "$1" "$RUN/asked" &
    FAKE=$!
    eventually 10 test -S "$SOCKET" || die "the fake of $1 does not come up"
}
asked() { # how often
    grep -c . "$RUN/asked" 2>/dev/null || true
}

TIMEOUT=300ms
# A process needs some time of its own on a busy machine.
MOST_MS=4000
RESULT=$(cni_result 1.0.0 veth9 10.244.1.9/24)
timed() { # cni's arguments: CNI_MS
    local start=${EPOCHREALTIME/./}
    cni "$@"
    CNI_MS=$(((${EPOCHREALTIME/./} - start) / 1000))
    return "$CNI_RC"
}
ended() { # what code part-of-the-answer
    check_equal "$1: exit code" 1 "$CNI_RC"
    check_equal "$1: code" "$2" "$(cni_code)"
    check_contains "$1: why" "$3" "$CNI_OUT"
    check "$1: in time ($CNI_MS ms)" test "$CNI_MS" -lt "$MOST_MS"
    check "$1: JSON" "$PYTHON" -c 'import json,sys; json.loads(sys.argv[1])' "$CNI_OUT"
}
keep() { # the book's file, as a daemon leaves it
    echo '{}' >"$BOOK/a@eth0.json"
}

all_commands() { # what, code of ADD and CHECK, why, part of details
    timed ADD a x/new u1 < <(cni_config 1.0.0 "$RESULT")
    ended "$1: ADD" "$2" "$3"
    check_contains "$1: ADD: details" "$4" "$CNI_OUT"
    timed CHECK a x/new u1 < <(cni_config 1.0.0 "$RESULT")
    ended "$1: CHECK" "$2" "$3"
    timed STATUS "" < <(cni_config 1.1.0)
    ended "$1: STATUS" 50 "$4"
    timed ADD a x/new u1 < <(EXTRA='"failOpen":true,' cni_config 1.0.0 "$RESULT")
    check_equal "$1: failOpen lets it through" "0 $RESULT" "$CNI_RC $CNI_OUT"
    check_contains "$1: and says so" "cni-add: failOpen lets pod x/new through: " "$CNI_ERR"
    check_contains "$1: and why" "$4" "$CNI_ERR"
    check "$1: in time ($CNI_MS ms)" test "$CNI_MS" -lt "$MOST_MS"
    timed CHECK a x/new u1 < <(EXTRA='"failOpen":true,' cni_config 1.0.0 "$RESULT")
    check_equal "$1: so does CHECK" "0 " "$CNI_RC $CNI_OUT"
    check_contains "$1: and says so" "cni-check: failOpen lets pod x/new through: " "$CNI_ERR"
    timed STATUS "" < <(EXTRA='"failOpen":true,' cni_config 1.1.0)
    check_equal "$1: and STATUS is good" "0 " "$CNI_RC $CNI_OUT"
    timed VERSION "" <<<'{"cniVersion":"1.1.0"}'
    check_contains "$1: VERSION asks nobody" '"supportedVersions"' "$CNI_OUT"
    timed GC "" < <(cni_config 1.1.0)
    check_equal "$1: nor does GC" "0 " "$CNI_RC $CNI_OUT"
}
del_removes() { # what, warning: DEL ends well, and what the daemon would learn is gone
    keep
    timed DEL a x/new u1 < <(cni_config 1.0.0)
    check_equal "$1: DEL ends well" "0 " "$CNI_RC $CNI_OUT"
    check "$1: in time ($CNI_MS ms)" test "$CNI_MS" -lt "$MOST_MS"
    check "$1: in the daemon's place" test ! -e "$BOOK/a@eth0.json"
    check_contains "$1: and says so" "$2" "$CNI_ERR"
    timed DEL a x/new u1 < <(cni_config 1.0.0)
    check_equal "$1: DEL of what is not known" "0  " "$CNI_RC $CNI_OUT $CNI_ERR"
}

echo "-- who answers is no netpold, or hangs"
for row in "hang|in time|no answer in time" "deaf|in time|too many others wait there" "half-hang|in time|no answer in time" \
    "drip|in time|no answer in time" "close|in time|ended without an answer" "half|in time|ended without an answer" \
    "garbage|not one of netpold|answer" "array|not one of netpold|answer" "words|not one of netpold|answer" \
    "no-code|not one of netpold|answer" "empty|not one of netpold|answer" "big|not one of netpold|the answer is too long"; do
    IFS='|' read -r mode why details <<<"$row"
    fake "$mode"
    # Who says something at once is heard, on a busy machine too.
    [[ $why == "in time" ]] || TIMEOUT=3s
    all_commands "$mode" 11 "$why" "$details"
    del_removes "$mode" "a@eth0.json is removed in its place"
    TIMEOUT=300ms
done

fake hang
keep
MOST_MS=15000
timed DEL a x/new u1 < <(TIMEOUT=100s cni_config 1.0.0)
check_equal "however long the timeout: DEL" "0 " "$CNI_RC $CNI_OUT"
check "however long the timeout: the file is gone" test ! -e "$BOOK/a@eth0.json"
check "however long the timeout: DEL in time ($CNI_MS ms)" test "$CNI_MS" -lt "$MOST_MS"
timed STATUS "" < <(TIMEOUT=100s cni_config 1.1.0)
ended "however long the timeout: STATUS" 50 "no answer in time"
MOST_MS=4000

echo "-- nobody is there"
fake_stop
all_commands "no socket" 11 "is it running on this node?" "there is no such socket"
del_removes "no socket" "a@eth0.json is removed in its place"
fake gone
all_commands "left behind" 11 "is it running on this node?" "nobody answers there"
TIMEOUT=100s
del_removes "left behind" "a@eth0.json is removed in its place"
TIMEOUT=300ms
fake_stop
echo >"$SOCKET"
all_commands "a plain file" 11 "is it running on this node?" "nobody answers there"
del_removes "a plain file" "a@eth0.json is removed in its place"
rm "$SOCKET"
mkdir "$SOCKET"
all_commands "a folder" 11 "is it running on this node?" "nobody answers there"
del_removes "a folder" "a@eth0.json is removed in its place"
rmdir "$SOCKET"
EXTRA='"socket":"/'$(printf 'x%.0s' {1..200})'",'
keep
timed ADD a x/new u1 < <(SOCKET=/$(printf 'x%.0s' {1..200}) cni_config 1.0.0 "$RESULT")
unset EXTRA
check_equal "a path that no socket can have" 1 "$CNI_RC"

echo "-- a daemon that answers keeps its book itself"
keep
fake busy-twice
TIMEOUT=20s
timed DEL a x/new u1 < <(cni_config 1.0.0)
check_equal "busy, busy, done: DEL" "0  " "$CNI_RC $CNI_OUT $CNI_ERR"
check_equal "asked until it was" 3 "$(asked)"
check "the file is the daemon's" test -e "$BOOK/a@eth0.json"
fake busy-twice
timed ADD a x/new u1 < <(cni_config 1.0.0 "$RESULT")
check_equal "busy, busy, done: ADD" "0 $RESULT" "$CNI_RC $CNI_OUT"
TIMEOUT=2s
fake busy
timed DEL a x/new u1 < <(cni_config 1.0.0)
ended "busy for ever: DEL" 11 "too many connections are open"
check "busy for ever: asked again" test "$(asked)" -ge 2
check "the file is the daemon's" test -e "$BOOK/a@eth0.json"
timed ADD a x/new u1 < <(cni_config 1.0.0 "$RESULT")
ended "busy for ever: ADD" 11 "are not in force in time"
timed STATUS "" < <(cni_config 1.1.0)
ended "busy for ever: STATUS" 50 "too many connections are open"
fake busy-then-hang
timed DEL a x/new u1 < <(cni_config 1.0.0)
ended "busy, then silent: DEL" 11 "too many connections are open"
check "it was there: the file is the daemon's" test -e "$BOOK/a@eth0.json"
for mode in refuse denied; do
    fake "$mode"
    timed DEL a x/new u1 < <(cni_config 1.0.0)
    ended "$mode: DEL" 100 "is not deleted"
    check_equal "$mode: asked once" 1 "$(asked)"
    check "$mode: the file is the daemon's" test -e "$BOOK/a@eth0.json"
    all_commands "$mode" 100 "are not in force" "$([[ $mode == refuse ]] && echo "it is not to be" || echo "neither root")"
done

echo "-- who asks, and whom"
NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)
# One that every user may run.
PYTHON_ALL=''
for python in "$PYTHON" /usr/bin/python3 /usr/local/bin/python3; do
    [[ -n $PYTHON_ALL ]] || ! "${NOBODY[@]}" "$python" -c '' 2>/dev/null || PYTHON_ALL=$python
done
if [[ $EUID -ne 0 || -z $PYTHON_ALL ]]; then
    skip "another user: not root, or no setpriv or python3 that this user may run"
else
    CNI_IN=("${NOBODY[@]}")
    PLUGIN=$RUN/netpold-cni
    fake ok
    chmod 600 "$SOCKET"
    all_commands "not root" 100 "may not be asked" "only root may ask there"
    keep
    timed DEL a x/new u1 < <(cni_config 1.0.0)
    ended "not root: DEL" 5 "a@eth0.json"
    check "not root: the file stays" test -e "$BOOK/a@eth0.json"
    check_equal "not root: nothing was told" 0 "$(asked)"
    CNI_IN=()
    chmod 777 "$RUN"
    PYTHON=$PYTHON_ALL fake ok "${NOBODY[@]}"
    all_commands "a socket of another user" 100 "may not be asked" "neither root nor our own user"
    del_removes "a socket of another user" "a@eth0.json is removed in its place"
    check_equal "a socket of another user: nothing was told" 0 "$(asked)"
    fake_stop
    chmod 755 "$RUN"
fi

echo "-- addresses"
fake ok
addresses() { # what, list as told or code, addresses…
    local list=''
    for address in "${@:3}"; do list+="${list:+,}{\"address\":\"$address\"}"; done
    : >"$RUN/asked"
    cni ADD a x/new u1 < <(cni_config 1.0.0 "{\"cniVersion\":\"1.0.0\",\"ips\":[$list]}")
    check_equal "$1" "$2" "$(cni_code)$(sed -n 's/.*"addresses":\(\[[^]]*\]\).*/\1/p' "$RUN/asked")"
}
addresses "both families" '["10.1.2.3","fd00::9"]' 10.1.2.3/24 fd00::9/64
mapfile -t often < <(yes 10.1.2.3/24 | head -40)
addresses "one that is told often" '["10.1.2.3"]' "${often[@]}"
addresses "however it is spelled" '["fd00::9"]' fd00::9/64 FD00:0::0:9/128
addresses "of a node's link: IPv6 is left out" '["10.1.2.3"]' fe80::1/64 10.1.2.3/24
addresses "of a node's link: IPv4 is a pod's in some networks" '["169.254.172.2"]' 169.254.172.2/22
for address in 0.0.0.0/0 127.0.0.1/8 127.9.9.9/32 224.0.0.1/32 239.255.255.255/8 255.255.255.255/32 ::/0 ::1/128 ff02::1/128 \
    ff0e::9/64 ::ffff:127.0.0.1/128 ::ffff:0.0.0.0/128 ::ffff:224.0.0.1/128; do
    addresses "none that a pod can have: $address" 7 10.1.2.3/24 "$address"
done
for address in 10.1.2.3 10.1.2.3/ 10.1.2.3/33 10.1.2.3/-1 10.1.2.3/2x 10.1.2.3/999999999999 /24 "" fd00::9/129 10.1.2/24 10.1.2.3.4/8 " 10.1.2.3/24" 10.1.2.3/24/24; do
    addresses "no address: '$address'" 7 "$address"
done
addresses "none at all" 7
addresses "of the link alone" 7 fe80::1/64
mapfile -t many < <(printf '10.1.3.%d/24\n' {1..200})
addresses "too many" 7 "${many[@]}"

echo "-- the environment"
environment() { # what, code or what is told, assignments…
    : >"$RUN/asked"
    CNI_OUT=$(cni_config 1.0.0 "$RESULT" |
        env -i CNI_COMMAND=ADD CNI_CONTAINERID=a CNI_NETNS=/x CNI_IFNAME=eth0 CNI_PATH=/x "${@:3}" "$CNI_PLUGIN" 2>"$RUN/cni.err")
    check_equal "$1" "$2" "$(cni_code)$(sed -n 's/.*"ns":"\([^"]*\)","name":"\([^"]*\)","uid":"\([^"]*\)".*/\1 \2 \3/p' "$RUN/asked")"
}
environment "no pod" ""
environment "a pod" "x new u1" "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=x;K8S_POD_NAME=new;K8S_POD_UID=u1"
environment "semicolons" "x new " "CNI_ARGS=;;K8S_POD_NAME=new;;K8S_POD_NAMESPACE=x;"
environment "an equals sign in a value" "x new a=b" "CNI_ARGS=K8S_POD_NAME=new;K8S_POD_NAMESPACE=x;K8S_POD_UID=a=b"
environment "other keys" "x new " "CNI_ARGS=XK8S_POD_NAME=no;K8S_POD_NAME=new;K8S_POD_NAMES=no;K8S_POD_NAMESPACE=x"
environment "an empty uid" "x new " "CNI_ARGS=K8S_POD_UID=;K8S_POD_NAME=new;K8S_POD_NAMESPACE=x"
environment "half a pod" 4 "CNI_ARGS=K8S_POD_NAMESPACE=x"
environment "the other half" 4 "CNI_ARGS=K8S_POD_NAME=x"
environment "no pairs" 4 "CNI_ARGS=x"
environment "a name of other bytes" 4 $'CNI_ARGS=K8S_POD_NAMESPACE=x;K8S_POD_NAME=n\xffw'
environment "a name with a blank" 4 "CNI_ARGS=K8S_POD_NAMESPACE=x;K8S_POD_NAME=n w"
environment "a name that is too long" 4 "CNI_ARGS=K8S_POD_NAMESPACE=x;K8S_POD_NAME=$(printf 'n%.0s' {1..300})"
environment "no id" 4 CNI_CONTAINERID=
environment "an id that is a path" 4 CNI_CONTAINERID=../a
environment "an id that is too long" 4 "CNI_CONTAINERID=$(printf 'a%.0s' {1..400})"
environment "no interface" 4 CNI_IFNAME=
environment "an interface that is none" 4 CNI_IFNAME=eth0/1
environment "one that is too long" 4 CNI_IFNAME=eth0123456789abcdef
environment "no command" 4 CNI_COMMAND=
finish
