// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "model/object.h"
#include "ruleset/ruleset.h"

static struct prefix prefix(const char *text)
{
    struct prefix ret;
    assert_true(prefix_parse(text, &ret));
    return ret;
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t members;
        uint32_t hashsize;
        uint32_t maxelem;
    } cases[] = {
        {0, 64, 65536},
        {1, 64, 65536},
        {256, 64, 65536},
        {257, 128, 65536},
        {10000, 4096, 65536},
        {32768, 8192, 65536},
        {32769, 16384, 131072},
        {1000000, 262144, 2097152},
        {LIMIT_SET_MEMBERS, 1048576, LIMIT_SET_MEMBERS},
        {SIZE_MAX, LIMIT_SET_MEMBERS, LIMIT_SET_MEMBERS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(set_hashsize(cases[i].members), cases[i].hashsize);
        assert_int_equal(set_maxelem(cases[i].members), cases[i].maxelem);
    }
}

static void test_lookups(void **state)
{
    (void)state;
    static const struct chain chains[] = {{.name = "NETPOL-A"}, {.name = "NETPOL-AB"}, {.name = "NETPOL-B"}};
    static const struct set sets[] = {{.name = "NP4-1"}, {.name = "NP4-2"}, {.name = "NP4-20"}, {.name = "NP4-3"}};
    struct table table = {.chains = chains, .n_chains = 3, .sets = sets, .n_sets = 4};
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
        assert_ptr_equal(table_chain(&table, chains[i].name), &chains[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        assert_ptr_equal(table_set(&table, sets[i].name), &sets[i]);
    }
    assert_null(table_chain(&table, "NETPOL-"));
    assert_null(table_chain(&table, "NETPOL-C"));
    assert_null(table_chain(&table, "NETPOL-AA"));
    assert_null(table_set(&table, "NP4-0"));
    assert_null(table_set(&table, "NP4-4"));
    struct table empty = {0};
    assert_null(table_chain(&empty, "NETPOL-A"));
    assert_null(table_set(&empty, "NP4-1"));
}

static void test_member_order(void **state)
{
    (void)state;
    const struct set_member sorted[] = {
        {.prefix = prefix("10.0.0.0/8")},
        {.prefix = prefix("10.0.0.0/8"), .nomatch = true},
        {.prefix = prefix("10.0.0.0/16")},
        {.prefix = prefix("10.0.0.1/32"), .protocol = PROTOCOL_TCP, .port = 80},
        {.prefix = prefix("10.0.0.1/32"), .protocol = PROTOCOL_TCP, .port = 81},
        {.prefix = prefix("10.0.0.1/32"), .protocol = PROTOCOL_UDP, .port = 1},
        {.prefix = prefix("10.0.0.2/32")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
            int order = set_member_compare(&sorted[i], &sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_true(set_member_same_key(&sorted[0], &sorted[1]));
    assert_false(set_member_same_key(&sorted[0], &sorted[2]));
    assert_false(set_member_same_key(&sorted[3], &sorted[4]));
    assert_false(set_member_same_key(&sorted[4], &sorted[5]));
}

static void test_rule_equal(void **state)
{
    (void)state;
    static const struct port_range http[] = {{80, 80}};
    static const struct port_range http_copy[] = {{80, 80}};
    static const struct port_range wider[] = {{80, 81}};
    struct rule base = rule_init();
    base.has_source = true;
    base.source = prefix("10.0.0.0/8");
    base.has_destination = true;
    base.destination = prefix("10.1.0.0/16");
    base.protocol = PROTOCOL_TCP;
    base.ports = http;
    base.n_ports = 1;
    base.ct_states = CT_NEW;
    base.set = "NP4-A";
    base.target = TARGET_JUMP;
    base.chain = "NETPOL-A";
    base.comment = "x";
    struct rule same = base;
    same.ports = http_copy;
    assert_true(rule_equal(&base, &same));

    struct rule other[18];
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        other[i] = base;
    }
    other[0].source = prefix("10.0.0.0/9");
    other[1].has_source = false;
    other[2].destination = prefix("10.2.0.0/16");
    other[3].has_destination = false;
    other[4].in[0] = 'e';
    other[5].out[0] = 'e';
    other[6].protocol = PROTOCOL_UDP;
    other[7].ports = wider;
    other[8].n_ports = 0;
    other[9].ct_states = CT_ESTABLISHED;
    other[10].ct_invert = true;
    other[11].source_local = true;
    other[12].set = "NP4-B";
    other[13].set_direction = SET_DST;
    other[14].target = TARGET_GOTO;
    other[15].chain = "NETPOL-B";
    other[16].comment = NULL;
    other[17].hop_limit = 255;
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        if (rule_equal(&base, &other[i]) || rule_equal(&other[i], &base)) {
            fail_msg("difference %zu was not seen", i);
        }
    }
    struct rule icmp = rule_init();
    struct rule echo = rule_init();
    echo.icmp_type = 8;
    assert_false(rule_equal(&icmp, &echo));
}

// What the kernel keeps no trace of makes no difference.
static void test_rule_equal_unused(void **state)
{
    (void)state;
    struct rule a = rule_init();
    struct rule b = rule_init();
    b.has_source = true;
    b.source = prefix("0.0.0.0/0");
    b.has_destination = true;
    b.destination = prefix("0.0.0.0/0");
    b.ct_invert = true;
    b.set_direction = SET_DST;
    assert_false(rule_has_source(&b));
    assert_false(rule_has_destination(&b));
    assert_true(rule_equal(&a, &b));
    // A leftover prefix that is not in use.
    b.has_source = false;
    b.source = prefix("10.0.0.0/8");
    assert_true(rule_equal(&a, &b));
}

static void test_hooks_equal(void **state)
{
    (void)state;
    struct rule to_a = rule_init();
    to_a.target = TARGET_JUMP;
    to_a.chain = "NETPOL-A";
    struct rule to_b = to_a;
    to_b.chain = "NETPOL-B";
    const struct hook base[] = {
        {.builtin = "FORWARD", .rule = to_a}, {.builtin = "FORWARD", .rule = to_b}, {.builtin = "INPUT", .rule = to_a}};
    const struct hook mixed[] = {
        {.builtin = "INPUT", .rule = to_a}, {.builtin = "FORWARD", .rule = to_a}, {.builtin = "FORWARD", .rule = to_b}};
    const struct hook swapped[] = {
        {.builtin = "FORWARD", .rule = to_b}, {.builtin = "FORWARD", .rule = to_a}, {.builtin = "INPUT", .rule = to_a}};
    const struct hook moved[] = {{.builtin = "FORWARD", .rule = to_a},
                                 {.builtin = "FORWARD", .rule = to_b},
                                 {.builtin = "OUTPUT", .rule = to_a}};
    struct table a = {.hooks = base, .n_hooks = 3};
    struct table b = {.hooks = mixed, .n_hooks = 3};
    assert_true(table_hooks_equal(&a, &b));
    b.hooks = swapped;
    assert_false(table_hooks_equal(&a, &b));
    b.hooks = moved;
    assert_false(table_hooks_equal(&a, &b));
    b.hooks = base;
    b.n_hooks = 2;
    assert_false(table_hooks_equal(&a, &b));
    assert_true(hook_equal(&base[0], &mixed[1]));
    assert_false(hook_equal(&base[0], &mixed[0]));
}

static void test_ruleset_equal(void **state)
{
    (void)state;
    const struct set_member members[] = {{.prefix = prefix("10.0.0.1/32")}, {.prefix = prefix("10.0.0.2/32")}};
    const struct set set = {.name = "NP4-A", .members = members, .n_members = 2, .describe = "one"};
    struct rule drop = rule_init();
    drop.target = TARGET_DROP;
    const struct chain chain = {.name = "NETPOL-A", .rules = &drop, .n_rules = 1};
    const struct hook hook = {.builtin = "FORWARD", .rule = drop};
    struct ruleset a = {0};
    a.tables[FAMILY_V4] =
        (struct table){.chains = &chain, .n_chains = 1, .sets = &set, .n_sets = 1, .hooks = &hook, .n_hooks = 1};
    struct ruleset b = a;
    struct set described = set;
    described.describe = "two";
    b.tables[FAMILY_V4].sets = &described;
    assert_true(ruleset_equal(&a, &b));
    described.n_members = 1;
    assert_false(ruleset_equal(&a, &b));
    described.n_members = 2;
    described.type = SET_HASH_NET;
    assert_false(ruleset_equal(&a, &b));
    b = a;
    struct chain longer = chain;
    struct rule two[] = {drop, drop};
    longer.rules = two;
    longer.n_rules = 2;
    b.tables[FAMILY_V4].chains = &longer;
    assert_false(ruleset_equal(&a, &b));
    b = a;
    b.tables[FAMILY_V6] = a.tables[FAMILY_V4];
    assert_false(ruleset_equal(&a, &b));
    b = a;
    b.tables[FAMILY_V4].n_hooks = 0;
    assert_false(ruleset_equal(&a, &b));

    struct ruleset_size size;
    ruleset_size(&a, FAMILY_V4, &size);
    assert_int_equal(size.chains, 1);
    assert_int_equal(size.rules, 1);
    assert_int_equal(size.hooks, 1);
    assert_int_equal(size.sets, 1);
    assert_int_equal(size.members, 2);
    ruleset_size(&a, FAMILY_V6, &size);
    assert_int_equal(size.chains + size.rules + size.hooks + size.sets + size.members, 0);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(set_type_name(SET_HASH_IP), "hash:ip");
    assert_string_equal(set_type_name(SET_HASH_NET), "hash:net");
    assert_string_equal(set_type_name(SET_HASH_IP_PORT), "hash:ip,port");
    assert_int_equal(set_type_dimensions(SET_HASH_NET), 1);
    assert_int_equal(set_type_dimensions(SET_HASH_IP_PORT), 2);
    ruleset_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_member_order),
        cmocka_unit_test(test_rule_equal),
        cmocka_unit_test(test_rule_equal_unused),
        cmocka_unit_test(test_hooks_equal),
        cmocka_unit_test(test_ruleset_equal),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
