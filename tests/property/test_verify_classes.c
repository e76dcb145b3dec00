// SPDX-License-Identifier: Apache-2.0
//
// The argument of docs/PROOF.md: every packet is in exactly one class, and every member of a class is judged like its
// witness, whatever the rules are. SEED and N repeat or widen.
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
#include "support/random_ruleset.h"
#include "support/verify_world.h"

enum { STATES = 1000, MEMBER_STATES = 60, MEMBERS = 1000, COVER_STATES = 60 };

// N widens or narrows all of them in proportion.
static size_t share(size_t of_states)
{
    return (rng_iterations(STATES) * of_states + STATES - 1) / STATES;
}

// ---- members of classes --------------------------------------------------------------------------------------------

struct drawing {
    struct verify_world *world;
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

// Names that facts, rules and random packets have, and others.
static void draw_name(struct rng *rng, const struct verify_class *class, enum verify_dimension dimension,
                      char ret[PACKET_IFACE])
{
    static const char *const names[] = {
        "cni0", "eth0", "veth1", "veth2", "kube-ipvs0", "other", "br9", "veth1234567890a",
        "lo",   "p1",   "p2",    "p3",    "br0",        "veth0", ""};
    const struct verify_names *known = class->space->names;
    for (size_t i = 0; i < 64; i++) {
        size_t which = rng_below(rng, known->n + ARRAY_SIZE(names));
        const char *name = which < known->n ? known->v[which].text : names[which - known->n];
        if (verify_class_has_name(class, dimension, name)) {
            (void)snprintf(ret, PACKET_IFACE, "%s", name);
            return;
        }
    }
    // The witness's own.
}

static uint32_t draw_mark(struct rng *rng, const struct verify_class *class)
{
    for (size_t i = 0; i < 64; i++) {
        uint32_t mark =
            rng_chance(rng, 50) ? (uint32_t)rng_next(rng) : class->witness.connmark ^ 1u << rng_below(rng, 32);
        if (verify_class_has_mark(class, mark)) {
            return mark;
        }
    }
    return class->witness.connmark;
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
    draw_name(rng, class, VERIFY_IN, packet.in);
    draw_name(rng, class, VERIFY_OUT, packet.out);
    draw_name(rng, class, VERIFY_PORT_IN, packet.physdev_in);
    draw_name(rng, class, VERIFY_PORT_OUT, packet.physdev_out);
    packet.connmark = draw_mark(rng, class);
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

// Classes of right and of wrong rules: what is put together must be judged together, or the proof proves nothing.
static void test_members_are_judged_like_their_witness(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    size_t n = share(MEMBER_STATES);
    uint64_t drawn = 0;
    uint64_t classes = 0;
    for (size_t i = 0; i < n; i++) {
        struct verify_world world;
        verify_world_make(&world, seed + i, random_nodes[i % RANDOM_NODES]);
        CLEANUP(ruleset_free) struct ruleset *anything = random_ruleset(&world.cluster.rng);
        if (i % 3 == 1) {
            world.input.ruleset = anything;
        } else if (i % 3 == 2) {
            (void)verify_faults[rng_below(&world.cluster.rng, VERIFY_FAULTS)].plant(world.ruleset, &world.cluster.rng);
        }
        // Many members of some classes, or some of every class.
        struct drawing drawing = {
            .world = &world, .seed = seed + i, .left = 60 * MEMBERS, .members = MEMBERS, .one_in = 150};
        if (i % 3 == 1) {
            drawing.left = UINT64_MAX;
            drawing.members = 6;
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
        verify_world_free(&world);
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
    struct verify_world *world;
    uint64_t seed;
    struct asked v[60];
    size_t n;
};

static bool has_byte(const struct verify_bytes *bytes, uint8_t witness, uint8_t value)
{
    return bytes->alone ? value == witness : !bytes->apart[value];
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
           has_port(class, packet->port) && verify_class_has_name(class, VERIFY_IN, packet->in) &&
           verify_class_has_name(class, VERIFY_OUT, packet->out) &&
           verify_class_has_name(class, VERIFY_PORT_IN, packet->physdev_in) &&
           verify_class_has_name(class, VERIFY_PORT_OUT, packet->physdev_out) &&
           verify_class_has_mark(class, packet->connmark) &&
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

static void prove_cover(struct verify_world *world, const char *node, uint64_t seed)
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
        struct verify_world world;
        struct verify_world other;
        const char *node = random_nodes[i % RANDOM_NODES];
        verify_world_make(&world, seed + i, node);
        verify_world_make(&other, seed + i + 1000003, node);
        prove_cover(&world, node, seed + i);
        world.input.ruleset = other.ruleset;
        prove_cover(&world, node, seed + i);
        CLEANUP(ruleset_free) struct ruleset *anything = random_ruleset(&world.cluster.rng);
        world.input.ruleset = anything;
        prove_cover(&world, node, seed + i);
        verify_world_free(&other);
        verify_world_free(&world);
    }
    printf("%zu states, %zu packets\n", n, n * 3 * ARRAY_SIZE(((struct asking *)0)->v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_judged_like_their_witness),
        cmocka_unit_test(test_each_packet_is_in_one_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
