// SPDX-License-Identifier: Apache-2.0
//
// render → parse → the same ruleset, on the rulesets of random states; and what was parsed judges packets as the
// evaluator does, so that rules read back from a kernel can be proved.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "support/build.h"
#include "support/random_state.h"

enum { STATES = 500, PACKETS = 20 };

static void prove(struct random_cluster *cluster, struct state *state, const char *node, uint64_t seed)
{
    struct rng *rng = &cluster->rng;
    struct policy_options options = {
        .denied = rng_chance(rng, 50) ? DENIED_REJECT : DENIED_DROP,
        .allowed = rng_chance(rng, 50) ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = rng_chance(rng, 25),
    };
    CLEANUP(facts_free) struct facts *facts = rng_chance(rng, 70) ? random_facts(rng) : NULL;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    CLEANUP(ruleset_free) struct ruleset *parsed = NULL;
    BUF_CLEANUP struct buf text = {0};
    BUF_CLEANUP struct buf again = {0};
    struct err err = {0};
    assert_int_equal(compile_ruleset(state, node, facts, &options, &ruleset, NULL, &err), 0);
    render_restore(ruleset, &text);
    assert_false(text.failed);
    if (parse_restore(text.data, text.len, &parsed, &err) < 0) {
        printf("%s\n", text.data);
        fail_msg("SEED=%" PRIu64 " N=1, node %s: %s %s", seed, node, err.object, err.msg);
    }
    render_restore(parsed, &again);
    if (!ruleset_equal(ruleset, parsed) || text.len != again.len || memcmp(text.data, again.data, text.len) != 0) {
        printf("%s\n%s\n", text.data, again.data);
        fail_msg("parsed differs from rendered: repeat with SEED=%" PRIu64 " N=1, node %s", seed, node);
    }
    for (size_t i = 0; i < PACKETS; i++) {
        struct packet packet;
        bool allowed;
        random_packet(cluster, node, &packet);
        if (!build_prove(state, node, facts, &options, parsed, &packet, &allowed)) {
            fail_msg("parsed rules judge otherwise: repeat with SEED=%" PRIu64 " N=1", seed);
        }
    }
}

static void test_render_parse(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    for (size_t i = 0; i < rng_iterations(STATES); i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        for (size_t j = 0; j < RANDOM_NODES; j++) {
            prove(&cluster, state, random_nodes[j], seed + i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_render_parse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
