// SPDX-License-Identifier: Apache-2.0
//
// Random rulesets that a kernel accepts (no loops, every chain and set exists), with every match, target and set type,
// over few addresses, ports and interfaces, so that packets match.
#pragma once

#include "model/packet.h"
#include "ruleset/ruleset.h"
#include "support/rng.h"

// Ends the process when memory is out: a test cannot go on.
struct ruleset *random_ruleset(struct rng *rng);
// A packet that the rules of random_ruleset may match.
struct packet random_ruleset_packet(struct rng *rng);
// The same ruleset again, with a few rules, members, chains, sets or hooks changed.
struct ruleset *random_ruleset_change(struct rng *rng, const struct ruleset *ruleset);
