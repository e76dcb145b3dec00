// SPDX-License-Identifier: Apache-2.0
//
// Incremental equals scratch (DESIGN 2.3): after any events, kept or failed updates, changes of facts and late objects,
// the engine's ruleset has the bytes of compile_ruleset; and what each update told to write turns what the kernel held
// into exactly that: sets that stay differ by the changes that were told, nothing is told twice, and "the same" is the
// same.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "policy/engine.h"
#include "ruleset/diff.h"
#include "ruleset/render.h"
#include "support/build.h"
#include "support/random_state.h"

enum { CLUSTERS = 250, STEPS = 24 };

struct world {
    struct random_cluster cluster;
    struct state *state;
    struct engine *engine;
    const char *node;
    struct policy_options options;
    struct facts *facts;
    struct ruleset *kernel;  // what was applied; NULL: nothing
    uint64_t seed;
    size_t outcomes[3];
    bool plugin;
};

static void no(const struct world *w, const char *what)
{
    fail_msg("%s: repeat with SEED=%" PRIu64 " N=1, node %s", what, w->seed, w->node);
}

static struct ruleset *scratch(const struct world *w, struct compile_stats *stats)
{
    struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (compile_ruleset(w->state, w->node, w->facts, &w->options, &ruleset, stats, &err) < 0) {
        no(w, err.msg);
    }
    return ruleset;
}

static void same_bytes(const struct world *w, const struct ruleset *want, const struct ruleset *got, const char *what)
{
    BUF_CLEANUP struct buf a = {0};
    BUF_CLEANUP struct buf b = {0};
    render_restore(want, &a);
    render_restore(got, &b);
    assert_false(a.failed || b.failed);
    const char *x = a.data ? a.data : "";
    const char *y = b.data ? b.data : "";
    if (strcmp(x, y) != 0) {
        printf("wanted:\n%s\ngot:\n%s\n", x, y);
        no(w, what);
    }
}

static bool has(const struct set *set, const struct set_member *member)
{
    for (size_t i = 0; i < set->n_members; i++) {
        if (set_member_compare(&set->members[i], member) == 0) {
            return true;
        }
    }
    return false;
}

// The change turns old into new, with nothing to spare.
static void check_change(const struct world *w, const struct set *old, const struct set *new,
                         const struct engine_change *change)
{
    size_t n_add = change ? change->n_add : 0;
    size_t n_remove = change ? change->n_remove : 0;
    if (old->n_members + n_add - n_remove != new->n_members) {
        print_message("set %s (%s): %zu members, %zu come, %zu go, %zu then\n", old->name, new->describe,
                      old->n_members, n_add, n_remove, new->n_members);
        no(w, "a change has another size than the difference");
    }
    for (size_t i = 0; i < n_add; i++) {
        if (has(old, &change->add[i]) || !has(new, &change->add[i])) {
            no(w, "a member is added that did not come");
        }
    }
    for (size_t i = 0; i < n_remove; i++) {
        if (!has(old, &change->remove[i]) || has(new, &change->remove[i])) {
            no(w, "a member is removed that did not go");
        }
    }
}

static const struct engine_change *change_of(const struct engine_update *update, enum family family, const char *set)
{
    const struct engine_change *found = NULL;
    for (size_t i = 0; i < update->n_changes; i++) {
        if (update->changes[i].family == family && strcmp(update->changes[i].set, set) == 0) {
            assert_null(found);
            found = &update->changes[i];
        }
    }
    return found;
}

static bool touched(const struct engine_update *update, const struct address *address)
{
    for (size_t i = 0; i < update->n_touched; i++) {
        if (address_equal(&update->touched[i], address)) {
            return true;
        }
    }
    return update->everything;
}

static void check_update(const struct world *w, const struct engine_update *update, const struct ruleset *now)
{
    if (update->outcome == ENGINE_RULES) {
        same_bytes(w, now, update->ruleset, "an update's ruleset");
        if (update->have && w->kernel) {
            same_bytes(w, w->kernel, update->have, "what the kernel is said to hold");
        }
    }
    // What comes to a set of a guard may be denied by it.
    for (size_t i = 0; i < update->n_changes; i++) {
        const struct set *set = table_set(&now->tables[update->changes[i].family], update->changes[i].set);
        assert_true(!set || !update->changes[i].allows || strncmp(set->describe, "addresses of nodes", 18) != 0);
    }
    size_t told = 0;
    for (enum family family = FAMILY_V4; w->kernel && family <= FAMILY_V6; family++) {
        const struct table *old = &w->kernel->tables[family];
        const struct table *new = &now->tables[family];
        for (size_t i = 0; i < new->n_sets; i++) {
            const struct set *set = &new->sets[i];
            const struct set *before = table_set(old, set->name);
            const struct engine_change *change = change_of(update, family, set->name);
            if (before && update->have) {
                check_change(w, before, set, change);
            }
            if (before && update->outcome != ENGINE_RULES) {
                check_change(w, before, set, change);
            }
            told += before && change;
            for (size_t k = 0; before && change && k < change->n_add + change->n_remove; k++) {
                const struct set_member *member =
                    k < change->n_add ? &change->add[k] : &change->remove[k - change->n_add];
                assert_true(touched(update, &member->prefix.address));
            }
        }
    }
    if (update->outcome == ENGINE_MEMBERS && told != update->n_changes) {
        no(w, "a change of a set that is not there");
    }
    if (update->outcome != ENGINE_RULES) {
        CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
        assert_int_equal(ruleset_diff_make(w->kernel, now, &diff, NULL), 0);
        for (size_t family = 0; family < FAMILY_COUNT; family++) {
            const struct table_diff *table = &diff->tables[family];
            if (table->n_chains || table->hooks_differ || (update->outcome == ENGINE_SAME && table->n_sets)) {
                no(w, "something differs that no update told of");
            }
        }
    }
}

static void check_stats(const struct world *w, const struct compile_stats *want, const struct compile_stats *got)
{
    if (want->local_pods != got->local_pods || want->enforced_pods != got->enforced_pods ||
        want->active_policies != got->active_policies || want->unenforceable != got->unenforceable) {
        no(w, "stats");
    }
}

static void check_restart(struct world *w, const struct ruleset *want);

static void update(struct world *w)
{
    struct engine_update update = {0};
    struct compile_stats stats = {0};
    struct err err = {0};
    CLEANUP(ruleset_free) struct ruleset *now = scratch(w, &stats);
    if (w->plugin && rng_chance(&w->cluster.rng, 25)) {
        check_restart(w, now);
    }
    if (engine_update(w->engine, &update, &err) < 0) {
        no(w, err.msg);
    }
    w->outcomes[update.outcome]++;
    check_stats(w, &stats, &update.stats);
    check_update(w, &update, now);
    if (rng_chance(&w->cluster.rng, 25)) {
        CLEANUP(ruleset_free) struct ruleset *whole = NULL;
        assert_int_equal(engine_ruleset(w->engine, &whole, &err), 0);
        same_bytes(w, now, whole, "the engine's whole ruleset");
    }
    if (w->kernel && rng_chance(&w->cluster.rng, 25)) {
        const struct ruleset *kept = engine_kept(w->engine);
        assert_non_null(kept);
        same_bytes(w, w->kernel, kept, "what was kept");
        assert_int_equal(engine_update(w->engine, &update, &err), 0);
    }
    // Else the write failed, and the next update must tell of all of it again.
    if (rng_chance(&w->cluster.rng, 75)) {
        engine_keep(w->engine);
        ruleset_free(w->kernel);
        w->kernel = TAKE(now);
        if (rng_chance(&w->cluster.rng, 30)) {
            assert_int_equal(engine_update(w->engine, &update, &err), 0);
            assert_int_equal(update.outcome, ENGINE_SAME);
            assert_int_equal(update.n_changes + update.n_touched, 0);
            engine_keep(w->engine);
        }
    }
}

// A CNI plugin tells, or takes back, addresses of a pod: those of some pods, so that several claim one.
static void tell(struct world *w, const struct object_meta *meta)
{
    struct rng *rng = &w->cluster.rng;
    struct address addresses[3];
    struct err err = {0};
    size_t n_pods;
    const struct pod *const *pods = state_pods(w->state, &n_pods);
    struct learnt learnt = {.ns = meta->ns, .name = meta->name, .uid = "", .addresses = addresses};
    if (rng_chance(rng, 30)) {
        assert_true(state_forget(w->state, meta->ns, meta->name, "", &err) >= 0);
        return;
    }
    for (size_t i = 0; n_pods && i < ARRAY_SIZE(addresses); i++) {
        const struct pod *pod = pods[rng_below(rng, n_pods)];
        bool there = pod->n_addresses == 0;
        for (size_t j = 0; !there && j < learnt.n_addresses; j++) {
            there = address_equal(&addresses[j], &pod->addresses[0]);
        }
        if (!there) {
            addresses[learnt.n_addresses++] = pod->addresses[rng_below(rng, 2) ? 0 : pod->n_addresses - 1];
            there = learnt.n_addresses == 2 && address_equal(&addresses[0], &addresses[1]);
            learnt.n_addresses -= there;
        }
    }
    learnt.n_addresses = learnt.n_addresses > 2 ? 2 : learnt.n_addresses;
    assert_true(state_learn(w->state, &learnt, &err) >= 0);
}

static void put_again(struct state *to, const struct pod *pod, bool late)
{
    struct err err = {0};
    struct pod own = *pod;
    struct address told[LIMIT_POD_ADDRESSES];
    struct learnt learnt = {.ns = pod->meta.ns, .name = pod->meta.name, .uid = "", .addresses = told};
    own.n_addresses = 0;
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (pod->told >> i & 1) {
            told[learnt.n_addresses++] = pod->addresses[i];
        }
        own.n_addresses += !(pod->unnamed >> i & 1);
    }
    own.told = own.unnamed = 0;
    if (late) {
        assert_true(state_put_pod(to, pod_dup(&own), &err) >= 0);
    }
    if (learnt.n_addresses) {
        assert_true(state_learn(to, &learnt, &err) >= 0);
    }
    if (!late) {
        assert_true(state_put_pod(to, pod_dup(&own), &err) >= 0);
    }
}

// What the rules are hangs on what is so, not on what came first: a restart reads the same objects and the same book.
static void check_restart(struct world *w, const struct ruleset *want)
{
    struct err err = {0};
    struct state *present = w->state;
    size_t n;
    CLEANUP(state_free) struct state *fresh = NULL;
    assert_int_equal(state_new(&fresh, &err), 0);
    const struct pod *const *pods = state_pods(present, &n);
    for (size_t i = n; i-- > 0;) {
        put_again(fresh, pods[i], rng_chance(&w->cluster.rng, 50));
    }
    const struct ns_object *const *namespaces = state_namespaces(present, &n);
    for (size_t i = 0; i < n; i++) {
        assert_true(state_put_namespace(fresh, ns_object_dup(namespaces[i]), &err) >= 0);
    }
    const struct policy *const *policies = state_policies(present, &n);
    for (size_t i = 0; i < n; i++) {
        assert_true(state_put_policy(fresh, policy_dup(policies[i]), &err) >= 0);
    }
    const struct node *const *nodes = state_nodes(present, &n);
    for (size_t i = 0; i < n; i++) {
        assert_true(state_put_node(fresh, node_dup(nodes[i]), &err) >= 0);
    }
    w->state = fresh;
    CLEANUP(ruleset_free) struct ruleset *got = scratch(w, &(struct compile_stats){0});
    w->state = present;
    same_bytes(w, want, got, "the ruleset after a restart");
}

static void event(struct world *w)
{
    struct random_cluster *cluster = &w->cluster;
    struct random_object *object = &cluster->objects.v[rng_below(&cluster->rng, cluster->objects.n)];
    const struct object_meta *meta = random_object_meta(object);
    if (w->plugin && object->kind == OBJECT_POD && rng_chance(&cluster->rng, 30)) {
        tell(w, meta);
        return;
    }
    switch (rng_below(&cluster->rng, 8)) {
    case 0:
        (void)state_remove(w->state, object->kind, meta->ns, meta->name, "");
        break;
    case 1:
    case 2:
        (void)random_object_put(w->state, object);
        break;
    case 3:
        if (rng_chance(&cluster->rng, 20)) {
            struct facts *old = w->facts;
            w->facts = rng_chance(&cluster->rng, 20) ? NULL : random_facts(&cluster->rng);
            engine_facts(w->engine, w->facts);
            facts_free(old);
        }
        break;
    default: {
        struct random_object other = random_cluster_variant(cluster, object->kind, meta->ns, meta->name);
        (void)random_object_put(w->state, &other);
    }
    }
}

static void one_cluster(uint64_t seed, bool wild, size_t outcomes[3])
{
    struct err err = {0};
    struct world w = {.seed = seed, .cluster = {.wild = wild}};
    random_cluster_make(&w.cluster, seed);
    w.options = random_options(&w.cluster.rng);
    w.node = random_nodes[rng_below(&w.cluster.rng, RANDOM_NODES)];
    w.plugin = rng_chance(&w.cluster.rng, 50);
    // Full when the engine comes, or empty.
    bool full = rng_chance(&w.cluster.rng, 50);
    w.state = full ? random_cluster_state(&w.cluster) : NULL;
    if (!full) {
        assert_int_equal(state_new(&w.state, &err), 0);
    }
    assert_int_equal(engine_new(w.state, w.node, &w.options, &w.engine, &err), 0);
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t n = rng_below(&w.cluster.rng, 6); n > 0; n--) {
            event(&w);
        }
        update(&w);
    }
    for (size_t i = 0; i < 3; i++) {
        outcomes[i] += w.outcomes[i];
    }
    engine_free(w.engine);
    state_free(w.state);
    facts_free(w.facts);
    ruleset_free(w.kernel);
    random_cluster_free(&w.cluster);
}

static void test_incremental_equals_scratch(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t outcomes[3] = {0};
    size_t n = rng_iterations(CLUSTERS);
    for (size_t i = 0; i < n; i++) {
        one_cluster(seed + i, i % 4 == 3, outcomes);
    }
    print_message("same %zu, members %zu, rules %zu\n", outcomes[ENGINE_SAME], outcomes[ENGINE_MEMBERS],
                  outcomes[ENGINE_RULES]);
    if (n == CLUSTERS) {
        // Each kind comes often enough to mean something.
        assert_true(outcomes[ENGINE_SAME] > CLUSTERS / 2 && outcomes[ENGINE_MEMBERS] > CLUSTERS / 2 &&
                    outcomes[ENGINE_RULES] > CLUSTERS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_incremental_equals_scratch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
