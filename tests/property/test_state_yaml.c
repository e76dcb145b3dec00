// SPDX-License-Identifier: Apache-2.0
//
// Random objects as YAML, in the plain spelling and in random ones, decode to equal objects: what a failing case prints
// is the case, and the spellings of one meaning (networkpolicy-v1.md 1) mean the same.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "support/spelled.h"
#include "support/state_yaml.h"

enum { STATES = 600, SPELLINGS = 2 };

static void read_plain(const struct random_cluster *cluster, uint64_t seed)
{
    BUF_CLEANUP struct buf text = {0};
    for (size_t i = 0; i < cluster->objects.n; i++) {
        state_yaml_object(&cluster->objects.v[i], NULL, NULL, &text);
    }
    CLEANUP(state_free) struct state *state = state_yaml_read(&text);
    size_t n = 0;
    for (size_t kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        n += state_count(state, (enum object_kind)kind);
    }
    assert_int_equal(n, cluster->objects.n);
    for (size_t i = 0; i < cluster->objects.n; i++) {
        if (!state_yaml_holds(state, &cluster->objects.v[i])) {
            fail_msg("SEED=%" PRIu64 " N=1: object %zu does not read back as itself\n%s", seed, i, text.data);
        }
    }
}

static void test_objects_read_back(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = rng_iterations(STATES);
    size_t objects = 0;
    for (size_t i = 0; i < n; i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        if (cluster.wild) {
            continue;
        }
        read_plain(&cluster, seed + i);
        for (uint64_t j = 0; j < SPELLINGS; j++) {
            struct spelled spelled;
            spelled_make(&spelled, &cluster, seed + i + j * n);
            spelled_free(&spelled);
        }
        objects += cluster.objects.n;
    }
    printf("%zu objects, each in %d spellings\n", objects, SPELLINGS + 1);
    assert_true(n < 100 || objects > 10 * n);
}

// What differs is told: a state without the label that the text gives.
static void test_difference_is_seen(void **unused)
{
    (void)unused;
    RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
    uint64_t seed = 1;
    random_cluster_make(&cluster, seed);
    while (cluster.wild || cluster.objects.n < 20) {
        random_cluster_free(&cluster);
        random_cluster_make(&cluster, ++seed);
    }
    CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
    size_t seen = 0;
    for (size_t i = 0; i < cluster.objects.n; i++) {
        const struct random_object *object = &cluster.objects.v[i];
        const struct object_meta *meta = random_object_meta(object);
        assert_true(state_yaml_holds(state, object));
        struct random_object other = random_cluster_variant(&cluster, object->kind, meta->ns, meta->name);
        seen += !state_yaml_holds(state, &other);
    }
    assert_true(seen * 2 > cluster.objects.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_read_back),
        cmocka_unit_test(test_difference_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
