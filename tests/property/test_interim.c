// SPDX-License-Identifier: Apache-2.0
//
// No mixture: while one ruleset becomes another, at every moment between two kernel writes, a packet that both deny is
// denied and a packet that both allow passes (DESIGN 5.4). The moments of an apply are modelled as backend.h orders
// them: members added, then the rules committed, then members removed. Seed and count: env SEED, N.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "dataplane/backend.h"
#include "dataplane/interim.h"
#include "policy/compile.h"
#include "ruleset/simulate.h"
#include "support/random_state.h"

enum { CHANGES = 4, PACKETS = 60 };

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

// The members of both, as while new ones are in and stale ones not yet out.
static struct set united(const struct set *a, const struct set *b, struct arena *arena)
{
    struct set set = *a;
    struct set_member *members = arena_alloc(arena, (a->n_members + b->n_members) * sizeof(*members));
    assert_non_null(members);
    memcpy(members, a->members, a->n_members * sizeof(*members));
    memcpy(members + a->n_members, b->members, b->n_members * sizeof(*members));
    size_t n = a->n_members + b->n_members;
    if (n > 1) {
        qsort(members, n, sizeof(*members), compare_members);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || set_member_compare(&members[kept - 1], &members[i]) != 0) {
            members[kept++] = members[i];
        }
    }
    set.members = members;
    set.n_members = kept;
    return set;
}

static int compare_sets(const void *a, const void *b)
{
    return strcmp(((const struct set *)a)->name, ((const struct set *)b)->name);
}

// The sets of both tables, united by name; the rules of one.
static struct table between(const struct table *a, const struct table *b, const struct table *rules,
                            struct arena *arena)
{
    struct set *sets = arena_alloc(arena, (a->n_sets + b->n_sets) * sizeof(*sets));
    assert_non_null(sets);
    size_t n = 0;
    for (size_t i = 0; i < a->n_sets; i++) {
        const struct set *other = table_set(b, a->sets[i].name);
        sets[n++] = other ? united(&a->sets[i], other, arena) : a->sets[i];
    }
    for (size_t i = 0; i < b->n_sets; i++) {
        if (!table_set(a, b->sets[i].name)) {
            sets[n++] = b->sets[i];
        }
    }
    if (n > 1) {
        qsort(sets, n, sizeof(*sets), compare_sets);
    }
    struct table table = *rules;
    table.sets = sets;
    table.n_sets = n;
    return table;
}

static bool passes(const struct ruleset *ruleset, const struct packet *packet)
{
    enum simulate_verdict verdict;
    struct err err = {0};
    if (simulate_packet(ruleset, packet, &verdict, NULL, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return verdict == SIMULATE_PASS || verdict == SIMULATE_ACCEPT;
}

struct judged {
    const struct packet *packets;
    const bool *before;
    const bool *after;
    uint64_t seed;
    size_t judged;
};

static void judge(struct judged *judged, const struct ruleset *moment, const char *name)
{
    for (size_t i = 0; i < PACKETS; i++) {
        if (judged->before[i] != judged->after[i]) {
            continue;
        }
        judged->judged++;
        if (passes(moment, &judged->packets[i]) != judged->before[i]) {
            random_packet_print(&judged->packets[i]);
            fail_msg("seed %llu, %s: %s by both, not so in between", (unsigned long long)judged->seed, name,
                     judged->before[i] ? "allowed" : "denied");
        }
    }
}

// One apply: families one after the other, each with its sets grown, its rules committed, its sets shrunk.
static void step(struct judged *judged, const struct ruleset *from, const struct ruleset *to, const char *name)
{
    struct ruleset moment = {.tables = {from->tables[0], from->tables[1]}};
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        moment.tables[family] =
            between(&from->tables[family], &to->tables[family], &from->tables[family], &moment.arena);
    }
    judge(judged, &moment, name);
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        moment.tables[family] = between(&from->tables[family], &to->tables[family], &to->tables[family], &moment.arena);
        judge(judged, &moment, name);
    }
    arena_free(&moment.arena);
    judge(judged, to, name);
}

static void no_packet_meets_a_mixture(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed("no_packet_meets_a_mixture");
    size_t n = rng_iterations(400);
    size_t mixed = 0;
    size_t judged_packets = 0;
    for (size_t i = 0; i < n; i++) {
        struct random_cluster RANDOM_CLUSTER_CLEANUP cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        const char *node = random_nodes[rng_below(&cluster.rng, RANDOM_NODES)];
        const struct policy_options options = {0};
        struct err err = {0};
        CLEANUP(ruleset_free) struct ruleset *have = NULL;
        CLEANUP(ruleset_free) struct ruleset *want = NULL;
        CLEANUP(ruleset_free) struct ruleset *first = NULL;
        CLEANUP(ruleset_free) struct ruleset *second = NULL;
        assert_int_equal(compile_ruleset(state, node, NULL, &options, &have, NULL, &err), 0);
        for (unsigned k = 0; k < CHANGES; k++) {
            const struct random_object *old = &cluster.objects.v[rng_below(&cluster.rng, cluster.objects.n)];
            const struct object_meta *meta = random_object_meta(old);
            struct random_object changed = random_cluster_variant(&cluster, old->kind, meta->ns, meta->name);
            assert_true(random_object_put(state, &changed) >= 0);
        }
        assert_int_equal(compile_ruleset(state, node, NULL, &options, &want, NULL, &err), 0);
        assert_int_equal(interim_make(have, want, &first, &second, &err), 0);
        assert_true((first != NULL) == (second != NULL));
        struct packet packets[PACKETS];
        bool before[PACKETS];
        bool after[PACKETS];
        for (size_t p = 0; p < PACKETS; p++) {
            random_packet(&cluster, node, &packets[p]);
            before[p] = passes(have, &packets[p]);
            after[p] = passes(want, &packets[p]);
        }
        struct judged judged = {.packets = packets, .before = before, .after = after, .seed = seed + i};
        if (first) {
            mixed++;
            step(&judged, have, first, "have to first");
            step(&judged, first, second, "first to second");
            step(&judged, second, want, "second to want");
        } else {
            step(&judged, have, want, "have to want");
        }
        judged_packets += judged.judged;
    }
    print_message("%zu changes, %zu by interim rulesets, %zu packets judged in between\n", n, mixed, judged_packets);
    // A generator that never rewrites rules and members at once would prove nothing.
    assert_true(mixed * 10 > n);
}

// A kernel that a kill left between the steps: the copies it holds keep their content, new ones get another name.
static void copies_are_never_reused(void **unused)
{
    (void)unused;
    const struct set_member one = {.prefix = {.address = {.bytes = {10, 0, 0, 1}}, .length = 32}};
    const struct set_member two = {.prefix = {.address = {.bytes = {10, 0, 0, 2}}, .length = 32}};
    struct rule rule = rule_init();
    rule.set = "NP4-AAAAAAAAAAAAAAAA";
    rule.target = TARGET_RETURN;
    struct rule left = rule;
    left.set = "NP4-AAAAAAAAAAAAAAAA-T";
    const struct chain old_chain = {.name = "NETPOL-P-A", .rules = &left, .n_rules = 1};
    const struct chain new_chain = {.name = "NETPOL-P-A", .rules = &rule, .n_rules = 1};
    const struct set old_sets[] = {{.name = rule.set, .members = &one, .n_members = 1, .describe = ""},
                                   {.name = left.set, .members = &two, .n_members = 1, .describe = ""}};
    const struct set new_set = {.name = rule.set, .members = &two, .n_members = 1, .describe = ""};
    const struct ruleset have = {.tables[0] = {.chains = &old_chain, .n_chains = 1, .sets = old_sets, .n_sets = 2}};
    const struct ruleset want = {.tables[0] = {.chains = &new_chain, .n_chains = 1, .sets = &new_set, .n_sets = 1}};
    CLEANUP(ruleset_free) struct ruleset *first = NULL;
    CLEANUP(ruleset_free) struct ruleset *second = NULL;
    struct err err = {0};
    assert_int_equal(interim_make(&have, &want, &first, &second, &err), 0);
    assert_non_null(first);
    assert_string_equal(first->tables[0].chains[0].rules[0].set, "NP4-AAAAAAAAAAAAAAAA-U");
    const struct set *kept = table_set(&first->tables[0], rule.set);
    assert_true(set_equal(kept, &old_sets[0]));
    assert_true(set_equal(table_set(&second->tables[0], rule.set), &new_set));
    assert_string_equal(second->tables[0].chains[0].rules[0].set, "NP4-AAAAAAAAAAAAAAAA-U");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_packet_meets_a_mixture),
                                       cmocka_unit_test(copies_are_never_reused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
