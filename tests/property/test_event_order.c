// SPDX-License-Identifier: Apache-2.0
//
// Level-triggered (DESIGN 2.3): the ruleset follows from the objects that are there, never from how they came. The same
// final objects after any history (other versions, deletes, objects that come and go, late deletes of predecessors, in
// any order, with rulesets compiled in between) give the bytes of a state made from scratch.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "ruleset/render.h"
#include "support/build.h"
#include "support/random_state.h"

enum { STATES = 400, ORDERS = 4 };

static const struct policy_options options;

static char *rendered(struct state *state, const char *node, uint64_t seed)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (compile_ruleset(state, node, NULL, &options, &ruleset, NULL, &err) < 0) {
        fail_msg("SEED=%" PRIu64 " N=1, node %s: compile: %s", seed, node, err.msg);
    }
    BUF_CLEANUP struct buf text = {0};
    render_restore(ruleset, &text);
    char *ret = buf_take(&text);
    assert_non_null(ret);
    return ret;
}

static struct state *fresh(void)
{
    struct state *state;
    assert_int_equal(state_new(&state, NULL), 0);
    return state;
}

static void shuffle(struct rng *rng, size_t *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(rng, i);
        size_t t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}

static void remove_object(struct state *state, const struct random_object *object, const char *uid)
{
    const struct object_meta *meta = random_object_meta(object);
    (void)state_remove(state, object->kind, meta->ns, meta->name, uid);
}

// Something that leaves the final state as it is, as long as the final put of each object comes after it.
static void noise(struct random_cluster *cluster, struct state *state, const struct random_object *object)
{
    const struct object_meta *meta = random_object_meta(object);
    struct random_object other = random_cluster_variant(cluster, object->kind, meta->ns, meta->name);
    switch (rng_below(&cluster->rng, 4)) {
    case 0:
        remove_object(state, object, "");
        break;
    case 1:
        (void)random_object_put(state, &other);
        remove_object(state, object, random_object_meta(&other)->uid);
        break;
    default:
        (void)random_object_put(state, &other);
        break;
    }
}

// Objects with names that the final state does not hold come and go.
static void passers_by(struct random_cluster *cluster, struct state *state, bool come)
{
    static const char *const names[] = {"passer", "by"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (come) {
            struct random_object pod = random_cluster_variant(cluster, OBJECT_POD, "x", names[i]);
            struct random_object policy = random_cluster_variant(cluster, OBJECT_POLICY, "x", names[i]);
            (void)random_object_put(state, &pod);
            (void)random_object_put(state, &policy);
        } else {
            (void)state_remove(state, OBJECT_POD, "x", names[i], "");
            (void)state_remove(state, OBJECT_POLICY, "x", names[i], "");
        }
    }
}

static struct state *by_events(struct random_cluster *cluster, uint64_t seed)
{
    size_t n = cluster->objects.n;
    CLEANUP(free) size_t *order = calloc(n + 1, sizeof(*order));
    assert_non_null(order);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    struct state *state = fresh();
    shuffle(&cluster->rng, order, n);
    passers_by(cluster, state, true);
    for (size_t i = 0; i < 2 * n; i++) {
        noise(cluster, state, &cluster->objects.v[order[rng_below(&cluster->rng, n)]]);
        if (rng_chance(&cluster->rng, 5)) {
            free(rendered(state, random_nodes[rng_below(&cluster->rng, RANDOM_NODES)], seed));
        }
    }
    shuffle(&cluster->rng, order, n);
    for (size_t i = 0; i < n; i++) {
        const struct random_object *object = &cluster->objects.v[order[i]];
        (void)random_object_put(state, object);
        // Its predecessor's delete arrives late, or it is told again.
        if (rng_chance(&cluster->rng, 30)) {
            remove_object(state, object, "uid-of-another");
        }
        if (rng_chance(&cluster->rng, 30)) {
            assert_int_equal(random_object_put(state, object), STATE_UNCHANGED);
        }
    }
    passers_by(cluster, state, false);
    return state;
}

static void test_any_history_same_bytes(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    for (size_t i = 0; i < rng_iterations(STATES); i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *scratch = random_cluster_state(&cluster);
        for (size_t j = 0; j < ORDERS; j++) {
            CLEANUP(state_free) struct state *state = by_events(&cluster, seed + i);
            for (size_t k = 0; k < RANDOM_NODES; k++) {
                CLEANUP(free) char *want = rendered(scratch, random_nodes[k], seed + i);
                CLEANUP(free) char *got = rendered(state, random_nodes[k], seed + i);
                if (strcmp(want, got) != 0) {
                    printf("from scratch:\n%s\nafter events:\n%s\n", want, got);
                    fail_msg("rules depend on history: repeat with SEED=%" PRIu64 " N=1, node %s", seed + i,
                             random_nodes[k]);
                }
            }
        }
    }
}

// networkpolicy-v1.md 7 case 64: every order in which a namespace, two pods and a policy may come.
static void test_all_permutations(void **unused)
{
    (void)unused;
    static const char *const objects[] = {
        "{apiVersion: v1, kind: Namespace, metadata: {name: y, labels: {team: a}}}",
        "{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: a, labels: {app: web}}, spec: {nodeName: n1}, "
        "status: {phase: Running, podIP: 10.0.0.1}}",
        "{apiVersion: v1, kind: Pod, metadata: {namespace: y, name: b, labels: {app: web}}, spec: {nodeName: n1}, "
        "status: {phase: Running, podIP: 10.0.0.2}}",
        POLICY("x", "p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}]}]}"),
    };
    enum { N = ARRAY_SIZE(objects) };
    CLEANUP(free) char *want = NULL;
    for (size_t code = 0; code < 4 * 3 * 2; code++) {
        size_t left[N] = {0, 1, 2, 3};
        size_t rest = code;
        CLEANUP(state_free) struct state *state = fresh();
        for (size_t n = N; n > 0; n--) {
            size_t pick = rest % n;
            rest /= n;
            build_apply(state, objects[left[pick]]);
            left[pick] = left[n - 1];
        }
        CLEANUP(free) char *got = rendered(state, "n1", 0);
        if (!want) {
            want = TAKE(got);
            assert_non_null(strstr(want, "NP4-"));
            continue;
        }
        assert_string_equal(got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_history_same_bytes),
        cmocka_unit_test(test_all_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
