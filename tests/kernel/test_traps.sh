#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shapes on which a widely used enforcer gives wrong verdicts, seen with packets: four leaks, two wrong denials, ICMP, own
# service and name collisions, and what it loses or leaves behind. Each wanted outcome is written by hand.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
namespace x-y team=xy
namespace y team=y
pod x/web n1 bridged app=web http:80/TCP
pod x/webr n1 routed app=web http:81/TCP
pod x/cli n1 bridged app=cli
pod x/none n1 routed app=none
pod x/web2 n2 bridged app=web http:80/TCP,dns:53/UDP
pod x/clir n2 routed app=cli
pod y/far n2 bridged app=far http:81/TCP
pod x-y/mate n1 bridged app=mate
ENDPOINT["out2"]="out 203.0.113.20 2001:db8:99::20"
ENDPOINT["ula"]="out 198.51.100.7 fc00:99::10"
ENDPOINT["nat64"]="out - 64:ff9b::cb00:710a"
state_write

trap_case() { # what < policies, a line of ===, grid
    local text
    text=$(cat)
    policies - <<<"${text%%===*}"
    if netpold_once; then
        check_grid "$1" <<<"${text#*===}"
    else
        fail "$1: netpold --once"
    fi
}

trap_case "leak 1: closed for ingress, open for egress: its pods do not reach each other" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: out-only}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress: [{}]
===
probes t=tcp/80 T=tcp/81 u=udp/80 s=sctp/80 i=icmp
        x/web x/webr x/cli x/web2 y/far n1 n2 out
x/web   -     .      *     .      *     *  *  *
x/webr  .     -      *     .      *     *  *  *
x/cli   .     .      -     .      *     *  *  *
x/web2  .     .      *     -      *     *  *  *
y/far   .     .      *     .      -     *  *  *
n1      *     *      *     .      *     -  *  *
n2      .     .      *     *      *     *  -  *
out     .     .      *     .      *     *  *  -
E2

trap_case "leak 2: a port name that no pod has opens nothing" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: nope}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: cli}}}]
    ports: [{port: nope}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: nope-egress}
spec:
  podSelector: {matchLabels: {app: none}}
  policyTypes: [Egress]
  egress:
  - ports: [{port: nope}, {port: 82}]
===
probes t=tcp/80 T=tcp/81 V=tcp/82 u=udp/80 s=sctp/80 i=icmp
        x/web x/webr x/cli x/web2 y/far n1 n2 out
x/web   -     .      *     .      *     *  *  *
x/cli   .     .      -     .      *     *  *  *
x/clir  .     .      *     .      *     *  *  *
x/none  .     .      V     .      V     V  V  V
y/far   .     .      *     .      -     *  *  *
out     .     .      *     .      *     *  *  -
E2

trap_case "leak 3: a port name opens on each pod only that pod's own number (ingress)" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: by-name}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: cli}}}, {namespaceSelector: {matchLabels: {team: y}}}]
    ports: [{port: http}, {port: dns}, {port: dns, protocol: UDP}]
===
probes t=tcp/80 T=tcp/81 d=tcp/53 D=udp/53 u=udp/80 i=icmp
        x/web x/webr x/web2
x/web   -     .      .
x/cli   t     T      tD
x/clir  t     T      tD
x/none  .     .      .
y/far   t     T      tD
out     .     .      .
E2

trap_case "leak 3: a port name opens on each pod only that pod's own number (egress)" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: by-name}
spec:
  podSelector: {matchLabels: {app: cli}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 203.0.113.0/24}}, {ipBlock: {cidr: "2001:db8:99::/64"}}]
    ports: [{port: http}]
===
probes t=tcp/80 T=tcp/81 u=udp/80 i=icmp
        x/web x/webr x/cli x/none x/web2 x/clir y/far n1 n2 out
x/cli   t     T      -     .      t      .      .     .  .  .
x/clir  t     T      .     .      t      -      .     .  .  .
E2

trap_case "leak 4: a port name for egress without 'to' opens no number of anything else" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: by-name}
spec:
  podSelector: {matchLabels: {app: cli}}
  policyTypes: [Egress]
  egress:
  - ports: [{port: http}]
===
probes t=tcp/80 T=tcp/81 u=udp/80 i=icmp
        x/web x/webr x/cli x/none x/web2 x/clir y/far n1 n2 out
x/cli   t     T      -     .      t      .      T     .  .  .
x/clir  t     T      .     .      t      -      T     .  .  .
E2

trap_case "wrong denial 5: the except of one ipBlock takes nothing from another" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: blocks}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from:
    - ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.20/32]}
    - ipBlock: {cidr: 203.0.113.16/28}
    - ipBlock: {cidr: "2001:db8:99::/64", except: ["2001:db8:99::20/128"]}
    - ipBlock: {cidr: "2001:db8:99::/122"}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: y, name: blocks}
spec:
  podSelector: {}
  ingress:
  - from:
    - ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.20/32, 203.0.113.0/28]}
    - ipBlock: {cidr: 203.0.0.0/16, except: [203.0.113.0/24]}
    - ipBlock: {cidr: "2001:db8:99::/64", except: ["2001:db8:99::20/128", "2001:db8:99::10/124"]}
    - ipBlock: {cidr: "2001:db8::/32", except: ["2001:db8:99::/64"]}
  - from: [{ipBlock: {cidr: 203.0.113.20/32}}, {ipBlock: {cidr: "2001:db8:99::20/128"}}]
    ports: [{port: 81}]
===
probes t=tcp/80 T=tcp/81 u=udp/80 i=icmp
        x/web x/webr x/web2 y/far
out     *     *      *      .
out2    *     *      *      T
ula     .     .      .      .
x/cli   .     .      .      .
E2

trap_case "wrong denial 6: ::/0 holds every IPv6 address, and no IPv4 one" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: any6}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{ipBlock: {cidr: "::/0"}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: any6-egress}
spec:
  podSelector: {matchLabels: {app: cli}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: "::/0", except: ["2001:db8:99::20/128"]}}, {ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.20/32]}}]
===
probes t=tcp/80 u=udp/80 i=icmp
family 4
        x/web x/webr x/web2 y/far n1 out out2 ula
out     .     .      .      *     *  -   -    -
ula     .     .      .      *     *  -   -    -
x/none  .     .      .      *     *  *   *    *
x/cli   .     .      .      *     *  *   .    *
x/clir  .     .      .      *     *  *   .    *
family 6
        x/web x/webr x/web2 y/far n1 out out2 ula nat64
out     *     *      *      *     *  -   -    -   -
ula     *     *      *      *     *  -   -    -   -
nat64   *     *      *      *     *  -   -    -   -
x/none  *     *      *      *     *  *   *    *   *
x/cli   *     *      *      *     *  *   .    *   *
x/clir  *     *      *      *     *  *   .    *   *
E2

trap_case "7: ICMP passes by rules without ports only, never by a TCP rule" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: tcp-80}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: cli}}}]
    ports: [{port: 80}]
  - from: [{namespaceSelector: {matchLabels: {team: y}}}]
===
probes t=tcp/80 T=tcp/81 u=udp/80 s=sctp/80 i=icmp
        x/web x/webr x/web2
x/cli   t     t      t
x/clir  t     t      t
x/none  .     .      .
y/far   *     *      *
out     .     .      .
n1      *     *      .
E2

trap_case "7: names that join to the same text keep their own rules" <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: y-p}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{ports: [{port: 80}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x-y, name: p}
spec:
  podSelector: {}
  ingress: [{ports: [{port: 81}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: y, name: a.b}
spec:
  podSelector: {}
  ingress: [{ports: [{port: 80}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: y, name: a-b}
spec:
  podSelector: {}
  ingress: [{ports: [{protocol: UDP, port: 81}]}]
===
probes t=tcp/80 T=tcp/81 u=udp/80 U=udp/81
         x/web x/webr x-y/mate y/far
x/cli    t     t      T        tU
x/clir   t     t      T        tU
out      t     t      T        tU
E2

# A pod isolated in both directions reaches itself through its service, and a sibling neither directly nor by its service.
service 10.96.0.10 fd00:96::10 tcp 80 x/web 8080
service 10.96.0.11 fd00:96::11 tcp 80 x/webr 8080
service 10.96.0.12 fd00:96::12 tcp 80 x/web2 8080
service 10.96.0.13 fd00:96::13 udp 80 x/web 8080
policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: nothing}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: to-web-8080}
spec:
  podSelector: {matchLabels: {app: cli}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: none}}}], ports: [{port: 8080}]}]
E2
check "7: services: netpold --once" netpold_once
service 10.96.0.14 fd00:96::14 tcp 80 x/none 8080
for family in 4 6; do
    vip=10.96.0.1
    [[ $family == 4 ]] || vip=fd00:96::1
    check "7: bridged pod reaches itself by its service, IPv$family" reaches x/web "${vip}0" tcp/80 $family
    check "7: bridged pod reaches itself by its UDP service, IPv$family" reaches x/web "${vip}3" udp/80 $family
    check "7: routed pod reaches itself by its service, IPv$family" reaches x/webr "${vip}1" tcp/80 $family
    check "7: pod on the second node reaches itself by its service, IPv$family" reaches x/web2 "${vip}2" tcp/80 $family
    check "7: pod reaches its own address, IPv$family" reaches x/web x/web tcp/80 $family
    check "7: a sibling's service stays closed, same node, IPv$family" blocked x/web "${vip}1" tcp/80 $family
    check "7: a sibling's service stays closed, other node, IPv$family" blocked x/web "${vip}2" tcp/80 $family
    check "a service is judged by pod and target port, same node, IPv$family" reaches x/cli "${vip}4" tcp/80 $family
    check "a service is judged by pod and target port, other node, IPv$family" reaches x/clir "${vip}4" tcp/80 $family
    check "the service port itself is not allowed, IPv$family" blocked x/cli x/none tcp/80 $family
done

# 8. What others break is repaired, what is foreign is kept, and nothing stays behind.
policies "$KERNEL_DIR/recipes/01-deny-all-to-an-application.yaml"
for name in n1 n2; do netpold_start "$name" --sync-period 1s; done
check "8: daemons are ready" wait_ready
check "8: denied" blocked x/cli x/web tcp/80 4
broken() { # what command-on-n1
    ip netns exec n1 bash -c "$2"
    if eventually 5 in_sync n1 && blocked x/cli x/web tcp/80 4 && blocked x/clir x/web tcp/80 6; then
        pass "8: $1 is repaired"
    else
        fail "8: $1 is not repaired within 5 s"
        kernel_text n1 | sed 's/^/     /'
    fi
}
broken "a deleted jump" 'iptables-legacy -w -S FORWARD | sed -n "s/^-A FORWARD \(.*-j NETPOL-FORWARD.*\)/\1/p" |
    xargs iptables-legacy -w -D FORWARD'
broken "a deleted IPv6 jump" 'ip6tables-legacy -w -S FORWARD | sed -n "s/^-A FORWARD \(.*-j NETPOL-FORWARD.*\)/\1/p" |
    xargs ip6tables-legacy -w -D FORWARD'
broken "a jump pushed down by a foreign rule" 'iptables-legacy -w -I FORWARD -m comment --comment foreign -j ACCEPT'
ip netns exec n1 iptables-legacy -w -D FORWARD -m comment --comment foreign -j ACCEPT
broken "a flushed chain" 'iptables-legacy -w -F NETPOL-FORWARD'
broken "a flushed pod chain" 'for chain in $(iptables-legacy -w -S | sed -n "s/^-N \(NETPOL-[IP]-.*\)/\1/p"); do
    iptables-legacy -w -F $chain; done'
broken "a flushed table" 'iptables-legacy -w -F'
broken "a rule of ours replaced" 'iptables-legacy -w -I NETPOL-DROP -j RETURN'

policies "$KERNEL_DIR/recipes/02-limit-by-label.yaml"
check "8: policy with a set in force" wait_in_sync
POD_LABELS["x/cli"]=role=client
state_write
check "8: relabel in force" wait_in_sync
check "8: relabelled pod reaches" reaches x/cli x/web tcp/80
ip netns exec n1 bash -c 'for set in $(ipset list -n | grep ^NP4-); do ipset flush $set; done'
check "8: an emptied set is filled again" eventually 5 reaches x/cli x/web tcp/80
ip netns exec n1 bash -c 'for set in $(ipset list -n | grep ^NP4-); do ipset add $set '"${POD_IP4[x/none]}"'; done'
check "8: a member that does not belong there is removed" eventually 5 blocked x/none x/web tcp/80

for name in n1 n2; do netpold_stop "$name"; done
check "8: rules stay when the daemon ends" blocked x/none x/web tcp/80
check "8: cleanup" purge
check_equal "8: nothing left after cleanup" "0 0" "$(own_objects n1) $(own_objects n2)"
check "8: open after cleanup" reaches x/none x/web tcp/80
finish
