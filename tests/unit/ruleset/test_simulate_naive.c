// SPDX-License-Identifier: Apache-2.0
//
// The simulator against a second, naive walk: recursive, every set searched from end to end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "model/object.h"
#include "ruleset/render.h"
#include "ruleset/simulate.h"
#include "support/random_ruleset.h"

static enum simulate_verdict verdict_of(const struct ruleset *ruleset, const struct packet *packet)
{
    enum simulate_verdict verdict = SIMULATE_PASS;
    struct err err = {0};
    if (simulate_packet(ruleset, packet, &verdict, NULL, &err) < 0) {
        char message[1024];
        fail_msg("%s", err_text(&err, message, sizeof(message)));
    }
    return verdict;
}

enum walked { WALKED_BACK, WALKED_ACCEPT, WALKED_DROP, WALKED_REJECT };

static bool naive_set(const struct set *set, const struct rule *rule, const struct packet *packet)
{
    const struct address *at = rule->set_direction == SET_SRC ? &packet->source : &packet->destination;
    const struct set_member *best = NULL;
    bool portful =
        packet->protocol == PROTOCOL_TCP || packet->protocol == PROTOCOL_UDP || packet->protocol == PROTOCOL_SCTP;
    for (size_t i = 0; i < set->n_members; i++) {
        const struct set_member *member = &set->members[i];
        if (!prefix_contains(&member->prefix, at)) {
            continue;
        }
        if (set->type == SET_HASH_IP_PORT) {
            if (portful && member->protocol == packet->protocol && member->port == packet->port) {
                return true;
            }
        } else if (!best || member->prefix.length > best->prefix.length) {
            best = member;
        }
    }
    return best && !best->nomatch;
}

static bool naive_match(const struct table *table, const struct rule *rule, const struct packet *packet)
{
    unsigned ct = packet->ct ? (unsigned)packet->ct : (unsigned)CT_NEW;
    unsigned hop_limit = packet->hop_limit ? packet->hop_limit : 64;
    bool port = rule->n_ports == 0;
    for (size_t i = 0; i < rule->n_ports; i++) {
        port |= rule->ports[i].first <= packet->port && packet->port <= rule->ports[i].last;
    }
    ct |= packet->dnat ? RULE_CT_DNAT : 0u;
    bool ct_hit = rule->ct_states & ct;
    return (!rule->has_source || prefix_contains(&rule->source, &packet->source)) &&
           (!rule->has_destination || prefix_contains(&rule->destination, &packet->destination)) &&
           (!*rule->in || strcmp(rule->in, packet->in) == 0) && (!*rule->out || strcmp(rule->out, packet->out) == 0) &&
           (!rule->protocol || rule->protocol == packet->protocol) && port &&
           (rule->icmp_type < 0 || rule->icmp_type == packet->icmp_type) &&
           (rule->hop_limit < 0 || (unsigned)rule->hop_limit == hop_limit) &&
           (!rule->ct_states || ct_hit != rule->ct_invert) && (!rule->source_local || packet->source_is_node) &&
           (!*rule->physdev_in || strcmp(rule->physdev_in, packet->physdev_in) == 0) &&
           (!*rule->physdev_out || strcmp(rule->physdev_out, packet->physdev_out) == 0) &&
           (rule->connmark_mask == 0 || (packet->connmark & rule->connmark_mask) == rule->connmark) &&
           (!rule->set || naive_set(table_set(table, rule->set), rule, packet));
}

static enum walked naive_rule(const struct table *table, const struct rule *rule, const struct packet *packet,
                              bool *done);

static enum walked naive_chain(const struct table *table, const char *name, const struct packet *packet)
{
    const struct chain *chain = table_chain(table, name);
    for (size_t i = 0; i < chain->n_rules; i++) {
        bool done = false;
        enum walked walked = naive_rule(table, &chain->rules[i], packet, &done);
        if (done) {
            return walked;
        }
    }
    return WALKED_BACK;
}

static enum walked naive_rule(const struct table *table, const struct rule *rule, const struct packet *packet,
                              bool *done)
{
    if (!naive_match(table, rule, packet)) {
        return WALKED_BACK;
    }
    enum walked walked = WALKED_BACK;
    *done = true;
    switch (rule->target) {
    case TARGET_NONE:
        *done = false;
        break;
    case TARGET_RETURN:
        break;
    case TARGET_ACCEPT:
        return WALKED_ACCEPT;
    case TARGET_DROP:
        return WALKED_DROP;
    case TARGET_REJECT:
        return WALKED_REJECT;
    case TARGET_JUMP:
        walked = naive_chain(table, rule->chain, packet);
        *done = walked != WALKED_BACK;
        break;
    case TARGET_GOTO:
        walked = naive_chain(table, rule->chain, packet);
        break;
    }
    return walked;
}

static enum simulate_verdict naive_packet(const struct ruleset *ruleset, const struct packet *packet)
{
    static const char *const builtins[] = {"FORWARD", "INPUT", "OUTPUT"};
    const struct table *table = &ruleset->tables[packet->source.family];
    enum walked walked = WALKED_BACK;
    bool done = false;
    for (size_t i = 0; i < table->n_hooks && !done; i++) {
        if (strcmp(table->hooks[i].builtin, builtins[packet->arrival]) == 0) {
            walked = naive_rule(table, &table->hooks[i].rule, packet, &done);
        }
    }
    switch (walked) {
    case WALKED_BACK:
        return SIMULATE_PASS;
    case WALKED_ACCEPT:
        return SIMULATE_ACCEPT;
    case WALKED_DROP:
        return SIMULATE_DROP;
    case WALKED_REJECT:
        return SIMULATE_REJECT;
    }
    return SIMULATE_PASS;
}

static void test_equals_naive_walk(void **state)
{
    (void)state;
    uint64_t seed = rng_seed("simulate equals naive walk");
    size_t n = rng_iterations(2000);
    size_t seen[4] = {0};
    for (size_t i = 0; i < n; i++) {
        struct rng rng = {.state = seed + i};
        CLEANUP(ruleset_free) struct ruleset *ruleset = random_ruleset(&rng);
        for (size_t j = 0; j < 100; j++) {
            struct packet packet = random_ruleset_packet(&rng);
            enum simulate_verdict verdict = verdict_of(ruleset, &packet);
            if (verdict != naive_packet(ruleset, &packet)) {
                BUF_CLEANUP struct buf text = {0};
                render_restore(ruleset, &text);
                BUF_CLEANUP struct buf trace = {0};
                (void)!simulate_packet(ruleset, &packet, &verdict, &trace, NULL);
                fail_msg("SEED=%lu N=1 packet %zu: %d, not %d\n%s\n%s", seed + i, j, (int)verdict,
                         (int)naive_packet(ruleset, &packet), text.data, trace.len ? trace.data : "");
            }
            seen[verdict]++;
        }
    }
    // The generator must reach every verdict, or this test says little.
    for (size_t i = 0; n >= 100 && i < ARRAY_SIZE(seen); i++) {
        assert_true(seen[i] > 0);
    }
}

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

// Larger nets than random_ruleset's: nested prefixes of all lengths around few addresses.
static void test_net_equals_naive(void **state)
{
    (void)state;
    uint64_t seed = rng_seed("hash:net equals naive");
    size_t n = rng_iterations(500);
    for (size_t i = 0; i < n; i++) {
        struct rng rng = {.state = seed + i};
        enum family family = rng_chance(&rng, 50) ? FAMILY_V4 : FAMILY_V6;
        unsigned bits = family_bits(family);
        struct set_member members[300];
        size_t want = rng_below(&rng, ARRAY_SIZE(members)) + 1;
        struct set set = {.name = "NP4-N", .type = SET_HASH_NET, .members = members};
        struct address bases[8];
        for (size_t j = 0; j < ARRAY_SIZE(bases); j++) {
            bases[j] = (struct address){.family = family};
            for (size_t k = 0; k < bits / 8; k++) {
                bases[j].bytes[k] = (uint8_t)rng_below(&rng, 256);
            }
        }
        while (set.n_members < want) {
            struct address base = RNG_PICK(&rng, bases);
            base.bytes[rng_below(&rng, bits / 8)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            struct set_member member = {.prefix = prefix_truncate(&base, 1 + (unsigned)rng_below(&rng, bits)),
                                        .nomatch = rng_chance(&rng, 50)};
            bool known = false;
            for (size_t j = 0; j < set.n_members; j++) {
                known |= set_member_same_key(&members[j], &member);
            }
            want -= known;
            if (!known) {
                members[set.n_members++] = member;
            }
        }
        qsort(members, set.n_members, sizeof(*members), compare_members);
        struct hook hook = {.builtin = "FORWARD", .rule = rule_init()};
        hook.rule.set = set.name;
        hook.rule.target = TARGET_DROP;
        struct ruleset ruleset = {0};
        ruleset.tables[family] = (struct table){.sets = &set, .n_sets = 1, .hooks = &hook, .n_hooks = 1};
        for (size_t j = 0; j < 200; j++) {
            struct packet packet = {.source = RNG_PICK(&rng, bases)};
            packet.source.bytes[rng_below(&rng, bits / 8)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            packet.destination = packet.source;
            bool dropped = verdict_of(&ruleset, &packet) == SIMULATE_DROP;
            if (dropped != naive_set(&set, &hook.rule, &packet)) {
                fail_msg("SEED=%lu N=1 packet %zu", seed + i, j);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_naive_walk),
        cmocka_unit_test(test_net_equals_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
