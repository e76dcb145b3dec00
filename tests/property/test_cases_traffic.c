// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: what else decides: nodes, the pod itself, replies, neighbour discovery, and the life
// of objects (cases 40 to 51, 55 to 68, 74, 75).
#include "support/cases.h"

static void case_40_host_network_pod_as_subject(void **unused)
{
    (void)unused;
    cases_given(HOST_POD POLICY("y", "p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"));
    OK("8.8.8.8", "node:n2", "TCP", 80);
    OK("node:n2", "8.8.8.8", "TCP", 80);
    OK("x/a", "y/host", "TCP", 80);
    OK("y/host", "x/a", "TCP", 80);
}

static void case_41_own_node_reaches_its_pods(void **unused)
{
    (void)unused;
    cases_given(
        POD("x", "h", "{}", "{nodeName: n1, hostNetwork: true, containers: []}", "{phase: Running, podIP: 192.168.0.1}")
            POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"));
    OK("node:n1", "x/a", "TCP", 80);
    OK("node:n1", "x/a", "UDP", 9);
    OK("node:n1", "fd00::1:1", "TCP", 80);
    OK("x/h", "x/a", "TCP", 80);
    X("node:n2", "x/a", "TCP", 80);
    X("node:n2", "fd00::1:1", "TCP", 80);
    X("x/h", "x/c", "TCP", 80);
}

static void case_42_kubelet_probes(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"));
    OK("node:n1", "x/a", "TCP", 8080);
    OK("node:n2", "x/c", "TCP", 8080);
}

static void case_43_a_pod_reaches_itself(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"));
    OK("x/a", "x/a", "TCP", 80);
    OK("fd00::1:1", "fd00::1:1", "TCP", 80);
    X("x/a", "x/b", "TCP", 80);
}

static void case_44_45_replies(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress]}") POLICY("y", "p", "{podSelector: {}}"));
    struct policy_options options = {0};
    struct packet reply = {.protocol = PROTOCOL_TCP, .port = 40000, .ct = CT_ESTABLISHED};
    assert_true(address_parse("10.0.1.1", &reply.source));
    assert_true(address_parse("10.0.2.1", &reply.destination));
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    assert_int_equal(compile_ruleset(cases_world, "n1", NULL, &options, &ruleset, NULL, NULL), 0);
    bool allowed;
    assert_true(build_prove(cases_world, "n1", &options, ruleset, &reply, &allowed));
    assert_true(allowed);
    reply.ct = CT_NEW;
    assert_true(build_prove(cases_world, "n1", &options, ruleset, &reply, &allowed));
    assert_false(allowed);
    OK("8.8.8.8", "x/a", "TCP", 80);
    X("x/a", "8.8.8.8", "TCP", 80);
    OK("y/a", "8.8.8.8", "TCP", 80);
    X("8.8.8.8", "y/a", "TCP", 80);
}

static void case_46_same_node_needs_both_ends(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "out", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{}]}")
                    POLICY("x", "in", "{podSelector: {matchLabels: {pod: b}}}"));
    X("x/a", "x/b", "TCP", 80);
    cases_given(POLICY("x", "out", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress]}")
                    POLICY("x", "in", "{podSelector: {matchLabels: {pod: b}}, ingress: [{}]}"));
    X("x/a", "x/b", "TCP", 80);
}

static void case_47_pod_to_nodes(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress]}"));
    X("x/a", "node:n1", "TCP", 80);
    X("x/a", "node:n2", "TCP", 80);
    cases_given(POLICY(
        "x", "p", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.168.0.1/32}}]}]}"));
    OK("x/a", "node:n1", "TCP", 80);
    X("x/a", "node:n2", "TCP", 80);
}

static void case_48_node_ports(void **unused)
{
    (void)unused;
    // On another node the source is that node's address; on the receiving node it is the client's.
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.7/32}}]}]}"));
    X("node:n2", "x/a", "TCP", 80);
    OK("203.0.113.7", "x/a", "TCP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.0.2/32}}]}]}"));
    OK("node:n2", "x/a", "TCP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}}"));
    X("203.0.113.7", "x/a", "TCP", 80);
}

static void case_49_api_server(void **unused)
{
    (void)unused;
    const char *server =
        POD("z", "api", "{component: kube-apiserver}", "{nodeName: n2, hostNetwork: true, containers: []}",
            "{phase: Running, podIP: 192.168.0.2}")
            POLICY("x", "p",
                   "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: "
                   "{matchLabels: {component: kube-apiserver}}}], ports: [{port: 443}]}]}");
    cases_given(server);
    X("x/a", "z/api", "TCP", 443);
    build_apply(cases_world, POLICY("x", "p",
                                    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "
                                    "192.168.0.2/32}}], ports: [{port: 6443}]}]}"));
    OK("x/a", "z/api", "TCP", 6443);
    X("x/a", "z/api", "TCP", 443);
}

static void case_50_metadata_server(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p",
                       "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: "
                       "[169.254.169.254/32]}}]}]}"));
    X("x/a", "169.254.169.254", "TCP", 80);
    OK("x/a", "169.254.169.253", "TCP", 80);
    OK("x/a", "169.254.169.255", "TCP", 80);
    OK("x/a", "8.8.8.8", "TCP", 80);
    X("x/a", "2001:db8::1", "TCP", 80);
}

static void case_51_neighbour_discovery(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"));
    static const struct {
        uint8_t type;
        uint8_t hop_limit;
        enum ct_state ct;
        bool want;
    } rows[] = {
        {135, 255, CT_NEW, true}, {136, 255, CT_UNTRACKED, true}, {135, 64, CT_NEW, false},  {143, 1, CT_NEW, false},
        {128, 64, CT_NEW, false}, {128, 255, CT_NEW, false},      {2, 64, CT_RELATED, true}, {2, 64, CT_NEW, false},
    };
    struct policy_options options = {0};
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    assert_int_equal(compile_ruleset(cases_world, "n1", NULL, &options, &ruleset, NULL, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int out = 0; out < 2; out++) {
            struct packet packet = {
                .protocol = 58, .icmp_type = rows[i].type, .hop_limit = rows[i].hop_limit, .ct = rows[i].ct};
            assert_true(address_parse(out ? "fd00::1:1" : "2001:db8::1", &packet.source));
            assert_true(address_parse(out ? "2001:db8::1" : "fd00::1:1", &packet.destination));
            bool allowed;
            assert_true(build_prove(cases_world, "n1", &options, ruleset, &packet, &allowed));
            assert_int_equal(allowed, rows[i].want);
        }
    }
    // MLD reports go to a group; with another hop limit they are no MLD.
    for (uint8_t hop_limit = 1; hop_limit <= 2; hop_limit++) {
        struct packet packet = {.protocol = 58, .icmp_type = 143, .hop_limit = hop_limit};
        bool allowed;
        assert_true(address_parse("fd00::1:1", &packet.source));
        assert_true(address_parse("ff02::16", &packet.destination));
        assert_true(build_prove(cases_world, "n1", &options, ruleset, &packet, &allowed));
        assert_int_equal(allowed, hop_limit == 1);
    }
    X("fd00::1:1", "2001:db8::1", "ICMPv6", 0);
}

static void case_55_finished_pods_own_nothing(void **unused)
{
    (void)unused;
    cases_given(
        POD("x", "job", "{pod: b, job: 'yes'}", "{nodeName: n1, containers: []}", "{phase: Succeeded, podIP: 10.1.0.9}")
            POD("x", "new", "{}", "{nodeName: n1, containers: []}", "{phase: Running, podIP: 10.1.0.9}")
                POLICY("x", "p",
                       "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: "
                       "b}}}]}]}") POLICY("x", "q", "{podSelector: {matchLabels: {job: 'yes'}}}"));
    X("10.1.0.9", "x/a", "TCP", 80);
    X("x/new", "x/a", "TCP", 80);
    OK("y/a", "x/new", "TCP", 80);
}

static void case_56_address_handed_over(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {pod: new}}}")
                    POLICY("x", "q",
                           "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: "
                           "new}}}]}]}"));
    build_apply(cases_world,
                "{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: old, uid: '1', labels: {pod: old}}, "
                "spec: {nodeName: n1}, status: {phase: Running, podIP: 10.1.0.9}}");
    build_apply(cases_world,
                "{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: new, uid: '2', labels: {pod: new}}, "
                "spec: {nodeName: n1}, status: {phase: Running, podIP: 10.1.0.9}}");
    assert_int_equal(state_remove(cases_world, OBJECT_POD, "x", "old", "1"), STATE_REMOVED);
    X("y/a", "10.1.0.9", "TCP", 80);
    OK("10.1.0.9", "x/a", "TCP", 80);
}

static void case_57_terminating_pods_count(void **unused)
{
    (void)unused;
    cases_given("{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b, labels: {pod: b}, deletionTimestamp: "
                "'2025-01-01T00:00:00Z'}, spec: {nodeName: n1}, status: {phase: Running, podIP: 10.0.1.2}}\n" POLICY(
                    "x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("x/b", "x/a", "TCP", 80);
    X("x/a", "x/b", "TCP", 80);
    assert_int_equal(state_remove(cases_world, OBJECT_POD, "x", "b", ""), STATE_REMOVED);
    X("10.0.1.2", "x/a", "TCP", 80);
}

static void case_58_pending_pods_count(void **unused)
{
    (void)unused;
    cases_given(POD("x", "b", "{pod: b}", "{nodeName: n1}", "{phase: Pending, podIP: 10.0.1.2}")
                    POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("x/b", "x/a", "TCP", 80);
    X("x/a", "x/b", "TCP", 80);
}

static void case_59_dual_stack(void **unused)
{
    (void)unused;
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("10.0.1.2", "x/a", "TCP", 80);
    OK("fd00::1:2", "x/a", "TCP", 80);
    X("10.0.1.3", "x/a", "TCP", 80);
    X("fd00::1:3", "x/a", "TCP", 80);
}

static void case_60_pod_ip_without_pod_ips(void **unused)
{
    (void)unused;
    cases_given(POD("x", "one", "{}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9, podIPs: []}")
                    POLICY("x", "p", "{podSelector: {}}"));
    X("y/a", "10.0.1.9", "TCP", 80);
}

static void case_61_namespace_not_seen_yet(void **unused)
{
    (void)unused;
    cases_given(POD("new", "a", "{pod: a}", "{nodeName: n2}", "{phase: Running, podIP: 10.0.9.1}") POLICY(
        "x", "p",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: "
        "NotIn, values: [x]}]}}]}]}"));
    OK("y/a", "x/a", "TCP", 80);
    X("new/a", "x/a", "TCP", 80);
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: new}}");
    OK("new/a", "x/a", "TCP", 80);
    cases_given(POD("new", "a", "{pod: a}", "{nodeName: n2}", "{phase: Running, podIP: 10.0.9.1}")
                    POLICY("x", "p",
                           "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: "
                           "{matchLabels: {pod: a}}}]}]}"));
    OK("new/a", "x/a", "TCP", 80);
}

static void case_62_namespace_relabelled(void **unused)
{
    (void)unused;
    cases_given(
        POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}"));
    OK("y/a", "x/a", "TCP", 80);
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: y}}");
    X("y/a", "x/a", "TCP", 80);
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: y, labels: {ns: y}}}");
    OK("y/a", "x/a", "TCP", 80);
}

static void case_63_pod_relabelled(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}}}"));
    X("y/a", "x/a", "TCP", 80);
    build_apply(cases_world, POD("x", "a", "{}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.1}"));
    OK("y/a", "x/a", "TCP", 80);
    build_apply(cases_world, POD("x", "b", "{pod: a}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.2}"));
    X("y/a", "x/b", "TCP", 80);
}

static void case_65_policy_updated(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{}]}"));
    OK("y/a", "x/a", "TCP", 80);
    build_apply(cases_world, POLICY("x", "p", "{podSelector: {}}"));
    X("y/a", "x/a", "TCP", 80);
}

static void case_68_same_name_new_pod(void **unused)
{
    (void)unused;
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("10.0.1.2", "x/a", "TCP", 80);
    build_apply(cases_world,
                "{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b, uid: other, labels: {pod: z}}, "
                "spec: {nodeName: n1}, status: {phase: Running, podIP: 10.0.1.77}}");
    X("10.0.1.2", "x/a", "TCP", 80);
    X("10.0.1.77", "x/a", "TCP", 80);
}

static void case_74_no_pod_at_either_end(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"));
    OK("8.8.8.8", "9.9.9.9", "TCP", 80);
    OK("node:n1", "node:n2", "TCP", 80);
    OK("192.168.0.77", "192.168.0.2", "UDP", 8472);
    OK("2001:db8::1", "2001:db8::2", "TCP", 80);
}

static void case_75_untracked_is_judged(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress]}"));
    struct policy_options options = {0};
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    assert_int_equal(compile_ruleset(cases_world, "n1", NULL, &options, &ruleset, NULL, NULL), 0);
    static const enum ct_state states[] = {CT_UNTRACKED, CT_INVALID, CT_NEW, CT_RELATED};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        struct packet packet = {.protocol = PROTOCOL_UDP, .port = 53, .ct = states[i]};
        assert_true(address_parse("10.0.1.1", &packet.source));
        assert_true(address_parse("169.254.20.10", &packet.destination));
        bool allowed;
        assert_true(build_prove(cases_world, "n1", &options, ruleset, &packet, &allowed));
        assert_false(allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_40_host_network_pod_as_subject),
        CASE(case_41_own_node_reaches_its_pods),
        CASE(case_42_kubelet_probes),
        CASE(case_43_a_pod_reaches_itself),
        CASE(case_44_45_replies),
        CASE(case_46_same_node_needs_both_ends),
        CASE(case_47_pod_to_nodes),
        CASE(case_48_node_ports),
        CASE(case_49_api_server),
        CASE(case_50_metadata_server),
        CASE(case_51_neighbour_discovery),
        CASE(case_55_finished_pods_own_nothing),
        CASE(case_56_address_handed_over),
        CASE(case_57_terminating_pods_count),
        CASE(case_58_pending_pods_count),
        CASE(case_59_dual_stack),
        CASE(case_60_pod_ip_without_pod_ips),
        CASE(case_61_namespace_not_seen_yet),
        CASE(case_62_namespace_relabelled),
        CASE(case_63_pod_relabelled),
        CASE(case_65_policy_updated),
        CASE(case_68_same_name_new_pod),
        CASE(case_74_no_pod_at_either_end),
        CASE(case_75_untracked_is_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
