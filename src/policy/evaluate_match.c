// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate_match.h"

#include <string.h>

// A selector in a peer: what could not be read matches nothing (1.5).
static bool peer_selector_matches(const struct selector *selector, const struct labels *labels)
{
    if (selector->unreadable) {
        return false;
    }
    for (size_t i = 0; i < selector->n; i++) {
        if (!requirement_matches(&selector->v[i], labels)) {
            return false;
        }
    }
    return true;
}

// spec.podSelector: the known requirements select (1.5).
static bool subject_matches(const struct selector *selector, const struct labels *labels)
{
    for (size_t i = 0; i < selector->n; i++) {
        if (selector->v[i].op != SELECTOR_UNKNOWN && !requirement_matches(&selector->v[i], labels)) {
            return false;
        }
    }
    return true;
}

bool policy_isolates(const struct policy *policy, const struct attempt *attempt)
{
    return policy->isolates[attempt->direction] && strcmp(policy->meta.ns, attempt->pod->meta.ns) == 0 &&
           subject_matches(&policy->subject, &attempt->pod->meta.labels);
}

// Labels of a namespace that has not been seen are unknown: only "every namespace" matches (2.9).
static bool namespace_matches(const struct selector *selector, const struct state *state, const char *name)
{
    const struct ns_object *ns = state_namespace(state, name);
    if (!ns) {
        return selector->n == 0 && !selector->unreadable;
    }
    return peer_selector_matches(selector, &ns->meta.labels);
}

static bool pods_match(const struct policy *policy, const struct peer *peer, const struct attempt *attempt)
{
    const struct pod *pod = attempt->other->pod;
    if (!pod || (!peer->has_pod_selector && !peer->has_ns_selector)) {
        return false;
    }
    bool ns_matches = peer->has_ns_selector ? namespace_matches(&peer->ns_selector, attempt->state, pod->meta.ns)
                                            : strcmp(pod->meta.ns, policy->meta.ns) == 0;
    return ns_matches && (!peer->has_pod_selector || peer_selector_matches(&peer->pod_selector, &pod->meta.labels));
}

static enum match block_match(const struct peer *peer, const struct endpoint *other)
{
    if (!other->has_address) {
        if (!other->family_known) {
            return MATCH_UNKNOWN;
        }
        if (peer->cidr.address.family != other->address.family) {
            return MATCH_NO;
        }
        // Every address of the family is in a /0 without excepts, so this one is.
        return peer->cidr.length == 0 && peer->n_excepts == 0 ? MATCH_YES : MATCH_UNKNOWN;
    }
    if (!prefix_contains(&peer->cidr, &other->address)) {
        return MATCH_NO;
    }
    for (size_t i = 0; i < peer->n_excepts; i++) {
        if (prefix_contains(&peer->excepts[i], &other->address)) {
            return MATCH_NO;
        }
    }
    return MATCH_YES;
}

static enum match peer_match(const struct policy *policy, const struct peer *peer, const struct attempt *attempt)
{
    switch (peer->kind) {
    case PEER_PODS:
        return pods_match(policy, peer, attempt) ? MATCH_YES : MATCH_NO;
    case PEER_BLOCK:
        return block_match(peer, attempt->other);
    case PEER_UNREADABLE:
        return MATCH_NO;
    }
    return MATCH_NO;
}

// A name is resolved on the pod that is connected to and on no other; an address without a pod has no names (4.4, 4.5).
static bool name_matches(const struct pod *target, const struct policy_port *port, uint16_t number)
{
    for (size_t i = 0; target && i < target->n_ports; i++) {
        const struct named_port *named = &target->ports[i];
        if (named->number == number && named->protocol == port->protocol && strcmp(named->name, port->name) == 0) {
            return true;
        }
    }
    return false;
}

static bool port_matches(const struct policy_port *port, const struct attempt *attempt)
{
    if (port->kind == PORT_UNREADABLE || port->protocol != attempt->protocol) {
        return false;
    }
    switch (port->kind) {
    case PORT_ALL:
        return true;
    case PORT_RANGE:
        return port->first <= attempt->port && attempt->port <= port->last;
    case PORT_NAME:
        return name_matches(attempt->target, port, attempt->port);
    case PORT_UNREADABLE:
        return false;
    }
    return false;
}

static bool ports_match(const struct policy_rule *rule, const struct attempt *attempt)
{
    if (rule->any_port) {
        return true;
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        if (port_matches(&rule->ports[i], attempt)) {
            return true;
        }
    }
    return false;
}

enum match rule_match(const struct policy *policy, const struct policy_rule *rule, const struct attempt *attempt,
                      int *ret_peer)
{
    if (rule->unreadable || !ports_match(rule, attempt)) {
        return MATCH_NO;
    }
    if (rule->any_peer) {
        *ret_peer = -1;
        return MATCH_YES;
    }
    enum match best = MATCH_NO;
    for (size_t i = 0; i < rule->n_peers; i++) {
        enum match match = peer_match(policy, &rule->peers[i], attempt);
        if (match == MATCH_YES) {
            *ret_peer = (int)i;
            return match;
        }
        best = match > best ? match : best;
    }
    return best;
}
