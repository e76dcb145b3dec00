// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_policy.h"

#include "audit/verify_guards.h"

enum {
    ICMP = 1,
    ICMPV6 = 58,
    ND_FIRST = 133,
    ND_ADVERTISEMENT = 134,
    ND_LAST = 137,
    ND_HOP_LIMIT = 255,
    MLD_HOP_LIMIT = 1
};
static const uint8_t mld_types[] = {130, 131, 132, 143};

int verify_icmp(const struct verify_space *space)
{
    return space->family == FAMILY_V6 ? ICMPV6 : ICMP;
}

static bool is_nd(int icmp_type)
{
    return icmp_type >= ND_FIRST && icmp_type <= ND_LAST;
}

static bool has_ipvs(const struct verify_space *space)
{
    return space->input->facts && space->input->facts->ipvs;
}

bool verify_policy_settled(const struct verify_space *space, const struct verify_known *known)
{
    bool icmp = known->protocol == verify_icmp(space);
    if (known->ct == CT_ESTABLISHED || (icmp && known->ct == CT_RELATED)) {
        return true;
    }
    if (icmp && space->family == FAMILY_V6 && is_nd(known->icmp_type) && known->hop_limit == ND_HOP_LIMIT &&
        known->icmp_type != ND_ADVERTISEMENT && known->icmp_type != ND_LAST) {
        return true;
    }
    switch (known->arrival) {
    case ARRIVAL_FORWARD:
        return false;
    case ARRIVAL_TO_NODE:
        return verify_guards_spare_node(space);
    case ARRIVAL_FROM_NODE:
        return !has_ipvs(space) || known->source_is_node == 1;
    }
    return false;
}

void verify_policy_icmp_types(const struct verify_space *space, bool ret[256])
{
    if (space->family == FAMILY_V6) {
        for (int type = ND_FIRST; type <= ND_LAST; type++) {
            ret[type] = true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(mld_types); i++) {
            ret[mld_types[i]] = true;
        }
    }
}

void verify_policy_hop_limits(const struct verify_space *space, int icmp_type, bool ret[256])
{
    if (space->family != FAMILY_V6) {
        return;
    }
    if (is_nd(icmp_type)) {
        ret[ND_HOP_LIMIT] = true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(mld_types); i++) {
        if (icmp_type == mld_types[i]) {
            ret[MLD_HOP_LIMIT] = true;
        }
    }
}

// The policies that judge the pod at one end of the packet, or NULL.
static const struct verify_pod *judged(const struct verify_space *space, const struct verify_known *known,
                                       enum verify_side side)
{
    bool spared = known->arrival == ARRIVAL_TO_NODE && space->input->options->host_egress_allowed;
    if (known->ends[side].knowledge != VERIFY_KNOWN || spared) {
        return NULL;
    }
    uint32_t local = space->cells[known->ends[side].cell].local;
    return local == VERIFY_REMOTE ? NULL : &space->pods->v[local];
}

static enum direction direction_of(enum verify_side side)
{
    return side == VERIFY_SOURCE ? DIRECTION_EGRESS : DIRECTION_INGRESS;
}

static int add_address(struct verify_tests *to, enum verify_side open, uint32_t test, struct err *err)
{
    return vec_push(&to->addresses[open], test) < 0 ? err_oom(err) : 0;
}

static int add_prefix(struct verify_space *space, const struct prefix *prefix, enum verify_side open,
                      struct verify_tests *to, struct err *err)
{
    uint32_t test;
    if (prefix->address.family != space->family) {
        return 0;
    }
    return verify_test_prefix(space, prefix, &test, err) < 0 ? -1 : add_address(to, open, test, err);
}

static int add_guards(struct verify_space *space, enum verify_side open, struct verify_tests *to, struct err *err)
{
    uint32_t guards;
    return verify_test_guards(space, &guards, err) < 0 || verify_test_answer(space, guards, err) < 0
               ? -1
               : add_address(to, open, guards, err);
}

static int add_special(struct verify_space *space, const struct verify_known *known, enum verify_side open,
                       struct verify_tests *to, struct err *err)
{
    static const char *const special[] = {"fe80::/10", "ff00::/8"};
    for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
        struct prefix prefix;
        if (prefix_parse(special[i], &prefix) && add_prefix(space, &prefix, open, to, err) < 0) {
            return -1;
        }
    }
    if (add_guards(space, open, to, err) < 0) {
        return -1;
    }
    const struct facts_interface *ipvs = has_ipvs(space) ? facts_interface(space->input->facts, "kube-ipvs0") : NULL;
    if (!ipvs || open != VERIFY_DESTINATION || known->arrival != ARRIVAL_TO_NODE) {
        return 0;
    }
    for (size_t i = 0; i < ipvs->n_addresses; i++) {
        const struct prefix prefix = prefix_of(&ipvs->addresses[i]);
        if (add_prefix(space, &prefix, open, to, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_rule(struct verify_space *space, const struct policy *policy, const struct policy_rule *rule,
                    enum verify_side open, struct verify_tests *to, struct err *err)
{
    uint32_t test;
    for (size_t i = 0; i < rule->n_peers; i++) {
        if (verify_test_peer(space, policy, &rule->peers[i], &test, err) < 0 || add_address(to, open, test, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; open == VERIFY_DESTINATION && i < rule->n_ports; i++) {
        const struct policy_port *port = &rule->ports[i];
        if (port->kind == PORT_NAME && (verify_test_name(space, port->name, port->protocol, &test, err) < 0 ||
                                        add_address(to, open, test, err) < 0)) {
            return -1;
        }
    }
    return 0;
}

int verify_policy_addresses(struct verify_space *space, const struct verify_known *known, enum verify_side open,
                            struct verify_tests *to, struct err *err)
{
    bool flow;
    if (verify_policy_settled(space, known)) {
        return verify_guards_flow(space, known, &flow, err) < 0 ? -1 : flow ? add_guards(space, open, to, err) : 0;
    }
    if (add_special(space, known, open, to, err) < 0) {
        return -1;
    }
    enum verify_side side = open == VERIFY_SOURCE ? VERIFY_DESTINATION : VERIFY_SOURCE;
    const struct verify_pod *pod = judged(space, known, side);
    enum direction direction = direction_of(side);
    for (size_t i = 0; pod && i < pod->isolating[direction].n; i++) {
        const struct policy *policy = pod->isolating[direction].v[i];
        for (size_t j = 0; j < policy->n_rules[direction]; j++) {
            if (add_rule(space, policy, &policy->rules[direction][j], open, to, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

// ---- both ends known -----------------------------------------------------------------------------------------------

static int add_port(const struct policy_port *port, const struct pod *target, struct verify_tests *to, struct err *err)
{
    switch (port->kind) {
    case PORT_ALL:
    case PORT_UNREADABLE:
        return 0;
    case PORT_RANGE:
        return vec_push(&to->ports, (struct port_range){port->first, port->last}) < 0 ? err_oom(err) : 0;
    case PORT_NAME:
        for (size_t i = 0; target && i < target->n_ports; i++) {
            uint16_t number = target->ports[i].number;
            if (strcmp(target->ports[i].name, port->name) == 0 &&
                vec_push(&to->ports, (struct port_range){number, number}) < 0) {
                return err_oom(err);
            }
        }
        return 0;
    }
    return 0;
}

static int add_ports(const struct verify_pod *pod, enum direction direction, uint8_t protocol, const struct pod *target,
                     struct verify_tests *to, struct err *err)
{
    for (size_t i = 0; pod && i < pod->isolating[direction].n; i++) {
        const struct policy *policy = pod->isolating[direction].v[i];
        for (size_t j = 0; j < policy->n_rules[direction]; j++) {
            const struct policy_rule *rule = &policy->rules[direction][j];
            for (size_t k = 0; k < rule->n_ports; k++) {
                if (rule->ports[k].protocol == protocol && add_port(&rule->ports[k], target, to, err) < 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

int verify_policy_rest(struct verify_space *space, const struct verify_known *known, struct verify_tests *to,
                       struct err *err)
{
    if (verify_guards_marks(space, to, err) < 0) {
        return -1;
    }
    bool flow;
    if (verify_policy_settled(space, known)) {
        return verify_guards_flow(space, known, &flow, err) < 0 ? -1
               : flow                                           ? verify_guards_rest(space, known, to, err)
                                                                : 0;
    }
    const struct pod *target = space->cells[known->ends[VERIFY_DESTINATION].cell].owner;
    for (enum verify_side side = VERIFY_SOURCE; side <= VERIFY_DESTINATION; side++) {
        if (add_ports(judged(space, known, side), direction_of(side), (uint8_t)known->protocol, target, to, err) < 0) {
            return -1;
        }
    }
    return verify_guards_rest(space, known, to, err);
}
