// SPDX-License-Identifier: Apache-2.0
#include "base/limits.h"
#include "support/clause_side.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58 };

static bool has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static bool is_icmp(uint8_t protocol)
{
    return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6;
}

// ---- numbers -------------------------------------------------------------------------------------------------------

static bool declares_number(const struct pod *pod, uint16_t number)
{
    for (size_t i = 0; i < pod->n_ports; i++) {
        if (pod->ports[i].number == number) {
            return true;
        }
    }
    return false;
}

static void observe_range(const struct policy_port *entry, uint16_t port, struct clause_set *met)
{
    if (port == entry->first) {
        clause_mark(met, CLAUSE_RANGE_FIRST);
    } else if (port == entry->last) {
        clause_mark(met, CLAUSE_RANGE_LAST);
    } else if (port > entry->first && port < entry->last) {
        clause_mark(met, CLAUSE_RANGE_INSIDE);
    } else if (port + 1 == entry->first) {
        clause_mark(met, CLAUSE_RANGE_BELOW);
    } else if (port == entry->last + 1) {
        clause_mark(met, CLAUSE_RANGE_ABOVE);
    }
}

static bool range_entry(const struct clause_side *side, const struct policy_port *entry, struct clause_set *met)
{
    const struct packet *packet = side->packet;
    bool inside = entry->first <= packet->port && packet->port <= entry->last;
    if (entry->protocol != packet->protocol) {
        if (inside && has_ports(packet->protocol)) {
            clause_mark(met, CLAUSE_PORT_PROTOCOL);
            if (entry->protocol == PROTOCOL_SCTP && packet->protocol == PROTOCOL_TCP) {
                clause_mark(met, CLAUSE_SCTP_NOT_TCP);
            }
        }
        return false;
    }
    if (entry->first == entry->last) {
        clause_mark(met, inside ? CLAUSE_PORT_NUMBER : CLAUSE_PORT_NUMBER_OTHER);
    } else {
        observe_range(entry, packet->port, met);
    }
    if (inside && side->target->pod && !declares_number(side->target->pod, packet->port)) {
        clause_mark(met, CLAUSE_NUMBER_UNDECLARED);
    }
    return inside;
}

// ---- names ---------------------------------------------------------------------------------------------------------

static bool gives(const struct pod *pod, const char *name, uint8_t protocol, uint16_t number)
{
    for (size_t i = 0; pod && i < pod->n_ports; i++) {
        const struct named_port *port = &pod->ports[i];
        if (port->protocol == protocol && port->number == number && strcmp(port->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool any_pod_gives(const struct clause_side *side, const struct policy_port *entry)
{
    size_t n;
    const struct pod *const *pods = state_pods(side->world->state, &n);
    for (size_t i = 0; i < n; i++) {
        if (pod_is_live(pods[i]) && gives(pods[i], entry->name, entry->protocol, side->packet->port)) {
            return true;
        }
    }
    return false;
}

// A hostNetwork pod on the address where the packet goes.
static bool any_host_gives(const struct clause_side *side, const struct policy_port *entry)
{
    size_t n;
    const struct pod *const *pods = state_pods(side->world->state, &n);
    for (size_t i = 0; side->target->host && i < n; i++) {
        for (size_t j = 0; pods[i]->host_network && j < pods[i]->n_addresses; j++) {
            if (address_equal(&pods[i]->addresses[j], &side->target->address) &&
                gives(pods[i], entry->name, entry->protocol, side->packet->port)) {
                return true;
            }
        }
    }
    return false;
}

static void observe_name_miss(const struct clause_side *side, const struct policy_port *entry, struct clause_set *met)
{
    const struct clause_end *target = side->target;
    const struct pod *source = side->direction == DIRECTION_INGRESS ? side->other->pod : side->pod;
    uint16_t number;
    if (!target->pod) {
        clause_mark(met, CLAUSE_NAME_NO_POD);
        if (any_host_gives(side, entry)) {
            clause_mark(met, CLAUSE_NAME_HOST_NETWORK);
        }
        return;
    }
    bool known = pod_named_ports(target->pod, entry->name, entry->protocol, &number, 1) > 0;
    clause_mark(met, known ? CLAUSE_NAME_OTHER_NUMBER : CLAUSE_NAME_UNKNOWN);
    if (gives(source, entry->name, entry->protocol, side->packet->port)) {
        clause_mark(met, CLAUSE_NAME_SOURCE);
    }
    if (any_pod_gives(side, entry)) {
        clause_mark(met, CLAUSE_NAME_OTHER_POD);
    }
}

static bool name_entry(const struct clause_side *side, const struct policy_port *entry, struct clause_set *met)
{
    const struct packet *packet = side->packet;
    if (entry->protocol != packet->protocol) {
        if (gives(side->target->pod, entry->name, packet->protocol, packet->port)) {
            clause_mark(met, CLAUSE_NAME_PROTOCOL);
        }
        return false;
    }
    if (!gives(side->target->pod, entry->name, packet->protocol, packet->port)) {
        observe_name_miss(side, entry, met);
        return false;
    }
    uint16_t first = 0;
    (void)pod_named_ports(side->target->pod, entry->name, entry->protocol, &first, 1);
    clause_mark(met, CLAUSE_NAME);
    if (first != packet->port) {
        clause_mark(met, CLAUSE_NAME_SECOND);
    }
    return true;
}

// ---- lists ---------------------------------------------------------------------------------------------------------

static bool one_port(const struct clause_side *side, const struct policy_port *entry, struct clause_set *met)
{
    bool match = false;
    switch (entry->kind) {
    case PORT_ALL:
        match = entry->protocol == side->packet->protocol;
        clause_mark(met, match ? CLAUSE_PORT_ALL : CLAUSE_PORT_ALL_OTHER);
        break;
    case PORT_RANGE:
        match = range_entry(side, entry, met);
        break;
    case PORT_NAME:
        match = name_entry(side, entry, met);
        break;
    case PORT_UNREADABLE:
        clause_mark(met, CLAUSE_PORT_UNREADABLE);
        break;
    }
    if (match && entry->protocol == PROTOCOL_SCTP) {
        clause_mark(met, CLAUSE_SCTP);
    }
    return match;
}

static void observe_any_port(uint8_t protocol, struct clause_set *met)
{
    clause_mark(met, CLAUSE_ANY_PORT);
    if (!has_ports(protocol)) {
        clause_mark(met, is_icmp(protocol) ? CLAUSE_ICMP_NO_PORTS : CLAUSE_OTHER_NO_PORTS);
    }
}

struct clause_ports clause_ports(const struct clause_side *side, const struct policy_rule *rule, struct clause_set *met)
{
    uint8_t protocol = side->packet->protocol;
    struct clause_ports ret = {.match = rule->any_port};
    if (rule->any_port) {
        observe_any_port(protocol, met);
        return ret;
    }
    if (!has_ports(protocol)) {
        clause_mark(met, is_icmp(protocol) ? CLAUSE_ICMP_PORTS : CLAUSE_OTHER_PORTS);
    }
    size_t unreadable = 0;
    bool by_number = false;
    for (size_t i = 0; i < rule->n_ports; i++) {
        const struct policy_port *entry = &rule->ports[i];
        unreadable += entry->kind == PORT_UNREADABLE;
        ret.named = ret.named || (entry->kind == PORT_NAME && entry->protocol == protocol);
        if (!one_port(side, entry, met)) {
            continue;
        }
        if (i > 0 && !ret.match) {
            clause_mark(met, CLAUSE_PORTS_ORED);
        }
        if (i >= LIMIT_MULTIPORT && !ret.match) {
            clause_mark(met, CLAUSE_PORTS_MANY);
        }
        ret.match = true;
        by_number = by_number || entry->kind != PORT_NAME;
    }
    if (unreadable == rule->n_ports && unreadable) {
        clause_mark(met, CLAUSE_PORTS_UNREADABLE);
    }
    ret.by_name = ret.match && !by_number;
    return ret;
}
