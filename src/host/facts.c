// SPDX-License-Identifier: Apache-2.0
#include "host/facts.h"

#define FACTS_IPVS_DEVICE "kube-ipvs0"

void facts_free(struct facts *facts)
{
    if (!facts) {
        return;
    }
    arena_free(&facts->arena);
    free(facts);
}

int facts_new(struct facts **ret, struct err *err)
{
    struct facts *facts = calloc(1, sizeof(*facts));
    if (!facts) {
        return err_oom(err);
    }
    *ret = facts;
    return 0;
}

static bool interface_equal(const struct facts_interface *a, const struct facts_interface *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->kind, b->kind) != 0 || strcmp(a->master, b->master) != 0 ||
        a->n_addresses != b->n_addresses) {
        return false;
    }
    for (size_t i = 0; i < a->n_addresses; i++) {
        if (!address_equal(&a->addresses[i], &b->addresses[i])) {
            return false;
        }
    }
    return true;
}

static bool ports_equal(const struct facts *a, const struct facts *b)
{
    if (a->n_ports != b->n_ports || a->n_tunnel_ports != b->n_tunnel_ports) {
        return false;
    }
    for (size_t i = 0; i < a->n_ports; i++) {
        if (!address_equal(&a->ports[i].address, &b->ports[i].address) ||
            strcmp(a->ports[i].port, b->ports[i].port) != 0) {
            return false;
        }
    }
    return a->n_tunnel_ports == 0 ||
           memcmp(a->tunnel_ports, b->tunnel_ports, a->n_tunnel_ports * sizeof(*a->tunnel_ports)) == 0;
}

static bool routes_equal(const struct facts_route *a, size_t n_a, const struct facts_route *b, size_t n_b)
{
    bool equal = n_a == n_b;
    for (size_t i = 0; equal && i < n_a; i++) {
        equal = prefix_compare(&a[i].prefix, &b[i].prefix) == 0 && strcmp(a[i].device, b[i].device) == 0;
    }
    return equal;
}

bool facts_equal(const struct facts *a, const struct facts *b)
{
    if (a->n_interfaces != b->n_interfaces || a->ipvs != b->ipvs || a->bridge_nf_vlan != b->bridge_nf_vlan ||
        !ports_equal(a, b)) {
        return false;
    }
    for (int family = 0; family < FAMILY_COUNT; family++) {
        if (a->bridge_nf[family] != b->bridge_nf[family] || a->revoked[family] != b->revoked[family]) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n_interfaces; i++) {
        if (!interface_equal(&a->interfaces[i], &b->interfaces[i])) {
            return false;
        }
    }
    return routes_equal(a->routes, a->n_routes, b->routes, b->n_routes) &&
           routes_equal(a->local, a->n_local, b->local, b->n_local) &&
           routes_equal(a->broadcast, a->n_broadcast, b->broadcast, b->n_broadcast);
}

const struct facts_interface *facts_interface(const struct facts *facts, const char *name)
{
    size_t low = 0;
    size_t high = facts->n_interfaces;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(facts->interfaces[middle].name, name);
        if (order == 0) {
            return &facts->interfaces[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

// How many routes sort before or are equal to the prefix.
static size_t routes_up_to(const struct facts *facts, const struct prefix *prefix)
{
    size_t low = 0;
    size_t high = facts->n_routes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (prefix_compare(&facts->routes[middle].prefix, prefix) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// The last route at or before the address itself either holds it, or shares c leading bits with it; what holds the
// address is then at most c long, and sorts at or before the address cut to c bits. So each round shortens the key.
static const struct facts_route *longest_route(const struct facts *facts, const struct address *address)
{
    struct prefix key = prefix_of(address);
    for (;;) {
        size_t n = routes_up_to(facts, &key);
        if (n == 0 || facts->routes[n - 1].prefix.address.family != address->family) {
            return NULL;
        }
        const struct prefix *found = &facts->routes[n - 1].prefix;
        if (prefix_contains(found, address)) {
            // Several devices: the first of them, as sorted.
            while (n > 1 && prefix_compare(&facts->routes[n - 2].prefix, found) == 0) {
                n--;
            }
            return found->length > 0 ? &facts->routes[n - 1] : NULL;
        }
        struct prefix common = prefix_common(&key, found);
        if (common.length == 0 || common.length >= key.length) {
            return NULL;
        }
        key = common;
    }
}

const struct facts_interface *facts_pod_interface(const struct facts *facts, const struct address *address)
{
    const struct facts_route *route = longest_route(facts, address);
    return route ? facts_interface(facts, route->device) : NULL;
}

bool facts_is_own_address(const struct facts *facts, const struct address *address)
{
    for (size_t i = 0; i < facts->n_interfaces; i++) {
        const struct facts_interface *interface = &facts->interfaces[i];
        if (interface->n_addresses == 0 || strcmp(interface->name, FACTS_IPVS_DEVICE) == 0) {
            continue;
        }
        if (bsearch(address, interface->addresses, interface->n_addresses, sizeof(*address), address_compare_void)) {
            return true;
        }
    }
    return false;
}

bool facts_is_connected(const struct facts *facts, const struct facts_route *route)
{
    const struct facts_interface *device = facts_interface(facts, route->device);
    for (size_t i = 0; route->prefix.length > 0 && device && i < device->n_addresses; i++) {
        if (prefix_contains(&route->prefix, &device->addresses[i])) {
            return true;
        }
    }
    return false;
}

// Whether one of the device's own networks is the narrowest that holds all of this one.
static bool is_narrowest(const struct facts *facts, const struct facts_interface *device, const struct prefix *network)
{
    unsigned longest = 0;
    bool is = false;
    for (size_t i = 0; i < facts->n_routes; i++) {
        const struct facts_route *route = &facts->routes[i];
        if (route->prefix.length < longest || route->prefix.length == 0 || !prefix_covers(&route->prefix, network)) {
            continue;
        }
        bool own = strcmp(route->device, device->name) == 0 && facts_is_connected(facts, route);
        is = own || (is && route->prefix.length == longest);
        longest = route->prefix.length;
    }
    return is;
}

bool facts_leads_into(const struct facts *facts, const struct facts_interface *device, const struct prefix *networks,
                      size_t n)
{
    for (size_t i = 0; i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        for (size_t j = 0; strcmp(facts->routes[i].device, device->name) == 0 && j < n; j++) {
            if (prefix_covers(&networks[j], prefix)) {
                return true;
            }
        }
    }
    for (size_t j = 0; j < n; j++) {
        if (is_narrowest(facts, device, &networks[j])) {
            return true;
        }
    }
    return false;
}

static int compare_port(const void *address, const void *port)
{
    return address_compare(address, &((const struct facts_port *)port)->address);
}

const struct facts_port *facts_pod_port(const struct facts *facts, const struct address *address)
{
    return facts->n_ports > 0 ? bsearch(address, facts->ports, facts->n_ports, sizeof(*facts->ports), compare_port)
                              : NULL;
}
