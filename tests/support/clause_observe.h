// SPDX-License-Identifier: Apache-2.0
//
// Which clauses one packet meets in one state, seen from outside the evaluator: a walk of its own over the objects,
// that tries what the evaluator stops at, and whose verdict must be the evaluator's (else a clause was counted
// wrongly).
#pragma once

#include "host/facts.h"
#include "model/packet.h"
#include "model/state.h"
#include "policy/options.h"
#include "support/clause.h"

// An address in the status of some pod, live or not.
struct clause_claim {
    struct address address;
    const struct pod *pod;
};

struct clause_world {
    struct state *state;
    // What the text of each object was written with, by its place in state_pods, state_namespaces, state_policies; NULL
    // when the state was not read from text. Borrowed.
    const struct clause_set *text[OBJECT_KIND_COUNT];
    struct clause_claim *claims;  // sorted by address
    size_t n_claims;
    // Set by clause_world_node.
    const char *node;
    const struct facts *facts;
    const struct policy_options *options;
    const struct facts_interface **guarded;  // interfaces that the node's isolated pods are behind
    size_t n_guarded;
    bool judges_ipv6;
};

// Borrows the state, which must not change. Ends the process when memory is out, as all of these.
void clause_world_init(struct clause_world *world, struct state *state);
void clause_world_done(struct clause_world *world);
// The node whose packets come next; all borrowed, facts may be NULL.
void clause_world_node(struct clause_world *world, const char *node, const struct facts *facts,
                       const struct policy_options *options);

// Adds to *ret the clauses that decide about the packet or take part. Returns the verdict that follows from them.
bool clause_observe(const struct clause_world *world, const struct packet *packet, struct clause_set *ret);
