# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# An API server of tests that serves the state directory, and kubeconfigs for it.

FAKE_API=$BUILD/tests/tools/fake_apiserver
API_PID='' API_PORT=''

# Serve $STATE on the loopback interface of a node; the port stays the same when it is started again.
api_start() { # node arguments…
    local node=$1
    shift
    : >"$WORK/api.log"
    # ip and the server replace each other, so that the pid is that of the server.
    ip netns exec "$node" "$FAKE_API" --dir "$STATE" --port "${API_PORT:-0}" "$@" >"$WORK/api.log" 2>>"$WORK/api.err" &
    API_PID=$!
    eventually 5 grep -q '^port ' "$WORK/api.log" || die "the API server does not start: $(cat "$WORK/api.err")"
    API_PORT=$(sed -n 's/^port //p' "$WORK/api.log")
}
api_stop() { # [signal]
    [[ -n $API_PID ]] || return 0
    kill -"${1:-TERM}" "$API_PID"
    wait "$API_PID" 2>/dev/null
    API_PID=''
}

# A kubeconfig with one context from flow-style cluster and user maps.
kubeconfig() { # file cluster user
    cat >"$1" <<CONFIG
apiVersion: v1
kind: Config
current-context: test
contexts:
- name: test
  context: {cluster: test, user: test}
clusters:
- name: test
  cluster: {$2}
users:
- name: test
  user: {$3}
CONFIG
}
