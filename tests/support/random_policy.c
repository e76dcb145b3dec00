// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "support/random_state.h"

static const char *const keys[] = {"app", "env", "pod", "tier", "kubernetes.io/metadata.name"};
static const char *const values[] = {"a", "b", "prod", "", "x", "y", "Prod"};

static void remember_port(struct random_cluster *cluster, uint16_t port)
{
    if (vec_push(&cluster->ports, port) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_requirements(const void *a, const void *b)
{
    return requirement_compare(a, b);
}

static void random_values(struct random_cluster *cluster, struct requirement *requirement)
{
    const char **v = random_alloc(cluster, ARRAY_SIZE(values), sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (rng_chance(&cluster->rng, 40)) {
            v[n++] = values[i];
        }
    }
    if (n == 0 && !cluster->wild) {
        v[n++] = RNG_PICK(&cluster->rng, values);
    }
    qsort(v, n, sizeof(*v), compare_texts);
    requirement->values = v;
    requirement->n_values = n;
}

static struct selector random_selector(struct random_cluster *cluster)
{
    static const enum selector_operator operators[] = {SELECTOR_IN,     SELECTOR_IN,         SELECTOR_NOT_IN,
                                                       SELECTOR_EXISTS, SELECTOR_NOT_EXISTS, SELECTOR_IN};
    struct rng *rng = &cluster->rng;
    size_t n = rng_chance(rng, 30) ? 0 : 1 + rng_below(rng, rng_chance(rng, 15) ? 4 : 2);
    struct requirement *v = random_alloc(cluster, n + 1, sizeof(*v));
    struct selector selector = {.v = v, .unreadable = rng_chance(rng, 3)};
    for (size_t i = 0; i < n; i++) {
        v[i].key = RNG_PICK(rng, keys);
        v[i].op = RNG_PICK(rng, operators);
        if (v[i].op == SELECTOR_IN || v[i].op == SELECTOR_NOT_IN) {
            random_values(cluster, &v[i]);
        }
    }
    if (selector.unreadable && cluster->wild && rng_chance(rng, 50)) {
        v[n++] = (struct requirement){.key = "app", .op = SELECTOR_UNKNOWN};
    }
    if (n > 1) {
        qsort(v, n, sizeof(*v), compare_requirements);
    }
    for (size_t i = 0; i < n; i++) {
        if (selector.n == 0 || requirement_compare(&v[selector.n - 1], &v[i]) != 0) {
            v[selector.n++] = v[i];
        }
    }
    return selector;
}

// Prefixes of every length, above all the ones around pods: /0, /1, host size.
static struct prefix random_prefix(struct random_cluster *cluster, enum family family)
{
    static const uint8_t v4[] = {0, 0, 1, 8, 16, 22, 24, 29, 30, 31, 32, 32};
    static const uint8_t v6[] = {0, 0, 1, 8, 32, 47, 48, 64, 125, 126, 127, 128, 128};
    struct rng *rng = &cluster->rng;
    struct address address = rng_chance(rng, 10) ? random_special_address(rng, family) : random_address(rng, family);
    return prefix_truncate(&address, family == FAMILY_V4 ? RNG_PICK(&cluster->rng, v4) : RNG_PICK(&cluster->rng, v6));
}

static void remember(struct random_cluster *cluster, const struct prefix *prefix)
{
    if (vec_push(&cluster->edges, *prefix) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
}

// Inside the block and longer, as the API wants it; what is wild may be anything of the family.
static struct prefix random_except(struct random_cluster *cluster, const struct prefix *cidr)
{
    struct prefix except = random_prefix(cluster, cidr->address.family);
    if ((prefix_covers(cidr, &except) && except.length > cidr->length) ||
        (cluster->wild && rng_chance(&cluster->rng, 20))) {
        return except;
    }
    unsigned bits = family_bits(cidr->address.family);
    unsigned length = cidr->length + 1u + (unsigned)rng_below(&cluster->rng, 4);
    struct address inside = cidr->address;
    for (unsigned bit = cidr->length; bit < bits; bit++) {
        if (rng_chance(&cluster->rng, 50)) {
            inside.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
        }
    }
    return prefix_truncate(&inside, length < bits ? length : bits);
}

static void random_block(struct random_cluster *cluster, struct peer *peer)
{
    peer->kind = PEER_BLOCK;
    peer->cidr = random_prefix(cluster, rng_chance(&cluster->rng, 60) ? FAMILY_V4 : FAMILY_V6);
    bool divisible = peer->cidr.length < family_bits(peer->cidr.address.family);
    peer->n_excepts = !divisible || rng_chance(&cluster->rng, 50) ? 0 : 1 + rng_below(&cluster->rng, 3);
    struct prefix *excepts = random_alloc(cluster, peer->n_excepts, sizeof(*excepts));
    for (size_t i = 0; i < peer->n_excepts; i++) {
        // Also excepts inside one another, and the same again.
        const struct prefix *outer = i > 0 && rng_chance(&cluster->rng, 40) ? &excepts[i - 1] : &peer->cidr;
        bool again = i > 0 && (outer->length == family_bits(outer->address.family) || rng_chance(&cluster->rng, 10));
        excepts[i] = again ? excepts[i - 1] : random_except(cluster, outer);
        remember(cluster, &excepts[i]);
    }
    peer->excepts = excepts;
    remember(cluster, &peer->cidr);
}

static void random_peer(struct random_cluster *cluster, struct peer *peer)
{
    size_t kind = rng_below(&cluster->rng, 100);
    if (kind < 3) {
        peer->kind = PEER_UNREADABLE;
        return;
    }
    if (kind < 40) {
        random_block(cluster, peer);
        return;
    }
    peer->kind = PEER_PODS;
    peer->has_pod_selector = kind < 80;
    peer->has_ns_selector = kind >= 65;
    if (peer->has_pod_selector) {
        peer->pod_selector = random_selector(cluster);
    }
    if (peer->has_ns_selector) {
        peer->ns_selector = random_selector(cluster);
    }
    bool unreadable = (peer->has_pod_selector && peer->pod_selector.unreadable) ||
                      (peer->has_ns_selector && peer->ns_selector.unreadable);
    if (unreadable && !cluster->wild) {
        *peer = (struct peer){.kind = PEER_UNREADABLE};
    }
}

// One of many that neither touch nor overlap, so that a list of them fills several multiport matches.
static void spread_policy_port(struct random_cluster *cluster, size_t place, struct policy_port *port)
{
    port->kind = PORT_RANGE;
    port->protocol = rng_chance(&cluster->rng, 90) ? PROTOCOL_TCP : PROTOCOL_UDP;
    port->first = (uint16_t)(20000 + 5 * place);
    port->last = (uint16_t)(port->first + (rng_chance(&cluster->rng, 30) ? rng_below(&cluster->rng, 4) : 0));
    remember_port(cluster, port->first);
    remember_port(cluster, port->last);
}

static void random_policy_port(struct random_cluster *cluster, struct policy_port *port)
{
    struct rng *rng = &cluster->rng;
    size_t kind = rng_below(rng, 100);
    port->protocol = random_protocol(rng);
    if (kind < 3) {
        port->kind = PORT_UNREADABLE;
        port->protocol = 0;
    } else if (kind < 15) {
        port->kind = PORT_ALL;
    } else if (kind < 40) {
        port->kind = PORT_NAME;
        port->name = random_port_names[rng_below(rng, random_port_names_n)];
    } else {
        uint16_t a = random_ports[rng_below(rng, random_ports_n)];
        uint16_t b = rng_chance(rng, 60) ? a : random_ports[rng_below(rng, random_ports_n)];
        port->kind = PORT_RANGE;
        port->first = a < b ? a : b;
        port->last = a < b ? b : a;
        remember_port(cluster, port->first);
        remember_port(cluster, port->last);
    }
}

static void random_rule(struct random_cluster *cluster, struct policy_rule *rule)
{
    struct rng *rng = &cluster->rng;
    rule->line = (unsigned)rng_below(rng, 100);
    rule->unreadable = rng_chance(rng, 2);
    if (rule->unreadable && !cluster->wild) {
        return;
    }
    rule->any_peer = rng_chance(rng, 20);
    rule->any_port = rng_chance(rng, 35);
    // No peer although the list was not empty: every element was unreadable in a way that left nothing.
    bool many = rng_chance(rng, 6);
    rule->n_peers = rule->any_peer || (cluster->wild && rng_chance(rng, 10)) ? 0 : 1 + rng_below(rng, 3);
    rule->n_ports = rule->any_port || (cluster->wild && rng_chance(rng, 10)) ? 0 : 1 + rng_below(rng, many ? 40 : 3);
    struct peer *peers = random_alloc(cluster, rule->n_peers, sizeof(*peers));
    struct policy_port *ports = random_alloc(cluster, rule->n_ports, sizeof(*ports));
    for (size_t i = 0; i < rule->n_peers; i++) {
        random_peer(cluster, &peers[i]);
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        if (many) {
            spread_policy_port(cluster, i, &ports[i]);
        } else {
            random_policy_port(cluster, &ports[i]);
        }
    }
    rule->peers = peers;
    rule->ports = ports;
}

static bool has_unreadable(const struct policy_rule *rule)
{
    bool found = rule->unreadable;
    for (size_t i = 0; i < rule->n_peers; i++) {
        found = found || rule->peers[i].kind == PEER_UNREADABLE;
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        found = found || rule->ports[i].kind == PORT_UNREADABLE;
    }
    return found;
}

static void random_rules(struct random_cluster *cluster, struct policy *policy, enum direction direction)
{
    bool none = !policy->isolates[direction] || (policy->grants_nothing && !cluster->wild);
    size_t n = none ? 0 : rng_below(&cluster->rng, 4);
    struct policy_rule *rules = random_alloc(cluster, n, sizeof(*rules));
    for (size_t i = 0; i < n; i++) {
        random_rule(cluster, &rules[i]);
        policy->unenforceable = policy->unenforceable || has_unreadable(&rules[i]);
    }
    policy->rules[direction] = rules;
    policy->n_rules[direction] = n;
}

struct policy *random_policy(struct random_cluster *cluster, const struct object_meta *meta)
{
    struct rng *rng = &cluster->rng;
    struct policy *policy = random_alloc(cluster, 1, sizeof(*policy));
    policy->meta = *meta;
    policy->subject = random_selector(cluster);
    policy->grants_nothing = policy->subject.unreadable;
    size_t types = rng_below(rng, 20);
    policy->isolates[DIRECTION_INGRESS] = types > 0 && types < 14;
    policy->isolates[DIRECTION_EGRESS] = types >= 8;
    // Neither: a type that is not known yet.
    policy->unenforceable = policy->subject.unreadable || types == 0;
    random_rules(cluster, policy, DIRECTION_INGRESS);
    random_rules(cluster, policy, DIRECTION_EGRESS);
    return policy;
}
