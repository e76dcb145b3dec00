// SPDX-License-Identifier: Apache-2.0
//
// The exhaustive proof, proven: compiled rules of random states have no counterexample; deliberate faults in rules are
// found; every packet is in exactly one class, and judged like the witness of it, whatever the rules are. SEED and N
// repeat or widen.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "audit/verify.h"
#include "audit/verify_class.h"
#include "policy/compile.h"
#include "support/random_ruleset.h"
#include "support/random_state.h"

enum { STATES = 1000, FAULTS = 60, MEMBER_STATES = 60, MEMBERS = 1000, COVER_STATES = 60, PATIENCE = 100000 };

// N widens or narrows all of them in proportion.
static size_t share(size_t of_states)
{
    return (rng_iterations(STATES) * of_states + STATES - 1) / STATES;
}

struct world {
    struct random_cluster cluster;
    struct state *state;
    struct facts *facts;
    struct ruleset *ruleset;
    struct policy_options options;
    struct verify_input input;
};

static void world_make(struct world *world, uint64_t seed, const char *node)
{
    struct err err = {0};
    memset(world, 0, sizeof(*world));
    random_cluster_make(&world->cluster, seed);
    struct rng *rng = &world->cluster.rng;
    world->state = random_cluster_state(&world->cluster);
    world->facts = rng_chance(rng, 50) ? random_facts(rng) : NULL;
    world->options = (struct policy_options){
        .denied = rng_chance(rng, 25) ? DENIED_REJECT : DENIED_DROP,
        .allowed = rng_chance(rng, 25) ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = rng_chance(rng, 25),
    };
    if (compile_ruleset(world->state, node, world->facts, &world->options, &world->ruleset, NULL, &err) < 0) {
        fail_msg("SEED=%" PRIu64 " N=1: compile: %s", seed, err.msg);
    }
    world->input = (struct verify_input){
        .state = world->state,
        .node = node,
        .facts = world->facts,
        .options = &world->options,
        .ruleset = world->ruleset,
    };
}

static void world_free(struct world *world)
{
    ruleset_free(world->ruleset);
    facts_free(world->facts);
    state_free(world->state);
    random_cluster_free(&world->cluster);
}

static void test_random_states_are_proven(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = rng_iterations(STATES);
    uint64_t classes = 0;
    uint64_t pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < RANDOM_NODES; j++) {
            struct world world;
            world_make(&world, seed + i, random_nodes[j]);
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
            world_free(&world);
        }
    }
    printf("%zu states of %d nodes, %" PRIu64 " classes, %" PRIu64 " pairs\n", n, RANDOM_NODES, classes, pairs);
    assert_true(classes > 1000 * n);
}

// ---- members of classes --------------------------------------------------------------------------------------------

struct drawing {
    struct world *world;
    uint64_t seed;
    uint64_t classes;
    uint64_t left;     // members still to be drawn
    uint64_t members;  // of a class that is chosen
    uint64_t one_in;
    uint64_t drawn;
};

static uint8_t draw_byte(struct rng *rng, const struct verify_bytes *bytes, uint8_t witness, bool zero)
{
    if (bytes->alone) {
        return witness;
    }
    for (;;) {
        uint8_t value = (uint8_t)rng_below(rng, 256);
        if (!bytes->apart[value] && (zero || value != 0)) {
            return value;
        }
    }
}

static struct address draw_address(struct rng *rng, const struct verify_space *space,
                                   const struct verify_members *members)
{
    // One member cell, each with the same chance.
    size_t count = 0;
    uint32_t cell = members->cells[0];
    for (size_t i = 0; i < members->n; i++) {
        if (verify_members_has(members, i) && rng_below(rng, ++count) == 0) {
            cell = members->cells[i];
        }
    }
    assert_true(count > 0);
    struct address first = space->cells[cell].first;
    struct address last = verify_space_last(space, cell);
    for (;;) {
        // Below the common prefix of both ends anything, until it lies between them.
        struct address drawn = first;
        bool free_bits = false;
        for (unsigned bit = 0; bit < family_bits(space->family); bit++) {
            free_bits = free_bits || address_bit(&first, bit) != address_bit(&last, bit);
            if (free_bits && rng_chance(rng, 50)) {
                drawn.bytes[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
            }
        }
        if (address_compare(&drawn, &first) >= 0 && address_compare(&drawn, &last) <= 0) {
            return drawn;
        }
    }
}

static void draw_name(struct rng *rng, const char *const *apart, size_t n, char ret[PACKET_IFACE])
{
    static const char *const names[] = {"cni0",  "eth0", "veth1",           "veth2", "kube-ipvs0",
                                        "other", "br9",  "veth1234567890a", ""};
    if (*ret) {
        return;
    }
    for (;;) {
        const char *name = RNG_PICK(rng, names);
        bool taken = false;
        for (size_t i = 0; i < n; i++) {
            taken = taken || strcmp(apart[i], name) == 0;
        }
        if (!taken) {
            (void)snprintf(ret, PACKET_IFACE, "%s", name);
            return;
        }
    }
}

static enum ct_state draw_state(struct rng *rng, unsigned mask)
{
    for (;;) {
        unsigned state = 1u << rng_below(rng, 5);
        if (mask & state) {
            return (enum ct_state)state;
        }
    }
}

static bool has_port(const struct verify_class *class, uint16_t port)
{
    for (size_t i = 0; i < class->n_ports; i++) {
        if (port >= class->ports[i].first && port <= class->ports[i].last) {
            return true;
        }
    }
    return class->n_ports == 0;
}

static struct packet draw(struct rng *rng, const struct verify_class *class)
{
    struct packet packet = class->witness;
    packet.source = draw_address(rng, class->space, &class->ends[VERIFY_SOURCE]);
    packet.destination = draw_address(rng, class->space, &class->ends[VERIFY_DESTINATION]);
    packet.protocol = draw_byte(rng, &class->protocol, packet.protocol, false);
    packet.icmp_type = draw_byte(rng, &class->icmp_type, packet.icmp_type, true);
    packet.hop_limit = draw_byte(rng, &class->hop_limit, packet.hop_limit, false);
    packet.ct = draw_state(rng, class->ct_states);
    if (class->any_dnat) {
        packet.dnat = rng_chance(rng, 50);
    }
    if (class->any_source_is_node) {
        packet.source_is_node = rng_chance(rng, 50);
    }
    if (class->n_ports) {
        const struct port_range *range = &class->ports[rng_below(rng, class->n_ports)];
        packet.port = (uint16_t)(range->first + rng_below(rng, (uint64_t)range->last - range->first + 1));
        // Numbers that pods and policies use, where the class has them: they are where members could differ.
        uint16_t usual = random_ports[rng_below(rng, random_ports_n)];
        packet.port = has_port(class, usual) ? usual : packet.port;
    }
    draw_name(rng, class->in, class->n_in, packet.in);
    draw_name(rng, class->out, class->n_out, packet.out);
    return packet;
}

static int draw_members(const struct verify_class *class, bool wanted, bool got, void *arg, struct err *err)
{
    struct drawing *drawing = arg;
    struct rng *rng = &drawing->world->cluster.rng;
    drawing->classes++;
    if (drawing->left == 0 || rng_below(rng, drawing->one_in) != 0) {
        return 0;
    }
    for (size_t i = 0; i < drawing->members && drawing->left > 0; i++, drawing->left--, drawing->drawn++) {
        struct packet packet = draw(rng, class);
        bool member_wanted;
        bool member_got;
        if (verify_judge(&drawing->world->input, &packet, &member_wanted, &member_got, err) < 0) {
            return -1;
        }
        if (member_wanted != wanted || member_got != got) {
            random_packet_print(&class->witness);
            random_packet_print(&packet);
            fail_msg("a member is judged unlike its witness: policies %d for %d, rules %d for %d: SEED=%" PRIu64 " N=1",
                     member_wanted, wanted, member_got, got, drawing->seed);
        }
    }
    return 0;
}

// ---- deliberate faults ---------------------------------------------------------------------------------------------

static void *copy_of(struct ruleset *ruleset, const void *from, size_t size)
{
    void *copy = arena_alloc(&ruleset->arena, size + 1);
    assert_non_null(copy);
    memcpy(copy, from, size);
    return copy;
}

typedef bool rule_is(const struct rule *rule);

// One of the rules that are as wanted, to be changed in place; NULL when there is none. Chains and rules are const to
// readers; this ruleset is the test's own.
static struct rule *some_rule(struct ruleset *ruleset, struct rng *rng, rule_is *is)
{
    struct rule *found = NULL;
    size_t count = 0;
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        const struct table *table = &ruleset->tables[f];
        for (size_t i = 0; i < table->n_chains; i++) {
            for (size_t j = 0; j < table->chains[i].n_rules; j++) {
                const struct rule *rule = &table->chains[i].rules[j];
                if (is(rule) && rng_below(rng, ++count) == 0) {
                    found = (struct rule *)(uintptr_t)rule;
                }
            }
        }
    }
    return found;
}

static bool has_short_port(const struct rule *rule)
{
    return rule->n_ports > 0 && rule->ports[0].last < UINT16_MAX;
}

static bool is_tcp_or_sctp(const struct rule *rule)
{
    return rule->protocol == PROTOCOL_TCP || rule->protocol == PROTOCOL_SCTP;
}

static bool is_goto_or_drop(const struct rule *rule)
{
    return rule->target == TARGET_GOTO || rule->target == TARGET_DROP;
}

static bool is_jump(const struct rule *rule)
{
    return rule->target == TARGET_JUMP;
}

static bool has_destination(const struct rule *rule)
{
    return rule_has_destination(rule) && rule->destination.length >= 2;
}

static bool has_set(const struct rule *rule)
{
    return rule->set != NULL;
}

static bool has_ct(const struct rule *rule)
{
    return rule->ct_states != 0;
}

static bool has_hop_limit(const struct rule *rule)
{
    return rule->hop_limit >= 0;
}

static bool drop_member(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    if (table->n_sets == 0) {
        return false;
    }
    struct set *set = (struct set *)(uintptr_t)&table->sets[rng_below(rng, table->n_sets)];
    if (set->n_members == 0) {
        return false;
    }
    struct set_member *members = copy_of(ruleset, set->members, set->n_members * sizeof(*members));
    size_t at = rng_below(rng, set->n_members);
    memmove(&members[at], &members[at + 1], (set->n_members - at - 1) * sizeof(*members));
    set->members = members;
    set->n_members--;
    return true;
}

static bool drop_rule(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    if (table->n_chains == 0) {
        return false;
    }
    struct chain *chain = (struct chain *)(uintptr_t)&table->chains[rng_below(rng, table->n_chains)];
    if (chain->n_rules == 0) {
        return false;
    }
    struct rule *rules = copy_of(ruleset, chain->rules, chain->n_rules * sizeof(*rules));
    size_t at = rng_below(rng, chain->n_rules);
    memmove(&rules[at], &rules[at + 1], (chain->n_rules - at - 1) * sizeof(*rules));
    chain->rules = rules;
    chain->n_rules--;
    return true;
}

static bool change_port(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_short_port);
    if (!rule) {
        return false;
    }
    struct port_range *ports = copy_of(ruleset, rule->ports, rule->n_ports * sizeof(*ports));
    ports->last++;
    rule->ports = ports;
    return true;
}

static bool change_protocol(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, is_tcp_or_sctp);
    if (!rule) {
        return false;
    }
    rule->protocol = rule->protocol == PROTOCOL_TCP ? PROTOCOL_SCTP : PROTOCOL_TCP;
    return true;
}

static bool return_early(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, is_goto_or_drop);
    if (!rule) {
        return false;
    }
    rule->target = TARGET_RETURN;
    rule->chain = NULL;
    return true;
}

static bool goto_for_jump(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, is_jump);
    if (!rule) {
        return false;
    }
    rule->target = TARGET_GOTO;
    return true;
}

static bool drop_hook(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    if (table->n_hooks == 0) {
        return false;
    }
    table->n_hooks--;
    return true;
}

static bool widen_destination(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_destination);
    if (!rule) {
        return false;
    }
    rule->destination = prefix_truncate(&rule->destination.address, rule->destination.length - 1u);
    return true;
}

static bool flip_direction(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_set);
    for (size_t i = 0; rule && i < FAMILY_COUNT; i++) {
        const struct set *set = table_set(&ruleset->tables[i], rule->set);
        if (set && set->type == SET_HASH_IP_PORT) {
            return false;
        }
    }
    if (!rule) {
        return false;
    }
    rule->set_direction = rule->set_direction == SET_SRC ? SET_DST : SET_SRC;
    return true;
}

static bool forget_ct(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_ct);
    if (!rule) {
        return false;
    }
    rule->ct_states = 0;
    rule->ct_invert = false;
    return true;
}

static bool forget_hop_limit(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_hop_limit);
    if (!rule) {
        return false;
    }
    rule->hop_limit = -1;
    return true;
}

static bool flip_nomatch(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    for (size_t i = 0; i < table->n_sets; i++) {
        struct set *set = (struct set *)(uintptr_t)&table->sets[i];
        if (set->type != SET_HASH_NET || set->n_members == 0 || rng_chance(rng, 50)) {
            continue;
        }
        struct set_member *members = copy_of(ruleset, set->members, set->n_members * sizeof(*members));
        struct set_member *member = &members[rng_below(rng, set->n_members)];
        member->nomatch = !member->nomatch;
        set->members = members;
        return true;
    }
    return false;
}

static const struct fault {
    const char *name;
    bool (*plant)(struct ruleset *ruleset, struct rng *rng);
} faults[] = {
    {"a set lost a member", drop_member},
    {"a rule is missing", drop_rule},
    {"a port range is one longer", change_port},
    {"SCTP for TCP", change_protocol},
    {"a return for a goto or a drop", return_early},
    {"a goto for a jump", goto_for_jump},
    {"a hook is missing", drop_hook},
    {"a destination is a bit wider", widen_destination},
    {"a set is matched at the other end", flip_direction},
    {"a conntrack match is forgotten", forget_ct},
    {"a hop limit is forgotten", forget_hop_limit},
    {"a nomatch is turned over", flip_nomatch},
};

// A packet on which evaluator and simulator differ, found by trying at random.
static bool differs_at_random(struct world *world, const char *node, struct packet *ret)
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

static bool all_found(const size_t found[ARRAY_SIZE(faults)])
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
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
    size_t n = share(FAULTS);
    size_t planted[ARRAY_SIZE(faults)] = {0};
    size_t found[ARRAY_SIZE(faults)] = {0};
    size_t by_luck = 0;
    for (size_t i = 0; i < n * ARRAY_SIZE(faults) || (n >= FAULTS && !all_found(found) && i < PATIENCE); i++) {
        size_t kind = i % ARRAY_SIZE(faults);
        if (i >= n * ARRAY_SIZE(faults) && found[kind]) {
            continue;
        }
        struct world world;
        const char *node = random_nodes[i % RANDOM_NODES];
        world_make(&world, seed + i, node);
        if (!faults[kind].plant(world.ruleset, &world.cluster.rng)) {
            world_free(&world);
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
                         faults[kind].name, seed + i, node, kind);
            }
        }
        world_free(&world);
    }
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        printf("%-36s planted %4zu, not harmless %4zu\n", faults[i].name, planted[i], found[i]);
        assert_true(n < FAULTS || found[i] > 0);
    }
    printf("%zu of them found by random packets too\n", by_luck);
    assert_true(n < FAULTS || by_luck > 0);
}

// Classes of right and of wrong rules: what is put together must be judged together, or the proof proves nothing.
static void test_members_are_judged_like_their_witness(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = share(MEMBER_STATES);
    uint64_t drawn = 0;
    uint64_t classes = 0;
    for (size_t i = 0; i < n; i++) {
        struct world world;
        world_make(&world, seed + i, random_nodes[i % RANDOM_NODES]);
        CLEANUP(ruleset_free) struct ruleset *anything = random_ruleset(&world.cluster.rng);
        if (i % 3 == 1) {
            world.input.ruleset = anything;
        } else if (i % 3 == 2) {
            (void)faults[rng_below(&world.cluster.rng, ARRAY_SIZE(faults))].plant(world.ruleset, &world.cluster.rng);
        }
        // Many members of some classes, or some of every class.
        struct drawing drawing = {
            .world = &world, .seed = seed + i, .left = 60 * MEMBERS, .members = MEMBERS, .one_in = 150};
        if (i % 3 == 1) {
            drawing.left = UINT64_MAX;
            drawing.members = 16;
            drawing.one_in = 1;
        }
        CLEANUP(verify_result_free) struct verify_result *result = NULL;
        const struct verify_options options = {0};
        struct err err = {0};
        if (verify_ruleset_visit(&world.input, &options, draw_members, &drawing, &result, &err) < 0) {
            fail_msg("SEED=%" PRIu64 ": %s: %s", seed + i, err.object, err.msg);
        }
        drawn += drawing.drawn;
        classes += drawing.classes;
        world_free(&world);
    }
    printf("%" PRIu64 " classes, %" PRIu64 " members drawn\n", classes, drawn);
    assert_true(drawn > 0);
}

// ---- every packet in one class -------------------------------------------------------------------------------------

struct asked {
    struct packet packet;
    unsigned classes;  // that it is in
};

struct asking {
    struct world *world;
    uint64_t seed;
    struct asked v[60];
    size_t n;
};

static bool has_byte(const struct verify_bytes *bytes, uint8_t witness, uint8_t value)
{
    return bytes->alone ? value == witness : !bytes->apart[value];
}

static bool has_name(const char *witness, const char *const *apart, size_t n, const char *name)
{
    bool told_apart = false;
    for (size_t i = 0; i < n; i++) {
        told_apart = told_apart || strcmp(apart[i], name) == 0;
    }
    return *witness ? strcmp(witness, name) == 0 : !told_apart;
}

static bool has_address(const struct verify_space *space, const struct verify_members *members,
                        const struct address *address)
{
    size_t cell = verify_space_find(space, address);
    for (size_t i = 0; i < members->n; i++) {
        if (members->cells[i] == cell) {
            return verify_members_has(members, i);
        }
    }
    return false;
}

static bool class_has(const struct verify_class *class, const struct packet *packet)
{
    const struct packet *witness = &class->witness;
    enum ct_state ct = packet->ct ? packet->ct : CT_NEW;
    bool icmp = packet->protocol == (packet->source.family == FAMILY_V4 ? 1 : 58);
    return packet->source.family == class->space->family && packet->arrival == witness->arrival &&
           has_byte(&class->protocol, witness->protocol, packet->protocol) && (class->ct_states & (unsigned)ct) &&
           (!icmp || has_byte(&class->icmp_type, witness->icmp_type, packet->icmp_type)) &&
           has_byte(&class->hop_limit, witness->hop_limit, packet->hop_limit ? packet->hop_limit : 64) &&
           (class->any_dnat || packet->dnat == witness->dnat) &&
           (class->any_source_is_node || packet->source_is_node == witness->source_is_node) &&
           has_port(class, packet->port) && has_name(witness->in, class->in, class->n_in, packet->in) &&
           has_name(witness->out, class->out, class->n_out, packet->out) &&
           has_address(class->space, &class->ends[VERIFY_SOURCE], &packet->source) &&
           has_address(class->space, &class->ends[VERIFY_DESTINATION], &packet->destination);
}

static int ask_class(const struct verify_class *class, bool wanted, bool got, void *arg, struct err *err)
{
    struct asking *asking = arg;
    for (size_t i = 0; i < asking->n; i++) {
        if (!class_has(class, &asking->v[i].packet)) {
            continue;
        }
        bool packet_wanted;
        bool packet_got;
        asking->v[i].classes++;
        if (verify_judge(&asking->world->input, &asking->v[i].packet, &packet_wanted, &packet_got, err) < 0) {
            return -1;
        }
        if (packet_wanted != wanted || packet_got != got) {
            random_packet_print(&class->witness);
            random_packet_print(&asking->v[i].packet);
            fail_msg("a packet is judged unlike its class: policies %d for %d, rules %d for %d: SEED=%" PRIu64 " N=1",
                     packet_wanted, wanted, packet_got, got, asking->seed);
        }
    }
    return 0;
}

static void prove_cover(struct world *world, const char *node, uint64_t seed)
{
    struct asking asking = {.world = world, .seed = seed};
    CLEANUP(verify_result_free) struct verify_result *result = NULL;
    const struct verify_options options = {0};
    struct err err = {0};
    for (; asking.n < ARRAY_SIZE(asking.v); asking.n++) {
        struct packet *packet = &asking.v[asking.n].packet;
        struct rng *rng = &world->cluster.rng;
        *packet = random_ruleset_packet(rng);
        if (rng_chance(rng, 70)) {
            random_packet_wide(&world->cluster, node, world->facts, packet);
        }
    }
    if (verify_ruleset_visit(&world->input, &options, ask_class, &asking, &result, &err) < 0) {
        fail_msg("SEED=%" PRIu64 ": %s: %s", seed, err.object, err.msg);
    }
    for (size_t i = 0; i < asking.n; i++) {
        if (asking.v[i].classes != 1) {
            random_packet_print(&asking.v[i].packet);
            fail_msg("the packet is in %u classes: SEED=%" PRIu64 " N=1", asking.v[i].classes, seed);
        }
    }
}

// Rules of one world under the policies of another, and rules with every match there is over few addresses: nothing
// that the proof could lean on holds between the two, but what each packet meets.
static void test_each_packet_is_in_one_class(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = share(COVER_STATES);
    for (size_t i = 0; i < n; i++) {
        struct world world;
        struct world other;
        const char *node = random_nodes[i % RANDOM_NODES];
        world_make(&world, seed + i, node);
        world_make(&other, seed + i + 1000003, node);
        prove_cover(&world, node, seed + i);
        world.input.ruleset = other.ruleset;
        prove_cover(&world, node, seed + i);
        CLEANUP(ruleset_free) struct ruleset *anything = random_ruleset(&world.cluster.rng);
        world.input.ruleset = anything;
        prove_cover(&world, node, seed + i);
        world_free(&other);
        world_free(&world);
    }
    printf("%zu states, %zu packets\n", n, n * 3 * ARRAY_SIZE(((struct asking *)0)->v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_states_are_proven),
        cmocka_unit_test(test_faults_are_found),
        cmocka_unit_test(test_members_are_judged_like_their_witness),
        cmocka_unit_test(test_each_packet_is_in_one_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
