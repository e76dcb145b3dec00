#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which interface netpold-cni tells as a pod's end on the host, of those that other plugins list: the one that leads into the pod.
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
# shellcheck source=lib/cni.sh
source "$KERNEL_DIR/lib/cni.sh"
sandbox "$@"

PYTHON=$(command -v python3) || skip_all "python3 is not installed"
fabric
node n1
SOCKET=$WORK/fake.sock
"$PYTHON" "$ROOT_DIR/tests/tools/fake_control.py" "$SOCKET" ok "$WORK/asked" &
eventually 10 test -S "$SOCKET" || die "the fake daemon does not come up"
ip netns add pod9
ip -n n1 link add cni9 type bridge
ip -n n1 link add veth9 type veth peer name eth0 netns pod9
told() { # what port interfaces…: "name" on the host, "name@" in the sandbox
    local list='' name
    for name in "${@:3}"; do
        list+="${list:+,}{\"name\":\"${name%@}\"$([[ $name != *@ ]] || echo ',"sandbox":"/run/netns/x"')}"
    done
    : >"$WORK/asked"
    cni ADD a x/new u1 < <(cni_config 1.0.0 "{\"cniVersion\":\"1.0.0\",\"interfaces\":[$list],\"ips\":[{\"address\":\"10.244.1.9/24\"}]}")
    check_equal "$1" "0 $2" "$CNI_RC $(sed -n 's/.*"port":"\([^"]*\)".*/\1/p' "$WORK/asked")"
}
told "bridge" veth9 cni9 veth9 eth0@
told "bridge and bandwidth" veth9 cni9 veth9 eth0@ bwp9
told "ptp and bandwidth" veth9 veth9 eth0@ bwp9
told "a list without the sandbox" veth9 veth9
told "a list without the sandbox, and bandwidth" veth9 veth9 bwp9
told "the sandbox first" veth9 eth0@ veth9
told "the sandbox first, and bandwidth" veth9 eth0@ veth9 bwp9
told "a shaping device before the sandbox" veth9 veth9 bwp9 eth0@
told "a device of the host that stands alone, before the sandbox" veth9 veth9 lo eth0@
told "a device of the host that stands alone, appended" veth9 veth9 lo
told "a shaping device first" veth9 bwp9 eth0@ veth9
told "none that is linked: the nearest before the sandbox" tap2 tap1 tap2 eth0@ bwp9
told "none that is linked, no sandbox: the first" tap1 tap1 bwp9
told "a bridge is none" "" cni9 eth0@
told "an interface of the pod alone" "" eth0@
told "a name that is no interface's" "" ../../x eth0@
finish
