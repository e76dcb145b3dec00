// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate.h"

#include "policy/evaluate_guard.h"
#include "policy/evaluate_match.h"

enum {
    PROTOCOL_ICMP = 1,
    PROTOCOL_ICMPV6 = 58,
    NDP_FIRST = 133,
    NDP_LAST = 137,
    NDP_HOP_LIMIT = 255,
    MLD_HOP_LIMIT = 1,
};

const char *verdict_name(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_ALLOW:
        return "allow";
    case VERDICT_DENY:
        return "deny";
    case VERDICT_UNKNOWN:
        return "unknown";
    }
    return "";
}

const char *reason_name(enum reason reason)
{
    switch (reason) {
    case REASON_NO_POD:
        return "no-pod";
    case REASON_NOT_ISOLATED:
        return "not-isolated";
    case REASON_RULE:
        return "rule";
    case REASON_NO_RULE:
        return "no-rule";
    case REASON_OWN_NODE:
        return "own-node";
    case REASON_SELF:
        return "self";
    case REASON_UNKNOWN:
        return "unknown";
    }
    return "";
}

void verdict_done(struct connection_verdict *verdict)
{
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        free(verdict->sides[i].policies);
        verdict->sides[i].policies = NULL;
        verdict->sides[i].n_policies = 0;
    }
}

static struct side_verdict side_pass(enum reason reason)
{
    return (struct side_verdict){.verdict = VERDICT_ALLOW, .reason = reason, .rule = -1, .peer = -1};
}

// What the rules of one isolating policy add to the verdict so far.
static void judge_policy(const struct policy *policy, const struct attempt *attempt, struct side_verdict *side)
{
    if (policy->grants_nothing) {
        return;
    }
    for (size_t i = 0; i < policy->n_rules[attempt->direction]; i++) {
        int peer;
        switch (rule_match(policy, &policy->rules[attempt->direction][i], attempt, &peer)) {
        case MATCH_YES:
            side->verdict = VERDICT_ALLOW;
            side->reason = REASON_RULE;
            side->policy = policy;
            side->rule = (int)i;
            side->peer = peer;
            return;
        case MATCH_UNKNOWN:
            side->verdict = VERDICT_UNKNOWN;
            side->reason = REASON_UNKNOWN;
            break;
        case MATCH_NO:
            break;
        }
    }
}

// The policies of the pod's namespace, judged in order of their names; the first rule that allows is kept. isolating
// (may be NULL) gets every policy that isolates the pod; it has room for n.
static struct side_verdict judge_side(const struct policy *const *policies, size_t n, const struct attempt *attempt,
                                      const struct policy **isolating)
{
    struct side_verdict side = side_pass(REASON_NOT_ISOLATED);
    for (size_t i = 0; i < n; i++) {
        if (!policy_isolates(policies[i], attempt)) {
            continue;
        }
        if (!side.isolated) {
            side.isolated = true;
            side.verdict = VERDICT_DENY;
            side.reason = REASON_NO_RULE;
        }
        if (isolating) {
            isolating[side.n_policies++] = policies[i];
        }
        if (side.reason != REASON_RULE) {
            judge_policy(policies[i], attempt, &side);
        } else if (!isolating) {
            break;
        }
    }
    return side;
}

static int evaluate_side(struct state *state, const struct attempt *attempt, struct side_verdict *ret, struct err *err)
{
    size_t n;
    const struct policy *const *policies = state_policies_of(state, attempt->pod->meta.ns, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    CLEANUP(free) const struct policy **isolating = NULL;
    if (n > 0) {
        isolating = malloc(n * sizeof(const struct policy *));
        if (!isolating) {
            return err_oom(err);
        }
    }
    *ret = judge_side(policies, n, attempt, isolating);
    if (ret->n_policies) {
        ret->policies = TAKE(isolating);
    }
    return 0;
}

// A verdict that holds whatever the policies say; they are reported all the same.
static void override(struct side_verdict *side, enum reason reason)
{
    side->verdict = VERDICT_ALLOW;
    side->reason = reason;
    side->policy = NULL;
    side->rule = -1;
    side->peer = -1;
}

static bool hosts(const char *node, const struct pod *pod)
{
    return node && *node && strcmp(node, pod->node) == 0;
}

static const struct pod *live(const struct pod *pod)
{
    return pod && pod_is_live(pod) ? pod : NULL;
}

static enum verdict combine(const struct side_verdict sides[DIRECTION_COUNT])
{
    enum verdict verdict = VERDICT_ALLOW;
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        if (sides[i].verdict == VERDICT_DENY) {
            return VERDICT_DENY;
        }
        if (sides[i].verdict == VERDICT_UNKNOWN) {
            verdict = VERDICT_UNKNOWN;
        }
    }
    return verdict;
}

int evaluate_query(struct state *state, const struct policy_options *options, const struct query *query,
                   struct connection_verdict *ret, struct err *err)
{
    struct endpoint ends[DIRECTION_COUNT] = {[DIRECTION_INGRESS] = query->to, [DIRECTION_EGRESS] = query->from};
    const struct pod *source = ends[DIRECTION_EGRESS].pod = live(query->from.pod);
    const struct pod *target = ends[DIRECTION_INGRESS].pod = live(query->to.pod);
    struct connection_verdict verdict = {.verdict = VERDICT_ALLOW};
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        struct side_verdict *side = &verdict.sides[i];
        const struct pod *pod = ends[i].pod;
        const struct endpoint *other = &ends[DIRECTION_COUNT - 1 - i];
        const struct attempt attempt = {
            .state = state,
            .direction = (enum direction)i,
            .pod = pod,
            .other = other,
            .target = target,
            .protocol = query->protocol,
            .port = query->port,
        };
        if (!pod) {
            *side = side_pass(REASON_NO_POD);
        } else if (evaluate_side(state, &attempt, side, err) < 0) {
            verdict_done(&verdict);
            return -1;
        } else if (source == target) {
            override(side, REASON_SELF);
        } else if (hosts(other->node, pod) && (i == DIRECTION_INGRESS || options->host_egress_allowed)) {
            override(side, REASON_OWN_NODE);
        }
    }
    verdict.verdict = combine(verdict.sides);
    *ret = verdict;
    return 0;
}

// Neighbour discovery and multicast listener discovery, told from what a pod forges (3.11): a valid one of
// the first has hop limit 255; of the second 1 and a multicast destination (a router lowers 2 to 1 before FORWARD).
static bool is_neighbour_discovery(const struct packet *packet)
{
    if (packet->source.family != FAMILY_V6 || packet->protocol != PROTOCOL_ICMPV6) {
        return false;
    }
    if (packet->icmp_type >= NDP_FIRST && packet->icmp_type <= NDP_LAST) {
        return packet->hop_limit == NDP_HOP_LIMIT;
    }
    static const uint8_t mld[] = {130, 131, 132, 143};
    return memchr(mld, packet->icmp_type, sizeof(mld)) && packet->hop_limit == MLD_HOP_LIMIT &&
           address_is_multicast(&packet->destination);
}

static bool is_related_error(const struct packet *packet)
{
    uint8_t icmp = packet->source.family == FAMILY_V6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP;
    return packet->ct == CT_RELATED && packet->protocol == icmp;
}

// What leaves by OUTPUT is the node's own, except what IPVS forwards: that has the pod's address (3.8).
static bool is_sent_by_node(const struct facts *facts, const struct packet *packet)
{
    return packet->arrival == ARRIVAL_FROM_NODE && (packet->source_is_node || !facts || !facts->ipvs);
}

// Passes before anything is asked.
static bool passes_unjudged(const struct facts *facts, const struct packet *packet)
{
    return packet->ct == CT_ESTABLISHED || is_sent_by_node(facts, packet) || is_related_error(packet) ||
           is_neighbour_discovery(packet);
}

// Passes unless a guard drops it.
static bool passes_policies(const struct facts *facts, const struct policy_options *options,
                            const struct packet *packet)
{
    if (packet->arrival == ARRIVAL_TO_NODE &&
        (options->host_egress_allowed || guard_is_virtual(facts, &packet->destination))) {
        return true;
    }
    return packet->dnat && address_equal(&packet->source, &packet->destination);
}

// The policies of the node's own pods at the ends of the packet.
static int judge_ends(struct state *state, const char *node, const struct packet *packet, bool *ret_allowed,
                      struct err *err)
{
    const struct endpoint ends[DIRECTION_COUNT] = {
        [DIRECTION_INGRESS] = {.pod = state_owner(state, &packet->destination),
                               .has_address = true,
                               .address = packet->destination},
        [DIRECTION_EGRESS] = {.pod = state_owner(state, &packet->source),
                              .has_address = true,
                              .address = packet->source},
    };
    bool allowed = true;
    for (size_t i = 0; allowed && i < DIRECTION_COUNT; i++) {
        const struct attempt attempt = {
            .state = state,
            .direction = (enum direction)i,
            .pod = ends[i].pod,
            .other = &ends[DIRECTION_COUNT - 1 - i],
            .target = ends[DIRECTION_INGRESS].pod,
            .protocol = packet->protocol,
            .port = packet->port,
        };
        // A packet to the node ends there: no pod receives it.
        if (!attempt.pod || !hosts(node, attempt.pod) ||
            (packet->arrival == ARRIVAL_TO_NODE && i == DIRECTION_INGRESS)) {
            continue;
        }
        size_t n;
        const struct policy *const *policies = state_policies_of(state, attempt.pod->meta.ns, &n);
        if (n == SIZE_MAX) {
            return err_oom(err);
        }
        allowed = judge_side(policies, n, &attempt, NULL).verdict == VERDICT_ALLOW;
    }
    *ret_allowed = allowed;
    return 0;
}

int evaluate_packet(struct state *state, const char *node, const struct facts *facts,
                    const struct policy_options *options, const struct packet *packet, bool *ret_allowed,
                    struct err *err)
{
    if (guard_is_revoked(facts, options, packet)) {
        *ret_allowed = false;
        return 0;
    }
    bool dropped = false;
    if (guard_is_forged_tunnel(state, node, facts, options, packet, &dropped, err) < 0 ||
        (!dropped && packet->ct != CT_ESTABLISHED && !is_related_error(packet) &&
         guard_is_false_router(state, node, facts, options, packet, &dropped, err) < 0)) {
        return -1;
    }
    if (dropped || passes_unjudged(facts, packet)) {
        *ret_allowed = !dropped;
        return 0;
    }
    if (guard_drops(state, node, facts, options, packet, &dropped, err) < 0) {
        return -1;
    }
    if (dropped || passes_policies(facts, options, packet)) {
        *ret_allowed = !dropped;
        return 0;
    }
    return judge_ends(state, node, packet, ret_allowed, err);
}
