// SPDX-License-Identifier: Apache-2.0
//
// What the evaluator could still ask about a packet of which only a part is known: the counterpart of verify_reach.h.
// Follows src/policy/evaluate*.c; when these learn to look at something new, it has to be said here
// (tests/property/test_verify_classes.c finds what is missing). Private to the proof (docs/PROOF.md).
#pragma once

#include "audit/verify_reach.h"

// Every such packet passes, whatever else is true of it.
bool verify_policy_settled(const struct verify_space *space, const struct verify_known *known);
// Appends the address tests about the open end; with repetitions. Local pods are told apart by the caller.
NODISCARD int verify_policy_addresses(struct verify_space *space, const struct verify_known *known,
                                      enum verify_side open, struct verify_tests *to, struct err *err);
// Both ends are known: appends ports and marks that count, and signs the names.
NODISCARD int verify_policy_rest(struct verify_space *space, const struct verify_known *known, struct verify_tests *to,
                                 struct err *err);
// ICMP types that are told apart, and the hop limits of a type.
void verify_policy_icmp_types(const struct verify_space *space, bool ret[256]);
void verify_policy_hop_limits(const struct verify_space *space, int icmp_type, bool ret[256]);
// The protocol number of ICMP in the space's family.
int verify_icmp(const struct verify_space *space);
