#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The units and manifests of the reconciliation job: systemd takes them, they are confined, and what they pass to netpold is
# what netpold takes.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$(realpath -m "${BUILD:-build}")
failed=0 skipped=0 passed=0
ok() { passed=$((passed + 1)); echo "ok   $1"; }
bad() {
    failed=$((failed + 1))
    echo "FAIL $1"
    sed 's/^/     /' <<<"${2:-}" | head -20
}
skip() { skipped=$((skipped + 1)); echo "SKIPPED $1"; }

units=manifests/systemd
if command -v systemd-analyze >/dev/null; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp $units/netpold-once.* "$work"
    # The program stands elsewhere here, and its page is not installed.
    sed -i "s#^ExecStart=[^ ]*#ExecStart=$build/netpold#; /^Documentation=/d" "$work/netpold-once.service" "$work/netpold-once.timer"
    said=$(systemd-analyze verify "$work/netpold-once.service" "$work/netpold-once.timer" 2>&1)
    if [[ -z $said ]]; then ok "systemd takes the units as they are"; else bad "systemd-analyze verify" "$said"; fi
    if said=$(systemd-analyze security --offline=true --threshold=30 "$work/netpold-once.service" 2>&1); then
        ok "the service is confined: $(grep -o 'level for.*' <<<"$said")"
    elif grep -qi 'unrecognized option' <<<"$said"; then
        skip "this systemd-analyze judges no files"
    else
        bad "exposed more than 3.0" "$(grep '✗' <<<"$said")"
    fi
else
    skip "systemd-analyze is not installed"
fi
# Every option that a unit or manifest passes is one of netpold's.
help=$("$build/netpold" --help)
options=$(grep -hoE -- '--[a-z][a-z-]+' $units/netpold-once.service manifests/overlays/once/daemonset.yaml | sort -u)
options+=$(grep -hoE 'NETPOLD_[A-Z_]+' $units/netpold-once.service manifests/overlays/once/daemonset.yaml | sort -u |
    sed 's/^NETPOLD_/\n--/; y/ABCDEFGHIJKLMNOPQRSTUVWXYZ_/abcdefghijklmnopqrstuvwxyz-/')
for option in $options; do
    if grep -q -- " $option\b" <<<"$help"; then ok "$option"; else bad "netpold has no $option"; fi
done
if command -v kubectl >/dev/null; then
    if said=$(kubectl kustomize manifests/overlays/once 2>&1) && ! grep -q 'httpGet\|containerPort' <<<"$said"; then
        ok "the overlay builds, without the agent's probes"
    else
        bad "kubectl kustomize manifests/overlays/once" "$said"
    fi
else
    skip "kubectl is not installed"
fi
# The loop of the DaemonSet, with a netpold that fails every other time.
loop=$(awk '/^        - \|/ { on = 1; next } on && /^        [^ ]/ { exit } on { sub(/^          /, ""); print }' manifests/overlays/once/daemonset.yaml)
work2=$(mktemp -d)
cat >"$work2/netpold" <<E2
#!/bin/sh
echo pass >>$work2/passes
pass=\$(wc -l <$work2/passes)
# Each pass ends when it is let.
until [ -e $work2/go.\$pass ]; do sleep 0.02; done
[ \$pass = 1 ]
E2
soon() { # command…: within 30 s
    for _ in {1..600}; do
        "$@" && return
        sleep 0.05
    done
    return 1
}
passes() { # how many have begun
    [[ -e $work2/passes && $(wc -l <"$work2/passes") -ge $1 ]]
}
chmod +x "$work2/netpold"
loop=${loop//\/tmp\//$work2/}
PERIOD=0.05 sh -c "${loop//\/usr\/sbin\/netpold/$work2/netpold}" &
pid=$!
soon passes 1 || bad "no first pass"
[[ ! -e $work2/in-step ]] && ok "not ready before the first pass has ended" || bad "ready before the first pass has ended"
touch "$work2/go.1"
soon passes 2 || bad "no second pass"
[[ -e $work2/in-step ]] && ok "ready after a pass that went well" || bad "not ready after a pass that went well"
touch "$work2/go.2"
soon passes 3 || bad "no third pass"
[[ ! -e $work2/in-step ]] && ok "not ready after one that failed" || bad "ready after a pass that failed"
kill -TERM $pid
touch "$work2/go.3"
if wait $pid; then ok "ends when it is told"; else bad "the loop's end: exit $?"; fi
rm -rf "$work2"
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]] || exit 1
[[ $passed -gt 0 ]] || exit 77
