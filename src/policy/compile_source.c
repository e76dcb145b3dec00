// SPDX-License-Identifier: Apache-2.0
//
// The source guard (DESIGN 11): what comes from where a guarded pod sits has one of that pod's own addresses. Where it
// came from is told by the bridge port or the device (compile_place.c), in both families, also of a pod that has
// addresses of one: otherwise it would take another one.
//
//   NETPOL-GUARD   -i B -g tree                 each bridge with guarded ports
//                  -i W -j RETURN               devices that lead to networks, if pods are routed: no guarded pod's
//                  -g tree                      if pods are routed
//   tree           on the source: the chain of the guarded pod that owns it; everything else -g NETPOL-GL
//   NETPOL-G-…     [-i B -m physdev --physdev-in PORT | -i DEV] -j RETURN; -g NETPOL-GL
//   NETPOL-GL      IPv6: -s fe80::/10 -j RETURN; IPv4: a DHCP client's first packet -j RETURN
//                  -i B -g NETPOL-GB-…          the bridge's guarded ports, each -g NETPOL-DROP
//                  -i DEV -g NETPOL-DROP        each guarded device
//
// Complete: a packet returns from the pod's own chain only if the pod owns the source and the packet came from there.
// Every other one meets the rule of the place that it came from, if that is guarded. Only packets of no established
// flow come here. What it costs them: a guarded pod's own packet the tree (28 to 46 ns, fan-out 8) and one or two
// comparisons; a packet from elsewhere one comparison for each bridge, and with routed pods up to the first device that
// it can have come by; whoever forges, and a pod that is not guarded, the list of guarded places.
//
// Link-local sources are no pod's name in any policy, and pods need them: the guards of link-local packets judge them.
// A DHCP client has no address yet; its broadcast is judged like any. Neighbour discovery and MLD, which also come
// from "::", have passed before.
#include "policy/compile_build.h"

#include "policy/names.h"

struct source_guard_build {
    struct compile *compile;
    enum family family;
    const struct compile_place **places;  // guarded; in the order of compile->places, so those of a bridge in a row
    size_t n;
    size_t n_routed;
    struct compile_leaves leaves;
    const char *judge;  // chain that a packet is sent to
};

static void build_done(struct source_guard_build *build)
{
    free(build->places);
    vec_free(&build->leaves);
}

// The first guarded place behind its bridge.
static bool opens_bridge(const struct source_guard_build *build, size_t i)
{
    return build->places[i]->bridge && (i == 0 || build->places[i - 1]->behind != build->places[i]->behind);
}

static struct rule from_place(const struct compile_place *place, enum rule_target target, const char *chain)
{
    struct rule rule = compile_rule_to(target, chain);
    compile_rule_in(&rule, place->behind->name);
    if (place->bridge) {
        memcpy(rule.physdev_in, place->port, strlen(place->port) + 1);
    }
    return rule;
}

// ---- NETPOL-GL -----------------------------------------------------------------------------------------------------

static int add_port_chain(const struct source_guard_build *build, size_t first, const char **ret, struct err *err)
{
    struct compile *compile = build->compile;
    const char *bridge = build->places[first]->behind->name;
    struct compile_rules rules = {0};
    int rc = names_take(compile->tables[build->family].chains_taken, &compile->out->arena, NAMES_SOURCE_PORTS, bridge,
                        strlen(bridge), ret, err);
    for (size_t i = first; rc == 0 && i < build->n && build->places[i]->behind == build->places[first]->behind; i++) {
        rc = compile_push(&rules, from_place(build->places[i], TARGET_GOTO, NAMES_DROP), err);
    }
    return compile_close_chain(compile, build->family, *ret, rc, &rules, err);
}

static int add_exception(const struct source_guard_build *build, struct compile_rules *rules, struct err *err)
{
    enum { DHCP_SERVER = 67 };
    struct rule rule = compile_rule_to(TARGET_RETURN, NULL);
    rule.has_source = true;
    if (build->family == FAMILY_V6) {
        rule.source = (struct prefix){.address = {.family = FAMILY_V6, .bytes = {0xfe, 0x80}}, .length = 10};
        return compile_push(rules, rule, err);
    }
    rule.source = (struct prefix){.address = {.family = FAMILY_V4}, .length = 32};
    rule.has_destination = true;
    rule.destination = (struct prefix){.address = {.bytes = {255, 255, 255, 255}}, .length = 32};
    rule.protocol = PROTOCOL_UDP;
    struct port_range *server = arena_alloc(&build->compile->out->arena, sizeof(*server));
    if (!server) {
        return err_oom(err);
    }
    *server = (struct port_range){DHCP_SERVER, DHCP_SERVER};
    rule.ports = server;
    rule.n_ports = 1;
    return compile_push(rules, rule, err);
}

static int add_forged(const struct source_guard_build *build, struct err *err)
{
    struct compile_rules rules = {0};
    int rc = add_exception(build, &rules, err);
    for (size_t i = 0; rc == 0 && i < build->n; i++) {
        const struct compile_place *place = build->places[i];
        struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
        if (place->bridge && !opens_bridge(build, i)) {
            continue;
        }
        compile_rule_in(&rule, place->behind->name);
        rc = place->bridge ? add_port_chain(build, i, &rule.chain, err) : 0;
        rc = rc < 0 ? -1 : compile_push(&rules, rule, err);
    }
    return compile_close_chain(build->compile, build->family, NAMES_SOURCE_FORGED, rc, &rules, err);
}

// ---- the tree ------------------------------------------------------------------------------------------------------

static bool came_before(const struct source_guard_build *build, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (build->places[j]->pod == build->places[i]->pod) {
            return true;
        }
    }
    return false;
}

static int add_pod_chain(struct source_guard_build *build, const struct pod *pod, const char *name, struct err *err)
{
    struct compile_rules rules = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < build->n; i++) {
        if (build->places[i]->pod == pod) {
            rc = compile_push(&rules, from_place(build->places[i], TARGET_RETURN, NULL), err);
        }
    }
    rc = rc < 0 ? -1 : compile_push(&rules, compile_rule_to(TARGET_GOTO, NAMES_SOURCE_FORGED), err);
    return compile_close_chain(build->compile, build->family, name, rc, &rules, err);
}

// The pod's addresses of the family, and its chain if there are some.
static int add_pod(struct source_guard_build *build, const struct pod *pod, struct err *err)
{
    struct compile *compile = build->compile;
    const char *name = NULL;
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (pod->addresses[i].family != build->family || state_owner(compile->state, &pod->addresses[i]) != pod) {
            continue;
        }
        if (!name) {
            BUF_CLEANUP struct buf identity = {0};
            buf_printf(&identity, "G|%s/%s", pod->meta.ns, pod->meta.name);
            if (identity.failed) {
                return err_oom(err);
            }
            if (names_take(compile->tables[build->family].chains_taken, &compile->out->arena, NAMES_SOURCE_POD,
                           identity.data, identity.len, &name, err) < 0 ||
                add_pod_chain(build, pod, name, err) < 0) {
                return -1;
            }
        }
        if (vec_push(&build->leaves, (struct compile_leaf){.address = pod->addresses[i], .chain = name}) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int add_tree(struct source_guard_build *build, struct err *err)
{
    for (size_t i = 0; i < build->n; i++) {
        if (!came_before(build, i) && add_pod(build, build->places[i]->pod, err) < 0) {
            return -1;
        }
    }
    build->judge = build->leaves.n > 0 ? NAMES_SOURCE_TREE : NAMES_SOURCE_FORGED;
    return build->leaves.n == 0 ? 0
                                : compile_tree_of_sources(build->compile, build->family, NAMES_SOURCE_TREE,
                                                          NAMES_SOURCE_FORGED, &build->leaves, err);
}

// ---- NETPOL-GUARD --------------------------------------------------------------------------------------------------

// The device of a route to a network: no guarded pod is routed by it.
static const char *wide_device(const struct facts *facts, size_t route)
{
    const struct prefix *prefix = &facts->routes[route].prefix;
    bool link_local = prefix->length > 0 && address_is_link_local(&prefix->address);
    return prefix->length < family_bits(prefix->address.family) && !link_local ? facts->routes[route].device : NULL;
}

// Each of them once, in the order of the interfaces; none if looking for them costs more than the list that they spare.
static int add_wide(const struct source_guard_build *build, struct compile_rules *rules, struct err *err)
{
    const struct facts *facts = build->compile->facts;
    size_t before = rules->n;
    for (size_t i = 0; i < facts->n_interfaces; i++) {
        bool wide = false;
        for (size_t j = 0; j < facts->n_routes && !wide; j++) {
            const char *device = wide_device(facts, j);
            wide = device && strcmp(device, facts->interfaces[i].name) == 0;
        }
        for (size_t j = 0; j < build->n && wide; j++) {
            wide = build->places[j]->behind != &facts->interfaces[i];
        }
        struct rule rule = compile_rule_to(TARGET_RETURN, NULL);
        compile_rule_in(&rule, facts->interfaces[i].name);
        if (wide && compile_push(rules, rule, err) < 0) {
            return -1;
        }
    }
    if (rules->n - before > build->n_routed) {
        rules->n = before;
    }
    return 0;
}

static int add_top(const struct source_guard_build *build, struct err *err)
{
    struct compile_rules rules = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < build->n; i++) {
        struct rule rule = compile_rule_to(TARGET_GOTO, build->judge);
        compile_rule_in(&rule, build->places[i]->behind->name);
        rc = opens_bridge(build, i) ? compile_push(&rules, rule, err) : 0;
    }
    if (rc == 0 && build->n_routed > 0) {
        rc = add_wide(build, &rules, err) < 0 ? -1
                                              : compile_push(&rules, compile_rule_to(TARGET_GOTO, build->judge), err);
    }
    return compile_close_chain(build->compile, build->family, NAMES_SOURCE, rc, &rules, err);
}

static int find_guarded(struct source_guard_build *build, struct err *err)
{
    const struct compile_places *all = &build->compile->places;
    build->places = calloc(all->n + 1, sizeof(*build->places));
    if (!build->places) {
        return err_oom(err);
    }
    for (size_t i = 0; i < all->n; i++) {
        if (compile_place_is_guarded(build->compile, &all->v[i])) {
            build->places[build->n++] = &all->v[i];
            build->n_routed += !all->v[i].bridge;
        }
    }
    return 0;
}

int compile_source_guard(struct compile *compile, enum family family, struct compile_guards *to, struct err *err)
{
    struct source_guard_build build = {.compile = compile, .family = family};
    int rc = find_guarded(&build, err);
    if (rc == 0 && build.n > 0) {
        const struct rule jump = compile_rule_to(TARGET_JUMP, NAMES_SOURCE);
        rc = add_forged(&build, err) < 0 || add_tree(&build, err) < 0 || add_top(&build, err) < 0 ||
                     compile_push(&to->rules[ARRIVAL_FORWARD], jump, err) < 0 ||
                     compile_push(&to->rules[ARRIVAL_TO_NODE], jump, err) < 0
                 ? -1
                 : 0;
    }
    build_done(&build);
    return rc;
}
