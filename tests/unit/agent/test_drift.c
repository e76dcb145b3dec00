// SPDX-License-Identifier: Apache-2.0
//
// What another program has changed, kind by kind, with names.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/drift.h"

enum { SETS = 2, MEMBERS = 3, CHAINS = 3, HOOKS = 4 };

// A ruleset of one family that may be changed in place.
struct model {
    struct ruleset ruleset;
    struct set_member members[SETS][MEMBERS];
    struct set sets[SETS];
    struct rule rules[CHAINS];
    struct chain chains[CHAINS];
    struct hook hooks[HOOKS];
};

static struct set_member member(const char *text)
{
    struct set_member out = {0};
    assert_true(prefix_parse(text, &out.prefix));
    return out;
}

static struct hook jump(const char *builtin, const char *chain)
{
    struct hook hook = {.builtin = builtin, .rule = rule_init()};
    hook.rule.ct_states = 2;
    hook.rule.ct_invert = true;
    hook.rule.target = TARGET_JUMP;
    hook.rule.chain = chain;
    return hook;
}

static void bind(struct model *m)
{
    struct table *table = &m->ruleset.tables[FAMILY_V4];
    table->sets = m->sets;
    table->chains = m->chains;
    table->hooks = m->hooks;
    for (size_t i = 0; i < SETS; i++) {
        m->sets[i].members = m->members[i];
    }
    for (size_t i = 0; i < CHAINS; i++) {
        m->chains[i].rules = &m->rules[i];
    }
}

static void make(struct model *m)
{
    static const char *const chains[CHAINS] = {"NETPOL-FE", "NETPOL-FORWARD", "NETPOL-INPUT"};
    static const char *const sets[SETS] = {"NP4-A", "NP4-B"};
    *m = (struct model){0};
    for (size_t i = 0; i < SETS; i++) {
        m->members[i][0] = member("10.0.0.1/32");
        m->members[i][1] = member("10.0.0.2/32");
        m->members[i][2] = member("10.0.0.3/32");
        m->sets[i] = (struct set){.name = sets[i], .type = SET_HASH_IP, .n_members = MEMBERS, .describe = ""};
    }
    for (size_t i = 0; i < CHAINS; i++) {
        m->rules[i] = rule_init();
        m->rules[i].target = TARGET_RETURN;
        m->chains[i] = (struct chain){.name = chains[i], .n_rules = 1};
    }
    m->hooks[0] = jump("FORWARD", "NETPOL-FORWARD");
    m->hooks[1] = jump("INPUT", "NETPOL-INPUT");
    struct table *table = &m->ruleset.tables[FAMILY_V4];
    table->n_sets = SETS;
    table->n_chains = CHAINS;
    table->n_hooks = 2;
    bind(m);
}

static struct model live;
static struct model want;
static struct drift drift;

static int setup(void **state)
{
    (void)state;
    make(&live);
    make(&want);
    drift = (struct drift){0};
    return 0;
}

static void look(void)
{
    struct err err = {0};
    assert_int_equal(drift_of(&live.ruleset, &want.ruleset, &drift, &err), 0);
}

// Exactly that many of that kind, and of no other.
static void only(enum drift_kind kind, size_t n, const char *names)
{
    look();
    for (size_t i = 0; i < DRIFT_KIND_COUNT; i++) {
        if (drift.kinds[i].n != (i == kind ? n : 0)) {
            fail_msg("%s: %zu (%s)", drift_kind_name((enum drift_kind)i), drift.kinds[i].n, drift.kinds[i].names);
        }
    }
    assert_string_equal(drift.kinds[kind].names, names);
    assert_int_equal(drift_total(&drift), n);
}

static void test_nothing(void **state)
{
    (void)state;
    only(DRIFT_SET_MISSING, 0, "");
    BUF_CLEANUP struct buf text = {0};
    drift_render_json(&drift, &text);
    assert_string_equal(text.data, "{}");
}

static void test_chains(void **state)
{
    (void)state;
    live.rules[1].target = TARGET_ACCEPT;
    only(DRIFT_CHAIN_CHANGED, 1, "IPv4 NETPOL-FORWARD");
    live.rules[1].target = TARGET_RETURN;
    live.chains[0].n_rules = 0;  // flushed
    live.chains[2].n_rules = 0;
    only(DRIFT_CHAIN_CHANGED, 2, "IPv4 NETPOL-FE, IPv4 NETPOL-INPUT");
    live.chains[0].n_rules = live.chains[2].n_rules = 1;
    live.ruleset.tables[FAMILY_V4].n_chains--;
    only(DRIFT_CHAIN_MISSING, 1, "IPv4 NETPOL-INPUT");
    live.ruleset.tables[FAMILY_V4].n_chains++;
    want.ruleset.tables[FAMILY_V4].n_chains--;
    only(DRIFT_CHAIN_FOREIGN, 1, "IPv4 NETPOL-INPUT");
}

static void test_sets(void **state)
{
    (void)state;
    live.ruleset.tables[FAMILY_V4].n_sets--;
    only(DRIFT_SET_MISSING, 1, "NP4-B");
    live.ruleset.tables[FAMILY_V4].n_sets++;
    live.sets[0].type = SET_HASH_NET;
    only(DRIFT_SET_CHANGED, 1, "NP4-A");
    live.sets[0].type = SET_HASH_IP;
    want.ruleset.tables[FAMILY_V4].n_sets--;
    only(DRIFT_SET_FOREIGN, 1, "NP4-B");
}

static void test_members(void **state)
{
    (void)state;
    live.sets[1].n_members--;
    only(DRIFT_MEMBER_MISSING, 1, "NP4-B 10.0.0.3/32");
    live.sets[1].n_members++;
    want.sets[0].n_members = 1;
    only(DRIFT_MEMBER_FOREIGN, 2, "NP4-A 10.0.0.2/32, NP4-A 10.0.0.3/32");
}

static void test_jumps(void **state)
{
    (void)state;
    live.ruleset.tables[FAMILY_V4].n_hooks--;
    only(DRIFT_JUMP_MISSING, 1, "IPv4 INPUT");
    live.ruleset.tables[FAMILY_V4].n_hooks++;
    live.hooks[0].rule.comment = BACKEND_MISPLACED_HOOK;
    only(DRIFT_JUMP_MOVED, 1, "IPv4 FORWARD");
    assert_true(drift.behind[FAMILY_V4][0]);
    assert_false(drift.behind[FAMILY_V4][1]);
    // Left there on purpose.
    want.hooks[0].anywhere = true;
    only(DRIFT_JUMP_MOVED, 0, "");
    assert_true(drift.behind[FAMILY_V4][0]);
    want.hooks[0].anywhere = false;
    live.hooks[0].rule.comment = NULL;
    live.hooks[0].rule.protocol = 6;
    only(DRIFT_JUMP_CHANGED, 1, "IPv4 FORWARD");
    live.hooks[0].rule.protocol = 0;
    live.hooks[2] = jump("FORWARD", "NETPOL-FORWARD");
    live.hooks[3] = jump("OUTPUT", "NETPOL-FORWARD");
    live.ruleset.tables[FAMILY_V4].n_hooks = 4;
    only(DRIFT_JUMP_DUPLICATE, 2, "IPv4 FORWARD, IPv4 OUTPUT");
}

// A rule of others above: ours is moved, and its copy further down is one too many.
static void test_a_moved_jump_and_a_copy(void **state)
{
    (void)state;
    live.hooks[0].rule.comment = BACKEND_MISPLACED_HOOK;
    live.hooks[2] = jump("FORWARD", "NETPOL-FORWARD");
    live.hooks[2].rule.comment = BACKEND_MISPLACED_HOOK;
    live.ruleset.tables[FAMILY_V4].n_hooks = 3;
    look();
    assert_int_equal(drift.kinds[DRIFT_JUMP_MOVED].n, 1);
    assert_int_equal(drift.kinds[DRIFT_JUMP_DUPLICATE].n, 1);
    assert_int_equal(drift_total(&drift), 2);
}

static void test_everything_is_gone(void **state)
{
    (void)state;
    live.ruleset.tables[FAMILY_V4] = (struct table){0};
    look();
    assert_int_equal(drift.kinds[DRIFT_CHAIN_MISSING].n, CHAINS);
    assert_int_equal(drift.kinds[DRIFT_JUMP_MISSING].n, 2);
    assert_int_equal(drift.kinds[DRIFT_SET_MISSING].n, SETS);
    assert_int_equal(drift_total(&drift), CHAINS + 2 + SETS);
    BUF_CLEANUP struct buf text = {0};
    drift_render_json(&drift, &text);
    assert_non_null(strstr(text.data, "\"jump-missing\":{\"count\":2,\"names\":\"IPv4 FORWARD, IPv4 INPUT\"}"));
}

// What rules of others use stays, and is not claimed; nor is anything when nothing was written.
static void test_only_what_was_repaired(void **state)
{
    (void)state;
    want.ruleset.tables[FAMILY_V4].n_sets--;
    live.chains[0].n_rules = 0;
    look();
    struct apply_report report = {.writes = 1, .chains_rewritten = 1};
    drift_keep_repaired(&drift, &report);
    assert_int_equal(drift.kinds[DRIFT_SET_FOREIGN].n, 0);
    assert_int_equal(drift.kinds[DRIFT_CHAIN_CHANGED].n, 1);
    report.writes = 0;
    drift_keep_repaired(&drift, &report);
    assert_int_equal(drift_total(&drift), 0);
}

static void test_our_own_leftovers_are_none(void **state)
{
    (void)state;
    want.ruleset.tables[FAMILY_V4].n_sets = 0;
    want.ruleset.tables[FAMILY_V4].n_chains--;
    look();
    drift_leave_out(&drift, 1);
    assert_int_equal(drift.kinds[DRIFT_SET_FOREIGN].n, 1);
    assert_int_equal(drift.kinds[DRIFT_CHAIN_FOREIGN].n, 1);
    drift_leave_out(&drift, 5);
    assert_int_equal(drift_total(&drift), 0);
}

static void test_names_of_many_are_cut(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static struct set_member many[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "10.1.%u.%u/32", i / 250, i % 250);
        many[i] = member(text);
    }
    want.sets[0].members = many;
    want.sets[0].n_members = MANY;
    live.sets[0].n_members = 0;
    look();
    assert_int_equal(drift.kinds[DRIFT_MEMBER_MISSING].n, MANY);
    assert_true(strlen(drift.kinds[DRIFT_MEMBER_MISSING].names) < DRIFT_NAMES);
    assert_non_null(strstr(drift.kinds[DRIFT_MEMBER_MISSING].names, "NP4-A 10.1.0.0/32, NP4-A 10.1.0.1/32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing, setup),
        cmocka_unit_test_setup(test_chains, setup),
        cmocka_unit_test_setup(test_sets, setup),
        cmocka_unit_test_setup(test_members, setup),
        cmocka_unit_test_setup(test_jumps, setup),
        cmocka_unit_test_setup(test_a_moved_jump_and_a_copy, setup),
        cmocka_unit_test_setup(test_everything_is_gone, setup),
        cmocka_unit_test_setup(test_only_what_was_repaired, setup),
        cmocka_unit_test_setup(test_our_own_leftovers_are_none, setup),
        cmocka_unit_test_setup(test_names_of_many_are_cut, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
