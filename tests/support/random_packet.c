// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "support/random_state.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58 };

// One up or down, as a big number; wraps.
static void step(struct address *address, bool up)
{
    for (size_t i = family_bits(address->family) / 8; i-- > 0;) {
        uint8_t before = address->bytes[i];
        address->bytes[i] = (uint8_t)(before + (up ? 1 : -1));
        if (before != (up ? 0xff : 0)) {
            return;
        }
    }
}

// The first or last address of a prefix that some policy mentions, or the one beside it.
static struct address edge(struct rng *rng, const struct prefix *prefix)
{
    struct address address = prefix->address;
    bool last = rng_chance(rng, 50);
    if (last) {
        for (unsigned bit = prefix->length; bit < family_bits(address.family); bit++) {
            address.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
        }
    }
    if (rng_chance(rng, 50)) {
        step(&address, last);
    }
    return address;
}

// An address of some pod; of one on the node as long as luck and tries last.
static struct address pod_address_of(struct random_cluster *cluster, const char *node, enum family family)
{
    enum { LOCAL = 24, TRIES = 32 };
    for (size_t tries = 0; cluster->objects.n && tries < TRIES; tries++) {
        const struct random_object *object = &cluster->objects.v[rng_below(&cluster->rng, cluster->objects.n)];
        const struct pod *pod = object->object;
        if (object->kind != OBJECT_POD || pod->n_addresses == 0 ||
            (tries < LOCAL && (!pod_is_live(pod) || strcmp(pod->node, node) != 0))) {
            continue;
        }
        const struct address *address = &pod->addresses[rng_below(&cluster->rng, pod->n_addresses)];
        if (address->family == family) {
            return *address;
        }
    }
    return random_address(&cluster->rng, family);
}

static struct address any_address(struct random_cluster *cluster, const char *node, enum family family)
{
    struct address address = {.family = family};
    size_t kind = rng_below(&cluster->rng, 10);
    if (kind < 6) {
        address = pod_address_of(cluster, rng_chance(&cluster->rng, 75) ? node : "", family);
    } else if (kind < 8 && cluster->edges.n) {
        address = edge(&cluster->rng, &cluster->edges.v[rng_below(&cluster->rng, cluster->edges.n)]);
    } else {
        address = random_address(&cluster->rng, family);
    }
    bool guarded = address_is_multicast(&address) || (family == FAMILY_V6 && address_is_link_local(&address));
    return address.family == family && !guarded ? address : random_address(&cluster->rng, family);
}

static const struct address *node_address_of(struct random_cluster *cluster, const char *node, enum family family)
{
    for (size_t i = 0; i < cluster->objects.n; i++) {
        const struct node *object = cluster->objects.v[i].object;
        if (cluster->objects.v[i].kind != OBJECT_NODE || strcmp(object->meta.name, node) != 0) {
            continue;
        }
        for (size_t j = 0; j < object->n_addresses; j++) {
            if (object->addresses[j].family == family) {
                return &object->addresses[j];
            }
        }
    }
    return NULL;
}

static void random_protocol_and_port(struct rng *rng, struct packet *packet)
{
    static const uint8_t others[] = {PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, 47, 50, 4, 2, 255};
    static const uint8_t types[] = {0,   3,   8,   1,   2,   128, 129, 130, 131, 132,
                                    133, 134, 135, 136, 137, 138, 142, 143, 144};
    static const uint8_t hops[] = {0, 1, 2, 64, 254, 255};
    packet->hop_limit = RNG_PICK(rng, hops);
    if (rng_chance(rng, 75)) {
        packet->protocol = random_protocol(rng);
        packet->port = random_ports[rng_below(rng, random_ports_n)];
        if (rng_chance(rng, 15)) {
            packet->port = (uint16_t)(packet->port + (rng_chance(rng, 50) ? 1 : -1));
        }
        return;
    }
    packet->protocol = RNG_PICK(rng, others);
    if (packet->protocol == PROTOCOL_ICMP || packet->protocol == PROTOCOL_ICMPV6) {
        packet->icmp_type = RNG_PICK(rng, types);
    }
}

void random_packet(struct random_cluster *cluster, const char *node, struct packet *ret)
{
    static const enum ct_state states[] = {CT_NEW,     CT_NEW,     CT_NEW,       CT_NEW, (enum ct_state)0,
                                           CT_RELATED, CT_INVALID, CT_UNTRACKED, CT_NEW, CT_ESTABLISHED};
    struct rng *rng = &cluster->rng;
    enum family family = rng_chance(rng, 55) ? FAMILY_V4 : FAMILY_V6;
    struct packet packet = {
        .arrival = ARRIVAL_FORWARD,
        .source = any_address(cluster, node, family),
        .destination = any_address(cluster, node, family),
        .ct = RNG_PICK(rng, states),
        .dnat = rng_chance(rng, 15),
    };
    random_protocol_and_port(rng, &packet);
    const struct address *node_address = node_address_of(cluster, node, family);
    size_t arrival = rng_below(rng, 10);
    if (arrival < 2 && node_address) {
        packet.arrival = ARRIVAL_TO_NODE;
        packet.destination = *node_address;
    } else if (arrival == 2 && node_address) {
        packet.arrival = ARRIVAL_FROM_NODE;
        packet.source = *node_address;
    } else if (rng_chance(rng, 8)) {
        packet.destination = packet.source;
    }
    static const char *const interfaces[] = {"", "cni0", "eth0", "veth1"};
    (void)snprintf(packet.in, sizeof(packet.in), "%s", RNG_PICK(rng, interfaces));
    (void)snprintf(packet.out, sizeof(packet.out), "%s", RNG_PICK(rng, interfaces));
    packet.source_is_node = node_address && address_equal(node_address, &packet.source);
    *ret = packet;
}

void random_packet_print(const struct packet *packet)
{
    static const char *const arrivals[] = {"forward", "to-node", "from-node"};
    char source[ADDRESS_TEXT];
    char destination[ADDRESS_TEXT];
    printf(
        "packet: %s %s%%%s -> %s%%%s protocol %u port %u icmp-type %u hop-limit %u ct %d dnat %d source-is-node %d\n",
        arrivals[packet->arrival], address_format(&packet->source, source), packet->in,
        address_format(&packet->destination, destination), packet->out, packet->protocol, packet->port,
        packet->icmp_type, packet->hop_limit, (int)packet->ct, packet->dnat, packet->source_is_node);
}
