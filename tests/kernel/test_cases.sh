#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# networkpolicy-v1.md section 7 with packets: each outcome written by hand, said by the evaluator, done by the kernel; in
# both families, with x/a behind a bridge and x/ar behind a routed veth. The cases stand in cases/, with a check line each
# at least ("case NN: …"); docs/CONFORMANCE.md names other tests of the same.
# shellcheck disable=SC2034 # the harness uses what is set here
TCP_PORTS=53,79,80,81,443,6443,8080,8081,9090,9091,20000
UDP_PORTS=53,60,80,81
SCTP_PORTS=80,81
# Silence is asked about again with patience where an answer is wanted (lib/probe.sh), so a short wait proves as much.
PROBE_TIMEOUT=${PROBE_TIMEOUT:-120}
source "$(dirname "$0")/lib.sh"
sandbox "$@"

OUT_EXTRA+=(169.254.169.254 10.250.1.5 10.250.2.5)
fabric
node n1
node n2
outside
routes
namespace x ns=x
namespace y ns=y
namespace z ns=z
pod x/a n1 bridged pod=a http:80/TCP,dns:53/UDP
pod x/ar n1 routed pod=a http:8080/TCP
pod x/b n1 routed pod=b
pod x/c n2 bridged pod=c,env=
pod y/a n2 routed pod=a,env=prod http:80/TCP
pod y/b n1 bridged pod=b http:8080/TCP
pod z/b n2 bridged pod=b
# No pod knows this machine: an address behind n1 that is nobody's.
pod z/far n1 routed ''
POD_HIDDEN["z/far"]=1
ENDPOINT["meta"]="out 169.254.169.254 -"
ENDPOINT["ten1"]="out 10.250.1.5 -"
ENDPOINT["ten2"]="out 10.250.2.5 -"
ENDPOINT["stranger"]="z-far ${POD_IP4[z/far]} ${POD_IP6[z/far]}"
ENDPOINT["out2"]="out 203.0.113.20 2001:db8:99::20"
ENDPOINT["ula"]="out 198.51.100.7 fc00:99::10"
state_write

# Policies in short: the spec in flow style.
np() { # namespace name spec
    printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n'
    printf 'metadata: {namespace: %s, name: %s}\nspec: %s\n' "$1" "$2" "$3"
}
ingress() { np "$1" "$2" "{podSelector: $3, policyTypes: [Ingress], ingress: $4}"; }
egress() { np "$1" "$2" "{podSelector: $3, policyTypes: [Egress], egress: $4}"; }
A='{matchLabels: {pod: a}}'
given() { # what < policies
    policies -
    netpold_once || fail "$1: netpold --once"
}
# A single question has no second look: patience where an answer is wanted.
reaches() {
    [[ $(PROBE_TIMEOUT=800 outcome "$@") == ok ]]
}
T="probes t=tcp/80 T=tcp/81 u=udp/80 s=sctp/80 i=icmp"

for part in ports peers traffic life odd; do
    # shellcheck source=/dev/null
    source "$KERNEL_DIR/cases/$part.sh"
done
check "cleanup" purge
finish
