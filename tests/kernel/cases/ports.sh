# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # test_cases.sh sets what is used here, and uses what is set
# networkpolicy-v1.md section 7: ports, and names of ports (cases 7 to 9, 16, 30 to 38).

# ---- ports
PORTS="probes 1=tcp/53 7=tcp/79 8=tcp/80 9=tcp/81 k=tcp/20000 u=udp/80 w=udp/60 s=sctp/80 i=icmp"
{ ingress x p "$A" "[{ports: [{}]}]"; ingress y p "$A" "[{ports: [{protocol: UDP}]}]"; } | given "case 07"
check_grid "case 07: an empty port entry is all of TCP, a protocol alone all of it" <<E
$PORTS
      x/a    x/ar   y/a
x/b   1789k  1789k  uw
out   1789k  1789k  uw
E
ingress x p "$A" "[{ports: [{port: 80}]}]" | given "case 08"
check_grid "case 08: a port without protocol is TCP" <<E
$PORTS
      x/a x/ar
y/a   8   8
out   8   8
E
{ ingress x p "$A" "[{ports: [{port: 53, endPort: 80}]}]"
  egress y p "{}" "[{ports: [{port: 80, endPort: 80}]}]"; } | given "case 09"
check_grid "case 09: a range holds both its ends and one protocol" <<E
$PORTS
      x/a x/ar out
x/b   178 178  *
out   178 178  -
y/a   8   8    8
y/b   8   8    8
E
ingress x p "$A" "[{ports: [{protocol: ICMP, port: 80}, {port: 81}]}]" | given "case 16"
check_grid "case 16: an unknown protocol matches nothing and spoils nothing" <<E
$PORTS
      x/a x/ar
y/a   9   9
out   9   9
E

# ---- named ports
NAMED="probes 8=tcp/80 9=tcp/81 p=tcp/8080 d=tcp/53 D=udp/53 m=tcp/9090 n=tcp/9091 u=udp/80 i=icmp"
ingress x p "$A" "[{ports: [{port: http}]}]" | given "case 30"
check_grid "case 30: a name is the number of each selected pod" <<E
$NAMED
      x/a x/ar
y/b   8   p
out   8   p
E
ingress x p "$A" "[{ports: [{port: dns}]}]" | given "case 31"
check_grid "case 31: a name of another protocol is no name" <<E
$NAMED
      x/a x/ar
y/b   .   .
E
{ ingress x p "$A" "[{ports: [{port: nope}]}]"
  ingress y p "{}" "[{ports: [{port: nope}, {port: 81}]}]"; } | given "case 32"
check_grid "case 32: an unknown name opens nothing and spoils nothing" <<E
$NAMED
      x/a x/ar y/a y/b
z/b   .   .    9   9
out   .   .    9   9
E
POD_HIDDEN["y/b"]=1
state_write
state_put containers.yaml <<E
apiVersion: v1
kind: Pod
metadata: {namespace: y, name: b, labels: {pod: b}}
spec:
  nodeName: n1
  containers:
  - {name: c, ports: [{name: metrics, containerPort: 9090}]}
  - {name: d, ports: [{name: metrics, containerPort: 9091}]}
  initContainers:
  - {name: s, restartPolicy: Always, ports: [{name: side, containerPort: 80}]}
  - {name: i, ports: [{name: init, containerPort: 81}]}
status: {phase: Running, podIP: ${POD_IP4[y/b]}, podIPs: [{ip: ${POD_IP4[y/b]}}, {ip: "${POD_IP6[y/b]}"}]}
E
ingress y p "{matchLabels: {pod: b}}" "[{ports: [{port: metrics}]}]" | given "case 33"
check_grid "case 33: two containers with one name" <<E
$NAMED
      y/b
x/a   mn
out   mn
E
ingress y p "{matchLabels: {pod: b}}" "[{ports: [{port: side}, {port: init}]}]" | given "case 34"
check_grid "case 34: a sidecar's name counts, an init container's does not" <<E
$NAMED
      y/b
x/a   8
x/ar  8
E
rm "$STATE/containers.yaml"
unset 'POD_HIDDEN[y/b]'
state_write
egress x p "{}" "[{ports: [{port: http}]}]" | given "case 35"
check_grid "case 35: a name without 'to' is of every pod and of nothing else" <<E
$NAMED
      x/a x/ar y/a y/b out n1 n2
x/a   -   p    8   p   .   .  .
x/ar  8   -    8   p   .   .  .
x/b   8   p    8   p   .   .  .
E
egress x p "{}" "[{to: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: http}]}]" | given "case 36"
check_grid "case 36: a name for selected pods is the number of each" <<E
$NAMED
      x/a x/ar y/a y/b z/b out
x/b   .   .    8   p   .   .
x/a   -   .    8   p   .   .
E
ingress x p "$A" "[{from: [{ipBlock: {cidr: 203.0.113.0/28}},
    {ipBlock: {cidr: '2001:db8:99::10/124'}}], ports: [{port: http}]}]" |
    given "case 37"
check_grid "case 37: a name from an ipBlock is the target's" <<E
$NAMED
      x/a x/ar
out   8   p
out2  .   .
y/a   .   .
E
egress x p "{}" "[{to: [{ipBlock: {cidr: 203.0.113.0/24}}, {ipBlock: {cidr: '2001:db8:99::/64'}},
    {ipBlock: {cidr: ${POD_IP4[y/b]}/32}}, {ipBlock: {cidr: '${POD_IP6[y/b]}/128'}}], ports: [{port: http}]}]" |
    given "case 38"
check_grid "case 38: a name to an ipBlock is that of the pods inside" <<E
$NAMED
      y/a y/b out
x/a   .   p   .
x/ar  .   p   .
E
