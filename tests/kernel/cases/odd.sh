# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # test_cases.sh sets what is used here, and uses what is set
# networkpolicy-v1.md section 7: names, sizes, unknown words, and packets that are nobody's or untracked (cases 70
# to 75).

long=$(printf 'a%.0s' {1..251})
{ ingress x a.b "$A" "[{ports: [{port: 80}]}]"; ingress x a-b "{matchLabels: {pod: c}}" "[{ports: [{port: 81}]}]"
  ingress y "$long.x" "$A" "[{ports: [{port: 80}]}]"
  ingress y "$long.y" "$A" "[{ports: [{port: 8080}]}]"; } | given "case 70"
check_grid "case 70: names that differ by a dot and long names" <<E
probes t=tcp/80 T=tcp/81 p=tcp/8080
      x/a x/ar x/c y/a
x/b   t   t    T   tp
out   t   t    T   tp
E
many() { # from|to
    local i
    echo "[{$1: ["
    for ((i = 0; i < 5000; i++)); do echo "{ipBlock: {cidr: 20.$((i / 250)).$((i % 250)).1/32}},"; done
    echo "{ipBlock: {cidr: 203.0.113.20/32}}, {ipBlock: {cidr: '2001:db8:99::20/128'}}], ports: ["
    for ((i = 0; i < 298; i++)); do
        echo "{port: $((1000 + i * 10))$( ((i % 3)) || echo ", endPort: $((1005 + i * 10))")},"
    done
    echo "{port: 79, endPort: 80}, {port: 19990, endPort: 20010}]}]"
}
{ ingress x p "$A" "$(many from)"; egress y p "{}" "$(many to)"; } | given "case 71"
check_grid "case 71: 300 ports and 5,000 peers" <<E
probes 7=tcp/79 8=tcp/80 9=tcp/81 k=tcp/20000 u=udp/80 i=icmp
      x/a x/ar out out2
out2  78k 78k  -   -
out   .   .    -   -
y/a   .   .    .   78k
y/b   .   .    .   78k
E
np x p "{podSelector: {}, policyTypes: [Ingress, Ingress]}" | given "case 72"
check_grid "case 72: a type given twice" <<E
$T
      x/a x/ar y/a
y/a   .   .    -
x/a   -   .    *
E
{ np y p "{podSelector: {}, policyTypes: [Future], ingress: [], egress: []}"
  np x p "{podSelector: {matchLabels: {pod: a}, matchExpressions: [{key: n, operator: Gt, values: ['1']}]},
    ingress: [{}]}"; } |
    given "case 73"
check_grid "case 73: an unknown type isolates nobody, an unknown operator grants nothing" <<E
$T
      x/a x/ar x/b y/a y/b
z/b   .   .    *   *   *
y/a   .   .    *   -   *
E
{ cat <<<"$DENY"
  np y p "{podSelector: {}, policyTypes: [Ingress, Egress]}"
  np z p "{podSelector: {}, policyTypes: [Ingress, Egress]}"; } |
    given "case 74"
check_grid "case 74: what has no pod at an end is untouched" <<E
$T
          stranger out n1 n2
stranger  -        *   *  *
out       *        -   *  *
n2        *        *   *  -
E
for tool in iptables-legacy ip6tables-legacy; do
    on_node n1 $tool -w -t raw -A PREROUTING -p udp --dport 81 -j NOTRACK || skip "case 75: no NOTRACK for $tool"
done
egress x p "{}" "[{to: [{namespaceSelector: {}}], ports: [{protocol: UDP, port: 80}]}]" | given "case 75"
for family in 4 6; do
    sniff_start y-b "untracked$family" "tracked$family"
    from=${POD_IP4[x/a]} to=${POD_IP4[y/b]}
    [[ $family == 4 ]] || from=${POD_IP6[x/a]} to=${POD_IP6[y/b]}
    in_pod x/a "$NETPROBE" send --proto udp --from "$from" --to "$to" --port 81 --tag "untracked$family" \
        --count 3 >/dev/null
    in_pod x/a "$NETPROBE" send --proto udp --from "$from" --to "$to" --port 80 --tag "tracked$family" >/dev/null
    check "case 75: an allowed packet arrives, IPv$family" eventually 2 arrived y-b "tracked$family"
    check_equal "case 75: an untracked packet is judged, IPv$family" 0 "$(sniffed y-b "untracked$family")"
done
egress x p "{}" "[{to: [{namespaceSelector: {}}], ports: [{protocol: UDP, port: 81}]}]" | given "case 75"
for family in 4 6; do
    sniff_start y-b "passes$family"
    from=${POD_IP4[x/a]} to=${POD_IP4[y/b]}
    [[ $family == 4 ]] || from=${POD_IP6[x/a]} to=${POD_IP6[y/b]}
    in_pod x/a "$NETPROBE" send --proto udp --from "$from" --to "$to" --port 81 --tag "passes$family" >/dev/null
    check "case 75: and passes where policy allows, IPv$family" eventually 2 arrived y-b "passes$family"
done
