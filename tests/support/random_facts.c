// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "support/random_state.h"

enum { INTERFACES_MAX = 8, ROUTES_MAX = 12, ADDRESSES_MAX = 4 };

const char *const random_bridge_ports[RANDOM_BRIDGE_PORTS] = {"p1", "p2", "p3", "p4", "p5", "veth2"};

static const char *const pod_facing[] = {"br0", "cni0", "cni0", "veth1", "veth2", "gone0"};

static void *allocate(struct facts *facts, size_t size)
{
    void *memory = arena_alloc(&facts->arena, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

// addresses: ends with NULL; sorted.
static void interface(struct facts *facts, struct facts_interface *ret, const char *name, const char *kind,
                      const char *const *addresses)
{
    (void)snprintf(ret->name, sizeof(ret->name), "%s", name);
    (void)snprintf(ret->kind, sizeof(ret->kind), "%s", kind);
    struct address *v = allocate(facts, ADDRESSES_MAX * sizeof(*v));
    ret->addresses = v;
    for (; *addresses && address_parse(*addresses, &v[ret->n_addresses]); addresses++) {
        ret->n_addresses++;
    }
}

static int compare_routes(const void *a, const void *b)
{
    const struct facts_route *x = a;
    const struct facts_route *y = b;
    int order = prefix_compare(&x->prefix, &y->prefix);
    return order ? order : strcmp(x->device, y->device);
}

static void random_interfaces(struct rng *rng, struct facts *facts)
{
    static const char *const none[] = {NULL};
    static const char *const gateway[] = {"10.244.1.254", "fd00:244:1::fe", "fe80::1", NULL};
    static const char *const uplink[] = {"192.168.0.1", "fd00:168::1", NULL};
    static const char *const vips[] = {"10.96.0.1", "10.96.0.10", "fd00:96::a", NULL};
    // A virtual address may be one that a pod has as well.
    static const char *const shared[] = {"10.96.0.1", "10.244.1.3", "fd00:244:1::3", NULL};
    struct facts_interface *v = allocate(facts, INTERFACES_MAX * sizeof(*v));
    size_t n = 0;
    if (rng_chance(rng, 60)) {
        interface(facts, &v[n++], "br0", "bridge", none);
    }
    // The same name is a bridge on one node and none on another.
    interface(facts, &v[n++], "cni0", rng_chance(rng, 85) ? "bridge" : "dummy", gateway);
    interface(facts, &v[n++], "eth0", "", uplink);
    facts->ipvs = rng_chance(rng, 35);
    if (facts->ipvs && !rng_chance(rng, 10)) {
        interface(facts, &v[n++], "kube-ipvs0", "dummy", rng_chance(rng, 75) ? vips : shared);
    }
    interface(facts, &v[n++], "veth1", "veth", none);
    interface(facts, &v[n++], "veth2", "veth", none);
    (void)snprintf(v[n - 1].master, sizeof(v[n - 1].master), "%s", rng_chance(rng, 50) ? "cni0" : "");
    facts->interfaces = v;
    facts->n_interfaces = n;
}

static void random_routes(struct rng *rng, struct facts *facts)
{
    static const uint8_t cut[] = {0, 0, 1, 3, 8, 16, 64};
    size_t n = rng_below(rng, ROUTES_MAX + 1);
    struct facts_route *routes = allocate(facts, ROUTES_MAX * sizeof(*routes));
    for (size_t i = 0; i < n; i++) {
        struct address address = random_address(rng, rng_chance(rng, 50) ? FAMILY_V4 : FAMILY_V6);
        unsigned bits = family_bits(address.family);
        unsigned less = RNG_PICK(rng, cut);
        bool is_default = rng_chance(rng, 8);
        routes[i].prefix = prefix_truncate(&address, is_default || less > bits ? 0 : bits - less);
        (void)snprintf(routes[i].device, sizeof(routes[i].device), "%s", RNG_PICK(rng, pod_facing));
    }
    qsort(routes, n, sizeof(*routes), compare_routes);
    facts->routes = routes;
    facts->n_routes = n;
}

// What the node takes, and (broadcast) what it hears: few, of addresses that packets have.
static const struct facts_route *random_few(struct rng *rng, struct facts *facts, bool broadcast, size_t *ret_n)
{
    enum { FEW = 3 };
    static const uint8_t cut[] = {0, 0, 0, 1, 3, 8};
    static const char *const devices[] = {"cni0", "eth0", "br0", "lo"};
    size_t n = rng_chance(rng, 60) ? 0 : rng_below(rng, FEW + 1);
    struct facts_route *routes = allocate(facts, FEW * sizeof(*routes));
    for (size_t i = 0; i < n; i++) {
        struct address address = random_address(rng, broadcast || rng_chance(rng, 60) ? FAMILY_V4 : FAMILY_V6);
        unsigned less = RNG_PICK(rng, cut);
        routes[i].prefix = prefix_truncate(&address, family_bits(address.family) - (broadcast ? 0 : less));
        (void)snprintf(routes[i].device, sizeof(routes[i].device), "%s", RNG_PICK(rng, devices));
    }
    if (n > 1) {
        qsort(routes, n, sizeof(*routes), compare_routes);
    }
    *ret_n = n;
    return routes;
}

static int compare_ports(const void *a, const void *b)
{
    return address_compare(&((const struct facts_port *)a)->address, &((const struct facts_port *)b)->address);
}

// Few ports, so that some are shared, and two addresses of a pod often have one.
static void random_ports_of(struct rng *rng, struct facts *facts)
{
    enum { PORTS_MAX = 16 };
    struct facts_port *ports = allocate(facts, PORTS_MAX * sizeof(*ports));
    size_t n = rng_chance(rng, 25) ? 0 : rng_below(rng, PORTS_MAX + 1);
    for (size_t i = 0; i < n; i++) {
        ports[i].address = random_address(rng, rng_chance(rng, 50) ? FAMILY_V4 : FAMILY_V6);
        (void)snprintf(ports[i].port, sizeof(ports[i].port), "%s", RNG_PICK(rng, random_bridge_ports));
    }
    if (n > 1) {
        qsort(ports, n, sizeof(*ports), compare_ports);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || compare_ports(&ports[kept - 1], &ports[i]) != 0) {
            ports[kept++] = ports[i];
        }
    }
    facts->ports = ports;
    facts->n_ports = kept;
}

static void random_tunnels(struct rng *rng, struct facts *facts)
{
    static const uint16_t some[] = {80, 4789, 6081, 51820};
    uint16_t *ports = allocate(facts, sizeof(some));
    for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
        if (rng_chance(rng, 20)) {
            ports[facts->n_tunnel_ports++] = some[i];
        }
    }
    facts->tunnel_ports = ports;
}

struct facts *random_facts(struct rng *rng)
{
    struct facts *facts;
    if (facts_new(&facts, NULL) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    random_interfaces(rng, facts);
    random_routes(rng, facts);
    facts->local = random_few(rng, facts, false, &facts->n_local);
    facts->broadcast = random_few(rng, facts, true, &facts->n_broadcast);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        facts->bridge_nf[i] = (enum facts_switch)rng_below(rng, 3);
    }
    facts->bridge_nf_vlan = (enum facts_switch)rng_below(rng, 3);
    random_ports_of(rng, facts);
    random_tunnels(rng, facts);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        facts->revoked[i] = rng_chance(rng, 20);
    }
    return facts;
}
