// SPDX-License-Identifier: Apache-2.0
//
// When an order of writes is enough for a change of rules and members together (dataplane/order.h), on tables made by
// hand; test_interim.c proves with random ones that no packet sees what is in between.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/order.h"

enum { RULES = 4, CHAINS = 8 };

// One pod 10.0.0.1 whose ingress is judged by a policy chain with the set; another, 10.0.0.9, comes.
struct world {
    struct rule rules[CHAINS][RULES];
    struct chain chains[CHAINS];
    struct hook hooks[2];
    struct set set;
    struct set_member members[2];
    struct table table;
};

static struct rule to(enum rule_target target, const char *chain)
{
    struct rule rule = rule_init();
    rule.target = target;
    rule.chain = chain;
    return rule;
}

static struct rule step_to(uint8_t last, const char *chain)
{
    struct rule rule = to(TARGET_GOTO, chain);
    rule.has_destination = true;
    rule.destination = (struct prefix){.address = {.bytes = {10, 0, 0, last}}, .length = 32};
    return rule;
}

static struct rule *add(struct world *w, const char *chain, struct rule rule)
{
    size_t i = 0;
    while (i < w->table.n_chains && strcmp(w->chains[i].name, chain) != 0) {
        i++;
    }
    assert_true(i < w->table.n_chains);
    struct rule *slot = &w->rules[i][w->chains[i].n_rules++];
    assert_true(w->chains[i].n_rules <= RULES);
    *slot = rule;
    return slot;
}

// after: the other pod is there, isolated as well, and a member of the set.
static void make(struct world *w, bool after)
{
    static const char *const names[] = {"NETPOL-DROP", "NETPOL-FI",    "NETPOL-FORWARD", "NETPOL-I-1",
                                        "NETPOL-I-9",  "NETPOL-INPUT", "NETPOL-P-1"};
    *w = (struct world){.table = {.chains = w->chains, .sets = &w->set, .n_sets = 1, .hooks = w->hooks, .n_hooks = 1}};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        w->chains[i] = (struct chain){.name = names[i], .rules = w->rules[i]};
    }
    w->table.n_chains = ARRAY_SIZE(names);
    w->hooks[0] = (struct hook){.builtin = "FORWARD", .rule = to(TARGET_JUMP, "NETPOL-FORWARD")};
    w->members[0] = (struct set_member){.prefix = {.address = {.bytes = {10, 0, 0, 7}}, .length = 32}};
    w->members[1] = (struct set_member){.prefix = {.address = {.bytes = {10, 0, 0, 9}}, .length = 32}};
    w->set = (struct set){.name = "NP4-A", .members = w->members, .n_members = after ? 2 : 1, .describe = ""};
    (void)add(w, "NETPOL-DROP", to(TARGET_DROP, NULL));
    struct rule tree = step_to(0, "NETPOL-FI");
    tree.target = TARGET_JUMP;
    tree.destination.length = 28;
    (void)add(w, "NETPOL-FORWARD", tree);
    (void)add(w, "NETPOL-FI", step_to(1, "NETPOL-I-1"));
    (void)add(w, "NETPOL-I-1", to(TARGET_GOTO, "NETPOL-P-1"));
    (void)add(w, "NETPOL-I-9", to(TARGET_GOTO, "NETPOL-P-1"));
    struct rule allow = to(TARGET_RETURN, NULL);
    allow.set = "NP4-A";
    allow.set_direction = SET_SRC;
    (void)add(w, "NETPOL-P-1", allow);
    (void)add(w, "NETPOL-P-1", to(TARGET_GOTO, "NETPOL-DROP"));
    if (after) {
        (void)add(w, "NETPOL-FI", step_to(9, "NETPOL-I-9"));
    }
}

static bool suffices(const struct world *have, const struct world *want)
{
    struct err err = {0};
    bool ret = false;
    bool back = false;
    assert_int_equal(order_suffices(&have->table, &want->table, &ret, &err), 0);
    // Time may run either way.
    assert_int_equal(order_suffices(&want->table, &have->table, &back, &err), 0);
    assert_int_equal(ret, back);
    return ret;
}

static void test_a_pod_comes_or_goes(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    assert_true(suffices(&have, &want));
}

static void test_nothing_to_decide(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    want.set = have.set;
    assert_false(suffices(&have, &want));
}

static void test_a_set_that_denies(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    have.rules[6][0].target = want.rules[6][0].target = TARGET_GOTO;
    have.rules[6][0].chain = want.rules[6][0].chain = "NETPOL-DROP";
    assert_false(suffices(&have, &want));
}

static void test_a_set_in_front_of_the_trees(void **state)
{
    (void)state;
    static const enum rule_target targets[] = {TARGET_RETURN, TARGET_GOTO};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct world have;
        struct world want;
        make(&have, false);
        make(&want, true);
        struct rule rule = to(targets[i], targets[i] == TARGET_GOTO ? "NETPOL-DROP" : NULL);
        rule.set = "NP4-A";
        (void)add(&have, "NETPOL-FORWARD", rule);
        (void)add(&want, "NETPOL-FORWARD", rule);
        assert_false(suffices(&have, &want));
    }
}

static void test_another_member_than_the_pod_that_comes(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    want.members[1].prefix.address.bytes[3] = 8;
    // Nobody's chain is new that knows the set.
    assert_false(suffices(&have, &want));
    want.rules[4][0].chain = have.rules[4][0].chain = "NETPOL-DROP";
    assert_true(suffices(&have, &want));
}

static void test_prefixes(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    have.set.type = want.set.type = SET_HASH_NET;
    assert_false(suffices(&have, &want));
}

static void test_ways_round_the_trees(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    struct rule pass = to(TARGET_RETURN, NULL);
    pass.protocol = 1;
    pass.icmp_type = 8;
    (void)add(&have, "NETPOL-FORWARD", pass);
    assert_false(suffices(&have, &want));
    (void)add(&want, "NETPOL-FORWARD", pass);
    assert_true(suffices(&have, &want));
    // A jump in another built-in chain that comes with the pod judges it alone, or the pod that was there as well.
    want.hooks[1] = (struct hook){.builtin = "INPUT", .rule = to(TARGET_JUMP, "NETPOL-INPUT")};
    want.table.n_hooks = 2;
    assert_true(suffices(&have, &want));
    struct rule *tree = add(&want, "NETPOL-INPUT", step_to(9, "NETPOL-I-9"));
    assert_true(suffices(&have, &want));
    *tree = step_to(1, "NETPOL-I-1");
    assert_false(suffices(&have, &want));
}

static void test_a_jump_that_changes(void **state)
{
    (void)state;
    struct world have;
    struct world want;
    make(&have, false);
    make(&want, true);
    want.hooks[0].rule.ct_states = CT_ESTABLISHED;
    assert_false(suffices(&have, &want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pod_comes_or_goes),
        cmocka_unit_test(test_nothing_to_decide),
        cmocka_unit_test(test_a_set_that_denies),
        cmocka_unit_test(test_a_set_in_front_of_the_trees),
        cmocka_unit_test(test_another_member_than_the_pod_that_comes),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_ways_round_the_trees),
        cmocka_unit_test(test_a_jump_that_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
