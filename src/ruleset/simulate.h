// SPDX-License-Identifier: Apache-2.0
//
// The simulator: what the kernel would do with one packet, walking the rules as ip_tables does (networkpolicy proof
// (b), DESIGN 2.2). Knows nothing of policies.
#pragma once

#include "base/buf.h"
#include "model/packet.h"
#include "ruleset/ruleset.h"

enum simulate_verdict { SIMULATE_PASS, SIMULATE_ACCEPT, SIMULATE_DROP, SIMULATE_REJECT };

// PASS: our chains returned to the built-in chain without a verdict (the host's other rules decide). Allowed is PASS or
// ACCEPT. trace (may be NULL) gets one line for each rule that matched. -1 when the ruleset is broken (a missing chain
// or set, a loop).
NODISCARD int simulate_packet(const struct ruleset *ruleset, const struct packet *packet, enum simulate_verdict *ret,
                              struct buf *trace, struct err *err);

// Whether a hash:ip or hash:net set holds the address, as the kernel looks it up (longest prefix, nomatch).
bool simulate_set_contains(const struct set *set, const struct address *address);
