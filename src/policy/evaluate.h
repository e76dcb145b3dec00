// SPDX-License-Identifier: Apache-2.0
//
// The evaluator: proof (a) of DESIGN 2.2. Judges one connection from the policy objects alone; it must not include
// index, set or region code.
#pragma once

#include "host/facts.h"
#include "model/packet.h"
#include "model/state.h"
#include "policy/options.h"

enum verdict { VERDICT_ALLOW, VERDICT_DENY, VERDICT_UNKNOWN };
const char *verdict_name(enum verdict verdict);  // "allow", "deny", "unknown"

enum reason {
    REASON_NO_POD,        // this side has no live pod-network pod
    REASON_NOT_ISOLATED,  // no policy isolates the pod in this direction
    REASON_RULE,          // a rule allows
    REASON_NO_RULE,       // isolated and no rule allows
    REASON_OWN_NODE,      // from the node that hosts the pod (or, with host-egress=allow, to it)
    REASON_SELF,          // a pod reaching itself
    REASON_UNKNOWN,       // an ipBlock would decide and the pod has no address
};
const char *
reason_name(enum reason reason);  // "no-pod", "not-isolated", "rule", "no-rule", "own-node", "self", "unknown"

// One end of a question. Exactly one of: a live pod (address optional), or an address, or a node.
struct endpoint {
    const struct pod *pod;  // NULL: not a pod
    const char *node;       // name of the node whose own address this is ("" not a node); pods: NULL
    bool has_address;       // false: a pod (or a node) whose address is not known
    bool family_known;      // without an address: the connection is of address.family all the same
    struct address address;
};

struct query {
    struct endpoint from;
    struct endpoint to;
    uint8_t protocol;
    uint16_t port;
};

struct side_verdict {
    enum verdict verdict;
    enum reason reason;
    bool isolated;
    // The policies that isolate the pod here, sorted by ns/name; freed by verdict_done.
    const struct policy **policies;
    size_t n_policies;
    // REASON_RULE: the first by policy name, rule, peer. peer is -1 where the rule has none.
    const struct policy *policy;
    int rule;
    int peer;
};

struct connection_verdict {
    enum verdict verdict;  // deny on one side wins over unknown on the other
    struct side_verdict sides[DIRECTION_COUNT];
};
void verdict_done(struct connection_verdict *verdict);

// Both ends, as `netpolctl explain` and `check` report it: node → its own pod is own-node; a pod to itself is self.
NODISCARD int evaluate_query(struct state *state, const struct policy_options *options, const struct query *query,
                             struct connection_verdict *ret, struct err *err);

// A packet as the node `node` enforces it: egress of its own pods, ingress of its own pods; every other side passes
// (REASON_NO_POD). Established and RELATED ICMP packets, neighbour discovery and MLD pass before any judgement
// (networkpolicy-v1.md 3.2, 3.10, 3.11); a pod reaching itself passes only when the flow is DNATed. With facts (may be
// NULL: nothing known) also what they decide (DESIGN 11, 3.8): the guards of IPv6 link-local addresses and forged
// neighbour discovery, which come before the policies; with IPVS, packets to virtual addresses pass INPUT, and those
// that leave by OUTPUT with a source that is not the node's are judged like forwarded ones. Of what the node itself
// sends nothing is judged, but connections that are cut.
NODISCARD int evaluate_packet(struct state *state, const char *node, const struct facts *facts,
                              const struct policy_options *options, const struct packet *packet, bool *ret_allowed,
                              struct err *err);
