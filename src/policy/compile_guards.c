// SPDX-License-Identifier: Apache-2.0
//
// Guards against what a pod could get round its policy with, beside the source guard and that of tunnel packets (DESIGN
// 11): multicast and broadcast, addresses of the pod CIDRs that nobody is known to have. Each is a rule or a few in the
// top chains that most packets do not match, and a chain behind. All of them only ever drop, so their order means
// nothing.
#include "policy/compile_build.h"

#include "policy/names.h"

struct guard_build {
    struct compile *compile;
    enum family family;
    struct compile_guards *to;
};

static int enter(const struct guard_build *build, enum arrival arrival, struct rule rule, struct err *err)
{
    return compile_push(&build->to->rules[arrival], rule, err);
}

static bool is_unspecified(const struct address *address)
{
    static const struct address zero;
    return memcmp(address->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
}

int compile_own_addresses(const struct compile *compile, struct compile_addresses *to)
{
    const struct facts *facts = compile->facts;
    for (size_t i = 0; facts && i < facts->n_interfaces; i++) {
        const struct facts_interface *interface = &facts->interfaces[i];
        for (size_t j = 0; j < interface->n_addresses; j++) {
            if (facts_is_own_address(facts, &interface->addresses[j]) && vec_push(to, interface->addresses[j]) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

// ---- multicast and broadcast ---------------------------------------------------------------------------------------

// Towards pods isolated for ingress: by their ports, or all of the bridge where a port is not known. IGMP is dropped
// with the rest: unlike MLD, nothing that unicast needs depends on it, and a raw socket puts what it likes behind its
// header.
static int fill_bridged(const struct guard_build *build, struct compile_rules *rules, struct err *err)
{
    const struct compile_places *places = &build->compile->places;
    const struct facts_interface *whole = NULL;
    for (size_t i = 0; i < places->n; i++) {
        const struct compile_place *place = &places->v[i];
        struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
        if (!place->bridge || !place->isolated[DIRECTION_INGRESS] || (!place->own && place->behind == whole)) {
            continue;
        }
        if (place->own) {
            memcpy(rule.physdev_out, place->port, strlen(place->port) + 1);
        } else {
            compile_rule_in(&rule, place->behind->name);
            compile_rule_out(&rule, place->behind->name);
            whole = place->behind;
        }
        if (compile_push(rules, rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// From pods isolated for egress. An uplink is not closed for one pod behind it whose port is not known: its own
// address the tree judges.
static int fill_to_node(const struct guard_build *build, struct compile_rules *rules, struct err *err)
{
    const struct compile_places *places = &build->compile->places;
    const struct facts_interface *whole = NULL;
    for (size_t i = 0; i < places->n; i++) {
        const struct compile_place *place = &places->v[i];
        struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
        // Those without a port sort first behind their bridge, and close all of it.
        if (!place->isolated[DIRECTION_EGRESS] || place->behind == whole ||
            (!place->own && compile_place_is_uplink(build->compile, place->behind))) {
            continue;
        }
        compile_rule_in(&rule, place->behind->name);
        if (place->bridge && place->own) {
            memcpy(rule.physdev_in, place->port, strlen(place->port) + 1);
        } else {
            whole = place->behind;
        }
        if (compile_push(rules, rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

static bool is_enforced_bridge(const struct compile *compile, const char *name)
{
    for (size_t i = 0; i < compile->interfaces.n; i++) {
        const struct facts_interface *interface = compile->interfaces.v[i];
        if (strcmp(interface->name, name) == 0 && strcmp(interface->kind, "bridge") == 0) {
            return true;
        }
    }
    return false;
}

static bool is_bridge(const struct compile *compile, const char *name)
{
    const struct facts_interface *interface = facts_interface(compile->facts, name);
    return interface && strcmp(interface->kind, "bridge") == 0;
}

// The broadcast addresses of the networks of bridges (all, or those with isolated pods) and of those that the node
// itself is in, which are for nobody behind a bridge: the last one, and the first, which older kernels take as well;
// and whatever the kernel says is one.
static int add_broadcasts(const struct compile *compile, bool enforced_only, struct compile_prefixes *to)
{
    enum { LONGEST = 30 };
    const struct facts *facts = compile->facts;
    for (size_t i = 0; facts && i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        if (prefix->address.family != FAMILY_V4 || prefix->length == 0 || prefix->length > LONGEST ||
            !(enforced_only
                  ? is_enforced_bridge(compile, facts->routes[i].device)
                  : is_bridge(compile, facts->routes[i].device) || facts_is_connected(facts, &facts->routes[i]))) {
            continue;
        }
        struct address last = prefix->address;
        for (unsigned bit = prefix->length; bit < family_bits(FAMILY_V4); bit++) {
            last.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
        }
        // A tunnel device may have the first one, as flannel's does: to the node it is no broadcast then.
        if ((!facts_is_own_address(facts, &prefix->address) && vec_push(to, prefix_of(&prefix->address)) < 0) ||
            (!facts_is_own_address(facts, &last) && vec_push(to, prefix_of(&last)) < 0)) {
            return -1;
        }
    }
    for (size_t i = 0; facts && i < facts->n_broadcast; i++) {
        const struct facts_route *route = &facts->broadcast[i];
        if (route->prefix.address.family == FAMILY_V4 && !facts_is_own_address(facts, &route->prefix.address) &&
            (!enforced_only || is_enforced_bridge(compile, route->device)) && vec_push(to, route->prefix) < 0) {
            return -1;
        }
    }
    return 0;
}

int compile_to_many(const struct compile *compile, enum family family, bool enforced_only, struct compile_prefixes *ret,
                    struct err *err)
{
    static const struct prefix groups_v4 = {.address = {.family = FAMILY_V4, .bytes = {224}}, .length = 4};
    static const struct prefix everybody = {.address = {.family = FAMILY_V4, .bytes = {255, 255, 255, 255}},
                                            .length = 32};
    static const struct prefix groups_v6 = {.address = {.family = FAMILY_V6, .bytes = {0xff}}, .length = 8};
    struct compile_prefixes list = {0};
    bool v4 = family == FAMILY_V4;
    if (vec_push(&list, v4 ? groups_v4 : groups_v6) < 0 ||
        (v4 && (vec_push(&list, everybody) < 0 || add_broadcasts(compile, enforced_only, &list) < 0))) {
        vec_free(&list);
        return err_oom(err);
    }
    qsort(list.v, list.n, sizeof(*list.v), compare_prefixes);
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (n == 0 || prefix_compare(&list.v[n - 1], &list.v[i]) != 0) {
            list.v[n++] = list.v[i];
        }
    }
    list.n = n;
    *ret = list;
    return 0;
}

static int enter_groups(const struct guard_build *build, enum arrival arrival, const char *chain,
                        struct compile_rules *rules, struct err *err)
{
    if (rules->n == 0) {
        vec_free(rules);
        return 0;
    }
    struct compile_prefixes to = {0};
    int rc = compile_close_chain(build->compile, build->family, chain, 0, rules, err) < 0
                 ? -1
                 : compile_to_many(build->compile, build->family, true, &to, err);
    for (size_t i = 0; rc == 0 && i < to.n; i++) {
        struct rule rule = compile_rule_to(TARGET_JUMP, chain);
        rule.has_destination = true;
        rule.destination = to.v[i];
        rc = enter(build, arrival, rule, err);
    }
    vec_free(&to);
    return rc;
}

static int guard_groups(const struct guard_build *build, struct err *err)
{
    struct compile_rules bridged = {0};
    struct compile_rules to_node = {0};
    if (fill_bridged(build, &bridged, err) < 0 ||
        (!build->compile->options->host_egress_allowed && fill_to_node(build, &to_node, err) < 0)) {
        vec_free(&bridged);
        vec_free(&to_node);
        return -1;
    }
    if (enter_groups(build, ARRIVAL_FORWARD, NAMES_GROUPS_BRIDGED, &bridged, err) < 0) {
        vec_free(&to_node);
        return -1;
    }
    return enter_groups(build, ARRIVAL_TO_NODE, NAMES_GROUPS_TO_NODE, &to_node, err);
}

// ---- unknown pods --------------------------------------------------------------------------------------------------

void compile_pod_cidrs(const struct compile *compile, const struct prefix **ret, size_t *ret_n)
{
    const struct node *node = state_node(compile->state, compile->node);
    bool given = compile->options->n_pod_cidrs > 0;
    *ret = given ? compile->options->pod_cidrs : node ? node->pod_cidrs : NULL;
    *ret_n = given ? compile->options->n_pod_cidrs : node ? node->n_pod_cidrs : 0;
}

// The addresses that somebody is known to have: live pods of the node, and the node itself. An empty set is one too.
static int known_set(const struct guard_build *build, const char **ret, struct err *err)
{
    struct compile *compile = build->compile;
    const struct node *node = state_node(compile->state, compile->node);
    struct compile_addresses list;
    if (compile_local_addresses(compile, build->family, &list, err) < 0) {
        return -1;
    }
    int rc = compile_own_addresses(compile, &list) < 0 ? err_oom(err) : 0;
    for (size_t i = 0; rc == 0 && node && i < node->n_addresses; i++) {
        rc = vec_push(&list, node->addresses[i]) < 0 ? err_oom(err) : 0;
    }
    size_t kept = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (!is_unspecified(&list.v[i])) {
            list.v[kept++] = list.v[i];
        }
    }
    rc = rc < 0 ? -1
                : compile_set_addresses(compile, build->family, "known addresses of this node", list.v, kept, ret, err);
    vec_free(&list);
    return rc;
}

static int add_unknown_chain(const struct guard_build *build, const char *name, enum set_direction direction,
                             const char *known, struct err *err)
{
    struct compile_rules rules = {0};
    struct rule pass = compile_rule_to(TARGET_RETURN, NULL);
    compile_rule_in(&pass, "lo");
    int rc = compile_push(&rules, pass, err);
    pass = compile_rule_to(TARGET_RETURN, NULL);
    pass.set = known;
    pass.set_direction = direction;
    rc = rc < 0 || compile_push(&rules, pass, err) < 0 ||
                 compile_push(&rules, compile_rule_to(TARGET_GOTO, NAMES_DROP), err) < 0
             ? -1
             : 0;
    return compile_close_chain(build->compile, build->family, name, rc, &rules, err);
}

static int guard_unknown(const struct guard_build *build, struct err *err)
{
    const struct facts *facts = build->compile->facts;
    const struct prefix *cidrs;
    size_t n;
    const char *known = NULL;
    compile_pod_cidrs(build->compile, &cidrs, &n);
    for (size_t i = 0; i < n; i++) {
        if (cidrs[i].address.family != build->family) {
            continue;
        }
        if (!known && (known_set(build, &known, err) < 0 ||
                       add_unknown_chain(build, NAMES_UNKNOWN_SOURCE, SET_SRC, known, err) < 0 ||
                       add_unknown_chain(build, NAMES_UNKNOWN_DESTINATION, SET_DST, known, err) < 0)) {
            return -1;
        }
        struct rule from = compile_rule_to(TARGET_JUMP, NAMES_UNKNOWN_SOURCE);
        struct rule to = compile_rule_to(TARGET_JUMP, NAMES_UNKNOWN_DESTINATION);
        from.has_source = to.has_destination = true;
        from.source = to.destination = cidrs[i];
        bool output = facts && facts->ipvs;
        if (enter(build, ARRIVAL_FORWARD, from, err) < 0 || enter(build, ARRIVAL_FORWARD, to, err) < 0 ||
            enter(build, ARRIVAL_TO_NODE, from, err) < 0 ||
            (output &&
             (enter(build, ARRIVAL_FROM_NODE, from, err) < 0 || enter(build, ARRIVAL_FROM_NODE, to, err) < 0))) {
            return -1;
        }
    }
    return 0;
}

// --------------------------------------------------------------------------------------------------------------------

void compile_guards_free(struct compile_guards *guards)
{
    for (size_t i = 0; i < ARRAY_SIZE(guards->rules); i++) {
        vec_free(&guards->rules[i]);
    }
}

int compile_guards(struct compile *compile, enum family family, struct compile_guards *to, struct err *err)
{
    const struct guard_build build = {.compile = compile, .family = family, .to = to};
    bool unknown = compile->options->unknown_pods == UNKNOWN_PODS_DROP;
    if (compile_source_guard(compile, family, to, err) < 0 || guard_groups(&build, err) < 0 ||
        (!compile->options->encap_allowed && compile_tunnel_guard(compile, family, to, err) < 0) ||
        (unknown && guard_unknown(&build, err) < 0)) {
        return -1;
    }
    return 0;
}
