// SPDX-License-Identifier: Apache-2.0
//
// No mixture: while one ruleset becomes another, at every moment between two kernel writes, a packet that both deny is
// denied and a packet that both allow passes (DESIGN 5.4). The moments of an apply are modelled as backend.h orders
// them: members added, then the rules committed, then members removed; in the three phases of order.h, member by
// member. Seed and count: env SEED, N.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "dataplane/backend.h"
#include "dataplane/interim.h"
#include "dataplane/ordered.h"
#include "decode/decode.h"
#include "policy/compile.h"
#include "ruleset/diff.h"
#include "ruleset/simulate.h"
#include "support/random_state.h"

enum { CHANGES = 4, PACKETS = 60 };
enum { PODS = 5, POLICIES = 4, PORTS = 3, PAIRS = PODS * PODS * PORTS };

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
    size_t n;
    const bool *before;
    const bool *after;
    uint64_t seed;
    size_t judged;
    bool in_order;
};

// Only what somebody forges goes from an address to itself and is not DNATed: what an order may drop (order.h).
static bool is_forged(const struct packet *packet)
{
    return address_compare(&packet->source, &packet->destination) == 0;
}

static void judge(struct judged *judged, const struct ruleset *moment, const char *name)
{
    for (size_t i = 0; i < judged->n; i++) {
        if (judged->before[i] != judged->after[i] ||
            (judged->in_order && judged->before[i] && is_forged(&judged->packets[i]))) {
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

// The phases of order.h: members go one by one, the rules change, members come one by one.
static void change_one(struct judged *judged, struct ruleset *moment, const struct set_change *change,
                       const struct set_member *member, bool add)
{
    struct table *table = &moment->tables[change->family];
    struct set *sets = arena_alloc(&moment->arena, table->n_sets * sizeof(*sets));
    assert_non_null(sets);
    memcpy(sets, table->sets, table->n_sets * sizeof(*sets));
    struct set *set = &sets[table_set(table, change->set) - table->sets];
    const struct set one = {.members = member, .n_members = 1};
    if (add) {
        *set = united(set, &one, &moment->arena);
    } else {
        struct set_member *members = arena_alloc(&moment->arena, set->n_members * sizeof(*members));
        assert_non_null(members);
        size_t n = 0;
        for (size_t i = 0; i < set->n_members; i++) {
            if (set_member_compare(&set->members[i], member) != 0) {
                members[n++] = set->members[i];
            }
        }
        assert_int_equal(n + 1, set->n_members);
        set->members = members;
        set->n_members = n;
    }
    table->sets = sets;
    judge(judged, moment, add ? "members come" : "members go");
}

static void step_ordered(struct judged *judged, const struct ruleset *have, const struct ruleset *want,
                         const struct ordered *ordered)
{
    struct ruleset moment = {.tables = {have->tables[0], have->tables[1]}};
    for (size_t i = 0; i < ordered->n_removals; i++) {
        for (size_t j = 0; j < ordered->removals[i].n_remove; j++) {
            change_one(judged, &moment, &ordered->removals[i], &ordered->removals[i].remove[j], false);
        }
    }
    assert_true(ruleset_equal(&moment, &ordered->from));
    step(judged, &ordered->from, &ordered->to, "in order");
    arena_free(&moment.arena);
    moment = (struct ruleset){.tables = {ordered->to.tables[0], ordered->to.tables[1]}};
    for (size_t i = 0; i < ordered->n_additions; i++) {
        for (size_t j = 0; j < ordered->additions[i].n_add; j++) {
            change_one(judged, &moment, &ordered->additions[i], &ordered->additions[i].add[j], true);
        }
    }
    assert_true(ruleset_equal(&moment, want));
    arena_free(&moment.arena);
}

// Members alone: what ordered_members hands over, each call with all that comes first. Sets that policies allow by: the
// guards that options bring know some by which they drop.
struct recorder {
    struct backend backend;
    struct judged *judged;
    struct ruleset *moment;
};

static int record_members(struct backend *backend, const struct set_change *changes, size_t n, struct apply_report *ret,
                          struct err *err)
{
    struct recorder *recorder = CONTAINER_OF(backend, struct recorder, backend);
    (void)err;
    *ret = (struct apply_report){0};
    for (unsigned add = 2; add-- > 0;) {
        for (size_t i = 0; i < n; i++) {
            const struct set_member *members = add ? changes[i].add : changes[i].remove;
            for (size_t j = 0; j < (add ? changes[i].n_add : changes[i].n_remove); j++) {
                change_one(recorder->judged, recorder->moment, &changes[i], &members[j], add);
            }
        }
    }
    return 0;
}

static void copy_members(const struct set_member *const *from, size_t n, struct arena *arena,
                         const struct set_member **ret, size_t *ret_n)
{
    struct set_member *members = arena_alloc(arena, n * sizeof(*members));
    assert_non_null(members);
    for (size_t i = 0; i < n; i++) {
        members[i] = *from[i];
    }
    *ret = members;
    *ret_n = n;
}

// False when more than members of sets differs, or what no change of members can say.
static bool step_members(struct judged *judged, const struct ruleset *have, const struct ruleset *want)
{
    static const struct backend_ops ops = {.change_members = record_members};
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    struct err err = {0};
    struct ruleset moment = {.tables = {have->tables[0], have->tables[1]}};
    VEC(struct set_change) changes = {0};
    bool alone = true;
    assert_int_equal(ruleset_diff_make(have, want, &diff, &err), 0);
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table_diff *table = &diff->tables[family];
        alone = alone && table->n_chains == 0 && !table->hooks_differ;
        for (size_t i = 0; i < table->n_sets && alone; i++) {
            const struct set_delta *delta = &table->sets[i];
            alone = delta->from && delta->to && delta->from->type == delta->to->type && delta->to->type != SET_HASH_NET;
            struct set_change change = {.family = family};
            if (alone) {
                change.set = delta->to->name;
                change.type = delta->to->type;
                copy_members(delta->added, delta->n_added, &moment.arena, &change.add, &change.n_add);
                copy_members(delta->removed, delta->n_removed, &moment.arena, &change.remove, &change.n_remove);
                assert_int_equal(vec_push(&changes, change), 0);
            }
        }
    }
    if (alone) {
        struct recorder recorder = {.judged = judged, .moment = &moment};
        struct apply_report report;
        assert_int_equal(ordered_members(&ops, &recorder.backend, changes.v, changes.n, &report, &err), 0);
        assert_true(ruleset_equal(&moment, want));
    }
    vec_free(&changes);
    arena_free(&moment.arena);
    return alone;
}

static void no_packet_meets_a_mixture(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed("no_packet_meets_a_mixture");
    size_t n = rng_iterations(400);
    size_t mixed = 0;
    size_t in_order = 0;
    size_t judged_packets = 0;
    for (size_t i = 0; i < n; i++) {
        struct random_cluster RANDOM_CLUSTER_CLEANUP cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        const char *node = random_nodes[rng_below(&cluster.rng, RANDOM_NODES)];
        bool plain = rng_chance(&cluster.rng, 50);
        // By members alone no order is exact where two sets together deny (senders and nodes of --drop-encap) and both
        // change at once: such a burst may drop, or let pass, a tunnel packet for the time of two writes.
        const struct policy_options options =
            plain ? (struct policy_options){.encap_allowed = true} : random_options(&cluster.rng);
        CLEANUP(facts_free) struct facts *facts = rng_chance(&cluster.rng, 50) ? random_facts(&cluster.rng) : NULL;
        CLEANUP(ordered_free) struct ordered *ordered = NULL;
        struct err err = {0};
        CLEANUP(ruleset_free) struct ruleset *have = NULL;
        CLEANUP(ruleset_free) struct ruleset *want = NULL;
        CLEANUP(ruleset_free) struct ruleset *first = NULL;
        CLEANUP(ruleset_free) struct ruleset *second = NULL;
        assert_int_equal(compile_ruleset(state, node, facts, &options, &have, NULL, &err), 0);
        unsigned n_changes = 1 + (unsigned)rng_below(&cluster.rng, CHANGES);
        for (unsigned k = 0; k < n_changes; k++) {
            const struct random_object *old = &cluster.objects.v[rng_below(&cluster.rng, cluster.objects.n)];
            const struct object_meta *meta = random_object_meta(old);
            struct random_object changed = random_cluster_variant(&cluster, old->kind, meta->ns, meta->name);
            assert_true(random_object_put(state, &changed) >= 0);
        }
        assert_int_equal(compile_ruleset(state, node, facts, &options, &want, NULL, &err), 0);
        assert_int_equal(ordered_make(have, want, &ordered, &err), 0);
        assert_int_equal(interim_make(have, want, &first, &second, &err), 0);
        assert_true(!ordered || first);
        assert_true((first != NULL) == (second != NULL));
        struct packet packets[PACKETS];
        bool before[PACKETS];
        bool after[PACKETS];
        for (size_t p = 0; p < PACKETS; p++) {
            if (facts) {
                random_packet_wide(&cluster, node, facts, &packets[p]);
            } else {
                random_packet(&cluster, node, &packets[p]);
            }
            before[p] = passes(have, &packets[p]);
            after[p] = passes(want, &packets[p]);
        }
        struct judged judged = {.packets = packets, .n = PACKETS, .before = before, .after = after, .seed = seed + i};
        if (ordered) {
            in_order++;
            judged.in_order = true;
            step_ordered(&judged, have, want, ordered);
            judged.in_order = false;
        }
        if (first) {
            mixed++;
            step(&judged, have, first, "have to first");
            step(&judged, first, second, "first to second");
            step(&judged, second, want, "second to want");
        } else if (plain && !step_members(&judged, have, want)) {
            step(&judged, have, want, "have to want");
        }
        judged_packets += judged.judged;
    }
    print_message("%zu changes, %zu of rules and members, for %zu of which an order suffices, %zu packets judged\n", n,
                  mixed, in_order, judged_packets);
    // A generator that never rewrites rules and members at once would prove nothing.
    // Bounds that chance alone does not reach: on average every seventh change is of both, and every thirtieth in
    // order.
    assert_true(n < 100 || mixed * 20 > n);
    assert_true(n < 300 || in_order * 300 >= n);
}

// ---- a small world, all of it --------------------------------------------------------------------------------------

static int put_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    return state_put(arg, kind, object, err) < 0 ? -1 : 0;
}

static void load(struct state *state, const char *text)
{
    struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    struct err err = {0};
    assert_int_equal(decode_text(text, strlen(text), "test.yaml", put_object, state, &diagnostics, &stats, &err), 0);
    assert_int_equal(diagnostics.list.n, 0);
    diagnostics_free(&diagnostics);
}

static const char *const apps[] = {"a", "b", "c"};

static void random_pod(struct rng *rng, struct state *state, size_t i)
{
    char text[512];
    char name[8];
    (void)snprintf(name, sizeof(name), "p%zu", i);
    if (rng_chance(rng, 25)) {
        (void)state_remove(state, OBJECT_POD, "x", name, "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: x, labels: {app: %s}}\n"
                   "spec: {nodeName: %s}\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.%zu}]}\n",
                   name, RNG_PICK(rng, apps), i < PODS - 1 ? "n1" : "n2", i + 1);
    load(state, text);
}

static void random_policy_of(struct rng *rng, struct state *state, size_t i)
{
    char text[1024];
    char name[8];
    bool egress = rng_chance(rng, 50);
    size_t len = 0;
    (void)snprintf(name, sizeof(name), "n%zu", i);
    if (rng_chance(rng, 25)) {
        (void)state_remove(state, OBJECT_POLICY, "x", name, "");
        return;
    }
    len += (size_t)snprintf(text, sizeof(text),
                            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: "
                            "x}\nspec: {podSelector: {matchLabels: {app: %s}}, policyTypes: [%s], %s: [",
                            name, RNG_PICK(rng, apps), egress ? "Egress" : "Ingress", egress ? "egress" : "ingress");
    for (size_t port = 0; port < PORTS; port++) {
        if (rng_chance(rng, 60)) {
            len += (size_t)snprintf(
                text + len, sizeof(text) - len,
                "{%s: [{podSelector: {matchLabels: {app: %s}}}], ports: [{port: %zu, endPort: %zu}]}, ",
                egress ? "to" : "from", RNG_PICK(rng, apps), 80 + port, 80 + port + rng_below(rng, PORTS - port));
        }
    }
    (void)snprintf(text + len, sizeof(text) - len, "]}\n");
    load(state, text);
}

static void all_pairs(struct packet packets[PAIRS])
{
    size_t n = 0;
    for (uint8_t from = 1; from <= PODS; from++) {
        for (uint8_t to = 1; to <= PODS; to++) {
            for (uint16_t port = 80; port < 80 + PORTS; port++) {
                packets[n++] = (struct packet){.arrival = ARRIVAL_FORWARD,
                                               .source = {.bytes = {10, 0, 0, from}},
                                               .destination = {.bytes = {10, 0, 0, to}},
                                               .protocol = PROTOCOL_TCP,
                                               .port = port};
            }
        }
    }
}

// Five pods with three labels, and policies that know each other's pods: everything that one change can mix.
static void no_packet_of_a_small_world_meets_a_mixture(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed("no_packet_of_a_small_world_meets_a_mixture");
    size_t n = rng_iterations(4000);
    size_t mixed = 0;
    size_t in_order = 0;
    struct packet packets[PAIRS];
    all_pairs(packets);
    for (size_t i = 0; i < n; i++) {
        struct rng rng = {seed + i};
        struct err err = {0};
        const struct policy_options options = {0};
        CLEANUP(state_free) struct state *state = NULL;
        CLEANUP(ruleset_free) struct ruleset *have = NULL;
        CLEANUP(ruleset_free) struct ruleset *want = NULL;
        CLEANUP(ruleset_free) struct ruleset *first = NULL;
        CLEANUP(ruleset_free) struct ruleset *second = NULL;
        CLEANUP(ordered_free) struct ordered *ordered = NULL;
        assert_int_equal(state_new(&state, &err), 0);
        load(state, "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n");
        for (size_t k = 0; k < PODS; k++) {
            random_pod(&rng, state, k);
        }
        for (size_t k = 0; k < POLICIES; k++) {
            random_policy_of(&rng, state, k);
        }
        assert_int_equal(compile_ruleset(state, "n1", NULL, &options, &have, NULL, &err), 0);
        for (size_t k = 1 + rng_below(&rng, 3); k > 0; k--) {
            if (rng_chance(&rng, 75)) {
                random_pod(&rng, state, rng_below(&rng, PODS));
            } else {
                random_policy_of(&rng, state, rng_below(&rng, POLICIES));
            }
        }
        assert_int_equal(compile_ruleset(state, "n1", NULL, &options, &want, NULL, &err), 0);
        assert_int_equal(ordered_make(have, want, &ordered, &err), 0);
        assert_int_equal(interim_make(have, want, &first, &second, &err), 0);
        bool before[PAIRS];
        bool after[PAIRS];
        for (size_t p = 0; p < PAIRS; p++) {
            before[p] = passes(have, &packets[p]);
            after[p] = passes(want, &packets[p]);
        }
        struct judged judged = {
            .packets = packets, .n = PAIRS, .before = before, .after = after, .seed = seed + i, .in_order = true};
        mixed += first != NULL;
        in_order += ordered != NULL;
        if (ordered) {
            step_ordered(&judged, have, want, ordered);
        } else if (!first && !step_members(&judged, have, want)) {
            step(&judged, have, want, "have to want");
        }
    }
    print_message("%zu changes, %zu of rules and members, for %zu of which an order suffices\n", n, mixed, in_order);
    assert_true(n < 100 || in_order * 20 > n);
    assert_true(n < 100 || (mixed - in_order) * 50 > n);
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
                                       cmocka_unit_test(no_packet_of_a_small_world_meets_a_mixture),
                                       cmocka_unit_test(copies_are_never_reused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
