// SPDX-License-Identifier: Apache-2.0
//
// `netpolctl check` against the compiled rules: random clusters and questions; what check answers for a connection must
// be what the simulator finds when the packet passes the node of each end. Seed and count: env SEED, N (pairs).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "audit/check.h"
#include "policy/compile.h"
#include "ruleset/simulate.h"
#include "support/random_state.h"

enum { QUERIES_PER_STATE = 20, DEFAULT_PAIRS = 10000 };

struct end {
    char word[600];
    const char *node;  // node that hosts the pod, or whose address this is; "" none
    const struct pod *pod;
    struct address address;
};

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

// A live pod on a node, with an address of the family that it owns; NULL when luck fails. (A pod without a node has no
// node to enforce its policies; check judges it all the same.)
static const struct pod *pick_pod(struct rng *rng, struct state *state, enum family family, struct address *ret)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    for (unsigned tries = 0; n && tries < 20; tries++) {
        const struct pod *pod = pods[rng_below(rng, n)];
        for (size_t i = 0; pod_is_live(pod) && *pod->node && i < pod->n_addresses; i++) {
            if (pod->addresses[i].family == family && state_owner(state, &pod->addresses[i]) == pod) {
                *ret = pod->addresses[i];
                return pod;
            }
        }
    }
    return NULL;
}

static const char *node_of_address(struct state *state, const struct address *address)
{
    size_t n;
    const struct node *const *nodes = state_nodes(state, &n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < nodes[i]->n_addresses; j++) {
            if (address_equal(&nodes[i]->addresses[j], address)) {
                return nodes[i]->meta.name;
            }
        }
    }
    // Where a node has no Node object, its hostNetwork pods stand for it.
    const struct pod *const *pods = state_pods(state, &n);
    for (size_t i = 0; i < n; i++) {
        const struct pod *pod = pods[i];
        bool running = pod->phase != POD_SUCCEEDED && pod->phase != POD_FAILED;
        for (size_t j = 0; pod->host_network && running && !state_node(state, pod->node) && j < pod->n_addresses; j++) {
            if (address_equal(&pod->addresses[j], address)) {
                return pod->node;
            }
        }
    }
    return "";
}

static bool pick_end(struct rng *rng, struct state *state, enum family family, struct end *ret)
{
    struct end end = {.node = ""};
    char text[ADDRESS_TEXT];
    const struct pod *pod = rng_below(rng, 4) ? pick_pod(rng, state, family, &end.address) : NULL;
    if (!pod) {
        end.address = random_address(rng, family);
        pod = state_owner(state, &end.address);
        if (pod && !*pod->node) {
            return false;
        }
        end.node = pod ? "" : node_of_address(state, &end.address);
        (void)snprintf(end.word, sizeof(end.word), "%s", address_format(&end.address, text));
    } else if (rng_below(rng, 3)) {
        (void)snprintf(end.word, sizeof(end.word), "%s/%s", pod->meta.ns, pod->meta.name);
    } else {
        (void)snprintf(end.word, sizeof(end.word), "%s", address_format(&end.address, text));
    }
    if (pod) {
        end.pod = pod;
        end.node = pod->node;
    }
    *ret = end;
    return true;
}

static bool node_lets_pass(struct state *state, const char *node, const struct end *from, const struct end *to,
                           uint8_t protocol, uint16_t port)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    const struct policy_options options = {0};
    assert_int_equal(compile_ruleset(state, node, NULL, &options, &ruleset, NULL, &err), 0);
    struct packet packet = {.source = from->address, .destination = to->address, .protocol = protocol, .port = port};
    packet.icmp_type = protocol == 1 ? 8 : 128;
    packet.dnat = address_equal(&from->address, &to->address);
    if (!to->pod && strcmp(to->node, node) == 0) {
        packet.arrival = ARRIVAL_TO_NODE;
    } else if (!from->pod && strcmp(from->node, node) == 0) {
        packet.arrival = ARRIVAL_FROM_NODE;
        packet.source_is_node = true;
    }
    enum simulate_verdict verdict;
    assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, &err), 0);
    return verdict == SIMULATE_PASS || verdict == SIMULATE_ACCEPT;
}

static void compare(struct rng *rng, struct state *state, uint64_t seed, uint64_t counts[2])
{
    enum family family = rng_below(rng, 2) ? FAMILY_V6 : FAMILY_V4;
    struct end from;
    struct end to;
    if (!pick_end(rng, state, family, &from) || !pick_end(rng, state, family, &to)) {
        return;
    }
    static const struct {
        const char *name;
        uint8_t number[FAMILY_COUNT];
    } protocols[] = {{"TCP", {6, 6}}, {"UDP", {17, 17}}, {"SCTP", {132, 132}}, {"ICMP", {1, 58}}};
    unsigned which = (unsigned)rng_below(rng, 4);
    uint16_t port = which == 3 ? 0 : random_ports[rng_below(rng, random_ports_n)];
    if (which != 3 && port == 0) {
        port = 80;
    }
    char line[2048];
    char port_text[32] = "";
    if (port) {
        (void)snprintf(port_text, sizeof(port_text), ",\"port\":%u", port);
    }
    (void)snprintf(line, sizeof(line), "{\"from\":\"%s\",\"to\":\"%s\",\"protocol\":\"%s\"%s,\"family\":%u}", from.word,
                   to.word, protocols[which].name, port_text, family_number(family));
    struct buf BUF_CLEANUP out = {0};
    struct err err = {0};
    const struct policy_options options = {0};
    int rc = check_line(state, &options, NULL, line, strlen(line), 1, &out, &err);
    if (rc != 0) {
        fail_msg("seed %llu: %s was not answered: %s", (unsigned long long)seed, line, out.data);
    }
    uint8_t protocol = protocols[which].number[family];
    bool want = true;
    // Between two addresses of one pod no packet leaves its network namespace.
    bool self = from.pod && from.pod == to.pod;
    if (*from.node && !self) {
        want = node_lets_pass(state, from.node, &from, &to, protocol, port);
    }
    if (want && !self && *to.node && strcmp(from.node, to.node) != 0) {
        want = node_lets_pass(state, to.node, &from, &to, protocol, port);
    }
    const char *verdict = want ? "\"verdict\":\"allow\",\"egress\"" : "\"verdict\":\"deny\",\"egress\"";
    if (!strstr(out.data, verdict)) {
        fail_msg("seed %llu: the rules say %s, check says %s", (unsigned long long)seed, want ? "allow" : "deny",
                 out.data);
    }
    counts[want]++;
}

static void check_equals_the_simulator(void **unused)
{
    (void)unused;
    uint64_t first = from_env("SEED", 20261122);
    uint64_t pairs = from_env("N", DEFAULT_PAIRS);
    uint64_t counts[2] = {0};
    print_message("SEED=%llu N=%llu\n", (unsigned long long)first, (unsigned long long)pairs);
    for (uint64_t i = 0; counts[0] + counts[1] < pairs; i++) {
        struct random_cluster RANDOM_CLUSTER_CLEANUP cluster = {0};
        random_cluster_make(&cluster, first + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        for (unsigned q = 0; q < QUERIES_PER_STATE; q++) {
            compare(&cluster.rng, state, first + i, counts);
        }
    }
    print_message("%llu allowed, %llu denied, 0 differences\n", (unsigned long long)counts[1],
                  (unsigned long long)counts[0]);
    // A generator that only ever allows, or denies, would prove nothing.
    assert_true(counts[0] * 20 > counts[1] && counts[1] * 20 > counts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(check_equals_the_simulator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
