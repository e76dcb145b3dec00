#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpolctl against an API server: the context's namespace, and servers that do not answer. Loopback only, no privileges.
set -uo pipefail
build=$(realpath "${BUILD:-build}")
dir=$(mktemp -d)
server=''
stop() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    server=''
}
trap 'stop; rm -rf "$dir"' EXIT
passed=0 failed=0
unset KUBECONFIG

# expect SECONDS CODE PATTERN ARG…: how long it may take, the exit code, a pattern that stdout+stderr must match; $out has
# what it said.
expect() {
    local seconds=$1 code=$2 pattern=$3 rc
    shift 3
    out=$(HOME=$dir/home timeout "$seconds" "$build/netpolctl" "$@" 2>&1 </dev/null)
    rc=$?
    if [ "$rc" -eq "$code" ] && grep -qE -- "$pattern" <<<"$out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL: netpolctl %s: exit %d (want %d), wants /%s/: %s\n' "$*" "$rc" "$code" "$pattern" "$out"
    fi
}
one_line() {
    if [ "$(wc -l <<<"$out")" -eq 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL: more than one line: %s\n' "$out"
    fi
}
kubeconfig() { # port, namespace of the context ("" none)
    cat >"$dir/config" <<CONFIG
{apiVersion: v1, kind: Config, current-context: c,
 contexts: [{name: c, context: {cluster: k${2:+, namespace: $2}}}],
 clusters: [{name: k, cluster: {server: "http://127.0.0.1:$1"}}]}
CONFIG
}

mkdir "$dir/state" "$dir/home"
cat >"$dir/state/all.yaml" <<'YAML'
{apiVersion: v1, kind: Node, metadata: {name: n1}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: x}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {nodeName: n1},
 status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default}, spec: {nodeName: n1},
 status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: shut, namespace: x}, spec: {podSelector: {}}}
YAML
"$build/tests/tools/fake_apiserver" --dir "$dir/state" >"$dir/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    port=$(sed -n 's/^port //p' "$dir/log")
    [ -n "$port" ] && break
    sleep 0.05
done

kubeconfig "$port" x
expect 10 2 '^deny: 192.0.2.1 -> x/a' explain --kubeconfig "$dir/config" 192.0.2.1 a --port 1
expect 10 0 '^allow: 192.0.2.1 -> default/a' explain --kubeconfig "$dir/config" -n default 192.0.2.1 a --port 1
kubeconfig "$port" ''
expect 10 0 '^allow: 192.0.2.1 -> default/a' explain --kubeconfig "$dir/config" 192.0.2.1 a --port 1
expect 10 0 '^proven: ' verify --kubeconfig "$dir/config" --node n1
# Files have no context: there a name alone is nothing.
expect 10 4 'is not namespace/pod' explain --kubeconfig "$dir/config" -f "$dir/state" 192.0.2.1 a --port 1

stop
expect 3 1 'the cluster cannot be read: cannot list [a-z]+: .*(connect|refused)' explain --kubeconfig "$dir/config" x/a x/a --port 1
one_line
"$build/tests/tools/fake_apiserver" --dir "$dir/state" --token right >"$dir/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    port=$(sed -n 's/^port //p' "$dir/log")
    [ -n "$port" ] && break
    sleep 0.05
done
kubeconfig "$port" ''
expect 3 1 'cannot list [a-z]+: HTTP 401' explain --kubeconfig "$dir/config" x/a x/a --port 1
one_line
expect 3 4 'nothere' explain --kubeconfig "$dir/nothere" x/a x/a --port 1
one_line
expect 3 4 'no -f PATH was given' explain x/a x/a --port 1

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
