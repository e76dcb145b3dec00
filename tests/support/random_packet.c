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

// What the guards are about, and no pod has.
static bool is_special(const struct address *address)
{
    return address_is_multicast(address) || address_is_loopback(address) ||
           (address->family == FAMILY_V6 && address_is_link_local(address));
}

// An address that hostNetwork pods have: their node's.
static struct address host_address_of(struct random_cluster *cluster, enum family family)
{
    for (size_t i = 0, at = rng_next(&cluster->rng) % (cluster->objects.n + 1); i < cluster->objects.n; i++) {
        const struct random_object *object = &cluster->objects.v[(at + i) % cluster->objects.n];
        const struct pod *pod = object->object;
        for (size_t j = 0; object->kind == OBJECT_POD && pod->host_network && j < pod->n_addresses; j++) {
            if (pod->addresses[j].family == family) {
                return pod->addresses[j];
            }
        }
    }
    return random_address(&cluster->rng, family);
}

static struct address any_address(struct random_cluster *cluster, const char *node, bool wide, enum family family)
{
    struct address address = {.family = family};
    size_t kind = rng_below(&cluster->rng, 100);
    if (kind < 6 && wide) {
        return random_special_address(&cluster->rng, family);
    }
    if (kind < 11 && wide) {
        return host_address_of(cluster, family);
    }
    if (kind < 70) {
        static const char *const elsewhere[] = {"", "n1", "n2", "n3", "gone"};
        address =
            pod_address_of(cluster, rng_chance(&cluster->rng, 75) ? node : RNG_PICK(&cluster->rng, elsewhere), family);
    } else if (kind < 86 && cluster->edges.n) {
        address = edge(&cluster->rng, &cluster->edges.v[rng_below(&cluster->rng, cluster->edges.n)]);
    } else {
        address = random_address(&cluster->rng, family);
    }
    bool usable = address.family == family && (wide || !is_special(&address));
    return usable ? address : random_address(&cluster->rng, family);
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

static uint16_t random_port(struct random_cluster *cluster)
{
    struct rng *rng = &cluster->rng;
    uint16_t port = cluster->ports.n && rng_chance(rng, 40) ? cluster->ports.v[rng_below(rng, cluster->ports.n)]
                                                            : random_ports[rng_below(rng, random_ports_n)];
    if (rng_chance(rng, 15)) {
        port = (uint16_t)(port + (rng_chance(rng, 50) ? 1 : -1));
    }
    return port;
}

static void random_protocol_and_port(struct random_cluster *cluster, struct packet *packet)
{
    struct rng *rng = &cluster->rng;
    static const uint8_t others[] = {PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, 47, 50, 4, 2, 255};
    static const uint8_t types[] = {0,   3,   8,   1,   2,   128, 129, 130, 131, 132,
                                    133, 134, 135, 136, 137, 138, 142, 143, 144};
    static const uint8_t hops[] = {0, 1, 2, 64, 254, 255};
    packet->hop_limit = RNG_PICK(rng, hops);
    if (rng_chance(rng, 75)) {
        packet->protocol = random_protocol(rng);
        packet->port = random_port(cluster);
        return;
    }
    packet->protocol = RNG_PICK(rng, others);
    if (packet->protocol == PROTOCOL_ICMP || packet->protocol == PROTOCOL_ICMPV6) {
        packet->icmp_type = RNG_PICK(rng, types);
    }
}

// The interfaces of the packet; of facts those that exist, above all across one bridge.
static void random_interfaces(struct rng *rng, const struct facts *facts, struct packet *packet)
{
    static const char *const interfaces[] = {"", "cni0", "eth0", "veth1", "br0", "cni0"};
    (void)snprintf(packet->in, sizeof(packet->in), "%s", RNG_PICK(rng, interfaces));
    (void)snprintf(packet->out, sizeof(packet->out), "%s",
                   facts && rng_chance(rng, 50) ? packet->in : RNG_PICK(rng, interfaces));
}

static bool is_of_node(const struct address *node_address, const struct facts *facts, const struct address *address)
{
    return (node_address && address_equal(node_address, address)) || address_is_loopback(address) ||
           (facts && facts_is_own_address(facts, address));
}

// A virtual address of IPVS in the family; NULL when there is none.
static const struct address *virtual_address_of(struct rng *rng, const struct facts *facts, enum family family)
{
    const struct facts_interface *ipvs = facts ? facts_interface(facts, "kube-ipvs0") : NULL;
    for (size_t tries = 0; ipvs && tries < 4; tries++) {
        const struct address *address = &ipvs->addresses[rng_below(rng, ipvs->n_addresses)];
        if (address->family == family) {
            return address;
        }
    }
    return NULL;
}

// Ends in the node, or starts there.
static void random_arrival(struct random_cluster *cluster, const char *node, bool wide, const struct facts *facts,
                           struct packet *packet)
{
    struct rng *rng = &cluster->rng;
    enum family family = packet->source.family;
    const struct address *node_address = node_address_of(cluster, node, family);
    size_t arrival = rng_below(rng, 10);
    if (arrival < 2 && node_address) {
        const struct address *virtual = virtual_address_of(rng, facts, family);
        packet->arrival = ARRIVAL_TO_NODE;
        if (virtual && rng_chance(rng, 50)) {
            packet->destination = *virtual;
        } else if (!wide || rng_chance(rng, 85)) {
            packet->destination = *node_address;
        }
    } else if (arrival == 2 && node_address) {
        packet->arrival = ARRIVAL_FROM_NODE;
        // IPVS sends on what pods and strangers sent to a virtual address.
        if (!wide || rng_chance(rng, 40)) {
            packet->source = *node_address;
        } else if (rng_chance(rng, 10)) {
            (void)address_parse(family == FAMILY_V4 ? "127.0.0.1" : "::1", &packet->source);
        }
    } else if (rng_chance(rng, 8)) {
        packet->destination = packet->source;
    }
    packet->source_is_node = is_of_node(node_address, facts, &packet->source) != (wide && rng_chance(rng, 2));
}

// A port that the pod at the destination gives a name.
static void aim_at_name(struct random_cluster *cluster, struct packet *packet)
{
    for (size_t i = 0; i < cluster->objects.n; i++) {
        const struct pod *pod = cluster->objects.v[i].object;
        if (cluster->objects.v[i].kind != OBJECT_POD || pod->n_ports == 0) {
            continue;
        }
        for (size_t j = 0; j < pod->n_addresses; j++) {
            if (address_equal(&pod->addresses[j], &packet->destination)) {
                const struct named_port *port = &pod->ports[rng_below(&cluster->rng, pod->n_ports)];
                packet->protocol = port->protocol;
                packet->port = port->number;
                return;
            }
        }
    }
}

// What neighbours on a link say to each other, honest or forged.
static void speak_on_link(struct rng *rng, struct packet *packet)
{
    static const uint8_t types[] = {133, 134, 135, 136, 137, 130, 131, 132, 143};
    static const uint8_t hops[] = {255, 255, 1, 1, 64};
    packet->protocol = PROTOCOL_ICMPV6;
    packet->port = 0;
    packet->icmp_type = RNG_PICK(rng, types);
    packet->hop_limit = RNG_PICK(rng, hops);
    if (rng_chance(rng, 60)) {
        packet->source = random_special_address(rng, FAMILY_V6);
    }
    if (rng_chance(rng, 50)) {
        packet->destination = random_special_address(rng, FAMILY_V6);
    }
}

static void fill(struct random_cluster *cluster, const char *node, bool wide, const struct facts *facts,
                 struct packet *ret)
{
    static const enum ct_state states[] = {CT_NEW,     CT_NEW,     CT_NEW,       CT_NEW, (enum ct_state)0,
                                           CT_RELATED, CT_INVALID, CT_UNTRACKED, CT_NEW, CT_ESTABLISHED};
    struct rng *rng = &cluster->rng;
    enum family family = rng_chance(rng, 55) ? FAMILY_V4 : FAMILY_V6;
    struct packet packet = {
        .arrival = ARRIVAL_FORWARD,
        .source = any_address(cluster, node, wide, family),
        .destination = any_address(cluster, node, wide, family),
        .ct = RNG_PICK(rng, states),
        .dnat = rng_chance(rng, 15),
    };
    random_protocol_and_port(cluster, &packet);
    if (rng_chance(rng, 25)) {
        aim_at_name(cluster, &packet);
    }
    if (wide && family == FAMILY_V6 && rng_chance(rng, 6)) {
        speak_on_link(rng, &packet);
    }
    random_arrival(cluster, node, wide, facts, &packet);
    random_interfaces(rng, facts, &packet);
    *ret = packet;
}

void random_packet(struct random_cluster *cluster, const char *node, struct packet *ret)
{
    fill(cluster, node, false, NULL, ret);
}

void random_packet_wide(struct random_cluster *cluster, const char *node, const struct facts *facts, struct packet *ret)
{
    fill(cluster, node, true, facts, ret);
}

// ---- words ---------------------------------------------------------------------------------------------------------

static const char *ct_name(enum ct_state ct)
{
    switch (ct) {
    case CT_NEW:
        return "NEW";
    case CT_ESTABLISHED:
        return "ESTABLISHED";
    case CT_RELATED:
        return "RELATED";
    case CT_INVALID:
        return "INVALID";
    case CT_UNTRACKED:
        return "UNTRACKED";
    }
    return "NEW";
}

static const char *interface_name(const char *name)
{
    return *name ? name : "(unknown)";
}

static void describe_way(const struct packet *packet, struct buf *out)
{
    switch (packet->arrival) {
    case ARRIVAL_FORWARD:
        buf_printf(out, "forwarded %s -> %s", interface_name(packet->in), interface_name(packet->out));
        break;
    case ARRIVAL_TO_NODE:
        buf_printf(out, "to the node by %s", interface_name(packet->in));
        break;
    case ARRIVAL_FROM_NODE:
        buf_printf(out, "from the node by %s", interface_name(packet->out));
        break;
    }
}

void random_packet_describe(const struct packet *packet, struct buf *out)
{
    char source[ADDRESS_TEXT];
    char destination[ADDRESS_TEXT];
    const char *name = protocol_name(packet->protocol);
    describe_way(packet, out);
    buf_puts(out, ": ");
    if (name) {
        buf_puts(out, name);
    } else {
        buf_printf(out, "protocol %u", packet->protocol);
    }
    buf_printf(out, " %s -> %s", address_format(&packet->source, source),
               address_format(&packet->destination, destination));
    if (packet->protocol == PROTOCOL_ICMP || packet->protocol == PROTOCOL_ICMPV6) {
        buf_printf(out, " type %u", packet->icmp_type);
    } else {
        buf_printf(out, " port %u", packet->port);
    }
    if (packet->hop_limit) {
        buf_printf(out, ", hop limit %u", packet->hop_limit);
    }
    buf_printf(out, ", %s%s%s", ct_name(packet->ct), packet->dnat ? ", DNATed" : "",
               packet->source_is_node ? ", source is an address of the node" : "");
}

void random_packet_print(const struct packet *packet)
{
    BUF_CLEANUP struct buf text = {0};
    random_packet_describe(packet, &text);
    printf("packet: %s\n", text.data ? text.data : "(out of memory)");
}
