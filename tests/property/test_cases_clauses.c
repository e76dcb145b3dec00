// SPDX-License-Identifier: Apache-2.0
//
// Sentences of networkpolicy-v1.md sections 0 to 5 that no case of section 7 spells out, as verdicts: what decode,
// evaluator and compiler make of them together. Each test is named by its clause.
#include "support/cases.h"

#include <string.h>

enum { IPIP = 4, ICMP = 1, GRE = 47, ESP = 50, ICMPV6 = 58 };

// 0: policy, rule and list order never matter.
static void clause_0_order_of_lists(void **unused)
{
    (void)unused;
    static const char one[] =
        INGRESS("x", "p", "{matchExpressions: [{key: pod, operator: In, values: [b, a]}]}",
                "[{from: [{podSelector: {matchLabels: {pod: c}}}, {ipBlock: {cidr: 203.0.113.0/24, "
                "except: [203.0.113.64/26, 203.0.113.7/32]}}, {namespaceSelector: {matchLabels: "
                "{ns: y}}}], ports: [{port: 80}, {protocol: UDP, port: 53}, {port: 90, endPort: "
                "95}]}, {ports: [{protocol: SCTP}]}]");
    static const char other[] = INGRESS(
        "x", "p", "{matchExpressions: [{key: pod, operator: In, values: [a, b]}]}",
        "[{ports: [{protocol: SCTP}]}, {ports: [{port: 90, endPort: 95}, {protocol: UDP, port: 53}, {port: 80}], "
        "from: [{namespaceSelector: {matchLabels: {ns: y}}}, {ipBlock: {cidr: 203.0.113.0/24, except: "
        "[203.0.113.7/32, 203.0.113.64/26]}}, {podSelector: {matchLabels: {pod: c}}}]}]");
    cases_given(one);
    char *want = cases_rendered(cases_world, "n1");
    cases_given(other);
    char *got = cases_rendered(cases_world, "n1");
    assert_string_equal(got, want);
    free(want);
    free(got);
    OK("x/c", "x/a", "TCP", 80);
    OK("y/a", "x/b", "UDP", 53);
    OK("203.0.113.9", "x/a", "TCP", 95);
    X("203.0.113.7", "x/a", "TCP", 95);
    X("203.0.113.65", "x/a", "TCP", 80);
    OK("z/a", "x/a", "SCTP", 9);
    X("z/a", "x/a", "TCP", 80);
}

// 0, 3.1: rules form a union across policies; each rule needs its peers and its ports.
static void clause_0_peers_and_ports_of_one_rule(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", LABEL("pod", "a"),
                        "[{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 80}]}, "
                        "{from: [{podSelector: {matchLabels: {pod: c}}}], ports: [{port: 81}]}]"));
    OK("x/b", "x/a", "TCP", 80);
    X("x/b", "x/a", "TCP", 81);
    OK("x/c", "x/a", "TCP", 81);
    X("x/c", "x/a", "TCP", 80);
}

// 1.1: a JSON string is a name, never a number; names are not looked up as services.
static void clause_1_1_port_strings_are_names(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{port: '80'}]}]"));
    X_ALL("y/a", "x/a");
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{port: https}, {port: 81}]}]"));
    X("y/a", "x/a", "TCP", 443);
    OK("y/a", "x/a", "TCP", 81);
}

// 1.1: {} of a selector, nothing there, and null; at each level.
static void clause_1_1_absent_and_empty(void **unused)
{
    (void)unused;
    static const struct {
        const char *policy;
        enum verdict own;
        enum verdict other;
        enum verdict external;
    } rows[] = {
#define A VERDICT_ALLOW
#define D VERDICT_DENY
        {POLICY("x", "p", "{}"), D, D, D},
        {POLICY("x", "p", "{podSelector: null}"), D, D, D},
        {POLICY("x", "p", "{podSelector: {}, ingress: []}"), D, D, D},
        {POLICY("x", "p", "{podSelector: {}, ingress: null}"), D, D, D},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{}]}"), A, A, A},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{from: []}]}"), A, A, A},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{ports: []}]}"), A, A, A},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"), A, D, D},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {}, namespaceSelector: null}]}]}"), A, D,
         D},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"), A, A, D},
        {POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]}"), A, A, D},
        {POLICY("x", "p",
                "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {}, matchExpressions: []}}]}]}"),
         A, D, D},
        {POLICY("x", "p",
                "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: []}}, "
                "{ipBlock: {cidr: '::/0', except: null}}]}]}"),
         A, A, A},
#undef A
#undef D
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cases_given(rows[i].policy);
        cases_expect_all("x/b", "x/a", rows[i].own, rows[i].policy, __LINE__);
        cases_expect_all("y/a", "x/a", rows[i].other, rows[i].policy, __LINE__);
        cases_expect_all("out", "x/a", rows[i].external, rows[i].policy, __LINE__);
    }
}

// 1.3: bytes, case-sensitive; all requirements together; what each operator makes of an absent and an empty value.
static void clause_1_3_selectors(void **unused)
{
    (void)unused;
    static const struct {
        const char *selector;
        bool none;   // of the pod without labels
        bool empty;  // {env: ''}
        bool prod;   // {env: prod, tier: web}
    } rows[] = {
        {"{matchLabels: {env: prod}}", false, false, true},
        {"{matchLabels: {env: Prod}}", false, false, false},
        {"{matchLabels: {Env: prod}}", false, false, false},
        {"{matchLabels: {env: ''}}", false, true, false},
        {"{matchLabels: {env: prod, tier: web}}", false, false, true},
        {"{matchLabels: {env: prod, tier: db}}", false, false, false},
        {"{matchExpressions: [{key: env, operator: In, values: [dev, prod]}]}", false, false, true},
        {"{matchExpressions: [{key: env, operator: In, values: ['', prod]}]}", false, true, true},
        {"{matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}", true, true, false},
        {"{matchExpressions: [{key: env, operator: NotIn, values: ['']}]}", true, false, true},
        {"{matchExpressions: [{key: env, operator: NotIn, values: [prod, pro]}]}", true, true, false},
        {"{matchExpressions: [{key: env, operator: In, values: [prod, pro]}]}", false, false, true},
        {"{matchExpressions: [{key: Env, operator: Exists}, {key: env, operator: Exists}]}", false, false, false},
        {"{matchExpressions: [{key: env, operator: Exists}]}", false, true, true},
        {"{matchExpressions: [{key: env, operator: DoesNotExist}]}", true, false, false},
        {"{matchExpressions: [{key: env, operator: Exists}, {key: env, operator: NotIn, values: [prod]}]}", false, true,
         false},
        {"{matchLabels: {env: prod}, matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}", false, false,
         false},
        {"{matchExpressions: [{key: env, operator: In, values: [prod]}, {key: tier, operator: DoesNotExist}]}", false,
         false, false},
    };
    static const char pods[] = POD("x", "none", "{}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.11}")
        POD("x", "empty", "{env: ''}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.12}")
            POD("x", "prod", "{env: prod, tier: web}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.13}");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const bool wants[] = {rows[i].none, rows[i].empty, rows[i].prod};
        static const char *const names[] = {"x/none", "x/empty", "x/prod"};
        for (int subject = 0; subject < 2; subject++) {
            BUF_CLEANUP struct buf text = {0};
            buf_puts(&text, pods);
            buf_printf(&text,
                       subject ? POLICY("x", "p", "{podSelector: %s}")
                               : INGRESS("x", "p", "{matchLabels: {pod: a}}", "[{from: [{podSelector: %s}]}]"),
                       rows[i].selector);
            assert_false(text.failed);
            cases_given(text.data);
            for (size_t j = 0; j < ARRAY_SIZE(wants); j++) {
                bool allowed = subject ? !wants[j] : wants[j];
                cases_expect(subject ? "10.0.2.1" : names[j], subject ? names[j] : "x/a", "TCP", 80,
                             allowed ? VERDICT_ALLOW : VERDICT_DENY, rows[i].selector, __LINE__);
            }
        }
    }
}

// 1.5: the smallest enclosing construct matches nothing; the policy isolates all the same.
static void clause_1_5_unknown_at_each_level(void **unused)
{
    (void)unused;
    static const struct {
        const char *policy;
        enum verdict b;  // x/b to TCP 80
        enum verdict c;  // x/c to TCP 80, always granted by something readable, if by anything
    } rows[] = {
#define A VERDICT_ALLOW
#define D VERDICT_DENY
#define C ", {from: [{podSelector: {matchLabels: {pod: c}}}]}"
        {INGRESS("x", "p", "{}", "[{futureKey: 1}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{futureKey: 1, from: [{podSelector: {matchLabels: {pod: b}}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{to: [{podSelector: {matchLabels: {pod: b}}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: [{futureKey: 1}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: [{futureKey: 1}, {podSelector: {matchLabels: {pod: c}}}]}]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: [{podSelector: {futureKey: 1}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}",
                 "[{from: [{podSelector: {matchExpressions: [{key: pod, operator: Exists, futureKey: "
                 "1}]}}]}" C "]"),
         D, A},
        {INGRESS("x", "p", "{}",
                 "[{from: [{podSelector: {matchExpressions: [{key: pod, operator: Gt, values: ['1']}]}}]}" C "]"),
         D, A},
        {INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.0/8, futureKey: 1}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: ten}}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{ports: [{port: 80, futureKey: 1}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{ports: [{protocol: ICMP}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{ports: [{port: 80, endPort: 79}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{ports: [{port: 65536}]}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[{from: 7}" C "]"), D, A},
        {INGRESS("x", "p", "{}", "[null" C "]"), D, A},
        {INGRESS("x", "p", "{}", "7"), D, D},
        // Directly in spec or in metadata: ignored.
        {POLICY("x", "p",
                "{podSelector: {}, futureKey: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}" C "]}"),
         A, A},
        // In the subject: what is known selects, nothing is granted.
        {POLICY("x", "p", "{podSelector: {futureKey: 1}, ingress: [{}]}"), D, D},
        {POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}, futureKey: 1}, ingress: [{}]}"), D, D},
        {POLICY("x", "p", "{podSelector: {matchLabels: {pod: other}, futureKey: 1}, ingress: [{}]}"), A, A},
#undef A
#undef D
#undef C
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cases_given(rows[i].policy);
        cases_expect("x/b", "x/a", "TCP", 80, rows[i].b, rows[i].policy, __LINE__);
        cases_expect("x/c", "x/a", "TCP", 80, rows[i].c, rows[i].policy, __LINE__);
    }
}

// 2.2: a pod without an address adds nothing, and takes nothing from the others.
static void clause_2_2_pod_without_address(void **unused)
{
    (void)unused;
    cases_given(POD("x", "new", "{pod: b}", "{nodeName: n1}", "{phase: Pending}")
                    INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/b", "x/a");
    X_ALL("x/c", "x/a");
    X_ALL("0.0.0.0", "x/a");
    char *with = cases_rendered(cases_world, "n1");
    assert_int_equal(state_remove(cases_world, OBJECT_POD, "x", "new", ""), STATE_REMOVED);
    char *without = cases_rendered(cases_world, "n1");
    assert_string_equal(with, without);
    free(with);
    free(without);
}

// 2.7, 4.7: hostNetwork pods are no subject, no peer, and their port names are nobody's.
static void clause_2_7_host_network_pods(void **unused)
{
    (void)unused;
    static const char host[] =
        POD("y", "host", "{pod: b}",
            "{nodeName: n2, hostNetwork: true, containers: [{ports: [{name: admin, containerPort: 9999}]}]}",
            "{phase: Running, podIP: 192.168.0.2, podIPs: [{ip: 192.168.0.2}, {ip: 'fd00:168::2'}]}")
            EGRESS("x", "p", "{}", "[{ports: [{port: admin}]}, {to: [{namespaceSelector: {}}]}]")
                POLICY("y", "q", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
    cases_given(host);
    X("x/a", "y/host", "TCP", 9999);
    X_ALL("x/a", "y/host");
    OK_ALL("y/host", "out");
    OK_ALL("out", "y/host");
    OK_ALL("x/a", "z/a");
}

// 2.8: every namespace has its name as a label; an object that carries another value is taken at its word.
static void clause_2_8_metadata_name(void **unused)
{
    (void)unused;
    cases_given(
        INGRESS("x", "p", "{}", "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}]}]"));
    OK_ALL("y/a", "x/a");
    X_ALL("z/a", "x/a");
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: y, labels: "
                             "{kubernetes.io/metadata.name: other}}}");
    X_ALL("y/a", "x/a");
}

// 2.10: what terminates applies until it is deleted.
static void clause_2_10_terminating_objects_apply(void **unused)
{
    (void)unused;
#define DYING "deletionTimestamp: '2025-01-01T00:00:00Z'"
    cases_given("---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: x, name: p, "
                "finalizers: [example.com/wait], " DYING "}, spec: {podSelector: {}, ingress: [{from: "
                "[{namespaceSelector: {matchLabels: {ns: y}}}]}]}}\n"
                "---\n{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {ns: x}, " DYING
                "}, status: {phase: Terminating}}\n"
                "---\n{apiVersion: v1, kind: Namespace, metadata: {name: y, labels: {ns: y}, " DYING
                "}, status: {phase: Terminating}}\n");
    OK_ALL("y/a", "x/a");
    X_ALL("z/a", "x/a");
    assert_int_equal(state_remove(cases_world, OBJECT_NAMESPACE, "", "y", ""), STATE_REMOVED);
    X_ALL("y/a", "x/a");
    assert_int_equal(state_remove(cases_world, OBJECT_NAMESPACE, "", "x", ""), STATE_REMOVED);
    X_ALL("z/a", "x/a");
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "p", ""), STATE_REMOVED);
    OK_ALL("z/a", "x/a");
}

// 2.11: a node enforces its own pods, whatever it knows of the others.
static void clause_2_11_subjects_are_local(void **unused)
{
    (void)unused;
    cases_given(DENY_ALL("x"));
    struct packet in = cases_packet("203.0.113.9", "10.0.1.1", PROTOCOL_TCP, 80);
    struct packet out = cases_packet("10.0.1.1", "203.0.113.9", PROTOCOL_TCP, 80);
    DROPPED("n1", &in);
    DROPPED("n1", &out);
    PASSES("n2", &in);
    PASSES("n2", &out);
    // A pod that no node has yet is enforced by none.
    build_apply(cases_world, POD("x", "a", "{pod: a}", "{}", "{phase: Pending, podIP: 10.0.1.1}"));
    PASSES("n1", &in);
    PASSES("", &in);
}

// 3.10: protocols without ports are matched by rules without ports, and by no other.
static void clause_3_10_other_protocols(void **unused)
{
    (void)unused;
    static const uint8_t protocols[] = {ICMP, IPIP, GRE, ESP, ICMPV6, 0, 255};
    cases_given(
        INGRESS("x", "p", "{}", "[{from: [{podSelector: {}}]}, {ports: [{}, {protocol: UDP}, {protocol: SCTP}]}]")
            EGRESS("x", "q", "{}", "[{to: [{podSelector: {}}]}, {ports: [{port: 1, endPort: 65535}]}]"));
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        struct packet own = cases_packet("10.0.1.2", "10.0.1.1", protocols[i], 0);
        struct packet in = cases_packet("203.0.113.9", "10.0.1.1", protocols[i], 0);
        struct packet out = cases_packet("10.0.1.1", "203.0.113.9", protocols[i], 0);
        PASSES("n1", &own);
        DROPPED("n1", &in);
        DROPPED("n1", &out);
    }
}

// 3.12: a group or a broadcast address is an address like any other, and no pod.
static void clause_3_12_multicast_and_broadcast(void **unused)
{
    (void)unused;
    static const char *const groups[] = {"224.0.0.251", "239.1.2.3", "255.255.255.255", "ff02::fb", "ff05::2"};
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        cases_given(EGRESS("x", "p", "{}", "[{to: [{namespaceSelector: {}}]}]"));
        X("x/a", groups[i], "UDP", 5353);
        X("x/a", groups[i], "ICMP", 0);
        cases_given(EGRESS("x", "p", "{}", "[{ports: [{protocol: UDP, port: 5353}]}]"));
        OK("x/a", groups[i], "UDP", 5353);
        X("x/a", groups[i], "UDP", 53);
        cases_given(EGRESS("x", "p", "{}",
                           "[{to: [{ipBlock: {cidr: 224.0.0.0/3}}, {ipBlock: {cidr: 'ff00::/8', except: "
                           "['ff05::/16']}}]}]"));
        cases_expect("x/a", groups[i], "UDP", 5353, strcmp(groups[i], "ff05::2") == 0 ? VERDICT_DENY : VERDICT_ALLOW,
                     __FILE__, __LINE__);
        OK("y/a", groups[i], "UDP", 5353);
    }
}

// 4.1: containerPorts of containers and sidecars; hostPort, ephemeral containers and unnamed ports say nothing.
static void clause_4_1_which_names_count(void **unused)
{
    (void)unused;
    cases_given(POD("x", "m", "{}",
                    "{nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080, hostPort: 80}, "
                    "{containerPort: 7070}]}], ephemeralContainers: [{ports: [{name: debug, containerPort: 6060}]}]}",
                    "{phase: Running, podIP: 10.0.1.9}")
                    INGRESS("x", "p", "{}", "[{ports: [{port: http}, {port: debug}]}]"));
    OK("y/a", "x/m", "TCP", 8080);
    X("y/a", "x/m", "TCP", 80);
    X("y/a", "x/m", "TCP", 7070);
    X("y/a", "x/m", "TCP", 6060);
}

// 4.8: numbers need no declaration; names hold in each family that the pod has.
static void clause_4_8_numbers_and_families(void **unused)
{
    (void)unused;
    cases_given(POD("y", "six", "{}", "{nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080}]}]}",
                    "{phase: Running, podIP: 'fd00::2:9'}")
                    EGRESS("x", "p", "{}", "[{ports: [{port: http}, {port: 4711}]}]"));
    OK("x/a", "y/a", "TCP", 4711);
    OK("x/a", "out", "TCP", 4711);
    OK("x/a", "y/six", "TCP", 8080);
    X("x/a", "y/six", "TCP", 8081);
    X("x/a", "y/a", "TCP", 8080);
}

// 5.6: the last policy of a direction opens that direction, and no other.
static void clause_5_6_last_policy_of_a_direction(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "in", "{}", "[]") EGRESS("x", "out", "{}", "[]")
                    EGRESS("x", "out2", LABEL("pod", "a"), "[]"));
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "out", ""), STATE_REMOVED);
    X_ALL("x/a", "out");
    OK_ALL("x/b", "out");
    X_ALL("out", "x/b");
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "in", ""), STATE_REMOVED);
    X_ALL("x/a", "out");
    OK_ALL("out", "x/a");
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "out2", ""), STATE_REMOVED);
    OK_ALL("x/a", "out");
}

// 5.8: the same object told again changes nothing.
static void clause_5_8_told_again(void **unused)
{
    (void)unused;
    static const char policy[] = INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]");
    cases_given(policy);
    char *want = cases_rendered(cases_world, "n1");
    build_apply(cases_world, policy);
    char *got = cases_rendered(cases_world, "n1");
    assert_string_equal(got, want);
    free(got);
    free(want);
    OK_ALL("x/b", "x/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clause_0_order_of_lists),
        CASE(clause_0_peers_and_ports_of_one_rule),
        CASE(clause_1_1_port_strings_are_names),
        CASE(clause_1_1_absent_and_empty),
        CASE(clause_1_3_selectors),
        CASE(clause_1_5_unknown_at_each_level),
        CASE(clause_2_2_pod_without_address),
        CASE(clause_2_7_host_network_pods),
        CASE(clause_2_8_metadata_name),
        CASE(clause_2_10_terminating_objects_apply),
        CASE(clause_2_11_subjects_are_local),
        CASE(clause_3_10_other_protocols),
        CASE(clause_3_12_multicast_and_broadcast),
        CASE(clause_4_1_which_names_count),
        CASE(clause_4_8_numbers_and_families),
        CASE(clause_5_6_last_policy_of_a_direction),
        CASE(clause_5_8_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
