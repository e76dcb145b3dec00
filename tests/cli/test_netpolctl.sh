#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netpolctl as its user runs it: verbs, answers, exit codes, bad input. No privileges needed.
set -uo pipefail
build=${BUILD:-build}
ctl=$(realpath "$build/netpolctl")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    printf 'FAIL: %s\n' "$1"
}
# expect CODE PATTERN ARG…: exit code, and a regular expression that stdout+stderr must match ("" none)
expect() {
    local code=$1 pattern=$2 out rc
    shift 2
    out=$("$ctl" "$@" 2>&1 </dev/null)
    rc=$?
    if [ "$rc" -ne "$code" ]; then
        bad "netpolctl $*: exit $rc, not $code: $out"
    elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" <<<"$out"; then
        bad "netpolctl $*: does not say /$pattern/: $out"
    else
        ok
    fi
}

cat >"$dir/state.yaml" <<'YAML'
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 172.16.0.1}, {type: InternalIP, address: "fd00:16::1"}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: x, labels: {team: a}}
---
apiVersion: v1
kind: Namespace
metadata: {name: y, labels: {team: b}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: y, labels: {app: client}}
spec: {nodeName: n1}
status: {phase: Running, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: y}
spec: {nodeName: n1}
status: {phase: Succeeded, podIPs: [{ip: 10.0.0.3}]}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: y}
spec: {nodeName: n1, hostNetwork: true}
status: {phase: Running, podIPs: [{ip: 172.16.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: nowhere, namespace: y, labels: {app: client}}
spec: {}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: x}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: b}}
      podSelector: {matchLabels: {app: client}}
    - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}
    ports: [{port: http}]
YAML
f="$dir/state.yaml"

expect 0 '^allow' explain -f "$f" y/b x/a --port 8080
expect 0 'x/web, ingress rule 0, from\[0\]' explain -f "$f" y/b x/a --port 8080
expect 0 'state.yaml:[0-9]+' explain -f "$f" y/b x/a --port 8080
expect 2 '^deny' explain -f "$f" y/b x/a --port 80
expect 2 'isolated by x/web' explain -f "$f" y/b x/a --port 80
expect 0 'from\[1\]' explain -f "$f" 192.0.2.5 x/a --port 8080
expect 2 '^deny' explain -f "$f" 192.0.2.200 x/a --port 8080
expect 0 '' explain -f "$f" x/a y/b -p udp --port 53
expect 0 'own node' explain -f "$f" node:n1 x/a --port 1
expect 0 'own node' explain -f "$f" y/host x/a --port 1
expect 0 'own node' explain -f "$f" 172.16.0.1 x/a --port 1
expect 0 'IPv6' explain -f "$f" y/b x/a --port 8080 --family 6
expect 0 '"family":6' explain -f "$f" y/b fd00::1 --port 8080 -o json
expect 0 '"reason":"rule".*"source":"[^"]*state.yaml:[0-9]+"' explain -f "$f" y/b x/a --port 8080 -o json
expect 0 'NETPOL-' explain -f "$f" y/b x/a --port 8080 --rules
expect 0 '^allow' explain -f "$f" y/nowhere x/a --port 8080
expect 2 '^deny' explain -f "$f" y/b x/a -p icmp
expect 0 '^allow' explain -f "$f" -n y b x/a --port 8080
expect 0 'always reaches itself' explain -f "$f" x/a x/a --port 1
expect 4 'no pod "x/zz"' explain -f "$f" x/zz x/a --port 1
expect 4 'has finished' explain -f "$f" y/done x/a --port 1
expect 4 'no Node and no Pod' explain -f "$f" node:zz x/a --port 1
expect 4 'not namespace/pod' explain -f "$f" nonsense x/a --port 1
expect 3 'needs --port' explain -f "$f" y/b x/a
expect 3 'no ports' explain -f "$f" y/b x/a -p icmp --port 1
expect 3 'two ends' explain -f "$f" y/b
expect 3 '-p: protocol "frob"' explain -f "$f" y/b x/a -p frob --port 1
expect 3 '-p: protocol "frob"' explain -f "$dir/nothere" y/b x/a -p frob --port 1
expect 3 'needs --port N, the destination port' explain -f "$f" y/b x/a -p 132
expect 3 '--port 0: no connection has it; a port is 1 to 65535' explain -f "$f" y/b x/a --port 0
expect 3 '0 to 65535' explain -f "$f" y/b x/a --port 65536
expect 3 'leave --port out' explain -f "$f" y/b x/a -p 47 --port 0
expect 2 'protocol 47' explain -f "$f" y/b x/a -p 47
expect 3 '--family is 4 or 6' explain -f "$f" y/b x/a --port 1 --family 5
expect 3 '-f - and --with - cannot both' explain -f - --with - y/b x/a --port 1
expect 3 '-f - and --facts - cannot both' render -f - --node n1 --facts -
expect 3 '-f - and --queries - cannot both' check -f - --queries -
expect 3 'unknown verb; did you mean explain' explian
expect 3 'unknown option --prot; did you mean --port' explain --prot 3
expect 3 '--node NAME is required' render -f "$f"
expect 4 'names the node "n9"' render -f "$f" --node n9
expect 0 'NETPOL-FORWARD' render -f "$f" --node n1
expect 0 '"chains"' render -f "$f" --node n1 -o json
expect 0 '^create NP4-' render -f "$f" --node n1 --section ipset
expect 3 '--section is a part of the text' render -f "$f" --node n1 -o json --section ipset
expect 0 '"chains"' render -f "$f" --node n1 -o json --section all
expect 0 'ip6?tables' render --help
expect 0 'usage' --help
expect 3 'usage' # no verb at all
expect 0 '^netpolctl [0-9]' --version
expect 4 'nothere' render -f "$dir/nothere" --node n1

# What if
cat >"$dir/deny.yaml" <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: x}
spec: {podSelector: {}}
YAML
expect 2 '^deny' explain -f "$f" --with "$dir/deny.yaml" y/b x/a --port 8080
expect 0 'no policy isolates' explain -f "$f" --without "$dir/deny.yaml" y/b x/a --port 1
cat >"$dir/absent.yaml" <<'YAML'
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: wbe, namespace: x}, spec: {podSelector: {}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: z}}
YAML
expect 0 'warning: --without .*absent.yaml: there is no NetworkPolicy x/wbe$' explain -f "$f" --without "$dir/absent.yaml" y/b x/a --port 8080
expect 0 'warning: --without .*absent.yaml: there is no Namespace z$' explain -f "$f" --without "$dir/absent.yaml" y/b x/a --port 8080
if "$ctl" explain -f "$f" --without "$dir/deny.yaml" y/b x/a --port 1 2>&1 | grep -q warning; then
    bad "what was left out must not be said to be absent"
else
    ok
fi

# An empty variable is none
NETPOLD_FAMILY='' NETPOLD_OUTPUT='' NETPOLD_RULES='' NETPOLD_FILE='' expect 0 '^allow' explain -f "$f" y/b x/a --port 8080
NETPOLD_FILE='' NETPOLD_SECTION='' NETPOLD_FACTS='' NETPOLD_OUTPUT='' expect 0 'NETPOL-FORWARD' render -f "$f" --node n1

# Bad documents: reported with file and line; the rest is used; exit 4
cp "$f" "$dir/bad.yaml"
cat >>"$dir/bad.yaml" <<'YAML'
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: broken, namespace: x}
spec:
  podSelector: {}
  ingress:
  - ports: [{port: 99999}]
YAML
expect 4 'bad.yaml:[0-9]+: NetworkPolicy x/broken: spec.ingress\[0\].ports\[0\].port' explain -f "$dir/bad.yaml" y/b x/a --port 8080
expect 4 '^allow' explain -f "$dir/bad.yaml" y/b x/a --port 8080

# check: one answer a line, malformed lines apart
queries='{"from":"y/b","to":"x/a","protocol":"TCP","port":8080}
{"from":"y/b","to":"x/a","protocol":"TCP","port":81,"id":7}
{"from":"y/b"}
nonsense
{"from":"y/b","to":"x/a","protocol":"ICMP"}
{"from":"y/nowhere","to":"192.0.2.9","port":1}
{"from":"203.0.113.1","to":"x/a","port":8080,"family":4}'
out=$("$ctl" check -f "$f" --queries - <<<"$queries" 2>/dev/null)
[ $? -eq 4 ] && ok || bad "check with malformed queries must exit 4"
[ "$(wc -l <<<"$out")" -eq 7 ] && ok || bad "check must answer every line: $out"
verdicts=$(sed -nE 's/.*"verdict":"([a-z]+)","egress".*/\1/p; s/^\{"error".*/error/p' <<<"$out" | tr '\n' ' ')
[ "$verdicts" = "allow deny error error deny allow deny " ] && ok || bad "check verdicts: $verdicts"
grep -q '"id":7,"verdict":"deny"' <<<"$out" && ok || bad "check must repeat the query: $out"
python3 -c 'import json,sys
for l in sys.stdin: json.loads(l)' <<<"$out" && ok || bad "check must print JSON"
"$ctl" check -f "$f" --queries - <<<'{"from":"y/b","to":"x/a","port":1}' >/dev/null && ok || bad "check must exit 0 when all were answered"

answer=$("$ctl" check -f "$f" --queries - <<<'{"from":"y/b","to":"x/a","protocol":47}') && ok || bad "check must take a protocol number"
grep -q '^{"from":"y/b","to":"x/a","protocol":47,"verdict":"deny"' <<<"$answer" && ok || bad "check of protocol 47: $answer"

# netpold: an address that cannot be listened on is said before anything is done (the missing state keeps a netpold that
# does not from programming this machine)
for address in nonsense 127.0.0.1 127.0.0.1:99999 ::1:9469 '[127.0.0.1]:1' ''; do
    said=$("$build/netpold" --once --node-name n1 --state "$dir/nothere" --metrics-address="${address:-:}" 2>&1)
    rc=$?
    { [ $rc -eq 3 ] && grep -q 'is not ADDRESS:PORT' <<<"$said"; } && ok || bad "netpold --once --metrics-address '$address': exit $rc: $said"
done
for address in off 127.0.0.1:9469 '[::1]:9469' '[fe80::1%lo]:1' :0; do
    said=$("$build/netpold" --print-facts --metrics-address="$address" 2>&1)
    rc=$?
    [ $rc -eq 0 ] && ok || bad "netpold --metrics-address '$address': exit $rc: $said"
done

# … and so is a source that is named twice or not well
while IFS='|' read -r pattern words; do
    # shellcheck disable=SC2086
    said=$("$build/netpold" --dry-run --node-name n1 $words 2>&1)
    rc=$?
    { [ $rc -eq 3 ] && grep -qE -- "$pattern" <<<"$said"; } && ok || bad "netpold $words: exit $rc: $said"
done <<'CASES'
--context goes with --kubeconfig|--context c
--api-server is for a pod|--api-server 10.0.0.1:6443 --kubeconfig x
--api-server is for a pod|--api-server 10.0.0.1:6443 --state x
is not HOST:PORT|--api-server 10.0.0.1
is not HOST:PORT|--api-server fd00::1:6443
is not HOST:PORT|--api-server [10.0.0.1]:6443
is not HOST:PORT|--api-server host:0
is not HOST:PORT|--api-server user@host:6443
is not HOST:PORT|--api-server https://host:6443
is not one of auto.1.1.2|--http-version 1
CASES
# A server by name or address is taken; then the volume of the service account is missing here.
if [ ! -e /var/run/secrets/kubernetes.io ]; then
    for server in 10.0.0.1:6443 '[fd00::1]:6443' api.example.com:443; do
        said=$(env -u KUBERNETES_SERVICE_HOST "$build/netpold" --dry-run --node-name n1 --api-server "$server" 2>&1)
        rc=$?
        { [ $rc -eq 4 ] && grep -q 'service account: ' <<<"$said"; } && ok || bad "netpold --api-server $server: exit $rc: $said"
    done
fi

# The same state as JSON, on standard input, and in a directory: the same bytes
want=$("$ctl" render -f "$f" --node n1)
[ "$("$ctl" render -f - --node n1 <"$f")" = "$want" ] && ok || bad "standard input renders differently"
mkdir "$dir/d"
csplit -sz -f "$dir/d/part" -b '%02d.yaml' "$f" '/^---$/' '{*}'
[ "$("$ctl" render -f "$dir/d" --node n1)" = "$want" ] && ok || bad "a directory renders differently"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
