// SPDX-License-Identifier: Apache-2.0
//
// --drop-encap (DESIGN 11): tunnel packets from pods to where a node would unpack them. What is inside nobody judges.
//
//   FORWARD, INPUT      -j NETPOL-ENCAP                                    established or not, in front of the bypass
//   NETPOL-ENCAP        -p 4, 41, 47 -j NETPOL-ENCAP-PODS
//                       -p udp PORTS, from a node's address -j NETPOL-ENCAP-PODS
//   NETPOL-FORWARD, …   -p udp PORTS -j NETPOL-ENCAP-PODS                  of no established flow
//   NETPOL-ENCAP-PODS   from where pods are -g NETPOL-ENCAP-NODES
//   NETPOL-ENCAP-NODES  to where tunnels end -g NETPOL-DROP
//
// Why in front: two nodes whose tunnels talk both ways are one established flow to conntrack, and protocols without
// ports are told by their two addresses alone, so what a pod forges with these is established as well. UDP only if the
// tunnel has the same port at both ends, and then the forged source is a node's. (A pod's own address there may answer
// a node that asked from such a port: source NAT picks any.) An established packet of another protocol pays a jump and
// four header comparisons for it, some 12 ns (measured costs: 1.6 and 2.6 ns each).
#include "policy/compile_build.h"

#include "base/limits.h"
#include "policy/names.h"

struct tunnel_build {
    struct compile *compile;
    enum family family;
    struct compile_guards *to;
};

static bool is_unspecified(const struct address *address)
{
    static const struct address zero;
    return memcmp(address->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
}

// ---- where tunnels end ---------------------------------------------------------------------------------------------

// Where a node has an address of its own in its pod CIDR, by custom: the first one (flannel's tunnel) or the next (the
// gateway of its pods). No object tells it, and what arrives there is decapsulated as well.
static int add_gateways(const struct node *node, struct compile_addresses *to)
{
    for (size_t i = 0; i < node->n_pod_cidrs; i++) {
        struct address address = node->pod_cidrs[i].address;
        unsigned bits = family_bits(address.family);
        if (vec_push(to, address) < 0) {
            return -1;
        }
        address.bytes[bits / 8 - 1] |= 1;
        if (node->pod_cidrs[i].length < bits && vec_push(to, address) < 0) {
            return -1;
        }
    }
    return 0;
}

// Addresses that the node takes for its own besides: by routes of table local, ip_vs leaves to it what no service of a
// virtual address is for, and routers answer to the first address of each network (IPv6).
static int add_taken(const struct compile *compile, struct compile_addresses *to)
{
    enum { LONGEST = 126 };
    const struct facts *facts = compile->facts;
    const struct facts_interface *vips = facts && facts->ipvs ? facts_interface(facts, "kube-ipvs0") : NULL;
    for (size_t i = 0; vips && i < vips->n_addresses; i++) {
        if (vec_push(to, vips->addresses[i]) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; facts && i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        if (prefix->address.family == FAMILY_V6 && prefix->length <= LONGEST &&
            facts_is_connected(facts, &facts->routes[i]) && vec_push(to, prefix->address) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; facts && i < facts->n_local; i++) {
        const struct prefix *prefix = &facts->local[i].prefix;
        if (prefix->length == family_bits(prefix->address.family) && vec_push(to, prefix->address) < 0) {
            return -1;
        }
    }
    return 0;
}

// The addresses of all nodes as a set; *ret is NULL when there are none.
static int node_set(const struct tunnel_build *build, const char **ret, struct err *err)
{
    size_t n;
    const struct node *const *nodes = state_nodes(build->compile->state, &n);
    struct compile_addresses list = {0};
    bool room =
        n != SIZE_MAX && compile_own_addresses(build->compile, &list) == 0 && add_taken(build->compile, &list) == 0;
    int rc = room ? 0 : err_oom(err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        for (size_t j = 0; rc == 0 && j < nodes[i]->n_addresses; j++) {
            rc = vec_push(&list, nodes[i]->addresses[j]) < 0 ? err_oom(err) : 0;
        }
        rc = rc < 0 || add_gateways(nodes[i], &list) < 0 ? err_oom(err) : 0;
    }
    size_t kept = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (list.v[i].family == build->family && !is_unspecified(&list.v[i])) {
            list.v[kept++] = list.v[i];
        }
    }
    *ret = NULL;
    if (rc == 0 && kept > 0) {
        rc = compile_set_addresses(build->compile, build->family, "addresses of nodes", list.v, kept, ret, err);
    }
    vec_free(&list);
    return rc;
}

// The addresses of the family whose pods are told by no interface: with facts, none or next to none. (A set that all
// pods were in would change with each of them, and a change of members beside one of chains costs three commits.)
static int unplaced_set(const struct tunnel_build *build, const char **ret, struct err *err)
{
    struct compile *compile = build->compile;
    struct compile_addresses list;
    if (compile_local_addresses(compile, build->family, &list, err) < 0) {
        return -1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (!compile_place_is_told(compile, &list.v[i])) {
            list.v[kept++] = list.v[i];
        }
    }
    *ret = NULL;
    int rc = kept == 0 ? 0
                       : compile_set_addresses(compile, build->family, "local pods behind no interface of their own",
                                               list.v, kept, ret, err);
    vec_free(&list);
    return rc;
}

// ---- where pods are ------------------------------------------------------------------------------------------------

// Whether only pods send by the place, a port of its bridge if it is an uplink: by the others come the tunnels of other
// nodes.
static bool sends_alone(const struct compile *compile, const struct compile_place *place)
{
    return !compile_place_is_uplink(compile, place->behind) || (place->bridge && place->own);
}

static int add_sender(const struct facts_interface *interface, const char *port, struct compile_rules *rules,
                      struct err *err)
{
    struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_ENCAP_NODES);
    compile_rule_in(&rule, interface->name);
    if (port) {
        memcpy(rule.physdev_in, port, strlen(port) + 1);
    }
    return compile_push(rules, rule, err);
}

static int add_places(const struct compile *compile, struct compile_rules *rules, struct err *err)
{
    const struct facts_interface *last = NULL;
    for (size_t i = 0; i < compile->places.n; i++) {
        const struct compile_place *place = &compile->places.v[i];
        bool uplink = compile_place_is_uplink(compile, place->behind);
        if (!sends_alone(compile, place) || (!uplink && place->behind == last)) {
            continue;
        }
        last = place->behind;
        if (add_sender(place->behind, uplink ? place->port : NULL, rules, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_place(const struct compile *compile, const struct facts_interface *interface)
{
    for (size_t i = 0; i < compile->places.n; i++) {
        if (compile->places.v[i].behind == interface) {
            return true;
        }
    }
    return false;
}

// Where a pod may be that is not known yet.
static int add_unknown(const struct compile *compile, struct compile_rules *rules, struct err *err)
{
    for (size_t i = 0; i < compile->unknown.n; i++) {
        if (!is_place(compile, compile->unknown.v[i]) && add_sender(compile->unknown.v[i], NULL, rules, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// What other nodes' tunnels send need not pass by a long list of devices of pods.
static int add_uplinks(const struct compile *compile, size_t n_senders, struct compile_rules *rules, struct err *err)
{
    const struct facts *facts = compile->facts;
    for (size_t i = 0; facts && n_senders > compile->places.n_uplinks && i < facts->n_interfaces; i++) {
        const struct facts_interface *interface = &facts->interfaces[i];
        struct rule rule = compile_rule_to(TARGET_RETURN, NULL);
        compile_rule_in(&rule, interface->name);
        if (compile_place_is_uplink(compile, interface) && !is_place(compile, interface) &&
            compile_push(rules, rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// From where local pods are, whatever the source; and from addresses of those that are nowhere.
static int fill_senders(const struct tunnel_build *build, struct compile_rules *rules, struct err *err)
{
    const struct compile *compile = build->compile;
    struct compile_rules senders = {0};
    struct rule nowhere = compile_rule_to(TARGET_GOTO, NAMES_ENCAP_NODES);
    nowhere.set_direction = SET_SRC;
    int rc = unplaced_set(build, &nowhere.set, err) < 0 || add_places(compile, &senders, err) < 0 ||
                     add_unknown(compile, &senders, err) < 0
                 ? -1
                 : 0;
    rc = rc < 0 || nowhere.set ? rc : add_uplinks(compile, senders.n, rules, err);
    for (size_t i = 0; rc == 0 && i < senders.n; i++) {
        rc = compile_push(rules, senders.v[i], err);
    }
    vec_free(&senders);
    return rc < 0 || !nowhere.set ? rc : compile_push(rules, nowhere, err);
}

// Whether any local pod could send some.
static int has_senders(const struct tunnel_build *build, bool *ret, struct err *err)
{
    const struct compile *compile = build->compile;
    struct compile_addresses list;
    if (compile_local_addresses(build->compile, build->family, &list, err) < 0) {
        return -1;
    }
    *ret = list.n > 0 || compile->unknown.n > 0;
    vec_free(&list);
    for (size_t i = 0; i < compile->places.n && !*ret; i++) {
        *ret = sends_alone(compile, &compile->places.v[i]);
    }
    return 0;
}

// ---- what a tunnel packet is ---------------------------------------------------------------------------------------

static int compare_ports(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

// The ports as ranges in the ruleset's arena, sorted, each once.
static int tunnel_ports(const struct tunnel_build *build, const struct port_range **ret, size_t *ret_n, struct err *err)
{
    static const uint16_t usual[] = {8472, 4789};
    const struct facts *facts = build->compile->facts;
    size_t n_more = facts ? facts->n_tunnel_ports : 0;
    CLEANUP(free) uint16_t *ports = calloc(n_more + ARRAY_SIZE(usual), sizeof(*ports));
    struct port_range *ranges =
        arena_alloc(&build->compile->out->arena, (n_more + ARRAY_SIZE(usual)) * sizeof(*ranges));
    if (!ports || !ranges) {
        return err_oom(err);
    }
    memcpy(ports, usual, sizeof(usual));
    for (size_t i = 0; i < n_more; i++) {
        ports[ARRAY_SIZE(usual) + i] = facts->tunnel_ports[i];
    }
    qsort(ports, n_more + ARRAY_SIZE(usual), sizeof(*ports), compare_ports);
    size_t n = 0;
    for (size_t i = 0; i < n_more + ARRAY_SIZE(usual); i++) {
        if (n == 0 || ranges[n - 1].first != ports[i]) {
            ranges[n++] = (struct port_range){ports[i], ports[i]};
        }
    }
    *ret = ranges;
    *ret_n = n;
    return 0;
}

// The rule for each of the ports, as many in one as a multiport match takes.
static int add_ports(struct rule rule, const struct port_range *ranges, size_t n, struct compile_rules *rules,
                     struct err *err)
{
    rule.protocol = PROTOCOL_UDP;
    for (size_t i = 0; i < n; i += LIMIT_MULTIPORT) {
        rule.ports = ranges + i;
        rule.n_ports = n - i < LIMIT_MULTIPORT ? n - i : LIMIT_MULTIPORT;
        if (compile_push(rules, rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int fill_tunnels(const struct tunnel_build *build, const char *nodes, struct compile_rules *rules,
                        struct err *err)
{
    static const uint8_t protocols[] = {4, 41, 47};
    struct rule jump = compile_rule_to(TARGET_JUMP, NAMES_ENCAP_PODS);
    const struct port_range *ports = NULL;
    size_t n_ports = 0;
    if (tunnel_ports(build, &ports, &n_ports, err) < 0 ||
        add_ports(jump, ports, n_ports, &build->to->rules[ARRIVAL_FORWARD], err) < 0 ||
        add_ports(jump, ports, n_ports, &build->to->rules[ARRIVAL_TO_NODE], err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        jump.protocol = protocols[i];
        if (compile_push(rules, jump, err) < 0) {
            return -1;
        }
    }
    jump.ct_states = CT_ESTABLISHED;
    jump.set = nodes;
    jump.set_direction = SET_SRC;
    return nodes ? add_ports(jump, ports, n_ports, rules, err) : 0;
}

// ---- all of it -----------------------------------------------------------------------------------------------------

// Whole networks that the node takes for its own.
static int add_local_networks(const struct tunnel_build *build, struct compile_rules *rules, struct err *err)
{
    const struct facts *facts = build->compile->facts;
    struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
    rule.has_destination = true;
    for (size_t i = 0; facts && i < facts->n_local; i++) {
        rule.destination = facts->local[i].prefix;
        bool same = i > 0 && prefix_compare(&facts->local[i - 1].prefix, &rule.destination) == 0;
        if (rule.destination.address.family == build->family && !same &&
            rule.destination.length < family_bits(build->family) && compile_push(rules, rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// To where tunnels end; their sockets take what comes to many, too.
static int fill_ends(const struct tunnel_build *build, const char *nodes, struct compile_rules *rules, struct err *err)
{
    struct compile_prefixes many = {0};
    struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
    int rc = build->compile->facts ? compile_to_many(build->compile, build->family, false, &many, err) : 0;
    rule.set = nodes;
    rule.set_direction = SET_DST;
    rc = rc < 0 || !nodes ? rc : compile_push(rules, rule, err);
    rc = rc < 0 ? rc : add_local_networks(build, rules, err);
    rule.set = NULL;
    rule.has_destination = true;
    for (size_t i = 0; rc == 0 && i < many.n; i++) {
        rule.destination = many.v[i];
        rc = compile_push(rules, rule, err);
    }
    vec_free(&many);
    return rc;
}

int compile_tunnel_guard(struct compile *compile, enum family family, struct compile_guards *to, struct err *err)
{
    const struct tunnel_build build = {.compile = compile, .family = family, .to = to};
    struct compile_rules tunnels = {0};
    struct compile_rules senders = {0};
    struct compile_rules ends = {0};
    const char *nodes = NULL;
    bool some;
    if (has_senders(&build, &some, err) < 0 || (some && node_set(&build, &nodes, err) < 0)) {
        return -1;
    }
    if (!some || (!nodes && !compile->facts)) {
        return 0;
    }
    to->tunnels = true;
    int rc = fill_tunnels(&build, nodes, &tunnels, err);
    if (compile_close_chain(compile, family, NAMES_ENCAP, rc, &tunnels, err) < 0) {
        return -1;
    }
    rc = fill_senders(&build, &senders, err);
    if (compile_close_chain(compile, family, NAMES_ENCAP_PODS, rc, &senders, err) < 0) {
        return -1;
    }
    rc = fill_ends(&build, nodes, &ends, err);
    return compile_close_chain(compile, family, NAMES_ENCAP_NODES, rc, &ends, err);
}
