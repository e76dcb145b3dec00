// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "support/random_state.h"

static const char *const pod_facing[] = {"cni0", "veth1", "veth2"};

static void interface(struct facts *facts, struct facts_interface *ret, const char *name, const char *kind,
                      const char *address)
{
    (void)snprintf(ret->name, sizeof(ret->name), "%s", name);
    (void)snprintf(ret->kind, sizeof(ret->kind), "%s", kind);
    struct address *addresses = arena_alloc(&facts->arena, sizeof(*addresses));
    if (addresses && address && address_parse(address, addresses)) {
        ret->addresses = addresses;
        ret->n_addresses = 1;
    }
}

static int compare_routes(const void *a, const void *b)
{
    const struct facts_route *x = a;
    const struct facts_route *y = b;
    int order = prefix_compare(&x->prefix, &y->prefix);
    return order ? order : strcmp(x->device, y->device);
}

struct facts *random_facts(struct rng *rng)
{
    enum { INTERFACES = 5, ROUTES = 8 };
    struct facts *facts;
    if (facts_new(&facts, NULL) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    struct facts_interface *interfaces = arena_alloc(&facts->arena, INTERFACES * sizeof(*interfaces));
    struct facts_route *routes = arena_alloc(&facts->arena, ROUTES * sizeof(*routes));
    if (!interfaces || !routes) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    size_t n = 0;
    interface(facts, &interfaces[n++], "cni0", "bridge", "10.244.1.254");
    interface(facts, &interfaces[n++], "eth0", "", "192.168.0.1");
    facts->ipvs = rng_chance(rng, 30);
    if (facts->ipvs) {
        interface(facts, &interfaces[n++], "kube-ipvs0", "dummy", "10.96.0.10");
    }
    interface(facts, &interfaces[n++], "veth1", "veth", NULL);
    interface(facts, &interfaces[n++], "veth2", "veth", NULL);
    facts->interfaces = interfaces;
    facts->n_interfaces = n;
    for (size_t i = 0; i < ROUTES; i++) {
        struct address address = random_address(rng, rng_chance(rng, 50) ? FAMILY_V4 : FAMILY_V6);
        unsigned bits = family_bits(address.family);
        routes[i].prefix = prefix_truncate(&address, rng_chance(rng, 50) ? bits : bits - 8);
        (void)snprintf(routes[i].device, sizeof(routes[i].device), "%s", RNG_PICK(rng, pod_facing));
    }
    qsort(routes, ROUTES, sizeof(*routes), compare_routes);
    facts->routes = routes;
    facts->n_routes = ROUTES;
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        facts->bridge_nf[i] = (enum facts_switch)rng_below(rng, 3);
    }
    return facts;
}
