// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate_guard.h"

#include <string.h>

#include "policy/evaluate_match.h"
#include "policy/evaluate_seat.h"
#include "policy/evaluate_ways.h"

enum { PROTOCOL_ICMPV6 = 58, NDP_FIRST = 133, NDP_ADVERTISEMENT = 134, NDP_LAST = 137, NDP_REDIRECT = 137 };

// Is some address of the node's enforced pods what is asked for?
typedef bool wanted_fn(const struct facts *facts, const struct address *address, const void *arg);

// Isolated in one direction or the other.
static int is_isolated(struct state *state, const struct pod *pod, bool *ret, struct err *err)
{
    size_t n;
    const struct policy *const *policies = state_policies_of(state, pod->meta.ns, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    *ret = false;
    for (size_t i = 0; i < n && !*ret; i++) {
        for (size_t d = 0; d < DIRECTION_COUNT; d++) {
            const struct attempt attempt = {.state = state, .direction = (enum direction)d, .pod = pod};
            *ret = *ret || policy_isolates(policies[i], &attempt);
        }
    }
    return 0;
}

static bool has_wanted(const struct state *state, const struct facts *facts, const struct pod *pod, wanted_fn *wanted,
                       const void *arg)
{
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (state_owner(state, &pod->addresses[i]) == pod && wanted(facts, &pod->addresses[i], arg)) {
            return true;
        }
    }
    return false;
}

// Does an isolated pod of the node own an address that is wanted? Only live pods own any.
static int any_enforced(struct state *state, const char *node, const struct facts *facts, wanted_fn *wanted,
                        const void *arg, bool *ret, struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    bool found = false;
    for (size_t i = 0; node && *node && !found && i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0 && has_wanted(state, facts, pods[i], wanted, arg) &&
            is_isolated(state, pods[i], &found, err) < 0) {
            return -1;
        }
    }
    *ret = found;
    return 0;
}

static bool is_behind(const struct facts *facts, const struct address *address, const void *name)
{
    const struct facts_interface *interface = facts_pod_interface(facts, address);
    return interface && strcmp(interface->name, name) == 0;
}

// The same for one interface by its name. A route to a single address names the pod by itself, which spares looking at
// every pod of the cluster for every packet.
static int any_enforced_behind(struct state *state, const char *node, const struct facts *facts, const char *name,
                               bool *ret, struct err *err)
{
    bool wide = false;
    bool found = false;
    for (size_t i = 0; !found && i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        if (strcmp(facts->routes[i].device, name) != 0) {
            continue;
        }
        if (prefix->length < family_bits(prefix->address.family)) {
            wide = true;
            continue;
        }
        const struct pod *pod = state_owner(state, &prefix->address);
        if (pod && node && *node && strcmp(pod->node, node) == 0 && is_behind(facts, &prefix->address, name) &&
            is_isolated(state, pod, &found, err) < 0) {
            return -1;
        }
    }
    if (wide && !found) {
        return any_enforced(state, node, facts, is_behind, name, ret, err);
    }
    *ret = found;
    return 0;
}

// An isolated pod is behind the interface, or may be.
static int is_closed(const struct guard_world *world, const struct policy_options *options, const char *name, bool *ret,
                     struct err *err)
{
    bool closed;
    if (seat_has_unknown(world, options, name, &closed, err) < 0 ||
        (!closed && any_enforced_behind(world->state, world->node, world->facts, name, &closed, err) < 0)) {
        return -1;
    }
    *ret = closed;
    return 0;
}

static int any_closed_bridge(const struct guard_world *world, const struct policy_options *options, bool *ret,
                             struct err *err)
{
    bool closed = false;
    for (size_t i = 0; world->facts && !closed && i < world->facts->n_interfaces; i++) {
        const struct facts_interface *interface = &world->facts->interfaces[i];
        if (strcmp(interface->kind, "bridge") == 0 &&
            seat_has_unknown(world, options, interface->name, &closed, err) < 0) {
            return -1;
        }
    }
    *ret = closed;
    return 0;
}

static bool is_bridged(const struct facts *facts, const struct address *address)
{
    const struct facts_interface *interface = facts ? facts_pod_interface(facts, address) : NULL;
    return interface && strcmp(interface->kind, "bridge") == 0;
}

// IPv6 is judged in FORWARD: a pod with such an address, or neighbours on a bridge.
static bool meets_ipv6(const struct facts *facts, const struct address *address, const void *unused)
{
    (void)unused;
    return address->family == FAMILY_V6 || is_bridged(facts, address);
}

// Between ports of one bridge.
static bool crosses_bridge(const struct facts *facts, const struct packet *packet)
{
    const struct facts_interface *in = facts_interface(facts, packet->in);
    return in && strcmp(in->kind, "bridge") == 0 && strcmp(packet->in, packet->out) == 0;
}

static bool is_forged_discovery(const struct packet *packet)
{
    // The valid ones passed unjudged.
    return packet->protocol == PROTOCOL_ICMPV6 && packet->icmp_type >= NDP_FIRST && packet->icmp_type <= NDP_LAST &&
           address_is_multicast(&packet->destination);
}

int guard_is_false_router(struct state *state, const char *node, const struct facts *facts,
                          const struct policy_options *options, const struct packet *packet, bool *ret, struct err *err)
{
    const struct guard_world world = {.state = state, .node = node ? node : "", .facts = facts};
    bool router = packet->icmp_type == NDP_ADVERTISEMENT || packet->icmp_type == NDP_REDIRECT;
    bool uplink;
    *ret = false;
    if (!facts || packet->arrival != ARRIVAL_FORWARD || packet->source.family != FAMILY_V6 ||
        packet->protocol != PROTOCOL_ICMPV6 || !router || !crosses_bridge(facts, packet)) {
        return 0;
    }
    if (seat_is_uplink(&world, facts_interface(facts, packet->in), &uplink, err) < 0) {
        return -1;
    }
    return uplink ? 0 : is_closed(&world, options, packet->in, ret, err);
}

// Neighbour discovery and link-local addresses.
static int drops_on_link(const struct guard_world *world, const struct policy_options *options,
                         const struct packet *packet, bool *ret, struct err *err)
{
    const struct facts *facts = world->facts;
    bool forward = packet->arrival == ARRIVAL_FORWARD;
    bool to_node = packet->arrival == ARRIVAL_TO_NODE && !options->host_egress_allowed;
    *ret = false;
    if (packet->source.family != FAMILY_V6 || (!forward && !to_node)) {
        return 0;
    }
    bool link_local = address_is_link_local(&packet->source) || address_is_link_local(&packet->destination);
    if (facts && link_local && (to_node || crosses_bridge(facts, packet)) &&
        is_closed(world, options, packet->in, ret, err) < 0) {
        return -1;
    }
    if (*ret || !forward || !is_forged_discovery(packet)) {
        return 0;
    }
    if (any_enforced(world->state, world->node, facts, meets_ipv6, NULL, ret, err) < 0) {
        return -1;
    }
    return *ret ? 0 : any_closed_bridge(world, options, ret, err);
}

static int is_enforced_bridge(const struct ways *ways, const char *name, bool *ret, struct err *err)
{
    return is_closed(ways->world, ways->options, name, ret, err);
}

int guard_is_forged_tunnel(struct state *state, const char *node, const struct facts *facts,
                           const struct policy_options *options, const struct packet *packet, bool *ret,
                           struct err *err)
{
    const struct guard_world world = {.state = state, .node = node ? node : "", .facts = facts};
    const struct ways ways = {
        .world = &world, .options = options, .packet = packet, .is_enforced_bridge = is_enforced_bridge};
    return ways_is_forged_tunnel(&ways, ret, err);
}

int guard_drops(struct state *state, const char *node, const struct facts *facts, const struct policy_options *options,
                const struct packet *packet, bool *ret, struct err *err)
{
    const struct guard_world world = {.state = state, .node = node ? node : "", .facts = facts};
    const struct ways ways = {
        .world = &world, .options = options, .packet = packet, .is_enforced_bridge = is_enforced_bridge};
    bool dropped;
    if (drops_on_link(&world, options, packet, &dropped, err) < 0 ||
        (!dropped && ways_drops(&ways, &dropped, err) < 0)) {
        return -1;
    }
    *ret = dropped;
    return 0;
}

bool guard_is_virtual(const struct facts *facts, const struct address *address)
{
    const struct facts_interface *ipvs = facts && facts->ipvs ? facts_interface(facts, "kube-ipvs0") : NULL;
    for (size_t i = 0; ipvs && i < ipvs->n_addresses; i++) {
        if (address_equal(&ipvs->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

bool guard_is_revoked(const struct facts *facts, const struct policy_options *options, const struct packet *packet)
{
    return facts && facts->revoked[packet->source.family] && (packet->connmark & options->revoke_mask);
}
