// SPDX-License-Identifier: Apache-2.0
//
// Which rules of others count. How a text tells of them is test_parse.c, how a kernel does tests/kernel/test_live.sh.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ruleset/foreign.h"

#include <stdio.h>
#include <string.h>

static struct foreign *tell(const char *table, const char *chain, const char *target)
{
    struct foreign *foreign = NULL;
    char what[64];
    (void)snprintf(what, sizeof(what), "-j %s", target);
    const struct foreign_rule rule = {.table = table, .chain = chain, .target = target, .what = what, .number = 7};
    assert_int_equal(foreign_new(&foreign, NULL), 0);
    assert_int_equal(foreign_add_rule(foreign, &rule, NULL), 0);
    return foreign;
}

static size_t count(struct foreign *foreign)
{
    struct findings FINDINGS_CLEANUP found = {0};
    assert_int_equal(foreign_judge(foreign, &found, NULL), 0);
    return found.n;
}

static bool matters(const char *table, const char *chain, const char *target)
{
    CLEANUP(foreign_free) struct foreign *foreign = tell(table, chain, target);
    foreign_hook(foreign, FAMILY_V4, "FORWARD");
    return count(foreign);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        bool filter, raw, mangle, nat;
    } cases[] = {
        {"", false, false, false, false},         {"LOG", false, false, false, false},
        {"MARK", false, false, false, false},     {"TCPMSS", false, false, false, false},
        {"ACCEPT", true, false, false, false},    {"RETURN", true, false, false, false},
        {"DROP", true, true, true, true},         {"QUEUE", true, true, true, true},
        {"NFQUEUE", true, true, true, true},      {"REJECT", true, true, true, true},
        {"CT", true, true, true, true},           {"NOTRACK", true, true, true, true},
        {"TPROXY", true, true, true, true},       {"HL", true, true, true, true},
        {"DNAT", true, true, true, false},        {"REDIRECT", true, true, true, false},
        {"NOT-DECLARED", true, true, true, true}, {"NETPOL-FORWARD", true, true, true, true},
        {"MASQUERADE", true, true, true, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *target = cases[i].target;
        if (matters("filter", "FORWARD", target) != cases[i].filter ||
            matters("raw", "PREROUTING", target) != cases[i].raw ||
            matters("mangle", "FORWARD", target) != cases[i].mangle ||
            matters("nat", "OUTPUT", target) != cases[i].nat) {
            fail_msg("-j %s is judged wrongly in one of the tables", target);
        }
    }
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *table;
        const char *chain;
        bool matters;
    } cases[] = {
        {"filter", "FORWARD", true},    {"filter", "INPUT", false},  // no jump of ours behind it
        {"filter", "OTHER", false},     {"raw", "PREROUTING", true},      {"raw", "OUTPUT", true},
        {"mangle", "PREROUTING", true}, {"mangle", "INPUT", true},        {"mangle", "FORWARD", true},
        {"mangle", "OUTPUT", true},     {"mangle", "POSTROUTING", false}, {"nat", "PREROUTING", true},
        {"nat", "OUTPUT", true},        {"nat", "INPUT", false},          {"nat", "POSTROUTING", false},
        {"security", "FORWARD", false}, {"mangle", "OTHER", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (matters(cases[i].table, cases[i].chain, "DROP") != cases[i].matters) {
            fail_msg("%s %s is judged wrongly", cases[i].table, cases[i].chain);
        }
        assert_true(foreign_has_table(cases[i].table) == (strcmp(cases[i].table, "security") != 0));
    }
}

static void add(struct foreign *foreign, const char *chain, const char *target, bool is_goto)
{
    const struct foreign_rule rule = {
        .table = "filter", .chain = chain, .target = target, .what = target, .is_goto = is_goto, .line = 3};
    assert_int_equal(foreign_add_rule(foreign, &rule, NULL), 0);
}

// A jump of ours in one family is none of the other's.
static void test_families(void **state)
{
    (void)state;
    CLEANUP(foreign_free) struct foreign *foreign = tell("filter", "INPUT", "DROP");
    foreign_hook(foreign, FAMILY_V6, "INPUT");
    foreign_hook(foreign, FAMILY_V4, "FORWARD");
    assert_int_equal(count(foreign), 0);
    foreign_hook(foreign, FAMILY_V4, "INPUT");
    assert_int_equal(count(foreign), 1);
}

// A jump counts when something behind it does, however far, and though chains may lead round in a text.
static void test_chains(void **state)
{
    (void)state;
    CLEANUP(foreign_free) struct foreign *foreign = NULL;
    assert_int_equal(foreign_new(&foreign, NULL), 0);
    assert_int_equal(foreign_add_chain(foreign, FAMILY_V4, "filter", "EMPTY", NULL), 0);
    add(foreign, "FORWARD", "ROUND", false);
    add(foreign, "FORWARD", "A", false);
    add(foreign, "FORWARD", "EMPTY", false);
    add(foreign, "ROUND", "ROUND", false);
    add(foreign, "ROUND", "RETURN", false);
    add(foreign, "A", "B", false);
    add(foreign, "A", "LOG", false);
    add(foreign, "B", "C", true);
    add(foreign, "C", "A", false);
    foreign_hook(foreign, FAMILY_V4, "FORWARD");
    assert_int_equal(count(foreign), 0);
    add(foreign, "C", "REJECT", false);
    struct findings FINDINGS_CLEANUP found = {0};
    assert_int_equal(foreign_judge(foreign, &found, NULL), 0);
    assert_int_equal(found.n, 1);
    assert_string_equal(found.v[0].where, "IPv4 filter FORWARD, line 3");
    assert_string_equal(found.v[0].what, "A (C: -j REJECT)");
    // A goto leaves the built-in chain for good, whatever it leads to; behind the jump nothing counts.
    add(foreign, "FORWARD", "EMPTY", true);
    assert_int_equal(count(foreign), 1);
    foreign_hook(foreign, FAMILY_V4, "FORWARD");
    assert_int_equal(count(foreign), 2);
    add(foreign, "FORWARD", "DROP", false);
    assert_int_equal(count(foreign), 2);
}

static void test_policies(void **state)
{
    (void)state;
    static const struct {
        const char *table, *chain, *policy;
        bool matters;
    } cases[] = {
        {"mangle", "FORWARD", "DROP", true},      {"mangle", "FORWARD", "ACCEPT", false},
        {"mangle", "POSTROUTING", "DROP", false}, {"filter", "FORWARD", "DROP", false},
        {"raw", "PREROUTING", "DROP", true},      {"security", "INPUT", "DROP", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(foreign_free) struct foreign *foreign = NULL;
        assert_int_equal(foreign_new(&foreign, NULL), 0);
        assert_int_equal(
            foreign_add_policy(foreign, FAMILY_V6, cases[i].table, cases[i].chain, cases[i].policy, 0, NULL), 0);
        foreign_hook(foreign, FAMILY_V6, cases[i].chain);
        assert_int_equal(count(foreign), cases[i].matters);
    }
}

// Long texts are cut, and what leads to a verdict is still said.
static void test_long_texts(void **state)
{
    (void)state;
    char what[2 * FINDING_WHAT];
    CLEANUP(foreign_free) struct foreign *foreign = NULL;
    struct findings FINDINGS_CLEANUP found = {0};
    memset(what, 'x', sizeof(what) - 1);
    what[sizeof(what) - 1] = '\0';
    const struct foreign_rule rule = {.table = "mangle", .chain = "INPUT", .target = "A", .what = what};
    assert_int_equal(foreign_new(&foreign, NULL), 0);
    assert_int_equal(foreign_add_rule(foreign, &rule, NULL), 0);
    const struct foreign_rule end = {.table = "mangle", .chain = "A", .target = "DROP", .what = ""};
    assert_int_equal(foreign_add_rule(foreign, &end, NULL), 0);
    assert_int_equal(foreign_judge(foreign, &found, NULL), 0);
    assert_int_equal(found.n, 1);
    assert_non_null(strstr(found.v[0].what, "xxx (A: -j DROP)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets), cmocka_unit_test(test_places),   cmocka_unit_test(test_families),
        cmocka_unit_test(test_chains),  cmocka_unit_test(test_policies), cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
