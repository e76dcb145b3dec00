// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/backend_contract.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "ruleset/diff.h"
#include "ruleset/render.h"
#include "support/random_ruleset.h"

enum { DIED_AT_STEP = 9, GROWN = 100000 };

static void take_step(const char *what, bool after, void *arg)
{
    struct contract *contract = arg;
    assert_non_null(what);
    contract->before += !after;
    contract->after += after;
    assert_true(contract->before >= contract->after);
    if (contract->fail_at && contract->before + contract->after == contract->fail_at) {
        _exit(DIED_AT_STEP);
    }
}

static int refuse(const char *what, void *arg)
{
    struct contract *contract = arg;
    assert_non_null(what);
    if (++contract->asked != contract->refuse_at) {
        return 0;
    }
    contract->refused++;
    return contract->refuse_with;
}

void contract_open(struct contract *contract, const struct backend_ops *ops)
{
    const struct backend_options options = {
        .step = take_step, .step_arg = contract, .fail = refuse, .fail_arg = contract};
    struct err err = {0};
    if (ops->open(&options, &contract->backend, &err) < 0) {
        fail_msg("open %s: %s", ops->name, err.msg);
    }
    // What a case that failed has left behind is not this one's affair.
    if (ops->purge(contract->backend, NULL, &err) < 0) {
        fail_msg("purge %s: %s", ops->name, err.msg);
    }
}

void contract_close(struct contract *contract)
{
    contract->backend->ops->close(contract->backend);
    contract->backend = NULL;
}

struct apply_report contract_apply(struct contract *contract, const struct ruleset *have, const struct ruleset *want)
{
    struct apply_report report = {0};
    struct err err = {0};
    size_t before = contract->after;
    if (contract->backend->ops->apply(contract->backend, have, want, &report, &err) < 0) {
        char text[1024];
        contract_print("wanted", want);
        fail_msg("apply: %s", err_text(&err, text, sizeof(text)));
    }
    assert_int_equal(contract->before, contract->after);
    assert_int_equal(contract->after - before, report.writes);
    return report;
}

void contract_print(const char *title, const struct ruleset *ruleset)
{
    BUF_CLEANUP struct buf text = {0};
    render_restore(ruleset, &text);
    (void)fprintf(stderr, "---- %s\n%s\n", title, text.data ? text.data : "");
}

static void print_difference(const struct ruleset *seen, const struct ruleset *want)
{
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    BUF_CLEANUP struct buf text = {0};
    if (ruleset_diff_make(seen, want, &diff, NULL) == 0) {
        ruleset_diff_render(diff, &text);
        (void)fprintf(stderr, "---- seen (-), wanted (+)\n%s\n", text.data ? text.data : "");
    }
}

void contract_expect(struct contract *contract, const struct ruleset *want)
{
    CLEANUP(ruleset_free) struct ruleset *seen = NULL;
    struct err err = {0};
    if (contract->backend->ops->snapshot(contract->backend, &seen, &err) < 0) {
        fail_msg("snapshot: %s", err.msg);
    }
    if (!ruleset_equal(seen, want)) {
        print_difference(seen, want);
        fail_msg("the snapshot is not what was applied");
    }
    struct apply_report again = contract_apply(contract, NULL, want);
    assert_int_equal(again.writes, 0);
    again = contract_apply(contract, want, want);
    assert_int_equal(again.writes, 0);
}

static void purge(struct contract *contract)
{
    const struct ruleset nothing = {0};
    struct apply_report report = {0};
    struct err err = {0};
    if (contract->backend->ops->purge(contract->backend, &report, &err) < 0) {
        fail_msg("purge: %s", err.msg);
    }
    contract_expect(contract, &nothing);
}

static size_t total_members(const struct table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_sets; i++) {
        n += table->sets[i].n_members;
    }
    return n;
}

void contract_first(const struct backend_ops *ops)
{
    struct contract contract = {0};
    struct rng rng = {rng_seed("contract_first")};
    contract_open(&contract, ops);
    for (size_t round = 0; round < 20; round++) {
        CLEANUP(ruleset_free) struct ruleset *want = random_ruleset(&rng);
        const struct table *v4 = &want->tables[FAMILY_V4];
        const struct table *v6 = &want->tables[FAMILY_V6];
        struct apply_report report = contract_apply(&contract, NULL, want);
        assert_int_equal(report.sets_created, v4->n_sets + v6->n_sets);
        assert_int_equal(report.members_added, total_members(v4) + total_members(v6));
        assert_int_equal(report.chains_created, v4->n_chains + v6->n_chains);
        assert_int_equal(report.hooks_written, v4->n_hooks + v6->n_hooks);
        assert_int_equal(report.commits, 2);
        assert_int_equal(report.sets_destroyed + report.members_removed, 0);
        assert_int_equal(report.chains_rewritten + report.chains_deleted, 0);
        contract_expect(&contract, want);

        struct err err = {0};
        assert_int_equal(ops->purge(contract.backend, &report, &err), 0);
        assert_int_equal(report.sets_destroyed, v4->n_sets + v6->n_sets);
        assert_int_equal(report.chains_deleted, v4->n_chains + v6->n_chains);
        assert_int_equal(report.commits, 2);
        assert_int_equal(report.sets_created + report.members_added + report.chains_created, 0);
        purge(&contract);
    }
    contract_close(&contract);
}

// random_ruleset_change takes away sets and chains that are still named: a kernel takes no such ruleset.
static void mend_rule(const struct table *table, struct rule *rule)
{
    rule->set = rule->set && table_set(table, rule->set) ? rule->set : NULL;
    if (rule->chain && !table_chain(table, rule->chain)) {
        rule->chain = NULL;
        rule->target = TARGET_NONE;
    }
}

struct ruleset *contract_change(struct rng *rng, const struct ruleset *from)
{
    struct ruleset *to = random_ruleset_change(rng, from);
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        struct table *table = &to->tables[family];
        for (size_t i = 0; i < table->n_chains; i++) {
            struct rule *rules = (struct rule *)(uintptr_t)table->chains[i].rules;
            for (size_t j = 0; j < table->chains[i].n_rules; j++) {
                mend_rule(table, &rules[j]);
            }
        }
        struct hook *hooks = (struct hook *)(uintptr_t)table->hooks;
        size_t n = 0;
        for (size_t i = 0; i < table->n_hooks; i++) {
            mend_rule(table, &hooks[i].rule);
            if (hooks[i].rule.chain) {
                hooks[n++] = hooks[i];
            }
        }
        table->n_hooks = n;
    }
    return to;
}

// Names of sets are hashes of what they are for: a name never changes its type while a rule of ours uses it.
static bool retypes(const struct ruleset *from, const struct ruleset *to)
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct table *table = &from->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            const struct set *set = table_set(&to->tables[family], table->sets[i].name);
            if (set && set->type != table->sets[i].type) {
                return true;
            }
        }
    }
    return false;
}

void contract_random(const struct backend_ops *ops)
{
    struct contract contract = {0};
    struct rng rng = {rng_seed("contract_random")};
    contract_open(&contract, ops);
    CLEANUP(ruleset_free) struct ruleset *have = random_ruleset(&rng);
    (void)contract_apply(&contract, NULL, have);
    size_t rounds = rng_iterations(100);
    for (size_t round = 0; round < rounds; round++) {
        struct ruleset *want = rng_chance(&rng, 20) ? random_ruleset(&rng) : contract_change(&rng, have);
        if (retypes(have, want)) {
            ruleset_free(want);
            continue;
        }
        (void)contract_apply(&contract, rng_chance(&rng, 50) ? have : NULL, want);
        contract_expect(&contract, want);
        ruleset_free(have);
        have = want;
    }
    purge(&contract);
    contract_close(&contract);
}

static struct address big_address(size_t i)
{
    return (struct address){
        .family = FAMILY_V4,
        .bytes = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
    };
}

struct ruleset *contract_big(size_t n, const char *skip)
{
    struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
    assert_non_null(ruleset);
    struct arena *arena = &ruleset->arena;
    struct set_member *members = arena_alloc(arena, (n + 1) * sizeof(*members));
    struct set *set = arena_alloc(arena, sizeof(*set));
    struct chain *chain = arena_alloc(arena, sizeof(*chain));
    struct rule *rule = arena_alloc(arena, sizeof(*rule));
    assert_true(members && set && chain && rule);
    struct address left_out = {0};
    bool leave = skip && address_parse(skip, &left_out);
    *set = (struct set){.name = "NP4-BIG", .type = SET_HASH_IP, .members = members, .describe = ""};
    for (size_t i = 0; i < n; i++) {
        struct address address = big_address(i);
        if (!leave || !address_equal(&address, &left_out)) {
            members[set->n_members++].prefix = prefix_of(&address);
        }
    }
    *rule = rule_init();
    rule->set = set->name;
    rule->target = TARGET_RETURN;
    *chain = (struct chain){.name = "NETPOL-BIG", .rules = rule, .n_rules = 1};
    ruleset->tables[FAMILY_V4] = (struct table){.chains = chain, .n_chains = 1, .sets = set, .n_sets = 1};
    return ruleset;
}

void contract_members(const struct backend_ops *ops)
{
    struct contract contract = {0};
    CLEANUP(ruleset_free) struct ruleset *three = contract_big(3, NULL);
    CLEANUP(ruleset_free) struct ruleset *other = contract_big(5, "10.0.0.1");
    contract_open(&contract, ops);
    (void)contract_apply(&contract, NULL, three);
    struct apply_report report = contract_apply(&contract, three, other);
    assert_int_equal(report.members_added, 2);
    assert_int_equal(report.members_removed, 1);
    assert_int_equal(report.writes, 2);
    assert_int_equal(report.commits, 0);
    contract_expect(&contract, other);
    purge(&contract);
    contract_close(&contract);
}

// Changes that change_members is told, by the difference of two sets.
static void change(struct contract *contract, const struct set *from, const struct set *to, struct apply_report *ret)
{
    struct err err = {0};
    struct set_member added[8];
    struct set_member removed[8];
    struct set_change change = {
        .family = FAMILY_V4, .set = to->name, .type = to->type, .add = added, .remove = removed};
    for (size_t i = 0, j = 0; i < from->n_members || j < to->n_members;) {
        int order = i == from->n_members ? 1
                    : j == to->n_members ? -1
                                         : set_member_compare(&from->members[i], &to->members[j]);
        if (order < 0) {
            removed[change.n_remove++] = from->members[i];
        } else if (order > 0) {
            added[change.n_add++] = to->members[j];
        }
        i += order <= 0;
        j += order >= 0;
    }
    size_t done = contract->after;
    assert_int_equal(contract->backend->ops->change_members(contract->backend, &change, 1, ret, &err), 0);
    assert_int_equal(contract->after - done, ret->writes);
    assert_int_equal(contract->before, contract->after);
}

void contract_changes(const struct backend_ops *ops)
{
    struct contract contract = {0};
    struct apply_report report = {0};
    struct err err = {0};
    CLEANUP(ruleset_free) struct ruleset *three = contract_big(3, NULL);
    CLEANUP(ruleset_free) struct ruleset *other = contract_big(5, "10.0.0.1");
    contract_open(&contract, ops);
    (void)contract_apply(&contract, NULL, three);
    const struct set *from = &three->tables[FAMILY_V4].sets[0];
    const struct set *to = &other->tables[FAMILY_V4].sets[0];
    change(&contract, from, to, &report);
    assert_int_equal(report.members_added, 2);
    assert_int_equal(report.members_removed, 1);
    assert_int_equal(report.commits, 0);
    contract_expect(&contract, other);
    // What is there already, and what is gone already, is no error.
    change(&contract, from, to, &report);
    contract_expect(&contract, other);
    // A set that is not there is one, and nothing else has changed.
    const struct set_change absent = {.family = FAMILY_V4,
                                      .set = "NP4-ABSENT",
                                      .type = SET_HASH_IP,
                                      .add = to->members,
                                      .n_add = 1,
                                      .remove = to->members,
                                      .n_remove = 0};
    assert_int_equal(ops->change_members(contract.backend, &absent, 1, &report, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_non_null(strstr(err.object, "NP4-ABSENT") ? "named" : strstr(err.msg, "NP4-ABSENT"));
    contract_expect(&contract, other);
    purge(&contract);
    contract_close(&contract);
}

void contract_growth(const struct backend_ops *ops)
{
    struct contract contract = {0};
    CLEANUP(ruleset_free) struct ruleset *small = contract_big(10, NULL);
    CLEANUP(ruleset_free) struct ruleset *large = contract_big(GROWN, "10.0.0.3");
    contract_open(&contract, ops);
    (void)contract_apply(&contract, NULL, small);
    struct apply_report report = contract_apply(&contract, small, large);
    assert_int_equal(report.members_added, GROWN - 10);
    assert_int_equal(report.members_removed, 1);
    assert_int_equal(report.sets_created + report.sets_destroyed, 0);
    assert_int_equal(report.commits, 0);
    contract_expect(&contract, large);
    purge(&contract);
    contract_close(&contract);
}

void contract_retype(const struct backend_ops *ops)
{
    struct contract contract = {0};
    CLEANUP(ruleset_free) struct ruleset *before = contract_big(3, NULL);
    CLEANUP(ruleset_free) struct ruleset *after = contract_big(3, NULL);
    // Not used by a rule: a type cannot change under one.
    before->tables[FAMILY_V4].n_chains = 0;
    after->tables[FAMILY_V4].n_chains = 0;
    struct set set = after->tables[FAMILY_V4].sets[0];
    set.type = SET_HASH_NET;
    after->tables[FAMILY_V4].sets = &set;
    contract_open(&contract, ops);
    (void)contract_apply(&contract, NULL, before);
    struct apply_report report = contract_apply(&contract, NULL, after);
    assert_int_equal(report.sets_created, 1);
    assert_int_equal(report.sets_destroyed, 1);
    contract_expect(&contract, after);
    purge(&contract);
    contract_close(&contract);
}

// Every chain of a ruleset that is in force leads somewhere: what is seen after a failure is old, new, or neither opens
// more than both. Told by the parts that a mixture may have: each chain as it was or as it shall be.
static void expect_old_or_new(struct contract *contract, const struct ruleset *old, const struct ruleset *new)
{
    CLEANUP(ruleset_free) struct ruleset *seen = NULL;
    struct err err = {0};
    assert_int_equal(contract->backend->ops->snapshot(contract->backend, &seen, &err), 0);
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct table *table = &seen->tables[family];
        const struct table *was = &old->tables[family];
        const struct table *will = &new->tables[family];
        bool is_old = table->n_chains == was->n_chains && table_hooks_equal(table, was);
        bool is_new = table->n_chains == will->n_chains && table_hooks_equal(table, will);
        for (size_t i = 0; i < table->n_chains; i++) {
            const struct chain *before = table_chain(was, table->chains[i].name);
            const struct chain *after = table_chain(will, table->chains[i].name);
            is_old = is_old && before && chain_equal(before, &table->chains[i]);
            is_new = is_new && after && chain_equal(after, &table->chains[i]);
        }
        assert_true(is_old || is_new);
    }
}

void contract_faults(const struct backend_ops *ops)
{
    static const int codes[] = {EBUSY, EAGAIN, ENOMEM, EINVAL};
    struct contract contract = {0};
    struct rng rng = {rng_seed("contract_faults")};
    contract_open(&contract, ops);
    for (size_t round = 0; round < ARRAY_SIZE(codes); round++) {
        CLEANUP(ruleset_free) struct ruleset *old = random_ruleset(&rng);
        CLEANUP(ruleset_free) struct ruleset *new = NULL;
        do {
            ruleset_free(new);
            new = contract_change(&rng, old);
        } while (retypes(old, new));
        bool refused = true;
        for (size_t at = 1; refused; at++) {
            struct err err = {0};
            struct apply_report report;
            contract.refuse_at = 0;
            (void)contract_apply(&contract, NULL, old);
            contract.asked = contract.refused = 0;
            contract.refuse_at = at;
            contract.refuse_with = codes[round];
            int result = ops->apply(contract.backend, NULL, new, &report, &err);
            refused = contract.refused > 0;
            contract.refuse_at = 0;
            assert_int_equal(contract.before, contract.after);
            if (result < 0) {
                assert_true(refused);
                assert_int_equal(err.num, codes[round]);
                assert_string_not_equal(err.msg, "");
                expect_old_or_new(&contract, old, new);
            }
            (void)contract_apply(&contract, NULL, new);
            contract_expect(&contract, new);
        }
        // The next ruleset may use a name for another type of set.
        purge(&contract);
    }
    contract_close(&contract);
}

void contract_full(const struct backend_ops *ops)
{
    struct contract contract = {0};
    struct apply_report report;
    struct err err = {0};
    CLEANUP(ruleset_free) struct ruleset *three = contract_big(3, NULL);
    CLEANUP(ruleset_free) struct ruleset *large = contract_big(GROWN, NULL);
    const struct set *set = &large->tables[FAMILY_V4].sets[0];
    const struct set_change change = {
        .family = FAMILY_V4, .set = set->name, .type = set->type, .add = set->members, .n_add = set->n_members};
    contract_open(&contract, ops);
    (void)contract_apply(&contract, NULL, three);
    int result = ops->change_members(contract.backend, &change, 1, &report, &err);
    // A kernel's set has a maximum, made for what it held; memory has none.
    if (ops != &backend_memory) {
        assert_int_equal(result, -1);
        assert_int_equal(err.kind, ERR_LIMIT);
        assert_non_null(strstr(err.msg, set->name) ? "named" : strstr(err.object, set->name));
    }
    (void)contract_apply(&contract, NULL, large);
    contract_expect(&contract, large);
    purge(&contract);
    contract_close(&contract);
}
