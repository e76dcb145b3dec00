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

// Ports of bridges and the mark of the flow, for what asks about them: not every packet has what its interfaces
// suggest.
static void random_ports_and_mark(struct rng *rng, const struct facts *facts, struct packet *packet)
{
    static const uint32_t marks[] = {0, 0, 0, 1u << 27, 1u << 3, 0xffffffff};
    packet->connmark = RNG_PICK(rng, marks);
    const struct facts_interface *in = facts ? facts_interface(facts, packet->in) : NULL;
    bool bridge = in && strcmp(in->kind, "bridge") == 0;
    if (packet->arrival == ARRIVAL_FROM_NODE || !rng_chance(rng, bridge ? 80 : 5)) {
        return;
    }
    (void)snprintf(packet->physdev_in, sizeof(packet->physdev_in), "%s", RNG_PICK(rng, random_bridge_ports));
    // The port that is known for the source, as an honest packet's.
    const struct facts_port *port = facts ? facts_pod_port(facts, &packet->source) : NULL;
    if (port && rng_chance(rng, 50)) {
        memcpy(packet->physdev_in, port->port, sizeof(packet->physdev_in));
    }
    if (packet->arrival == ARRIVAL_FORWARD && rng_chance(rng, 60)) {
        (void)snprintf(packet->physdev_out, sizeof(packet->physdev_out), "%s", RNG_PICK(rng, random_bridge_ports));
    }
}

// The device that leads to the source's address, as an honest packet's.
static void come_home(struct rng *rng, const struct facts *facts, struct packet *packet)
{
    const struct facts_interface *behind = facts ? facts_pod_interface(facts, &packet->source) : NULL;
    if (behind && packet->arrival != ARRIVAL_FROM_NODE && rng_chance(rng, 40)) {
        memcpy(packet->in, behind->name, sizeof(packet->in));
    } else if (rng_chance(rng, 2)) {
        memcpy(packet->in, "lo", sizeof("lo"));
    }
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

// The address of one pod from the bridge of others.
static void forge_neighbour(struct rng *rng, const struct facts *facts, struct packet *packet)
{
    const struct facts_port *port = &facts->ports[rng_below(rng, facts->n_ports)];
    const struct facts_interface *behind = facts_pod_interface(facts, &port->address);
    if (port->address.family == packet->source.family && behind && packet->arrival != ARRIVAL_FROM_NODE) {
        packet->source = port->address;
        memcpy(packet->in, behind->name, sizeof(packet->in));
        (void)snprintf(packet->physdev_in, sizeof(packet->physdev_in), "%s", RNG_PICK(rng, random_bridge_ports));
    }
}

// A tunnel to some node, a DHCP client, a group, a neighbour's address.
static void aim_at_guards(struct random_cluster *cluster, const struct facts *facts, struct packet *packet)
{
    static const uint8_t tunnels[] = {4, 41, 47, PROTOCOL_UDP, PROTOCOL_UDP, PROTOCOL_UDP};
    static const uint16_t ports[] = {8472, 4789, 6081, 51820, 8471};
    struct rng *rng = &cluster->rng;
    enum family family = packet->source.family;
    size_t kind = packet->protocol == PROTOCOL_ICMPV6 ? 100 : rng_below(rng, 100);
    if (kind < 6) {
        static const char *const nodes[] = {"n1", "n2", "n3"};
        const struct address *node = node_address_of(cluster, RNG_PICK(rng, nodes), family);
        packet->destination = node ? *node : packet->destination;
        // Or the gateway of its pods.
        if (rng_chance(rng, 25)) {
            (void)address_parse(family == FAMILY_V4 ? "10.244.2.1" : "fd00:244:2::1", &packet->destination);
        }
        packet->protocol = RNG_PICK(rng, tunnels);
        packet->port = packet->protocol == PROTOCOL_UDP ? RNG_PICK(rng, ports) : 0;
    } else if (kind < 9) {
        packet->destination = random_special_address(rng, family);
    } else if (kind == 9 && family == FAMILY_V4) {
        (void)address_parse("0.0.0.0", &packet->source);
        (void)address_parse(rng_chance(rng, 80) ? "255.255.255.255" : "10.244.1.2", &packet->destination);
        packet->protocol = PROTOCOL_UDP;
        packet->port = rng_chance(rng, 80) ? 67 : 68;
    } else if (kind < 16 && facts && facts->n_ports > 0) {
        forge_neighbour(rng, facts, packet);
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
    if (wide) {
        come_home(rng, facts, &packet);
        random_ports_and_mark(rng, facts, &packet);
        aim_at_guards(cluster, facts, &packet);
    }
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

struct policy_options random_options(struct rng *rng)
{
    static const char *const cidrs[] = {"10.244.1.0/24", "10.244.0.0/16", "10.244.1.4/30", "fd00:244:1::/64",
                                        "fd00:244::/32"};
    static const uint32_t masks[] = {1u << 27, 1u << 27, 1u << 3, 0};
    struct policy_options options = {
        .denied = rng_chance(rng, 25) ? DENIED_REJECT : DENIED_DROP,
        .allowed = rng_chance(rng, 25) ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = rng_chance(rng, 25),
        .source_guard = (enum source_guard)rng_below(rng, 3),
        .encap_allowed = rng_chance(rng, 25),
        .unknown_pods = rng_chance(rng, 25) ? UNKNOWN_PODS_DROP : UNKNOWN_PODS_ALLOW,
        .revoke_mask = RNG_PICK(rng, masks),
    };
    for (size_t n = rng_chance(rng, 50) ? rng_below(rng, 3) : 0; n > 0; n--) {
        (void)prefix_parse(RNG_PICK(rng, cidrs), &options.pod_cidrs[options.n_pod_cidrs++]);
    }
    return options;
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
    if (*packet->physdev_in || *packet->physdev_out) {
        buf_printf(out, ", ports %s -> %s", interface_name(packet->physdev_in), interface_name(packet->physdev_out));
    }
    if (packet->connmark) {
        buf_printf(out, ", connmark %x", packet->connmark);
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
