// SPDX-License-Identifier: Apache-2.0
//
// The exhaustive proof, proven: compiled rules of random states have no counterexample, and deliberate faults in rules
// are found. SEED and N repeat or widen.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "audit/verify_class.h"
#include "policy/compile.h"
#include "support/build.h"
#include "support/verify_world.h"

enum { STATES = 1000, FAULTS = 60, PATIENCE = 100000 };

static void test_random_states_are_proven(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = rng_iterations(STATES);
    uint64_t classes = 0;
    uint64_t pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < RANDOM_NODES; j++) {
            struct verify_world world;
            verify_world_make(&world, seed + i, random_nodes[j]);
            CLEANUP(verify_result_free) struct verify_result *result = NULL;
            const struct verify_options options = {.max_examples = 1};
            struct err err = {0};
            if (verify_ruleset(&world.input, &options, &result, &err) < 0) {
                fail_msg("SEED=%" PRIu64 " N=1: %s %s", seed + i, err.object, err.msg);
            }
            if (result->differing) {
                random_packet_print(&result->examples[0].packet);
                fail_msg(
                    "not proven: policies %d, rules %d, %" PRIu64 " classes: repeat with SEED=%" PRIu64 " N=1, node %s",
                    result->examples[0].wanted, result->examples[0].got, result->differing, seed + i, random_nodes[j]);
            }
            classes += result->classes;
            pairs += result->pairs;
            verify_world_free(&world);
        }
    }
    printf("%zu states of %d nodes, %" PRIu64 " classes, %" PRIu64 " pairs\n", n, RANDOM_NODES, classes, pairs);
    assert_true(classes > 1000 * n);
}

// A packet on which evaluator and simulator differ, found by trying at random.
static bool differs_at_random(struct verify_world *world, const char *node, struct packet *ret)
{
    enum { TRIES = 400 };
    for (size_t i = 0; i < TRIES; i++) {
        bool wanted;
        bool got;
        struct err err = {0};
        random_packet_wide(&world->cluster, node, world->facts, ret);
        if (verify_judge(&world->input, ret, &wanted, &got, &err) == 0 && wanted != got) {
            return true;
        }
    }
    return false;
}

static bool all_found(const size_t found[VERIFY_FAULTS])
{
    for (size_t i = 0; i < VERIFY_FAULTS; i++) {
        if (!found[i]) {
            return false;
        }
    }
    return true;
}

// What random packets find, the proof must find; and it finds every kind of fault.
static void test_faults_are_found(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = (rng_iterations(STATES) * FAULTS + STATES - 1) / STATES;
    size_t planted[VERIFY_FAULTS] = {0};
    size_t found[VERIFY_FAULTS] = {0};
    size_t by_luck = 0;
    for (size_t i = 0; i < n * VERIFY_FAULTS || (n >= FAULTS && !all_found(found) && i < PATIENCE); i++) {
        size_t kind = i % VERIFY_FAULTS;
        if (i >= n * VERIFY_FAULTS && found[kind]) {
            continue;
        }
        struct verify_world world;
        const char *node = random_nodes[i % RANDOM_NODES];
        verify_world_make(&world, seed + i, node);
        if (!verify_faults[kind].plant(world.ruleset, &world.cluster.rng)) {
            verify_world_free(&world);
            continue;
        }
        CLEANUP(verify_result_free) struct verify_result *result = NULL;
        const struct verify_options options = {.max_examples = 3};
        struct err err = {0};
        if (verify_ruleset(&world.input, &options, &result, &err) < 0) {
            fail_msg("SEED=%" PRIu64 ": %s: %s", seed + i, err.object, err.msg);
        }
        planted[kind]++;
        found[kind] += result->differing > 0;
        for (size_t j = 0; j < result->n_examples; j++) {
            bool wanted;
            bool got;
            assert_int_equal(verify_judge(&world.input, &result->examples[j].packet, &wanted, &got, &err), 0);
            assert_true(wanted != got);
        }
        struct packet packet;
        if (differs_at_random(&world, node, &packet)) {
            by_luck++;
            if (result->differing == 0) {
                random_packet_print(&packet);
                fail_msg("%s: the proof missed it, a random packet did not: SEED=%" PRIu64 " (node %s, kind %zu)",
                         verify_faults[kind].name, seed + i, node, kind);
            }
        }
        verify_world_free(&world);
    }
    for (size_t i = 0; i < VERIFY_FAULTS; i++) {
        printf("%-36s planted %4zu, not harmless %4zu\n", verify_faults[i].name, planted[i], found[i]);
        assert_true(n < FAULTS || found[i] > 0);
    }
    printf("%zu of them found by random packets too\n", by_luck);
    assert_true(n < FAULTS || by_luck > 0);
}

// What small random states never reach: sets of hundreds of pods, a name with more numbers than usual.
static void test_many_pods_are_proven(void **unused)
{
    (void)unused;
    enum { PODS = 400, NUMBERS = 40 };
    struct buf BUF_CLEANUP yaml = {0};
    for (int i = 0; i < PODS; i++) {
        buf_printf(&yaml,
                   "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: p%d, labels: {half: h%d}}, "
                   "spec: {nodeName: n%d, containers: [{name: c, ports: [",
                   i, i % 2, 1 + (i >= 4));
        for (int j = 0; j < NUMBERS; j++) {
            buf_printf(&yaml, "%s{name: %s, containerPort: %d}", j ? ", " : "", i % 3 ? "web" : "http",
                       8000 + 100 * (i % 5) + j);
            buf_printf(&yaml, "]}, {name: c%d, ports: [", j);
            // A name stands once in a container.
            buf_printf(&yaml, "{name: q%d, containerPort: %d}", j, 9000 + j);
        }
        buf_printf(&yaml, "]}]}, status: {phase: Running, podIPs: [{ip: 10.7.%d.%d}, {ip: \"fd00:7::%x\"}]}}\n",
                   i / 200, 1 + i % 200, 1 + i);
    }
    buf_puts(&yaml, POLICY("x", "all",
                           "{podSelector: {matchLabels: {half: h0}}, policyTypes: [Ingress, Egress], ingress: "
                           "[{from: [{podSelector: {}}], ports: [{port: 80}]}], egress: [{to: [{podSelector: "
                           "{matchLabels: {half: h1}}}], ports: [{port: web}, {port: http}]}, {ports: "
                           "[{port: q3}]}]}"));
    assert_false(yaml.failed);
    CLEANUP(state_free) struct state *state = build_state(yaml.data);
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    CLEANUP(verify_result_free) struct verify_result *result = NULL;
    const struct policy_options options = {0};
    const struct verify_options how = {.max_examples = 1};
    assert_int_equal(compile_ruleset(state, "n1", NULL, &options, &ruleset, NULL, NULL), 0);
    const struct verify_input input = {.state = state, .node = "n1", .options = &options, .ruleset = ruleset};
    assert_int_equal(verify_ruleset(&input, &how, &result, NULL), 0);
    if (result->differing) {
        random_packet_print(&result->examples[0].packet);
    }
    assert_int_equal(result->differing, 0);
    assert_true(result->classes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_states_are_proven),
        cmocka_unit_test(test_faults_are_found),
        cmocka_unit_test(test_many_pods_are_proven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
