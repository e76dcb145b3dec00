// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate_ways.h"

#include <string.h>

#include "policy/evaluate_guard.h"
#include "policy/evaluate_match.h"

enum { PROTOCOL_IPIP = 4, PROTOCOL_IPV6_IN_IP = 41, PROTOCOL_GRE = 47, DHCP_SERVER = 67 };

static int is_isolated(const struct guard_world *world, const struct pod *pod, enum direction direction, bool *ret,
                       struct err *err)
{
    size_t n;
    const struct policy *const *policies = state_policies_of(world->state, pod->meta.ns, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    const struct attempt attempt = {.state = world->state, .direction = direction, .pod = pod};
    bool isolated = false;
    for (size_t i = 0; i < n && !isolated; i++) {
        isolated = policy_isolates(policies[i], &attempt);
    }
    *ret = isolated;
    return 0;
}

static bool is_unspecified(const struct address *address)
{
    static const struct address zero;
    return memcmp(address->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
}

static bool is_everybody(const struct address *address)
{
    static const struct address everybody = {.family = FAMILY_V4, .bytes = {255, 255, 255, 255}};
    return address_equal(address, &everybody);
}

// ---- source guard --------------------------------------------------------------------------------------------------

static int is_guarded(const struct guard_world *world, const struct seat *seat, const void *arg, bool *ret,
                      struct err *err)
{
    const struct ways *ways = arg;
    if (ways->options->source_guard == SOURCE_GUARD_ENFORCED) {
        return is_isolated(world, seat->pod, DIRECTION_EGRESS, ret, err);
    }
    *ret = ways->options->source_guard == SOURCE_GUARD_ALL;
    return 0;
}

static int is_guarded_sender(const struct guard_world *world, const struct seat *seat, const void *arg, bool *ret,
                             struct err *err)
{
    const struct ways *ways = arg;
    return state_owner(world->state, &ways->packet->source) == seat->pod ? is_guarded(world, seat, arg, ret, err) : 0;
}

static int is_isolated_sender(const struct guard_world *world, const struct seat *seat, const void *unused, bool *ret,
                              struct err *err)
{
    (void)unused;
    return is_isolated(world, seat->pod, DIRECTION_EGRESS, ret, err);
}

// What a pod sends before it has an address, or besides it, and no policy knows by it. The broadcast of a DHCP client
// is spared where all are guarded: if its sender is isolated for egress nothing else would judge it.
static int needs_no_address(const struct ways *ways, bool *ret, struct err *err)
{
    const struct packet *packet = ways->packet;
    if (packet->source.family == FAMILY_V6) {
        *ret = address_is_link_local(&packet->source);
        return 0;
    }
    if (ways->options->source_guard != SOURCE_GUARD_ALL || !is_unspecified(&packet->source) ||
        !is_everybody(&packet->destination) || packet->protocol != PROTOCOL_UDP || packet->port != DHCP_SERVER) {
        *ret = false;
        return 0;
    }
    bool isolated;
    if (seat_any_alone(ways->world, packet->in, packet->physdev_in, is_isolated_sender, NULL, &isolated, err) < 0) {
        return -1;
    }
    *ret = !isolated;
    return 0;
}

// Its address is taken from its own place alone, if that is known.
static int is_claimed(const struct ways *ways, const struct pod *pod, bool *ret, struct err *err)
{
    bool known = false;
    for (size_t i = 0; i < pod->n_addresses && !known; i++) {
        struct seat seat;
        known = seat_of(ways->world, &pod->addresses[i], &seat) && seat.pod == pod && seat.alone;
    }
    bool claimed = ways->options->source_guard == SOURCE_GUARD_ALL;
    for (size_t d = 0; known && !claimed && d < DIRECTION_COUNT; d++) {
        if (is_isolated(ways->world, pod, (enum direction)d, &claimed, err) < 0) {
            return -1;
        }
    }
    *ret = known && claimed;
    return 0;
}

static int is_owner(const struct guard_world *world, const struct seat *seat, const void *pod, bool *ret,
                    struct err *err)
{
    (void)world;
    (void)err;
    *ret = seat->pod == pod;
    return 0;
}

static seat_fn is_of_pods;

// The address of a pod that is somewhere else, from where other pods are.
static int is_from_elsewhere(const struct ways *ways, bool *ret, struct err *err)
{
    const struct guard_world *world = ways->world;
    const struct packet *packet = ways->packet;
    const struct pod *owner = seat_owner(world, &packet->source);
    const struct facts_interface *in = world->facts && *packet->in ? facts_interface(world->facts, packet->in) : NULL;
    bool claimed;
    bool home;
    if (!owner || !in ||
        (strcmp(in->kind, "bridge") == 0 && world->facts->bridge_nf[packet->source.family] != FACTS_ON)) {
        return 0;
    }
    if (is_claimed(ways, owner, &claimed, err) < 0 ||
        seat_any_alone(world, packet->in, packet->physdev_in, is_owner, owner, &home, err) < 0) {
        return -1;
    }
    return !claimed || home ? 0 : seat_any(world, packet->in, is_of_pods, NULL, ret, err);
}

static int is_forged(const struct ways *ways, bool *ret, struct err *err)
{
    const struct packet *packet = ways->packet;
    bool guarded = false;
    bool own = false;
    bool spared;
    if (ways->options->source_guard == SOURCE_GUARD_OFF) {
        return 0;
    }
    if (needs_no_address(ways, &spared, err) < 0) {
        return -1;
    }
    if (spared) {
        return 0;
    }
    if (seat_any_alone(ways->world, packet->in, packet->physdev_in, is_guarded, ways, &guarded, err) < 0 ||
        (guarded &&
         seat_any_alone(ways->world, packet->in, packet->physdev_in, is_guarded_sender, ways, &own, err) < 0)) {
        return -1;
    }
    *ret = guarded && !own;
    return *ret ? 0 : is_from_elsewhere(ways, ret, err);
}

// ---- tunnel packets ------------------------------------------------------------------------------------------------

static bool is_tunnel(const struct facts *facts, const struct packet *packet)
{
    if (packet->protocol != PROTOCOL_UDP) {
        return packet->protocol == PROTOCOL_IPIP || packet->protocol == PROTOCOL_IPV6_IN_IP ||
               packet->protocol == PROTOCOL_GRE;
    }
    bool known = packet->port == 8472 || packet->port == 4789;
    for (size_t i = 0; facts && i < facts->n_tunnel_ports && !known; i++) {
        known = facts->tunnel_ports[i] == packet->port;
    }
    return known;
}

static int is_node_address(const struct guard_world *world, const struct address *address, bool own_only, bool *ret,
                           struct err *err)
{
    size_t n;
    const struct node *const *nodes = state_nodes(world->state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    bool is = world->facts && facts_is_own_address(world->facts, address);
    for (size_t i = 0; i < n && !is; i++) {
        for (size_t j = 0; j < nodes[i]->n_addresses && !is; j++) {
            is = address_equal(&nodes[i]->addresses[j], address) &&
                 (!own_only || strcmp(nodes[i]->meta.name, world->node) == 0);
        }
    }
    *ret = is && !is_unspecified(address);
    return 0;
}

// Only pods send from this interface.
static int is_of_pods(const struct guard_world *world, const struct seat *seat, const void *unused, bool *ret,
                      struct err *err)
{
    (void)unused;
    bool uplink;
    if (seat_is_uplink(world, seat->behind, &uplink, err) < 0) {
        return -1;
    }
    *ret = !uplink;
    return 0;
}

static int is_to_many(const struct ways *ways, bool enforced_only, bool *ret, struct err *err);

// Where the node of a pod CIDR has an address of its own, by custom: the first one (flannel's tunnel) or the next (the
// gateway of its pods). No object tells it, and what arrives there is decapsulated as well.
static int is_gateway(const struct guard_world *world, const struct address *address, bool *ret, struct err *err)
{
    size_t n;
    const struct node *const *nodes = state_nodes(world->state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    struct address first = *address;
    first.bytes[family_bits(address->family) / 8 - 1] &= 0xfe;
    bool is = false;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < nodes[i]->n_pod_cidrs; j++) {
            const struct prefix *cidr = &nodes[i]->pod_cidrs[j];
            const struct address *base = cidr->length == family_bits(address->family) ? address : &first;
            is = is || (address_equal(base, &cidr->address) && !is_unspecified(address));
        }
    }
    *ret = is;
    return 0;
}

// To any router of a network that the node is in.
static bool is_anycast(const struct facts *facts, const struct address *address)
{
    enum { LONGEST = 126 };
    for (size_t i = 0; facts && address->family == FAMILY_V6 && i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        if (prefix->length <= LONGEST && address_equal(&prefix->address, address) && !is_unspecified(address) &&
            facts_is_connected(facts, &facts->routes[i])) {
            return true;
        }
    }
    return false;
}

// By a route of table local: to the very address, or (networks) to one around it.
static bool is_routed_here(const struct facts *facts, const struct address *address, bool networks)
{
    for (size_t i = 0; facts && i < facts->n_local; i++) {
        const struct prefix *prefix = &facts->local[i].prefix;
        bool whole = prefix->length == family_bits(prefix->address.family);
        if (whole != networks && prefix_contains(prefix, address) && (networks || !is_unspecified(address))) {
            return true;
        }
    }
    return false;
}

// An address that some node takes for its own.
static int is_of_nodes(const struct ways *ways, const struct address *address, bool *ret, struct err *err)
{
    const struct facts *facts = ways->world->facts;
    bool is;
    if (is_anycast(facts, address) || is_routed_here(facts, address, false) ||
        (guard_is_virtual(facts, address) && !is_unspecified(address))) {
        *ret = true;
        return 0;
    }
    if (is_node_address(ways->world, address, false, &is, err) < 0 ||
        (!is && is_gateway(ways->world, address, &is, err) < 0)) {
        return -1;
    }
    *ret = is;
    return 0;
}

// A tunnel packet to where it is unpacked. Of an established flow it may be the answer of a pod to a node that asked
// from a tunnel's port; the flow of a tunnel that has its port at both ends is one of two nodes.
static int is_decapsulated(const struct ways *ways, bool *ret, struct err *err)
{
    const struct packet *packet = ways->packet;
    bool is = true;
    if (packet->ct == CT_ESTABLISHED && packet->protocol == PROTOCOL_UDP &&
        is_of_nodes(ways, &packet->source, &is, err) < 0) {
        return -1;
    }
    if (!is) {
        *ret = false;
        return 0;
    }
    if (is_of_nodes(ways, &packet->destination, &is, err) < 0 ||
        (!is && ways->world->facts && is_to_many(ways, false, &is, err) < 0)) {
        return -1;
    }
    *ret = is || is_routed_here(ways->world->facts, &packet->destination, true);
    return 0;
}

static int is_bridged(const struct guard_world *world, const struct seat *seat, const void *unused, bool *ret,
                      struct err *err)
{
    (void)world;
    (void)unused;
    (void)err;
    *ret = seat->bridge;
    return 0;
}

int ways_is_forged_tunnel(const struct ways *ways, bool *ret, struct err *err)
{
    const struct guard_world *world = ways->world;
    const struct packet *packet = ways->packet;
    bool to_node;
    *ret = false;
    if (ways->options->encap_allowed || !is_tunnel(world->facts, packet) || packet->arrival == ARRIVAL_FROM_NODE) {
        return 0;
    }
    if (is_decapsulated(ways, &to_node, err) < 0) {
        return -1;
    }
    if (!to_node) {
        return 0;
    }
    struct seat seat;
    bool nowhere = seat_owner(world, &packet->source) != NULL;
    if (nowhere && seat_of(world, &packet->source, &seat) && seat_is_uplink(world, seat.behind, &nowhere, err) < 0) {
        return -1;
    }
    if (nowhere) {
        *ret = true;
        return 0;
    }
    bool from_pods;
    if (seat_any_alone(world, packet->in, packet->physdev_in, is_bridged, NULL, &from_pods, err) < 0 ||
        (!from_pods && seat_any(world, packet->in, is_of_pods, NULL, &from_pods, err) < 0) ||
        (!from_pods && world->facts && *packet->in &&
         seat_has_unknown(world, ways->options, packet->in, &from_pods, err) < 0)) {
        return -1;
    }
    *ret = from_pods;
    return 0;
}

// ---- multicast and broadcast ---------------------------------------------------------------------------------------

static bool is_edge(const struct prefix *prefix, const struct address *address)
{
    enum { LONGEST = 30 };
    if (prefix->address.family != FAMILY_V4 || prefix->length == 0 || prefix->length > LONGEST ||
        !prefix_contains(prefix, address)) {
        return false;
    }
    bool ones = true;
    bool zeros = true;
    for (unsigned bit = prefix->length; bit < family_bits(FAMILY_V4); bit++) {
        *(address_bit(address, bit) ? &zeros : &ones) = false;
    }
    return ones || zeros;
}

// To many: a group, everybody, or everybody in the network of a bridge (with isolated pods), or (not enforced_only) in
// one of the node's own.
static int is_to_many(const struct ways *ways, bool enforced_only, bool *ret, struct err *err)
{
    const struct facts *facts = ways->world->facts;
    const struct address *destination = &ways->packet->destination;
    bool many = address_is_multicast(destination) || is_everybody(destination);
    bool edges = destination->family == FAMILY_V4 && !facts_is_own_address(facts, destination);
    for (size_t i = 0; edges && i < facts->n_routes && !many; i++) {
        const struct facts_interface *device =
            is_edge(&facts->routes[i].prefix, destination) ? facts_interface(facts, facts->routes[i].device) : NULL;
        bool bridge = device && strcmp(device->kind, "bridge") == 0;
        many = !enforced_only && device && (bridge || facts_is_connected(facts, &facts->routes[i]));
        if (bridge && enforced_only && ways->is_enforced_bridge(ways, device->name, &many, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; edges && i < facts->n_broadcast && !many; i++) {
        const struct facts_route *route = &facts->broadcast[i];
        const struct facts_interface *device =
            address_equal(&route->prefix.address, destination) ? facts_interface(facts, route->device) : NULL;
        bool bridge = device && strcmp(device->kind, "bridge") == 0;
        many = !enforced_only && address_equal(&route->prefix.address, destination);
        if (bridge && enforced_only && ways->is_enforced_bridge(ways, device->name, &many, err) < 0) {
            return -1;
        }
    }
    *ret = many;
    return 0;
}

static int is_closed_port(const struct guard_world *world, const struct seat *seat, const void *unused, bool *ret,
                          struct err *err)
{
    (void)unused;
    return is_isolated(world, seat->pod, DIRECTION_INGRESS, ret, err);
}

// Behind some port of this bridge, nobody knows which.
static int is_closed_bridge(const struct guard_world *world, const struct seat *seat, const void *unused, bool *ret,
                            struct err *err)
{
    (void)unused;
    return seat->bridge && !seat->alone ? is_isolated(world, seat->pod, DIRECTION_INGRESS, ret, err) : 0;
}

static int is_closed_between_ports(const struct ways *ways, bool *ret, struct err *err)
{
    const struct packet *packet = ways->packet;
    if (seat_any_at_port(ways->world, packet->physdev_out, is_closed_port, NULL, ret, err) < 0) {
        return -1;
    }
    bool one_bridge = strcmp(packet->in, packet->out) == 0;
    return *ret || !one_bridge ? 0 : seat_any(ways->world, packet->in, is_closed_bridge, NULL, ret, err);
}

static int is_closed_to_node(const struct guard_world *world, const struct seat *seat, const void *arg, bool *ret,
                             struct err *err)
{
    const struct packet *packet = ((const struct ways *)arg)->packet;
    bool uplink = false;
    if (seat->bridge && seat->alone && strcmp(packet->physdev_in, seat->port) != 0) {
        return 0;
    }
    if (!seat->alone && seat_is_uplink(world, seat->behind, &uplink, err) < 0) {
        return -1;
    }
    return uplink ? 0 : is_isolated(world, seat->pod, DIRECTION_EGRESS, ret, err);
}

static int is_closed_group(const struct ways *ways, bool *ret, struct err *err)
{
    const struct packet *packet = ways->packet;
    bool bridged = packet->arrival == ARRIVAL_FORWARD && (*packet->physdev_out || *packet->in);
    bool to_node = packet->arrival == ARRIVAL_TO_NODE && *packet->in && !ways->options->host_egress_allowed;
    bool many;
    if (!ways->world->facts || (!bridged && !to_node)) {
        return 0;
    }
    if (is_to_many(ways, true, &many, err) < 0) {
        return -1;
    }
    if (!many) {
        return 0;
    }
    return bridged ? is_closed_between_ports(ways, ret, err)
                   : seat_any(ways->world, packet->in, is_closed_to_node, ways, ret, err);
}

// ---- unknown pods --------------------------------------------------------------------------------------------------

static bool is_in_pod_cidr(const struct ways *ways, const struct address *address)
{
    const struct policy_options *options = ways->options;
    const struct node *node = state_node(ways->world->state, ways->world->node);
    const struct prefix *cidrs = options->n_pod_cidrs ? options->pod_cidrs : node ? node->pod_cidrs : NULL;
    size_t n = options->n_pod_cidrs ? options->n_pod_cidrs : node ? node->n_pod_cidrs : 0;
    for (size_t i = 0; i < n; i++) {
        if (prefix_contains(&cidrs[i], address)) {
            return true;
        }
    }
    return false;
}

static int is_unknown(const struct ways *ways, const struct address *address, bool *ret, struct err *err)
{
    bool own;
    if (!is_in_pod_cidr(ways, address) || seat_owner(ways->world, address)) {
        return 0;
    }
    if (is_node_address(ways->world, address, true, &own, err) < 0) {
        return -1;
    }
    *ret = !own;
    return 0;
}

static int has_unknown_end(const struct ways *ways, bool *ret, struct err *err)
{
    const struct packet *packet = ways->packet;
    if (ways->options->unknown_pods != UNKNOWN_PODS_DROP || strcmp(packet->in, "lo") == 0) {
        return 0;
    }
    if (is_unknown(ways, &packet->source, ret, err) < 0) {
        return -1;
    }
    return *ret || packet->arrival == ARRIVAL_TO_NODE ? 0 : is_unknown(ways, &packet->destination, ret, err);
}

// --------------------------------------------------------------------------------------------------------------------

int ways_drops(const struct ways *ways, bool *ret, struct err *err)
{
    bool dropped = false;
    if (has_unknown_end(ways, &dropped, err) < 0) {
        return -1;
    }
    if (ways->packet->arrival != ARRIVAL_FROM_NODE && !dropped &&
        (is_forged(ways, &dropped, err) < 0 || (!dropped && is_closed_group(ways, &dropped, err) < 0))) {
        return -1;
    }
    *ret = dropped;
    return 0;
}
