// SPDX-License-Identifier: Apache-2.0
#include "support/clause_side.h"

// ---- rules ---------------------------------------------------------------------------------------------------------

static void observe_names(const struct clause_side *side, const struct policy *policy, const struct policy_rule *rule,
                          const struct clause_ports *ports, const struct clause_peers *peers)
{
    const struct pod *target = side->target->pod;
    bool egress = side->direction == DIRECTION_EGRESS;
    if (ports->by_name && peers->by_block) {
        clause_mark(side->met, egress ? CLAUSE_NAME_BLOCK_EGRESS : CLAUSE_NAME_BLOCK_INGRESS);
    }
    if (ports->by_name && egress && rule->any_peer && strcmp(target->meta.ns, policy->meta.ns) != 0) {
        clause_mark(side->met, CLAUSE_NAME_NO_TO);
    }
    if (ports->named && !ports->match && egress && peers->by_block && !target) {
        clause_mark(side->met, CLAUSE_NAME_BLOCK_NO_POD);
    }
}

static bool one_rule(struct clause_side *side, const struct policy *policy, const struct policy_rule *rule)
{
    if (rule->unreadable) {
        clause_mark(side->met, CLAUSE_RULE_UNREADABLE);
        return false;
    }
    struct clause_set by_ports = {0};
    struct clause_set by_peers = {0};
    bool excepted = side->excepted;
    bool other_family = side->other_family;
    struct clause_ports ports = clause_ports(side, rule, &by_ports);
    struct clause_peers peers = clause_peers(side, policy, rule, &by_peers);
    // Each half takes part only where the other matches.
    if (peers.match) {
        clause_join(side->met, &by_ports);
    }
    if (ports.match) {
        clause_join(side->met, &by_peers);
    } else {
        side->excepted = excepted;
        side->other_family = other_family;
    }
    if (ports.match != peers.match) {
        clause_mark(side->met, peers.match ? CLAUSE_RULE_PORT_MISSES : CLAUSE_RULE_PEER_MISSES);
    }
    observe_names(side, policy, rule, &ports, &peers);
    return ports.match && peers.match;
}

static bool rules_allow(struct clause_side *side, const struct policy *policy)
{
    const struct policy_rule *rules = policy->rules[side->direction];
    size_t n = policy->n_rules[side->direction];
    bool allowed = false;
    if (policy->grants_nothing) {
        return false;
    }
    if (n == 0) {
        clause_mark(side->met, CLAUSE_RULES_NONE);
    }
    for (size_t i = 0; i < n; i++) {
        if (!one_rule(side, policy, &rules[i])) {
            continue;
        }
        if (i > 0 && !allowed) {
            clause_mark(side->met, CLAUSE_RULES_ORED);
        }
        if (n == 1 && rules[i].any_peer && rules[i].any_port) {
            clause_mark(side->met, CLAUSE_RULE_EMPTY);
        }
        allowed = true;
    }
    return allowed;
}

// ---- policies ------------------------------------------------------------------------------------------------------

static bool isolates(const struct policy *policy, const struct pod *pod, enum direction direction,
                     struct clause_set *met)
{
    if (!clause_selector(&policy->subject, true, &pod->meta.labels, met)) {
        return false;
    }
    if (!policy->isolates[direction]) {
        bool other = policy->isolates[DIRECTION_INGRESS] || policy->isolates[DIRECTION_EGRESS];
        clause_mark(met, other ? CLAUSE_TYPES_OTHER : CLAUSE_TYPES_NEITHER);
    }
    return policy->isolates[direction];
}

bool clause_isolates(const struct clause_world *world, const struct pod *pod, enum direction direction,
                     struct clause_set *met)
{
    size_t n;
    const struct policy *const *policies = state_policies_of(world->state, pod->meta.ns, &n);
    for (size_t i = 0; i < n; i++) {
        if (isolates(policies[i], pod, direction, met)) {
            return true;
        }
    }
    return false;
}

static void observe_other_namespaces(const struct clause_side *side)
{
    size_t n;
    const struct policy *const *policies = state_policies(side->world->state, &n);
    struct clause_set unused = {0};
    for (size_t i = 0; i < n; i++) {
        if (strcmp(policies[i]->meta.ns, side->pod->meta.ns) != 0 &&
            isolates(policies[i], side->pod, side->direction, &unused)) {
            clause_mark(side->met, CLAUSE_SUBJECT_OTHER_NS);
            return;
        }
    }
}

static void observe_isolating(const struct clause_side *side, const struct policy *policy,
                              const struct policy *const *place)
{
    if (policy->subject.unreadable) {
        clause_mark(side->met, CLAUSE_SUBJECT_UNREADABLE);
    } else if (policy->subject.n == 0) {
        clause_mark(side->met, CLAUSE_SUBJECT_ALL);
    }
    if (policy->meta.terminating) {
        clause_mark(side->met, CLAUSE_POLICY_TERMINATING);
    }
    if (side->world->text[OBJECT_POLICY]) {
        size_t n;
        const struct policy *const *all = state_policies(side->world->state, &n);
        clause_join(side->met, &side->world->text[OBJECT_POLICY][place - all]);
    }
}

static bool differ_by_dots(const char *a, const char *b)
{
    bool differ = false;
    for (; *a && *b; a++, b++) {
        bool marks = (*a == '.' || *a == '-') && (*b == '.' || *b == '-');
        if (*a != *b && !marks) {
            return false;
        }
        differ = differ || *a != *b;
    }
    return differ && *a == *b;
}

// A pod that waits for its address.
static bool selects_pod_without_address(const struct clause_side *side, const struct policy *policy)
{
    size_t n;
    const struct pod *const *pods = state_pods(side->world->state, &n);
    struct clause_set unused = {0};
    for (size_t i = 0; i < n; i++) {
        if (pods[i]->n_addresses == 0 && pod_is_live(pods[i]) && strcmp(pods[i]->meta.ns, policy->meta.ns) == 0 &&
            clause_selector(&policy->subject, true, &pods[i]->meta.labels, &unused)) {
            return true;
        }
    }
    return false;
}

// ---- the judged pod ------------------------------------------------------------------------------------------------

static void observe_claims(const struct clause_side *side)
{
    const struct pod *rival = side->end->rival;
    if (side->end->finished) {
        clause_mark(side->met, CLAUSE_REUSED);
    }
    if (!rival) {
        return;
    }
    if (rival->meta.terminating && !side->pod->meta.terminating) {
        clause_mark(side->met, CLAUSE_CLAIMED_TERMINATING);
    } else if (strcmp(rival->meta.created, side->pod->meta.created) < 0) {
        clause_mark(side->met, CLAUSE_CLAIMED_OLDER);
    }
}

static void observe_text(const struct clause_side *side)
{
    size_t n;
    const struct pod *const *pods = state_pods(side->world->state, &n);
    for (size_t i = 0; side->world->text[OBJECT_POD] && i < n; i++) {
        if (pods[i] == side->pod || pods[i] == side->other->pod) {
            clause_join(side->met, &side->world->text[OBJECT_POD][i]);
        }
    }
}

static void observe_subject(const struct clause_side *side)
{
    const struct pod *pod = side->pod;
    bool has[FAMILY_COUNT] = {false};
    for (size_t i = 0; i < pod->n_addresses; i++) {
        has[pod->addresses[i].family] = true;
    }
    if (has[FAMILY_V4] && has[FAMILY_V6]) {
        clause_mark(side->met, side->end->address.family == FAMILY_V4 ? CLAUSE_SUBJECT_V4 : CLAUSE_SUBJECT_V6);
    }
    if (pod->phase == POD_PENDING) {
        clause_mark(side->met, CLAUSE_PHASE_PENDING);
    } else if (pod->phase == POD_UNKNOWN) {
        clause_mark(side->met, CLAUSE_PHASE_UNKNOWN);
    }
    if (pod->meta.terminating) {
        clause_mark(side->met, CLAUSE_TERMINATING);
    }
    observe_claims(side);
    observe_text(side);
}

// What only the whole of the isolating policies shows.
static void observe_all(const struct clause_side *side, size_t isolating, size_t allowing)
{
    if (allowing == 0) {
        clause_mark(side->met, CLAUSE_NO_RULE);
        if (side->other_family) {
            clause_mark(side->met, CLAUSE_OTHER_FAMILY_ISOLATED);
        }
        return;
    }
    if (isolating > allowing) {
        clause_mark(side->met, CLAUSE_UNION);
    }
    if (side->excepted) {
        clause_mark(side->met, CLAUSE_EXCEPT_NO_DENY);
    }
}

struct clause_verdict clause_judge(struct clause_side *side)
{
    size_t n;
    const struct policy *const *policies = state_policies_of(side->world->state, side->pod->meta.ns, &n);
    size_t isolating = 0;
    size_t allowing = 0;
    const struct policy *previous = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!isolates(policies[i], side->pod, side->direction, side->met)) {
            continue;
        }
        isolating++;
        observe_isolating(side, policies[i], &policies[i]);
        if (selects_pod_without_address(side, policies[i])) {
            clause_mark(side->met, CLAUSE_NO_ADDRESS);
        }
        if (previous && differ_by_dots(previous->meta.name, policies[i]->meta.name)) {
            clause_mark(side->met, CLAUSE_NAMES_ALIKE);
        }
        previous = policies[i];
        allowing += rules_allow(side, policies[i]);
    }
    if (isolating == 0) {
        clause_mark(side->met, CLAUSE_OPEN);
        observe_other_namespaces(side);
        return (struct clause_verdict){.allowed = true};
    }
    observe_subject(side);
    observe_all(side, isolating, allowing);
    return (struct clause_verdict){.isolated = true, .allowed = allowing > 0};
}
