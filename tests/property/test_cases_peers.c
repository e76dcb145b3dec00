// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: whom a policy selects and whom its peers allow: presence and defaults, selectors,
// ipBlocks (cases 1 to 6, 10 to 28, 39, 70, 72, 73).
#include "support/cases.h"

static void case_01_only_pod_selector(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}}"));
    X_ALL("y/a", "x/a");
    X_ALL("x/b", "x/a");
    X_ALL("out", "x/c");
    X_ALL("node:n2", "x/a");
    OK_ALL("x/a", "y/a");
    OK_ALL("x/c", "out");
    OK_ALL("x/a", "node:n1");
    OK_ALL("x/a", "node:n2");
    // No other namespace is concerned.
    OK_ALL("y/a", "y/b");
    OK_ALL("out", "z/c");
}

static void case_02_egress_without_types_isolates_ingress(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, egress: [{}]}"));
    OK_ALL("x/a", "y/a");
    OK_ALL("x/a", "out");
    OK_ALL("x/c", "node:n1");
    X_ALL("y/a", "x/a");
    X_ALL("out", "x/a");
    X_ALL("x/b", "x/a");
}

static void case_03_empty_egress_without_types(void **unused)
{
    (void)unused;
    static const char *const specs[] = {
        POLICY("x", "p", "{podSelector: {}, egress: []}"),
        POLICY("x", "p", "{podSelector: {}, egress: null}"),
        POLICY("x", "p", "{podSelector: {}, policyTypes: [], egress: []}"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        cases_given(specs[i]);
        OK_ALL("x/a", "y/a");
        OK_ALL("x/a", "out");
        X_ALL("y/a", "x/a");
        X_ALL("out", "x/a");
    }
}

static void case_04_ingress_rules_without_the_type(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}"));
    OK_ALL("y/a", "x/a");
    OK_ALL("out", "x/c");
    X_ALL("x/a", "y/a");
    X_ALL("x/a", "out");
    X_ALL("x/c", "node:n1");
    X("x/a", "y/a", "UDP", 53);
    X("x/a", "y/a", "TCP", 53);
    // Between two of its pods the source is isolated, the target is not.
    X_ALL("x/a", "x/b");
}

static void case_05_egress_rules_without_the_type(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 80}]}]}"));
    OK_ALL("x/a", "y/a");
    OK_ALL("x/a", "out");
    X_ALL("y/a", "x/a");
    X_ALL("out", "x/a");
}

static void case_06_empty_lists_are_everything(void **unused)
{
    (void)unused;
    static const char *const rules[] = {
        POLICY("x", "p", "{podSelector: {}, ingress: [{from: [], ports: []}]}"),
        POLICY("x", "p", "{podSelector: {}, ingress: [{from: null, ports: null}]}"),
        POLICY("x", "p", "{podSelector: {}, ingress: [{}]}"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        cases_given(rules[i]);
        OK_ALL("y/a", "x/a");
        OK_ALL("x/b", "x/a");
        OK_ALL("out", "x/a");
        OK_ALL("node:n2", "x/a");
        OK("8.8.8.8", "x/a", "UDP", 9);
        OK("2001:db8::8", "fd00::1:1", "ICMPv6", 0);
    }
    cases_given(EGRESS("x", "p", "{}", "[{to: [], ports: []}]"));
    OK_ALL("x/a", "y/a");
    OK_ALL("x/a", "out");
    OK_ALL("x/a", "node:n1");
}

static void case_10_both_selectors_in_one_peer_or_two(void **unused)
{
    (void)unused;
    cases_given(
        INGRESS("x", "p", LABEL("pod", "a"),
                "[{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("y/b", "x/a");
    X_ALL("x/b", "x/a");
    X_ALL("y/a", "x/a");
    X_ALL("z/b", "x/a");
    X_ALL("out", "x/a");
    cases_given(
        INGRESS("x", "p", LABEL("pod", "a"),
                "[{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/b", "x/a");
    OK_ALL("y/a", "x/a");
    OK_ALL("y/b", "x/a");
    X_ALL("z/b", "x/a");
    X_ALL("x/c", "x/a");
    cases_given(EGRESS("x", "p", LABEL("pod", "a"),
                       "[{to: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/a", "y/b");
    X_ALL("x/a", "x/b");
    X_ALL("x/a", "y/a");
    cases_given(
        EGRESS("x", "p", LABEL("pod", "a"),
               "[{to: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/a", "x/b");
    OK_ALL("x/a", "y/c");
    X_ALL("x/a", "z/b");
}

static void case_11_empty_pod_selector_is_the_own_namespace(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{from: [{podSelector: {}}]}]"));
    OK_ALL("x/b", "x/a");
    OK_ALL("x/c", "x/a");
    X_ALL("y/a", "x/a");
    X_ALL("z/c", "x/a");
    X_ALL("out", "x/a");
    X_ALL("node:n2", "x/a");
    cases_given(EGRESS("x", "p", "{}", "[{to: [{podSelector: {}}]}]"));
    OK_ALL("x/a", "x/b");
    OK_ALL("x/a", "x/c");
    X_ALL("x/a", "y/a");
    X_ALL("x/a", "out");
    X_ALL("x/a", "node:n2");
}

static void case_12_empty_namespace_selector_is_every_pod(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{from: [{namespaceSelector: {}}]}]") HOST_POD);
    OK_ALL("x/b", "x/a");
    OK_ALL("y/a", "x/a");
    OK_ALL("z/c", "x/a");
    X_ALL("out", "x/a");
    X_ALL("node:n2", "x/a");
    X_ALL("y/host", "x/a");
    cases_given(EGRESS("x", "p", "{}", "[{to: [{namespaceSelector: {}}]}]") HOST_POD);
    OK_ALL("x/a", "z/c");
    X_ALL("x/a", "out");
    X_ALL("x/a", "node:n2");
    X_ALL("x/a", "y/host");
}

static void case_13_peer_without_known_key(void **unused)
{
    (void)unused;
    static const char *const peers[] = {
        INGRESS("x", "p", "{}", "[{from: [{}]}]"),
        INGRESS("x", "p", "{}", "[{from: [{podSelector: null}]}]"),
        INGRESS("x", "p", "{}", "[{from: [{serviceAccounts: {}}]}]"),
        INGRESS("x", "p", "{}", "[{from: [null]}]"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        cases_given(peers[i]);
        X_ALL("x/b", "x/a");
        X_ALL("y/a", "x/a");
        X_ALL("out", "x/a");
        X_ALL("node:n2", "x/a");
    }
    cases_given(EGRESS("x", "p", "{}", "[{to: [{}]}]"));
    X_ALL("x/a", "y/a");
    X_ALL("x/a", "out");
}

static void case_14_unknown_key_in_a_peer(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}, futureKey: {a: b}}]}]"));
    X_ALL("x/b", "x/a");
    X_ALL("out", "x/a");
    // Its neighbours in the list stay as they are.
    cases_given(INGRESS("x", "p", "{}",
                        "[{from: [{podSelector: {matchLabels: {pod: b}}, futureKey: {a: b}}, "
                        "{podSelector: {matchLabels: {pod: c}}}]}]"));
    X_ALL("x/b", "x/a");
    OK_ALL("x/c", "x/a");
    cases_given(INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 0.0.0.0/0, futureKey: 1}}]}]"));
    X_ALL("x/b", "x/a");
    cases_given(EGRESS("x", "p", "{}", "[{to: [{namespaceSelector: {futureKey: {}}}]}]"));
    X_ALL("x/a", "y/a");
}

static void case_15_peer_that_selects_no_pod(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: none}}}]}]"));
    X_ALL("x/b", "x/a");
    X_ALL("y/a", "x/a");
    X_ALL("out", "x/a");
    cases_given(EGRESS("x", "p", "{}", "[{to: [{namespaceSelector: {matchLabels: {ns: none}}}]}]"));
    X_ALL("x/a", "x/b");
    X_ALL("x/a", "out");
}

static void case_17_not_in_and_does_not_exist(void **unused)
{
    (void)unused;
    static const char prod[] =
        INGRESS("x", "p", "{matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}", "[]")
            POD("x", "prod", "{env: prod}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9}");
    cases_given(prod);
    X_ALL("y/a", "x/a");
    OK_ALL("y/a", "x/prod");
    cases_given(INGRESS("x", "p", "{matchExpressions: [{key: env, operator: DoesNotExist}]}", "[]")
                    POD("x", "e", "{env: ''}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9}"));
    OK_ALL("y/a", "x/e");
    X_ALL("y/a", "x/a");
    // The same as peers.
    cases_given(INGRESS("x", "p", LABEL("pod", "a"),
                        "[{from: [{podSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}}]}]")
                    POD("x", "prod", "{env: prod}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9}"));
    OK_ALL("x/b", "x/a");
    X_ALL("x/prod", "x/a");
    cases_given(INGRESS("x", "p", LABEL("pod", "a"),
                        "[{from: [{podSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}}]}]")
                    POD("x", "e", "{env: ''}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9}"));
    OK_ALL("x/b", "x/a");
    X_ALL("x/e", "x/a");
}

static void case_18_empty_label_value(void **unused)
{
    (void)unused;
    static const char k[] = POD("x", "k", "{k: ''}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9}")
        INGRESS("x", "p", "{matchLabels: {k: ''}}", "[]");
    cases_given(k);
    OK_ALL("y/a", "x/a");
    X_ALL("y/a", "x/k");
    cases_given(POD("x", "k", "{k: ''}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.9}")
                    POD("x", "v", "{k: v}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.1.10}")
                        INGRESS("x", "p", LABEL("pod", "a"), "[{from: [{podSelector: {matchLabels: {k: ''}}}]}]"));
    OK_ALL("x/k", "x/a");
    X_ALL("x/v", "x/a");
    X_ALL("x/b", "x/a");
}

static void case_19_contradicting_requirements(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p",
                       "{podSelector: {matchExpressions: [{key: pod, operator: In, values: [a]}, "
                       "{key: pod, operator: In, values: [b]}]}, policyTypes: [Ingress, Egress]}"));
    OK_ALL("y/a", "x/a");
    OK_ALL("y/a", "x/b");
    OK_ALL("x/c", "out");
    // As a peer it allows nobody, and the pod stays isolated.
    cases_given(INGRESS("x", "p", LABEL("pod", "c"),
                        "[{from: [{podSelector: {matchLabels: {pod: a}, matchExpressions: "
                        "[{key: pod, operator: In, values: [b]}]}}]}]"));
    X_ALL("x/a", "x/c");
    X_ALL("x/b", "x/c");
}

static void case_20_subjects_are_in_the_own_namespace(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]}"));
    X_ALL("x/b", "x/a");
    X_ALL("x/a", "x/b");
    OK_ALL("x/b", "y/a");
    OK_ALL("y/a", "out");
}

static void case_21_union_of_policies(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "deny", "{podSelector: {}}") POLICY("x", "open", "{podSelector: {}, ingress: [{}]}"));
    OK_ALL("y/a", "x/a");
    OK_ALL("out", "x/a");
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "open", ""), STATE_REMOVED);
    X_ALL("y/a", "x/a");
    X_ALL("out", "x/a");
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "deny", ""), STATE_REMOVED);
    OK_ALL("y/a", "x/a");
    OK_ALL("out", "x/a");
}

static void case_22_except_is_not_deny(void **unused)
{
    (void)unused;
    cases_given(INGRESS("z", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}]}]"));
    X_ALL("10.0.1.5", "z/a");
    X_ALL("10.0.1.1", "z/a");
    OK_ALL("10.0.2.5", "z/a");
    OK_ALL("10.0.0.255", "z/a");
    cases_given(INGRESS("z", "p", "{}",
                        "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}, "
                        "{ipBlock: {cidr: 10.0.1.0/24}}]}]"));
    OK_ALL("10.0.1.5", "z/a");
    OK_ALL("10.0.2.5", "z/a");
    X_ALL("11.0.0.0", "z/a");
    cases_given(EGRESS("z", "p", "{}",
                       "[{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}, "
                       "{ipBlock: {cidr: 'fd00::/16', except: ['fd00::1:0/112']}}, "
                       "{ipBlock: {cidr: 'fd00::1:2/128'}}]}]"));
    X_ALL("z/a", "10.0.1.5");
    OK_ALL("z/a", "10.0.2.5");
    X_ALL("fd00::3:1", "fd00::1:1");
    OK_ALL("fd00::3:1", "fd00::1:2");
    OK_ALL("fd00::3:1", "fd00::2:1");
}

static void case_23_second_block_in_another_policy_or_rule(void **unused)
{
    (void)unused;
#define EXCEPT "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}]}"
    cases_given(INGRESS("z", "p", "{}", "[" EXCEPT "]")
                    INGRESS("z", "q", "{}", "[{from: [{ipBlock: {cidr: 10.0.1.0/24}}]}]"));
    OK_ALL("10.0.1.5", "z/a");
    OK_ALL("10.0.2.5", "z/a");
    cases_given(INGRESS("z", "p", "{}", "[" EXCEPT ", {from: [{ipBlock: {cidr: 10.0.1.0/24}}]}]"));
    OK_ALL("10.0.1.5", "z/a");
    cases_given(INGRESS("z", "p", "{}", "[" EXCEPT ", {from: [{ipBlock: {cidr: 10.0.1.0/24}}], ports: [{port: 80}]}]"));
    OK("10.0.1.5", "z/a", "TCP", 80);
    X("10.0.1.5", "z/a", "TCP", 81);
    X("10.0.1.5", "z/a", "UDP", 80);
    X("10.0.1.5", "z/a", "ICMP", 0);
    OK_ALL("10.0.2.5", "z/a");
}

static void case_24_each_except_is_of_its_own_block(void **unused)
{
    (void)unused;
    cases_given(INGRESS("z", "p", "{}",
                        "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, "
                        "{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}}]}]"));
    OK_ALL("10.1.3.4", "z/a");
    OK_ALL("10.2.3.4", "z/a");
    OK_ALL("10.3.3.4", "z/a");
    X_ALL("9.255.255.255", "z/a");
    cases_given(EGRESS("z", "p", "{}",
                       "[{to: [{ipBlock: {cidr: '2001:db8::/32', except: ['2001:db8:1::/48', '2001:db8:3::/48']}}, "
                       "{ipBlock: {cidr: '2001:db8::/32', except: ['2001:db8:2::/48', '2001:db8:3::/48']}}]}]"));
    OK_ALL("z/a", "2001:db8:1::7");
    OK_ALL("z/a", "2001:db8:2::7");
    X_ALL("z/a", "2001:db8:3::7");
}

static void case_25_except_of_a_pod_that_a_selector_allows(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}",
                        "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.2/32]}}, "
                        "{podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/b", "x/a");
    OK_ALL("10.0.1.3", "x/a");
    X_ALL("fd00::1:3", "x/a");
    // The block alone leaves b out.
    cases_given(INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.2/32]}}]}]"));
    X_ALL("x/b", "x/a");
    OK_ALL("10.0.1.3", "x/a");
}

static void case_26_blocks_of_everything(void **unused)
{
    (void)unused;
    static const char *const v4[] = {"10.0.2.1", "223.1.2.3", "0.0.0.1", "127.255.255.254", "128.0.0.1"};
    static const char *const v6[] = {"fd00::2:1", "fd00::1", "fe80::1", "2001:db8::1", "8000::", "::2"};
    for (int all_v6 = 0; all_v6 < 2; all_v6++) {
        cases_given(all_v6 ? INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: '::/0'}}]}]")
                           : INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"));
        for (size_t i = 0; i < ARRAY_SIZE(v4); i++) {
            cases_expect_all(v4[i], "x/a", all_v6 ? VERDICT_DENY : VERDICT_ALLOW, __FILE__, __LINE__);
        }
        for (size_t i = 0; i < ARRAY_SIZE(v6); i++) {
            cases_expect_all(v6[i], "x/a", all_v6 ? VERDICT_ALLOW : VERDICT_DENY, __FILE__, __LINE__);
        }
        cases_given(all_v6 ? EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: '::/0'}}]}]")
                           : EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"));
        cases_expect_all("x/a", "223.1.2.3", all_v6 ? VERDICT_DENY : VERDICT_ALLOW, __FILE__, __LINE__);
        cases_expect_all("x/a", "2001:db8::1", all_v6 ? VERDICT_ALLOW : VERDICT_DENY, __FILE__, __LINE__);
    }
}

static void case_27_sloppy_cidrs(void **unused)
{
    (void)unused;
    cases_given(INGRESS("z", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.5/24}}]}]"));
    OK_ALL("10.0.0.9", "z/a");
    X_ALL("10.0.1.9", "z/a");
    cases_given(INGRESS("z", "p", "{}", "[{from: [{ipBlock: {cidr: 010.0.0.0/8}}]}]"));
    OK_ALL("10.1.1.1", "z/a");
    X_ALL("8.1.1.1", "z/a");
    cases_given(INGRESS("z", "p", "{}", "[{from: [{ipBlock: {cidr: '::ffff:10.0.0.0/104'}}]}]"));
    OK_ALL("10.1.1.1", "z/a");
    X_ALL("11.1.1.1", "z/a");
    X_ALL("fd00::1:1", "z/a");
    // except is read as sloppily as cidr.
    cases_given(INGRESS("z", "p", "{}",
                        "[{from: [{ipBlock: {cidr: 10.9.9.9/8, except: [010.0.1.7/24, '::ffff:10.0.2.0/120']}}]}]"));
    X_ALL("10.0.1.9", "z/a");
    X_ALL("10.0.2.9", "z/a");
    OK_ALL("10.0.3.9", "z/a");
    cases_given(INGRESS("z", "p", "{}", "[{from: [{ipBlock: {cidr: '2001:DB8:0::1/64'}}]}]"));
    OK_ALL("2001:db8::77", "z/a");
    X_ALL("2001:db8:0:1::77", "z/a");
}

static void case_28_cluster_addresses_are_not_seen(void **unused)
{
    (void)unused;
    // The client dials 10.96.0.10; what is judged is the backend y/a.
    cases_given(EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: 10.96.0.10/32}}]}]"));
    X_ALL("x/a", "y/a");
    cases_given(EGRESS("x", "p", "{}", "[{to: [{ipBlock: {cidr: 10.0.2.1/32}}, {ipBlock: {cidr: 'fd00::2:1/128'}}]}]"));
    OK_ALL("x/a", "y/a");
    X_ALL("x/a", "y/b");
    struct packet packet = cases_packet("10.0.1.1", "10.0.2.1", PROTOCOL_TCP, 80);
    packet.dnat = true;
    PASSES("n1", &packet);
}

static void case_39_host_network_pod_as_peer(void **unused)
{
    (void)unused;
    cases_given(
        HOST_POD INGRESS("x", "p", "{}", "[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}]"));
    X_ALL("y/host", "x/a");
    OK_ALL("y/b", "x/a");
    cases_given(HOST_POD INGRESS(
        "x", "p", "{}", "[{from: [{ipBlock: {cidr: 192.168.0.2/32}}, {ipBlock: {cidr: 'fd00:168::2/128'}}]}]"));
    OK_ALL("y/host", "x/a");
    X_ALL("y/b", "x/a");
    cases_given(
        HOST_POD EGRESS("x", "p", "{}", "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}]"));
    X_ALL("x/a", "y/host");
    OK_ALL("x/a", "y/b");
}

static void case_70_names_that_differ_by_dot_and_dash(void **unused)
{
    (void)unused;
#define LONG50 "a2345678901234567890123456789012345678901234567890"
#define LONG47 "a2345678901234567890123456789012345678901234567"
#define LONG LONG50 "." LONG50 "." LONG50 "." LONG50 "." LONG47  // with ".x" 253 characters
    static const char policies[] = INGRESS("x", "a.b", LABEL("pod", "a"), "[{ports: [{port: 80}]}]")
        INGRESS("x", "a-b", LABEL("pod", "b"), "[{ports: [{port: 81}]}]")
            INGRESS("x", LONG ".x", "{matchLabels: {pod: c}}", "[{ports: [{port: 82}]}]")
                INGRESS("x", LONG ".y", "{matchLabels: {pod: c}}", "[{ports: [{port: 83}]}]");
    cases_given(policies);
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 81);
    OK("y/a", "x/b", "TCP", 81);
    X("y/a", "x/b", "TCP", 80);
    OK("y/a", "x/c", "TCP", 82);
    OK("y/a", "x/c", "TCP", 83);
    X("y/a", "x/c", "TCP", 84);
    // Names of namespaces and policies that join to the same text.
    cases_given(
        "---\n{apiVersion: v1, kind: Namespace, metadata: {name: x-y}}\n" POD("x-y", "a", "{}", "{nodeName: n1}",
                                                                              "{phase: Running, podIP: 10.0.9.1}")
            INGRESS("x", "y-p", "{}", "[{ports: [{port: 80}]}]") INGRESS("x-y", "p", "{}", "[{ports: [{port: 81}]}]"));
    OK("z/a", "x/a", "TCP", 80);
    X("z/a", "x/a", "TCP", 81);
    OK("z/a", "x-y/a", "TCP", 81);
    X("z/a", "x-y/a", "TCP", 80);
}

static void case_72_type_given_twice(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Ingress]}"));
    X_ALL("y/a", "x/a");
    OK_ALL("x/a", "y/a");
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress, Egress]}"));
    OK_ALL("y/a", "x/a");
    X_ALL("x/a", "y/a");
}

static void case_73_unknown_type_and_operator(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Future], ingress: [], egress: []}"));
    OK_ALL("y/a", "x/a");
    OK_ALL("x/a", "y/a");
    // The known value beside it counts.
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Future, Egress]}"));
    OK_ALL("y/a", "x/a");
    X_ALL("x/a", "y/a");
    // An unreadable subject isolates what its known part selects, and grants nothing.
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}, matchExpressions: [{key: n, operator: Gt, values: ['1']}]}, "
               "ingress: [{}]}"));
    X_ALL("y/a", "x/a");
    OK_ALL("y/a", "x/b");
    // What another policy grants stays granted.
    build_apply(cases_world, INGRESS("x", "q", "{}", "[{ports: [{port: 80}]}]"));
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 81);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_01_only_pod_selector),
        CASE(case_02_egress_without_types_isolates_ingress),
        CASE(case_03_empty_egress_without_types),
        CASE(case_04_ingress_rules_without_the_type),
        CASE(case_05_egress_rules_without_the_type),
        CASE(case_06_empty_lists_are_everything),
        CASE(case_10_both_selectors_in_one_peer_or_two),
        CASE(case_11_empty_pod_selector_is_the_own_namespace),
        CASE(case_12_empty_namespace_selector_is_every_pod),
        CASE(case_13_peer_without_known_key),
        CASE(case_14_unknown_key_in_a_peer),
        CASE(case_15_peer_that_selects_no_pod),
        CASE(case_17_not_in_and_does_not_exist),
        CASE(case_18_empty_label_value),
        CASE(case_19_contradicting_requirements),
        CASE(case_20_subjects_are_in_the_own_namespace),
        CASE(case_21_union_of_policies),
        CASE(case_22_except_is_not_deny),
        CASE(case_23_second_block_in_another_policy_or_rule),
        CASE(case_24_each_except_is_of_its_own_block),
        CASE(case_25_except_of_a_pod_that_a_selector_allows),
        CASE(case_26_blocks_of_everything),
        CASE(case_27_sloppy_cidrs),
        CASE(case_28_cluster_addresses_are_not_seen),
        CASE(case_39_host_network_pod_as_peer),
        CASE(case_70_names_that_differ_by_dot_and_dash),
        CASE(case_72_type_given_twice),
        CASE(case_73_unknown_type_and_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
