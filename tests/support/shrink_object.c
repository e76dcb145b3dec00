// SPDX-License-Identifier: Apache-2.0
//
// The reductions, one by one. Each function goes through all that a value offers and applies the one whose turn it is.
#include <stdio.h>

#include "support/shrink.h"

struct cut {
    size_t left;  // reductions to pass over
    bool done;
};

static bool now(struct cut *cut)
{
    if (cut->done || cut->left-- > 0) {
        return false;
    }
    cut->done = true;
    return true;
}

// Takes array[i] out. The arrays are const to everyone else; here they are parts of a copy of our own.
#define TAKE_OUT(array, n, i)                                                                                          \
    do {                                                                                                               \
        (void)memmove((void *)&(array)[i], &(array)[(i) + 1], ((n) - (i)-1) * sizeof((array)[0]));                     \
        (n)--;                                                                                                         \
    } while (0)

// One of the array goes, if it is its turn; as many as min stay.
#define CUT_ONE(cut, array, n, min)                                                                                    \
    do {                                                                                                               \
        for (size_t cut_i = 0; !(cut)->done && (n) > (min) && cut_i < (n); cut_i++) {                                  \
            if (now(cut)) {                                                                                            \
                TAKE_OUT(array, n, cut_i);                                                                             \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static void cut_flag(struct cut *cut, bool *flag)
{
    if (*flag && now(cut)) {
        *flag = false;
    }
}

static void cut_text(struct cut *cut, const char **text)
{
    if (**text && now(cut)) {
        *text = "";
    }
}

static void cut_meta(struct cut *cut, enum object_kind kind, struct object_meta *meta)
{
    cut_flag(cut, &meta->terminating);
    cut_text(cut, &meta->uid);
    cut_text(cut, &meta->created);
    for (size_t i = 0; !cut->done && i < meta->labels.n; i++) {
        // A namespace always has the label of its name.
        bool stays = kind == OBJECT_NAMESPACE && strcmp(meta->labels.v[i].key, "kubernetes.io/metadata.name") == 0;
        if (!stays && now(cut)) {
            TAKE_OUT(meta->labels.v, meta->labels.n, i);
        }
    }
}

// ---- policies ------------------------------------------------------------------------------------------------------

static void cut_selector(struct cut *cut, struct selector *selector)
{
    CUT_ONE(cut, selector->v, selector->n, 0);
    for (size_t i = 0; !cut->done && i < selector->n; i++) {
        struct requirement *requirement = (struct requirement *)&selector->v[i];
        CUT_ONE(cut, requirement->values, requirement->n_values, 1);
    }
}

static void cut_peer(struct cut *cut, struct peer *peer)
{
    CUT_ONE(cut, peer->excepts, peer->n_excepts, 0);
    if (peer->kind != PEER_PODS) {
        return;
    }
    if (peer->has_pod_selector && peer->has_ns_selector) {
        cut_flag(cut, &peer->has_pod_selector);
        if (peer->has_pod_selector) {
            cut_flag(cut, &peer->has_ns_selector);
        }
    }
    if (peer->has_pod_selector) {
        cut_selector(cut, &peer->pod_selector);
    }
    if (peer->has_ns_selector) {
        cut_selector(cut, &peer->ns_selector);
    }
}

static void cut_port(struct cut *cut, struct policy_port *port)
{
    if (port->kind == PORT_RANGE && port->first != port->last && now(cut)) {
        port->last = port->first;
    }
    if ((port->kind == PORT_RANGE || port->kind == PORT_NAME) && now(cut)) {
        *port = (struct policy_port){.kind = PORT_ALL, .protocol = port->protocol};
    }
}

static void cut_rule(struct cut *cut, struct policy_rule *rule)
{
    if (!rule->unreadable && !rule->any_peer && now(cut)) {
        rule->any_peer = true;
        rule->n_peers = 0;
    }
    if (!rule->unreadable && !rule->any_port && now(cut)) {
        rule->any_port = true;
        rule->n_ports = 0;
    }
    CUT_ONE(cut, rule->peers, rule->n_peers, 1);
    CUT_ONE(cut, rule->ports, rule->n_ports, 1);
    for (size_t i = 0; !cut->done && i < rule->n_peers; i++) {
        cut_peer(cut, (struct peer *)&rule->peers[i]);
    }
    for (size_t i = 0; !cut->done && i < rule->n_ports; i++) {
        cut_port(cut, (struct policy_port *)&rule->ports[i]);
    }
}

static void cut_direction(struct cut *cut, struct policy *policy, enum direction direction)
{
    if (policy->isolates[direction] && now(cut)) {
        policy->isolates[direction] = false;
        policy->n_rules[direction] = 0;
    }
    CUT_ONE(cut, policy->rules[direction], policy->n_rules[direction], 0);
    for (size_t i = 0; !cut->done && i < policy->n_rules[direction]; i++) {
        cut_rule(cut, (struct policy_rule *)&policy->rules[direction][i]);
    }
}

static bool unreadable_rule(const struct policy_rule *rule)
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

// As the decoder says it of what is left.
static bool unenforceable(const struct policy *policy)
{
    bool found =
        policy->subject.unreadable || (!policy->isolates[DIRECTION_INGRESS] && !policy->isolates[DIRECTION_EGRESS]);
    for (size_t d = 0; d < DIRECTION_COUNT; d++) {
        for (size_t i = 0; i < policy->n_rules[d]; i++) {
            found = found || unreadable_rule(&policy->rules[d][i]);
        }
    }
    return found;
}

static void cut_policy(struct cut *cut, struct policy *policy)
{
    cut_direction(cut, policy, DIRECTION_INGRESS);
    cut_direction(cut, policy, DIRECTION_EGRESS);
    cut_selector(cut, &policy->subject);
    if (policy->subject.unreadable && now(cut)) {
        policy->subject.unreadable = policy->grants_nothing = false;
    }
    cut_meta(cut, OBJECT_POLICY, &policy->meta);
    policy->unenforceable = unenforceable(policy);
}

// ---- other objects -------------------------------------------------------------------------------------------------

static void cut_pod(struct cut *cut, struct pod *pod)
{
    CUT_ONE(cut, pod->addresses, pod->n_addresses, 0);
    CUT_ONE(cut, pod->ports, pod->n_ports, 0);
    cut_flag(cut, &pod->host_network);
    if (pod->phase != POD_RUNNING && now(cut)) {
        pod->phase = POD_RUNNING;
    }
    cut_text(cut, &pod->node);
    cut_meta(cut, OBJECT_POD, &pod->meta);
}

static void cut_node(struct cut *cut, struct node *node)
{
    CUT_ONE(cut, node->addresses, node->n_addresses, 0);
    CUT_ONE(cut, node->pod_cidrs, node->n_pod_cidrs, 0);
    cut_meta(cut, OBJECT_NODE, &node->meta);
}

bool shrink_object(enum object_kind kind, void *object, size_t k)
{
    struct cut cut = {.left = k};
    switch (kind) {
    case OBJECT_POD:
        cut_pod(&cut, object);
        break;
    case OBJECT_NAMESPACE:
        cut_meta(&cut, kind, &((struct ns_object *)object)->meta);
        break;
    case OBJECT_POLICY:
        cut_policy(&cut, object);
        break;
    case OBJECT_NODE:
        cut_node(&cut, object);
        break;
    }
    return cut.done;
}

// ---- facts, options, packet ----------------------------------------------------------------------------------------

bool shrink_facts(struct facts *facts, size_t k)
{
    struct cut cut = {.left = k};
    CUT_ONE(&cut, facts->interfaces, facts->n_interfaces, 0);
    CUT_ONE(&cut, facts->routes, facts->n_routes, 0);
    cut_flag(&cut, &facts->ipvs);
    for (size_t i = 0; !cut.done && i < facts->n_interfaces; i++) {
        struct facts_interface *interface = (struct facts_interface *)&facts->interfaces[i];
        CUT_ONE(&cut, interface->addresses, interface->n_addresses, 0);
        if (*interface->master && now(&cut)) {
            *interface->master = '\0';
        }
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (facts->bridge_nf[i] != FACTS_UNKNOWN && now(&cut)) {
            facts->bridge_nf[i] = FACTS_UNKNOWN;
        }
    }
    return cut.done;
}

static void cut_packet(struct cut *cut, struct packet *packet)
{
    cut_flag(cut, &packet->dnat);
    cut_flag(cut, &packet->source_is_node);
    if (packet->arrival != ARRIVAL_FORWARD && now(cut)) {
        packet->arrival = ARRIVAL_FORWARD;
    }
    if (packet->ct != CT_NEW && now(cut)) {
        packet->ct = CT_NEW;
    }
    if (packet->hop_limit && now(cut)) {
        packet->hop_limit = 0;
    }
    if (*packet->in && now(cut)) {
        *packet->in = '\0';
    }
    if (*packet->out && now(cut)) {
        *packet->out = '\0';
    }
    if ((packet->protocol != PROTOCOL_TCP || packet->icmp_type) && now(cut)) {
        packet->protocol = PROTOCOL_TCP;
        packet->icmp_type = 0;
    }
    if (packet->protocol == PROTOCOL_TCP && packet->port != 80 && now(cut)) {
        packet->port = 80;
    }
}

// Nobody's address for one that does not matter.
static void cut_address(struct cut *cut, struct address *address, const char *plain_v4, const char *plain_v6)
{
    struct address plain;
    if (address_parse(address->family == FAMILY_V4 ? plain_v4 : plain_v6, &plain) && !address_equal(address, &plain) &&
        now(cut)) {
        *address = plain;
    }
}

bool shrink_rest(struct trial *trial, size_t k)
{
    struct cut cut = {.left = k};
    if (trial->options.denied != DENIED_DROP && now(&cut)) {
        trial->options.denied = DENIED_DROP;
    }
    if (trial->options.allowed != ALLOWED_RETURN && now(&cut)) {
        trial->options.allowed = ALLOWED_RETURN;
    }
    cut_flag(&cut, &trial->options.host_egress_allowed);
    cut_packet(&cut, &trial->packet);
    cut_address(&cut, &trial->packet.source, "203.0.113.7", "2001:db8::7");
    cut_address(&cut, &trial->packet.destination, "203.0.113.9", "2001:db8::9");
    return cut.done;
}
