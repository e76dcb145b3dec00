#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the policy API means where it is easy to get wrong, with packets: defaults and emptiness, port ranges, who owns an
# address, both ends, replies, fragments, packets without a connection. Each wanted outcome is written by hand.
#
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
namespace y team=y
pod x/a n1 bridged app=a
pod x/b n1 routed app=b,env=
pod x/c n1 bridged app=c,env=dev http:80/TCP
pod x/d n2 routed app=d,env=prod
pod y/e n2 bridged app=e http:80/TCP
pod x/job n1 bridged app=a
pod y/heir n1 routed app=heir
state_write

expect() { # what < policies, a line of ===, grid
    local text
    text=$(cat)
    policies - <<<"${text%%===*}"
    if netpold_once; then
        check_grid "$1" <<<"${text#*===}"
    else
        fail "$1: netpold --once"
    fi
}

expect "egress rules without policyTypes isolate both directions; an empty list isolates ingress only" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: both}
spec: {podSelector: {matchLabels: {app: b}}, egress: [{}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: ingress}
spec: {podSelector: {matchLabels: {app: c}}, egress: []}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: egress}
spec: {podSelector: {matchLabels: {app: d}}, policyTypes: [Egress], ingress: [{}]}
===
probes t=tcp/80 u=udp/80 i=icmp
      x/a x/b x/c x/d y/e out n1 n2
x/a   -   .   .   *   *   *   *  *
x/b   *   -   .   *   *   *   *  *
x/c   *   .   -   *   *   *   *  *
x/d   .   .   .   -   .   .   .  .
y/e   *   .   .   *   -   *   *  *
out   *   .   .   *   *   -   *  *
n1    *   *   *   *   *   *   -  *
n2    *   .   .   *   *   *   *  -
E2

expect "ports: an empty entry is all of TCP, a protocol alone is all of it, ranges include both ends" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: tcp}
spec: {podSelector: {matchLabels: {app: a}}, ingress: [{ports: [{}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: udp}
spec: {podSelector: {matchLabels: {app: b}}, ingress: [{ports: [{protocol: UDP}, {protocol: SCTP, port: 81}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: range}
spec: {podSelector: {matchLabels: {app: c}}, ingress: [{ports: [{port: 9001, endPort: 9004}, {port: 80, endPort: 80}]}]}
===
probes 0=tcp/9000 1=tcp/9001 4=tcp/9004 5=tcp/9005 t=tcp/80 T=tcp/81 u=udp/80 U=udp/9000 s=sctp/80 S=sctp/81 i=icmp
      x/a     x/b  x/c
x/d   0145tT  uUS  14t
y/e   0145tT  uUS  14t
out   0145tT  uUS  14t
E2

expect "selectors: NotIn takes pods without the key, an empty value is a value" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: not-prod}
spec:
  podSelector: {matchLabels: {app: c}}
  ingress: [{from: [{podSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod, dev]}]}}], ports: [{port: 80}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: empty-value}
spec:
  podSelector: {matchLabels: {app: c}}
  ingress: [{from: [{podSelector: {matchLabels: {env: ""}}}], ports: [{port: 81}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: absent}
spec:
  podSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}
===
probes t=tcp/80 T=tcp/81 u=udp/80
      x/a x/b x/c x/d y/e
x/a   -   *   t   *   *
x/b   .   -   tT  *   *
x/d   .   *   .   -   *
y/e   .   *   .   *   -
E2

expect "both ends must allow, on one node and across; replies pass whatever the other direction says" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: a}
spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {}}, {namespaceSelector: {}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: b}
spec: {podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: y, name: e}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {}}]}]}
===
probes t=tcp/80 u=udp/80 s=sctp/80 i=icmp
      x/a x/b x/c x/d y/e
x/a   -   .   *   *   *
x/b   .   -   *   *   *
x/c   .   *   -   *   *
x/d   .   .   *   -   *
y/e   .   .   .   .   -
out   .   .   *   *   .
E2

# Who owns an address: a finished pod does not, a hostNetwork pod is its node, a terminating pod does.
POD_PHASE["x/job"]=Succeeded
POD_IP4["y/heir"]=${POD_IP4[x/job]} POD_IP6["y/heir"]=${POD_IP6[x/job]}
state_write
# The machine of the finished job now is the one of its heir, who got the address.
POD_NETNS["y/heir"]=${POD_NETNS[x/job]}
unset 'POD_NETNS[x/job]'
PODS=(x/a x/b x/c x/d y/e y/heir)
state_put more.yaml <<E2
apiVersion: v1
kind: Pod
metadata: {namespace: x, name: host, labels: {app: a}}
spec: {nodeName: n2, hostNetwork: true, containers: [{name: main, ports: [{name: http, containerPort: 80}]}]}
status: {phase: Running, podIP: ${NODE_IP4[n2]}, podIPs: [{ip: ${NODE_IP4[n2]}}, {ip: "${NODE_IP6[n2]}"}]}
E2
expect "finished pods own no address any more, hostNetwork pods are their node" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: from-a}
spec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: a}
spec: {podSelector: {matchLabels: {app: a}}, ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: c}
spec: {podSelector: {matchLabels: {app: c}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: a}}}]}]}
===
probes t=tcp/80 u=udp/80 i=icmp
         x/a x/b x/c x/d y/e y/heir n1 n2 out
x/a      -   *   *   *   *   *      *  *  *
y/heir   .   .   *   *   *   -      *  *  *
x/c      *   .   -   .   .   .      .  .  .
x/d      .   .   *   -   *   *      *  *  *
n1       *   *   *   *   *   *      -  *  *
n2       .   .   *   *   *   *      *  -  *
E2
rm "$STATE/more.yaml"

# Labels of namespaces and pods change while they live.
cat >"$WORK/by-team.yaml" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: by-team}
spec: {podSelector: {matchLabels: {tier: front}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: y}}}]}]}
E2
relabelled() { # what < grid
    state_write
    if netpold_once; then check_grid "$1"; else fail "$1: netpold --once"; fi
}
policies "$WORK/by-team.yaml"
relabelled "relabel: no pod is selected yet" <<'E2'
probes t=tcp/80 u=udp/80
      x/c x/d
x/a   *   *
y/e   *   *
E2
POD_LABELS["x/c"]=tier=front
POD_LABELS["x/d"]=tier=front
relabelled "relabel: pods become isolated" <<'E2'
probes t=tcp/80 u=udp/80
      x/c x/d
x/a   .   .
y/e   *   *
E2
namespace y team=z
namespace x team=y
relabelled "relabel: the namespaces change roles" <<'E2'
probes t=tcp/80 u=udp/80
      x/c x/d
x/a   *   *
y/e   .   .
E2
POD_LABELS["x/c"]=tier=back
relabelled "relabel: a pod is open again" <<'E2'
probes t=tcp/80 u=udp/80
      x/c x/d
x/a   *   *
y/e   *   .
E2

# Packets that are no plain first packet of a connection.
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: a}
spec:
  podSelector: {matchLabels: {app: a}}
  policyTypes: [Ingress, Egress]
  ingress: [{ports: [{protocol: UDP, port: 80}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: b}}}]}]
E2
check "netpold --once" netpold_once
large() { # from to port family
    local to=${POD_IP4[$2]}
    [[ $4 == 4 ]] || to=${POD_IP6[$2]}
    in_pod "$1" "$NETPROBE" connect --proto udp --to "$to" --port "$3" --size 5000
}
large_reached() {
    [[ $(large "$@") == ok ]]
}
large_dropped() {
    [[ $(large "$@") == timeout ]]
}
for family in 4 6; do
    check "fragments of an allowed datagram arrive and are answered, bridged, IPv$family" large_reached x/c x/a 80 $family
    check "fragments of an allowed datagram arrive and are answered, routed, IPv$family" large_reached x/b x/a 80 $family
    check "fragments of an allowed datagram arrive and are answered, other node, IPv$family" large_reached y/e x/a 80 $family
    check "fragments of a denied datagram do not, bridged, IPv$family" large_dropped x/c x/a 81 $family
    check "fragments of a denied datagram do not, other node, IPv$family" large_dropped y/e x/a 81 $family
    check "fragments to a denied destination do not leave, IPv$family" large_dropped x/a x/c 80 $family
done
for tool in iptables-legacy ip6tables-legacy; do
    on_node n1 $tool -w -t raw -A PREROUTING -p udp --dport 81 -j NOTRACK ||
        skip "NOTRACK is not there for $tool"
done
check "a packet without connection tracking is judged, IPv4" blocked x/a x/c udp/81 4
check "a packet without connection tracking is judged, IPv6" blocked x/a x/c udp/81 6
# Its answer would be unknown too, so what counts is that it arrives.
sniff_start x-b untracked4 untracked6
in_pod x/a "$NETPROBE" send --proto udp --from "${POD_IP4[x/a]}" --to "${POD_IP4[x/b]}" --port 81 --tag untracked4 >/dev/null
in_pod x/a "$NETPROBE" send --proto udp --from "${POD_IP6[x/a]}" --to "${POD_IP6[x/b]}" --port 81 --tag untracked6 >/dev/null
check "it passes where policy allows, IPv4" eventually 2 arrived x-b untracked4
check "it passes where policy allows, IPv6" eventually 2 arrived x-b untracked6
check "cleanup" purge
finish
