// SPDX-License-Identifier: Apache-2.0
#include "host/facts_build.h"

void facts_build_free(struct facts_build *build)
{
    vec_free(&build->interfaces);
    vec_free(&build->addresses);
    vec_free(&build->routes);
    vec_free(&build->local);
    vec_free(&build->broadcast);
    vec_free(&build->ports);
    vec_free(&build->tunnel_ports);
}

static int interface_compare(const void *a, const void *b)
{
    const struct facts_interface *left = a;
    const struct facts_interface *right = b;
    return strcmp(left->name, right->name);
}

static int build_address_compare(const void *a, const void *b)
{
    const struct facts_build_address *left = a;
    const struct facts_build_address *right = b;
    int order = strcmp(left->interface, right->interface);
    return order ? order : address_compare(&left->address, &right->address);
}

static int build_route_compare(const void *a, const void *b)
{
    const struct facts_build_route *left = a;
    const struct facts_build_route *right = b;
    int order = prefix_compare(&left->route.prefix, &right->route.prefix);
    if (order) {
        return order;
    }
    if (left->metric != right->metric) {
        return left->metric < right->metric ? -1 : 1;
    }
    return strcmp(left->route.device, right->route.device);
}

static int port_compare(const void *a, const void *b)
{
    return address_compare(&((const struct facts_port *)a)->address, &((const struct facts_port *)b)->address);
}

static int number_compare(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

// interfaces and build->addresses are both sorted by interface name: one walk over both.
static int finish_addresses(const struct facts_build *build, struct facts_interface *interfaces, struct facts *facts,
                            struct err *err)
{
    struct address *all = arena_alloc(&facts->arena, build->addresses.n * sizeof(*all));
    if (!all) {
        return err_oom(err);
    }
    size_t used = 0;
    size_t at = 0;
    for (size_t i = 0; i < build->interfaces.n; i++) {
        struct facts_interface *interface = &interfaces[i];
        struct address *first = all + used;
        interface->addresses = first;
        interface->n_addresses = 0;
        for (; at < build->addresses.n; at++) {
            const struct facts_build_address *next = &build->addresses.v[at];
            int order = strcmp(next->interface, interface->name);
            if (order > 0) {
                break;
            }
            size_t n = interface->n_addresses;
            if (order == 0 && (n == 0 || !address_equal(&first[n - 1], &next->address))) {
                first[interface->n_addresses++] = next->address;
            }
        }
        used += interface->n_addresses;
    }
    return 0;
}

static int finish_routes(struct facts_build_routes *from, struct facts *facts, const struct facts_route **ret,
                         size_t *ret_n, struct err *err)
{
    struct facts_route *routes = arena_alloc(&facts->arena, from->n * sizeof(*routes));
    if (!routes) {
        return err_oom(err);
    }
    if (from->n > 1) {
        qsort(from->v, from->n, sizeof(*from->v), build_route_compare);
    }
    size_t n = 0;
    uint32_t metric = 0;
    for (size_t i = 0; i < from->n; i++) {
        const struct facts_build_route *next = &from->v[i];
        bool same = n > 0 && prefix_compare(&routes[n - 1].prefix, &next->route.prefix) == 0;
        if (same && (metric != next->metric || strcmp(routes[n - 1].device, next->route.device) == 0)) {
            continue;
        }
        routes[n++] = next->route;
        metric = next->metric;
    }
    *ret = routes;
    *ret_n = n;
    return 0;
}

static bool is_of_interface(const struct facts *facts, const struct prefix *prefix)
{
    bool is = false;
    for (size_t i = 0; prefix->length == family_bits(prefix->address.family) && !is && i < facts->n_interfaces; i++) {
        const struct facts_interface *interface = &facts->interfaces[i];
        is = interface->n_addresses > 0 && bsearch(&prefix->address, interface->addresses, interface->n_addresses,
                                                   sizeof(struct address), address_compare_void);
    }
    return is;
}

static int finish_all_routes(struct facts_build *build, struct facts *facts, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < build->local.n; i++) {
        if (!is_of_interface(facts, &build->local.v[i].route.prefix)) {
            build->local.v[n++] = build->local.v[i];
        }
    }
    build->local.n = n;
    return finish_routes(&build->routes, facts, &facts->routes, &facts->n_routes, err) < 0 ||
                   finish_routes(&build->local, facts, &facts->local, &facts->n_local, err) < 0
               ? -1
               : finish_routes(&build->broadcast, facts, &facts->broadcast, &facts->n_broadcast, err);
}

static int finish_ports(const struct facts_build *build, struct facts *facts, struct err *err)
{
    struct facts_port *ports = arena_alloc(&facts->arena, build->ports.n * sizeof(*ports));
    if (!ports) {
        return err_oom(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < build->ports.n; i++) {
        const struct facts_port *next = &build->ports.v[i];
        if (n == 0 || port_compare(&ports[n - 1], next) != 0) {
            ports[n++] = *next;
        } else if (strcmp(ports[n - 1].port, next->port) != 0) {
            char text[ADDRESS_TEXT];
            return err_set(err, ERR_INPUT, 0, "%s is behind two ports, %s and %s", address_format(&next->address, text),
                           ports[n - 1].port, next->port);
        }
    }
    facts->ports = ports;
    facts->n_ports = n;
    return 0;
}

static int finish_tunnel_ports(const struct facts_build *build, struct facts *facts, struct err *err)
{
    uint16_t *ports = arena_alloc(&facts->arena, build->tunnel_ports.n * sizeof(*ports));
    if (!ports) {
        return err_oom(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < build->tunnel_ports.n; i++) {
        if (n == 0 || ports[n - 1] != build->tunnel_ports.v[i]) {
            ports[n++] = build->tunnel_ports.v[i];
        }
    }
    facts->tunnel_ports = ports;
    facts->n_tunnel_ports = n;
    return 0;
}

int facts_build_finish(struct facts_build *build, struct facts **ret, struct err *err)
{
    CLEANUP(facts_free) struct facts *facts = NULL;
    if (facts_new(&facts, err) < 0) {
        return -1;
    }
    if (build->interfaces.n) {
        qsort(build->interfaces.v, build->interfaces.n, sizeof(*build->interfaces.v), interface_compare);
    }
    if (build->addresses.n) {
        qsort(build->addresses.v, build->addresses.n, sizeof(*build->addresses.v), build_address_compare);
    }
    if (build->ports.n) {
        qsort(build->ports.v, build->ports.n, sizeof(*build->ports.v), port_compare);
    }
    if (build->tunnel_ports.n) {
        qsort(build->tunnel_ports.v, build->tunnel_ports.n, sizeof(*build->tunnel_ports.v), number_compare);
    }
    struct facts_interface *interfaces = arena_alloc(&facts->arena, build->interfaces.n * sizeof(*interfaces));
    if (!interfaces) {
        return err_oom(err);
    }
    for (size_t i = 0; i < build->interfaces.n; i++) {
        interfaces[i] = build->interfaces.v[i];
        if (i > 0 && strcmp(interfaces[i - 1].name, interfaces[i].name) == 0) {
            return err_set(err, ERR_INPUT, 0, "two interfaces are named %s", interfaces[i].name);
        }
    }
    if (finish_addresses(build, interfaces, facts, err) < 0) {
        return -1;
    }
    facts->interfaces = interfaces;
    facts->n_interfaces = build->interfaces.n;
    if (finish_all_routes(build, facts, err) < 0 || finish_ports(build, facts, err) < 0 ||
        finish_tunnel_ports(build, facts, err) < 0) {
        return -1;
    }
    memcpy(facts->bridge_nf, build->bridge_nf, sizeof(facts->bridge_nf));
    facts->bridge_nf_vlan = build->bridge_nf_vlan;
    memcpy(facts->revoked, build->revoked, sizeof(facts->revoked));
    facts->ipvs = build->ipvs;
    *ret = TAKE(facts);
    return 0;
}

static int add_interface(struct facts_build *build, const struct facts_interface *interface)
{
    struct facts_interface copy = *interface;
    copy.addresses = NULL;
    copy.n_addresses = 0;
    for (size_t i = 0; i < interface->n_addresses; i++) {
        struct facts_build_address address = {.address = interface->addresses[i]};
        memcpy(address.interface, interface->name, sizeof(address.interface));
        if (vec_push(&build->addresses, address) < 0) {
            return -1;
        }
    }
    return vec_push(&build->interfaces, copy);
}

static int add_routes(const struct facts_route *routes, size_t n, struct facts_build_routes *to)
{
    for (size_t i = 0; i < n; i++) {
        if (vec_push(to, (struct facts_build_route){.route = routes[i]}) < 0) {
            return -1;
        }
    }
    return 0;
}

int facts_with(const struct facts *facts, const struct facts_port *ports, size_t n, const bool revoked[FAMILY_COUNT],
               struct facts **ret, struct err *err)
{
    FACTS_BUILD_CLEANUP struct facts_build build = {.bridge_nf_vlan = facts->bridge_nf_vlan, .ipvs = facts->ipvs};
    memcpy(build.bridge_nf, facts->bridge_nf, sizeof(build.bridge_nf));
    memcpy(build.revoked, revoked, sizeof(build.revoked));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < facts->n_interfaces; i++) {
        rc = add_interface(&build, &facts->interfaces[i]);
    }
    rc = rc < 0 || add_routes(facts->routes, facts->n_routes, &build.routes) < 0 ||
                 add_routes(facts->local, facts->n_local, &build.local) < 0
             ? -1
             : add_routes(facts->broadcast, facts->n_broadcast, &build.broadcast);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = vec_push(&build.ports, ports[i]);
    }
    for (size_t i = 0; rc == 0 && i < facts->n_tunnel_ports; i++) {
        rc = vec_push(&build.tunnel_ports, facts->tunnel_ports[i]);
    }
    return rc < 0 ? err_oom(err) : facts_build_finish(&build, ret, err);
}
