// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: who a policy selects and whom its peers allow: presence and defaults, selectors,
// ipBlocks (cases 1 to 6, 10 to 28, 39, 70, 72, 73).
#include "support/cases.h"

static void case_01_only_pod_selector(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}}"));
    X("y/a", "x/a", "TCP", 80);
    X("x/b", "x/a", "UDP", 80);
    X("8.8.8.8", "x/c", "TCP", 80);
    OK("x/a", "y/a", "TCP", 80);
    OK("y/a", "y/b", "TCP", 80);
}

static void case_02_egress_without_types_isolates_ingress(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, egress: [{}]}"));
    OK("x/a", "y/a", "TCP", 80);
    OK("x/a", "8.8.8.8", "UDP", 53);
    X("y/a", "x/a", "TCP", 80);
}

static void case_03_empty_egress_without_types(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, egress: []}"));
    OK("x/a", "y/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 80);
}

static void case_04_ingress_rules_without_the_type(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}"));
    OK("y/a", "x/a", "TCP", 80);
    X("x/a", "y/a", "UDP", 53);
    X("x/a", "y/a", "TCP", 80);
}

static void case_05_egress_rules_without_the_type(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 80}]}]}"));
    OK("x/a", "y/a", "TCP", 81);
    X("y/a", "x/a", "TCP", 80);
}

static void case_06_empty_lists_are_everything(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [], ports: []}]}"));
    OK("y/a", "x/a", "TCP", 80);
    OK("8.8.8.8", "x/a", "UDP", 9);
    OK("2001:db8::8", "fd00::1:1", "ICMPv6", 0);
    OK("8.8.8.8", "x/a", "ICMP", 0);
}

static void case_10_both_selectors_in_one_peer_or_two(void **unused)
{
    (void)unused;
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, "
               "podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("y/b", "x/a", "TCP", 80);
    X("x/b", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 80);
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, "
               "{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("x/b", "x/a", "TCP", 80);
    OK("y/a", "x/a", "TCP", 80);
    OK("y/b", "x/a", "TCP", 80);
    X("z/b", "x/a", "TCP", 80);
}

static void case_11_empty_pod_selector_is_the_own_namespace(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"));
    OK("x/b", "x/a", "TCP", 80);
    OK("x/c", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 80);
    X("8.8.8.8", "x/a", "TCP", 80);
}

static void case_12_empty_namespace_selector_is_every_pod(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}") HOST_POD);
    OK("y/a", "x/a", "TCP", 80);
    OK("z/c", "x/a", "UDP", 80);
    X("8.8.8.8", "x/a", "TCP", 80);
    X("node:n2", "x/a", "TCP", 80);
    X("y/host", "x/a", "TCP", 80);
}

static void case_13_peer_without_known_key(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{}]}]}"));
    X("x/b", "x/a", "TCP", 80);
    X("8.8.8.8", "x/a", "TCP", 80);
}

static void case_14_unknown_key_in_a_peer(void **unused)
{
    (void)unused;
    cases_given(POLICY(
        "x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}, futureKey: {a: b}}]}]}"));
    X("x/b", "x/a", "TCP", 80);
}

static void case_15_peer_that_selects_no_pod(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: none}}}]}]}"));
    X("x/b", "x/a", "TCP", 80);
    X("8.8.8.8", "x/a", "TCP", 80);
}

static void case_17_not_in_and_does_not_exist(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}}"));
    X("y/a", "x/a", "TCP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}}")
                    POD("x", "e", "{env: ''}", "{nodeName: n1, containers: []}", "{phase: Running, podIP: 10.0.1.9}"));
    OK("y/a", "x/e", "TCP", 80);
    X("y/a", "x/a", "TCP", 80);
}

static void case_18_empty_label_value(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {k: ''}}}")
                    POD("x", "k", "{k: ''}", "{nodeName: n1, containers: []}", "{phase: Running, podIP: 10.0.1.9}"));
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/k", "TCP", 80);
}

static void case_19_contradicting_requirements(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p",
                       "{podSelector: {matchExpressions: [{key: pod, operator: In, values: [a]}, "
                       "{key: pod, operator: In, values: [b]}]}}"));
    OK("y/a", "x/a", "TCP", 80);
    OK("y/a", "x/b", "TCP", 80);
}

static void case_20_subjects_are_in_the_own_namespace(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}}}"));
    X("x/b", "x/a", "TCP", 80);
    OK("x/b", "y/a", "TCP", 80);
}

static void case_21_union_of_policies(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "deny", "{podSelector: {}}") POLICY("x", "open", "{podSelector: {}, ingress: [{}]}"));
    OK("y/a", "x/a", "TCP", 80);
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "open", ""), STATE_REMOVED);
    X("y/a", "x/a", "TCP", 80);
    assert_int_equal(state_remove(cases_world, OBJECT_POLICY, "x", "deny", ""), STATE_REMOVED);
    OK("y/a", "x/a", "TCP", 80);
}

static void case_22_except_is_not_deny(void **unused)
{
    (void)unused;
    cases_given(POLICY("z", "p",
                       "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}]}]}"));
    X("10.0.1.5", "z/a", "TCP", 80);
    X("x/a", "z/a", "TCP", 80);
    OK("10.0.2.5", "z/a", "TCP", 80);
    cases_given(POLICY("z", "p",
                       "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}, "
                       "{ipBlock: {cidr: 10.0.1.0/24}}]}]}"));
    OK("10.0.1.5", "z/a", "TCP", 80);
    OK("10.0.2.5", "z/a", "TCP", 80);
    X("11.0.0.0", "z/a", "TCP", 80);
}

static void case_23_second_block_in_another_policy_or_rule(void **unused)
{
    (void)unused;
#define EXCEPT "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}]}"
    cases_given(POLICY("z", "p", "{podSelector: {}, ingress: [" EXCEPT "]}")
                    POLICY("z", "q", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.1.0/24}}]}]}"));
    OK("10.0.1.5", "z/a", "TCP", 81);
    cases_given(POLICY("z", "p",
                       "{podSelector: {}, ingress: [" EXCEPT
                       ", {from: [{ipBlock: {cidr: 10.0.1.0/24}}], ports: [{port: 80}]}]}"));
    OK("10.0.1.5", "z/a", "TCP", 80);
    X("10.0.1.5", "z/a", "TCP", 81);
    OK("10.0.2.5", "z/a", "TCP", 81);
}

static void case_24_each_except_is_of_its_own_block(void **unused)
{
    (void)unused;
    cases_given(POLICY("z", "p",
                       "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, "
                       "{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}}]}]}"));
    OK("10.1.3.4", "z/a", "TCP", 80);
    OK("10.2.3.4", "z/a", "TCP", 80);
    OK("10.3.3.4", "z/a", "TCP", 80);
    X("9.255.255.255", "z/a", "TCP", 80);
}

static void case_25_except_of_a_pod_that_a_selector_allows(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p",
                       "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.2/32]}}, "
                       "{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("x/b", "x/a", "TCP", 80);
    OK("x/c", "x/a", "TCP", 80);
}

static void case_26_blocks_of_everything(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"));
    OK("10.0.2.1", "x/a", "TCP", 80);
    OK("223.1.2.3", "x/a", "TCP", 80);
    X("2001:db8::1", "x/a", "TCP", 80);
    X("fd00::2:1", "x/a", "TCP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: '::/0'}}]}]}"));
    OK("fd00::2:1", "x/a", "TCP", 80);
    OK("2001:db8::1", "x/a", "TCP", 80);
    OK("8000::", "x/a", "TCP", 80);
    X("10.0.2.1", "x/a", "TCP", 80);
}

static void case_27_sloppy_cidrs(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.9.5/24}}]}]}"));
    OK("10.0.9.9", "x/a", "TCP", 80);
    X("10.0.10.9", "x/a", "TCP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 010.0.0.0/8}}]}]}"));
    OK("10.1.1.1", "x/a", "TCP", 80);
    X("8.1.1.1", "x/a", "TCP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: '::ffff:10.0.0.0/104'}}]}]}"));
    OK("10.1.1.1", "x/a", "TCP", 80);
    X("11.1.1.1", "x/a", "TCP", 80);
}

static void case_28_cluster_addresses_are_not_seen(void **unused)
{
    (void)unused;
    // The client dials 10.96.0.10; what is judged is the backend y/a.
    cases_given(POLICY("x", "p",
                       "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.96.0.10/32}}]}]}"));
    X("x/a", "y/a", "TCP", 80);
    cases_given(
        POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.2.1/32}}]}]}"));
    OK("x/a", "y/a", "TCP", 80);
    X("x/a", "y/b", "TCP", 80);
}

static void case_39_host_network_pod_as_peer(void **unused)
{
    (void)unused;
    cases_given(HOST_POD POLICY("x", "p",
                                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: "
                                "{matchLabels: {pod: b}}}]}]}"));
    X("y/host", "x/a", "TCP", 80);
    OK("y/b", "x/a", "TCP", 80);
    cases_given(HOST_POD POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.0.2/32}}]}]}"));
    OK("y/host", "x/a", "TCP", 80);
    X("y/b", "x/a", "TCP", 80);
}

static void case_70_names_that_differ_by_dot_and_dash(void **unused)
{
    (void)unused;
#define LONG50 "a2345678901234567890123456789012345678901234567890"
#define LONG LONG50 "." LONG50 "." LONG50 "." LONG50
    cases_given(
        POLICY("x", "a.b", "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 80}]}]}")
            POLICY("x", "a-b", "{podSelector: {matchLabels: {pod: b}}, ingress: [{ports: [{port: 81}]}]}")
                POLICY("x", LONG ".x", "{podSelector: {matchLabels: {pod: c}}, ingress: [{ports: [{port: 82}]}]}")
                    POLICY("x", LONG ".y", "{podSelector: {matchLabels: {pod: c}}, ingress: [{ports: [{port: 83}]}]}"));
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 81);
    OK("y/a", "x/b", "TCP", 81);
    X("y/a", "x/b", "TCP", 80);
    OK("y/a", "x/c", "TCP", 82);
    OK("y/a", "x/c", "TCP", 83);
    X("y/a", "x/c", "TCP", 84);
}

static void case_72_type_given_twice(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Ingress, Ingress]}"));
    X("y/a", "x/a", "TCP", 80);
    OK("x/a", "y/a", "TCP", 80);
}

static void case_73_unknown_type_and_operator(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Future], ingress: [], egress: []}"));
    OK("y/a", "x/a", "TCP", 80);
    OK("x/a", "y/a", "TCP", 80);
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}, matchExpressions: [{key: n, operator: Gt, values: ['1']}]}, "
               "ingress: [{}]}"));
    X("y/a", "x/a", "TCP", 80);
    OK("y/a", "x/b", "TCP", 80);
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
