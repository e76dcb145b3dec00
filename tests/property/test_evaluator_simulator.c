// SPDX-License-Identifier: Apache-2.0
//
// Proof (a) ≡ (b) on samples: random states, the rules compiled for each of their nodes, random packets; the evaluator
// judges each packet from the objects, the simulator from the rules (DESIGN 2.2). Every packet is also walked for the
// clauses of networkpolicy-v1.md that it meets. SEED and N repeat or widen a run.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "ruleset/simulate.h"
#include "support/build.h"
#include "support/clause_observe.h"
#include "support/random_state.h"
#include "support/shrink.h"
#include "support/spelled.h"

// A full-size run judges at least PAIRS_FULL pairs and meets every clause; smaller ones (N) only agree.
enum { STATES = 4500, PACKETS = 100, QUERIES = 75, STATES_FULL = 4000, PAIRS_FULL = 1000000, SPELLED_EVERY = 4 };

// How often each verdict came up: a generator that never denies proves nothing.
struct tally {
    size_t allowed;
    size_t denied;
    struct clause_tally clauses;
};

// One state on one node.
struct sample {
    struct random_cluster *cluster;
    struct clause_world *world;
    const char *node;
    const struct facts *facts;
    struct policy_options options;
    uint64_t seed;
};

static bool clauses_say(const struct trial *trial)
{
    CLEANUP(state_free) struct state *state = trial_state(trial);
    struct clause_world world;
    struct clause_set met = {0};
    clause_world_init(&world, state);
    clause_world_node(&world, trial->node, trial->facts, &trial->options);
    bool allowed = clause_observe(&world, &trial->packet, &met);
    clause_world_done(&world);
    return allowed;
}

// The walk that counts clauses judges otherwise than the evaluator: then what it counted is wrong.
static bool clauses_differ(const struct trial *trial)
{
    CLEANUP(state_free) struct state *state = trial_state(trial);
    bool wanted;
    int rc = evaluate_packet(state, trial->node, trial->facts, &trial->options, &trial->packet, &wanted, NULL);
    return rc == 0 && wanted != clauses_say(trial);
}

static void tell(const struct sample *sample, const struct packet *packet, shrink_fails_fn *fails, const char *what)
{
    TRIAL_CLEANUP struct trial trial = {0};
    trial_init(&trial, sample->cluster->objects.v, sample->cluster->objects.n, sample->facts, sample->node,
               &sample->options, packet);
    printf("\nas found: ");
    random_packet_print(packet);
    size_t tried = shrink(&trial, fails);
    printf("the smallest case that fails as well, after %zu tries:\n", tried);
    trial_print(&trial);
    printf("clauses: %s\n", clauses_say(&trial) ? "allow" : "deny");
    fail_msg("%s; again: SEED=%" PRIu64 " N=1 build/tests/property/test_evaluator_simulator", what, sample->seed);
}

// The verdict of all three.
static bool judge(const struct sample *sample, const struct ruleset *ruleset, const struct packet *packet,
                  struct clause_set *met)
{
    bool wanted = false;
    enum simulate_verdict got = SIMULATE_PASS;
    struct err err = {0};
    if (evaluate_packet(sample->world->state, sample->node, sample->facts, &sample->options, packet, &wanted, &err) <
            0 ||
        simulate_packet(ruleset, packet, &got, NULL, &err) < 0 ||
        wanted != (got == SIMULATE_PASS || got == SIMULATE_ACCEPT)) {
        tell(sample, packet, trial_differs, "evaluator and simulator disagree");
    }
    if (clause_observe(sample->world, packet, met) != wanted) {
        tell(sample, packet, clauses_differ, "evaluator and simulator agree, the count of clauses does not");
    }
    return wanted;
}

static void prove_node(const struct sample *sample, uint64_t number, struct tally *tally)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (compile_ruleset(sample->world->state, sample->node, sample->facts, &sample->options, &ruleset, NULL, &err) <
        0) {
        fail_msg("SEED=%" PRIu64 " N=1, node %s: compile: %s", sample->seed, sample->node, err.msg);
    }
    clause_world_node(sample->world, sample->node, sample->facts, &sample->options);
    for (size_t i = 0; i < PACKETS; i++) {
        struct packet packet;
        struct clause_set met = {0};
        random_packet_wide(sample->cluster, sample->node, sample->facts, &packet);
        bool allowed = judge(sample, ruleset, &packet, &met);
        clause_count(&tally->clauses, number, &met, allowed);
        *(allowed ? &tally->allowed : &tally->denied) += 1;
    }
}

static void prove_state(uint64_t seed, uint64_t number, struct tally *tally)
{
    RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
    random_cluster_make(&cluster, seed);
    struct spelled spelled = {0};
    struct clause_world world;
    if (!cluster.wild && seed % SPELLED_EVERY == 0) {
        spelled_make(&spelled, &cluster, seed);
    } else {
        spelled.state = random_cluster_state(&cluster);
    }
    clause_world_init(&world, spelled.state);
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++) {
        world.text[i] = spelled.text[i];
    }
    for (size_t i = 0; i < RANDOM_NODES; i++) {
        CLEANUP(facts_free) struct facts *facts = rng_chance(&cluster.rng, 70) ? random_facts(&cluster.rng) : NULL;
        const struct sample sample = {.cluster = &cluster,
                                      .world = &world,
                                      .node = random_nodes[i],
                                      .facts = facts,
                                      .options = random_options(&cluster.rng),
                                      .seed = seed};
        prove_node(&sample, number, tally);
    }
    clause_world_done(&world);
    spelled_free(&spelled);
}

static void test_evaluator_equals_simulator(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    uint64_t start = num_now_ns();
    size_t n = rng_iterations(STATES);
    struct tally tally = {0};
    for (size_t i = 0; i < n; i++) {
        prove_state(seed + i, i + 1, &tally);
    }
    uint64_t took = num_now_ns() - start;
    size_t missing = clause_print(&tally.clauses);
    size_t pairs = tally.allowed + tally.denied;
    printf("%zu states, %zu pairs of state and packet: %zu allowed, %zu denied, 0 differences, %" PRIu64 ".%" PRIu64
           " s\n",
           n, pairs, tally.allowed, tally.denied, took / 1000000000, took / 100000000 % 10);
    assert_true(n < 100 || (tally.allowed > tally.denied / 10 && tally.denied > tally.allowed / 10));
    if (n >= STATES_FULL) {
        assert_true(pairs >= PAIRS_FULL);
        assert_int_equal(missing, 0);
    }
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
    // A query is about policies: tunnels to nodes are not their business.
    struct policy_options options = {.encap_allowed = true};
    size_t asked = 0;
    for (size_t i = 0; i < rng_iterations(STATES); i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        struct rules rules = {0};
        compile_all(state, &options, &rules);
        for (size_t j = 0; j < QUERIES; j++) {
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
