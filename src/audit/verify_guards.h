// SPDX-License-Identifier: Apache-2.0
//
// What the evaluator's guards (src/policy/evaluate_ways.c) could still ask about a packet: the part of verify_policy.h
// that is not about policies. Private to the proof (docs/PROOF.md).
#pragma once

#include "audit/verify_reach.h"

// No guard but those of link-local packets looks at packets to the node.
bool verify_guards_spare_node(const struct verify_space *space);
// *ret: the packet may be of a tunnel, which is judged in an established flow too: by what the guards make of its ends
// (and who the source is), and by names. A destination that is known and ends no tunnel settles it.
NODISCARD int verify_guards_flow(struct verify_space *space, const struct verify_known *known, bool *ret,
                                 struct err *err);
// The answers of VERIFY_GUARDS.
NODISCARD int verify_guards_answer(const struct verify_space *space, struct verify_test *test, struct err *err);
// Both ends are known: appends ports that count, and signs the names.
NODISCARD int verify_guards_rest(struct verify_space *space, const struct verify_known *known, struct verify_tests *to,
                                 struct err *err);
// Appends the mark of a revoked flow, which is asked first of all.
NODISCARD int verify_guards_marks(const struct verify_space *space, struct verify_tests *to, struct err *err);
// Protocols that tunnels use.
void verify_guards_protocols(const struct verify_space *space, bool ret[256]);
