// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate_seat.h"

#include <string.h>

const struct pod *seat_owner(const struct guard_world *world, const struct address *address)
{
    const struct pod *pod = state_owner(world->state, address);
    return pod && *world->node && strcmp(pod->node, world->node) == 0 ? pod : NULL;
}

static bool is_whole(const struct prefix *prefix)
{
    return prefix->length == family_bits(prefix->address.family);
}

// Routes that every device may have, or that only the node's own packets take.
static bool says_nothing(const struct facts *facts, const struct prefix *prefix)
{
    return (prefix->length > 0 && address_is_link_local(&prefix->address)) ||
           (is_whole(prefix) && facts_is_own_address(facts, &prefix->address));
}

// Of a device: does one of its routes lead to the very address, and all of them to this pod?
static void look_at_routes(const struct guard_world *world, const struct address *address, struct seat *seat,
                           bool *ret_host_route)
{
    *ret_host_route = false;
    seat->alone = true;
    for (size_t i = 0; i < world->facts->n_routes; i++) {
        const struct facts_route *route = &world->facts->routes[i];
        if (strcmp(route->device, seat->behind->name) != 0) {
            continue;
        }
        bool whole = is_whole(&route->prefix);
        *ret_host_route = *ret_host_route || (whole && address_equal(&route->prefix.address, address));
        if (!says_nothing(world->facts, &route->prefix) &&
            !(whole && state_owner(world->state, &route->prefix.address) == seat->pod)) {
            seat->alone = false;
        }
    }
}

static void look_at_ports(const struct guard_world *world, const struct address *address, struct seat *seat)
{
    const struct facts_port *port = facts_pod_port(world->facts, address);
    seat->alone = port != NULL;
    for (size_t i = 0; port && i < world->facts->n_ports; i++) {
        const struct facts_port *other = &world->facts->ports[i];
        if (strcmp(other->port, port->port) == 0) {
            const struct pod *owner = seat_owner(world, &other->address);
            seat->alone = seat->alone && (!owner || owner == seat->pod);
        }
    }
    seat->port = seat->alone ? port->port : NULL;
}

bool seat_of(const struct guard_world *world, const struct address *address, struct seat *ret)
{
    struct seat seat = {.pod = seat_owner(world, address)};
    seat.behind = seat.pod && world->facts ? facts_pod_interface(world->facts, address) : NULL;
    if (!seat.behind) {
        return false;
    }
    bool host_route = true;
    seat.bridge = strcmp(seat.behind->kind, "bridge") == 0;
    if (seat.bridge) {
        look_at_ports(world, address, &seat);
    } else {
        look_at_routes(world, address, &seat, &host_route);
    }
    *ret = seat;
    return host_route;
}

static int ask_behind(const struct guard_world *world, const struct pod *pod, const struct address *address,
                      const char *interface, seat_fn *wanted, const void *arg, bool *found, struct err *err)
{
    struct seat seat;
    const struct facts_interface *behind = facts_pod_interface(world->facts, address);
    if (!behind || strcmp(behind->name, interface) != 0 || !seat_of(world, address, &seat) || seat.pod != pod) {
        return 0;
    }
    return wanted(world, &seat, arg, found, err);
}

int seat_any(const struct guard_world *world, const char *interface, seat_fn *wanted, const void *arg, bool *ret,
             struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(world->state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    bool found = false;
    for (size_t i = 0; world->facts && *interface && !found && i < n; i++) {
        for (size_t j = 0; !found && strcmp(pods[i]->node, world->node) == 0 && j < pods[i]->n_addresses; j++) {
            if (ask_behind(world, pods[i], &pods[i]->addresses[j], interface, wanted, arg, &found, err) < 0) {
                return -1;
            }
        }
    }
    *ret = found;
    return 0;
}

int seat_any_at_port(const struct guard_world *world, const char *port, seat_fn *wanted, const void *arg, bool *ret,
                     struct err *err)
{
    bool found = false;
    for (size_t i = 0; world->facts && *port && !found && i < world->facts->n_ports; i++) {
        const struct facts_port *at = &world->facts->ports[i];
        struct seat seat;
        if (strcmp(at->port, port) == 0 && seat_of(world, &at->address, &seat) && seat.bridge && seat.alone &&
            wanted(world, &seat, arg, &found, err) < 0) {
            return -1;
        }
    }
    *ret = found;
    return 0;
}

static int ask_alone(const struct guard_world *world, const struct address *address, const char *interface,
                     seat_fn *wanted, const void *arg, bool *found, struct err *err)
{
    struct seat seat;
    return *found || !seat_of(world, address, &seat) || !seat.alone || strcmp(seat.behind->name, interface) != 0
               ? 0
               : wanted(world, &seat, arg, found, err);
}

int seat_any_alone(const struct guard_world *world, const char *interface, const char *port, seat_fn *wanted,
                   const void *arg, bool *ret, struct err *err)
{
    const struct facts *facts = world->facts;
    const struct facts_interface *in = facts && *interface ? facts_interface(facts, interface) : NULL;
    bool bridge = in && strcmp(in->kind, "bridge") == 0;
    bool found = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && bridge && *port && i < facts->n_ports; i++) {
        if (strcmp(facts->ports[i].port, port) == 0) {
            rc = ask_alone(world, &facts->ports[i].address, interface, wanted, arg, &found, err);
        }
    }
    for (size_t i = 0; rc == 0 && in && !bridge && i < facts->n_routes; i++) {
        const struct facts_route *route = &facts->routes[i];
        if (is_whole(&route->prefix) && strcmp(route->device, interface) == 0) {
            rc = ask_alone(world, &route->prefix.address, interface, wanted, arg, &found, err);
        }
    }
    if (rc == 0) {
        *ret = found;
    }
    return rc;
}

int seat_is_uplink(const struct guard_world *world, const struct facts_interface *interface, bool *ret, struct err *err)
{
    size_t n;
    const struct node *const *nodes = state_nodes(world->state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    bool uplink = false;
    for (size_t i = 0; i < world->facts->n_routes; i++) {
        const struct facts_route *route = &world->facts->routes[i];
        uplink = uplink || (route->prefix.length == 0 && strcmp(route->device, interface->name) == 0);
    }
    for (size_t i = 0; !uplink && i < n; i++) {
        for (size_t j = 0; strcmp(nodes[i]->meta.name, world->node) != 0 && j < nodes[i]->n_addresses; j++) {
            uplink = uplink || facts_pod_interface(world->facts, &nodes[i]->addresses[j]) == interface;
        }
    }
    *ret = uplink;
    return 0;
}

static bool is_vacant(const struct guard_world *world, const struct prefix *prefix, const struct prefix *cidrs,
                      size_t n)
{
    for (size_t i = 0; is_whole(prefix) && i < n; i++) {
        if (prefix_contains(&cidrs[i], &prefix->address)) {
            return !facts_is_own_address(world->facts, &prefix->address) && !seat_owner(world, &prefix->address);
        }
    }
    return false;
}

int seat_has_unknown(const struct guard_world *world, const struct policy_options *options, const char *name, bool *ret,
                     struct err *err)
{
    const struct facts_interface *interface = facts_interface(world->facts, name);
    const struct node *node = state_node(world->state, world->node);
    const struct prefix *cidrs = options->n_pod_cidrs ? options->pod_cidrs : node ? node->pod_cidrs : NULL;
    size_t n = options->n_pod_cidrs ? options->n_pod_cidrs : node ? node->n_pod_cidrs : 0;
    bool uplink;
    *ret = false;
    if (options->unknown_pods != UNKNOWN_PODS_DROP || !interface) {
        return 0;
    }
    bool vacant = strcmp(interface->kind, "bridge") == 0 && facts_leads_into(world->facts, interface, cidrs, n);
    for (size_t i = 0; !vacant && i < world->facts->n_routes; i++) {
        vacant = strcmp(world->facts->routes[i].device, name) == 0 &&
                 is_vacant(world, &world->facts->routes[i].prefix, cidrs, n);
    }
    if (!vacant) {
        return 0;
    }
    if (seat_is_uplink(world, interface, &uplink, err) < 0) {
        return -1;
    }
    *ret = !uplink;
    return 0;
}
