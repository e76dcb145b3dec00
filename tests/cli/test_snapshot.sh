#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpolctl snapshot: what the live cluster answers, the file answers; no secret, no half file. Loopback only, no privileges.
set -uo pipefail
build=$(realpath "${BUILD:-build}")
dir=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done; rm -rf "$dir"' EXIT
passed=0 failed=0
unset KUBECONFIG
export HOME=$dir/home
mkdir "$dir/home" "$dir/state" "$dir/out"

check() { # what, command…
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL: %s\n' "$what"
    fi
}
same() { # what, file, file
    check "$1" cmp -s "$2" "$3" || true
    cmp -s "$2" "$3" || diff "$2" "$3" | head -20
}
# expect CODE PATTERN ARG…: the exit code, a pattern that stdout+stderr must match, one line at most.
expect() {
    local code=$1 pattern=$2 out rc
    shift 2
    out=$(timeout 20 "$build/netpolctl" "$@" 2>&1 </dev/null)
    rc=$?
    check "netpolctl $*: exit $rc (want $code), wants /$pattern/: $out" \
        test "$rc" -eq "$code" -a "$(grep -cE -- "$pattern" <<<"$out")" -eq 1 -a "$(wc -l <<<"$out")" -eq 1
}
kubeconfig() { # URL
    cat >"$dir/config" <<CONFIG
{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, namespace: x}}],
 clusters: [{name: k, cluster: {server: "$1"}}]}
CONFIG
}
wait_port() { # file that gets "port N"
    local port=''
    for _ in $(seq 200); do
        port=$(sed -n 's/^port //p' "$1")
        [ -n "$port" ] && break
        sleep 0.05
    done
    echo "$port"
}

# Everything that a pod can hold a secret in; PLANTED must never show. One policy is unreadable in part, one as a whole.
cat >"$dir/state/all.yaml" <<'YAML'
{apiVersion: v1, kind: Node, metadata: {name: n1, uid: u-n1, annotations: {a: PLANTED}},
 spec: {podCIDR: 10.0.0.0/24, providerID: PLANTED}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}], nodeInfo: {machineID: PLANTED}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: x, uid: u-x, labels: {"kubernetes.io/metadata.name": x, team: "true"}, annotations: {"a b": PLANTED}}, spec: {finalizers: [PLANTED]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: default, uid: u-d}}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: x
  uid: u-b
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels: {app: "1", tier: "yes"}
  annotations: {token: PLANTED}
  managedFields: [{manager: PLANTED}]
  ownerReferences: [{name: PLANTED}]
spec:
  nodeName: n1
  serviceAccountName: PLANTED
  imagePullSecrets: [{name: PLANTED}]
  volumes: [{name: v, secret: {secretName: PLANTED}}]
  containers:
  - {name: c, image: PLANTED, env: [{name: PASSWORD, value: PLANTED}], args: [PLANTED], ports: [{name: web, containerPort: 80, hostIP: PLANTED}]}
  initContainers:
  - {name: i, restartPolicy: Always, command: [PLANTED], ports: [{name: side, containerPort: 81, protocol: UDP}]}
status: {phase: Running, message: PLANTED, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}], containerStatuses: [{image: PLANTED}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x, uid: u-a, labels: {app: "2"}}, spec: {nodeName: n1}, status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: waits, namespace: x, uid: u-w, labels: {app: "1"}}, spec: {}, status: {phase: Pending}}
---
{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: default, uid: u-h}, spec: {nodeName: n1, hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.1}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: x, uid: u-p, annotations: {a: PLANTED}},
 spec: {podSelector: {matchLabels: {app: "1"}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: ["2"]}]}}], ports: [{port: web}, {port: 9000, endPort: 9010}]},
 {from: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.128/25]}}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: odd, namespace: x, uid: u-o},
 spec: {podSelector: {matchLabels: {app: "2"}}, ingress: [{from: [{newPeer: {}}]}]}}
YAML
"$build/tests/tools/fake_apiserver" --dir "$dir/state" >"$dir/log" 2>&1 &
pids+=($!)
url="http://127.0.0.1:$(wait_port "$dir/log")"
kubeconfig "$url"

ctl() { "$build/netpolctl" "$@" --kubeconfig "$dir/config" </dev/null; }
out=$dir/out
# A policy is unreadable in part: a finding of every answer (4).
ctl snapshot -o "$out/a.yaml" 2>"$out/err"
check "the finding makes the exit code" test $? -eq 4
check "it is said once" test "$(grep -c 'x/odd' "$out/err")" -eq 1
ctl snapshot -o "$out/again.yaml" 2>/dev/null
ctl snapshot -o "$out/a.json" 2>/dev/null
ctl snapshot -o "$out/named.txt" --format json 2>/dev/null
ctl snapshot -o - >"$out/stdout" 2>/dev/null
ctl snapshot -o /dev/stdout 2>/dev/null | cat >"$out/device"
same "the same cluster gives the same bytes" "$out/a.yaml" "$out/again.yaml"
same "to standard output" "$out/a.yaml" "$out/stdout"
same "and to a device" "$out/a.yaml" "$out/device"
same "by name and by --format" "$out/a.json" "$out/named.txt"
check "readable by the owner only" test "$(stat -c %a "$out/a.yaml" "$out/a.json" | sort -u)" = 600
check "nothing else is left" test "$(find "$out" -type f | wc -l)" -eq 7
check "no secret" sh -c '! grep -rl PLANTED "$1"' sh "$out"
check "the server is named" grep -qxF "# server: $url" "$out/a.yaml"
check "sorted" test "$(sed -nE 's/^  name: //p' "$out/a.yaml" | paste -sd ' ')" = "default x odd web n1 host a b waits"
check "uid and resourceVersion of each" test "$(grep -cE '^  (uid|resourceVersion): ' "$out/a.yaml")" -eq 18

# Answers: live, and from either file. Where a rule stands in a file is the one thing that a cluster cannot tell.
answers() { # options that name the source
    local query
    "$build/netpolctl" render "$@" --node n1 2>/dev/null
    echo "render $?"
    "$build/netpolctl" verify "$@" --node n1 -o json 2>/dev/null | sed -E 's/"seconds":[0-9.e-]+/"seconds":0/'
    for query in "x/a x/b --port 80" "x/a x/b --port 81" "x/b x/a --port 9005" "198.51.100.1 x/b --port 9" "198.51.100.200 x/b --port 9" \
        "node:n1 x/a --port 1" "x/a x/waits --port 80" "default/host x/b --port 80" "x/b x/a --port 80 --rules"; do
        # shellcheck disable=SC2086
        "$build/netpolctl" explain "$@" $query 2>/dev/null | sed -E 's/ \([^ ()]+:[0-9]+\)//'
    done
    for port in 80 81 9000 9010 9011; do
        for from in x/a x/b x/waits default/host 198.51.100.1 203.0.113.1; do
            printf '{"from":"%s","to":"x/b","port":%s}\n{"from":"%s","to":"x/a","protocol":"UDP","port":%s}\n' "$from" "$port" "$from" "$port"
        done
    done >"$dir/queries"
    "$build/netpolctl" check "$@" --queries "$dir/queries" 2>/dev/null | sed -E 's/,"source":"[^"]*"//g'
}
answers --kubeconfig "$dir/config" >"$dir/live"
answers -f "$out/a.yaml" >"$dir/yaml"
answers -f "$out/a.json" >"$dir/json"
check "answers were given" test "$(grep -c '"verdict"' "$dir/live")" -ge 60 -a "$(grep -c NETPOL- "$dir/live")" -ge 10
same "YAML answers as the cluster" "$dir/live" "$dir/yaml"
same "JSON answers as the cluster" "$dir/live" "$dir/json"
"$build/netpolctl" render -f "$out/a.yaml" --node n1 >/dev/null 2>"$out/err"
check "the finding is found again" test $? -eq 4 -a "$(grep -c 'x/odd' "$out/err")" -eq 1

for verb in render verify; do
    "$build/netpolctl" $verb -f "$out/a.yaml" --node n1 -o json >"$dir/object" 2>/dev/null
    check "$verb -o json says that something could not be read" test $? -eq 4 -a \
        "$(python3 -c 'import json,sys; print(json.load(sys.stdin)["unreadable"])' <"$dir/object")" = 1
done

# What goes wrong leaves what was there.
echo old >"$out/old"
expect 3 'snapshot: -o FILE is required' snapshot --kubeconfig "$dir/config"
expect 3 'is a directory' snapshot --kubeconfig "$dir/config" -o "$out"
expect 1 'cannot write to the directory' snapshot --kubeconfig "$dir/config" -o "$out/no/file"
expect 3 'unknown option.*-f|-f' snapshot --kubeconfig "$dir/config" -f "$out/a.yaml" -o "$out/b"
expect 3 'unexpected word "b.yaml"' snapshot --kubeconfig "$dir/config" -o "$out/b" b.yaml
"$build/netpolctl" snapshot --kubeconfig "$dir/config" -o - 2>"$out/err" >/dev/full
check "a full disk" test $? -eq 1 -a "$(grep -c 'standard output: No space left' "$out/err")" -eq 1
for pid in "${pids[@]}"; do kill "$pid" && wait "$pid" 2>/dev/null; done
pids=()
expect 1 'the cluster cannot be read: cannot list' snapshot --kubeconfig "$dir/config" -o "$out/old"
check "the old file stays" test "$(cat "$out/old")" = old

# A server that accepts and is silent, one that gives no permission, and one with an object that is no readable JSON.
python3 - >"$dir/silent" 2>&1 <<'PY' &
import http.server, json, socket, threading, time
silent = socket.create_server(("127.0.0.1", 0))
class Denies(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"kind": "Status", "code": 403, "reason": "Forbidden", "message":
                           'pods is \x1b[31mforbidden\x9b:\n User "jane" cannot list resource "pods" in API group "" at the cluster scope'}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Twice(Denies):
    def do_GET(self):
        items = '{"metadata":{"name":"x","uid":"u"}}' if "/namespaces" in self.path else ""
        if "policies" in self.path:
            items = '{"metadata":{"name":"twice","namespace":"x"},"spec":{"podSelector":{}},"spec":{}}'
        body = ('{"kind":"List","metadata":{"resourceVersion":"7"},"items":[%s]}' % items).encode()
        if "watch=1" in self.path:
            return Denies.do_GET(self) if "sendInitialEvents" not in self.path else self.answer(422, b'{"kind":"Status","code":422,"reason":"Invalid"}')
        self.answer(404 if "/version" in self.path else 200, body)
    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Busy(Twice):
    left = 3
    def do_GET(self):
        if "/version" in self.path or Busy.left == 0:
            return Twice.do_GET(self)
        Busy.left -= 1
        self.send_response(429)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "18")
        self.end_headers()
        self.wfile.write(b"Too many requests.")
busy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=busy.serve_forever, daemon=True).start()
twice = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Twice)
threading.Thread(target=twice.serve_forever, daemon=True).start()
denies = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denies)
print(f"port {silent.getsockname()[1]}\ndenies {denies.server_port}\ntwice {twice.server_port}\nbusy {busy.server_port}", flush=True)
threading.Thread(target=denies.serve_forever, daemon=True).start()
time.sleep(120)
PY
pids+=($!)
kubeconfig "http://127.0.0.1:$(wait_port "$dir/silent")"
expect 1 'nothing came for 1 s \(--request-timeout\)' snapshot --kubeconfig "$dir/config" --request-timeout 1s -o "$out/old"
expect 1 'nothing came for 1 s' explain --kubeconfig "$dir/config" --request-timeout 1s x/a x/a --port 1
kubeconfig "http://127.0.0.1:$(sed -n 's/^denies //p' "$dir/silent")"
expect 1 'User "jane" cannot list resource "pods".*ClusterRole of manifests/base/clusterrole.yaml' snapshot --kubeconfig "$dir/config" -o "$out/old"
check "the old file still stays" test "$(cat "$out/old")" = old
ctl snapshot -o "$out/old" 2>"$out/err"
check "nothing of the server reaches the terminal but one line of text" \
    test "$(wc -l <"$out/err")" -eq 1 -a "$(tr -d '\12\40-\176\302\267\342\200\246' <"$out/err" | wc -c)" -eq 0
kubeconfig "http://127.0.0.1:$(sed -n 's/^twice //p' "$dir/silent")"
ctl snapshot -o "$out/twice.yaml" 2>"$out/err"
check "an object that is no JSON to read: exit 4, said once" test $? -eq 4 -a "$(grep -c 'x/twice' "$out/err")" -eq 1
check "and the file says that it is not in it" grep -q '^# not in it, since it could not be read: .*x/twice.*given twice' "$out/twice.yaml"
check "the rest is" grep -q '^kind: Namespace$' "$out/twice.yaml"
check "no temporary file is left" test -z "$(find "$out" -name '*.??????' -o -name '.?*')"
kubeconfig "http://127.0.0.1:$(sed -n 's/^busy //p' "$dir/silent")"
expect 1 'nothing came for 1 s.*429' snapshot --kubeconfig "$dir/config" --request-timeout 1s -o "$out/old"
ctl snapshot -o "$out/busy.yaml" 2>"$out/err"
check "a busy server is asked again" test $? -eq 4 -a "$(grep -c '^kind: Namespace$' "$out/busy.yaml")" -eq 1

# Ended by hand while a credential plugin runs: the plugin ends, too, and the shell sees the signal.
cat >"$dir/plugin" <<PLUGIN
#!/bin/sh
echo \$\$ >"$dir/plugin.pid"
exec sleep 60
PLUGIN
chmod +x "$dir/plugin"
cat >"$dir/exec-config" <<CONFIG
{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
 "clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],
 "users":[{"name":"u","user":{"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"$dir/plugin","interactiveMode":"Never"}}}]}
CONFIG
"$build/netpolctl" snapshot --kubeconfig "$dir/exec-config" -o "$out/old" 2>"$out/err" &
ctl=$!
for _ in $(seq 100); do [ -s "$dir/plugin.pid" ] && break; sleep 0.05; done
plugin=$(cat "$dir/plugin.pid")
check "the plugin runs" kill -0 "$plugin"
kill -TERM "$ctl"
wait "$ctl"
check "ended by the signal" test $? -eq 143
for _ in $(seq 40); do kill -0 "$plugin" 2>/dev/null || break; sleep 0.05; done
check "the plugin has ended" test ! -e "/proc/$plugin"

# A link that another user has put where we write is not followed.
if [ "$(id -u)" -eq 0 ]; then
    echo precious >"$dir/precious"
    ln -s "$dir/precious" "$out/link.yaml"
    chown -h 65534 "$out/link.yaml"
    expect 1 'link.yaml is a symbolic link of another user' snapshot --kubeconfig "$dir/config" -o "$out/link.yaml"
    check "and what it names stays" test "$(cat "$dir/precious")" = precious
fi

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
