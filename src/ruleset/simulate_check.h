// SPDX-License-Identifier: Apache-2.0
//
// What a ruleset may hold and a packet of the simulator cannot say. netpold writes none of it; rules of a text or of a
// kernel may have it, and nothing is proven of them then.
#pragma once

#include "ruleset/findings.h"
#include "ruleset/ruleset.h"

// A finding each: hash:ip,port members of protocols without ports that the simulator knows (the kernel keeps ICMP types
// and port 0 of all others there), rules that ask for a hop limit of 0.
NODISCARD int simulate_check(const struct ruleset *ruleset, struct findings *to, struct err *err);
