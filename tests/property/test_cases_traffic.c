// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: what else decides: nodes, the pod itself, replies, services, neighbour discovery,
// packets that are no plain first packet (cases 40 to 51, 54, 74, 75).
#include "support/cases.h"

#include <string.h>

enum { ICMP = 1, ICMPV6 = 58 };

static void case_40_host_network_pod_as_subject(void **unused)
{
    (void)unused;
    cases_given(HOST_POD DENY_ALL("y"));
    OK_ALL("out", "node:n2");
    OK_ALL("node:n2", "out");
    OK_ALL("x/a", "y/host");
    OK_ALL("y/host", "x/a");
    OK_ALL("z/c", "y/host");
    OK_ALL("y/host", "z/c");
    X_ALL("y/host", "y/a");
}

static void case_41_own_node_reaches_its_pods(void **unused)
{
    (void)unused;
    cases_given(POD("x", "h", "{}", "{nodeName: n1, hostNetwork: true, containers: []}",
                    "{phase: Running, podIP: 192.168.0.1}") DENY_ALL("x"));
    OK_ALL("node:n1", "x/a");
    OK_ALL("x/h", "x/a");
    OK_ALL("node:n2", "x/c");
    X_ALL("node:n2", "x/a");
    X_ALL("x/h", "x/c");
    X_ALL("node:n1", "x/c");
    // Whatever address of its own the node sends from: what leaves by OUTPUT is the node's.
    struct packet local = cases_packet("10.0.0.1", "10.0.1.1", PROTOCOL_TCP, 80);
    local.arrival = ARRIVAL_FROM_NODE;
    local.source_is_node = true;
    PASSES("n1", &local);
    local = cases_packet("fe80::1", "fd00::1:1", PROTOCOL_TCP, 80);
    local.arrival = ARRIVAL_FROM_NODE;
    local.source_is_node = true;
    PASSES("n1", &local);
    // A node's address in FORWARD is forged or another node's.
    struct packet forged = cases_packet("192.168.0.1", "10.0.1.1", PROTOCOL_TCP, 80);
    forged.source_is_node = true;
    DROPPED("n1", &forged);
}

static void case_42_kubelet_probes(void **unused)
{
    (void)unused;
    cases_given(DENY_ALL("x"));
    static const uint16_t ports[] = {80, 8080, 10250, 50051};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        OK("node:n1", "x/a", "TCP", ports[i]);
        OK("node:n2", "x/c", "TCP", ports[i]);
    }
    // The answer of the probed pod goes to the node by INPUT.
    struct packet answer = cases_packet("10.0.1.1", "192.168.0.1", PROTOCOL_TCP, 40000);
    answer.arrival = ARRIVAL_TO_NODE;
    DROPPED("n1", &answer);
    answer.ct = CT_ESTABLISHED;
    PASSES("n1", &answer);
}

static void case_43_a_pod_reaches_itself(void **unused)
{
    (void)unused;
    cases_given(DENY_ALL("x"));
    OK_ALL("x/a", "x/a");
    OK_ALL("x/c", "x/c");
    X_ALL("x/a", "x/b");
    // By its service: seen with its own address at both ends, translated. Not translated it is forged.
    static const char *const own[] = {"10.0.1.1", "fd00::1:1"};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        struct packet hairpin = cases_packet(own[i], own[i], PROTOCOL_TCP, 8080);
        hairpin.dnat = true;
        PASSES("n1", &hairpin);
        hairpin.dnat = false;
        DROPPED("n1", &hairpin);
    }
    // The service picks a sibling.
    struct packet miss = cases_packet("10.0.1.1", "10.0.1.2", PROTOCOL_TCP, 8080);
    miss.dnat = true;
    DROPPED("n1", &miss);
    miss = cases_packet("fd00::1:1", "fd00::1:2", PROTOCOL_TCP, 8080);
    miss.dnat = true;
    DROPPED("n1", &miss);
}

// A packet of an established flow, and the same as a first packet.
static void reply(const char *node, const char *from, const char *to)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        struct packet packet = cases_packet(from, to, protocols[i], 40000);
        packet.ct = CT_ESTABLISHED;
        PASSES(node, &packet);
        packet.ct = CT_NEW;
        DROPPED(node, &packet);
    }
}

static void case_44_egress_isolated_pod_answers(void **unused)
{
    (void)unused;
    cases_given(EGRESS("x", "p", "{}", "[]"));
    OK_ALL("out", "x/a");
    OK_ALL("y/a", "x/a");
    reply("n1", "10.0.1.1", "203.0.113.9");
    reply("n1", "fd00::1:1", "2001:db8::9");
    reply("n1", "10.0.1.1", "10.0.2.1");
    X_ALL("x/a", "out");
    X_ALL("x/a", "y/a");
}

static void case_45_ingress_isolated_pod_dials_out(void **unused)
{
    (void)unused;
    cases_given(INGRESS("y", "p", "{}", "[]"));
    OK_ALL("y/a", "out");
    OK_ALL("y/a", "x/a");
    reply("n1", "203.0.113.9", "10.0.2.1");
    reply("n1", "2001:db8::9", "fd00::2:1");
    reply("n1", "10.0.1.1", "10.0.2.1");
    X_ALL("out", "y/a");
    X_ALL("x/a", "y/a");
}

static void case_46_same_node_needs_both_ends(void **unused)
{
    (void)unused;
    // x/b is on the node of x/a, x/c on another.
    static const char *const targets[] = {"x/b", "x/c"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        cases_given(EGRESS("x", "out", LABEL("pod", "a"), "[{}]")
                        INGRESS("x", "in", "{matchExpressions: [{key: pod, operator: In, values: [b, c]}]}", "[]"));
        X_ALL("x/a", targets[i]);
        OK_ALL("x/a", "y/a");
        OK_ALL("x/a", "out");
        cases_given(EGRESS("x", "out", LABEL("pod", "a"), "[]")
                        INGRESS("x", "in", "{matchExpressions: [{key: pod, operator: In, values: [b, c]}]}", "[{}]"));
        X_ALL("x/a", targets[i]);
        OK_ALL("y/a", targets[i]);
        cases_given(EGRESS("x", "out", LABEL("pod", "a"), "[{ports: [{port: 80}, {port: 81}]}]")
                        INGRESS("x", "in", "{}", "[{ports: [{port: 81}, {port: 82}]}]"));
        OK("x/a", targets[i], "TCP", 81);
        X("x/a", targets[i], "TCP", 80);
        X("x/a", targets[i], "TCP", 82);
    }
}

static void case_47_pod_to_nodes(void **unused)
{
    (void)unused;
    cases_given(EGRESS("x", "p", "{}", "[]"));
    X_ALL("x/a", "node:n1");
    X_ALL("x/a", "node:n2");
    X_ALL("x/c", "node:n2");
    cases_given(
        EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: 192.168.0.1/32}}, {ipBlock: {cidr: 'fd00:168::1/128'}}]}]"));
    OK_ALL("x/a", "node:n1");
    OK_ALL("x/c", "node:n1");
    X_ALL("x/a", "node:n2");
    X_ALL("x/c", "node:n2");
}

static void case_48_node_ports(void **unused)
{
    (void)unused;
    // On another node the source is that node's address; on the receiving node it is the client's.
    cases_given(
        INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 203.0.113.9/32}}, {ipBlock: {cidr: '2001:db8::9/128'}}]}]"));
    X_ALL("node:n2", "x/a");
    OK_ALL("out", "x/a");
    struct packet local = cases_packet("203.0.113.9", "10.0.1.1", PROTOCOL_TCP, 8080);
    local.dnat = true;
    PASSES("n1", &local);
    cases_given(
        INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 192.168.0.2/32}}, {ipBlock: {cidr: 'fd00:168::2/128'}}]}]"));
    OK_ALL("node:n2", "x/a");
    X_ALL("out", "x/a");
    cases_given(INGRESS("x", "p", "{}", "[]"));
    X_ALL("out", "x/a");
    X_ALL("node:n2", "x/a");
    DROPPED("n1", &local);
}

static void case_49_api_server(void **unused)
{
    (void)unused;
    // The client dials 443 of the service; the server listens on 6443 of a node.
    cases_given(POD("z", "api", "{component: kube-apiserver}", "{nodeName: n2, hostNetwork: true, containers: []}",
                    "{phase: Running, podIP: 192.168.0.2}")
                    EGRESS("x", "p", "{}",
                           "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {component: kube-apiserver}}}], "
                           "ports: [{port: 443}, {port: 6443}]}]"));
    X_ALL("x/a", "z/api");
    X("x/a", "z/api", "TCP", 443);
    X("x/a", "z/api", "TCP", 6443);
    build_apply(cases_world, EGRESS("x", "p", "{}",
                                    "[{to: [{ipBlock: {cidr: 192.168.0.2/32}}, {ipBlock: {cidr: 'fd00:168::2/128'}}], "
                                    "ports: [{port: 6443}]}]"));
    OK("x/a", "z/api", "TCP", 6443);
    X("x/a", "z/api", "TCP", 443);
    X("x/a", "node:n1", "TCP", 6443);
}

static void case_50_metadata_server(void **unused)
{
    (void)unused;
    cases_given(EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]"));
    X_ALL("x/a", "169.254.169.254");
    OK_ALL("x/a", "169.254.169.253");
    OK_ALL("x/a", "169.254.169.255");
    OK_ALL("x/a", "8.8.8.8");
    OK_ALL("x/a", "10.0.2.1");
    X_ALL("x/a", "2001:db8::1");
    X_ALL("x/a", "fd00::2:1");
    // Without policy the address is nothing special.
    OK_ALL("y/a", "169.254.169.254");
}

static void case_51_neighbour_discovery(void **unused)
{
    (void)unused;
    cases_given(DENY_ALL("x"));
    static const struct {
        uint8_t type;
        uint8_t hop_limit;
        enum ct_state ct;
        bool want;
    } rows[] = {
        {133, 255, CT_NEW, true},  {134, 255, CT_NEW, true},        {135, 255, CT_NEW, true},
        {136, 255, CT_NEW, true},  {136, 255, CT_UNTRACKED, true},  {137, 255, CT_INVALID, true},
        {135, 64, CT_NEW, false},  {136, 254, CT_UNTRACKED, false}, {132, 255, CT_NEW, false},
        {138, 255, CT_NEW, false}, {143, 1, CT_NEW, false},         {128, 64, CT_NEW, false},
        {128, 255, CT_NEW, false}, {129, 64, CT_NEW, false},        {2, 64, CT_RELATED, true},
        {1, 64, CT_RELATED, true}, {2, 64, CT_NEW, false},          {2, 64, CT_INVALID, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int out = 0; out < 2; out++) {
            struct packet packet =
                cases_packet(out ? "fd00::1:1" : "2001:db8::1", out ? "2001:db8::1" : "fd00::1:1", ICMPV6, 0);
            packet.icmp_type = rows[i].type;
            packet.hop_limit = rows[i].hop_limit;
            packet.ct = rows[i].ct;
            cases_judge("n1", &packet, rows[i].want, __FILE__, __LINE__);
        }
    }
    // Solicitations go to a group, of duplicate address detection without a source; the node hears them too.
    static const char *const sources[] = {"fd00::1:1", "fe80::1:1", "::"};
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        struct packet solicit = cases_packet(sources[i], "ff02::1:ff00:7", ICMPV6, 0);
        solicit.icmp_type = 135;
        solicit.hop_limit = 255;
        PASSES("n1", &solicit);
        solicit.arrival = ARRIVAL_TO_NODE;
        PASSES("n1", &solicit);
    }
    // MLD reports go to a group; with another hop limit they are no MLD.
    static const uint8_t mld[] = {130, 131, 132, 143};
    for (size_t i = 0; i < ARRAY_SIZE(mld); i++) {
        struct packet report = cases_packet("fd00::1:1", "ff02::16", ICMPV6, 0);
        report.icmp_type = mld[i];
        report.hop_limit = 1;
        PASSES("n1", &report);
        report.hop_limit = 2;
        DROPPED("n1", &report);
    }
    X("x/a", "out", "ICMP", 0);
    X("out", "x/a", "ICMP", 0);
    // IPv4: frag-needed of an allowed flow; of no flow it is judged.
    struct packet too_big = cases_packet("203.0.113.9", "10.0.1.1", ICMP, 0);
    too_big.icmp_type = 3;
    DROPPED("n1", &too_big);
    too_big.ct = CT_RELATED;
    PASSES("n1", &too_big);
}

// Conntrack puts datagrams together before the filter table (tests/kernel/test_cases.sh sends them), so a rule has to
// say nothing of fragments: one that did would be passed by all that follow the first.
static void case_54_no_rule_speaks_of_fragments(void **unused)
{
    (void)unused;
    cases_given(DENY_ALL("x") INGRESS("x", "udp", LABEL("pod", "a"), "[{ports: [{protocol: UDP, port: 80}]}]")
                    EGRESS("x", "out", LABEL("pod", "b"), "[{to: [{podSelector: {}}], ports: [{protocol: UDP}]}]"));
    OK("y/a", "x/a", "UDP", 80);
    X("y/a", "x/a", "UDP", 81);
    char *text = cases_rendered(cases_world, "n1");
    assert_non_null(strstr(text, "-p udp"));
    assert_null(strstr(text, " -f "));
    assert_null(strstr(text, "frag"));
    free(text);
}

static void case_74_no_pod_at_either_end(void **unused)
{
    (void)unused;
    cases_given(DENY_ALL("x") DENY_ALL("y") DENY_ALL("z"));
    OK_ALL("8.8.8.8", "9.9.9.9");
    OK_ALL("2001:db8::1", "2001:db8::2");
    OK_ALL("node:n1", "node:n2");
    OK_ALL("fd00:168::1", "fd00:168::2");
    OK("192.168.0.77", "192.168.0.2", "UDP", 8472);
    // In the pods' networks too, as long as no pod has the address.
    OK_ALL("10.0.1.200", "10.0.2.200");
    struct packet routed = cases_packet("8.8.8.8", "9.9.9.9", PROTOCOL_TCP, 80);
    static const enum ct_state states[] = {CT_UNTRACKED, CT_INVALID, CT_NEW, CT_RELATED, CT_ESTABLISHED};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        routed.ct = states[i];
        routed.arrival = ARRIVAL_FORWARD;
        PASSES("n1", &routed);
        routed.arrival = ARRIVAL_TO_NODE;
        PASSES("n1", &routed);
    }
}

static void case_75_untracked_is_judged(void **unused)
{
    (void)unused;
    cases_given(EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"));
    static const enum ct_state states[] = {CT_UNTRACKED, CT_INVALID, CT_NEW, CT_RELATED};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        struct packet packet = cases_packet("10.0.1.1", "169.254.20.10", PROTOCOL_UDP, 53);
        packet.ct = states[i];
        DROPPED("n1", &packet);
        packet.arrival = ARRIVAL_TO_NODE;
        DROPPED("n1", &packet);
        packet = cases_packet("10.0.1.1", "203.0.113.9", PROTOCOL_UDP, 53);
        packet.ct = states[i];
        PASSES("n1", &packet);
        packet = cases_packet("fd00::1:1", "2001:db8::9", PROTOCOL_UDP, 53);
        packet.ct = states[i];
        DROPPED("n1", &packet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_40_host_network_pod_as_subject),
        CASE(case_41_own_node_reaches_its_pods),
        CASE(case_42_kubelet_probes),
        CASE(case_43_a_pod_reaches_itself),
        CASE(case_44_egress_isolated_pod_answers),
        CASE(case_45_ingress_isolated_pod_dials_out),
        CASE(case_46_same_node_needs_both_ends),
        CASE(case_47_pod_to_nodes),
        CASE(case_48_node_ports),
        CASE(case_49_api_server),
        CASE(case_50_metadata_server),
        CASE(case_51_neighbour_discovery),
        CASE(case_54_no_rule_speaks_of_fragments),
        CASE(case_74_no_pod_at_either_end),
        CASE(case_75_untracked_is_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
