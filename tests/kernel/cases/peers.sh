# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # test_cases.sh sets what is used here, and uses what is set
# networkpolicy-v1.md section 7: whom a policy selects and whom its peers allow (cases 1 to 6, 10 to 27).

# ---- presence and defaults
np x p "{podSelector: {}}" | given "case 01"
check_grid "case 01: a podSelector alone isolates its namespace for ingress" <<E
$T
      x/a x/ar x/c y/a out
x/b   .   .    .   *   *
x/a   -   .    .   *   *
y/a   .   .    .   -   *
out   .   .    .   *   -
n2    .   .    *   *   *
E
np x p "{podSelector: {}, egress: [{}]}" | given "case 02"
check_grid "case 02: egress rules without policyTypes isolate ingress too" <<E
$T
      x/a x/ar y/a out n1 n2
x/a   -   .    *   *   *  *
x/ar  .   -    *   *   *  *
y/a   .   .    -   *   *  *
out   .   .    *   -   *  *
E
np x p "{podSelector: {}, egress: []}" | given "case 03"
check_grid "case 03: an empty egress list without policyTypes does not isolate egress" <<E
$T
      x/a x/ar y/a out
x/a   -   .    *   *
x/ar  .   -    *   *
y/a   .   .    -   *
out   .   .    *   -
E
np x p "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}" | given "case 04"
check_grid "case 04: ingress rules without the type are ignored, all egress is closed" <<E
probes t=tcp/80 d=tcp/53 D=udp/53 i=icmp
      x/a x/ar y/a out n1 n2
x/a   -   .    .   .   .  .
x/ar  .   -    .   .   .  .
y/a   *   *    -   *   *  *
out   *   *    *   -   *  *
E
np x p "{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 80}]}]}" | given "case 05"
check_grid "case 05: egress rules without the type are ignored" <<E
$T
      x/a x/ar y/a out
x/a   -   .    *   *
x/ar  .   -    *   *
y/a   .   .    -   *
E
np x p "{podSelector: {}, ingress: [{from: [], ports: []}]}" | given "case 06"
check_grid "case 06: empty from and ports are everything" <<E
$T
      x/a x/ar
x/b   *   *
y/a   *   *
out   *   *
n2    *   *
E

# ---- peers
ingress x p "$A" "[{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]" |
    given "case 10"
check_grid "case 10: both selectors in one peer must match" <<E
$T
      x/a x/ar
y/b   *   *
x/b   .   .
y/a   .   .
z/b   .   .
out   .   .
E
ingress x p "$A" "[{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]" |
    given "case 10"
check_grid "case 10: two peers of a list are alternatives" <<E
$T
      x/a x/ar
x/b   *   *
y/a   *   *
y/b   *   *
z/b   .   .
E
ingress x p "{}" "[{from: [{podSelector: {}}]}]" | given "case 11"
check_grid "case 11: an empty podSelector is the own namespace" <<E
$T
      x/a x/ar
x/b   *   *
x/c   *   *
y/a   .   .
out   .   .
E
state_put host.yaml <<E
apiVersion: v1
kind: Pod
metadata: {namespace: y, name: host, labels: {pod: b}}
spec: {nodeName: n2, hostNetwork: true, containers: [{name: main, ports: [{name: http, containerPort: 80}]}]}
status: {phase: Running, podIP: ${NODE_IP4[n2]}, podIPs: [{ip: ${NODE_IP4[n2]}}, {ip: "${NODE_IP6[n2]}"}]}
E
ingress x p "{}" "[{from: [{namespaceSelector: {}}]}]" | given "case 12"
check_grid "case 12: an empty namespaceSelector is every pod and no node, its hostNetwork pods included" <<E
$T
      x/a x/ar
x/b   *   *
y/a   *   *
z/b   *   *
out   .   .
n2    .   .
E
ingress x p "{}" "[{from: [{}]}]" | given "case 13"
check_grid "case 13: a peer without a known key is nobody" <<E
$T
      x/a x/ar
x/b   .   .
out   .   .
E
ingress x p "$A" "[{from: [{podSelector: {matchLabels: {pod: b}}, futureKey: {a: b}},
    {podSelector: {matchLabels: {pod: c}}}]}]" |
    given "case 14"
check_grid "case 14: a peer with an unknown key is nobody, its neighbour is somebody" <<E
$T
      x/a x/ar
x/b   .   .
x/c   *   *
E
ingress x p "{}" "[{from: [{podSelector: {matchLabels: {pod: none}}}]}]" | given "case 15"
check_grid "case 15: a peer that selects no pod leaves the pod isolated" <<E
$T
      x/a x/ar
x/b   .   .
y/a   .   .
out   .   .
E
{ ingress y p "{matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}" "[]"
  ingress x p "{matchExpressions: [{key: env, operator: DoesNotExist}]}" "[]"; } | given "case 17"
check_grid "case 17: NotIn selects pods without the key; an empty value exists" <<E
$T
      x/a x/ar x/c y/a y/b
z/b   .   .    *   *   .
E
{ ingress x p "{matchLabels: {env: ''}}" "[]"
  ingress y p "{}" "[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {env: ''}}}]}]"; } | given "case 18"
check_grid "case 18: an empty label value is a value" <<E
$T
      x/a x/ar x/c y/a y/b
z/b   *   *    .   .   .
x/c   *   *    -   *   *
E
np x p "{podSelector: {matchExpressions: [{key: pod, operator: In, values: [a]},
    {key: pod, operator: In, values: [b]}]}, policyTypes: [Ingress, Egress]}" |
    given "case 19"
check_grid "case 19: contradicting requirements select nobody" <<E
$T
      x/a x/ar x/b out
y/a   *   *    *   *
x/a   -   *    *   *
E
np x p "{podSelector: $A, policyTypes: [Ingress, Egress]}" | given "case 20"
check_grid "case 20: a policy selects in its own namespace" <<E
$T
      x/a x/ar y/a out
x/b   .   .    *   *
y/a   .   .    -   *
x/a   -   .    .   .
E
{ np x deny "{podSelector: {}}"; np x open "{podSelector: {}, ingress: [{}]}"; } | given "case 21"
check_grid "case 21: policies are united" <<E
$T
      x/a x/ar
y/a   *   *
out   *   *
E
np x deny "{podSelector: {}}" | given "case 21"
check_grid "case 21: without the second the first isolates" <<E
$T
      x/a x/ar
y/a   .   .
out   .   .
E
given "case 21" </dev/null
check_grid "case 21: without both the pod is open" <<E
$T
      x/a x/ar
y/a   *   *
out   *   *
E

# ---- ipBlocks
EXCEPT="{ipBlock: {cidr: 10.0.0.0/8, except: [10.250.1.0/24]}}"
ingress x p "{}" "[{from: [$EXCEPT]}]" | given "case 22"
check_grid "case 22: except takes addresses from its block" <<E
$T
family 4
      x/a x/ar
ten1  .   .
ten2  *   *
x/b   *   *
out   .   .
family 6
      x/a x/ar
x/b   .   .
E
ingress x p "{}" "[{from: [$EXCEPT, {ipBlock: {cidr: 10.250.1.0/24}}]}]" | given "case 22"
check_grid "case 22: another block of the list gives them back" <<E
$T
      x/a x/ar
ten1  *   *
ten2  *   *
out   .   .
E
{ ingress x p "{}" "[{from: [$EXCEPT]}]"
  ingress x q "{}" "[{from: [{ipBlock: {cidr: 10.250.1.0/24}}], ports: [{port: 80}]}]"; } | given "case 23"
check_grid "case 23: a block in another policy, for its ports only" <<E
$T
      x/a x/ar
ten1  t   t
ten2  *   *
E
ingress x p "{}" "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.250.1.0/24]}},
    {ipBlock: {cidr: 10.0.0.0/8, except: [10.250.2.0/24]}}]}]" |
    given "case 24"
check_grid "case 24: each except is of its own block" <<E
$T
      x/a x/ar
ten1  *   *
ten2  *   *
out   .   .
E
ingress x p "$A" "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [${POD_IP4[x/b]}/32]}},
    {podSelector: {matchLabels: {pod: b}}}]}]" |
    given "case 25"
check_grid "case 25: a selector allows what an except leaves out" <<E
$T
      x/a x/ar
x/b   *   *
ten1  *   *
out   .   .
family 6
      x/a x/ar
x/b   *   *
x/c   .   .
E
{ ingress x p "$A" "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"
  ingress y p "$A" "[{from: [{ipBlock: {cidr: '::/0'}}]}]"; } |
    given "case 26"
check_grid "case 26: a /0 is all of one family and nothing of the other" <<E
$T
family 4
      x/a x/ar y/a
x/b   *   *    .
out   *   *    .
ula   *   *    .
family 6
      x/a x/ar y/a
x/b   .   .    *
out   .   .    *
ula   .   .    *
E
{ ingress x p "$A" "[{from: [{ipBlock: {cidr: 10.250.1.9/24}}]}]"
  ingress y p "{matchLabels: {pod: a}}" "[{from: [{ipBlock: {cidr: 010.250.2.0/24}}]}]"
  ingress y q "{matchLabels: {pod: b}}" "[{from: [{ipBlock: {cidr: '::ffff:10.250.0.0/112'}}]}]"; } | given "case 27"
check_grid "case 27: host bits, leading zeros and mapped addresses" <<E
$T
      x/a x/ar y/a y/b
ten1  *   *    .   *
ten2  .   .    *   *
E
