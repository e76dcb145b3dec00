// SPDX-License-Identifier: Apache-2.0
//
// The top chains of a family: what every packet meets that is not of an established flow, before and after the trees
// (DESIGN 4 and 11), and before that what cuts revoked flows, and what tunnel packets meet. A family with nothing to do
// gets nothing at all.
#include "policy/compile_build.h"

#include "policy/names.h"

enum { ICMP = 1, ICMPV6 = 58 };
enum { ND_FIRST = 133, ND_ADVERTISEMENT = 134, ND_LAST = 137, ND_HOP_LIMIT = 255, MLD_HOP_LIMIT = 1 };
static const int16_t mld_types[] = {130, 131, 132, 143};

// The family at work.
struct hooks {
    struct compile *compile;
    enum family family;
    bool trees;            // an enforced address
    bool egress;           // … enforced for egress
    bool bridge_guard;     // IPv6: enforced pods behind a bridge
    bool router_guard;     // … to which no router but the node is attached
    bool node_guard;       // IPv6: enforced pods whose way to the node is guarded
    bool ipvs;             // and trees
    const char *accepted;  // set of the local pods, --allowed-verdict=accept; else NULL
    const struct compile_guards *guards;
};

static int add_chain(const struct hooks *hooks, const char *name, struct compile_rules *rules, struct err *err)
{
    int rc = compile_add_chain(hooks->compile, hooks->family, name, rules, err);
    vec_free(rules);
    return rc;
}

static int add_hook(const struct hooks *hooks, const char *builtin, bool established, const char *chain,
                    struct err *err)
{
    struct hook hook = {.builtin = builtin, .rule = compile_rule_to(TARGET_JUMP, chain)};
    hook.rule.ct_states = CT_ESTABLISHED;
    hook.rule.ct_invert = !established;
    return vec_push(&hooks->compile->tables[hooks->family].hooks, hook) < 0 ? err_oom(err) : 0;
}

// ---- heads ---------------------------------------------------------------------------------------------------------

// Errors of allowed flows pass; other RELATED packets, such as a helper's data connection, are judged.
static int add_related(const struct hooks *hooks, struct rule verdict, struct compile_rules *rules, struct err *err)
{
    verdict.protocol = hooks->family == FAMILY_V4 ? ICMP : ICMPV6;
    verdict.ct_states = CT_RELATED;
    return compile_push(rules, verdict, err);
}

static int add_icmpv6(int first, int last, int hop_limit, struct rule verdict, struct compile_rules *rules,
                      struct err *err)
{
    verdict.protocol = ICMPV6;
    verdict.hop_limit = (int16_t)hop_limit;
    for (int type = first; type <= last; type++) {
        verdict.icmp_type = (int16_t)type;
        if (compile_push(rules, verdict, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// Neighbour discovery and MLD pass in every direction, told from what a pod forges (3.11). A routed packet reaches
// FORWARD with its hop limit lowered, so 255 shows that no router has seen it; 1 does not (it was sent with 2): MLD is
// multicast only, and so are its rules.
static int add_neighbour_discovery(const struct hooks *hooks, struct rule pass, struct compile_rules *rules,
                                   struct err *err)
{
    if (hooks->family == FAMILY_V4) {
        return 0;
    }
    if (add_icmpv6(ND_FIRST, ND_LAST, ND_HOP_LIMIT, pass, rules, err) < 0) {
        return -1;
    }
    pass.has_destination = true;
    pass.destination = (struct prefix){.address = {.family = FAMILY_V6, .bytes = {0xff}}, .length = 8};
    for (size_t i = 0; i < ARRAY_SIZE(mld_types); i++) {
        if (add_icmpv6(mld_types[i], mld_types[i], MLD_HOP_LIMIT, pass, rules, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// Link-local packets, whichever end is: the trees know no such address, so a neighbour would be open by it.
static int add_link_local(const char *chain, struct compile_rules *rules, struct err *err)
{
    struct prefix link_local = {.address = {.family = FAMILY_V6, .bytes = {0xfe, 0x80}}, .length = 10};
    struct rule source = compile_rule_to(TARGET_JUMP, chain);
    source.has_source = true;
    source.source = link_local;
    struct rule destination = compile_rule_to(TARGET_JUMP, chain);
    destination.has_destination = true;
    destination.destination = link_local;
    return compile_push(rules, source, err) < 0 ? -1 : compile_push(rules, destination, err);
}

static bool is_bridge(const struct facts_interface *interface)
{
    return strcmp(interface->kind, "bridge") == 0;
}

// Pods are no routers. One that says so gives its neighbours addresses, which no object tells and so no rule knows, or
// takes what they send.
static int add_routers(struct compile_rules *rules, struct err *err)
{
    struct rule jump = compile_rule_to(TARGET_JUMP, NAMES_ROUTERS);
    return add_icmpv6(ND_ADVERTISEMENT, ND_ADVERTISEMENT, -1, jump, rules, err) < 0
               ? -1
               : add_icmpv6(ND_LAST, ND_LAST, -1, jump, rules, err);
}

static bool has_no_router(const struct hooks *hooks, const struct facts_interface *interface)
{
    return is_bridge(interface) && !compile_place_is_uplink(hooks->compile, interface);
}

static int add_routers_chain(const struct hooks *hooks, struct err *err)
{
    struct compile_rules rules = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < hooks->compile->interfaces.n; i++) {
        const struct facts_interface *interface = hooks->compile->interfaces.v[i];
        struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
        compile_rule_in(&rule, interface->name);
        compile_rule_out(&rule, interface->name);
        rc = has_no_router(hooks, interface) ? compile_push(&rules, rule, err) : 0;
    }
    return compile_close_chain(hooks->compile, hooks->family, NAMES_ROUTERS, rc, &rules, err);
}

// The chain behind add_link_local: one rule an interface that enforced pods are behind.
static int add_guard_chain(const struct hooks *hooks, const char *name, bool bridged, struct err *err)
{
    struct compile_rules rules = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < hooks->compile->interfaces.n; i++) {
        const struct facts_interface *interface = hooks->compile->interfaces.v[i];
        struct rule rule = compile_rule_to(TARGET_GOTO, NAMES_DROP);
        compile_rule_in(&rule, interface->name);
        if (bridged) {
            compile_rule_out(&rule, interface->name);
        }
        if (!bridged || is_bridge(interface)) {
            rc = compile_push(&rules, rule, err);
        }
    }
    if (rc < 0) {
        vec_free(&rules);
        return -1;
    }
    return add_chain(hooks, name, &rules, err);
}

// ---- --allowed-verdict=accept --------------------------------------------------------------------------------------

static int add_accept_chain(const struct hooks *hooks, struct err *err)
{
    struct compile_rules rules = {0};
    struct rule accept = compile_rule_to(TARGET_ACCEPT, NULL);
    accept.set = hooks->accepted;
    accept.set_direction = SET_SRC;
    int rc = compile_push(&rules, accept, err);
    accept.set_direction = SET_DST;
    rc = rc < 0 ? -1 : compile_push(&rules, accept, err);
    if (rc < 0) {
        vec_free(&rules);
        return -1;
    }
    return add_chain(hooks, NAMES_ACCEPT, &rules, err);
}

// ---- top chains ----------------------------------------------------------------------------------------------------

static int add_guards(const struct hooks *hooks, enum arrival arrival, struct compile_rules *rules, struct err *err)
{
    const struct compile_rules *guards = &hooks->guards->rules[arrival];
    for (size_t i = 0; i < guards->n; i++) {
        if (compile_push(rules, guards->v[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int fill_forward(const struct hooks *hooks, struct compile_rules *rules, struct err *err)
{
    struct compile *compile = hooks->compile;
    struct rule accept = compile_rule_to(TARGET_GOTO, NAMES_ACCEPT);
    struct rule forged = compile_rule_to(TARGET_GOTO, NAMES_DROP);
    forged.has_destination = true;
    forged.destination = (struct prefix){.address = {.family = FAMILY_V6, .bytes = {0xff}}, .length = 8};
    bool judged = hooks->trees || hooks->bridge_guard;
    struct rule pass = hooks->accepted ? accept : compile_rule_to(TARGET_RETURN, NULL);
    if (add_related(hooks, pass, rules, err) < 0 || (hooks->router_guard && add_routers(rules, err) < 0) ||
        add_neighbour_discovery(hooks, pass, rules, err) < 0 ||
        (hooks->bridge_guard && add_link_local(NAMES_LINK_LOCAL_BRIDGED, rules, err) < 0) ||
        add_guards(hooks, ARRIVAL_FORWARD, rules, err) < 0) {
        return -1;
    }
    // Neighbour discovery with another hop limit to a group: no tree matches it, and a receiver has to discard it (RFC
    // 4861), so all it can carry is what policy denies. To a pod's own address the trees judge it like any packet.
    if (hooks->family == FAMILY_V6 && judged && add_icmpv6(ND_FIRST, ND_LAST, -1, forged, rules, err) < 0) {
        return -1;
    }
    if (compile_tree_jump(compile, hooks->family, DIRECTION_EGRESS, rules, err) < 0 ||
        compile_tree_jump(compile, hooks->family, DIRECTION_INGRESS, rules, err) < 0) {
        return -1;
    }
    return hooks->accepted ? compile_push(rules, accept, err) : 0;
}

// From pods to the node itself.
static int fill_input(const struct hooks *hooks, struct compile_rules *rules, struct err *err)
{
    struct compile *compile = hooks->compile;
    struct rule pass = compile_rule_to(TARGET_RETURN, NULL);
    if (add_related(hooks, pass, rules, err) < 0 || add_neighbour_discovery(hooks, pass, rules, err) < 0 ||
        (hooks->node_guard && add_link_local(NAMES_LINK_LOCAL_TO_NODE, rules, err) < 0) ||
        add_guards(hooks, ARRIVAL_TO_NODE, rules, err) < 0) {
        return -1;
    }
    if (!hooks->egress) {
        return 0;
    }
    // IPVS takes packets to virtual addresses through INPUT; they are judged in OUTPUT, with their real destination.
    if (hooks->ipvs) {
        const struct facts_interface *vips = facts_interface(compile->facts, "kube-ipvs0");
        pass.set_direction = SET_DST;
        if (compile_set_addresses(compile, hooks->family, "virtual addresses of IPVS", vips ? vips->addresses : NULL,
                                  vips ? vips->n_addresses : 0, &pass.set, err) < 0 ||
            compile_push(rules, pass, err) < 0) {
            return -1;
        }
    }
    return compile_tree_jump(compile, hooks->family, DIRECTION_EGRESS, rules, err);
}

// What IPVS forwards leaves by OUTPUT with the pod's address; what the node itself sends has one of its own.
static int fill_output(const struct hooks *hooks, struct compile_rules *rules, struct err *err)
{
    struct rule pass = compile_rule_to(TARGET_RETURN, NULL);
    struct rule local = pass;
    local.source_local = true;
    if (compile_push(rules, local, err) < 0 || add_related(hooks, pass, rules, err) < 0 ||
        add_neighbour_discovery(hooks, pass, rules, err) < 0 || add_guards(hooks, ARRIVAL_FROM_NODE, rules, err) < 0 ||
        compile_tree_jump(hooks->compile, hooks->family, DIRECTION_EGRESS, rules, err) < 0) {
        return -1;
    }
    return compile_tree_jump(hooks->compile, hooks->family, DIRECTION_INGRESS, rules, err);
}

typedef int fill_fn(const struct hooks *hooks, struct compile_rules *rules, struct err *err);

static int add_top_chain(const struct hooks *hooks, const char *builtin, const char *name, fill_fn *fill,
                         struct err *err)
{
    struct compile_rules rules = {0};
    if (fill(hooks, &rules, err) < 0) {
        vec_free(&rules);
        return -1;
    }
    return add_chain(hooks, name, &rules, err) < 0 ? -1 : add_hook(hooks, builtin, false, name, err);
}

static int add_drop_chain(const struct hooks *hooks, struct err *err)
{
    struct compile_rules rules = {0};
    bool reject = hooks->compile->options->denied == DENIED_REJECT;
    struct rule verdict = compile_rule_to(reject ? TARGET_REJECT : TARGET_DROP, NULL);
    struct rule reset = verdict;
    reset.protocol = PROTOCOL_TCP;
    if ((reject && compile_push(&rules, reset, err) < 0) || compile_push(&rules, verdict, err) < 0) {
        vec_free(&rules);
        return -1;
    }
    return add_chain(hooks, NAMES_DROP, &rules, err);
}

// Flows that are cut (DESIGN 5.5), in front of the bypass for established ones; only while there are any. In OUTPUT
// too: the node may be the end that goes on sending, and needs no answer for it.
static int add_revoked(const struct hooks *hooks, const char *builtin, struct err *err)
{
    struct hook hook = {.builtin = builtin, .rule = compile_rule_to(TARGET_JUMP, NAMES_DROP)};
    hook.rule.connmark = hook.rule.connmark_mask = hooks->compile->options->revoke_mask;
    return vec_push(&hooks->compile->tables[hooks->family].hooks, hook) < 0 ? err_oom(err) : 0;
}

static int add_all_revoked(const struct hooks *hooks, struct err *err)
{
    const struct facts *facts = hooks->compile->facts;
    if (!facts || !facts->revoked[hooks->family] || !hooks->compile->options->revoke_mask) {
        return 0;
    }
    hooks->compile->tables[hooks->family].drops = true;
    return add_revoked(hooks, "FORWARD", err) < 0 || add_revoked(hooks, "INPUT", err) < 0 ||
                   add_revoked(hooks, "OUTPUT", err) < 0
               ? -1
               : 0;
}

// Established or not: what the guard against tunnel packets is for is both.
static int add_tunnels(const struct hooks *hooks, const char *builtin, struct err *err)
{
    struct hook hook = {.builtin = builtin, .rule = compile_rule_to(TARGET_JUMP, NAMES_ENCAP)};
    return vec_push(&hooks->compile->tables[hooks->family].hooks, hook) < 0 ? err_oom(err) : 0;
}

static int look(struct hooks *hooks, struct err *err)
{
    struct compile *compile = hooks->compile;
    const struct compile_table *table = &compile->tables[hooks->family];
    hooks->egress = table->leaves[DIRECTION_EGRESS].n > 0 && !compile->options->host_egress_allowed;
    hooks->trees = table->leaves[DIRECTION_EGRESS].n > 0 || table->leaves[DIRECTION_INGRESS].n > 0;
    hooks->ipvs = hooks->trees && compile->facts && compile->facts->ipvs;
    if (hooks->family == FAMILY_V6 && compile->interfaces.n > 0) {
        hooks->node_guard = !compile->options->host_egress_allowed;
        for (size_t i = 0; i < compile->interfaces.n; i++) {
            hooks->bridge_guard = hooks->bridge_guard || is_bridge(compile->interfaces.v[i]);
            hooks->router_guard = hooks->router_guard || has_no_router(hooks, compile->interfaces.v[i]);
        }
    }
    return compile->options->allowed == ALLOWED_ACCEPT
               ? compile_local_set(compile, hooks->family, &hooks->accepted, err)
               : 0;
}

static int add_all(struct hooks *hooks, struct err *err)
{
    const struct compile_rules *guards = hooks->guards->rules;
    bool forward = hooks->trees || hooks->bridge_guard || hooks->accepted || guards[ARRIVAL_FORWARD].n > 0;
    bool input = hooks->egress || hooks->node_guard || guards[ARRIVAL_TO_NODE].n > 0;
    bool output = hooks->ipvs || guards[ARRIVAL_FROM_NODE].n > 0;
    if (add_all_revoked(hooks, err) < 0 ||
        (hooks->guards->tunnels && (add_tunnels(hooks, "FORWARD", err) < 0 || add_tunnels(hooks, "INPUT", err) < 0)) ||
        (forward && add_top_chain(hooks, "FORWARD", NAMES_FORWARD, fill_forward, err) < 0) ||
        (hooks->accepted &&
         (add_accept_chain(hooks, err) < 0 || add_hook(hooks, "FORWARD", true, NAMES_ACCEPT, err) < 0)) ||
        (input && add_top_chain(hooks, "INPUT", NAMES_INPUT, fill_input, err) < 0) ||
        (output && add_top_chain(hooks, "OUTPUT", NAMES_OUTPUT, fill_output, err) < 0) ||
        (hooks->router_guard && add_routers_chain(hooks, err) < 0) ||
        (hooks->bridge_guard && add_guard_chain(hooks, NAMES_LINK_LOCAL_BRIDGED, true, err) < 0) ||
        (hooks->node_guard && add_guard_chain(hooks, NAMES_LINK_LOCAL_TO_NODE, false, err) < 0)) {
        return -1;
    }
    return hooks->compile->tables[hooks->family].drops ? add_drop_chain(hooks, err) : 0;
}

int compile_hooks(struct compile *compile, enum family family, struct err *err)
{
    struct compile_guards guards = {0};
    struct hooks hooks = {.compile = compile, .family = family, .guards = &guards};
    int rc = look(&hooks, err) < 0 || compile_guards(compile, family, &guards, err) < 0 ? -1 : add_all(&hooks, err);
    compile_guards_free(&guards);
    return rc;
}
