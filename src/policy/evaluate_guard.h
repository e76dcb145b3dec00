// SPDX-License-Identifier: Apache-2.0
//
// The guards of DESIGN 11 as the evaluator sees them: what a pod could do to get round its policy with addresses that
// are no pod's. Private to the evaluator.
#pragma once

#include "host/facts.h"
#include "policy/evaluate.h"

// *ret: a guard drops the packet, whatever the policies say about its ends. Asked only about packets that do not pass
// unjudged. facts NULL: no interface is known, so none is guarded.
NODISCARD int guard_drops(struct state *state, const char *node, const struct facts *facts,
                          const struct policy_options *options, const struct packet *packet, bool *ret,
                          struct err *err);

// *ret: the packet is of a tunnel, from a pod to where a node unpacks it. Asked before anything passes, established or
// not.
NODISCARD int guard_is_forged_tunnel(struct state *state, const char *node, const struct facts *facts,
                                     const struct policy_options *options, const struct packet *packet, bool *ret,
                                     struct err *err);

// *ret: the packet says that a pod of a bridge is a router. Asked before what passes as neighbour discovery.
NODISCARD int guard_is_false_router(struct state *state, const char *node, const struct facts *facts,
                                    const struct policy_options *options, const struct packet *packet, bool *ret,
                                    struct err *err);

// Whether IPVS takes packets to this address through INPUT and judges them in OUTPUT, with their real destination.
bool guard_is_virtual(const struct facts *facts, const struct address *address);

// Whether the packet is of a flow that is marked as revoked: cut before anything else is asked, established or not.
// What the node sends is looked at where IPVS is.
bool guard_is_revoked(const struct facts *facts, const struct policy_options *options, const struct packet *packet);
