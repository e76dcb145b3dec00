// SPDX-License-Identifier: Apache-2.0
//
// Whether the built-in chains lead into ours, once each: what a reader of a proof wants to be told before he is shown a
// hundred packets that nobody judges.
#pragma once

#include "ruleset/findings.h"
#include "ruleset/ruleset.h"

// A finding each where a chain NETPOL-FORWARD, NETPOL-INPUT or NETPOL-OUTPUT stands that no jump of its built-in chain
// leads to, or NETPOL-ENCAP (tunnel packets) and none of FORWARD and INPUT does; and where the same jump stands more
// than once.
NODISCARD int jumps_check(const struct ruleset *ruleset, struct findings *to, struct err *err);
