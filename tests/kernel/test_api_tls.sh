#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# TLS to an API server: client certificates and tokens, from a kubeconfig and from a pod's service account; rotation; and
# what must never be accepted: another CA, another name, a server that asks for a certificate we do not have.
#
# shellcheck disable=SC2034,SC2154 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
# shellcheck source=lib/api.sh
source "$KERNEL_DIR/lib/api.sh"
sandbox "$@"
[[ -x $FAKE_API ]] || die "$FAKE_API is not built"
command -v openssl >/dev/null || skip_all "openssl is not installed"
python3 -c 'import ssl' 2>/dev/null || skip_all "python3 with its ssl module is not installed"

ip netns add n1
ip -n n1 link set lo up
mkdir -p "$STATE"
cat >"$STATE/state.yaml" <<'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: x}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: x, labels: {app: web}}
spec: {nodeName: n1, containers: []}
status: {phase: Running, podIPs: [{ip: 10.244.1.10}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: x, labels: {app: api}}
spec: {nodeName: n1, containers: []}
status: {phase: Running, podIPs: [{ip: 10.244.1.11}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: x}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
YAML

# ---- certificates: two authorities; a server and a client of the first; a client of the second
PKI=$WORK/pki
mkdir "$PKI"
authority() { # name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/$1.key" -out "$PKI/$1.crt" \
        -subj "/CN=$1" -days 2 2>/dev/null || die "openssl cannot make an authority"
}
certificate() { # name authority extensions
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/$1.key" -out "$PKI/$1.csr" -subj "/CN=$1" \
        2>/dev/null &&
        openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -set_serial "0x$(openssl rand -hex 8)" \
            -days 2 -out "$PKI/$1.crt" -extfile <(echo "$3") 2>/dev/null || die "openssl cannot make a certificate"
}
authority ca
authority other
certificate server ca "subjectAltName=DNS:kubernetes.default,IP:127.0.0.1"
certificate named ca "subjectAltName=DNS:kubernetes.default"
certificate client ca "extendedKeyUsage=clientAuth"
certificate client2 ca "extendedKeyUsage=clientAuth"
certificate stranger other "extendedKeyUsage=clientAuth"
data() { # file
    base64 -w0 "$PKI/$1"
}

PROXY_PID='' PROXY_PORT=''
proxy_start() { # certificate [client authority]
    : >"$WORK/proxy.log"
    ip netns exec n1 python3 "$ROOT_DIR/tests/tools/tls_proxy.py" "$API_PORT" "$PKI/$1.crt" "$PKI/$1.key" \
        ${2:+"$PKI/$2.crt"} >"$WORK/proxy.log" 2>&1 &
    PROXY_PID=$!
    eventually 10 grep -q '^port ' "$WORK/proxy.log" || die "the TLS proxy does not start: $(cat "$WORK/proxy.log")"
    PROXY_PORT=$(sed -n 's/^port //p' "$WORK/proxy.log")
    SERVER="server: 'https://127.0.0.1:$PROXY_PORT'"
}
proxy_stop() {
    kill "$PROXY_PID"
    wait "$PROXY_PID" 2>/dev/null
}
# Reads the cluster as netpolctl does and expects the one verdict that only the real objects give.
reads() { # seconds: how long it may try
    local out
    out=$(timeout "$1" ip netns exec n1 "$NETPOLCTL" explain --kubeconfig "$WORK/config" x/api x/web -p tcp --port 80 2>&1)
    [[ $out == "deny: "* ]]
}
refused() { # seconds
    ! reads "$1"
}
requests() {
    grep -c '^GET ' "$WORK/api.log"
}

echo "-- client certificates"
api_start n1 --log
proxy_start server ca
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt" "client-certificate: pki/client.crt, client-key: pki/client.key"
check "from files next to the kubeconfig" reads 10
check "the server saw who it is" grep -q '^subject client$' "$WORK/proxy.log"
kubeconfig "$WORK/config" "$SERVER, certificate-authority-data: $(data ca.crt)" \
    "client-certificate-data: $(data client.crt), client-key-data: $(data client.key)"
check "from the kubeconfig itself" reads 10
before=$(requests)
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt" ""
check "none: refused by the server" refused 2
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt" \
    "client-certificate: pki/stranger.crt, client-key: pki/stranger.key"
check "of another authority: refused by the server" refused 2
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt" \
    "client-certificate: pki/client.crt, client-key: pki/stranger.key"
check "with the key of another: refused here" refused 2
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/other.crt" \
    "client-certificate: pki/client.crt, client-key: pki/client.key"
check "a server of another authority: refused here" refused 2
kubeconfig "$WORK/config" "$SERVER" "client-certificate: pki/client.crt, client-key: pki/client.key"
check "a server that no root of the system knows: refused here" refused 2
check_equal "none of them got to a request" "$before" "$(requests)"
kubeconfig "$WORK/config" "$SERVER, insecure-skip-tls-verify: true" \
    "client-certificate: pki/client.crt, client-key: pki/client.key"
check "insecure-skip-tls-verify, asked for" reads 10
proxy_stop

echo "-- the name of the server"
proxy_start named
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt" ""
check "a certificate without the address: refused" refused 2
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt, tls-server-name: kubernetes.default" ""
check "tls-server-name" reads 10
kubeconfig "$WORK/config" "$SERVER, certificate-authority: pki/ca.crt, tls-server-name: elsewhere" ""
check "another tls-server-name: refused" refused 2
proxy_stop
api_stop

OLD_TOKEN=eyJhbGciOi.old NEW_TOKEN=eyJhbGciOi.new
echo "-- a pod's service account, with a token that is rotated"
api_start n1 --log --token "$OLD_TOKEN" --bookmark-ms 300
proxy_start server
ACCOUNT=/var/run/secrets/kubernetes.io/serviceaccount
mkdir -p "$ACCOUNT/..one"
cp "$PKI/ca.crt" "$ACCOUNT/..one/ca.crt"
echo "$OLD_TOKEN" >"$ACCOUNT/..one/token"
ln -s ..one "$ACCOUNT/..data"
ln -s ..data/ca.crt ..data/token "$ACCOUNT/"
NETPOLD_RUN_DIR=$WORK/run.n1 KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=$PROXY_PORT \
    ip netns exec n1 "$NETPOLD" --node-name n1 --sync-period 1h >"$WORK/netpold.n1.log" 2>&1 &
DAEMON_PID[n1]=$!
enforces() { # address
    ip netns exec n1 iptables-legacy -S 2>/dev/null | grep -q -- "-d $1/32"
}
check "synced: its objects are enforced" eventually 10 enforces 10.244.1.10
# kubelet swaps the volume; the server takes only the new token from now on, and asks for it anew.
mkdir "$ACCOUNT/..two"
cp "$PKI/ca.crt" "$ACCOUNT/..two/ca.crt"
echo "$NEW_TOKEN" >"$ACCOUNT/..two/token"
ln -s ..two "$ACCOUNT/..data_tmp"
mv -T "$ACCOUNT/..data_tmp" "$ACCOUNT/..data"
api_stop
api_start n1 --log --token "$NEW_TOKEN" --first-version 5000
rm "$STATE/state.yaml"
cat >"$STATE/state.yaml" <<'YAML'
{apiVersion: v1, kind: Namespace, metadata: {name: x}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: x, labels: {app: web}}
spec: {nodeName: n1, containers: []}
status: {phase: Running, podIPs: [{ip: 10.244.1.99}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: x}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
YAML
check "the new token is used: the server's present objects are enforced" eventually 20 enforces 10.244.1.99
check "without a single request refused in between" test "$(grep -c 'HTTP 401' "$WORK/netpold.n1.log")" -eq 0
check_equal "no token in the log" 0 "$(grep -cE "$OLD_TOKEN|$NEW_TOKEN" "$WORK/netpold.n1.log")"
netpold_stop n1
finish
