// SPDX-License-Identifier: Apache-2.0
//
// Proof (a) ≡ (b) on samples: random states, the rules compiled for each of their nodes, random packets; the evaluator
// judges each packet from the objects, the simulator from the rules (DESIGN 2.2). SEED and N repeat or widen a run.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "ruleset/simulate.h"
#include "support/build.h"
#include "support/clause_observe.h"
#include "support/random_state.h"

enum { STATES = 3000, PACKETS = 150 };

static struct policy_options random_options(struct rng *rng)
{
    return (struct policy_options){
        .denied = rng_chance(rng, 25) ? DENIED_REJECT : DENIED_DROP,
        .allowed = rng_chance(rng, 25) ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = rng_chance(rng, 25),
    };
}

// How often each verdict came up: a generator that never denies proves nothing.
struct tally {
    size_t allowed;
    size_t denied;
    struct clause_tally clauses;
};

static void prove_node(struct random_cluster *cluster, struct clause_world *world, const char *node, uint64_t seed,
                       uint64_t number, struct tally *tally)
{
    struct state *state = world->state;
    struct policy_options options = random_options(&cluster->rng);
    CLEANUP(facts_free) struct facts *facts = rng_chance(&cluster->rng, 50) ? random_facts(&cluster->rng) : NULL;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (compile_ruleset(state, node, facts, &options, &ruleset, NULL, &err) < 0) {
        fail_msg("SEED=%" PRIu64 " N=1, node %s: compile: %s", seed, node, err.msg);
    }
    clause_world_node(world, node, facts, &options);
    for (size_t i = 0; i < PACKETS; i++) {
        struct packet packet;
        struct clause_set met = {0};
        bool allowed;
        random_packet_wide(cluster, node, facts, &packet);
        if (!build_prove(state, node, facts, &options, ruleset, &packet, &allowed)) {
            fail_msg("evaluator and simulator disagree: repeat with SEED=%" PRIu64 " N=1", seed);
        }
        if (clause_observe(world, &packet, &met) != allowed) {
            random_packet_print(&packet);
            fail_msg("the clauses say otherwise than evaluator and simulator (%s): SEED=%" PRIu64 " N=1",
                     allowed ? "allow" : "deny", seed);
        }
        clause_count(&tally->clauses, number, &met, allowed);
        *(allowed ? &tally->allowed : &tally->denied) += 1;
    }
}

static void test_evaluator_equals_simulator(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = rng_iterations(STATES);
    struct tally tally = {0};
    for (size_t i = 0; i < n; i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        struct clause_world world;
        clause_world_init(&world, state);
        for (size_t j = 0; j < RANDOM_NODES; j++) {
            prove_node(&cluster, &world, random_nodes[j], seed + i, i + 1, &tally);
        }
        clause_world_done(&world);
    }
    clause_print(&tally.clauses);
    printf("%zu states, %zu packets allowed, %zu denied\n", n, tally.allowed, tally.denied);
    assert_true(n < 100 || (tally.allowed > tally.denied / 10 && tally.denied > tally.allowed / 10));
}

// The rules of every node of a state.
struct rules {
    struct ruleset *of[RANDOM_NODES];
};

static void compile_all(struct state *state, const struct policy_options *options, struct rules *ret)
{
    for (size_t i = 0; i < RANDOM_NODES; i++) {
        struct err err = {0};
        if (compile_ruleset(state, random_nodes[i], NULL, options, &ret->of[i], NULL, &err) < 0) {
            fail_msg("compile: %s", err.msg);
        }
    }
}

// Does the packet pass the node that the pod is on? True when no node of ours enforces the pod.
static bool passes(const struct rules *rules, const struct pod *pod, const struct packet *packet)
{
    for (size_t i = 0; pod && i < RANDOM_NODES; i++) {
        if (strcmp(pod->node, random_nodes[i]) == 0) {
            enum simulate_verdict verdict;
            struct err err = {0};
            if (simulate_packet(rules->of[i], packet, &verdict, NULL, &err) < 0) {
                fail_msg("simulate: %s", err.msg);
            }
            return verdict == SIMULATE_PASS || verdict == SIMULATE_ACCEPT;
        }
    }
    return true;
}

// A pod whose node has no rules is enforced by none.
static bool enforced(const struct pod *pod)
{
    bool known = !pod;
    for (size_t i = 0; pod && i < RANDOM_NODES; i++) {
        known = known || strcmp(pod->node, random_nodes[i]) == 0;
    }
    return known;
}

static struct query query_of(struct state *state, const struct packet *packet)
{
    return (struct query){
        .from = {.pod = state_owner(state, &packet->source),
                 .node = "",
                 .has_address = true,
                 .address = packet->source},
        .to = {.pod = state_owner(state, &packet->destination),
               .node = "",
               .has_address = true,
               .address = packet->destination},
        .protocol = packet->protocol,
        .port = packet->port,
    };
}

// What `check` answers is what the rules of the nodes at both ends do.
static void test_query_equals_rules(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    struct policy_options options = {0};
    size_t asked = 0;
    for (size_t i = 0; i < rng_iterations(STATES); i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        struct rules rules = {0};
        compile_all(state, &options, &rules);
        for (size_t j = 0; j < PACKETS / 2; j++) {
            struct packet packet;
            random_packet(&cluster, "n1", &packet);
            packet.arrival = ARRIVAL_FORWARD;
            packet.ct = CT_NEW;
            packet.hop_limit = 64;
            struct query query = query_of(state, &packet);
            bool self = query.from.pod && query.from.pod == query.to.pod;
            packet.dnat = self && address_equal(&packet.source, &packet.destination);
            // Two addresses of one pod: no packet between them leaves the pod.
            if ((self && !packet.dnat) || !enforced(query.from.pod) || !enforced(query.to.pod)) {
                continue;
            }
            struct connection_verdict verdict;
            assert_int_equal(evaluate_query(state, &options, &query, &verdict, NULL), 0);
            bool want = verdict.verdict == VERDICT_ALLOW;
            verdict_done(&verdict);
            asked++;
            if (want != (passes(&rules, query.from.pod, &packet) && passes(&rules, query.to.pod, &packet))) {
                random_packet_print(&packet);
                fail_msg("query (%s) and rules disagree: repeat with SEED=%" PRIu64 " N=1", want ? "allow" : "deny",
                         seed + i);
            }
        }
        for (size_t j = 0; j < RANDOM_NODES; j++) {
            ruleset_free(rules.of[j]);
        }
    }
    printf("%zu queries\n", asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evaluator_equals_simulator),
        cmocka_unit_test(test_query_equals_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
