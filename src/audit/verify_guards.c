// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_guards.h"

enum { ICMPV6 = 58, DHCP_SERVER = 67, LONGEST_WITH_BROADCAST = 30, LONGEST_WITH_ANYCAST = 126 };
static const uint8_t tunnel_protocols[] = {4, 41, 47};
static const uint16_t tunnel_ports[] = {8472, 4789};

static bool guards_sources(const struct verify_input *input)
{
    return input->facts && input->options->source_guard != SOURCE_GUARD_OFF;
}

static bool guards_unknown(const struct verify_input *input)
{
    return input->options->unknown_pods == UNKNOWN_PODS_DROP;
}

bool verify_guards_spare_node(const struct verify_space *space)
{
    const struct verify_input *input = space->input;
    return input->options->host_egress_allowed && input->options->encap_allowed && !guards_sources(input) &&
           !guards_unknown(input);
}

// To where a tunnel ends, by the answers below.
static bool is_taken(uint32_t value)
{
    return (value & (VERIFY_OF_NODE | VERIFY_MANY | VERIFY_EDGE)) != 0;
}

static bool is_tunnel(int protocol)
{
    return protocol == PROTOCOL_UDP || memchr(tunnel_protocols, protocol, sizeof(tunnel_protocols));
}

int verify_guards_flow(struct verify_space *space, const struct verify_known *known, bool *ret, struct err *err)
{
    uint32_t test;
    *ret = !space->input->options->encap_allowed && known->arrival != ARRIVAL_FROM_NODE && is_tunnel(known->protocol);
    if (!*ret || known->ends[VERIFY_DESTINATION].knowledge != VERIFY_KNOWN) {
        return 0;
    }
    if (verify_test_guards(space, &test, err) < 0 || verify_test_answer(space, test, err) < 0) {
        return -1;
    }
    *ret = is_taken(verify_test_value(space, test, known->ends[VERIFY_DESTINATION].cell));
    return 0;
}

void verify_guards_protocols(const struct verify_space *space, bool ret[256])
{
    for (size_t i = 0; !space->input->options->encap_allowed && i < ARRAY_SIZE(tunnel_protocols); i++) {
        ret[tunnel_protocols[i]] = true;
    }
}

// ---- addresses -----------------------------------------------------------------------------------------------------

static bool is_unspecified(const struct address *address)
{
    static const struct address zero;
    return memcmp(address->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
}

static void flag_address(const struct verify_space *space, const struct address *address, uint32_t flag,
                         uint32_t *values)
{
    if (address->family == space->family && !is_unspecified(address)) {
        values[verify_space_find(space, address)] |= flag;
    }
}

static int flag_nodes(const struct verify_space *space, uint32_t *values, struct err *err)
{
    const struct verify_input *input = space->input;
    const struct facts *facts = input->facts;
    uint32_t any = input->options->encap_allowed ? 0 : VERIFY_OF_NODE;
    uint32_t own = guards_unknown(input) ? VERIFY_OWN : 0;
    size_t n;
    const struct node *const *nodes = state_nodes(input->state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        bool is_own = strcmp(nodes[i]->meta.name, input->node) == 0;
        for (size_t j = 0; j < nodes[i]->n_addresses; j++) {
            flag_address(space, &nodes[i]->addresses[j], any | (is_own ? own : 0), values);
        }
        for (size_t j = 0; j < nodes[i]->n_pod_cidrs; j++) {
            struct address gateway = nodes[i]->pod_cidrs[j].address;
            flag_address(space, &gateway, any, values);
            gateway.bytes[family_bits(gateway.family) / 8 - 1] |= 1;
            flag_address(space, &gateway, any, values);
        }
    }
    for (size_t i = 0; facts && i < facts->n_interfaces; i++) {
        for (size_t j = 0; j < facts->interfaces[i].n_addresses; j++) {
            if (facts_is_own_address(facts, &facts->interfaces[i].addresses[j])) {
                flag_address(space, &facts->interfaces[i].addresses[j], any | own, values);
            } else if (facts->ipvs) {
                flag_address(space, &facts->interfaces[i].addresses[j], any, values);
            }
        }
    }
    for (size_t i = 0; facts && i < facts->n_local; i++) {
        const struct prefix *prefix = &facts->local[i].prefix;
        if (prefix->length == family_bits(prefix->address.family)) {
            flag_address(space, &prefix->address, any, values);
        }
    }
    for (size_t i = 0; facts && i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        if (prefix->address.family == FAMILY_V6 && prefix->length <= LONGEST_WITH_ANYCAST &&
            facts_is_connected(facts, &facts->routes[i])) {
            flag_address(space, &prefix->address, any, values);
        }
    }
    return 0;
}

static void flag_broadcasts(const struct verify_space *space, uint32_t *values)
{
    const struct facts *facts = space->input->facts;
    for (size_t i = 0; i < facts->n_routes; i++) {
        const struct prefix *prefix = &facts->routes[i].prefix;
        const struct verify_name *name = verify_names_find(space->names, facts->routes[i].device);
        if (space->family != FAMILY_V4 || prefix->address.family != FAMILY_V4 || prefix->length == 0 ||
            prefix->length > LONGEST_WITH_BROADCAST ||
            !((name && name->bridge) || facts_is_connected(facts, &facts->routes[i]))) {
            continue;
        }
        struct address last = prefix->address;
        for (unsigned bit = prefix->length; bit < family_bits(FAMILY_V4); bit++) {
            last.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
        }
        uint32_t flags = VERIFY_EDGE | (name && name->bridge && name->enforced ? (uint32_t)VERIFY_MANY : 0);
        if (!facts_is_own_address(facts, &prefix->address)) {
            values[verify_space_find(space, &prefix->address)] |= flags;
        }
        if (!facts_is_own_address(facts, &last)) {
            values[verify_space_find(space, &last)] |= flags;
        }
    }
}

// Of routes of table local: networks that the node takes for its own, and what it hears with others.
static uint32_t flags_of_routes(const struct verify_space *space, const struct address *address)
{
    const struct facts *facts = space->input->facts;
    uint32_t flags = 0;
    for (size_t i = 0; i < facts->n_local; i++) {
        const struct prefix *prefix = &facts->local[i].prefix;
        if (prefix->length < family_bits(space->family) && prefix_contains(prefix, address)) {
            flags |= VERIFY_EDGE;
        }
    }
    for (size_t i = 0; i < facts->n_broadcast; i++) {
        if (address_equal(&facts->broadcast[i].prefix.address, address) && !facts_is_own_address(facts, address)) {
            const struct verify_name *name = verify_names_find(space->names, facts->broadcast[i].device);
            flags |= VERIFY_EDGE | (name && name->bridge && name->enforced ? (uint32_t)VERIFY_MANY : 0);
        }
    }
    return flags;
}

static bool is_in_pod_cidr(const struct verify_input *input, const struct address *address)
{
    const struct policy_options *options = input->options;
    const struct node *node = state_node(input->state, input->node);
    const struct prefix *cidrs = options->n_pod_cidrs ? options->pod_cidrs : node ? node->pod_cidrs : NULL;
    size_t n = options->n_pod_cidrs ? options->n_pod_cidrs : node ? node->n_pod_cidrs : 0;
    for (size_t i = 0; i < n; i++) {
        if (prefix_contains(&cidrs[i], address)) {
            return true;
        }
    }
    return false;
}

static uint32_t flags_of(const struct verify_input *input, const struct address *address)
{
    static const struct address everybody = {.family = FAMILY_V4, .bytes = {255, 255, 255, 255}};
    bool sources = guards_sources(input) && address->family == FAMILY_V4;
    return (uint32_t)((guards_unknown(input) && is_in_pod_cidr(input, address) ? VERIFY_IN_POD_CIDR : 0) |
                      (sources && is_unspecified(address) ? VERIFY_UNSPECIFIED : 0) |
                      (sources && address_equal(address, &everybody) ? VERIFY_EVERYBODY : 0) |
                      (input->facts && address_is_multicast(address) ? VERIFY_MANY : 0));
}

int verify_guards_answer(const struct verify_space *space, struct verify_test *test, struct err *err)
{
    CLEANUP(free) uint32_t *values = calloc(space->n_cells + 1, sizeof(*values));
    if (!values) {
        return err_oom(err);
    }
    for (size_t i = 0; i < space->n_cells; i++) {
        values[i] = flags_of(space->input, &space->cells[i].first);
        values[i] |= space->input->facts ? flags_of_routes(space, &space->cells[i].first) : 0;
    }
    if (space->input->facts) {
        flag_broadcasts(space, values);
    }
    if (flag_nodes(space, values, err) < 0) {
        return -1;
    }
    test->values = TAKE(values);
    return 0;
}

// ---- ports and names -----------------------------------------------------------------------------------------------

// What is known of a packet, for the names.
struct question {
    const struct verify_space *space;
    enum arrival arrival;
    const struct pod *source;  // owner
    bool link_local;
    bool many;
    bool router;  // advertises itself, or redirects
    bool tunnel;  // its protocol is, and it goes to where a node takes it
};

static uint64_t sign_in(const struct question *question, size_t number)
{
    const struct verify_name *name = &question->space->names->v[number];
    bool lo = strcmp(name->text, "lo") == 0;
    if (question->arrival == ARRIVAL_FROM_NODE) {
        return lo && guards_unknown(question->space->input) ? 1 : 0;
    }
    if (name->bridge || name->several || lo) {
        return verify_names_mix(1000 + number);
    }
    // Closed tells a guarded pod's name from one that is claimed only.
    unsigned flags = (name->claimed ? 1u : 0) | (name->claimed && name->claimed == question->source ? 2u : 0) |
                     (name->closed ? 4u : 0) | ((question->tunnel || question->source) && name->of_pods ? 8u : 0) |
                     (question->link_local && name->enforced ? 16u : 0) | (question->tunnel && name->unknown ? 32u : 0);
    return flags ? verify_names_mix(flags) : 0;
}

static uint64_t sign_port_in(const struct question *question, size_t number)
{
    const struct verify_name *name = &question->space->names->v[number];
    bool closed = name->port_isolated[DIRECTION_EGRESS];
    if (question->arrival == ARRIVAL_FROM_NODE || !name->port_bridge ||
        (!name->port_claimed && !closed && !question->tunnel)) {
        return 0;
    }
    if (name->port_several) {
        return verify_names_mix(1000 + number);
    }
    unsigned flags = (name->port_claimed ? 1u : 0) | (name->port_pod == question->source ? 2u : 0) | (closed ? 4u : 0);
    return verify_names_mix(((uint64_t)name->port_bridge << 8 | flags) + 1000000);
}

static void sign_names(const struct question *question, struct verify_tests *to)
{
    const struct verify_names *names = question->space->names;
    bool bridged = question->arrival == ARRIVAL_FORWARD;
    for (size_t i = 0; i < names->n; i++) {
        to->names[VERIFY_IN].v[i] += sign_in(question, i);
        to->names[VERIFY_PORT_IN].v[i] += sign_port_in(question, i);
        if (bridged && names->v[i].bridge && (question->link_local || question->many || question->router)) {
            to->names[VERIFY_OUT].v[i] += verify_names_mix(1000 + i);
        }
        if (bridged && question->many && names->v[i].port_isolated[DIRECTION_INGRESS]) {
            to->names[VERIFY_PORT_OUT].v[i] += 1;
        }
    }
}

static int add_port(uint16_t port, struct verify_tests *to, struct err *err)
{
    return vec_push(&to->ports, (struct port_range){port, port}) < 0 ? err_oom(err) : 0;
}

static int add_ports(const struct verify_space *space, uint32_t from, uint32_t dest, struct verify_tests *to,
                     struct err *err)
{
    const struct facts *facts = space->input->facts;
    bool taken = is_taken(dest);
    for (size_t i = 0; taken && i < ARRAY_SIZE(tunnel_ports); i++) {
        if (add_port(tunnel_ports[i], to, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; taken && facts && i < facts->n_tunnel_ports; i++) {
        if (add_port(facts->tunnel_ports[i], to, err) < 0) {
            return -1;
        }
    }
    bool dhcp = (from & VERIFY_UNSPECIFIED) && (dest & VERIFY_EVERYBODY);
    return dhcp ? add_port(DHCP_SERVER, to, err) : 0;
}

int verify_guards_rest(struct verify_space *space, const struct verify_known *known, struct verify_tests *to,
                       struct err *err)
{
    uint32_t test;
    const struct verify_cell *source = &space->cells[known->ends[VERIFY_SOURCE].cell];
    const struct verify_cell *destination = &space->cells[known->ends[VERIFY_DESTINATION].cell];
    if (verify_test_guards(space, &test, err) < 0 || verify_test_answer(space, test, err) < 0) {
        return -1;
    }
    uint32_t from = verify_test_value(space, test, known->ends[VERIFY_SOURCE].cell);
    uint32_t dest = verify_test_value(space, test, known->ends[VERIFY_DESTINATION].cell);
    bool v6 = space->family == FAMILY_V6;
    bool taken = is_taken(dest);
    const struct question question = {
        .space = space,
        .arrival = known->arrival,
        .source = source->owner,
        .link_local = v6 && (address_is_link_local(&source->first) || address_is_link_local(&destination->first)),
        .many = (dest & VERIFY_MANY) != 0,
        .router = v6 && known->protocol == ICMPV6,
        .tunnel = taken && is_tunnel(known->protocol),
    };
    sign_names(&question, to);
    return known->protocol == PROTOCOL_UDP ? add_ports(space, from, dest, to, err) : 0;
}

int verify_guards_marks(const struct verify_space *space, struct verify_tests *to, struct err *err)
{
    const struct facts *facts = space->input->facts;
    uint32_t mask = space->input->options->revoke_mask;
    if (!facts || !facts->revoked[space->family] || !mask) {
        return 0;
    }
    return vec_push(&to->marks, (struct verify_mark){.value = mask, .mask = mask}) < 0 ? err_oom(err) : 0;
}
