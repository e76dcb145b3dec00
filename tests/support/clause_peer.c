// SPDX-License-Identifier: Apache-2.0
#include <strings.h>

#include "support/clause_side.h"

static const char metadata_name[] = "kubernetes.io/metadata.name";

// ---- requirements --------------------------------------------------------------------------------------------------

static bool lists(const struct requirement *requirement, const char *value, int (*compare)(const char *, const char *))
{
    for (size_t i = 0; i < requirement->n_values; i++) {
        if (compare(requirement->values[i], value) == 0) {
            return true;
        }
    }
    return false;
}

static enum clause in_clause(const struct requirement *requirement, const char *value, struct clause_set *met)
{
    if (!value) {
        if (lists(requirement, "", strcmp)) {
            clause_mark(met, CLAUSE_IN_EMPTY_ABSENT);
        }
        return CLAUSE_IN_ABSENT;
    }
    if (lists(requirement, value, strcmp)) {
        if (!*value) {
            clause_mark(met, CLAUSE_IN_EMPTY);
        }
        return CLAUSE_IN_LISTED;
    }
    return lists(requirement, value, strcasecmp) ? CLAUSE_IN_CASE : CLAUSE_IN_OTHER;
}

// The match of a requirement, read from the clause that says it and not from requirement_matches, which evaluator and
// compiler share: a mistake there shows here.
static bool requirement_match(const struct requirement *requirement, const struct labels *labels,
                              struct clause_set *met)
{
    const char *value = labels_get(labels, requirement->key);
    enum clause clause = CLAUSE_COUNT;
    switch (requirement->op) {
    case SELECTOR_IN:
        clause = in_clause(requirement, value, met);
        break;
    case SELECTOR_NOT_IN:
        clause = !value                              ? CLAUSE_NOT_IN_ABSENT
                 : lists(requirement, value, strcmp) ? CLAUSE_NOT_IN_LISTED
                                                     : CLAUSE_NOT_IN_OTHER;
        break;
    case SELECTOR_EXISTS:
        clause = !value ? CLAUSE_EXISTS_ABSENT : *value ? CLAUSE_EXISTS : CLAUSE_EXISTS_EMPTY;
        break;
    case SELECTOR_NOT_EXISTS:
        clause = value ? CLAUSE_NOT_EXISTS_PRESENT : CLAUSE_NOT_EXISTS;
        break;
    case SELECTOR_UNKNOWN:
        return false;
    }
    clause_mark(met, clause);
    return clause == CLAUSE_IN_LISTED || clause == CLAUSE_NOT_IN_ABSENT || clause == CLAUSE_NOT_IN_OTHER ||
           clause == CLAUSE_EXISTS || clause == CLAUSE_EXISTS_EMPTY || clause == CLAUSE_NOT_EXISTS;
}

bool clause_selector(const struct selector *selector, bool subject, const struct labels *labels, struct clause_set *met)
{
    size_t hits = 0;
    size_t misses = 0;
    if (selector->unreadable && !subject) {
        return false;
    }
    for (size_t i = 0; i < selector->n; i++) {
        const struct requirement *requirement = &selector->v[i];
        if (requirement->op == SELECTOR_UNKNOWN) {
            continue;
        }
        *(requirement_match(requirement, labels, met) ? &hits : &misses) += 1;
        if (i > 0 && strcmp(selector->v[i - 1].key, requirement->key) == 0) {
            clause_mark(met, CLAUSE_SAME_KEY);
        }
    }
    if (hits && misses) {
        clause_mark(met, CLAUSE_ANDED);
    }
    return misses == 0;
}

// ---- selector peers ------------------------------------------------------------------------------------------------

static bool unseen_matches(const struct selector *selector, struct clause_set *met)
{
    for (size_t i = 0; i < selector->n; i++) {
        if (selector->v[i].op == SELECTOR_NOT_IN || selector->v[i].op == SELECTOR_NOT_EXISTS) {
            clause_mark(met, CLAUSE_UNSEEN_NEGATIVE);
        }
    }
    if (selector->n || selector->unreadable) {
        return false;
    }
    clause_mark(met, CLAUSE_UNSEEN_ALL);
    return true;
}

static bool text_has(const struct clause_world *world, const struct ns_object *ns, enum clause clause)
{
    size_t n;
    const struct ns_object *const *all = state_namespaces(world->state, &n);
    for (size_t i = 0; world->text[OBJECT_NAMESPACE] && i < n; i++) {
        if (all[i] == ns) {
            return world->text[OBJECT_NAMESPACE][i].words[clause / 64] >> clause % 64 & 1;
        }
    }
    return false;
}

static bool namespace_matches(const struct clause_side *side, const struct selector *selector, const char *name,
                              struct clause_set *met)
{
    const struct ns_object *ns = state_namespace(side->world->state, name);
    if (!ns) {
        return unseen_matches(selector, met);
    }
    bool match = clause_selector(selector, false, &ns->meta.labels, met);
    for (size_t i = 0; i < selector->n; i++) {
        if (strcmp(selector->v[i].key, metadata_name) == 0) {
            clause_mark(met, CLAUSE_METADATA_NAME);
            if (text_has(side->world, ns, CLAUSE_T_METADATA_NAME)) {
                clause_mark(met, CLAUSE_T_METADATA_NAME);
            }
        }
    }
    return match;
}

// How the two parts of a selector peer find a pod; what is absent matches as the peer table says.
struct parts {
    bool ns;
    bool pod;
};

static struct parts parts_of(const struct clause_side *side, const struct policy *policy, const struct peer *peer,
                             const struct pod *pod, struct clause_set *met)
{
    return (struct parts){
        .ns = peer->has_ns_selector ? namespace_matches(side, &peer->ns_selector, pod->meta.ns, met)
                                    : strcmp(pod->meta.ns, policy->meta.ns) == 0,
        .pod = !peer->has_pod_selector || clause_selector(&peer->pod_selector, false, &pod->meta.labels, met),
    };
}

static bool would_match(const struct clause_side *side, const struct policy *policy, const struct peer *peer,
                        const struct pod *pod)
{
    struct clause_set unused = {0};
    struct parts parts = parts_of(side, policy, peer, pod, &unused);
    return parts.ns && parts.pod;
}

static void observe_no_pod(const struct clause_side *side, const struct policy *policy, const struct peer *peer,
                           struct clause_set *met)
{
    clause_mark(met, CLAUSE_PEER_NO_POD);
    if (side->other->finished && would_match(side, policy, peer, side->other->finished)) {
        clause_mark(met, CLAUSE_FINISHED_PEER);
    }
    if (side->other->host && would_match(side, policy, peer, side->other->host)) {
        clause_mark(met, CLAUSE_HOST_NETWORK_PEER);
    }
}

static bool dual_stack(const struct pod *pod)
{
    bool has[FAMILY_COUNT] = {false};
    for (size_t i = 0; i < pod->n_addresses; i++) {
        has[pod->addresses[i].family] = true;
    }
    return has[FAMILY_V4] && has[FAMILY_V6];
}

static void observe_peer_pod(const struct clause_side *side, const struct pod *pod, struct clause_set *met)
{
    if (dual_stack(pod)) {
        clause_mark(met, side->packet->source.family == FAMILY_V4 ? CLAUSE_PEER_V4 : CLAUSE_PEER_V6);
    }
    if (pod->phase == POD_PENDING) {
        clause_mark(met, CLAUSE_PHASE_PENDING_PEER);
    }
    if (pod->meta.terminating) {
        clause_mark(met, CLAUSE_TERMINATING_PEER);
    }
    if (!state_node(side->world->state, pod->node)) {
        clause_mark(met, CLAUSE_PEER_UNSCHEDULED);
    } else if (strcmp(pod->node, side->world->node) != 0) {
        clause_mark(met, CLAUSE_PEER_REMOTE);
    }
}

static void observe_match(const struct clause_side *side, const struct peer *peer, const struct pod *pod,
                          struct clause_set *met)
{
    if (peer->has_pod_selector && peer->has_ns_selector) {
        clause_mark(met, CLAUSE_PEER_BOTH);
    } else if (peer->has_pod_selector) {
        clause_mark(met, peer->pod_selector.n ? CLAUSE_PEER_POD : CLAUSE_PEER_POD_ALL);
        if (!state_namespace(side->world->state, pod->meta.ns)) {
            clause_mark(met, CLAUSE_UNSEEN_OWN);
        }
    } else {
        clause_mark(met, peer->ns_selector.n ? CLAUSE_PEER_NS : CLAUSE_PEER_NS_ALL);
    }
    observe_peer_pod(side, pod, met);
}

static bool selector_peer(const struct clause_side *side, const struct policy *policy, const struct peer *peer,
                          struct clause_set *met)
{
    const struct pod *pod = side->other->pod;
    if (!peer->has_pod_selector && !peer->has_ns_selector) {
        return false;
    }
    if (!pod) {
        observe_no_pod(side, policy, peer, met);
        return false;
    }
    struct parts parts = parts_of(side, policy, peer, pod, met);
    if (parts.ns && parts.pod) {
        observe_match(side, peer, pod, met);
        return true;
    }
    if (!peer->has_ns_selector && parts.pod) {
        clause_mark(met, CLAUSE_PEER_POD_OTHER_NS);
    }
    if (peer->has_pod_selector && peer->has_ns_selector && (parts.ns || parts.pod)) {
        clause_mark(met, parts.ns ? CLAUSE_PEER_BOTH_POD_MISSES : CLAUSE_PEER_BOTH_NS_MISSES);
    }
    return false;
}

// ---- blocks --------------------------------------------------------------------------------------------------------

static void observe_block_match(const struct clause_side *side, const struct peer *peer, struct clause_set *met)
{
    clause_mark(met, CLAUSE_BLOCK_IN);
    if (peer->cidr.length == 0) {
        clause_mark(met, peer->cidr.address.family == FAMILY_V4 ? CLAUSE_ALL_V4 : CLAUSE_ALL_V6);
    }
    if (side->other->pod) {
        clause_mark(met, CLAUSE_BLOCK_POD);
    }
    if (side->other->host) {
        clause_mark(met, CLAUSE_HOST_NETWORK_BLOCK);
    }
}

static bool block_peer(struct clause_side *side, const struct peer *peer, struct clause_set *met)
{
    const struct address *address = &side->other->address;
    if (!prefix_contains(&peer->cidr, address)) {
        clause_mark(met, CLAUSE_BLOCK_OUT);
        if (peer->cidr.address.family != address->family) {
            side->other_family = true;
            if (peer->cidr.length == 0) {
                clause_mark(met, address->family == FAMILY_V6 ? CLAUSE_ALL_V4_NOT_V6 : CLAUSE_ALL_V6_NOT_V4);
            }
        }
        return false;
    }
    size_t excepted = 0;
    for (size_t i = 0; i < peer->n_excepts; i++) {
        excepted += prefix_contains(&peer->excepts[i], address);
    }
    if (excepted == 0) {
        observe_block_match(side, peer, met);
        return true;
    }
    side->excepted = true;
    clause_mark(met, CLAUSE_BLOCK_EXCEPT);
    if (excepted > 1) {
        clause_mark(met, CLAUSE_EXCEPTS_OVERLAP);
    }
    return false;
}

// ---- lists ---------------------------------------------------------------------------------------------------------

// Selectors only, and no pod anywhere that one of them finds.
static bool select_none(const struct clause_side *side, const struct policy *policy, const struct policy_rule *rule)
{
    size_t n;
    const struct pod *const *pods = state_pods(side->world->state, &n);
    for (size_t i = 0; i < rule->n_peers; i++) {
        if (rule->peers[i].kind != PEER_PODS) {
            return false;
        }
        for (size_t j = 0; j < n; j++) {
            if (would_match(side, policy, &rule->peers[i], pods[j])) {
                return false;
            }
        }
    }
    return true;
}

static bool one_peer(struct clause_side *side, const struct policy *policy, const struct peer *peer,
                     struct clause_set *met)
{
    switch (peer->kind) {
    case PEER_PODS:
        return selector_peer(side, policy, peer, met);
    case PEER_BLOCK:
        return block_peer(side, peer, met);
    case PEER_UNREADABLE:
        clause_mark(met, CLAUSE_PEER_UNREADABLE);
        return false;
    }
    return false;
}

struct clause_peers clause_peers(struct clause_side *side, const struct policy *policy, const struct policy_rule *rule,
                                 struct clause_set *met)
{
    struct clause_peers ret = {.match = rule->any_peer};
    if (rule->any_peer) {
        clause_mark(met, CLAUSE_ANY_PEER);
        if (!side->other->pod) {
            clause_mark(met, CLAUSE_ANY_PEER_FOREIGN);
        }
        return ret;
    }
    size_t unreadable = 0;
    for (size_t i = 0; i < rule->n_peers; i++) {
        const struct peer *peer = &rule->peers[i];
        unreadable += peer->kind == PEER_UNREADABLE;
        if (one_peer(side, policy, peer, met)) {
            if (i > 0 && !ret.match) {
                clause_mark(met, CLAUSE_PEERS_ORED);
            }
            ret.match = true;
            ret.by_block = ret.by_block || peer->kind == PEER_BLOCK;
        }
    }
    if (unreadable == rule->n_peers && unreadable) {
        clause_mark(met, CLAUSE_PEERS_UNREADABLE);
    } else if (!ret.match && rule->n_peers && select_none(side, policy, rule)) {
        clause_mark(met, CLAUSE_PEERS_SELECT_NONE);
    }
    return ret;
}
